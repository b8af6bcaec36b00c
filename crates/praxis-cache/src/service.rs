//! A cache for anything: by category and key, with a TTL for each entry.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, OptionsBuilder, Weighter};
use serde_json::Value;

use crate::clock::CLOCK_SLACK;
use crate::entry::weigh_value;
use crate::stats::{Counter, Looks};
use crate::{Clock, MonotonicClock};

/// A value whose memory can be told.
pub trait Weighted {
    /// The bytes that the value takes with all that it owns, as far as lengths and the sizes of types tell.
    ///
    /// Spare capacity and the allocator's rounding may be missing: for text and JSON that is a third at most.
    fn weight_bytes(&self) -> usize;
}

impl Weighted for Value {
    fn weight_bytes(&self) -> usize {
        weigh_value(self)
    }
}

impl Weighted for String {
    fn weight_bytes(&self) -> usize {
        size_of::<Self>() + self.len()
    }
}

impl Weighted for Vec<u8> {
    fn weight_bytes(&self) -> usize {
        size_of::<Self>() + self.len()
    }
}

/// A kind of value that [`CacheService::remember`] keeps, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Category {
    name: &'static str,
    ttl: Duration,
}

impl Category {
    /// The outcome of checking a program against a catalog of tools: 300 seconds.
    pub const VALIDATION: Self = Self::new("validation", Duration::from_secs(300));

    /// A filled-in template of a language model's context: 600 seconds.
    pub const TEMPLATE: Self = Self::new("template", Duration::from_secs(600));

    /// A category of values that are kept for `ttl`.
    pub const fn new(name: &'static str, ttl: Duration) -> Self {
        Self { name, ttl }
    }

    /// The name, by which it has statistics and can be cleared.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How long its values are kept.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }
}

/// What an entry takes apart from its key and value: its counts, its place in the table and the table's spare places.
const FIXED_BYTES: usize = 160;

/// Remembers values by category and key, within a bound of bytes.
///
/// A category is a name that the caller makes up, such as `validation`; it has its own statistics and can be cleared alone.
/// Categories are never forgotten, so their names must not come from outside.
/// The statistics of a hit are one addition to a counter of the calling thread's.
///
/// Capacity zero and TTL zero keep nothing, a value heavier than a shard (a sixteenth of the bound, or 4 MiB if that is more) is not kept, and a huge TTL is cut at the clock's end.
///
/// ```
/// use std::time::Duration;
///
/// use praxis_cache::{CacheService, Category};
///
/// let service = CacheService::<String>::new(16 << 20, Duration::from_secs(300));
/// let program = "CALL read_file a.txt";
/// for _ in 0..2 {
///     let made_from: [&[u8]; 2] = [b"catalog 7", program.as_bytes()];
///     let checked = service.remember(Category::VALIDATION, &made_from, || "no errors".to_owned());
///     assert_eq!(*checked, "no errors");
/// }
/// assert_eq!(service.category_stats("validation").hits, 1);
/// ```
pub struct CacheService<V> {
    items: Cache<ItemKey, Arc<Item<V>>, Weigh, RandomState>,
    /// The secret keys of the hashes that stand for content.
    content: [RandomState; 2],
    categories: RwLock<HashMap<Box<str>, Arc<Counts>>>,
    clock: Box<dyn Clock>,
    ttl: Duration,
    max_bytes: u64,
    since: SystemTime,
}

/// What a service, or one category of it, did and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceStats {
    /// Calls that were answered.
    pub hits: u64,
    /// Calls that found nothing, or something too old.
    pub misses: u64,
    /// Values that were kept.
    pub sets: u64,
    /// Entries deleted by their key.
    pub deletes: u64,
    /// Times that the category was cleared; for the service, the sum of them.
    pub clears: u64,
    /// Entries found older than their TTL.
    pub expired: u64,
    /// Entries let go to keep within the bound.
    pub evictions: u64,
    /// Entries held.
    pub entries: u64,
    /// Their approximate size.
    pub bytes: u64,
    /// Since when all this is counted.
    pub since: SystemTime,
}

#[derive(Debug, Default)]
struct Counts {
    looks: Looks,
    sets: Counter,
    deletes: Counter,
    clears: Counter,
    expired: Counter,
    evictions: Counter,
    entries: Counter,
    bytes: Counter,
}

#[derive(Debug, Hash, PartialEq, Eq)]
struct ItemKey {
    category: Box<str>,
    key: Box<str>,
}

#[derive(Hash)]
struct Borrowed<'a> {
    category: &'a str,
    key: &'a str,
}

