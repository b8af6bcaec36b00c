//! Which results, kept or still being made, a change of what they were read from would make stale.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::id_hasher::IdHasher;
use crate::{KeyId, Policy, Resource, RunId};

/// The place in the [`Index`] of a result that was read from resources, from before its run starts until its entry is gone.
///
/// A change of what was read spoils the ticket, and a spoiled ticket's result is neither stored nor served.
/// So a change during a run cannot slip between the run's end and the storing of its result.
#[derive(Debug)]
pub(crate) struct Ticket {
    number: u64,
    state: Arc<State>,
    /// None for what another process stored, until the cache takes it over.
    index: Option<Arc<Index>>,
}

#[derive(Debug)]
struct State {
    key: KeyId,
    run: RunId,
    reads: Box<[Resource]>,
    spoiled: AtomicBool,
}

impl State {
    fn of(key: KeyId, run: RunId, reads: Box<[Resource]>) -> Arc<Self> {
        Arc::new(Self {
            key,
            run,
            reads,
            spoiled: AtomicBool::new(false),
        })
    }
}

impl Ticket {
    /// The ticket of what another process stored; nothing can spoil it.
    #[cfg(feature = "disk")]
    pub(crate) fn detached(key: KeyId, run: RunId, reads: Vec<Resource>) -> Self {
        Self {
            number: 0,
            state: State::of(key, run, reads.into()),
            index: None,
        }
    }

    pub(crate) fn is_spoiled(&self) -> bool {
        self.state.spoiled.load(Ordering::Acquire)
    }

    pub(crate) fn run(&self) -> RunId {
        self.state.run
    }

    pub(crate) fn reads(&self) -> &[Resource] {
        &self.state.reads
    }

    /// Lets an external step of the run spoil the ticket, because a resource of it has no version.
    pub(crate) fn unversioned(&self) {
        let Some(index) = &self.index else {
            return;
        };
        let mut tables = index.tables.lock();
        let run = tables.unversioned.entry(self.state.run).or_default();
        run.insert(self.number);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(index) = &self.index {
            index.tables.lock().remove(self.number, &self.state);
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    next: u64,
    tickets: HashMap<u64, Arc<State>, BuildHasherDefault<IdHasher>>,
    /// Readers by normalised path: sorted, what lies below a path is one range.
    paths: BTreeMap<Box<str>, BTreeSet<u64>>,
    everything: BTreeSet<u64>,
    unversioned: HashMap<RunId, BTreeSet<u64>>,
    written: Written,
}

/// When what was written last, for entries that are not in memory at the time.
#[derive(Debug, Default)]
struct Written {
    paths: BTreeMap<Box<str>, Duration>,
    everything: Option<Duration>,
}

/// More written paths than this are remembered as one write to everything.
const MOST_WRITTEN_PATHS: usize = 10_000;

impl Written {
    fn note(&mut self, resource: &Resource, now: Duration) {
        match resource.as_path() {
            Some(path) if !path.is_empty() && self.paths.len() < MOST_WRITTEN_PATHS => {
                self.paths.insert(path.into(), now);
            }
            _ => {
                self.everything = Some(now);
                self.paths.clear();
            }
        }
    }

    /// When something that overlaps `resource` was written last.
    fn last(&self, resource: &Resource) -> Option<Duration> {
        let Some(path) = resource.as_path().filter(|path| !path.is_empty()) else {
            return self.paths.values().copied().max().max(self.everything);
        };
        let ancestors = path.match_indices('/').map(|(end, _)| &path[..end]);
        let above = ancestors.chain([path]).filter_map(|at| self.paths.get(at));
        let below = self.paths.range::<str, _>(below(path).bounds());
        let below = below.map(|(_, at)| at);
        above.chain(below).copied().max().max(self.everything)
    }
}

/// The first and the last of what lies below a path: `0` is the byte after `/`, so this is exactly what starts with the path and a slash.
struct Below(String, String);

fn below(path: &str) -> Below {
    Below(format!("{path}/"), format!("{path}0"))
}

impl Below {
    fn bounds(&self) -> (Bound<&str>, Bound<&str>) {
        (Bound::Included(&self.0), Bound::Excluded(&self.1))
    }
}

impl Index {
    pub(crate) fn register(self: &Arc<Self>, key: KeyId, policy: &Policy) -> Ticket {
        let state = State::of(key, policy.run, policy.reads.as_slice().into());
        Ticket {
            number: self.tables.lock().insert(&state),
            state,
            index: Some(Arc::clone(self)),
        }
    }

    /// A ticket for what another process stored at `stored_at`; `None` if it was written to since.
    pub(crate) fn adopt(
        self: &Arc<Self>,
        key: KeyId,
        ticket: &Ticket,
        stored_at: Duration,
    ) -> Option<Ticket> {
        let state = State::of(key, ticket.run(), ticket.reads().into());
        let mut tables = self.tables.lock();
        let written = |resource| tables.written.last(resource) >= Some(stored_at);
        if state.reads.iter().any(written) {
            return None;
        }
        Some(Ticket {
            number: tables.insert(&state),
            state,
            index: Some(Arc::clone(self)),
        })
    }

    /// Spoils all that read something overlapping `resource`.
    pub(crate) fn wrote(&self, resource: &Resource, now: Duration) -> Vec<KeyId> {
        let mut tables = self.tables.lock();
        tables.written.note(resource, now);
        tables.spoil(tables.readers(resource))
    }

    /// Spoils what `run` read from resources without a version.
    pub(crate) fn external(&self, run: RunId) -> Vec<KeyId> {
        let tables = self.tables.lock();
        tables.spoil(tables.unversioned.get(&run).into_iter().flatten().copied())
    }
}

impl Tables {
    fn insert(&mut self, state: &Arc<State>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.tickets.insert(number, Arc::clone(state));
        for resource in &state.reads {
            match resource.as_path() {
                None => self.everything.insert(number),
                Some(path) => match self.paths.get_mut(path) {
                    Some(readers) => readers.insert(number),
                    None => self.paths.entry(path.into()).or_default().insert(number),
                },
            };
        }
        number
    }

    fn remove(&mut self, number: u64, state: &State) {
        self.tickets.remove(&number);
        for resource in &state.reads {
            let Some(path) = resource.as_path() else {
                self.everything.remove(&number);
                continue;
            };
            if let Some(readers) = self.paths.get_mut(path) {
                readers.remove(&number);
                if readers.is_empty() {
                    self.paths.remove(path);
                }
            }
        }
        if let Some(numbers) = self.unversioned.get_mut(&state.run) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.unversioned.remove(&state.run);
            }
        }
    }

    fn readers(&self, resource: &Resource) -> BTreeSet<u64> {
        let mut found = self.everything.clone();
        let Some(path) = resource.as_path().filter(|path| !path.is_empty()) else {
            found.extend(self.paths.values().flatten());
            return found;
        };
        let ancestors = path.match_indices('/').map(|(end, _)| &path[..end]);
        for at in ancestors.chain(["", path]) {
            found.extend(self.paths.get(at).into_iter().flatten());
        }
        let below = below(path);
        let below = self.paths.range::<str, _>(below.bounds());
        found.extend(below.flat_map(|(_, readers)| readers));
        found
    }

    fn spoil(&self, numbers: impl IntoIterator<Item = u64>) -> Vec<KeyId> {
        let spoil = |number| {
            let state = self.tickets.get(&number)?;
            let spoiled_before = state.spoiled.swap(true, Ordering::AcqRel);
            (!spoiled_before).then_some(state.key)
        };
        numbers.into_iter().filter_map(spoil).collect()
    }
}
