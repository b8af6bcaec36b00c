//! The checked program: what the checker hands to whoever runs it.
//!
//! Every name is bound, every argument belongs to a parameter, every condition compiles.
//! Positional arguments carry their parameter's name and options have their types.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::expression::Expression;

/// A place in the source, for reports: line and column count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Location {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

/// A program without errors, ready to be lowered to a graph.
#[derive(Debug, Clone)]
pub struct CheckedProgram {
    /// The name after `WORKFLOW`, if there is one.
    pub name: Option<String>,
    /// The other words of the `WORKFLOW` line, such as `version`.
    pub metadata: Map<String, Value>,
    /// The declared inputs, in source order.
    pub inputs: Vec<Input>,
    /// The statements, in program order.
    pub body: Vec<Node>,
}

/// `INPUT name = default`.
#[derive(Debug, Clone)]
pub struct Input {
    /// Where it is declared.
    pub location: Location,
    /// The name that the program uses.
    pub name: String,
    /// The value when the caller gives none; an input without one must be given.
    pub default: Option<Value>,
}

/// A statement and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// The place of its first word.
    pub location: Location,
    /// What it does.
    pub kind: NodeKind,
}

/// The statements that have a meaning at run time.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// `CALL`, alone or behind `LET name =`.
    Call(Call),
    /// `LET name = value`, without a call.
    Let {
        /// The name that is bound.
        name: String,
        /// Its value.
        value: Operand,
    },
    /// `PARALLEL`: children without an order among them.
    Parallel(Parallel),
    /// `SEQUENCE`: program order, as outside of it.
    Sequence(Vec<Node>),
    /// `IF`, with its `ELIF`s.
    If {
        /// The conditions in order, each with what runs when it is the first that holds.
        branches: Vec<Branch>,
        /// What runs when none holds; empty without `ELSE`.
        otherwise: Vec<Node>,
    },
    /// `FOR name IN items` and `PARALLEL FOR`.
    For(For),
    /// `TRY`.
    Try {
        /// What is tried.
        body: Vec<Node>,
        /// The name that holds the failure in the handler: `CATCH name`.
        error: Option<String>,
        /// What runs when the body failed.
        handler: Vec<Node>,
    },
    /// `RETURN value`: ends the run with that output (null without a value).
    Return(Option<Operand>),
}

/// One call of a tool.
#[derive(Debug, Clone)]
pub struct Call {
    /// `@id`, or `s` and the number of the call in the program, from 1.
    pub id: String,
    /// The tool's name, as the catalog spells it.
    pub tool: String,
    /// Parameter and value, each parameter once, in source order.
    pub arguments: Vec<(String, Operand)>,
    /// The name that holds the result.
    pub bind: Option<String>,
    /// The label of the `TASK` that it stands under.
    pub label: Option<String>,
    /// The agent it is sent to: `@agent`, or the `AGENT` line that it stands under.
    pub agent: Option<String>,
    /// The options that start with `@`.
    pub options: StepOptions,
}

/// The options of a step that start with `@`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepOptions {
    /// `@timeout=5s`: how long one attempt may take.
    pub timeout: Option<Duration>,
    /// `@retries=3`: how often a failed attempt is tried again.
    pub retries: Option<u32>,
    /// `@cache=off` is `Some(false)`, `@cache=on` is `Some(true)`.
    pub cache: Option<bool>,
    /// `@engine=name`.
    pub engine: Option<String>,
    /// `@after=id,id`: steps that must be done before this one starts.
    pub after: Vec<String>,
}

/// `PARALLEL --limit N --fail_fast --any`.
#[derive(Debug, Clone)]
pub struct Parallel {
    /// How many children may run at once.
    pub limit: Option<usize>,
    /// A child's failure cancels the others.
    pub fail_fast: bool,
    /// The first child that succeeds is enough; the others are cancelled.
    pub any: bool,
    /// The children.
    pub children: Vec<Node>,
}

/// A condition and its statements.
#[derive(Debug, Clone)]
pub struct Branch {
    /// The place of the `IF` or `ELIF`.
    pub location: Location,
    /// What must hold.
    pub condition: Expression,
    /// What runs then.
    pub body: Vec<Node>,
}

/// `FOR name IN items`.
#[derive(Debug, Clone)]
pub struct For {
    /// The name that holds the item of the round.
    pub variable: String,
    /// The list.
    pub items: Operand,
    /// `PARALLEL FOR`: the rounds have no order.
    pub parallel: bool,
    /// How many rounds may run at once (`PARALLEL FOR … --limit N`).
    pub limit: Option<usize>,
    /// What a round that fails does to the loop.
    pub on_error: OnError,
    /// The statements of a round.
    pub body: Vec<Node>,
}

/// `@on_error` of a `FOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The loop fails with the round, as any block does.
    #[default]
    Stop,
    /// The loop goes on; in its lists, null stands for what the round would have bound.
    Continue,
}

/// A value that is known or that the run will know.
#[derive(Debug, Clone)]
pub enum Operand {
    /// Known from the source.
    Literal(Value),
    /// `$name.path[0]`, with the type of what it refers to.
    Reference(Reference),
    /// Text with `${…}` in it, or several words joined by a blank.
    Template(Vec<Piece>),
    /// `${…}` as a whole bare word: a CEL expression with its type.
    Expression(Expression),
}

/// A part of a [`Operand::Template`].
#[derive(Debug, Clone)]
pub enum Piece {
    /// Text that stands for itself.
    Text(String),
    /// A value that is written into the text: a string as it is, anything else as compact JSON.
    Value(Operand),
}

/// `$name.path[0]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The bound name.
    pub name: String,
    /// The way into its value.
    pub path: Vec<Segment>,
}

/// One step of the way into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// `.key`
    Key(String),
    /// `[0]`; a negative index counts from the end.
    Index(i64),
}
