use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::index::{Index, Ticket};
use crate::stats::Counters;
use crate::{CacheKey, Resource, RunId, Version};

/// One remembered result, as a [`Store`](crate::Store) holds it.
#[derive(Debug)]
pub struct Entry {
    key: CacheKey,
    value: Arc<Value>,
    /// Nanoseconds on the cache's clock, as is the next.
    stored_at: u64,
    expires_at: u64,
    run: RunId,
    weight_bytes: u64,
    /// For how long after that it may be given while it is renewed.
    stale_ms: u32,
    /// How long the work took, if it is to be renewed before it expires.
    work_ms: u32,
    negative: bool,
    /// Boxed, since most entries are of pure tools and have none.
    reads: Option<Box<Reads>>,
    counters: Option<Arc<Counters>>,
    accesses: AtomicU32,
    retired: AtomicBool,
    /// Read back from where another process may have stored it, and not taken over by the cache yet.
    foreign: bool,
}

/// What a result was read from.
#[derive(Debug)]
pub(crate) struct Reads {
    pub(crate) ticket: Ticket,
    /// In the order of the ticket's reads.
    pub(crate) versions: Box<[Version]>,
}

impl Entry {
    /// An entry of a pure result that never expires, for trying out a store.
    pub fn new(key: CacheKey, value: Arc<Value>) -> Self {
        let lifetime = Duration::ZERO..Duration::MAX;
        Self::landed(key, value, lifetime, RunId::named(""), None)
    }

    pub(crate) fn landed(
        key: CacheKey,
        value: Arc<Value>,
        lifetime: std::ops::Range<Duration>,
        run: RunId,
        reads: Option<Reads>,
    ) -> Self {
        Self {
            weight_bytes: weigh(&key, &value, reads.as_ref()),
            key,
            value,
            stored_at: nanoseconds(lifetime.start),
            expires_at: nanoseconds(lifetime.end),
            stale_ms: 0,
            work_ms: 0,
            negative: false,
            run,
            reads: reads.map(Box::new),
            counters: None,
            accesses: AtomicU32::new(0),
            retired: AtomicBool::new(false),
            foreign: false,
        }
    }

    /// Lets the entry be given for `stale_for` after its time, and be renewed before it if `work` took any.
    pub(crate) fn renewable(mut self, stale_for: Duration, work: Duration) -> Self {
        self.stale_ms = u32::try_from(stale_for.as_millis()).unwrap_or(u32::MAX);
        self.work_ms = u32::try_from(work.as_millis()).unwrap_or(u32::MAX);
        self
    }

    /// Makes the entry one that says that there is no answer.
    pub(crate) fn negative(mut self) -> Self {
        self.negative = true;
        self
    }

    /// Whether it says that there is [no answer](crate::Answer::Negative), and its value why.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// When the entry may not be given any more, even while it is renewed.
    pub(crate) fn stale_until(&self) -> Duration {
        self.expires_at()
            .saturating_add(Duration::from_millis(self.stale_ms.into()))
    }

