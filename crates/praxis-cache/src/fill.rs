use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::entry::Reads;
use crate::index::Ticket;
use crate::{CacheKey, Class, Entry, Policy, RunId, ToolCache, Version, Versions};

/// A call under way whose answer may be remembered; from [`ToolCache::begin`].
pub struct Fill<'a> {
    cache: &'a ToolCache,
    versions: &'a dyn Versions,
    /// Nothing to be done if `None`: the answer is not to be remembered.
    open: Option<Open>,
}

struct Open {
    key: CacheKey,
    ttl: Duration,
    class: Class,
    ticket: Ticket,
    before: Box<[Version]>,
}

/// What is known of an answer when its run is done.
pub(crate) enum Landing {
    /// It was true at this moment: for every run, or for the named one.
    Holds(Option<RunId>),
    /// What was read changed, or had just changed, so the answer may be out of date already.
    Unproven,
    /// The cache was told of a change during the run.
    Spoiled,
}

impl<'a> Fill<'a> {
    pub(crate) fn begin(
        cache: &'a ToolCache,
        key: &CacheKey,
        policy: &Policy,
        versions: &'a dyn Versions,
    ) -> Self {
        let open = cache.lifetime(policy).map(|ttl| {
            // The ticket comes first: a write between it and the versions spoils it, one before it shows in the versions.
            let ticket = cache.index.register(key, policy);
            let before = look(&ticket, versions);
            if before.contains(&Version::Unversioned) {
                ticket.unversioned();
            }
            Open {
                key: key.clone(),
                ttl,
                class: policy.class,
                ticket,
                before,
            }
        });
        Self {
            cache,
            versions,
            open,
        }
    }

    /// Hands in the answer; it is remembered if nothing that it depends on changed since the fill began.
    pub fn store(self, value: Value) -> Arc<Value> {
        let value = Arc::new(value);
        self.land(&value);
        value
    }

    pub(crate) fn land(self, value: &Arc<Value>) -> Landing {
        let Some(open) = self.open else {
            return Landing::Unproven;
        };
        if open.class == Class::Read {
            if open.before.contains(&Version::Unsettled) {
                return Landing::Unproven;
            }
            if look(&open.ticket, self.versions) != open.before {
                return Landing::Unproven;
            }
        }
        if open.ticket.is_spoiled() {
            return Landing::Spoiled;
        }
        let unversioned = open.before.contains(&Version::Unversioned);
        let landing = Landing::Holds(unversioned.then(|| open.ticket.run()));
        self.cache.keep(open, value);
        landing
    }
}

fn look(ticket: &Ticket, versions: &dyn Versions) -> Box<[Version]> {
    let reads = ticket.reads().iter();
    reads.map(|resource| versions.version(resource)).collect()
}

impl ToolCache {
    fn keep(&self, open: Open, value: &Arc<Value>) {
        let now = self.clock.now();
        let lifetime = now..now.saturating_add(open.ttl);
        let (id, run) = (open.key.id(), open.ticket.run());
        let value = Arc::clone(value);
        // A pure result has its place in the index only until it is stored.
        let (pure, reads) = match open.class {
            Class::Read => (None, Some((open.ticket, open.before))),
            Class::Pure | Class::Never => (Some(open.ticket), None),
        };
        let reads = reads.map(|(ticket, versions)| Reads { ticket, versions });
        let entry = Entry::landed(open.key, value, lifetime, run, reads);
        if entry.weight_bytes() > self.max_bytes {
            entry.retire();
            return;
        }
        let entry = Arc::new(entry.counted(&self.counters));
        self.counters.stores.add(1);
        if let Some(earlier) = self.store.get(id) {
            earlier.retire();
        }
        self.store.insert(id, Arc::clone(&entry));
        // Whoever spoiled the ticket before the insert found nothing to remove.
        if entry.is_spoiled() || pure.is_some_and(|ticket| ticket.is_spoiled()) {
            self.drop_stale(&entry);
        }
    }
}

impl std::fmt::Debug for Fill<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fill")
            .field("key", &self.open.as_ref().map(|open| &open.key))
            .finish_non_exhaustive()
    }
}
