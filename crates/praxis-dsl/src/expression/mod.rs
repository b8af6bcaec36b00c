//! Conditions and interpolations: CEL expressions over the bound names.

mod budget;
mod convert;
pub(crate) mod kinds;
mod names;
mod occurrences;
pub(crate) mod shape;

use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::parser::PrattParser;
use cel::{Context, Env, ExecutionError, IdedExpr, ParseErrors};
use serde_json::Value;

use self::budget::Uses;
use self::names::Refused;
pub(crate) use self::names::{FUNCTIONS, MACROS};
pub(crate) use self::occurrences::occurrences;
use crate::diagnostic::shown;
use crate::steps;

/// The language that every expression is compiled and run in.
static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// The size of a result as JSON in bytes.
const MAX_RESULT_BYTES: usize = 64 << 20;

/// A compiled CEL expression; a clone is cheap.
#[derive(Clone)]
pub struct Expression {
    inner: Arc<Inner>,
}

struct Inner {
    source: String,
    tree: IdedExpr,
    names: Vec<String>,
    uses: Uses,
}

/// Why an expression does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// What is wrong: a lowercase fragment.
    pub message: String,
    /// The byte in the source where the parser stopped, if it said so.
    pub offset: Option<usize>,
    /// It is right in itself but beyond a limit.
    pub too_complex: bool,
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExpressionError {}

/// Why a value could not be had at run time; the text names the value and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluateError {
    message: String,
}

impl EvaluateError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl fmt::Display for EvaluateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EvaluateError {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression")
            .field(&self.inner.source)
            .finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.inner.source == other.inner.source
    }
}

impl Expression {
    /// Compiles `source`; a name may be written `$name`.
    ///
    /// # Errors
    ///
    /// Text that is no expression, an unknown function, or one beyond the limits: 4096 bytes,
    /// 32 operations or brackets inside each other, 256 operators, 4 comprehensions of which 2 nest.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        let refused = |message, offset, too_complex| ExpressionError {
            message,
            offset,
            too_complex,
        };
        shape::check(source)
            .map_err(|limit| refused(format!("the expression is {limit}"), None, true))?;
        if source.trim().is_empty() {
            return Err(refused("the expression is empty".to_owned(), None, false));
        }
        steps::add(source.len());
        let text = shape::without_dollars(source);
        // The other parser of the crate needs some hundred KiB of stack for each bracket.
        let mut tree = PrattParser::new()
            .max_recursion_depth(u16::MAX)
            .parse(&text)
            .map_err(|errors| parse_error(source, &errors))?;
        let names = names::free(&tree).map_err(|error| match error {
            Refused::Wrong(message) => refused(message, None, false),
            Refused::TooDeep => {
                let most = shape::MAX_DEPTH;
                refused(
                    format!("the expression is more than {most} operations deep"),
                    None,
                    true,
                )
            }
        })?;
        let uses = budget::guard(&mut tree);
        let source = source.to_owned();
        Ok(Self {
            inner: Arc::new(Inner {
                source,
                tree,
                names,
                uses,
            }),
        })
    }

    /// The source that was compiled.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// The names it refers to, each once, in the order of their first use; neither functions
    /// nor the names that its own comprehensions bind.
    pub fn names(&self) -> &[String] {
        &self.inner.names
    }

    /// Its value where `lookup` gives the values of [`Expression::names`].
    ///
    /// # Errors
    ///
    /// A name without a value, operands of types that do not go together, a missing key, an
    /// index out of range, a result that JSON cannot hold or of more than 64 MiB, values of more
    /// than 128 MiB each counted as often as it is named, or comprehensions of more than a million
    /// rounds (a round over large values counts as several).
    pub fn evaluate(&self, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Value, EvaluateError> {
        let Inner {
            source,
            tree,
            names,
            uses,
        } = &*self.inner;
        let failed =
            |message: String| EvaluateError::new(format!("`{}`: {message}", shown(source)));
        let mut values = Vec::with_capacity(names.len());
        for name in names {
            let value = lookup(name).ok_or_else(|| unbound(name))?;
            values.push((name.as_str(), weight(&value) as u64, value));
        }
        let weight_of = |name: &str| {
            let found = values.iter().find(|(known, ..)| *known == name);
            found.map_or(0, |(_, weight, _)| *weight)
        };
        uses.admit(&weight_of).map_err(failed)?;
        let mut context = Context::with_env(Arc::clone(&LANGUAGE));
        uses.count(&mut context, &weight_of);
        for (name, _, value) in &values {
            context.add_variable_from_value(*name, convert::to_cel(value));
        }
        let value = cel::Value::resolve(tree, &context).map_err(|error| failed(explain(&error)))?;
        let json = convert::to_json(&value).map_err(failed)?;
        if weight(&json) > MAX_RESULT_BYTES {
            return Err(failed(format!(
                "the result has more than {MAX_RESULT_BYTES} bytes"
            )));
        }
        Ok(json)
    }

    /// Whether it holds where `lookup` gives the values of [`Expression::names`].
    ///
    /// # Errors
    ///
    /// As [`Expression::evaluate`], and a value that is neither true nor false.
    pub fn condition(&self, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<bool, EvaluateError> {
        match self.evaluate(lookup)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(EvaluateError::new(format!(
                "the condition `{}` is {} {}, not true or false",
                shown(&self.inner.source),
                type_name(&other),
                shown(&other.to_string()),
            ))),
        }
    }
}

