use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::entry::Reads;
use crate::index::Ticket;
use crate::invalidations::Moment;
use crate::stats::Count;
use crate::{Answer, CacheKey, Class, Entry, KeyRef, Policy, RunId, ToolCache, Version, Versions};

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
    run: RunId,
    since: Moment,
    /// What it reads and the versions before the work; none for a pure tool.
    reads: Option<Reads>,
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
            let since = cache.invalidations.now();
            let reads = (policy.class == Class::Read).then(|| {
                // The ticket comes first: a write between it and the versions spoils it, one before it shows in the versions.
                let ticket = cache.index.register(key.id(), policy);
                let versions = look(&ticket, versions);
                if versions.contains(&Version::Unversioned) {
                    ticket.unversioned();
                }
                Reads { ticket, versions }
            });
            Open {
                key: key.clone(),
                ttl,
                negative_ttl: policy.negative_ttl.filter(|ttl| !ttl.is_zero()),
                stale_for: policy.stale_for,
                began: policy.early_refresh.then(|| cache.clock.now()),
                run: policy.run,
                since,
                reads,
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
        let mut only_for = None;
        if let Some(Reads { ticket, versions }) = &open.reads {
            if versions.contains(&Version::Unsettled) || look(ticket, self.versions) != *versions {
                return Landing::Unproven;
            }
            if ticket.is_spoiled() {
                return Landing::Spoiled;
            }
            only_for = versions.contains(&Version::Unversioned).then_some(open.run);
        }
        let invalidations = &self.cache.invalidations;
        if invalidations.concern(open.key.as_ref(), open.since) {
            return Landing::Spoiled;
        }
        self.cache.keep(open, value, negative);
        Landing::Holds(only_for)
    }
}

fn look(ticket: &Ticket, versions: &dyn Versions) -> Box<[Version]> {
    let reads = ticket.reads().iter();
    reads.map(|resource| versions.version(resource)).collect()
}

impl ToolCache {
    fn keep(&self, open: Open, value: &Arc<Value>, negative: bool) {
        let now = self.clock.now();
        let id = open.key.id();
        let value = Arc::clone(value);
        let work = open
            .began
            .map_or(Duration::ZERO, |began| now.saturating_sub(began));
        let entry = Entry::landed(
            open.key,
            value,
            now,
            self.origin(open.run, open.ttl),
            open.reads,
        );
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
        // Whoever invalidated it before the insert found nothing to remove.
        let key = KeyRef::of(id, entry.key_bytes());
        if entry.is_spoiled() || self.invalidations.concern(key, open.since) {
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
