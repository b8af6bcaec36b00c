use std::hash::BuildHasherDefault;
use std::sync::Arc;

use moka::sync::Cache;

use super::Store;
use crate::id_hasher::IdHasher;
use crate::{Entry, KeyId};

/// A store in memory, on `moka`, bounded by entries and by bytes.
///
/// Moka bounds one weight, so each entry weighs at least its even share of the bytes (`max_bytes / max_entries`).
/// Both bounds hold; a mix of very large and very small entries is bounded up to twice as tightly as either alone would.
/// What to let go is TinyLFU's choice, by how often and how recently an entry was used: a full store may decline a new entry.
#[derive(Clone, Debug)]
pub struct MokaStore {
    cache: Cache<u128, Arc<Entry>, BuildHasherDefault<IdHasher>>,
}

impl MokaStore {
    /// A store of at most `max_entries` entries and about `max_bytes` bytes.
    pub fn new(max_entries: u64, max_bytes: u64) -> Self {
        // Moka weighs in 32 bits; units keep a large bound exact enough.
        let unit = (max_bytes >> 30).max(1);
        let floor = max_bytes.checked_div(max_entries).unwrap_or(0);
        let capacity = if max_entries == 0 {
            0
        } else {
            max_bytes / unit
        };
        let cache = Cache::builder()
            .max_capacity(capacity)
            .weigher(move |_, entry: &Arc<Entry>| {
                let units = entry.weight_bytes().max(floor).div_ceil(unit).max(1);
                u32::try_from(units).unwrap_or(u32::MAX)
            })
            .build_with_hasher(BuildHasherDefault::default());
        Self { cache }
    }
}

impl Store for MokaStore {
    fn get(&self, id: KeyId) -> Option<Arc<Entry>> {
        self.cache.get(&id.0)
    }

    fn insert(&self, id: KeyId, entry: Arc<Entry>) {
        self.cache.insert(id.0, entry);
    }

    fn remove(&self, id: KeyId) {
        self.cache.invalidate(&id.0);
    }

    fn clear(&self) {
        self.cache.invalidate_all();
    }

    fn retain(&self, keep: &mut dyn FnMut(&Entry) -> bool) {
        self.cache.run_pending_tasks();
        for (id, entry) in &self.cache {
            if !keep(&entry) {
                self.cache.invalidate(&*id);
            }
        }
    }

    fn settle(&self) {
        self.cache.run_pending_tasks();
    }
}
