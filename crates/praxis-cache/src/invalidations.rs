//! Which keys were invalidated lately, for the answers that were under way meanwhile.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::{KeyId, KeyRef};

/// So many are remembered; an answer that was under way for longer is held to be invalidated.
const MOST_RECENT: usize = 1_000;

/// What was invalidated.
#[derive(Debug)]
pub(crate) enum Invalidation {
    Key(KeyId),
    Tool(Box<str>),
    /// By a condition that cannot be asked again: any key may be one of these.
    Any,
}

impl Invalidation {
    fn concerns(&self, key: KeyRef<'_>) -> bool {
        match self {
            Self::Key(id) => *id == key.id(),
            Self::Tool(tool) => **tool == *key.tool(),
            Self::Any => true,
        }
    }
}

/// A moment between two invalidations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(u64);

/// The last invalidations of a cache.
///
/// A run only reads a number here when it begins and when it ends, so runs do not wait for each other.
/// Whoever invalidates notes it first and looks into the store after, and whoever stores asks after the insert, so one of them sees the other.
#[derive(Debug, Default)]
pub(crate) struct Invalidations {
    count: AtomicU64,
    recent: Mutex<VecDeque<Invalidation>>,
}

impl Invalidations {
    pub(crate) fn now(&self) -> Moment {
        Moment(self.count.load(Ordering::Acquire))
    }

    pub(crate) fn note(&self, invalidation: Invalidation) {
        let mut recent = self.recent.lock();
        if recent.len() == MOST_RECENT {
            recent.pop_front();
        }
        recent.push_back(invalidation);
        self.count.fetch_add(1, Ordering::Release);
    }

    /// Whether `key` was, or may have been, among what was invalidated after `since`.
    pub(crate) fn concern(&self, key: KeyRef<'_>, since: Moment) -> bool {
        if self.now().0 == since.0 {
            return false;
        }
        let recent = self.recent.lock();
        let count = usize::try_from(self.now().0 - since.0).unwrap_or(usize::MAX);
        count > recent.len() || recent.iter().rev().take(count).any(|one| one.concerns(key))
    }
}
