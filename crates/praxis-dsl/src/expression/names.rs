//! What an expression refers to.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr};

use super::shape;
use crate::suggest::nearest;

/// The functions that expressions have; macros are expanded by the parser.
pub(crate) const FUNCTIONS: [&str; 13] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "bytes",
    "type",
    "dyn",
];

pub(crate) const MACROS: [&str; 6] = ["has", "all", "exists", "exists_one", "map", "filter"];

/// The free names of an expression, in the order of their first use.
///
/// # Errors
///
/// A function or construct that expressions do not have, or an expression deeper than
/// [`shape::MAX_DEPTH`]. The recursion goes no deeper than that.
pub(crate) fn free(expression: &IdedExpr) -> Result<Vec<String>, Refused> {
    let mut walk = Walk::default();
    walk.visit(expression)?;
    Ok(walk.names)
}

/// Why an expression is refused.
pub(crate) enum Refused {
    /// It is wrong in itself.
    Wrong(String),
    /// It is too deep.
    TooDeep,
}

#[derive(Default)]
struct Walk<'e> {
    depth: usize,
    names: Vec<String>,
    bound: Vec<&'e str>,
}

impl<'e> Walk<'e> {
    fn visit(&mut self, expression: &'e IdedExpr) -> Result<(), Refused> {
        self.depth += 1;
        if self.depth > shape::MAX_DEPTH {
            return Err(Refused::TooDeep);
        }
        self.visit_parts(expression)?;
        self.depth -= 1;
        Ok(())
    }

    fn visit_parts(&mut self, expression: &'e IdedExpr) -> Result<(), Refused> {
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                let hidden = name.starts_with('@') || self.bound.contains(&name.as_str());
                if !hidden && !self.names.contains(name) {
                    self.names.push(name.clone());
                }
            }
            Expr::Call(call) => {
                let name = call.func_name.as_str();
                let operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
                if !operator && !FUNCTIONS.contains(&name) {
                    return Err(Refused::Wrong(unknown_function(name)));
                }
                if let Some(target) = &call.target {
                    self.visit(target)?;
                }
                for argument in &call.args {
                    self.visit(argument)?;
                }
            }
            Expr::Comprehension(comprehension) => {
                self.visit(&comprehension.iter_range)?;
                self.visit(&comprehension.accu_init)?;
                let depth = self.bound.len();
                self.bound.push(&comprehension.iter_var);
                self.bound.push(&comprehension.accu_var);
                self.bound.extend(comprehension.iter_var2.as_deref());
                self.visit(&comprehension.loop_cond)?;
                self.visit(&comprehension.loop_step)?;
                self.visit(&comprehension.result)?;
                self.bound.truncate(depth);
            }
            Expr::List(list) => {
                for element in &list.elements {
                    self.visit(element)?;
                }
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    match &entry.expr {
                        EntryExpr::StructField(field) => self.visit(&field.value)?,
                        EntryExpr::MapEntry(entry) => {
                            self.visit(&entry.key)?;
                            self.visit(&entry.value)?;
                        }
                    }
                }
            }
            Expr::Select(select) => self.visit(&select.operand)?,
            Expr::Struct(value) => {
                let message = format!("`{}{{…}}` is not a value here", value.type_name);
                return Err(Refused::Wrong(message));
            }
        }
        Ok(())
    }
}

fn unknown_function(name: &str) -> String {
    let known = FUNCTIONS.into_iter().chain(MACROS);
    if MACROS.contains(&name) {
        return format!("the arguments of `{name}` are not as they should be");
    }
    match nearest(name, known) {
        Some(meant) => format!("unknown function `{name}`; did you mean `{}`?", meant.word),
        None => format!(
            "unknown function `{name}`; there are {}",
            FUNCTIONS.join(", ")
        ),
    }
}
