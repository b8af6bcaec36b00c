//! From a checked program to a [`Plan`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use praxis_dsl::{
    Expression,
    checked::{Call, CheckedProgram, For, Location, Node, NodeKind, OnError, Operand, Parallel},
};

use crate::arguments::Inputs;
use crate::effect::{EffectCatalog, ToolEffects};
use crate::error::Error;
use crate::order::{self, After, Place, Scope};
use crate::pass;
use crate::plan::{
    Block, BlockId, Loop, Names, Plan, PlanInput, Slot, Statement, StatementKind, StepIndex,
    StepSpec, Writers,
};
use crate::race;

/// Lowers `program` to a plan, asking `effects` what each tool does to the world.
///
/// # Errors
///
/// Steps that wait for each other in a circle through `@after`, an `@after` that cannot be
/// fulfilled, and steps without an order that write the same resource; all of them, each with its
/// place.
pub fn lower(program: &CheckedProgram, effects: &dyn EffectCatalog) -> Result<Plan, Error> {
    let mut lowering = Lowering {
        effects,
        known: HashMap::new(),
        plan: Plan::empty(program.name.clone()),
        afters: Vec::new(),
    };
    for input in &program.inputs {
        let slot = lowering.plan.names.intern(&input.name);
        lowering.plan.inputs.push(PlanInput {
            name: input.name.clone(),
            slot,
            default: input.default.clone(),
            location: input.location,
        });
    }
    let root = lowering.reserve();
    lowering.block(root, &program.body, &[]);
    let Lowering {
        mut plan,
        known,
        afters,
        ..
    } = lowering;
    plan.tools = known.len();

    let mut issues = Vec::new();
    if afters.iter().any(|after| !after.ids.is_empty()) {
        order::arrange(&mut plan, &afters, &mut issues);
    }
    race::find(&plan, &mut issues);
    if !issues.is_empty() {
        issues.sort_by_key(|issue| {
            issue
                .location
                .map(|location| (location.line, location.column))
        });
        return Err(Error::from_issues(issues));
    }
    pass::all(&mut plan);
    collect_only_what_is_used(&mut plan);
    order::measure(&mut plan);
    Ok(plan)
}

impl Plan {
    pub(crate) fn empty(name: Option<String>) -> Self {
        Self {
            name,
            inputs: Vec::new(),
            names: Names::default(),
            steps: Vec::new(),
            tools: 0,
            blocks: Vec::new(),
            changes: Vec::new(),
        }
    }
}

struct Lowering<'a> {
    effects: &'a dyn EffectCatalog,
    known: HashMap<String, KnownTool>,
    plan: Plan,
    /// Every step's place and what it waits for, by step index.
    afters: Vec<After>,
}

/// A tool that was called already.
struct KnownTool {
    name: Arc<str>,
    number: u32,
    effects: ToolEffects,
    /// The parameters that the last call gave.
    parameters: Arc<[Box<str>]>,
}

