use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::index::Ticket;
use crate::stats::Counters;
use crate::{CacheKey, Resource, RunId, Version};

/// One remembered result, as a [`Store`](crate::Store) holds it.
#[derive(Debug)]
pub struct Entry {
    key: CacheKey,
    value: Arc<Value>,
    stored_at: Duration,
    expires_at: Duration,
    /// In the order of the ticket's reads.
    versions: Box<[Version]>,
    weight_bytes: u64,
    ticket: Ticket,
    counters: Option<Arc<Counters>>,
    retired: AtomicBool,
}

impl Entry {
    /// An entry of a pure result that never expires, for trying out a store.
    pub fn new(key: CacheKey, value: Arc<Value>) -> Self {
        let ticket = Ticket::detached(&key);
        Self {
            weight_bytes: weigh(&key, &value, ticket.reads()),
            key,
            value,
            stored_at: Duration::ZERO,
            expires_at: Duration::MAX,
            versions: Box::default(),
            ticket,
            counters: None,
            retired: AtomicBool::new(false),
        }
    }

    pub(crate) fn of_ticket(
        key: CacheKey,
        value: Arc<Value>,
        lifetime: std::ops::Range<Duration>,
        versions: Box<[Version]>,
        ticket: Ticket,
    ) -> Self {
        Self {
            weight_bytes: weigh(&key, &value, ticket.reads()),
            key,
            value,
            stored_at: lifetime.start,
            expires_at: lifetime.end,
            versions,
            ticket,
            counters: None,
            retired: AtomicBool::new(false),
        }
    }

    /// Counts the entry in until it is retired or dropped.
    pub(crate) fn counted(mut self, counters: &Arc<Counters>) -> Self {
        counters.stores.add(1);
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
        self.stored_at
    }

    /// When the result expires, on the cache's clock.
    pub fn expires_at(&self) -> Duration {
        self.expires_at
    }

    /// The run that stored the result.
    pub fn run(&self) -> RunId {
        self.ticket.run()
    }

    /// The resources that the result was read from, with the version of each.
    pub fn reads(&self) -> impl Iterator<Item = (&Resource, Version)> {
        self.ticket
            .reads()
            .iter()
            .zip(self.versions.iter().copied())
    }

    /// The approximate memory of the entry: its key, its value with all that the value owns, its resources and a fixed overhead.
    ///
    /// Counted from lengths and the sizes of types, so that spare capacity, half-empty map nodes and the allocator's rounding are missing.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    pub(crate) fn is_spoiled(&self) -> bool {
        self.ticket.is_spoiled()
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

/// What an entry costs apart from what it owns: itself, its place in the store and in the index.
const FIXED_BYTES: usize = size_of::<Entry>() + 320;

fn weigh(key: &CacheKey, value: &Value, reads: &[Resource]) -> u64 {
    let reads: usize = reads
        .iter()
        .map(|read| 2 * read.as_path().map_or(0, str::len) + size_of::<Resource>() + 100)
        .sum();
    (FIXED_BYTES + key.as_ref().bytes().len() + reads + weigh_value(value)) as u64
}

/// Walks with a list instead of recursion, since a result may nest as deep as it likes.
fn weigh_value(value: &Value) -> usize {
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
