use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::clock::CLOCK_SLACK;
use crate::entry::{Origin, nanoseconds};
use crate::fill::{Fill, Landing};
use crate::flight::{Flights, Shared, Turn};
use crate::hit::Found;
use crate::index::Index;
use crate::invalidations::{Invalidation, Invalidations, Moment};
use crate::stats::{Count, Counters, SEATS, seat};
use crate::{
    Answer, CacheKey, CacheKeyBuilder, Class, Clock, Entry, Error, Explanation, Hit, KeyId, KeyRef,
    NoVersions, Outcome, Policy, Resource, RunId, Stats, Store, Sweeper, ToolCacheBuilder, Version,
    Versions,
};

/// Remembers what tools answered, as long as the answer cannot have changed.
///
/// A hit has passed all of these: its key's bytes are equal, its TTL has not passed, nothing in this process wrote what it read, and each resource that it read still has the version it had.
/// Any number of threads and tasks may share one cache.
pub struct ToolCache {
    pub(crate) store: Box<dyn Store>,
    pub(crate) index: Arc<Index>,
    pub(crate) invalidations: Invalidations,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) ttl: Duration,
    pub(crate) max_bytes: u64,
    pub(crate) flights: Flights,
    /// Those of the entries stored last, for the next ones to share.
    pub(crate) origins: [RecentOrigins; SEATS],
    /// The run of calls that belong to none.
    pub(crate) run: RunId,
    /// Drops what has expired; only a shared cache has one.
    pub(crate) sweeper: OnceLock<Sweeper>,
}

/// So many origins are at hand for further entries of a thread to share; when more take turns, an entry costs up to 128 bytes more.
pub(crate) const RECENT_ORIGINS: usize = 16;

/// Apart, so that a thread does not wait for the cache line of another's.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct RecentOrigins(Mutex<[Option<Arc<Origin>>; RECENT_ORIGINS]>);

impl Default for ToolCache {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl ToolCache {
    /// Settings to build a cache from, at their defaults.
    pub fn builder() -> ToolCacheBuilder {
        ToolCacheBuilder::default()
    }

    /// The answer remembered for a call of `tool`, if it depends on nothing but the call.
    ///
    /// What was read from resources needs [`lookup`](Self::lookup), which can ask for their versions.
    ///
    /// # Errors
    ///
    /// The arguments make no key; run the tool uncached then.
    ///
    /// ```
    /// use praxis_cache::{CacheKeyBuilder, ToolCache};
    /// use serde_json::json;
    ///
    /// let cache = ToolCache::default();
    /// let tool = CacheKeyBuilder::new("word_count").contract(b"its digest");
    /// let arguments = json!({"text": "to be"}).as_object().cloned().unwrap_or_default();
    /// assert!(cache.get(&tool, &arguments)?.is_none());
    /// cache.set(&tool, &arguments, json!(2))?;
    /// assert_eq!(**cache.get(&tool, &arguments)?.expect("it was set").value(), json!(2));
    /// cache.invalidate(&tool, &arguments)?;
    /// # Ok::<(), praxis_cache::Error>(())
    /// ```
    pub fn get(
        &self,
        tool: &CacheKeyBuilder,
        arguments: &Map<String, Value>,
    ) -> Result<Option<Hit>, Error> {
        tool.with_key(arguments, |key| self.lookup(key, self.run, &NoVersions))
    }

    /// Remembers `value` as the answer to a call of `tool`, for the cache's TTL; for tools whose answers depend on nothing but the call.
    ///
    /// What was read from resources needs [`get_or_run`](Self::get_or_run) or [`begin`](Self::begin), which look at them before the tool does.
    ///
    /// # Errors
    ///
    /// The arguments make no key, and nothing is remembered.
    pub fn set(
        &self,
        tool: &CacheKeyBuilder,
        arguments: &Map<String, Value>,
        value: Value,
    ) -> Result<Arc<Value>, Error> {
        let key = tool.key(arguments)?;
        Ok(self
            .begin(&key, &Policy::pure(self.run), &NoVersions)
            .store(value))
    }

    /// The answer remembered under `key`, if it holds at this moment for a call of `run`.
    ///
    /// An entry that holds no more is dropped.
    /// One read from a resource without versions holds in the run that stored it only, and is kept for that run.
    pub fn lookup(&self, key: KeyRef<'_>, run: RunId, versions: &dyn Versions) -> Option<Hit> {
        let hit = self.find(key, run, versions);
        let count = hit.as_ref().map_or(Count::Misses, |_| Count::Hits);
        self.counters.add(count, 1);
        hit
    }