impl Equivalent<ItemKey> for Borrowed<'_> {
    fn equivalent(&self, key: &ItemKey) -> bool {
        *self.key == *key.key && *self.category == *key.category
    }
}

struct Item<V> {
    value: Arc<V>,
    category: Arc<Counts>,
    stored_at: Duration,
    expires_at: Duration,
    weight_bytes: u64,
    retired: AtomicBool,
}

impl<V> Item<V> {
    /// Counts the item out; false if that was done before.
    fn retire(&self) -> bool {
        let first = !self.retired.swap(true, Ordering::AcqRel);
        if first {
            self.category.entries.subtract(1);
            self.category.bytes.subtract(self.weight_bytes);
        }
        first
    }
}

impl<V> Drop for Item<V> {
    fn drop(&mut self) {
        if self.retire() {
            self.category.evictions.add(1);
        }
    }
}

#[derive(Clone, Debug)]
struct Weigh;

impl<V> Weighter<ItemKey, Arc<Item<V>>> for Weigh {
    fn weight(&self, _: &ItemKey, item: &Arc<Item<V>>) -> u64 {
        item.weight_bytes.max(1)
    }
}

impl<V: Weighted> CacheService<V> {
    /// A service whose entries weigh at most `max_bytes` together and live for `ttl` unless told.
    pub fn new(max_bytes: u64, ttl: Duration) -> Self {
        Self::with_clock(max_bytes, ttl, MonotonicClock::default())
    }

    /// The same with a clock of the caller's.
    pub fn with_clock(max_bytes: u64, ttl: Duration, clock: impl Clock + 'static) -> Self {
        let shards = (max_bytes / (4 << 20)).clamp(1, 16);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(
                usize::try_from(max_bytes / 512)
                    .unwrap_or(usize::MAX)
                    .clamp(1, 1 << 16),
            )
            .weight_capacity(max_bytes)
            .shards(1 << shards.ilog2())
            .build()
            .expect("both sizes are given");
        let hasher = RandomState::new();
        Self {
            items: Cache::with_options(options, Weigh, hasher, DefaultLifecycle::default()),
            content: [RandomState::new(), RandomState::new()],
            categories: RwLock::default(),
            clock: Box::new(clock),
            ttl,
            max_bytes,
            since: SystemTime::now(),
        }
    }

    /// The value under `key`, if it is there and not too old.
    pub fn get(&self, category: &str, key: &str) -> Option<Arc<V>> {
        let borrowed = Borrowed { category, key };
        let Some(item) = self.items.get(&borrowed) else {
            self.category(category).looks.missed();
            return None;
        };
        let now = self.clock.now();
        if now < item.expires_at && now + CLOCK_SLACK >= item.stored_at {
            item.category.looks.hit();
            return Some(Arc::clone(&item.value));
        }
        item.category.looks.missed();
        if item.retire() {
            item.category.expired.add(1);
        }
        // One that was set in between stays.
        self.items
            .remove_if(&borrowed, |found| Arc::ptr_eq(found, &item));
        None
    }

    /// Keeps `value` under `key` for the service's TTL, in place of an earlier one.
    pub fn set(&self, category: &str, key: &str, value: V) -> Arc<V> {
        self.set_for(category, key, value, self.ttl)
    }

    /// Keeps `value` under `key` for `ttl`, in place of an earlier one.
    pub fn set_for(&self, category: &str, key: &str, value: V, ttl: Duration) -> Arc<V> {
        let value = Arc::new(value);
        let own = FIXED_BYTES + category.len() + key.len() + value.weight_bytes();
        let weight_bytes = own as u64;
        let borrowed = Borrowed { category, key };
        if ttl.is_zero() || weight_bytes > self.max_bytes {
            // What is not kept must not leave an older value in its place.
            if let Some((_, earlier)) = self.items.remove(&borrowed) {
                earlier.retire();
            }
            return value;
        }
        let counters = self.category(category);
        counters.sets.add(1);
        counters.entries.add(1);
        counters.bytes.add(weight_bytes);
        let stored_at = self.clock.now();
        let item = Item {
            value: Arc::clone(&value),
            category: counters,
            stored_at,
            expires_at: stored_at.saturating_add(ttl),
            weight_bytes,
            retired: AtomicBool::new(false),
        };
        if let Some(earlier) = self.items.peek(&borrowed) {
            earlier.retire();
        }
        let key = ItemKey {
            category: category.into(),
            key: key.into(),
        };
        self.items.insert(key, Arc::new(item));
        value
    }

