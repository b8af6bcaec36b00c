use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_128;

use crate::Resource;

/// One run of a workflow, or whatever else a caller calls a run.
///
/// Results that were read from resources without versions are remembered within their run only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub(crate) u128);

impl RunId {
    /// A run that no other call of this function in this process returns.
    pub fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The run that the caller knows as `name`.
    pub fn named(name: &str) -> Self {
        Self(xxh3_128(name.as_bytes()))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a tool's effects allow to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The answer depends on the key alone.
    Pure,
    /// The answer also depends on the resources that were read.
    Read,
    /// Nothing is remembered: the tool writes, or anything may happen.
    Never,
}

/// How one call may be remembered.
///
/// An external tool whose contract says for how long its answer holds is [`pure`](Self::pure) with that [`ttl`](Self::ttl).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(crate) class: Class,
    pub(crate) ttl: Option<Duration>,
    pub(crate) reads: Vec<Resource>,
    pub(crate) run: RunId,
}

impl Policy {
    /// For a tool whose answer depends on its key alone.
    pub fn pure(run: RunId) -> Self {
        Self {
            class: Class::Pure,
            ttl: None,
            reads: Vec::new(),
            run,
        }
    }

    /// For a tool that read `reads`; an empty list means that it may have read [everything](Resource::everything).
    pub fn read(run: RunId, reads: impl IntoIterator<Item = Resource>) -> Self {
        let mut reads: Vec<Resource> = reads.into_iter().collect();
        if reads.is_empty() {
            reads.push(Resource::everything());
        }
        reads.sort_unstable();
        reads.dedup();
        Self {
            class: Class::Read,
            ttl: None,
            reads,
            run,
        }
    }

    /// For a tool whose answers are never remembered.
    pub fn never(run: RunId) -> Self {
        Self {
            class: Class::Never,
            ttl: None,
            reads: Vec::new(),
            run,
        }
    }

    /// Remembers the answer for `ttl` instead of the cache's default; zero means not at all.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// What may be remembered.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The resources that the call reads.
    pub fn reads(&self) -> &[Resource] {
        &self.reads
    }

    /// The run that the call belongs to.
    pub fn run(&self) -> RunId {
        self.run
    }
}
