//! The order of statements: `@after`, its circles, and how far the end is.
//!
//! A block's statements and the order among them are a petgraph graph. `@after` may name a step
//! further down, so statements are put into the first order, by position, that keeps every edge
//! (Kahn 1962, with the smallest position first); where there is none, one whole circle is named.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::error::{ErrorKind, Issue};
use crate::plan::{AfterRef, BlockId, Plan, Slot, Statement, StatementKind, StepIndex, Writers};

/// A sequence of statements (or of a `PARALLEL`'s children) in which positions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scope {
    Block(BlockId),
    /// The children of the `PARALLEL`, or the rounds of the `FOR`, that stands there.
    Group {
        block: BlockId,
        position: u32,
    },
}

/// A position in a scope. A step's path goes from the program down to the step itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) scope: Scope,
    pub(crate) position: u32,
}

impl Place {
    /// The scope of what stands inside of the statement at this place.
    pub(crate) fn group(self) -> Scope {
        match self.scope {
            Scope::Block(block) => Scope::Group {
                block,
                position: self.position,
            },
            Scope::Group { .. } => unreachable!("only a block's statement has a group of its own"),
        }
    }
}

/// Where a step stands and which ids it waits for.
#[derive(Debug)]
pub(crate) struct After {
    pub(crate) ids: Vec<String>,
    pub(crate) path: Box<[Place]>,
}

/// One `@after`, brought to the scope that both steps share.
struct Wait {
    waiting: u32,
    awaited: u32,
    step: StepIndex,
    target: StepIndex,
}

/// Notes on each statement which others it waits for, and puts the statements in an order that
/// fulfils it.
pub(crate) fn arrange(plan: &mut Plan, afters: &[After], issues: &mut Vec<Issue>) {
    let ids: HashMap<&str, StepIndex> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| (&*step.id, index as StepIndex))
        .collect();
    let mut waits: BTreeMap<Scope, Vec<Wait>> = BTreeMap::new();
    for (step, after) in afters.iter().enumerate() {
        let step = step as StepIndex;
        for id in &after.ids {
            match ids.get(id.as_str()) {
                None => issues.push(refuse(
                    plan,
                    step,
                    format!("`@after={id}`: there is no step with that id"),
                )),
                Some(&target) if target == step => {
                    let message = format!("step `{id}` waits for itself");
                    issues.push(Issue {
                        kind: ErrorKind::Cycle,
                        help: Some("take its `@after` away, or name another step".to_owned()),
                        ..refuse(plan, step, message)
                    });
                }
                Some(&target) => match shared(&after.path, &afters[target as usize].path) {
                    Some((scope, waiting, awaited)) => {
                        waits.entry(scope).or_default().push(Wait {
                            waiting,
                            awaited,
                            step,
                            target,
                        });
                    }
                    None => {
                        let message = format!(
                            "`@after={id}`: that step stands in another branch, so both never run"
                        );
                        issues.push(refuse(plan, step, message));
                    }
                },
            }
        }
    }
    let places: Vec<&[Place]> = afters.iter().map(|after| &*after.path).collect();
    let mut moved: HashMap<Scope, Vec<u32>> = HashMap::new();
    for (scope, waits) in &waits {
        let edges = edges(plan, *scope, waits);
        let count = size(plan, *scope);
        match sorted(count, &edges) {
            Some(order) => {
                let mut new = vec![0; count];
                for (to, &from) in order.iter().enumerate() {
                    new[from as usize] = to as u32;
                }
                moved.insert(*scope, new);
            }
            None => issues.push(circle(plan, *scope, &edges, waits)),
        }
    }
    if !issues.is_empty() {
        return;
    }
    for (scope, waits) in &waits {
        let new = &moved[scope];
        for wait in waits {
            let path = places[wait.step as usize];
            let depth = path
                .iter()
                .position(|place| place.scope == *scope)
                .expect("the scope is on the step's path");
            let after = AfterRef {
                levels: (path.len() - 1 - depth) as u32,
                position: new[wait.awaited as usize],
            };
            let own = path.last().expect("a step has a place");
            let Scope::Block(block) = own.scope else {
                unreachable!("a step stands in a block")
            };
            plan.blocks[block as usize].statements[own.position as usize]
                .after
                .push(after);
        }
    }
    // Inner scopes are found by the positions from before, so they move first.
    for (scope, new) in moved
        .iter()
        .filter(|(scope, _)| matches!(scope, Scope::Group { .. }))
    {
        let Scope::Group { block, position } = *scope else {
            continue;
        };
        let statement = &mut plan.blocks[block as usize].statements[position as usize];
        if let StatementKind::Parallel { children, .. } = &mut statement.kind {
            *children = permuted(std::mem::take(children), new);
        }
    }
    for (scope, new) in &moved {
        if let Scope::Block(block) = *scope {
            let statements = &mut plan.blocks[block as usize].statements;
            *statements = permuted(std::mem::take(statements), new);
        }
    }
}

