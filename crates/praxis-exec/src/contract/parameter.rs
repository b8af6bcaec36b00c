use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// One parameter of a tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The type of its argument.
    pub kind: ParameterKind,
    /// Whether a call without it is refused.
    pub required: bool,
    /// Whether it takes the remaining positional words, joined by one blank.
    /// Parameters declared after it are filled by name only.
    pub rest: bool,
    /// Its argument where the call has none.
    pub default: Option<Value>,
    /// The arguments that are accepted; empty accepts every one of the type.
    pub choices: Vec<Value>,
    /// What it means, for people and planners.
    pub description: String,
}

impl Parameter {
    /// An optional parameter.
    pub fn new(name: impl Into<String>, kind: ParameterKind) -> Self {
        Self {
            name: name.into(),
            kind,
            required: false,
            rest: false,
            default: None,
            choices: Vec::new(),
            description: String::new(),
        }
    }

    /// A required text parameter.
    pub fn text(name: impl Into<String>) -> Self {
        Self::new(name, ParameterKind::Text).required()
    }

    /// Makes it required.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Makes it optional with this argument by default.
    #[must_use]
    pub fn or(mut self, default: impl Into<Value>) -> Self {
        self.required = false;
        self.default = Some(default.into());
        self
    }

    /// Makes it take the remaining words.
    #[must_use]
    pub fn rest(mut self) -> Self {
        self.rest = true;
        self
    }

    /// Accepts only these arguments.
    #[must_use]
    pub fn one_of<V: Into<Value>>(mut self, choices: impl IntoIterator<Item = V>) -> Self {
        self.choices = choices.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the description.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A JSON array.
    Array,
    /// A JSON object.
    Object,
    /// Any JSON value.
    Any,
}

impl fmt::Display for ParameterKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
            Self::Any => "any",
        })
    }
}