    /// Whether this call is to renew an entry that has not expired yet: XFetch.
    pub(crate) fn is_due_early(&self, now: Duration) -> bool {
        if self.work_ms == 0 {
            return false;
        }
        // As good as random, from what differs between calls and between processes.
        let id = self.key.id().0.to_le_bytes();
        let call = [
            now.as_nanos() as u64,
            self.accesses().into(),
            std::process::id().into(),
        ];
        let mut seed = [0; 40];
        seed[..16].copy_from_slice(&id);
        for (word, place) in call.iter().zip(seed[16..].as_chunks_mut().0) {
            *place = word.to_le_bytes();
        }
        let random = ((xxh3_64(&seed) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        let early = f64::from(self.work_ms) / 1e3 * -random.ln();
        now.as_secs_f64() + early >= self.expires_at().as_secs_f64()
    }

    /// Counts the entry in until it is retired or dropped.
    pub(crate) fn counted(mut self, counters: &Arc<Counters>) -> Self {
        counters.entries.add(1);
        counters.bytes.add(self.weight_bytes);
        self.counters = Some(Arc::clone(counters));
        self
    }

    /// The key that the result is for.
    pub fn key(&self) -> &CacheKey {
        &self.key
    }

    /// The result.
    pub fn value(&self) -> &Arc<Value> {
        &self.value
    }

    /// When the result was stored, on the cache's clock.
    pub fn stored_at(&self) -> Duration {
        Duration::from_nanos(self.stored_at)
    }

    /// When the result expires, on the cache's clock; one that never does is cut at some 584 years.
    pub fn expires_at(&self) -> Duration {
        Duration::from_nanos(self.expires_at)
    }

    /// The run that stored the result.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// About how many calls it answered: calls at the very same moment may count as one.
    pub fn accesses(&self) -> u32 {
        self.accesses.load(Ordering::Relaxed)
    }

    /// The resources that the result was read from, with the version of each.
    pub fn reads(&self) -> impl Iterator<Item = (&Resource, Version)> {
        self.reads.iter().flat_map(|reads| {
            let versions = reads.versions.iter().copied();
            reads.ticket.reads().iter().zip(versions)
        })
    }

    /// The approximate memory of the entry: its key, its value with all that the value owns, its resources and a fixed overhead.
    ///
    /// Counted from lengths and the sizes of types, so that spare capacity, half-empty map nodes and the allocator's rounding are missing.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    #[cfg(feature = "disk")]
    pub(crate) fn foreign(mut self) -> Self {
        self.foreign = true;
        self
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// The same entry with a place in the cache's own index; `None` if what it read was written to since.
    pub(crate) fn adopted(&self, index: &Arc<Index>) -> Option<Self> {
        let reads = match &self.reads {
            None => None,
            Some(reads) => Some(Reads {
                ticket: index.adopt(&self.key, &reads.ticket, self.stored_at())?,
                versions: reads.versions.clone(),
            }),
        };
        let (key, value) = (self.key.clone(), Arc::clone(&self.value));
        let lifetime = self.stored_at()..self.expires_at();
        Some(Self::landed(key, value, lifetime, self.run, reads))
    }

    pub(crate) fn touch(&self) {
        // Two threads at once may count as one: an exact count would cost each hit a locked instruction.
        let count = self.accesses.load(Ordering::Relaxed);
        self.accesses
            .store(count.saturating_add(1), Ordering::Relaxed);
    }

    pub(crate) fn is_spoiled(&self) -> bool {
        self.reads
            .as_ref()
            .is_some_and(|reads| reads.ticket.is_spoiled())
    }

    /// Counts the entry out; false if that was done before.
    pub(crate) fn retire(&self) -> bool {
        let first = !self.retired.swap(true, Ordering::AcqRel);
        if let (true, Some(counters)) = (first, &self.counters) {
            counters.entries.subtract(1);
            counters.bytes.subtract(self.weight_bytes);
        }
        first
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.retire()
            && let Some(counters) = &self.counters
        {
            counters.evictions.add(1);
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What an entry costs apart from what it owns: itself, its place in the store, and the counts of its key's and value's allocations.
const FIXED_BYTES: usize = size_of::<Entry>() + 112;

fn weigh(key: &CacheKey, value: &Value, reads: Option<&Reads>) -> u64 {
    let reads: usize = reads.map_or(0, |reads| {
        let own = |read: &Resource| {
            2 * read.as_path().map_or(0, str::len) + size_of::<(Resource, Version)>() + 100
        };
        size_of::<Reads>() + 200 + reads.ticket.reads().iter().map(own).sum::<usize>()
    });
    (FIXED_BYTES + key.as_ref().bytes().len() + reads + weigh_value(value)) as u64
}

/// Walks with a list instead of recursion, since a result may nest as deep as it likes.
pub(crate) fn weigh_value(value: &Value) -> usize {
    const MEMBER: usize = size_of::<String>() + size_of::<Value>();
    let mut total = 0;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        total += size_of::<Value>();
        match value {
            Value::String(text) => total += text.len(),
            Value::Array(items) => open.extend(items),
            Value::Object(map) => {
                for (name, value) in map {
                    // Map nodes are about two thirds full.
                    total += name.len() + MEMBER * 3 / 2 - size_of::<Value>();
                    open.push(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    total
}
