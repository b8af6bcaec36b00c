//! The values of operands at run time, and the names that they need.

use serde_json::Value;

use crate::checked::{Operand, Piece, Reference, Segment};
use crate::diagnostic::shown;
use crate::expression::{EvaluateError, type_name, unbound};

/// The size of a text with `${…}` in it, in bytes.
const MAX_TEXT_BYTES: usize = 64 << 20;

impl Operand {
    /// The names it refers to, in order; one that is used twice comes twice.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (own, pieces) = match self {
            Self::Template(pieces) => (None, pieces.as_slice()),
            other => (Some(other), [].as_slice()),
        };
        let inner = pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(operand) => Some(operand),
        });
        own.into_iter().chain(inner).flat_map(Self::own_names)
    }

    /// The names of an operand that is no template; templates do not nest.
    fn own_names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Reference(reference) => Box::new(std::iter::once(reference.name.as_str())),
            Self::Expression(expression) => Box::new(expression.names().iter().map(String::as_str)),
            Self::Literal(_) | Self::Template(_) => Box::new(std::iter::empty()),
        }
    }

    /// Its value where `lookup` gives the values of the bound names.
    ///
    /// # Errors
    ///
    /// A name without a value, a key or index that is not there (the error says what is), an
    /// expression that fails, or a text of more than 64 MiB.
    pub fn resolve(&self, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Value, EvaluateError> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Reference(reference) => reference.resolve(lookup),
            Self::Expression(expression) => expression.evaluate(lookup),
            Self::Template(pieces) => {
                let mut out = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => out.push_str(text),
                        Piece::Value(operand) => match operand.resolve(lookup)? {
                            Value::String(text) => out.push_str(&text),
                            other => out.push_str(&other.to_string()),
                        },
                    }
                    if out.len() > MAX_TEXT_BYTES {
                        let message = format!("the text has more than {MAX_TEXT_BYTES} bytes");
                        return Err(EvaluateError::new(message));
                    }
                }
                Ok(Value::String(out))
            }
        }
    }
}

impl Reference {
    /// The value it refers to.
    ///
    /// # Errors
    ///
    /// A name without a value, a missing key, an index out of range, or a way into a value
    /// that has no parts.
    pub fn resolve(&self, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Value, EvaluateError> {
        let value = lookup(&self.name).ok_or_else(|| unbound(&self.name))?;
        match self.path.is_empty() {
            true => Ok(value),
            false => self.find(&value).cloned(),
        }
    }

    /// What it refers to within `value`, the value of its name.
    ///
    /// # Errors
    ///
    /// As [`Reference::resolve`].
    pub fn find<'v>(&self, value: &'v Value) -> Result<&'v Value, EvaluateError> {
        let mut value = value;
        for (depth, segment) in self.path.iter().enumerate() {
            let found = match (segment, value) {
                (Segment::Key(key), Value::Object(fields)) => fields.get(key),
                (Segment::Index(index), Value::Array(items)) => {
                    position(*index, items.len()).map(|position| &items[position])
                }
                _ => None,
            };
            value = found.ok_or_else(|| self.astray(depth, value))?;
        }
        Ok(value)
    }

    /// Why the segment at `depth` leads nowhere from `value`.
    fn astray(&self, depth: usize, value: &Value) -> EvaluateError {
        let mut way = format!("${}", self.name);
        for segment in &self.path[..depth] {
            way.push_str(&match segment {
                Segment::Key(key) => format!(".{key}"),
                Segment::Index(index) => format!("[{index}]"),
            });
        }
        match (&self.path[depth], value) {
            (Segment::Key(key), Value::Object(fields)) => missing_key(&way, key, fields.keys()),
            (Segment::Key(key), other) => EvaluateError::new(format!(
                "`{way}` is {} {}, so it has no key `{key}`",
                type_name(other),
                shown(&other.to_string()),
            )),
            (Segment::Index(index), Value::Array(items)) => EvaluateError::new(format!(
                "`{way}` has {} items, and [{index}] is none of them",
                items.len()
            )),
            (Segment::Index(index), other) => EvaluateError::new(format!(
                "`{way}` is {} {}, so it has no [{index}]",
                type_name(other),
                shown(&other.to_string()),
            )),
        }
    }
}

/// The place of a possibly negative index among `length` items.
fn position(index: i64, length: usize) -> Option<usize> {
    let position = if index < 0 {
        length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(index).ok()?
    };
    (position < length).then_some(position)
}

fn missing_key<'k>(way: &str, key: &str, keys: impl Iterator<Item = &'k String>) -> EvaluateError {
    const SHOWN: usize = 12;
    let keys: Vec<_> = keys.map(|key| shown(key)).collect();
    let listed = match keys.len() {
        0 => "it has none".to_owned(),
        count if count > SHOWN => {
            format!(
                "its keys are {} and {} more",
                keys[..SHOWN].join(", "),
                count - SHOWN
            )
        }
        _ => format!("its keys are {}", keys.join(", ")),
    };
    EvaluateError::new(format!("`{way}` has no key `{}`; {listed}", shown(key)))
}
