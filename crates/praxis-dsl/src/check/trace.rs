//! What a check resolved, kept for editors: which word binds a name and which uses it.

use crate::expression::kinds::Kinds;
use crate::source::Span;

/// A record of a check; places are the words by which names were bound.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The names in the order in which they were bound, with what their values can be.
    pub(crate) bindings: Vec<(String, Span, Kinds)>,
    /// Pairs of bindings in different branches that mean one name after them.
    pub(crate) links: Vec<(Span, Span)>,
    pub(crate) uses: Vec<Use>,
    /// The place whose names are wanted, until it is reached.
    pub(crate) probe: Option<u32>,
    /// The names that can be used at the probe.
    pub(crate) visible: Vec<(String, Span)>,
}

/// A word that uses a name.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) name: String,
    pub(crate) span: Span,
    /// Where the name is bound, if it is.
    pub(crate) binding: Option<Span>,
    /// What its value can be.
    pub(crate) kinds: Kinds,
    /// How many links there were: later ones join what this use cannot see.
    pub(crate) links: usize,
}