    fn find(&self, key: KeyRef<'_>, run: RunId, versions: &dyn Versions) -> Option<Hit> {
        let found = self.look(key, run, versions)?;
        // A stale one is left to those who can renew it.
        (!found.expired).then(|| found.into_hit())
    }

    fn look(&self, key: KeyRef<'_>, run: RunId, versions: &dyn Versions) -> Option<Found> {
        let moment = self.invalidations.now();
        let mut entry = self.store.get(key.id())?;
        if entry.key_bytes() != key.bytes() {
            return None;
        }
        if entry.is_foreign() {
            entry = self.adopt(&entry, moment)?;
        }
        self.check(entry, run, versions)
    }

    fn check(&self, entry: Arc<Entry>, run: RunId, versions: &dyn Versions) -> Option<Found> {
        let now = self.clock.now();
        // A clock that goes backwards by little leaves what it stored as new.
        let age = entry.age(nanoseconds(now));
        let expired = age.is_some_and(|age| entry.is_over(age));
        let later = age.is_none() && now + CLOCK_SLACK < entry.stored_at();
        if expired && now >= entry.stale_until() || later {
            if self.drop_entry(&entry) {
                self.counters.add(Count::Expired, 1);
            }
            return None;
        }
        if entry.has_read() && !self.still_holds(&entry, run, versions) {
            return None;
        }
        entry.touch();
        Some(Found {
            entry,
            now,
            age: Duration::from_nanos(age.unwrap_or(0)),
            expired,
        })
    }

    /// Whether what the entry was read from is as it was; drops it if it is known not to be.
    fn still_holds(&self, entry: &Entry, run: RunId, versions: &dyn Versions) -> bool {
        for (resource, version) in entry.reads() {
            let present = match version {
                Version::At(_) => versions.version(resource),
                Version::Unversioned if entry.run() == run => version,
                Version::Unversioned | Version::Unsettled => return false,
            };
            if present != version {
                // One who cannot tell its version proves nothing against it.
                if present != Version::Unversioned {
                    self.drop_stale(entry);
                }
                return false;
            }
        }
        // Last, so that what was written while the versions were looked at counts.
        if entry.is_spoiled() {
            self.drop_stale(entry);
            return false;
        }
        true
    }

    /// Takes over what the store read back from where another process may have stored it.
    fn adopt(&self, found: &Entry, since: Moment) -> Option<Arc<Entry>> {
        let id = found.key().id();
        let Some(entry) = found.adopted(&self.index, self.origin(found.run(), found.lifetime()))
        else {
            self.store.remove(id);
            return None;
        };
        let entry = Arc::new(entry.counted());
        if !self.store.promote(id, &entry) {
            entry.retire();
        }
        // Whoever invalidated between the look and the promotion found nothing to remove.
        if self.invalidations.concern(entry.key(), since) {
            self.drop_entry(&entry);
            return None;
        }
        Some(entry)
    }

    /// The remembered answer, or else the one that `work` gives, which is then remembered if `policy` and the versions allow.
    ///
    /// Of callers that miss the same key at the same time one works and the others wait for it.
    /// If that one fails or its future is dropped, the next in line does its own work, so a failure reaches only the caller whose work failed.
    /// If its answer turns out to hold for it alone (what it read changed meanwhile), the others work on their own.
    /// Nothing is locked while `work` runs. `versions` is asked on the calling thread.
    ///
    /// `work` gives a value, or an [`Answer`] that may also say that there is none.
    ///
    /// # Errors
    ///
    /// Whatever `work` returns; failures are not remembered.
    pub async fn get_or_run<F, Fut, A, E>(
        &self,
        key: &CacheKey,
        policy: &Policy,
        versions: &dyn Versions,
        work: F,
    ) -> Result<Outcome, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<A, E>>,
        A: Into<Answer>,
    {
        if self.lifetime(policy).is_none() {
            return self.run_alone(key, policy, versions, work).await;
        }
        loop {
            let held = match self.look(key.as_ref(), policy.run, versions) {
                Some(found) if !found.is_due() => return Ok(self.shared(&found)),
                held => held,
            };
            let Some(mut seat) = self.flights.join(key) else {
                return match held {
                    Some(held) => Ok(self.shared(&held)),
                    None => self.run_alone(key, policy, versions, work).await,
                };
            };
            let turn = match &held {
                None => seat.turn().await,
                Some(_) if seat.take_lead() => Turn::Lead,
                // Somebody renews it already.
                Some(held) => return Ok(self.shared(held)),
            };
            match turn {
                Turn::Alone => return self.run_alone(key, policy, versions, work).await,
                Turn::Share(shared) if shared.run.is_none_or(|run| run == policy.run) => {
                    return Ok(self.shared(shared));
                }
                Turn::Share(..) => {}
                Turn::Lead => {
                    // Another flight may have landed between the look and the lead.
                    let landed = self.look(key.as_ref(), policy.run, versions);
                    if let Some(landed) = landed.filter(|landed| !landed.is_same(held.as_ref())) {
                        let shared = Shared::from(&landed);
                        seat.end(Turn::Share(Shared {
                            run: Some(policy.run),
                            ..shared.clone()
                        }));
                        return Ok(self.shared(shared));
                    }
                    self.counters.add(Count::Misses, 1);
                    let fill = self.begin(key, policy, versions);
                    let (value, negative, landing) = fill.land(work().await?.into());
                    match landing {
                        Landing::Holds(run) => seat.end(Turn::Share(Shared {
                            value: Arc::clone(&value),
                            negative,
                            run,
                        })),
                        Landing::Unproven => seat.end(Turn::Alone),
                        // Leaving the seat lets the next in line try again.
                        Landing::Spoiled | Landing::Negative => drop(seat),
                    }
                    return Ok(Outcome::fresh(value, negative));
                }
            }
        }
    }