/// The innermost scope that holds both, and the positions of the two in it.
fn shared(step: &[Place], target: &[Place]) -> Option<(Scope, u32, u32)> {
    for (own, other) in step.iter().zip(target) {
        if own.scope != other.scope {
            return None;
        }
        if own.position != other.position {
            return Some((own.scope, own.position, other.position));
        }
    }
    None
}

fn refuse(plan: &Plan, step: StepIndex, message: String) -> Issue {
    Issue {
        kind: ErrorKind::After,
        message,
        help: None,
        location: Some(plan.step(step).location),
    }
}

fn size(plan: &Plan, scope: Scope) -> usize {
    match scope {
        Scope::Block(block) => plan.block(block).statements.len(),
        Scope::Group { block, position } => {
            match &plan.block(block).statements[position as usize].kind {
                StatementKind::Parallel { children, .. } => children.len(),
                _ => 1,
            }
        }
    }
}

/// Why one statement comes before another.
#[derive(Debug, Clone, PartialEq)]
enum Because {
    After { step: StepIndex, target: StepIndex },
    Uses(Slot),
    Returns,
}

fn edges(plan: &Plan, scope: Scope, waits: &[Wait]) -> Vec<(u32, u32, Because)> {
    let mut edges: Vec<(u32, u32, Because)> = waits
        .iter()
        .map(|wait| {
            (
                wait.awaited,
                wait.waiting,
                Because::After {
                    step: wait.step,
                    target: wait.target,
                },
            )
        })
        .collect();
    let Scope::Block(block) = scope else {
        return edges;
    };
    let statements = &plan.block(block).statements;
    let mut binder: HashMap<Slot, u32> = HashMap::new();
    for (position, statement) in statements.iter().enumerate() {
        for slot in &statement.binds {
            binder.insert(*slot, position as u32);
        }
    }
    let mut last_return = None;
    for (position, statement) in statements.iter().enumerate() {
        let position = position as u32;
        let mut slots = Vec::new();
        all_needs(plan, statement, &mut slots);
        for slot in slots {
            if let Some(&from) = binder.get(&slot).filter(|&&from| from != position) {
                edges.push((from, position, Because::Uses(slot)));
            }
        }
        // Nothing moves across a statement that may end the run.
        if statement.may_return {
            let from = last_return.map_or(0, |last: u32| last + 1);
            edges.extend((from..position).map(|before| (before, position, Because::Returns)));
            last_return = Some(position);
        }
        if let Some(last) = last_return.filter(|&last| last != position) {
            edges.push((last, position, Because::Returns));
        }
    }
    edges
}

fn all_needs(plan: &Plan, statement: &Statement, slots: &mut Vec<Slot>) {
    slots.extend(&statement.needs);
    for block in statement.kind.blocks() {
        for inner in &plan.block(block).statements {
            all_needs(plan, inner, slots);
        }
    }
}

fn sorted(count: usize, edges: &[(u32, u32, Because)]) -> Option<Vec<u32>> {
    let mut before = vec![0u32; count];
    let mut behind = vec![Vec::new(); count];
    for (from, to, _) in edges {
        before[*to as usize] += 1;
        behind[*from as usize].push(*to);
    }
    let mut free: BinaryHeap<Reverse<u32>> = (0..count as u32)
        .filter(|&position| before[position as usize] == 0)
        .map(Reverse)
        .collect();
    let mut order = Vec::with_capacity(count);
    while let Some(Reverse(position)) = free.pop() {
        order.push(position);
        for &next in &behind[position as usize] {
            before[next as usize] -= 1;
            if before[next as usize] == 0 {
                free.push(Reverse(next));
            }
        }
    }
    (order.len() == count).then_some(order)
}

fn permuted<T>(items: Vec<T>, new: &[u32]) -> Vec<T> {
    let mut placed: Vec<(u32, T)> = new.iter().copied().zip(items).collect();
    placed.sort_by_key(|(position, _)| *position);
    placed.into_iter().map(|(_, item)| item).collect()
}

