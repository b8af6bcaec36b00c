//! What a look into the cache gives.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::flight::Shared;
use crate::{Entry, RunId};

/// A remembered answer, shared with the cache.
#[derive(Clone)]
pub struct Hit {
    /// Held rather than its value: each count of an `Arc` is a cache line that threads which hit the same entry wait for.
    entry: Arc<Entry>,
    age: Duration,
}

impl Hit {
    /// The answer; to keep it for long, clone it and let the hit go, which holds the whole entry.
    pub fn value(&self) -> &Arc<Value> {
        self.entry.value()
    }

    /// How long ago it was stored.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// The run that stored it.
    pub fn run(&self) -> RunId {
        self.entry.run()
    }

    /// About how many calls it answered since it came into memory, this one included; 65,535 at most.
    pub fn accesses(&self) -> u32 {
        self.entry.accesses()
    }

    /// Whether it says that there is [no answer](crate::Answer::Negative), and the value why.
    pub fn is_negative(&self) -> bool {
        self.entry.is_negative()
    }
}

impl fmt::Debug for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hit")
            .field("value", self.value())
            .field("age", &self.age)
            .field("run", &self.run())
            .field("accesses", &self.accesses())
            .field("negative", &self.is_negative())
            .finish()
    }
}

/// The answer of [`ToolCache::get_or_run`](crate::ToolCache::get_or_run).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The answer.
    pub value: Arc<Value>,
    /// Whether it came from memory or from another caller's run.
    pub cached: bool,
    /// Whether it says that there is [no answer](crate::Answer::Negative), and the value why.
    pub negative: bool,
}

impl Outcome {
    pub(crate) fn fresh(value: Arc<Value>, negative: bool) -> Self {
        Self {
            value,
            cached: false,
            negative,
        }
    }
}

/// What the store has and may be given.
pub(crate) struct Found {
    pub(crate) entry: Arc<Entry>,
    pub(crate) now: Duration,
    pub(crate) age: Duration,
    /// Its time has passed: it may be given only while somebody renews it.
    pub(crate) expired: bool,
}

impl Found {
    pub(crate) fn into_hit(self) -> Hit {
        Hit {
            entry: self.entry,
            age: self.age,
        }
    }

    /// Whether this call is to renew it.
    pub(crate) fn is_due(&self) -> bool {
        self.expired || self.entry.is_due_early(self.now)
    }

    pub(crate) fn is_same(&self, other: Option<&Self>) -> bool {
        other.is_some_and(|other| Arc::ptr_eq(&self.entry, &other.entry))
    }
}

impl From<&Found> for Shared {
    fn from(found: &Found) -> Self {
        Self {
            value: Arc::clone(found.entry.value()),
            negative: found.entry.is_negative(),
            run: None,
        }
    }
}
