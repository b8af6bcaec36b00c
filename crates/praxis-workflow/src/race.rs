//! Steps without an order that write the same resource.
//!
//! `PARALLEL` is the author's word that its children have no order, and `PARALLEL FOR` that its
//! rounds have none; where two of them are seen to write one resource, the outcome would be chance.

use crate::effect::{EffectClass, ResourcePath, WriteIndex};
use crate::error::{ErrorKind, Issue};
use crate::plan::{BlockId, Plan, StatementKind, StepIndex};

pub(crate) fn find(plan: &Plan, issues: &mut Vec<Issue>) {
    for statement in plan.blocks.iter().flat_map(|block| &block.statements) {
        match &statement.kind {
            StatementKind::Parallel { children, .. } => among_children(plan, children, issues),
            StatementKind::For(each) if each.parallel => {
                let mut writers = Vec::new();
                known_writes(plan, each.body, &mut writers);
                for (step, path) in writers {
                    let message = format!(
                        "every round of this PARALLEL FOR writes `{}` ({}), and the rounds have no order",
                        path.as_str(),
                        plan.step(step).tool
                    );
                    issues.push(race(plan, step, message));
                }
            }
            _ => {}
        }
    }
}

fn among_children(plan: &Plan, children: &[BlockId], issues: &mut Vec<Issue>) {
    let mut index = WriteIndex::default();
    let mut firsts: Vec<Vec<(StepIndex, ResourcePath)>> = Vec::with_capacity(children.len());
    for (position, &child) in children.iter().enumerate() {
        let mut writes = Vec::new();
        known_writes(plan, child, &mut writes);
        for (step, path) in &writes {
            let Some(before) = index.last_before(path, position as u32) else {
                continue;
            };
            let other = firsts[before as usize]
                .iter()
                .find(|(_, first)| first.overlaps(path));
            let Some((first, _)) = other else { continue };
            let message = format!(
                "`{}` is written here and on line {}, and the children of a PARALLEL have no order",
                path.as_str(),
                plan.step(*first).location.line
            );
            issues.push(race(plan, *step, message));
        }
        for (_, path) in &writes {
            index.record(path, position as u32);
        }
        firsts.push(writes);
    }
}

fn race(plan: &Plan, step: StepIndex, message: String) -> Issue {
    Issue {
        kind: ErrorKind::Race,
        message,
        help: Some("write different resources, or put the steps in a SEQUENCE".to_owned()),
        location: Some(plan.step(step).location),
    }
}

/// The writes below `block` whose resource is known from the source.
fn known_writes(plan: &Plan, block: BlockId, into: &mut Vec<(StepIndex, ResourcePath)>) {
    for statement in &plan.block(block).statements {
        if let StatementKind::Call(index) = statement.kind {
            let step = plan.step(index);
            if step.class == EffectClass::Write {
                let paths = step.written(&|_| None, &ResourcePath::parse).into_iter();
                into.extend(
                    paths
                        .filter(|path| *path != ResourcePath::everything())
                        .map(|path| (index, path)),
                );
            }
        }
        for inner in statement.kind.blocks() {
            known_writes(plan, inner, into);
        }
    }
}
