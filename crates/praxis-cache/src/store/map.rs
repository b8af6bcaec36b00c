use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Store;
use crate::{Entry, KeyId};

/// A map without bounds: for tests, and for runs known to be small.
#[derive(Debug, Default)]
pub struct MapStore {
    entries: Mutex<HashMap<KeyId, Arc<Entry>>>,
}

impl Store for MapStore {
    fn get(&self, id: KeyId) -> Option<Arc<Entry>> {
        self.entries.lock().get(&id).cloned()
    }

    fn insert(&self, id: KeyId, entry: Arc<Entry>) {
        self.entries.lock().insert(id, entry);
    }

    fn remove(&self, id: KeyId) {
        self.entries.lock().remove(&id);
    }

    fn clear(&self) {
        self.entries.lock().clear();
    }

    fn retain(&self, keep: &mut dyn FnMut(&Entry) -> bool) {
        self.entries.lock().retain(|_, entry| keep(entry));
    }
}
