//! Which names are bound at a place of the program.

use std::collections::HashMap;

use super::trace::{Trace, Use};
use crate::expression::kinds::{Kinds, Type};
use crate::source::Span;
use crate::steps;

/// How far a name is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// On every way to here.
    Bound,
    /// On some ways only; the span is that of the block that says which.
    Perhaps(Perhaps, Span),
}

/// Why a name is bound on some ways only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Perhaps {
    Branch,
    Try,
    Any,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) state: State,
    /// Where it is bound.
    pub(super) span: Span,
    /// Another child of the same `PARALLEL` binds it.
    pub(super) sibling: bool,
    /// What is known of its value.
    pub(super) value: Type,
}

pub(super) type Names = Vec<(String, Entry)>;

/// Every change of the names in the order of the program, so that those of any line can be asked for.
#[derive(Debug, Default)]
pub(super) struct Past {
    changes: HashMap<String, Vec<(u32, Option<Entry>)>>,
    now: u32,
}

impl Past {
    /// The number of changes up to here.
    pub(super) fn now(&self) -> u32 {
        self.now
    }

    fn note(&mut self, name: &str, entry: Option<Entry>) {
        self.now += 1;
        let change = (self.now, entry);
        match self.changes.get_mut(name) {
            Some(changes) => changes.push(change),
            None => {
                self.changes.insert(name.to_owned(), vec![change]);
            }
        }
    }

    fn find(&self, name: &str, time: u32) -> Option<&Entry> {
        Self::at(self.changes.get(name)?, time)
    }

    fn at(changes: &[(u32, Option<Entry>)], time: u32) -> Option<&Entry> {
        let later = changes.partition_point(|(at, _)| *at <= time);
        changes[..later].last()?.1.as_ref()
    }
}

/// The names in the order in which they were bound, so that a block can be taken back.
#[derive(Debug, Default)]
pub(super) struct Scope<'p> {
    entries: HashMap<String, Entry>,
    order: Vec<String>,
    /// All changes, where someone will ask for them.
    pub(super) past: Option<Past>,
    /// What was bound before the first line that is looked at, by an earlier check.
    before: Option<(&'p Past, u32)>,
    /// What was resolved, where someone wants to know.
    trace: Option<Trace>,
}

impl<'p> Scope<'p> {
    /// What was bound after that many changes of an earlier check.
    pub(super) fn after(past: &'p Past, time: u32) -> Self {
        Self {
            before: Some((past, time)),
            ..Self::default()
        }
    }

    pub(super) fn new(trace: Option<Trace>) -> Self {
        Self {
            trace,
            ..Self::default()
        }
    }

    pub(super) fn into_trace(self) -> Option<Trace> {
        self.trace
    }

    pub(super) fn find(&self, name: &str) -> Option<&Entry> {
        let before = || self.before.and_then(|(past, time)| past.find(name, time));
        self.entries.get(name).or_else(before)
    }

    /// The names that can be used, in no order.
    pub(super) fn usable(&self) -> impl Iterator<Item = &str> {
        let before = self.before.into_iter().flat_map(|(past, time)| {
            let changes = past.changes.iter();
            changes.filter_map(move |(name, changes)| Some((name, Past::at(changes, time)?)))
        });
        self.entries
            .iter()
            .chain(before)
            .filter(|(_, entry)| !entry.sibling)
            .map(|(name, _)| name.as_str())
    }

    pub(super) fn put(&mut self, name: String, entry: Entry) {
        if let Some(past) = &mut self.past {
            past.note(&name, Some(entry.clone()));
        }
        match self.entries.get_mut(&name) {
            Some(known) => *known = entry,
            None => {
                self.entries.insert(name.clone(), entry);
                self.order.push(name);
            }
        }
    }

    /// Keeps that `name` is bound at `span`.
    pub(super) fn note_binding(&mut self, name: &str, span: Span, kinds: Kinds) {
        if let Some(trace) = &mut self.trace {
            trace.bindings.push((name.to_owned(), span, kinds));
        }
    }

    /// Keeps that `name` is used at `span`.
    pub(super) fn note_use(&mut self, name: &str, span: Span) {
        let Some(trace) = &mut self.trace else {
            return;
        };
        let entry = self.entries.get(name);
        trace.uses.push(Use {
            name: name.to_owned(),
            span,
            binding: entry.map(|entry| entry.span),
            kinds: entry.map_or(Kinds::JSON, |entry| entry.value.kinds),
            links: trace.links.len(),
        });
    }

    /// Keeps the names that can be used, if the place that asks for them is not after `end`.
    pub(super) fn probe(&mut self, end: u32) {
        let Some(trace) = &mut self.trace else {
            return;
        };
        if trace.probe.take_if(|probe| *probe <= end).is_some() {
            let usable = self.entries.iter().filter(|(_, entry)| !entry.sibling);
            trace.visible = usable
                .map(|(name, entry)| (name.clone(), entry.span))
                .collect();
            trace.visible.sort_unstable_by_key(|(_, span)| *span);
        }
    }

    /// A place to come back to with [`Scope::take`].
    pub(super) fn mark(&self) -> usize {
        self.order.len()
    }

    /// Takes back what was bound since `mark`.
    pub(super) fn take(&mut self, mark: usize) -> Names {
        let names = self.order.split_off(mark.min(self.order.len()));
        steps::add(names.len());
        let mut taken = Vec::with_capacity(names.len());
        for name in names {
            if let Some(entry) = self.entries.remove(&name) {
                if let Some(past) = &mut self.past {
                    past.note(&name, None);
                }
                taken.push((name, entry));
            }
        }
        taken
    }

    /// Binds what some branches bound: for good where all that go on bound it for good.
    pub(super) fn join(&mut self, branches: Vec<(Names, bool)>, why: Perhaps, block: Span) {
        let completing = branches.iter().filter(|(_, completes)| *completes).count();
        let mut joined: HashMap<String, (Entry, usize)> = HashMap::new();
        let mut order = Vec::new();
        for (names, completes) in branches {
            steps::add(names.len());
            for (name, entry) in names {
                let bound = usize::from(completes && entry.state == State::Bound);
                match joined.get_mut(&name) {
                    Some((first, count)) => {
                        *count += bound;
                        first.value = first.value.clone().or(entry.value);
                        if let Some(trace) = &mut self.trace {
                            trace.links.push((first.span, entry.span));
                        }
                    }
                    None => {
                        order.push(name.clone());
                        joined.insert(name, (entry, bound));
                    }
                }
            }
        }
        for name in order {
            if let Some((mut entry, count)) = joined.remove(&name) {
                entry.state = if count == completing {
                    State::Bound
                } else {
                    State::Perhaps(why, block)
                };
                self.put(name, entry);
            }
        }
    }
}
