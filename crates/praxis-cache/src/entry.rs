use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::index::{Index, Ticket};
use crate::key::{KeyBytes, tool_of};
use crate::stats::{Count, Counters};
use crate::{CacheKey, KeyRef, Resource, RunId, Version};

/// One remembered result, as a [`Store`](crate::Store) holds it.
///
/// What a hit writes stands first, beside the count of the `Arc`, which it writes too: so threads that hit the same entry wait for one cache line, not two.
#[derive(Debug)]
#[repr(C)]
pub struct Entry {
    accesses: AtomicU16,
    retired: AtomicBool,
    /// Which of `COUNTED`, `NEGATIVE` and `FOREIGN` it is.
    marks: u8,
    /// `ELSEWHERE` if it is too much.
    weight_bytes: u32,
    /// The key's bytes alone: the place in the store is known to who asks, and hashing anew is for the rarer paths.
    key: KeyBytes,
    value: Arc<Value>,
    origin: Arc<Origin>,
    /// `None` for most entries, which are of pure tools.
    rare: Option<Box<Rare>>,
    /// Nanoseconds on the cache's clock.
    stored_at: u64,
}

/// The weight stands in [`Rare`].
const ELSEWHERE: u32 = u32::MAX;

/// It is in the counts of its origin.
const COUNTED: u8 = 1;

/// It says that there is no answer.
const NEGATIVE: u8 = 2;

/// Read back from where another process may have stored it, and not taken over by the cache yet.
const FOREIGN: u8 = 4;

/// What the entries of one run with one lifetime have in common.
///
/// Every hit reads it, so it stands apart from the count of its `Arc`, which every store writes.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Origin {
    pub(crate) run: RunId,
    pub(crate) lifetime: Duration,
    /// The same as entries hold times.
    lifetime_ns: u64,
    /// None for an entry that is in no cache yet.
    pub(crate) counters: Option<Arc<Counters>>,
}

impl Origin {
    /// The origin of an entry that is in no cache yet.
    pub(crate) fn apart(run: RunId, lifetime: Duration) -> Arc<Self> {
        Self::of(run, lifetime, None)
    }

    /// The origin of entries that are counted there.
    pub(crate) fn of(run: RunId, lifetime: Duration, counters: Option<Arc<Counters>>) -> Arc<Self> {
        Arc::new(Self {
            run,
            lifetime,
            lifetime_ns: nanoseconds(lifetime),
            counters,
        })
    }
}