    /// The value under `key`, or else what `make` gives, which is then kept.
    ///
    /// Callers that miss at the same time each make one; nothing is locked while they do.
    pub fn get_or_set(&self, category: &str, key: &str, make: impl FnOnce() -> V) -> Arc<V> {
        match self.get(category, key) {
            Some(value) => value,
            None => self.set(category, key, make()),
        }
    }

    /// The value that was made from `content`, or else what `make` gives, which is then kept for the category's TTL.
    ///
    /// `content` is all that the value depends on, part by part: a program and the catalog that it is checked against, a template and what it is filled with.
    /// What stands for something else, such as a length or a name, is no content.
    ///
    /// The key is a hash of 128 bits (SipHash, twice) under keys that are random for each service and never leave it.
    /// So nobody can choose content that meets another's key, and among 2³² pieces of content two meet by chance once in 2⁶⁵ services.
    pub fn remember(
        &self,
        category: Category,
        content: &[&[u8]],
        make: impl FnOnce() -> V,
    ) -> Arc<V> {
        let [one, two] = self.content.each_ref().map(|keys| keys.hash_one(content));
        let key = format!("{one:016x}{two:016x}");
        match self.get(category.name, &key) {
            Some(value) => value,
            None => self.set_for(category.name, &key, make(), category.ttl),
        }
    }

    /// Forgets the value under `key`; whether there was one.
    pub fn delete(&self, category: &str, key: &str) -> bool {
        match self.items.remove(&Borrowed { category, key }) {
            Some((_, item)) => {
                item.retire();
                item.category.deletes.add(1);
                true
            }
            None => false,
        }
    }

    /// Forgets all of a category; looks at every entry.
    pub fn clear(&self, category: &str) {
        self.category(category).clears.add(1);
        self.retain(|key, _| *key.category != *category);
    }

    /// Forgets everything.
    pub fn clear_all(&self) {
        for category in self.categories.read().values() {
            category.clears.add(1);
        }
        self.retain(|_, _| false);
    }

    /// Forgets what is older than its TTL, and says how much that was; looks at every entry.
    ///
    /// Nothing needs it, since an old entry is never given and makes room like any other: call it to have memory back earlier.
    pub fn cleanup_expired(&self) -> u64 {
        let now = self.clock.now();
        let expired = Counter::default();
        self.retain(|_, item| {
            let kept = now < item.expires_at;
            if !kept {
                item.category.expired.add(1);
                expired.add(1);
            }
            kept
        });
        expired.value()
    }

    fn retain(&self, keep: impl Fn(&ItemKey, &Item<V>) -> bool) {
        self.items.retain(|key, item| {
            let kept = keep(key, item);
            if !kept {
                item.retire();
            }
            kept
        });
    }

    /// What the service did and holds, all categories together.
    pub fn stats(&self) -> ServiceStats {
        let categories = self.categories.read();
        self.sum(categories.values().map(|category| &**category))
    }

    /// What one category did and holds.
    pub fn category_stats(&self, category: &str) -> ServiceStats {
        let categories = self.categories.read();
        self.sum(categories.get(category).map(|category| &**category))
    }

    /// The categories that were ever used, in the order of their names.
    pub fn categories(&self) -> Vec<String> {
        let categories = self.categories.read();
        let mut names: Vec<String> = categories.keys().map(|name| name.to_string()).collect();
        names.sort_unstable();
        names
    }

    fn sum<'a>(&self, categories: impl IntoIterator<Item = &'a Counts>) -> ServiceStats {
        let mut sum = ServiceStats {
            hits: 0,
            misses: 0,
            sets: 0,
            deletes: 0,
            clears: 0,
            expired: 0,
            evictions: 0,
            entries: 0,
            bytes: 0,
            since: self.since,
        };
        for category in categories {
            sum.hits += category.looks.hits();
            sum.misses += category.looks.misses();
            sum.sets += category.sets.value();
            sum.deletes += category.deletes.value();
            sum.clears += category.clears.value();
            sum.expired += category.expired.value();
            sum.evictions += category.evictions.value();
            sum.entries += category.entries.value();
            sum.bytes += category.bytes.value();
        }
        sum
    }

    fn category(&self, name: &str) -> Arc<Counts> {
        if let Some(category) = self.categories.read().get(name) {
            return Arc::clone(category);
        }
        Arc::clone(self.categories.write().entry(name.into()).or_default())
    }
}

impl<V> fmt::Debug for CacheService<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheService")
            .field("ttl", &self.ttl)
            .field("max_bytes", &self.max_bytes)
            .field("entries", &self.items.len())
            .finish_non_exhaustive()
    }
}