pub(crate) fn unbound(name: &str) -> EvaluateError {
    EvaluateError::new(format!("`{name}` has no value"))
}

/// What people call the type of a value.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "the boolean",
        Value::Number(number) if number.is_f64() => "the number",
        Value::Number(_) => "the integer",
        Value::String(_) => "the text",
        Value::Array(_) => "the array",
        Value::Object(_) => "the object",
    }
}

fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields
                .iter()
                .map(|(key, value)| key.len() + 4 + weight(value))
                .sum::<usize>()
                + 2
        }
        _ => 4,
    }
}

fn parse_error(source: &str, errors: &ParseErrors) -> ExpressionError {
    let Some(error) = errors.errors.first() else {
        let message = "the expression does not compile".to_owned();
        return ExpressionError {
            message,
            offset: None,
            too_complex: false,
        };
    };
    let message = error.msg.trim_start_matches("Syntax error: ");
    let message = message.split(" expecting").next().unwrap_or(message);
    let message = message
        .replace("'<EOF>'", "end")
        .replace("mismatched input", "unexpected");
    // The column counts bytes, from 1.
    let mut offset = usize::try_from(error.pos.1)
        .unwrap_or(0)
        .saturating_sub(1)
        .min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    ExpressionError {
        message: shown(&message.replace("extraneous input", "unexpected")),
        offset: Some(offset),
        too_complex: false,
    }
}

fn explain(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no key `{}`", shown(key)),
        ExecutionError::FunctionError { function, message } if function == budget::RANGE => {
            message.clone()
        }
        ExecutionError::UndeclaredReference(name) => format!("`{}` is not known", shown(name)),
        ExecutionError::NoSuchOverload(overload) => {
            let name = overload.function().trim_matches('_');
            let types = overload.argument_types().join(" and ");
            format!(
                "`{}` does not go with {types}",
                if name == "[" { "[]" } else { name }
            )
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            let (left, right) = (left.type_of(), right.type_of());
            format!("`{operator}` does not go with {left} and {right}")
        }
        ExecutionError::IndexOutOfBounds(index) => match convert::to_json(index) {
            Ok(index) => format!("the index {index} is out of range"),
            Err(_) => "an index is out of range".to_owned(),
        },
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "remainder by zero".to_owned(),
        ExecutionError::Overflow(..) => "a number leaves the range of integers".to_owned(),
        other => shown(&other.to_string()),
    }
}
