//! What a check of a whole program leaves behind, so that one line of it can be checked again.
//!
//! A line depends on those before it through its [`Context`], and others depend on it through
//! its [`Effects`]. As long as its effects stay, a change of the line changes its own
//! diagnostics and no others.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use serde_json::Map;

use super::block::Place;
use super::scope::{Entry, Past, Scope};
use super::{Checker, Handler, Id};
use crate::catalog::ToolCatalog;
use crate::diagnostic::{Diagnostic, Sink};
use crate::keyword::Keyword;
use crate::source::Span;
use crate::tree::{Statement, Tree};

/// How many names and tools are compared with all others to find what was meant.
pub(super) const MOST_SUGGESTIONS: usize = 100;

/// What the lines before one say about it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Context {
    /// How often the names changed.
    time: u32,
    handler: Option<usize>,
    calls: usize,
    started: bool,
    nested: bool,
    parallel: Option<Span>,
    /// It is the first line that is never run, and this is where the run ends.
    pub(super) ended: Option<Span>,
}

/// What a line does that other lines can see.
#[derive(Debug, Clone, Default)]
pub(super) struct Effects {
    pub(super) bound: Option<(String, Entry)>,
    pub(super) id: Option<(String, Span)>,
    /// The names that it uses although they are not bound for good.
    pub(super) unbound: Vec<String>,
    pub(super) calls: usize,
    pub(super) suggestions: usize,
}

impl Effects {
    /// Whether other lines see no difference, wherever the words stand.
    fn same(&self, other: &Self) -> bool {
        let binding = |effects: &Self| {
            effects.bound.clone().map(|(name, entry)| {
                let span = Span::default();
                (name, Entry { span, ..entry })
            })
        };
        let id = |effects: &Self| effects.id.as_ref().map(|(id, _)| id.clone());
        self.calls == other.calls && binding(self) == binding(other) && id(self) == id(other)
    }
}

#[derive(Debug, Default)]
struct Row {
    context: Context,
    effects: Effects,
}

/// Rows as they are written during a check.
#[derive(Debug, Default)]
pub(super) struct Notes {
    rows: Vec<Row>,
}

impl Notes {
    pub(super) fn suggested(&mut self, line: usize) {
        self.rows[line].effects.suggestions += 1;
    }
}

/// What a check leaves behind.
#[derive(Debug)]
pub(crate) struct Memory {
    rows: Vec<Row>,
    past: Past,
    handlers: Vec<Handler>,
    ids: HashMap<String, Id>,
    calls: usize,
    suggestions: usize,
    /// How many lines use each name that is not bound for good.
    unbound: HashMap<String, usize>,
}

/// A line that was checked again.
pub(crate) struct Rechecked {
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Where words that other lines may refer to stood at the first check, and where they stand.
    pub(crate) moved: Vec<(Span, Span)>,
}

impl<'t> Checker<'t> {
    /// Begins with the words of `statement`, which stands at `place`.
    pub(super) fn enter(&mut self, statement: Statement<'t>, place: &Place, ended: Option<Span>) {
        self.flush();
        self.line = statement.line();
        if self.notes.is_some() {
            self.context = Context {
                time: self.scope.past.as_ref().map_or(0, Past::now),
                handler: self.handler,
                calls: self.calls,
                started: self.started,
                nested: place.nested,
                parallel: place.parallel,
                ended,
            };
        }
    }

    fn flush(&mut self) {
        if let Some(notes) = &mut self.notes {
            let row = Row {
                context: self.context,
                effects: std::mem::take(&mut self.effects),
            };
            // A program without lines has none to begin with.
            if let Some(known) = notes.rows.get_mut(self.line) {
                *known = row;
            }
        }
    }

    /// Begins to write down what [`Memory`] needs.
    pub(super) fn remember(&mut self) {
        let mut rows = Vec::new();
        rows.resize_with(self.tree.lines.len(), Row::default);
        self.notes = Some(Notes { rows });
        self.scope.past = Some(Past::default());
    }

    /// What was written down, unless lines depend on each other in ways that it does not hold.
    pub(super) fn memory(&mut self) -> Option<Memory> {
        self.flush();
        let rows = self.notes.take()?.rows;
        let mut unbound = HashMap::new();
        for name in rows.iter().flat_map(|row| &row.effects.unbound) {
            *unbound.entry(name.clone()).or_insert(0) += 1;
        }
        let memory = Memory {
            past: self.scope.past.take()?,
            handlers: std::mem::take(&mut self.handlers).into_owned(),
            ids: std::mem::take(&mut self.ids).into_owned(),
            calls: self.calls,
            suggestions: self.suggestions,
            unbound,
            rows,
        };
        (!self.lenient && memory.holds()).then_some(memory)
    }

