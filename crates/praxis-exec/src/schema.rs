//! JSON Schema: what a contract says of its arguments beyond their types.

#[cfg(feature = "schema")]
mod message;
#[cfg(feature = "schema")]
mod weight;

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{Error, ErrorKind};

/// How many bytes a schema may take as JSON.
pub const MAX_SCHEMA_BYTES: usize = 256 * 1024;

/// How deeply a schema may nest.
pub const MAX_SCHEMA_DEPTH: usize = 64;

/// How many regular expressions a schema may hold.
pub const MAX_SCHEMA_PATTERNS: usize = 64;

/// The keywords of a parameter that [`ToolContract::bind`](crate::ToolContract::bind) holds by itself,
/// and those that restrict nothing.
const HELD: [&str; 14] = [
    "type",
    "description",
    "title",
    "default",
    "examples",
    "enum",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
    "name",
    "rest",
    "kind",
    "choices",
];

/// The keywords beside a schema's properties that hold by themselves: a call never has other names than declared ones.
const HELD_AT_THE_TOP: [&str; 9] = [
    "type",
    "properties",
    "required",
    "description",
    "title",
    "$schema",
    "$id",
    "additionalProperties",
    "$comment",
];

/// The JSON Schema of a tool's arguments, kept whole and compiled once.
///
/// A clone shares the compiled form.
/// References lead to other parts of the same schema; nothing is ever fetched.
/// Regular expressions are of the linear kind: look-around and back-references are refused.
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

struct Inner {
    value: Value,
    /// Nothing where the parameters hold all that the schema says.
    #[cfg(feature = "schema")]
    compiled: Option<Compiled>,
}

#[cfg(feature = "schema")]
struct Compiled {
    validator: jsonschema::Validator,
    reach: weight::Reach,
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidContract`] where it is no schema of an object; is larger than [`MAX_SCHEMA_BYTES`],
    /// deeper than [`MAX_SCHEMA_DEPTH`] or has more than [`MAX_SCHEMA_PATTERNS`] regular expressions;
    /// refers to what it does not hold; or says more than types, names and choices
    /// in a build without the feature `schema`.
    pub fn new(value: Value) -> Result<Self, Error> {
        bounded(&value)?;
        let Value::Object(entries) = &value else {
            return Err(invalid(format!(
                "a schema of arguments is a JSON object, not {value}"
            )));
        };
        if let Some(kind) = entries.get("type")
            && kind != "object"
        {
            return Err(invalid(format!(
                "a schema of arguments has `type: object`, not {kind}"
            )));
        }
        let needed = says_more(entries);
        #[cfg(feature = "schema")]
        let inner = Inner {
            compiled: needed.then(|| Compiled::of(&value)).transpose()?,
            value,
        };
        #[cfg(not(feature = "schema"))]
        let inner = match needed {
            false => Inner { value },
            true => {
                return Err(invalid(
                    "its JSON Schema restricts arguments, and this build cannot hold them to it",
                )
                .with_help("build praxis-exec with its feature `schema`"));
            }
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The schema as it was written.
    pub fn value(&self) -> &Value {
        &self.0.value
    }

    /// Checks arguments.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArguments`] with the path of the first value that does not fit, the value and the constraint.
    pub fn validate(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        #[cfg(feature = "schema")]
        if let Some(compiled) = &self.0.compiled {
            return compiled.validate(arguments);
        }
        Ok(arguments)
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.0.value == other.0.value
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Schema")
            .field(&self.0.value)
            .finish()
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.value.serialize(to)
    }
}

/// Whether a schema of an object says more than names, types, choices and what is required.
pub(crate) fn says_more(entries: &Map<String, Value>) -> bool {
    let beside = entries.iter().any(|(keyword, value)| {
        let open = keyword == "additionalProperties" && !value.is_boolean();
        open || !HELD_AT_THE_TOP.contains(&keyword.as_str()) && !keyword.starts_with("x-")
    });
    let properties = entries.get("properties").and_then(Value::as_object);
    beside || properties.is_some_and(|properties| properties.values().any(parameter_says_more))
}