    async fn run_alone<F, Fut, A, E>(
        &self,
        key: &CacheKey,
        policy: &Policy,
        versions: &dyn Versions,
        work: F,
    ) -> Result<Outcome, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<A, E>>,
        A: Into<Answer>,
    {
        self.counters.add(Count::Misses, 1);
        let fill = self.begin(key, policy, versions);
        let (value, negative, _) = fill.land(work().await?.into());
        Ok(Outcome::fresh(value, negative))
    }

    fn shared(&self, shared: impl Into<Shared>) -> Outcome {
        self.counters.add(Count::Hits, 1);
        let shared = shared.into();
        Outcome {
            value: shared.value,
            cached: true,
            negative: shared.negative,
        }
    }

    /// Starts to remember a call that the caller is about to make itself.
    ///
    /// Call it *before* the tool reads anything, and [`Fill::store`] with the answer; dropping the fill remembers nothing.
    /// For callers that cannot await; all others have [`get_or_run`](Self::get_or_run).
    pub fn begin<'a>(
        &'a self,
        key: &CacheKey,
        policy: &Policy,
        versions: &'a dyn Versions,
    ) -> Fill<'a> {
        Fill::begin(self, key, policy, versions)
    }

    /// The answer remembered under a key's hash, if it holds at this moment for a call of `run`.
    ///
    /// The hash stands for the key here, so a caller who took it from anywhere but this cache may get another call's answer.
    pub fn get_by_key(&self, id: KeyId, run: RunId, versions: &dyn Versions) -> Option<Hit> {
        let entry = self.entry(id)?;
        self.lookup(entry.key(), run, versions)
    }

    /// Why the answer under a key's hash is safe to give, or is not; counts nothing and drops nothing.
    pub fn explain(&self, id: KeyId, versions: &dyn Versions) -> Option<Explanation> {
        let entry = self.entry(id)?;
        Some(Explanation::of(&entry, self.clock.now(), versions))
    }

    /// The entry of that very id: a store may find it by less.
    fn entry(&self, id: KeyId) -> Option<Arc<Entry>> {
        let entry = self.store.get(id);
        entry.filter(|entry| entry.key().id() == id)
    }

    /// The same for every entry whose key `wanted` says true to; looks at every entry, on disk too.
    pub fn explain_all(
        &self,
        wanted: impl Fn(KeyRef<'_>) -> bool,
        versions: &dyn Versions,
    ) -> Vec<Explanation> {
        let mut found: BTreeMap<KeyId, Arc<Entry>> = BTreeMap::new();
        let mut ids = Vec::new();
        self.store.retain(&mut |entry| {
            let key = entry.key();
            if wanted(key) {
                ids.push(key.id());
            }
            true
        });
        // Looked at one by one, since versions take as long as they take and the store may be locked meanwhile.
        found.extend(ids.into_iter().filter_map(|id| Some((id, self.entry(id)?))));
        let now = self.clock.now();
        let explain = |entry: &Arc<Entry>| Explanation::of(entry, now, versions);
        found.values().map(explain).collect()
    }

    /// Drops what is older than its TTL, and says how much that was; looks at every entry.
    pub fn cleanup_expired(&self) -> u64 {
        let now = self.clock.now();
        let mut expired = 0;
        self.store.retain(&mut |entry| {
            let kept = now < entry.stale_until();
            expired += u64::from(!kept && entry.retire());
            kept
        });
        self.counters.add(Count::Expired, expired);
        expired
    }

    /// Forgets what was read from anything that overlaps `resource`.
    ///
    /// To be called when a write is done, or has failed half way; reads that were under way meanwhile are not remembered.
    /// Costs time in the depth of the path and the number of entries dropped, not in the number of entries kept.
    pub fn wrote(&self, resource: &Resource) {
        self.forget(&self.index.wrote(resource, self.clock.now()));
    }

    /// Forgets what `run` has read from resources without versions.
    pub fn external(&self, run: RunId) {
        self.forget(&self.index.external(run));
    }

    /// Forgets the answer to a call of `tool`.
    ///
    /// # Errors
    ///
    /// The arguments make no key; nothing is remembered for them then.
    pub fn invalidate(
        &self,
        tool: &CacheKeyBuilder,
        arguments: &Map<String, Value>,
    ) -> Result<(), Error> {
        tool.with_key(arguments, |key| self.invalidate_key(key))
    }

    /// Forgets the answer for `key`.
    pub fn invalidate_key(&self, key: KeyRef<'_>) {
        self.invalidations.note(Invalidation::Key(key.id()));
        match self.store.get(key.id()) {
            Some(entry) => self.drop_stale(&entry),
            None => self.store.remove(key.id()),
        }
    }

    /// Forgets all answers of `tool`; looks at every entry.
    pub fn invalidate_tool(&self, tool: &str) {
        self.invalidations.note(Invalidation::Tool(tool.into()));
        self.retain(|entry| entry.tool() != tool);
    }

    /// Forgets all answers whose key `wanted` says true to, and says how many it forgot; looks at every entry.
    ///
    /// What is being worked on meanwhile is not remembered, whatever its key.
    /// A [`Pattern`](crate::Pattern) over the tool, the tenant, or the [text](KeyRef::text) of the key makes a condition.
    /// `wanted` must not call the cache.
    pub fn invalidate_matching(&self, wanted: impl Fn(KeyRef<'_>) -> bool) -> u64 {
        self.invalidations.note(Invalidation::Any);
        self.retain(|entry| !wanted(entry.key()))
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.invalidate_matching(|_| true);
        self.store.clear();
    }

    fn retain(&self, keep: impl Fn(&Entry) -> bool) -> u64 {
        let mut gone = 0;
        self.store.retain(&mut |entry| {
            let kept = keep(entry);
            gone += u64::from(!kept && entry.retire());
            kept
        });
        self.counters.add(Count::Invalidated, gone);
        gone
    }

    /// What the cache did and holds.
    pub fn stats(&self) -> Stats {
        self.store.settle();
        self.counters.snapshot()
    }

    /// How long an answer under `policy` is remembered; `None` for not at all.
    pub(crate) fn lifetime(&self, policy: &Policy) -> Option<Duration> {
        let ttl = policy.ttl.unwrap_or(self.ttl);
        let kept = policy.class != Class::Never && self.max_bytes > 0 && !ttl.is_zero();
        kept.then_some(ttl)
    }

    /// What the entries of `run` with that lifetime share in this cache.
    pub(crate) fn origin(&self, run: RunId, lifetime: Duration) -> Arc<Origin> {
        let mixed = (run.0 as u64).wrapping_add(lifetime.as_nanos() as u64);
        // The golden ratio spreads them over all places.
        let mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        // Apart by thread, so that threads do not wait for each other to count who shares an origin.
        let mut origins = self.origins[seat()].0.lock();
        let place = &mut origins[mixed as usize % RECENT_ORIGINS];
        match place {
            Some(origin) if (origin.run, origin.lifetime) == (run, lifetime) => Arc::clone(origin),
            _ => {
                let counters = Some(Arc::clone(&self.counters));
                Arc::clone(place.insert(Origin::of(run, lifetime, counters)))
            }
        }
    }

    pub(crate) fn drop_stale(&self, entry: &Entry) {
        if self.drop_entry(entry) {
            self.counters.add(Count::Invalidated, 1);
        }
    }

    fn drop_entry(&self, entry: &Entry) -> bool {
        let first = entry.retire();
        // May hit a younger entry of the same key that was stored just now, which costs a run and no correctness.
        self.store.remove(entry.key().id());
        first
    }

    fn forget(&self, keys: &[KeyId]) {
        for &id in keys {
            if let Some(entry) = self.store.get(id).filter(|entry| entry.is_spoiled()) {
                self.drop_stale(&entry);
            }
        }
    }
}

impl fmt::Debug for ToolCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolCache")
            .field("ttl", &self.ttl)
            .field("max_bytes", &self.max_bytes)
            .field("stats", &self.counters.snapshot())
            .finish_non_exhaustive()
    }
}
