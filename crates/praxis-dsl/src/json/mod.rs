//! The JSON form of a program, for models and visual editors.
//!
//! It mirrors the language: a statement of a program is an object with a `kind`, a word is an
//! object that says how it is written, blocks nest. Text and JSON come back from each other.
//!
//! ```
//! use praxis_dsl::json::Program;
//! use praxis_dsl::parse;
//!
//! let program = Program::from_json(
//!     r#"{"praxis": 1, "statements": [
//!         {"kind": "call", "bind": "files", "tool": {"bare": "list_files"},
//!          "arguments": [{"option": {"name": "pattern"}}, {"text": "*.md"}]},
//!         {"kind": "return", "value": {"expression": "size(files)"}}
//!     ]}"#,
//! )?;
//! let source = program.to_source()?;
//! assert_eq!(source, "LET files = CALL list_files --pattern \"*.md\"\nRETURN ${size(files)}\n");
//! assert_eq!(Program::of(&parse(&source)).as_ref(), Ok(&program));
//! # Ok::<(), praxis_dsl::json::FormError>(())
//! ```

mod of;
mod read;
mod word;
mod write;

use std::fmt;

use serde::Serialize;

/// The version of the form, which stands in every document as `praxis`.
pub const VERSION: u32 = 1;

/// A program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Program {
    /// The version of this form: 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1)))]
    pub praxis: u32,
    /// The statements in program order.
    pub statements: Vec<Statement>,
}

/// A statement of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Statement {
    /// A comment on a line of its own, without its `#`; one behind a statement comes before it.
    Comment {
        /// One line of text.
        text: String,
    },
    /// `WORKFLOW name` and pairs.
    Workflow {
        /// The name.
        name: Word,
        /// The rest of the line, such as `{"option": {"name": "version"}}, {"bare": "2"}`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        words: Vec<Word>,
    },
    /// `INPUT name = default`.
    Input {
        /// The name that the program uses.
        name: String,
        /// Its value when the caller gives none; without one it must be given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default: Option<Word>,
    },
    /// `TASK label` and pairs.
    Task {
        /// The label.
        name: Word,
        /// The rest of the line.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        words: Vec<Word>,
    },
    /// `AGENT name`.
    Agent {
        /// The agent that the steps that follow are sent to.
        name: Word,
        /// The rest of the line, which is empty in a program that can run.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        words: Vec<Word>,
    },
    /// `CALL tool …`, and `LET bind = CALL tool …`.
    Call {
        /// The name that is bound to the result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bind: Option<String>,
        /// The tool.
        tool: Word,
        /// The words after it: positional arguments, options with their values, step options.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        arguments: Vec<Word>,
    },
    /// `LET name = value`.
    Let {
        /// The name that is bound.
        name: String,
        /// Its value.
        value: Word,
    },
    /// `RETURN value`.
    Return {
        /// The output; null without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Word>,
    },
    /// `PARALLEL … END_PARALLEL`.
    Parallel {
        /// Its options: `limit`, `fail_fast`, `any`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        words: Vec<Word>,
        /// Its children, which have no order.
        body: Vec<Statement>,
    },
    /// `SEQUENCE … END_SEQUENCE`.
    Sequence {
        /// Its statements.
        body: Vec<Statement>,
    },
    /// `IF condition … ENDIF`.
    If {
        /// A CEL expression.
        condition: String,
        /// What runs if it holds.
        body: Vec<Statement>,
        /// `ELIF`s, and `ELSE` as the last, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        clauses: Vec<Clause>,
    },
    /// `FOR variable IN items … END_FOR`.
    For {
        /// `PARALLEL FOR`: the rounds have no order.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        parallel: bool,
        /// The name that holds the item of the round.
        variable: String,
        /// The list.
        items: Word,
        /// The options of a `PARALLEL FOR`: `limit`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        words: Vec<Word>,
        /// The statements of a round.
        body: Vec<Statement>,
    },
    /// `TRY … END_TRY`.
    Try {
        /// What is tried.
        body: Vec<Statement>,
        /// `CATCH`, if there is one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        clauses: Vec<Clause>,
    },
}

/// A part of a block with statements of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Clause {
    /// `ELIF condition`.
    Elif {
        /// A CEL expression.
        condition: String,
        /// What runs if it is the first that holds.
        body: Vec<Statement>,
    },
    /// `ELSE`.
    Else {
        /// What runs if no condition holds.
        body: Vec<Statement>,
    },
    /// `CATCH name`.
    Catch {
        /// The name of the failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What runs then.
        body: Vec<Statement>,
    },
}

/// A word of a line, by the way it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Without quotes, exactly as it stands in the source: `{"bare": "42"}`.
    Bare(String),
    /// In double quotes: `{"text": "two\nlines"}`. Any text can be written so, and nothing in it
    /// is replaced.
    Text(String),
    /// In double quotes with expressions in it: `{"template": [{"text": "in "}, {"expression":
    /// "dir"}]}`.
    Template(Vec<Piece>),
    /// In single quotes, on one line: `{"literal": "[\"a\", \"b\"]"}`.
    Literal(String),
    /// `$name.key[0]`, without its `$`.
    Reference(String),
    /// `${…}`, a CEL expression with its type.
    Expression(String),
    /// `--name`, whose value is the next word, and `--name=value`.
    Option(Assignment),
    /// `@name=value`, an option of the step.
    Step(Assignment),
}

/// The name of an option with the value behind its `=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Assignment {
    /// The name, without `--` or `@`.
    pub name: String,
    /// What stands behind the `=`, in any way but `option` and `step`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<Word>>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// Text that stands for itself; two never follow each other.
    Text(String),
    /// A CEL expression whose value is written into the text.
    Expression(String),
}

/// Why a document is no program, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormError {
    pub(crate) pointer: String,
    pub(crate) message: String,
}

impl FormError {
    pub(crate) fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }

    /// The place in the document, as a JSON pointer (RFC 6901); empty for the document.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What is wrong there: a lowercase fragment.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.pointer.as_str() {
            "" => "the document",
            pointer => pointer,
        };
        write!(f, "{place}: {}", self.message)
    }
}

impl std::error::Error for FormError {}

/// The JSON Schema of [`Program`].
#[cfg(feature = "schema")]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Program).to_value()
}
