//! Where entries are kept.

pub mod conformance;
#[cfg(feature = "disk")]
mod disk;
mod layered;
mod map;
#[cfg(feature = "moka")]
mod moka;
mod quick;

use std::sync::Arc;

#[cfg(feature = "disk")]
pub use self::disk::{DiskError, DiskErrorKind, DiskStore};
pub use self::layered::LayeredStore;
pub use self::map::MapStore;
#[cfg(feature = "moka")]
pub use self::moka::MokaStore;
pub use self::quick::QuickStore;
use crate::{Entry, KeyId};

/// Keeps entries by key, within whatever bounds it has.
///
/// A store may lose any entry at any time, and decides for itself what to let go.
/// It owes that [`get`](Self::get) gives what was inserted last under that id, or nothing.
/// The cache compares the key of what it gets, so a store may find entries by a part of the id, and forget one for the sake of another that shares it.
/// Freshness is not its affair: the cache checks every entry that it gets.
/// Dropping an entry calls back into the cache's index, which never calls the store, so a store may drop entries under its own lock.
///
/// Run [`conformance::check`] on an own store in its tests:
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex};
///
/// use praxis_cache::{Entry, KeyId, Store, ToolCache};
///
/// #[derive(Default)]
/// struct Own(Mutex<HashMap<KeyId, Arc<Entry>>>);
///
/// impl Store for Own {
///     fn get(&self, id: KeyId) -> Option<Arc<Entry>> {
///         self.0.lock().expect("nothing panics under the lock").get(&id).cloned()
///     }
///     fn insert(&self, id: KeyId, entry: Arc<Entry>) {
///         self.0.lock().expect("nothing panics under the lock").insert(id, entry);
///     }
///     fn remove(&self, id: KeyId) {
///         self.0.lock().expect("nothing panics under the lock").remove(&id);
///     }
///     fn clear(&self) {
///         self.0.lock().expect("nothing panics under the lock").clear();
///     }
///     fn retain(&self, keep: &mut dyn FnMut(&Entry) -> bool) {
///         let mut entries = self.0.lock().expect("nothing panics under the lock");
///         entries.retain(|_, entry| keep(entry));
///     }
/// }
///
/// praxis_cache::store::conformance::check(&Own::default());
/// let cache = ToolCache::builder().store(Own::default()).build();
/// # let _ = cache;
/// ```
pub trait Store: Send + Sync {
    /// The entry under `id`.
    fn get(&self, id: KeyId) -> Option<Arc<Entry>>;
    /// Keeps `entry` under its key's id, in place of an earlier one.
    fn insert(&self, id: KeyId, entry: Arc<Entry>);
    /// Lets the entry under `id` go.
    fn remove(&self, id: KeyId);
    /// Lets all entries go.
    fn clear(&self);
    /// Lets every entry go for which `keep` says false; may look at all of them.
    ///
    /// `keep` does not call the store, so it may be called under the store's own lock.
    fn retain(&self, keep: &mut dyn FnMut(&Entry) -> bool);
    /// Keeps `entry` near at hand, in place of the copy of it that the last [`get`](Self::get) read back from elsewhere.
    ///
    /// Only a store that reads entries back has anything to do, and only if it has a nearer place; true if it kept the entry.
    fn promote(&self, _: KeyId, _: &Arc<Entry>) -> bool {
        false
    }
    /// Catches up on what the store had put off, such as evictions.
    fn settle(&self) {}
}

macro_rules! forward {
    ($($holder:ty),*) => {$(
        impl<S: Store + ?Sized> Store for $holder {
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

            fn retain(&self, keep: &mut dyn FnMut(&Entry) -> bool) {
                (**self).retain(keep);
            }

            fn promote(&self, id: KeyId, entry: &Arc<Entry>) -> bool {
                (**self).promote(id, entry)
            }

            fn settle(&self) {
                (**self).settle();
            }
        }
    )*};
}

forward!(&S, Arc<S>, Box<S>);
