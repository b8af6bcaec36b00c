use std::sync::Arc;

use super::Store;
use crate::{Entry, KeyId};

/// A near store over a far one: memory over disk.
///
/// What the far one reads back is checked by the cache and then kept near; both are written to.
#[derive(Clone, Debug)]
pub struct LayeredStore<N, F> {
    near: N,
    far: F,
}

impl<N: Store, F: Store> LayeredStore<N, F> {
    /// `near` is asked first, and holds a part of what `far` holds.
    pub fn new(near: N, far: F) -> Self {
        Self { near, far }
    }
}

impl<N: Store, F: Store> Store for LayeredStore<N, F> {
    fn get(&self, id: KeyId) -> Option<Arc<Entry>> {
        self.near.get(id).or_else(|| self.far.get(id))
    }

    fn insert(&self, id: KeyId, entry: Arc<Entry>) {
        // The far one first, so that an entry that the near one lets go at once is not older there.
        self.far.insert(id, Arc::clone(&entry));
        self.near.insert(id, entry);
    }

    fn remove(&self, id: KeyId) {
        self.far.remove(id);
        self.near.remove(id);
    }

    fn clear(&self) {
        self.far.clear();
        self.near.clear();
    }

    fn retain(&self, keep: &mut dyn FnMut(&Entry) -> bool) {
        self.far.retain(keep);
        self.near.retain(keep);
    }

    fn promote(&self, id: KeyId, entry: &Arc<Entry>) -> bool {
        self.near.insert(id, Arc::clone(entry));
        true
    }

    fn settle(&self) {
        self.far.settle();
        self.near.settle();
    }
}