impl Lowering<'_> {
    fn reserve(&mut self) -> BlockId {
        self.plan.blocks.push(Block::default());
        (self.plan.blocks.len() - 1) as BlockId
    }

    fn block(&mut self, id: BlockId, nodes: &[Node], path: &[Place]) {
        let mut statements = Vec::with_capacity(nodes.len());
        self.statements(id, nodes, path, &mut statements);
        let mut seen = HashSet::new();
        let binds = statements
            .iter()
            .flat_map(|statement| &statement.binds)
            .copied();
        let binds = binds.filter(|slot| seen.insert(*slot)).collect();
        self.plan.blocks[id as usize] = Block {
            statements,
            binds,
            never: false,
        };
    }

    fn new_block(&mut self, nodes: &[Node], path: &[Place]) -> BlockId {
        let id = self.reserve();
        self.block(id, nodes, path);
        id
    }

    fn statements(
        &mut self,
        block: BlockId,
        nodes: &[Node],
        path: &[Place],
        into: &mut Vec<Statement>,
    ) {
        for node in nodes {
            if let NodeKind::Sequence(children) = &node.kind {
                self.statements(block, children, path, into);
                continue;
            }
            let mut path = path.to_vec();
            path.push(Place {
                scope: Scope::Block(block),
                position: into.len() as u32,
            });
            let statement = self.statement(node, &path);
            into.push(statement);
        }
    }

    fn statement(&mut self, node: &Node, path: &[Place]) -> Statement {
        let location = node.location;
        match &node.kind {
            NodeKind::Call(call) => self.call(call, location, path),
            NodeKind::Let { name, value } => {
                let needs = self.operand_slots(value);
                let slot = self.plan.names.intern(name);
                let kind = StatementKind::Let {
                    slot,
                    value: value.clone(),
                };
                Statement {
                    needs,
                    binds: vec![slot],
                    ..plain(location, kind)
                }
            }
            NodeKind::Parallel(parallel) => self.parallel(parallel, location, path),
            NodeKind::Sequence(_) => unreachable!("sequences are flattened by `statements`"),
            NodeKind::If {
                branches,
                otherwise,
            } => {
                let mut needs = Vec::new();
                let mut arms = Vec::with_capacity(branches.len());
                for branch in branches {
                    needs.extend(self.expression_slots(&branch.condition));
                    arms.push((
                        branch.condition.clone(),
                        self.new_block(&branch.body, path),
                        branch.location,
                    ));
                }
                let otherwise = self.new_block(otherwise, path);
                let ids: Vec<BlockId> = arms.iter().map(|arm| arm.1).chain([otherwise]).collect();
                let binds = self.bound_in_all(&ids);
                let inner = self.inner(&ids);
                Statement {
                    needs,
                    binds,
                    ..inner.with(
                        location,
                        StatementKind::If {
                            branches: arms,
                            otherwise,
                        },
                    )
                }
            }
            NodeKind::For(each) => self.each(each, location, path),
            NodeKind::Try {
                body,
                error,
                handler,
            } => {
                let body = self.new_block(body, path);
                let error = error.as_deref().map(|name| self.plan.names.intern(name));
                let handler = self.new_block(handler, path);
                let binds = if self
                    .plan
                    .block(handler)
                    .statements
                    .last()
                    .is_some_and(ends_the_run)
                {
                    self.plan.block(body).binds.clone()
                } else {
                    self.bound_in_all(&[body, handler])
                };
                let inner = self.inner(&[body, handler]);
                Statement {
                    binds,
                    ..inner.with(
                        location,
                        StatementKind::Try {
                            body,
                            error,
                            handler,
                        },
                    )
                }
            }
            NodeKind::Return(value) => {
                let needs = value
                    .as_ref()
                    .map(|value| self.operand_slots(value))
                    .unwrap_or_default();
                let statement = plain(location, StatementKind::Return(value.clone()));
                Statement {
                    needs,
                    may_return: true,
                    ..statement
                }
            }
        }
    }

    fn call(&mut self, call: &Call, location: Location, path: &[Place]) -> Statement {
        let number = self.known.len() as u32;
        let tool = self.known.entry(call.tool.clone());
        let tool = tool.or_insert_with(|| KnownTool {
            name: call.tool.as_str().into(),
            number,
            effects: self.effects.effects(&call.tool).unwrap_or_default(),
            parameters: Arc::default(),
        });
        let names = &mut self.plan.names;
        let inputs = Inputs::new(&call.arguments, names, &tool.parameters);
        tool.parameters = Arc::clone(&inputs.names);
        let (name, number, effects) = (Arc::clone(&tool.name), tool.number, tool.effects.clone());
        let mut needs = Vec::new();
        for (_, operand) in &call.arguments {
            needs.extend(self.operand_slots(operand));
        }
        let index = self.plan.steps.len() as StepIndex;
        let bind = call
            .bind
            .as_deref()
            .map(|name| self.plan.names.intern(name));
        self.afters.push(After {
            ids: call.options.after.clone(),
            path: path.into(),
        });
        let writes = effects.class.changes_the_world();
        self.plan.steps.push(StepSpec {
            id: call.id.as_str().into(),
            tool: name,
            tool_number: number,
            location,
            label: call.label.as_deref().map(Arc::from),
            agent: call.agent.as_deref().map(Arc::from),
            engine: call.options.engine.as_deref().map(Arc::from),
            timeout: call.options.timeout,
            retries: call.options.retries.unwrap_or(0),
            cache: call.options.cache,
            arguments: call.arguments.clone(),
            inputs,
            bind,
            class: effects.class,
            reads: effects.reads,
            writes: effects.writes,
            total: effects.total,
            twin: None,
            shared: false,
            unused: false,
        });
        let writers = if writes {
            Writers::Steps(vec![index])
        } else {
            Writers::none()
        };
        let statement = plain(location, StatementKind::Call(index));
        Statement {
            needs,
            binds: bind.into_iter().collect(),
            writers,
            ..statement
        }
    }

    fn parallel(&mut self, parallel: &Parallel, location: Location, path: &[Place]) -> Statement {
        let here = path.last().expect("a statement has a place").group();
        let mut children = Vec::with_capacity(parallel.children.len());
        for (position, child) in parallel.children.iter().enumerate() {
            let mut path = path.to_vec();
            path.push(Place {
                scope: here,
                position: position as u32,
            });
            children.push(self.new_block(std::slice::from_ref(child), &path));
        }
        let binds = if parallel.any {
            Vec::new()
        } else {
            children
                .iter()
                .flat_map(|&child| self.plan.block(child).binds.clone())
                .collect()
        };
        let inner = self.inner(&children);
        let kind = StatementKind::Parallel {
            children,
            limit: parallel.limit,
            fail_fast: parallel.fail_fast,
            any: parallel.any,
        };
        Statement {
            binds,
            ..inner.with(location, kind)
        }
    }

    fn each(&mut self, each: &For, location: Location, path: &[Place]) -> Statement {
        let needs = self.operand_slots(&each.items);
        let variable = self.plan.names.intern(&each.variable);
        let mut inside = path.to_vec();
        inside.push(Place {
            scope: path.last().expect("a statement has a place").group(),
            position: 0,
        });
        let body = self.new_block(&each.body, &inside);
        let collect = self.plan.block(body).binds.clone();
        let inner = self.inner(&[body]);
        let kind = StatementKind::For(Loop {
            variable,
            items: each.items.clone(),
            parallel: each.parallel,
            limit: each.limit,
            goes_on: each.on_error == OnError::Continue,
            body,
            collect: collect.clone(),
        });
        Statement {
            needs,
            binds: collect,
            ..inner.with(location, kind)
        }
    }

    fn bound_in_all(&self, blocks: &[BlockId]) -> Vec<Slot> {
        // A branch that ends the run leaves nothing behind it to see its names.
        let mut going_on = blocks
            .iter()
            .map(|&id| self.plan.block(id))
            .filter(|block| !block.statements.last().is_some_and(ends_the_run));
        let Some(first) = going_on.next() else {
            return Vec::new();
        };
        let mut binds = first.binds.clone();
        for block in going_on {
            let bound: HashSet<Slot> = block.binds.iter().copied().collect();
            binds.retain(|slot| bound.contains(slot));
        }
        binds
    }

    fn inner(&self, blocks: &[BlockId]) -> Inner {
        let (writers, may_return) = effects_within(&self.plan, blocks);
        Inner {
            writers,
            may_return,
        }
    }

    fn operand_slots(&mut self, operand: &Operand) -> Vec<Slot> {
        operand
            .names()
            .map(|name| self.plan.names.intern(name))
            .collect()
    }

    fn expression_slots(&mut self, expression: &Expression) -> Vec<Slot> {
        expression
            .names()
            .iter()
            .map(|name| self.plan.names.intern(name))
            .collect()
    }
}

