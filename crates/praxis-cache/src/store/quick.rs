use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::Store;
use crate::id_hasher::IdHasher;
use crate::{Entry, KeyId};

/// Fewer entries than this to a shard would make the bound of each too coarse.
const LEAST_ENTRIES_OF_A_SHARD: u64 = 32;

/// Fewer bytes than this to a shard would turn away values that people do cache.
const LEAST_BYTES_OF_A_SHARD: u64 = 4 << 20;

/// The default store: in memory, on `quick_cache`, bounded by entries and by bytes.
///
/// One weight is bounded, so each entry weighs at least its even share of the bytes (`max_bytes / max_entries`).
/// Both bounds hold; a mix of very large and very small entries is bounded up to twice as tightly as either alone would.
/// The room is divided among up to 16 shards of at least 4 MiB and 32 entries each; an entry heavier than its shard is not kept.
/// What to let go is the choice of Clock-PRO+S3-FIFO, by how often and how recently an entry was used.
#[derive(Clone)]
pub struct QuickStore {
    cache: Arc<Cache<Place, Arc<Entry>, Weigh, BuildHasherDefault<IdHasher>>>,
}

/// A key's id in words, since the alignment of a `u128` would cost each place in the table eight bytes and more.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place([u64; 2]);

impl Place {
    fn of(id: KeyId) -> Self {
        Self([id.0 as u64, (id.0 >> 64) as u64])
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [low, high] = self.0;
        state.write_u128(u128::from(high) << 64 | u128::from(low));
    }
}

#[derive(Clone, Debug)]
struct Weigh {
    floor: u64,
}

impl Weighter<Place, Arc<Entry>> for Weigh {
    fn weight(&self, _: &Place, entry: &Arc<Entry>) -> u64 {
        entry.weight_bytes().max(self.floor).max(1)
    }
}

impl QuickStore {
    /// A store of at most `max_entries` entries and `max_bytes` bytes.
    pub fn new(max_entries: u64, max_bytes: u64) -> Self {
        let shards = (max_entries / LEAST_ENTRIES_OF_A_SHARD)
            .min(max_bytes / LEAST_BYTES_OF_A_SHARD)
            .clamp(1, 16);
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
        self.cache.get(&Place::of(id))
    }

    fn insert(&self, id: KeyId, entry: Arc<Entry>) {
        self.cache.insert(Place::of(id), entry);
    }

    fn remove(&self, id: KeyId) {
        self.cache.remove(&Place::of(id));
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
