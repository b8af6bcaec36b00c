//! Conditions and lists that are known without running.
//!
//! A condition over literals, and over names that are bound to literals, decides its branch; a `FOR`
//! over an empty list has no round. What is never run writes nothing and ends nothing, so what
//! stands behind no longer waits for it.

use std::collections::HashMap;

use praxis_dsl::Expression;
use praxis_dsl::checked::Operand;
use serde_json::Value;

use crate::lower::effects_within;
use crate::plan::{BlockId, Plan, Slot, StatementKind};

use super::{Change, PassName};

/// Longer conditions are left to the run, as are those with the words below.
const LONGEST: usize = 256;
/// Macros over lists can take a while, which the run bounds and a lowering should not spend.
const COSTLY: [&str; 4] = ["all", "exists", "map", "filter"];
/// Larger values are not looked into.
const LARGEST: usize = 4096;

pub(super) fn decide(plan: &mut Plan) {
    let mut constants = HashMap::new();
    find_constants(plan, &mut constants);
    let mut decided = Vec::new();
    for (id, block) in plan.blocks.iter().enumerate() {
        for (position, statement) in block.statements.iter().enumerate() {
            let never = match &statement.kind {
                StatementKind::If {
                    branches,
                    otherwise,
                } => untaken(plan, &constants, branches, *otherwise),
                StatementKind::For(each) => match &each.items {
                    Operand::Literal(Value::Array(items)) if items.is_empty() => {
                        let text = format!(
                            "the list of this FOR is empty, so none of its steps run (${} never has a value)",
                            plan.names.text(each.variable)
                        );
                        Some((vec![each.body], text))
                    }
                    _ => None,
                },
                _ => None,
            };
            if let Some((blocks, text)) = never {
                decided.push((id, position, blocks, text));
            }
        }
    }
    for (id, position, blocks, text) in &decided {
        for &block in blocks {
            never_run(plan, block);
        }
        let line = plan.blocks[*id].statements[*position].location.line;
        plan.changes.push(Change {
            pass: PassName::Constant,
            line,
            text: text.clone(),
        });
    }
    if !decided.is_empty() {
        summarise_again(plan);
    }
}

/// Names that are bound to a literal, directly or by way of another such name.
///
/// A name is bound once on every way through the program; where two branches bind one name, their
/// values differ, and it counts as unknown.
fn find_constants(plan: &Plan, constants: &mut HashMap<Slot, Value>) {
    let mut binders: HashMap<Slot, u32> = HashMap::new();
    for statement in plan.blocks.iter().flat_map(|block| &block.statements) {
        let own = match &statement.kind {
            StatementKind::For(each) => Some(each.variable),
            StatementKind::Try { error, .. } => *error,
            _ => None,
        };
        for slot in statement.binds.iter().copied().chain(own) {
            *binders.entry(slot).or_default() += 1;
        }
    }
    // A block bound to a name counts too, so a name of the program's own level counts once.
    for statement in plan.blocks.iter().flat_map(|block| &block.statements) {
        let StatementKind::Let { slot, value } = &statement.kind else {
            continue;
        };
        let literal = match value {
            Operand::Literal(value) if small(value) => Some(value.clone()),
            Operand::Reference(reference) => {
                let lookup = |name: &str| constant(plan, constants, name);
                reference.resolve(&lookup).ok()
            }
            _ => None,
        };
        if let Some(literal) = literal
            && binders.get(slot) == Some(&1)
        {
            constants.insert(*slot, literal);
        }
    }
}

fn small(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= LARGEST,
        Value::Array(items) => items.is_empty(),
        Value::Object(_) => false,
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

fn constant(plan: &Plan, constants: &HashMap<Slot, Value>, name: &str) -> Option<Value> {
    constants.get(&plan.names.slot(name)?).cloned()
}

/// The blocks of an `IF` that no run takes, and why.
fn untaken(
    plan: &Plan,
    constants: &HashMap<Slot, Value>,
    branches: &[(Expression, BlockId, praxis_dsl::checked::Location)],
    otherwise: BlockId,
) -> Option<(Vec<BlockId>, String)> {
    let mut never = Vec::new();
    for (index, (condition, block, location)) in branches.iter().enumerate() {
        let source = condition.source();
        let known = source.len() <= LONGEST
            && !COSTLY.iter().any(|word| source.contains(word))
            && condition
                .names()
                .iter()
                .all(|name| constant(plan, constants, name).is_some());
        let lookup = |name: &str| constant(plan, constants, name);
        match known.then(|| condition.condition(&lookup)) {
            Some(Ok(false)) => never.push(*block),
            Some(Ok(true)) => {
                never.extend(branches[index + 1..].iter().map(|branch| branch.1));
                never.push(otherwise);
                let text = format!(
                    "the condition on line {} always holds: `{source}`",
                    location.line
                );
                return Some((never, text));
            }
            _ => break,
        }
    }
    let count = never.len();
    (count > 0).then(|| {
        let sources: Vec<&str> = branches[..count]
            .iter()
            .map(|branch| branch.0.source())
            .collect();
        (never, format!("never holds: `{}`", sources.join("`, `")))
    })
}

fn never_run(plan: &mut Plan, block: BlockId) {
    let mut open = vec![block];
    while let Some(id) = open.pop() {
        let block = &mut plan.blocks[id as usize];
        block.never = true;
        open.extend(
            block
                .statements
                .iter()
                .flat_map(|statement| statement.kind.blocks()),
        );
    }
}

/// What blocks write and whether they may end the run, without what is never run.
fn summarise_again(plan: &mut Plan) {
    // Blocks are made before their inner ones.
    for id in (0..plan.blocks.len()).rev() {
        for position in 0..plan.blocks[id].statements.len() {
            let inner = plan.blocks[id].statements[position].kind.blocks();
            if inner.is_empty() {
                continue;
            }
            let (writers, may_return) = effects_within(plan, &inner);
            let statement = &mut plan.blocks[id].statements[position];
            statement.writers = writers;
            statement.may_return = may_return;
        }
    }
}
