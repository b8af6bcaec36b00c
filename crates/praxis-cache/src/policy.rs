use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
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

    /// The run that the caller knows by this number, and finds again by [`number`](Self::number).
    pub const fn numbered(number: u128) -> Self {
        Self(number)
    }

    /// The number, which is stored with the entries of the run.
    pub const fn number(self) -> u128 {
        self.0
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
    pub(crate) negative_ttl: Option<Duration>,
    pub(crate) stale_for: Duration,
    pub(crate) early_refresh: bool,
    pub(crate) reads: Vec<Resource>,
    pub(crate) run: RunId,
}

/// What a call found out, for [`ToolCache::get_or_run`](crate::ToolCache::get_or_run): a value is an answer that was [found](Self::Found).
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The answer.
    Found(Value),
    /// That there is none, and why; remembered only as [`Policy::negative_ttl`] says.
    Negative(Value),
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::Found(value)
    }
}

impl Policy {
    /// For a tool whose answer depends on its key alone.
    pub fn pure(run: RunId) -> Self {
        Self::of(Class::Pure, run, Vec::new())
    }

    /// For a tool that read `reads`; an empty list means that it may have read [everything](Resource::everything).
    pub fn read(run: RunId, reads: impl IntoIterator<Item = Resource>) -> Self {
        let mut reads: Vec<Resource> = reads.into_iter().collect();
        if reads.is_empty() {
            reads.push(Resource::everything());
        }
        reads.sort_unstable();
        reads.dedup();
        Self::of(Class::Read, run, reads)
    }

    /// For a tool whose answers are never remembered.
    pub fn never(run: RunId) -> Self {
        Self::of(Class::Never, run, Vec::new())
    }

    fn of(class: Class, run: RunId, reads: Vec<Resource>) -> Self {
        Self {
            class,
            ttl: None,
            negative_ttl: None,
            stale_for: Duration::ZERO,
            early_refresh: false,
            reads,
            run,
        }
    }

    /// Remembers the answer for `ttl` instead of the cache's default; zero means not at all.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Remembers for `ttl`, in memory, that there is [no answer](Answer::Negative); unless told, that is not remembered at all.
    #[must_use]
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = Some(ttl);
        self
    }

    /// Goes on giving an answer for this long after its TTL while one caller, the first to ask, does the work anew.
    ///
    /// Only time may make such an answer old: what it read still has to be unchanged.
    #[must_use]
    pub fn stale_for(mut self, stale_for: Duration) -> Self {
        self.stale_for = stale_for;
        self
    }

    /// Lets one caller do the work anew shortly before the TTL ends, the earlier the longer the work took, while the others get the answer at hand.
    ///
    /// When is left to chance, so that processes do not all do it at once: XFetch with a β of 1, of A. Vattani, F. Chierichetti and K. Lowenstein,
    /// "Optimal Probabilistic Cache Stampede Prevention", PVLDB 8(8), 2015.
    #[must_use]
    pub fn early_refresh(mut self) -> Self {
        self.early_refresh = true;
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