    /// The words of one line, whatever block it opens.
    fn header(&mut self, statement: Statement<'t>, place: &mut Place) {
        match statement.keyword() {
            Some(Keyword::If | Keyword::Elif) => {
                self.condition(statement);
            }
            Some(Keyword::Else | Keyword::Sequence | Keyword::Try) => self.no_arguments(statement),
            Some(Keyword::Parallel) => {
                self.block_options(statement, statement.arguments(), true);
            }
            Some(Keyword::For | Keyword::ParallelFor) => {
                self.loop_header(statement);
            }
            Some(Keyword::Catch) => {
                self.caught(statement);
            }
            Some(keyword) if keyword.is_end() => self.end_line(statement),
            _ => {
                self.statement(statement, place);
            }
        }
    }
}

impl Memory {
    /// Whether nothing was left out for its number.
    fn holds(&self) -> bool {
        self.suggestions <= MOST_SUGGESTIONS && self.unbound.len() <= MOST_SUGGESTIONS
    }

    /// Checks the line `line` of `tree` again, whose words were changed but for the keyword.
    /// None when other lines may have to be checked too; then the memory is of no more use.
    pub(crate) fn recheck(
        &mut self,
        tree: &Tree,
        catalog: &dyn ToolCatalog,
        line: usize,
        sink: Sink,
    ) -> Option<Rechecked> {
        let statement = tree.statement(line);
        if matches!(statement.keyword(), None | Some(Keyword::Workflow)) {
            return None;
        }
        let Row { context, .. } = self.rows[line];
        let mut checker = Checker {
            scope: Scope::after(&self.past, context.time),
            handlers: Cow::Borrowed(&self.handlers),
            handler: context.handler,
            ids: Cow::Borrowed(&self.ids),
            calls: context.calls,
            started: context.started,
            line,
            one_line: true,
            ..Checker::new(tree, catalog, sink)
        };
        let mut place = Place {
            parallel: context.parallel,
            nested: context.nested,
            ..Place::default()
        };
        if let Some(end) = context.ended {
            checker.unreachable(statement.head_span(), end);
        }
        checker.header(statement, &mut place);
        checker.calls = self.calls;
        checker.check_awaited();
        let Checker { sink, effects, .. } = checker;
        let moved = self.exchange(line, effects)?;
        Some(Rechecked {
            diagnostics: sink.finish(),
            moved,
        })
    }

    /// Puts `effects` into the place of those that the line had, if others see no difference.
    fn exchange(&mut self, line: usize, effects: Effects) -> Option<Vec<(Span, Span)>> {
        let known = &mut self.rows[line].effects;
        if !effects.same(known) {
            return None;
        }
        for name in known.unbound.drain(..) {
            if let Some(count) = self.unbound.get_mut(&name) {
                *count -= 1;
                // Which of the lines reports it depends on all of them.
                if *count > 0 {
                    return None;
                }
            }
            self.unbound.remove(&name);
        }
        for name in &effects.unbound {
            if self.unbound.insert(name.clone(), 1).is_some() {
                return None;
            }
        }
        self.suggestions = self.suggestions + effects.suggestions - known.suggestions;
        known.suggestions = effects.suggestions;
        known.unbound = effects.unbound;
        let mut moved = Vec::new();
        if let (Some((_, was)), Some((_, is))) = (&known.bound, &effects.bound) {
            moved.push((was.span, is.span));
        }
        if let (Some((_, was)), Some((_, is))) = (&known.id, &effects.id) {
            moved.push((*was, *is));
        }
        self.holds().then_some(moved)
    }
}

impl<'t> Checker<'t> {
    pub(super) fn new(tree: &'t Tree, catalog: &'t dyn ToolCatalog, sink: Sink) -> Self {
        Checker {
            tree,
            source: tree.source(),
            catalog,
            sink,
            scope: Scope::default(),
            handlers: Cow::default(),
            handler: None,
            bindings: OnceCell::new(),
            reported_names: HashSet::new(),
            ids: Cow::default(),
            awaited: Vec::new(),
            calls: 0,
            suggestions: 0,
            lenient: tree.unbalanced,
            started: false,
            workflow: None,
            name: None,
            metadata: Map::new(),
            inputs: Vec::new(),
            line: 0,
            one_line: false,
            context: Context::default(),
            effects: Effects::default(),
            notes: None,
        }
    }
}
