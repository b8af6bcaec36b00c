//! From a plan to its graph.

use std::collections::HashMap;

use praxis_dsl::checked::{Operand, Piece};
use serde_json::Value;

use crate::effect::{EffectClass, ResourcePath, WriteIndex};
use crate::plan::{
    AfterRef, BlockId, Loop, Plan, Slot, Statement, StatementKind, StepSpec, Writers,
};

use super::{Because, Edge, Graph, GraphKind, GraphNode, NodeId, Overlap, Rounds};

/// How many rounds a loop is taken to have where the source does not tell.
pub(crate) const ASSUMED_ROUNDS: usize = 10;
/// How many rounds the scheduler begins ahead.
const AHEAD: usize = 64;
/// After so many blocks that may have written, a read counts as waiting for everything.
const MOST_ASKED: usize = 32;

pub(super) fn build(plan: &Plan, inputs: &HashMap<Slot, Value>) -> Graph {
    let mut builder = Builder {
        plan,
        inputs,
        work: work_of_blocks(plan),
        graph: Graph {
            nodes: Vec::new(),
            calls: vec![None; plan.steps.len()],
            edges_found: 0,
        },
        scopes: Vec::new(),
        consumed: Vec::new(),
    };
    builder.block(0, None, 0, 1.0, true);
    let edges = builder.graph.nodes.iter().map(|node| node.edges.len());
    builder.graph.edges_found = edges.sum();
    builder.graph
}

/// How many calls stand in each block, to tell the costlier branch.
fn work_of_blocks(plan: &Plan) -> Vec<usize> {
    let mut work = vec![0; plan.blocks.len()];
    for id in (0..plan.blocks.len()).rev() {
        work[id] = plan.blocks[id]
            .statements
            .iter()
            .map(|statement| match statement.kind {
                StatementKind::Call(_) => 1,
                _ => statement
                    .kind
                    .blocks()
                    .iter()
                    .map(|&inner| work[inner as usize])
                    .sum(),
            })
            .sum();
    }
    work
}

struct Builder<'p> {
    plan: &'p Plan,
    inputs: &'p HashMap<Slot, Value>,
    work: Vec<usize>,
    graph: Graph,
    scopes: Vec<Scope>,
    /// By node: whether something behind it waits for it.
    consumed: Vec<bool>,
}

struct Scope {
    ordered: bool,
    /// Of an `IF`'s branches, the one that this is.
    branch: u32,
    /// The position that is being built.
    position: u32,
    /// The node that stands for the end of each statement so far.
    ends: Vec<(NodeId, bool)>,
    /// What stands for all that is done so far.
    frontier: Vec<NodeId>,
    /// The block's opening.
    open: Option<NodeId>,
    names: HashMap<Slot, NodeId>,
    writes: WriteIndex,
    returns: Option<NodeId>,
    /// What stands for all before the position.
    gate: Option<(u32, Option<NodeId>)>,
    /// The first position whose step waits for all that stands around.
    committed: Option<u32>,
}