/// What few entries have.
#[derive(Debug, Default)]
struct Rare {
    reads: Option<Reads>,
    weight_bytes: u64,
    /// For how long after its time it may be given while it is renewed.
    stale_ms: u32,
    /// How long the work took, if it is to be renewed before it expires.
    work_ms: u32,
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
        let origin = Origin::apart(RunId::named(""), Duration::MAX);
        Self::landed(key, value, Duration::ZERO, origin, None)
    }

    pub(crate) fn landed(
        key: CacheKey,
        value: Arc<Value>,
        stored_at: Duration,
        origin: Arc<Origin>,
        reads: Option<Reads>,
    ) -> Self {
        let weight = weigh(&key, &value, reads.as_ref());
        let mut entry = Self {
            key: key.into_bytes(),
            value,
            origin,
            rare: None,
            stored_at: nanoseconds(stored_at),
            weight_bytes: u32::try_from(weight).unwrap_or(ELSEWHERE),
            accesses: AtomicU16::new(0),
            retired: AtomicBool::new(false),
            marks: 0,
        };
        if reads.is_some() || entry.weight_bytes == ELSEWHERE {
            entry.rare = Some(Box::new(Rare {
                reads,
                weight_bytes: weight,
                ..Rare::default()
            }));
        }
        entry
    }

    /// Lets the entry be given for `stale_for` after its time, and be renewed before it if `work` took any.
    pub(crate) fn renewable(mut self, stale_for: Duration, work: Duration) -> Self {
        if stale_for.is_zero() && work.is_zero() {
            return self;
        }
        let stale_ms = u32::try_from(stale_for.as_millis()).unwrap_or(u32::MAX);
        let work_ms = u32::try_from(work.as_millis()).unwrap_or(u32::MAX);
        if (stale_ms, work_ms) != (0, 0) {
            let rare = self.rare.get_or_insert_default();
            (rare.stale_ms, rare.work_ms) = (stale_ms, work_ms);
        }
        self
    }

    /// Makes the entry one that says that there is no answer.
    pub(crate) fn negative(mut self) -> Self {
        self.marks |= NEGATIVE;
        self
    }

    /// Whether it says that there is [no answer](crate::Answer::Negative), and its value why.
    pub fn is_negative(&self) -> bool {
        self.marks & NEGATIVE != 0
    }

    /// How old the entry is at `now`, in nanoseconds; `None` if it was stored later.
    pub(crate) fn age(&self, now: u64) -> Option<u64> {
        now.checked_sub(self.stored_at)
    }

    /// Whether an entry of that age has outlived its time.
    pub(crate) fn is_over(&self, age: u64) -> bool {
        age >= self.origin.lifetime_ns
    }

    /// When the entry may not be given any more, even while it is renewed.
    pub(crate) fn stale_until(&self) -> Duration {
        let stale_ms = self.rare.as_ref().map_or(0, |rare| rare.stale_ms);
        self.expires_at()
            .saturating_add(Duration::from_millis(stale_ms.into()))
    }

    /// Whether this call is to renew an entry that has not expired yet: XFetch.
    pub(crate) fn is_due_early(&self, now: Duration) -> bool {
        let work_ms = self.rare.as_ref().map_or(0, |rare| rare.work_ms);
        if work_ms == 0 {
            return false;
        }
        // As good as random, from what differs between calls and between processes.
        let id = self.key().id().0.to_le_bytes();
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
        let early = f64::from(work_ms) / 1e3 * -random.ln();
        now.as_secs_f64() + early >= self.expires_at().as_secs_f64()
    }

    /// Counts the entry in where it came from, until it is retired or dropped.
    pub(crate) fn counted(mut self) -> Self {
        if let Some(counters) = &self.origin.counters {
            counters.add(Count::Entries, 1);
            counters.add(Count::Bytes, self.weight_bytes());
            self.marks |= COUNTED;
        }
        self
    }

    fn counters(&self) -> Option<&Counters> {
        self.origin
            .counters
            .as_deref()
            .filter(|_| self.marks & COUNTED != 0)
    }

    /// The key that the result is for; its hash is made anew.
    pub fn key(&self) -> KeyRef<'_> {
        KeyRef::from_bytes(self.key_bytes())
            .expect("they are the bytes of the key it was made with")
    }

    /// The tool that the result is of.
    pub(crate) fn tool(&self) -> &str {
        tool_of(self.key_bytes())
    }

    /// The key's bytes, which need no hash to compare.
    pub(crate) fn key_bytes(&self) -> &[u8] {
        &self.key.slice
    }

    /// The result.
    pub fn value(&self) -> &Arc<Value> {
        &self.value
    }

    /// For how long it may be given.
    pub(crate) fn lifetime(&self) -> Duration {
        self.origin.lifetime
    }

    /// When the result was stored, on the cache's clock.
    pub fn stored_at(&self) -> Duration {
        Duration::from_nanos(self.stored_at)
    }

    /// When the result expires, on the cache's clock; one that never does is cut at some 584 years.
    pub fn expires_at(&self) -> Duration {
        let latest = Duration::from_nanos(u64::MAX);
        self.stored_at()
            .saturating_add(self.origin.lifetime)
            .min(latest)
    }

    /// The run that stored the result.
    pub fn run(&self) -> RunId {
        self.origin.run
    }

    /// About how many calls it answered, 65,535 at most: calls at the very same moment may count as one.
    pub fn accesses(&self) -> u32 {
        self.accesses.load(Ordering::Relaxed).into()
    }

    /// The resources that the result was read from, with the version of each.
    pub fn reads(&self) -> impl Iterator<Item = (&Resource, Version)> {
        self.own_reads().into_iter().flat_map(|reads| {
            let versions = reads.versions.iter().copied();
            reads.ticket.reads().iter().zip(versions)
        })
    }

    /// Whether the result depends on anything but the call.
    pub(crate) fn has_read(&self) -> bool {
        self.own_reads().is_some()
    }

    fn own_reads(&self) -> Option<&Reads> {
        self.rare.as_ref()?.reads.as_ref()
    }

    /// The approximate memory of the entry: its key, its value with all that the value owns, its resources and a fixed overhead.
    ///
    /// Counted from lengths and the sizes of types, so that spare capacity, half-empty map nodes and the allocator's rounding are missing.
    pub fn weight_bytes(&self) -> u64 {
        match &self.rare {
            Some(rare) if self.weight_bytes == ELSEWHERE => rare.weight_bytes,
            _ => self.weight_bytes.into(),
        }
    }

    #[cfg(feature = "disk")]
    pub(crate) fn foreign(mut self) -> Self {
        self.marks |= FOREIGN;
        self
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.marks & FOREIGN != 0
    }

    /// The same entry with a place in the cache's own index, from an origin of the cache; `None` if what it read was written to since.
    pub(crate) fn adopted(&self, index: &Arc<Index>, origin: Arc<Origin>) -> Option<Self> {
        let key = CacheKey::of_shared(&self.key, self.key().id());
        let reads = match self.own_reads() {
            None => None,
            Some(reads) => Some(Reads {
                ticket: index.adopt(key.id(), &reads.ticket, self.stored_at())?,
                versions: reads.versions.clone(),
            }),
        };
        let value = Arc::clone(&self.value);
        Some(Self::landed(key, value, self.stored_at(), origin, reads))
    }

    pub(crate) fn touch(&self) {
        // Two threads at once may count as one: an exact count would cost each hit a locked instruction.
        let count = self.accesses.load(Ordering::Relaxed);
        self.accesses
            .store(count.saturating_add(1), Ordering::Relaxed);
    }

    pub(crate) fn is_spoiled(&self) -> bool {
        self.own_reads()
            .is_some_and(|reads| reads.ticket.is_spoiled())
    }

    /// Counts the entry out; false if that was done before.
    pub(crate) fn retire(&self) -> bool {
        let first = !self.retired.swap(true, Ordering::AcqRel);
        if let (true, Some(counters)) = (first, self.counters()) {
            counters.subtract(Count::Entries, 1);
            counters.subtract(Count::Bytes, self.weight_bytes());
        }
        first
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.retire()
            && let Some(counters) = self.counters()
        {
            counters.add(Count::Evictions, 1);
        }
    }
}

/// A time on the cache's clock as entries hold it; what is later than some 584 years is then.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    let seconds = time.as_secs().checked_mul(1_000_000_000);
    let whole = seconds.and_then(|seconds| seconds.checked_add(time.subsec_nanos().into()));
    whole.unwrap_or(u64::MAX)
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
    let mut open = Vec::new();
    let mut next = Some(value);
    while let Some(value) = next {
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
        next = open.pop();
    }
    total
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    fn an_entry_and_its_counts_fit_into_64_bytes() {
        assert_eq!(size_of::<Entry>(), 48);
    }
}
