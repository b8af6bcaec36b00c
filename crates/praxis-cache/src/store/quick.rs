use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::Store;
use crate::id_hasher::IdHasher;
use crate::{Entry, KeyId};

/// Fewer entries than this to a shard would make the bound of each too coarse.
const LEAST_ENTRIES_OF_A_SHARD: u64 = 32;

/// Threads meet at a shard's lock, and each wait there costs more than the look itself.
const MOST_SHARDS: u64 = 64;

/// Fewer bytes than this to a shard would turn away values that people do cache.
const LEAST_BYTES_OF_A_SHARD: u64 = 4 << 20;

/// The default store: in memory, on `quick_cache`, bounded by entries and by bytes.
///
/// One weight is bounded, so each entry weighs at least its even share of the bytes (`max_bytes / max_entries`).
/// Both bounds hold; a mix of very large and very small entries is bounded up to twice as tightly as either alone would.
/// The room is divided among up to 64 shards of at least 4 MiB and 32 entries each; an entry heavier than its shard is not kept.
/// It finds entries by 32 bits of their id, so of two that share them it has the later one; the cache takes that for a miss of the other.
/// What to let go is the choice of Clock-PRO+S3-FIFO, by how often and how recently an entry was used.
#[derive(Clone)]
pub struct QuickStore {
    cache: Arc<Cache<u32, Arc<Entry>, Weigh, BuildHasherDefault<IdHasher>>>,
}

/// As much of the key's id as fits beside the counts of a slot: 64 bits would make a slot 40 bytes instead of 32.
///
/// The cache compares keys, so that two entries share a place costs a miss: one in 430,000 entries of a full cache of 10,000 does.
fn place(id: KeyId) -> u32 {
    id.0 as u32
}

#[derive(Clone, Debug)]
struct Weigh {
    floor: u64,
}

impl Weighter<u32, Arc<Entry>> for Weigh {
    fn weight(&self, _: &u32, entry: &Arc<Entry>) -> u64 {
        entry.weight_bytes().max(self.floor).max(1)
    }
}

impl QuickStore {
    /// A store of at most `max_entries` entries and `max_bytes` bytes.
    pub fn new(max_entries: u64, max_bytes: u64) -> Self {
        let shards = (max_entries / LEAST_ENTRIES_OF_A_SHARD)
            .min(max_bytes / LEAST_BYTES_OF_A_SHARD)
            .clamp(1, MOST_SHARDS);
        // A power of two, as the shards are; downwards, so that none is smaller than promised.
        let shards = 1_usize << shards.ilog2();
        let floor = max_bytes.checked_div(max_entries).unwrap_or(0).max(1);
        let capacity = if max_entries == 0 { 0 } else { max_bytes };
        let options = OptionsBuilder::new()
            .estimated_items_capacity(
                usize::try_from(max_entries)
                    .unwrap_or(usize::MAX)
                    .min(1 << 16),
            )
            .weight_capacity(capacity)
            .shards(shards)
            .build()
            .expect("both sizes are given");
        let weigh = Weigh { floor };
        let hasher = BuildHasherDefault::default();
        let cache = Cache::with_options(options, weigh, hasher, DefaultLifecycle::default());
        Self {
            cache: Arc::new(cache),
        }
    }
}

impl Store for QuickStore {
    fn get(&self, id: KeyId) -> Option<Arc<Entry>> {
        self.cache.get(&place(id))
    }

    fn insert(&self, id: KeyId, entry: Arc<Entry>) {
        self.cache.insert(place(id), entry);
    }

    fn remove(&self, id: KeyId) {
        self.cache.remove(&place(id));
    }

    fn clear(&self) {
        self.cache.clear();
    }

    fn retain(&self, keep: &mut dyn FnMut(&Entry) -> bool) {
        // The store takes a shared closure, shard after shard.
        let keep = std::cell::RefCell::new(keep);
        self.cache.retain(|_, entry| (*keep.borrow_mut())(entry));
    }
}

impl fmt::Debug for QuickStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuickStore")
            .field("entries", &self.cache.len())
            .field("weight_bytes", &self.cache.weight())
            .finish_non_exhaustive()
    }
}