impl Builder<'_> {
    fn node(
        &mut self,
        kind: GraphKind,
        line: u32,
        inside: Option<NodeId>,
        times: f64,
        usual: bool,
    ) -> NodeId {
        let branch = self.scopes.last().map_or(0, |scope| scope.branch);
        self.graph.nodes.push(GraphNode {
            kind,
            line,
            edges: Vec::new(),
            inside,
            branch,
            times,
            usual,
        });
        self.consumed.push(false);
        (self.graph.nodes.len() - 1) as NodeId
    }

    fn edge(&mut self, from: NodeId, to: NodeId, because: Because) {
        let edges = &mut self.graph.nodes[to as usize].edges;
        let edge = Edge { from, because };
        if from < to && !edges.contains(&edge) {
            edges.push(edge);
        }
    }

    fn open_scope(&mut self, ordered: bool, open: Option<NodeId>) {
        self.scopes.push(Scope {
            ordered,
            branch: 0,
            position: 0,
            ends: Vec::new(),
            frontier: Vec::new(),
            open,
            names: HashMap::new(),
            writes: WriteIndex::default(),
            returns: None,
            gate: None,
            committed: None,
        });
    }

    fn top(&mut self) -> &mut Scope {
        self.scopes
            .last_mut()
            .expect("a scope is open while a block is built")
    }

    /// The recursion goes as deep as the blocks, which the parser limits.
    /// Gives the nodes that nobody in the block waits for, and its names.
    fn block(
        &mut self,
        id: BlockId,
        open: Option<NodeId>,
        branch: u32,
        times: f64,
        usual: bool,
    ) -> (Vec<NodeId>, HashMap<Slot, NodeId>) {
        let plan = self.plan;
        self.open_scope(true, open);
        self.top().branch = branch;
        let never = plan.block(id).never;
        for (position, statement) in plan.block(id).statements.iter().enumerate() {
            if never {
                break;
            }
            self.top().position = position as u32;
            self.statement(statement, open, times, usual);
        }
        let scope = self.scopes.pop().expect("it was opened above");
        let ends = scope.frontier.into_iter();
        let consumed = &self.consumed;
        let ends = ends.filter(|&node| !consumed[node as usize]).collect();
        (ends, scope.names)
    }

    fn statement(&mut self, statement: &Statement, open: Option<NodeId>, times: f64, usual: bool) {
        let plan = self.plan;
        let line = statement.location.line;
        let kind = match &statement.kind {
            StatementKind::Call(step) => GraphKind::Call(*step),
            StatementKind::Let { .. } => GraphKind::Plain("LET"),
            StatementKind::Return(_) => GraphKind::Plain("RETURN"),
            StatementKind::Parallel { .. } => GraphKind::Open("PARALLEL"),
            StatementKind::If { .. } => GraphKind::Open("IF"),
            StatementKind::For(each) if each.parallel => GraphKind::Open("PARALLEL FOR"),
            StatementKind::For(_) => GraphKind::Open("FOR"),
            StatementKind::Try { .. } => GraphKind::Open("TRY"),
        };
        let commits = match &statement.kind {
            StatementKind::Call(step) => plan.step(*step).class.changes_the_world(),
            StatementKind::Return(_) => true,
            _ => false,
        };
        // Numbers grow along edges, so what stands for all before is made first.
        let gates = if commits {
            self.all_before(line)
        } else {
            Vec::new()
        };
        let node = self.node(kind, line, open, times, usual);
        for gate in gates {
            self.edge(gate, node, Because::Changes);
        }
        self.waits(statement, node, open);
        let end = match &statement.kind {
            StatementKind::Call(step) => {
                self.graph.calls[*step as usize] = Some(node);
                self.reads(plan.step(*step), node);
                node
            }
            StatementKind::Let { .. } | StatementKind::Return(_) => node,
            _ => self.inner(statement, node, times, usual),
        };
        for at in [node, end] {
            for edge in &self.graph.nodes[at as usize].edges {
                self.consumed[edge.from as usize] = true;
            }
        }
        let paths = self.written(&statement.writers);
        let is_call = matches!(statement.kind, StatementKind::Call(_));
        let scope = self.top();
        for path in &paths {
            scope.writes.record(path, scope.position);
        }
        for slot in &statement.binds {
            scope.names.entry(*slot).or_insert(end);
        }
        if statement.may_return {
            scope.returns = Some(end);
        }
        scope.ends.push((end, is_call));
        scope.frontier.push(end);
    }

    /// The edges that every statement may have.
    fn waits(&mut self, statement: &Statement, node: NodeId, open: Option<NodeId>) {
        for slot in &statement.needs {
            let holder = self
                .scopes
                .iter()
                .rev()
                .find_map(|scope| scope.names.get(slot));
            if let Some(&holder) = holder {
                self.edge(holder, node, Because::Uses(*slot));
            }
        }
        for after in &statement.after {
            if let Some(end) = self.awaited(*after) {
                self.edge(end, node, Because::After);
            }
        }
        if let Some(returns) = self.top().returns {
            self.edge(returns, node, Because::Returns);
        }
        if let Some(open) = open {
            self.edge(open, node, Because::Inside);
        }
    }

    fn awaited(&self, after: AfterRef) -> Option<NodeId> {
        let scope = self.scopes.iter().rev().nth(after.levels as usize)?;
        scope.ends.get(after.position as usize).map(|end| end.0)
    }

    fn reads(&mut self, step: &StepSpec, node: NodeId) {
        if step.class != EffectClass::Read {
            return;
        }
        for path in step.resources(
            &step.reads,
            &|operand| known(self.plan, self.inputs, operand),
            &ResourcePath::parse,
        ) {
            let mut found = Vec::new();
            'scopes: for scope in self.scopes.iter().rev().filter(|scope| scope.ordered) {
                let mut before = scope.position;
                while let Some(last) = scope.writes.last_before(&path, before) {
                    let Some(&(end, is_call)) = scope.ends.get(last as usize) else {
                        break;
                    };
                    found.push(end);
                    if is_call || found.len() == MOST_ASKED {
                        break 'scopes;
                    }
                    before = last;
                }
            }
            let known = (path != ResourcePath::everything()).then(|| path.clone());
            for end in found {
                self.edge(end, node, Because::Reads(known.clone()));
            }
        }
    }

    /// What stands for everything before here, in this scope and further out.
    fn all_before(&mut self, line: u32) -> Vec<NodeId> {
        let mut gates = Vec::new();
        for level in (0..self.scopes.len()).rev() {
            let scope = &mut self.scopes[level];
            if !scope.ordered {
                continue;
            }
            // An earlier step of the scope waits for all that stands further out already.
            let earlier = scope.committed.is_some_and(|at| at < scope.position);
            scope.committed = scope.committed.or(Some(scope.position));
            gates.extend(self.gate(level, line));
            if earlier {
                break;
            }
        }
        gates
    }

    /// What stands for all that is done before the scope's position.
    fn gate(&mut self, level: usize, line: u32) -> Option<NodeId> {
        let consumed = &self.consumed;
        let scope = &mut self.scopes[level];
        let inside = scope.open;
        // What stands inside of one statement waits for the same before it.
        if let Some((position, gate)) = scope.gate
            && position == scope.position
        {
            return gate;
        }
        scope.frontier.retain(|&end| !consumed[end as usize]);
        let gate = match *scope.frontier {
            [] => None,
            [one] => Some(one),
            _ => {
                let frontier = std::mem::take(&mut scope.frontier);
                let gate = self.node(GraphKind::All, line, inside, 1.0, true);
                for end in frontier {
                    self.edge(end, gate, Because::Part);
                }
                Some(gate)
            }
        };
        let scope = &mut self.scopes[level];
        scope.frontier = gate.into_iter().collect();
        scope.gate = Some((scope.position, gate));
        gate
    }

    /// The blocks of a statement; gives the node of its end.
    fn inner(&mut self, statement: &Statement, open: NodeId, times: f64, usual: bool) -> NodeId {
        let line = statement.location.line;
        let mut ends = vec![open];
        let mut rounds = None;
        let mut names = HashMap::new();
        match &statement.kind {
            StatementKind::Parallel { children, any, .. } => {
                self.open_scope(false, Some(open));
                for (position, &child) in children.iter().enumerate() {
                    self.top().position = position as u32;
                    let (more, bound) = self.block(child, Some(open), 0, times, usual);
                    let done = match *more {
                        [] => open,
                        [one] => one,
                        _ => more[0],
                    };
                    self.top().ends.push((done, false));
                    ends.extend(more);
                    if !any {
                        names.extend(bound);
                    }
                }
                self.scopes.pop();
            }
            StatementKind::If {
                branches,
                otherwise,
            } => {
                let blocks: Vec<BlockId> = branches
                    .iter()
                    .map(|branch| branch.1)
                    .chain([*otherwise])
                    .collect();
                let costliest = blocks
                    .iter()
                    .copied()
                    .filter(|&block| !self.plan.block(block).never)
                    .max_by_key(|&block| (self.work[block as usize], std::cmp::Reverse(block)));
                for (branch, block) in (0..).zip(blocks) {
                    let usual = usual && Some(block) == costliest;
                    let (more, _) = self.block(block, Some(open), branch, times, usual);
                    ends.extend(more);
                }
            }
            StatementKind::For(each) => {
                let items = known(self.plan, self.inputs, &each.items);
                let lies = lie(statement, each, items.as_ref());
                self.open_scope(!each.parallel, Some(open));
                self.top().names.insert(each.variable, open);
                let times = times * lies.count as f64;
                let (more, _) = self.block(each.body, Some(open), 0, times, usual);
                self.scopes.pop();
                ends.extend(more);
                rounds = Some(lies);
            }
            StatementKind::Try {
                body,
                handler,
                error,
            } => {
                let (more, _) = self.block(*body, Some(open), 0, times, usual);
                let tried = more.clone();
                ends.extend(more);
                let catch = self.node(GraphKind::Open("CATCH"), line, Some(open), times, false);
                for end in tried.into_iter().chain([open]) {
                    self.edge(end, catch, Because::Part);
                }
                self.open_scope(true, Some(catch));
                if let Some(error) = error {
                    self.top().names.insert(*error, catch);
                }
                let (more, _) = self.block(*handler, Some(catch), 0, times, false);
                self.scopes.pop();
                ends.push(catch);
                ends.extend(more);
            }
            StatementKind::Call(_) | StatementKind::Let { .. } | StatementKind::Return(_) => {}
        }
        let inside = self.graph.nodes[open as usize].inside;
        let close = self.node(GraphKind::Close(open, rounds), line, inside, times, usual);
        for end in ends {
            self.edge(end, close, Because::Part);
        }
        // Children of a PARALLEL hand their names on before the others are done.
        let scope = self.top();
        for slot in &statement.binds {
            if let Some(&holder) = names.get(slot) {
                scope.names.insert(*slot, holder);
            }
        }
        close
    }

    fn written(&self, writers: &Writers) -> Vec<ResourcePath> {
        match writers {
            Writers::Everything => vec![ResourcePath::everything()],
            Writers::Steps(steps) => steps
                .iter()
                .flat_map(|&step| {
                    self.plan.step(step).written(
                        &|operand| known(self.plan, self.inputs, operand),
                        &ResourcePath::parse,
                    )
                })
                .collect(),
        }
    }
}

/// The value of an operand, where literals and the program's inputs tell it.
pub(crate) fn known(
    plan: &Plan,
    inputs: &HashMap<Slot, Value>,
    operand: &Operand,
) -> Option<Value> {
    let lookup = |name: &str| inputs.get(&plan.names.slot(name)?).cloned();
    match operand {
        // An expression may take long, which the run bounds and an explanation should not spend.
        Operand::Expression(_) => None,
        Operand::Template(pieces)
            if pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Value(Operand::Expression(_)))) =>
        {
            None
        }
        _ => operand.resolve(&lookup).ok(),
    }
}

/// How the rounds of a loop lie to each other.
fn lie(statement: &Statement, each: &Loop, items: Option<&Value>) -> Rounds {
    let known = items.and_then(Value::as_array).map(Vec::len);
    let writes = statement.writers != Writers::none();
    let overlap = if each.parallel {
        Overlap::UpTo(each.limit.unwrap_or(AHEAD))
    } else if statement.may_return {
        Overlap::None
    } else if writes {
        Overlap::UntilTheyWrite
    } else {
        Overlap::UpTo(AHEAD)
    };
    Rounds {
        count: known.unwrap_or(ASSUMED_ROUNDS),
        known: known.is_some(),
        overlap,
    }
}
