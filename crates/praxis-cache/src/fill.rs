use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::entry::Reads;
use crate::index::Ticket;
use crate::stats::Count;
use crate::{Answer, CacheKey, Class, Entry, Policy, RunId, ToolCache, Version, Versions};

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
    negative_ttl: Option<Duration>,
    stale_for: Duration,
    /// When the work began, if the entry is to be renewed early.
    began: Option<Duration>,
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
    /// There is no answer, which nobody asked to be remembered.
    Negative,
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
                negative_ttl: policy.negative_ttl.filter(|ttl| !ttl.is_zero()),
                stale_for: policy.stale_for,
                began: policy.early_refresh.then(|| cache.clock.now()),
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
    pub fn store(self, answer: impl Into<Answer>) -> Arc<Value> {
        self.land(answer.into()).0
    }

    /// The answer's value, whether there was none, and what is known of it.
    pub(crate) fn land(self, answer: Answer) -> (Arc<Value>, bool, Landing) {
        let (value, negative) = match answer {
            Answer::Found(value) => (Arc::new(value), false),
            Answer::Negative(value) => (Arc::new(value), true),
        };
        let landing = self.settle(&value, negative);
        (value, negative, landing)
    }

    fn settle(self, value: &Arc<Value>, negative: bool) -> Landing {
        let Some(mut open) = self.open else {
            return Landing::Unproven;
        };
        if negative {
            match open.negative_ttl {
                Some(ttl) => (open.ttl, open.stale_for, open.began) = (ttl, Duration::ZERO, None),
                None => return Landing::Negative,
            }
        }
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
        self.cache.keep(open, value, negative);
        landing
    }
}

fn look(ticket: &Ticket, versions: &dyn Versions) -> Box<[Version]> {
    let reads = ticket.reads().iter();
    reads.map(|resource| versions.version(resource)).collect()
}

impl ToolCache {
    fn keep(&self, open: Open, value: &Arc<Value>, negative: bool) {
        let now = self.clock.now();
        let (id, run) = (open.key.id(), open.ticket.run());
        let value = Arc::clone(value);
        // A pure result has its place in the index only until it is stored.
        let (pure, reads) = match open.class {
            Class::Read => (None, Some((open.ticket, open.before))),
            Class::Pure | Class::Never => (Some(open.ticket), None),
        };
        let reads = reads.map(|(ticket, versions)| Reads { ticket, versions });
        let work = open
            .began
            .map_or(Duration::ZERO, |began| now.saturating_sub(began));
        let entry = Entry::landed(open.key, value, now, self.origin(run, open.ttl), reads);
        let mut entry = entry.renewable(open.stale_for, work);
        if negative {
            entry = entry.negative();
        }
        if entry.weight_bytes() > self.max_bytes {
            entry.retire();
            return;
        }
        let entry = Arc::new(entry.counted());
        self.counters.add(Count::Stores, 1);
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
