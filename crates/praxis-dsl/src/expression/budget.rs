//! What an evaluation may cost, so that no program can hold up its run or exhaust the memory.
//!
//! The interpreter has no limits of its own, so the range of every comprehension is passed through
//! a function that counts rounds before the first of them runs. The same function puts the keys of
//! a map in order, since the interpreter's maps have none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::ast::{CallExpr, EntryExpr, Expr};
use cel::objects::Key;
use cel::{Context, ExecutionError, IdedExpr};

/// No source can name it: `@` begins no identifier.
pub(crate) const RANGE: &str = "@range";
/// How many rounds the comprehensions of one evaluation may take together.
pub(crate) const MAX_ROUNDS: u64 = 1_000_000;
/// This many bytes that a round may touch count as another round.
const BYTES_PER_ROUND: u64 = 256;
/// How many bytes of values may be put into one evaluation, each as often as it is named.
pub(crate) const MAX_INPUT_BYTES: u64 = 128 << 20;

/// How often an expression names its names.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// Once for each place outside of comprehensions' bodies.
    outside: Vec<String>,
    /// Once for each place inside.
    inside: Vec<String>,
    loops: bool,
}

impl Uses {
    /// Refuses values that are too large for the expression.
    pub(crate) fn admit(&self, weight: &dyn Fn(&str) -> u64) -> Result<(), String> {
        let bytes: u64 = self
            .outside
            .iter()
            .chain(&self.inside)
            .map(|name| weight(name))
            .sum();
        if bytes > MAX_INPUT_BYTES {
            return Err(format!(
                "its values have {bytes} bytes, and at most {MAX_INPUT_BYTES} are worked on"
            ));
        }
        Ok(())
    }

    /// Gives the context the function that counts rounds.
    pub(crate) fn count(&self, context: &mut Context<'_, '_>, weight: &dyn Fn(&str) -> u64) {
        if !self.loops {
            return;
        }
        let touched: u64 = self.inside.iter().map(|name| weight(name)).sum();
        let each = 1 + touched / BYTES_PER_ROUND;
        let spent = Arc::new(AtomicU64::new(0));
        let counted = context.add_function(RANGE, move |range: cel::Value| {
            range_of(range, each, &spent)
        });
        counted.expect("the standard library declares no name that begins with `@`");
    }
}

fn range_of(range: cel::Value, each: u64, spent: &AtomicU64) -> Result<cel::Value, ExecutionError> {
    let range = match range {
        cel::Value::Map(map) => {
            let mut keys: Vec<Key> = map.map.keys().cloned().collect();
            keys.sort();
            cel::Value::List(Arc::new(keys.into_iter().map(value_of).collect()))
        }
        other => other,
    };
    if let cel::Value::List(items) = &range {
        let cost = each.saturating_mul(items.len() as u64);
        if spent
            .fetch_add(cost, Ordering::Relaxed)
            .saturating_add(cost)
            > MAX_ROUNDS
        {
            let message = format!("its comprehensions take more than {MAX_ROUNDS} rounds");
            return Err(ExecutionError::function_error(RANGE, message));
        }
    }
    Ok(range)
}

fn value_of(key: Key) -> cel::Value {
    match key {
        Key::Int(value) => cel::Value::Int(value),
        Key::Uint(value) => cel::Value::UInt(value),
        Key::Bool(value) => cel::Value::Bool(value),
        Key::String(text) => cel::Value::String(text),
    }
}

/// Makes every comprehension count its rounds; says how often the expression names its names.
///
/// The recursion goes no deeper than `shape::MAX_DEPTH`, which the expression was held to.
pub(crate) fn guard(expression: &mut IdedExpr) -> Uses {
    let mut uses = Uses::default();
    walk(expression, false, &mut uses);
    uses
}

fn walk(expression: &mut IdedExpr, inside: bool, uses: &mut Uses) {
    match &mut expression.expr {
        Expr::Ident(name) => {
            let list = if inside {
                &mut uses.inside
            } else {
                &mut uses.outside
            };
            list.push(name.clone());
        }
        Expr::Call(call) => {
            for part in call.target.as_deref_mut().into_iter().chain(&mut call.args) {
                walk(part, inside, uses);
            }
        }
        Expr::Comprehension(comprehension) => {
            uses.loops = true;
            walk(&mut comprehension.iter_range, inside, uses);
            walk(&mut comprehension.accu_init, inside, uses);
            walk(&mut comprehension.loop_cond, true, uses);
            walk(&mut comprehension.loop_step, true, uses);
            walk(&mut comprehension.result, inside, uses);
            let range = std::mem::take(&mut comprehension.iter_range);
            let id = range.id;
            let call = CallExpr {
                func_name: RANGE.to_owned(),
                target: None,
                args: vec![range],
            };
            comprehension.iter_range = IdedExpr {
                id,
                expr: Expr::Call(call),
            };
        }
        Expr::List(list) => list
            .elements
            .iter_mut()
            .for_each(|element| walk(element, inside, uses)),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                match &mut entry.expr {
                    EntryExpr::StructField(field) => walk(&mut field.value, inside, uses),
                    EntryExpr::MapEntry(entry) => {
                        walk(&mut entry.key, inside, uses);
                        walk(&mut entry.value, inside, uses);
                    }
                }
            }
        }
        Expr::Select(select) => walk(&mut select.operand, inside, uses),
        Expr::Unspecified | Expr::Literal(_) | Expr::Struct(_) => {}
    }
}
