//! The optimiser: what is known of a run before it begins.
//!
//! A pass changes no statement's place and no outcome: it notes on the plan what the scheduler may
//! leave undone, and says in the source's terms what it noted and why. A run that does not optimise
//! ignores the notes.

mod constant;
mod merge;
mod unused;

use serde::Serialize;

use crate::plan::Plan;

/// Something that a pass noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The pass.
    pub pass: PassName,
    /// The line that it is about.
    pub line: u32,
    /// What was noted and why, in the source's terms.
    pub text: String,
}

/// The passes that note something, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PassName {
    /// Conditions and lists that are known without running.
    Constant,
    /// Pure steps that an earlier one has done already.
    Merge,
    /// Pure steps that cannot fail and whose result nobody uses.
    Unused,
}

impl PassName {
    /// The word in documents and on the terminal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Merge => "merge",
            Self::Unused => "unused",
        }
    }
}

/// Runs all passes.
pub(crate) fn all(plan: &mut Plan) {
    constant::decide(plan);
    merge::merge(plan);
    unused::find(plan);
}