/// Whether a parameter's schema says more than its name, type and choices.
pub(crate) fn parameter_says_more(schema: &Value) -> bool {
    match schema {
        Value::Object(entries) => entries
            .iter()
            .any(|(keyword, value)| match keyword.as_str() {
                "type" => !value.is_string(),
                "required" => !value.is_boolean() && !value.is_string(),
                keyword => !HELD.contains(&keyword) && !keyword.starts_with("x-"),
            }),
        other => *other != Value::Bool(true),
    }
}

/// Refuses what would take long to compile, before anything recurses into it.
fn bounded(schema: &Value) -> Result<(), Error> {
    let (mut bytes, mut patterns) = (0, 0);
    let mut open = vec![(1, schema)];
    while let Some((depth, value)) = open.pop() {
        if depth > MAX_SCHEMA_DEPTH {
            return Err(invalid(format!(
                "its JSON Schema nests deeper than {MAX_SCHEMA_DEPTH} levels"
            )));
        }
        bytes += match value {
            Value::String(text) => text.len() + 2,
            Value::Array(items) => {
                open.extend(items.iter().map(|item| (depth + 1, item)));
                items.len() + 2
            }
            Value::Object(entries) => {
                for (key, value) in entries {
                    patterns += match (key.as_str(), value) {
                        ("pattern", _) => 1,
                        ("patternProperties", Value::Object(each)) => each.len(),
                        _ => 0,
                    };
                    bytes += key.len() + 4;
                    open.push((depth + 1, value));
                }
                2
            }
            _ => 8,
        };
        if bytes > MAX_SCHEMA_BYTES {
            return Err(invalid(format!(
                "its JSON Schema takes more than {MAX_SCHEMA_BYTES} bytes"
            )));
        }
        if patterns > MAX_SCHEMA_PATTERNS {
            return Err(invalid(format!(
                "its JSON Schema holds more than {MAX_SCHEMA_PATTERNS} regular expressions"
            )));
        }
    }
    Ok(())
}

#[cfg(feature = "schema")]
impl Compiled {
    fn of(schema: &Value) -> Result<Self, Error> {
        /// How many bytes one compiled regular expression may take.
        const PATTERN_BYTES: usize = 1024 * 1024;

        let reach =
            weight::reach(schema).map_err(|reason| invalid(format!("its JSON Schema {reason}")))?;
        let patterns = jsonschema::PatternOptions::regex()
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES);
        let validator = jsonschema::options()
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(patterns)
            .build(schema)
            .map_err(|error| {
                invalid(message::refusal(&error)).with_help(
                    "a schema refers to nothing outside of it, and its patterns have no look-around and no back-references",
                )
            })?;
        Ok(Self { validator, reach })
    }

    fn validate(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let whole = Value::Object(arguments);
        let depth = depth(&whole);
        let refused = |message: String| Error::new(ErrorKind::InvalidArguments, message);
        if depth > self.reach.checked {
            return Err(refused(format!(
                "the arguments nest {depth} levels deep, and its JSON Schema branches so often that only {} can be checked",
                self.reach.checked
            )));
        }
        if !self.validator.is_valid(&whole) {
            if depth > self.reach.explained {
                return Err(refused(
                    "the arguments do not fit its JSON Schema".to_owned(),
                ));
            }
            if let Err(error) = self.validator.validate(&whole) {
                return Err(refused(message::phrase(&error)));
            }
        }
        match whole {
            Value::Object(arguments) => Ok(arguments),
            _ => Ok(Map::new()),
        }
    }
}

/// How many levels stand in the value.
#[cfg(feature = "schema")]
fn depth(value: &Value) -> usize {
    let mut deepest = 0;
    let mut open = vec![(0, value)];
    while let Some((depth, value)) = open.pop() {
        deepest = deepest.max(depth);
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (depth + 1, item))),
            Value::Object(entries) => open.extend(entries.values().map(|item| (depth + 1, item))),
            _ => {}
        }
    }
    deepest
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidContract, message)
}