/// What a statement inherits from the blocks within.
struct Inner {
    writers: Writers,
    may_return: bool,
}

impl Inner {
    fn with(self, location: Location, kind: StatementKind) -> Statement {
        Statement {
            writers: self.writers,
            may_return: self.may_return,
            ..plain(location, kind)
        }
    }
}

/// What blocks may write, and whether they may end the run.
pub(crate) fn effects_within(plan: &Plan, blocks: &[BlockId]) -> (Writers, bool) {
    let (mut writers, mut may_return) = (Writers::none(), false);
    for block in blocks.iter().map(|&id| plan.block(id)) {
        if block.never {
            continue;
        }
        for statement in &block.statements {
            writers.add(&statement.writers);
            may_return |= statement.may_return;
        }
    }
    (writers, may_return)
}

fn plain(location: Location, kind: StatementKind) -> Statement {
    Statement {
        location,
        kind,
        needs: Vec::new(),
        binds: Vec::new(),
        writers: Writers::none(),
        may_return: false,
        after: Vec::new(),
        height: 0,
        behind: 0,
    }
}

fn ends_the_run(statement: &Statement) -> bool {
    matches!(statement.kind, StatementKind::Return(_))
}

/// A loop gathers the lists of those names only that somebody behind it uses.
fn collect_only_what_is_used(plan: &mut Plan) {
    let mut used = vec![0u32; plan.names.len()];
    for block in &plan.blocks {
        for slot in block
            .statements
            .iter()
            .flat_map(|statement| &statement.needs)
        {
            used[*slot as usize] += 1;
        }
    }
    for id in 0..plan.blocks.len() {
        for position in 0..plan.blocks[id].statements.len() {
            let StatementKind::For(each) = &plan.blocks[id].statements[position].kind else {
                continue;
            };
            let mut within = HashMap::new();
            count_uses(plan, each.body, &mut within);
            let outside =
                |slot: &Slot| used[*slot as usize] > within.get(slot).copied().unwrap_or(0);
            let keep: Vec<Slot> = each.collect.iter().copied().filter(outside).collect();
            if let StatementKind::For(each) = &mut plan.blocks[id].statements[position].kind {
                each.collect = keep;
            }
        }
    }
}

fn count_uses(plan: &Plan, block: BlockId, counts: &mut HashMap<Slot, u32>) {
    for statement in &plan.block(block).statements {
        for slot in &statement.needs {
            *counts.entry(*slot).or_default() += 1;
        }
        for inner in statement.kind.blocks() {
            count_uses(plan, inner, counts);
        }
    }
}

impl StatementKind {
    /// The blocks within, in program order.
    pub(crate) fn blocks(&self) -> Vec<BlockId> {
        match self {
            Self::Call(_) | Self::Let { .. } | Self::Return(_) => Vec::new(),
            Self::Parallel { children, .. } => children.clone(),
            Self::If {
                branches,
                otherwise,
            } => branches
                .iter()
                .map(|branch| branch.1)
                .chain([*otherwise])
                .collect(),
            Self::For(each) => vec![each.body],
            Self::Try { body, handler, .. } => vec![*body, *handler],
        }
    }
}