/// Names every step of one shortest circle, in the source's terms.
fn circle(plan: &Plan, scope: Scope, edges: &[(u32, u32, Because)], waits: &[Wait]) -> Issue {
    let mut graph: DiGraph<u32, Because> = DiGraph::new();
    let nodes: Vec<NodeIndex> = (0..size(plan, scope) as u32)
        .map(|position| graph.add_node(position))
        .collect();
    for (from, to, because) in edges {
        // An edge of the circle is read as "`to` waits for `from`".
        graph.add_edge(nodes[*to as usize], nodes[*from as usize], because.clone());
    }
    let part = tarjan_scc(&graph)
        .into_iter()
        .find(|part| part.len() > 1)
        .expect("a circle has a component");
    let start = part
        .iter()
        .copied()
        .min_by_key(|node| graph[*node])
        .expect("the component is not empty");
    let walk = shortest_way_round(&graph, start, &part);
    let name = |node: NodeIndex| describe(plan, scope, graph[node], waits);
    let mut message = String::from("steps wait for each other in a circle: ");
    message.push_str(&name(start));
    for (node, because) in walk {
        match because {
            Because::After { .. } => message.push_str(" waits (@after) for "),
            Because::Uses(slot) => {
                message.push_str(&format!(" uses ${} of ", plan.names.text(slot)));
            }
            Because::Returns => message.push_str(" stays behind "),
        }
        message.push_str(&name(node));
    }
    let step = waits
        .iter()
        .find(|wait| part.iter().any(|node| graph[*node] == wait.waiting))
        .map_or(0, |wait| wait.step);
    let help = Some("take one `@after` of the circle away".to_owned());
    Issue {
        kind: ErrorKind::Cycle,
        help,
        ..refuse(plan, step, message)
    }
}

fn shortest_way_round(
    graph: &DiGraph<u32, Because>,
    start: NodeIndex,
    part: &[NodeIndex],
) -> Vec<(NodeIndex, Because)> {
    let mut came_from: HashMap<NodeIndex, (NodeIndex, Because)> = HashMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    'search: while let Some(node) = queue.pop_front() {
        for edge in graph
            .edges(node)
            .filter(|edge| part.contains(&edge.target()))
        {
            if edge.target() == start {
                came_from.insert(start, (node, edge.weight().clone()));
                break 'search;
            }
            if let Entry::Vacant(unseen) = came_from.entry(edge.target()) {
                unseen.insert((node, edge.weight().clone()));
                queue.push_back(edge.target());
            }
        }
    }
    let mut walk = Vec::new();
    let mut node = start;
    while let Some((from, because)) = came_from.get(&node) {
        walk.push((node, because.clone()));
        node = *from;
        if node == start {
            break;
        }
    }
    walk.reverse();
    walk
}

fn describe(plan: &Plan, scope: Scope, position: u32, waits: &[Wait]) -> String {
    let named = waits.iter().find_map(|wait| {
        (wait.waiting == position)
            .then_some(wait.step)
            .or((wait.awaited == position).then_some(wait.target))
    });
    if let Some(step) = named {
        return format!(
            "`{}` (line {})",
            plan.step(step).id,
            plan.step(step).location.line
        );
    }
    match scope {
        Scope::Block(block) => format!(
            "line {}",
            plan.block(block).statements[position as usize]
                .location
                .line
        ),
        Scope::Group { .. } => format!("child {}", position + 1),
    }
}

/// Sets each statement's height in calls.
pub(crate) fn measure(plan: &mut Plan) {
    measure_with(plan, &|_| 1);
}

/// Sets each statement's height: the weight of the calls on the longest way from it to the end of its
/// block, along data and along the order that steps which change the world keep.
pub(crate) fn measure_with(plan: &mut Plan, weight: &dyn Fn(StepIndex) -> u32) {
    for id in (0..plan.blocks.len()).rev() {
        let statements = &plan.blocks[id].statements;
        let mut heights = vec![0u32; statements.len()];
        let mut behinds = vec![0u32; statements.len()];
        let mut needed: HashMap<Slot, u32> = HashMap::new();
        // The height of the next statement that waits for all before it.
        let mut barrier = 0;
        for (position, statement) in statements.iter().enumerate().rev() {
            let behind = statement
                .binds
                .iter()
                .filter_map(|slot| needed.get(slot))
                .max()
                .copied()
                .unwrap_or(0)
                .max(barrier);
            // Blocks are made before their inner ones, so those are measured already.
            let within = statement
                .kind
                .blocks()
                .iter()
                .map(|&block| height_of(plan, block))
                .max()
                .unwrap_or(0);
            let own = match statement.kind {
                StatementKind::Call(step) => weight(step),
                _ => within,
            };
            behinds[position] = behind;
            heights[position] = behind.saturating_add(own);
            if statement.writers != Writers::none() {
                barrier = heights[position];
            }
            let mut slots = Vec::new();
            all_needs(plan, statement, &mut slots);
            for slot in slots {
                let longest = needed.entry(slot).or_default();
                *longest = (*longest).max(heights[position]);
            }
        }
        let measured = heights.into_iter().zip(behinds);
        for (statement, (height, behind)) in plan.blocks[id].statements.iter_mut().zip(measured) {
            (statement.height, statement.behind) = (height, behind);
        }
    }
}

fn height_of(plan: &Plan, block: BlockId) -> u32 {
    plan.block(block)
        .statements
        .iter()
        .map(|statement| statement.height)
        .max()
        .unwrap_or(0)
}
