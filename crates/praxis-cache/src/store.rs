//! Where entries are kept.

pub mod conformance;
mod map;
mod moka;

use std::sync::Arc;

pub use self::map::MapStore;
pub use self::moka::MokaStore;
use crate::{Entry, KeyId};

/// Keeps entries by key, within whatever bounds it has.
///
/// A store may lose any entry at any time, and decides for itself what to let go.
/// It owes that [`get`](Self::get) gives what was inserted last under that id, or nothing.
/// Freshness is not its affair: the cache checks every entry that it gets.
/// Dropping an entry calls back into the cache's index, which never calls the store, so a store may drop entries under its own lock.
///
/// Run [`conformance::check`] on an own store in its tests.
pub trait Store: Send + Sync {
    /// The entry under `id`.
    fn get(&self, id: KeyId) -> Option<Arc<Entry>>;
    /// Keeps `entry` under its key's id, in place of an earlier one.
    fn insert(&self, id: KeyId, entry: Arc<Entry>);
    /// Lets the entry under `id` go.
    fn remove(&self, id: KeyId);
    /// Lets all entries go.
    fn clear(&self);
    /// Catches up on what the store had put off, such as evictions.
    fn settle(&self) {}
}

impl<S: Store + ?Sized> Store for &S {
    fn get(&self, id: KeyId) -> Option<Arc<Entry>> {
        (**self).get(id)
    }

    fn insert(&self, id: KeyId, entry: Arc<Entry>) {
        (**self).insert(id, entry);
    }

    fn remove(&self, id: KeyId) {
        (**self).remove(id);
    }

    fn clear(&self) {
        (**self).clear();
    }

    fn settle(&self) {
        (**self).settle();
    }
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn get(&self, id: KeyId) -> Option<Arc<Entry>> {
        (**self).get(id)
    }

    fn insert(&self, id: KeyId, entry: Arc<Entry>) {
        (**self).insert(id, entry);
    }

    fn remove(&self, id: KeyId) {
        (**self).remove(id);
    }

    fn clear(&self) {
        (**self).clear();
    }

    fn settle(&self) {
        (**self).settle();
    }
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn get(&self, id: KeyId) -> Option<Arc<Entry>> {
        (**self).get(id)
    }

    fn insert(&self, id: KeyId, entry: Arc<Entry>) {
        (**self).insert(id, entry);
    }

    fn remove(&self, id: KeyId) {
        (**self).remove(id);
    }

    fn clear(&self) {
        (**self).clear();
    }

    fn settle(&self) {
        (**self).settle();
    }
}
