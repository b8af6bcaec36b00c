//! Pure steps that cannot fail and whose result nobody uses.
//!
//! Whether a call cannot fail also depends on its arguments, so the run asks
//! [`crate::StepExecutor::cannot_fail`] once they are known, and runs the step where the answer is no.

use crate::effect::EffectClass;
use crate::plan::{Plan, StatementKind};

use super::{Change, PassName};

pub(super) fn find(plan: &mut Plan) {
    let mut used = vec![false; plan.names.len()];
    for block in plan.blocks.iter().filter(|block| !block.never) {
        for statement in &block.statements {
            for slot in &statement.needs {
                used[*slot as usize] = true;
            }
        }
    }
    let mut unused = Vec::new();
    for block in plan.blocks.iter().filter(|block| !block.never) {
        for statement in &block.statements {
            let StatementKind::Call(index) = statement.kind else {
                continue;
            };
            let step = plan.step(index);
            let needless = step.bind.is_none_or(|slot| !used[slot as usize]);
            if step.class == EffectClass::Pure
                && step.total
                && step.twin.is_none()
                && !step.shared
                && needless
            {
                unused.push(index);
            }
        }
    }
    for index in unused {
        let step = &mut plan.steps[index as usize];
        step.unused = true;
        let line = step.location.line;
        let text = format!(
            "`{}` is not run: nobody uses its result, and {} is pure and cannot fail",
            step.id, step.tool
        );
        plan.changes.push(Change {
            pass: PassName::Unused,
            line,
            text,
        });
    }
    plan.changes
        .sort_by_key(|change| (change.pass as u8, change.line));
}
