//! What tools there are: the port through which the checker asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The tools that a program may call.
///
/// An implementor answers the same for the same name as long as a check runs, and lists in
/// [`names`](Self::names) each name that [`tool`](Self::tool) knows; the names are only asked
/// for to suggest one that was meant.
pub trait ToolCatalog {
    /// The tool with exactly that name.
    fn tool(&self, name: &str) -> Option<&ToolSignature>;

    /// The names of all tools.
    fn names(&self) -> Vec<&str>;
}

/// A tool as the checker sees it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ToolSignature {
    /// The name after `CALL`.
    pub name: String,
    /// What it does, for people and models.
    #[serde(default)]
    pub description: String,
    /// The parameters in their declared order, which positional arguments follow.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// It also takes parameters that are not declared.
    #[serde(default)]
    pub open: bool,
    /// What kind of value it gives, without exception.
    #[serde(default)]
    pub output: ParameterKind,
}

/// A parameter of a tool.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Parameter {
    /// The name after `--`.
    pub name: String,
    /// What values it takes.
    #[serde(default)]
    pub kind: ParameterKind,
    /// A call without it is an error, unless it has a default.
    #[serde(default)]
    pub required: bool,
    /// As a positional argument it takes the remaining words, joined by a blank; for the last
    /// parameter, a text.
    #[serde(default)]
    pub rest: bool,
    /// The value that the tool uses when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The only values that it takes, if they are few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<Value>>,
    /// What it means, for people and models.
    #[serde(default)]
    pub description: String,
}

/// What values a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterKind {
    /// Text; a bare `42` or `true` stays text.
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
    /// Whatever the word is by its own look.
    #[default]
    Any,
}

impl ParameterKind {
    /// What people call it, with its article.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Array => "a JSON array",
            Self::Object => "a JSON object",
            Self::Any => "any value",
        }
    }
}

impl ToolSignature {
    /// A tool without parameters.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The same with one more parameter, which a call must give.
    #[must_use]
    pub fn required(mut self, name: impl Into<String>, kind: ParameterKind) -> Self {
        let name = name.into();
        self.parameters.push(Parameter {
            name,
            kind,
            required: true,
            ..Parameter::default()
        });
        self
    }

    /// The same with one more parameter, which a call may give.
    #[must_use]
    pub fn optional(mut self, name: impl Into<String>, kind: ParameterKind) -> Self {
        let name = name.into();
        self.parameters.push(Parameter {
            name,
            kind,
            ..Parameter::default()
        });
        self
    }

    /// The same with what kind of value it gives, without exception.
    #[must_use]
    pub fn gives(mut self, output: ParameterKind) -> Self {
        self.output = output;
        self
    }

    /// The same with one more text parameter that takes the remaining words.
    #[must_use]
    pub fn rest(mut self, name: impl Into<String>) -> Self {
        self.parameters.push(Parameter {
            name: name.into(),
            kind: ParameterKind::Text,
            required: true,
            rest: true,
            ..Parameter::default()
        });
        self
    }
}

/// A catalog in memory, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    tools: BTreeMap<String, ToolSignature>,
}

impl Catalog {
    /// A catalog without tools.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `tool` and returns the one of that name that it replaces.
    pub fn insert(&mut self, tool: ToolSignature) -> Option<ToolSignature> {
        self.tools.insert(tool.name.clone(), tool)
    }

    /// The tools in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &ToolSignature> {
        self.tools.values()
    }
}

impl FromIterator<ToolSignature> for Catalog {
    fn from_iter<I: IntoIterator<Item = ToolSignature>>(tools: I) -> Self {
        Self {
            tools: tools
                .into_iter()
                .map(|tool| (tool.name.clone(), tool))
                .collect(),
        }
    }
}

impl ToolCatalog for Catalog {
    fn tool(&self, name: &str) -> Option<&ToolSignature> {
        self.tools.get(name)
    }

    fn names(&self) -> Vec<&str> {
        self.tools.keys().map(String::as_str).collect()
    }
}

/// The catalog without tools: every call is an unknown tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoTools;

impl ToolCatalog for NoTools {
    fn tool(&self, _name: &str) -> Option<&ToolSignature> {
        None
    }

    fn names(&self) -> Vec<&str> {
        Vec::new()
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: ToolCatalog + ?Sized> ToolCatalog for $pointer {
            fn tool(&self, name: &str) -> Option<&ToolSignature> {
                (**self).tool(name)
            }

            fn names(&self) -> Vec<&str> {
                (**self).names()
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);
