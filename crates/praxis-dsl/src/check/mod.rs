//! The checker: from a tree to a program whose names, arguments and conditions hold.

mod block;
mod call;
mod coerce;
mod header;
mod memory;
mod operand;
mod option;
mod repair;
mod repeat;
mod scope;
mod text;
mod trace;

pub(crate) use self::memory::Memory;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use self::block::Place;
use self::memory::{Context, Effects, Notes};
pub(crate) use self::operand::{doubt, parse_reference};
use self::scope::Scope;
pub(crate) use self::text::{check_name, is_name};
pub(crate) use self::trace::Trace;
use crate::catalog::ToolCatalog;
use crate::checked::{CheckedProgram, Input, Location};
use crate::diagnostic::{Diagnostic, Sink};
use crate::source::{Limits, Span};
use crate::steps;
use crate::tree::Tree;

/// What a check found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The program, if it has no errors.
    pub program: Option<CheckedProgram>,
    /// What is wrong, in source order: the diagnostics of the parser and of the checker.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// Whether the program cannot run.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Checks `tree` against the tools of `catalog`.
pub fn check(tree: &Tree, catalog: &dyn ToolCatalog) -> Checked {
    run(
        tree,
        catalog,
        Limits::DEFAULT.max_diagnostics,
        Keep::default(),
    )
    .0
}

/// The same, with a record of what names stand for if `trace` is there to keep it.
pub(crate) fn check_traced(
    tree: &Tree,
    catalog: &dyn ToolCatalog,
    trace: Option<Trace>,
) -> (Checked, Option<Trace>) {
    check_within(tree, catalog, Limits::DEFAULT.max_diagnostics, trace)
}

/// The same, with at most `max_diagnostics`.
pub(crate) fn check_within(
    tree: &Tree,
    catalog: &dyn ToolCatalog,
    max_diagnostics: usize,
    trace: Option<Trace>,
) -> (Checked, Option<Trace>) {
    let keep = Keep {
        trace,
        ..Keep::default()
    };
    let (checked, trace, _) = run(tree, catalog, max_diagnostics, keep);
    (checked, trace)
}

/// The same as [`check`], and what it takes to check single lines of `tree` again, unless they
/// depend on each other in unusual ways.
pub(crate) fn check_and_remember(
    tree: &Tree,
    catalog: &dyn ToolCatalog,
) -> (Checked, Option<Memory>) {
    let keep = Keep {
        memory: true,
        ..Keep::default()
    };
    let (checked, _, memory) = run(tree, catalog, Limits::DEFAULT.max_diagnostics, keep);
    (checked, memory)
}

/// What a check leaves behind besides its result.
#[derive(Default)]
struct Keep {
    trace: Option<Trace>,
    memory: bool,
}

fn run(
    tree: &Tree,
    catalog: &dyn ToolCatalog,
    max_diagnostics: usize,
    keep: Keep,
) -> (Checked, Option<Trace>, Option<Memory>) {
    let mut sink = Sink::new(max_diagnostics);
    for diagnostic in tree.diagnostics() {
        sink.push(diagnostic.clone());
    }
    let mut checker = Checker {
        scope: Scope::new(keep.trace),
        ..Checker::new(tree, catalog, sink)
    };
    if keep.memory {
        checker.remember();
    }
    let (body, _) = checker.block(tree.statements(), Place::default());
    checker.check_awaited();
    let memory = checker.memory();
    let Checker {
        sink,
        scope,
        name,
        metadata,
        inputs,
        ..
    } = checker;
    let program = (!sink.has_errors()).then_some(CheckedProgram {
        name,
        metadata,
        inputs,
        body,
    });
    let checked = Checked {
        program,
        diagnostics: sink.finish(),
    };
    (checked, scope.into_trace(), memory)
}

/// The state of a check.
struct Checker<'t> {
    tree: &'t Tree,
    source: &'t str,
    catalog: &'t dyn ToolCatalog,
    sink: Sink,
    scope: Scope<'t>,
    /// All handlers so far.
    handlers: Cow<'t, [Handler]>,
    /// The innermost handler around.
    handler: Option<usize>,
    /// The line that binds each name of the program first, for the help with one that is not.
    bindings: OnceCell<HashMap<&'t str, usize>>,
    reported_names: HashSet<String>,
    ids: Cow<'t, HashMap<String, Id>>,
    /// The ids that some `@after` names, and its line.
    awaited: Vec<(String, Span, usize)>,
    calls: usize,
    /// How many names were compared with all others, which is bounded.
    suggestions: usize,
    /// A name that is bound twice is not reported, since the branches are not known.
    lenient: bool,
    /// A step came already.
    started: bool,
    workflow: Option<Span>,
    name: Option<String>,
    metadata: Map<String, Value>,
    inputs: Vec<Input>,
    /// The line whose words are looked at.
    line: usize,
    /// Only that line is checked, for its diagnostics.
    one_line: bool,
    context: Context,
    effects: Effects,
    notes: Option<Notes>,
}

/// A `CATCH`.
#[derive(Debug, Clone)]
struct Handler {
    /// The handler around it.
    outer: Option<usize>,
    /// The names that its `TRY` bound.
    tried: HashMap<String, Span>,
}

/// A step with an id of its own.
#[derive(Debug, Clone, Copy)]
struct Id {
    span: Span,
    line: usize,
}

impl<'t> Checker<'t> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.sink.push(diagnostic);
    }

    fn location(&self, span: Span) -> Location {
        if self.one_line {
            return Location::default();
        }
        self.tree.line_index().location(self.source, span.start)
    }

    /// The line that binds `name` first, wherever it is.
    fn binding(&self, name: &str) -> Option<usize> {
        let bindings = self.bindings.get_or_init(|| bindings(self.tree));
        bindings.get(name).copied()
    }
}

fn bindings(tree: &Tree) -> HashMap<&str, usize> {
    let mut bindings = HashMap::new();
    steps::add(tree.lines.len());
    for line in 0..tree.lines.len() {
        if let Some(word) = tree.bound_word(line) {
            bindings
                .entry(word.span().text(tree.source()))
                .or_insert(line);
        }
    }
    bindings
}
