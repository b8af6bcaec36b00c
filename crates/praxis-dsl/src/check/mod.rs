//! The checker: from a tree to a program whose names, arguments and conditions hold.

mod block;
mod call;
mod coerce;
mod header;
mod operand;
mod option;
mod repair;
mod scope;
mod text;
mod trace;

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use self::block::Place;
pub(crate) use self::operand::{doubt, parse_reference};
use self::scope::Scope;
pub(crate) use self::text::{check_name, is_name};
pub(crate) use self::trace::Trace;
use crate::catalog::ToolCatalog;
use crate::checked::{CheckedProgram, Input, Location};
use crate::diagnostic::{Diagnostic, Sink};
use crate::keyword::Keyword;
use crate::source::{Limits, Span};
use crate::tree::{LineKind, Tree};

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
    check_traced(tree, catalog, None).0
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
    let mut sink = Sink::new(max_diagnostics);
    for diagnostic in tree.diagnostics() {
        sink.push(diagnostic.clone());
    }
    let mut checker = Checker {
        tree,
        source: tree.source(),
        catalog,
        sink,
        scope: Scope::new(trace),
        tried: Vec::new(),
        bindings: bindings(tree),
        reported_names: HashSet::new(),
        ids: HashMap::new(),
        awaited: Vec::new(),
        calls: 0,
        suggestions: 0,
        lenient: tree.unbalanced,
        started: false,
        workflow: None,
        name: None,
        metadata: Map::new(),
        inputs: Vec::new(),
    };
    let (body, _) = checker.block(tree.statements(), Place::default());
    checker.check_awaited();
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
    (checked, scope.into_trace())
}

/// The state of a check.
struct Checker<'t> {
    tree: &'t Tree,
    source: &'t str,
    catalog: &'t dyn ToolCatalog,
    sink: Sink,
    scope: Scope,
    /// For each handler around, the names that its `TRY` bound.
    tried: Vec<HashMap<String, Span>>,
    /// Where each name of the program is bound first, for the help with one that is not.
    bindings: HashMap<&'t str, Span>,
    reported_names: HashSet<String>,
    ids: HashMap<String, Span>,
    /// The ids that some `@after` names.
    awaited: Vec<(String, Span)>,
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
}

impl Checker<'_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.sink.push(diagnostic);
    }

    fn location(&self, span: Span) -> Location {
        self.tree.line_index().location(self.source, span.start)
    }
}

fn bindings(tree: &Tree) -> HashMap<&str, Span> {
    let mut bindings = HashMap::new();
    for line in &tree.lines {
        let binds = matches!(
            line.kind,
            LineKind::Keyword(
                Keyword::Let
                    | Keyword::Input
                    | Keyword::For
                    | Keyword::ParallelFor
                    | Keyword::Catch
            )
        );
        let word = line.first as usize + usize::from(line.head);
        if binds && word < line.last as usize {
            let span = tree.words[word].span();
            bindings.entry(span.text(tree.source())).or_insert(span);
        }
    }
    bindings
}
