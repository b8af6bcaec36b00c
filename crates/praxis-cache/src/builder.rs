use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::flight::Flights;
use crate::invalidations::Invalidations;
use crate::{Clock, MonotonicClock, QuickStore, RunId, Store, Sweeper, ToolCache};

/// Settings of a [`ToolCache`].
pub struct ToolCacheBuilder {
    max_entries: u64,
    max_bytes: u64,
    ttl: Duration,
    background_expiry: Option<Duration>,
    clock: Option<Box<dyn Clock>>,
    store: Option<Box<dyn Store>>,
}

impl Default for ToolCacheBuilder {
    fn default() -> Self {
        Self {
            max_entries: 10_000,
            max_bytes: 256 << 20,
            ttl: Duration::from_secs(300),
            background_expiry: Some(Duration::from_secs(60)),
            clock: None,
            store: None,
        }
    }
}

impl ToolCacheBuilder {
    /// How many entries are kept at most; 10,000 unless told, and zero keeps none.
    #[must_use]
    pub fn max_entries(mut self, max_entries: u64) -> Self {
        self.max_entries = max_entries;
        self
    }

    /// How many bytes the entries may weigh together; 256 MiB unless told, and zero keeps none.
    ///
    /// A single entry above it is never kept.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// How long an answer is remembered whose policy does not say; 300 seconds unless told, and zero means not at all.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How often a shared cache drops what has expired, on a thread of its own; every 60 seconds
    /// unless told, and `None` switches it off. See [`ToolCacheBuilder::build_shared`].
    #[must_use]
    pub fn background_expiry(mut self, interval: Option<Duration>) -> Self {
        self.background_expiry = interval;
        self
    }

    /// The clock that entries age by; the monotonic one unless told.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Keeps entries in `store` instead of a [`QuickStore`]; how many entries it keeps is then the store's own affair.
    #[must_use]
    pub fn store(mut self, store: impl Store + 'static) -> Self {
        self.store = Some(Box::new(store));
        self
    }

    /// The cache, to be shared, with what has expired dropped in the background until the last
    /// one lets go of it.
    ///
    /// Where the system has no thread to spare, expired entries go when they are next looked at or
    /// room is needed, as in a cache that is not shared.
    pub fn build_shared(self) -> Arc<ToolCache> {
        let interval = self.background_expiry;
        let cache = Arc::new(self.build());
        if let Some(interval) = interval
            && let Ok(sweeper) = Sweeper::start(&cache, interval, ToolCache::cleanup_expired)
        {
            // The cell is empty: nobody else has the cache yet.
            let _ = cache.sweeper.set(sweeper);
        }
        cache
    }

    /// The cache, for one owner; nothing runs in the background.
    pub fn build(self) -> ToolCache {
        let bounds = (self.max_entries, self.max_bytes);
        let memory = || Box::new(QuickStore::new(bounds.0, bounds.1)) as Box<dyn Store>;
        ToolCache {
            store: self.store.unwrap_or_else(memory),
            index: Arc::default(),
            invalidations: Invalidations::default(),
            counters: Arc::default(),
            clock: self
                .clock
                .unwrap_or_else(|| Box::new(MonotonicClock::default())),
            ttl: self.ttl,
            max_bytes: if self.max_entries == 0 {
                0
            } else {
                self.max_bytes
            },
            flights: Flights::default(),
            origins: Default::default(),
            run: RunId::unique(),
            sweeper: OnceLock::new(),
        }
    }
}

impl fmt::Debug for ToolCacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolCacheBuilder")
            .field("max_entries", &self.max_entries)
            .field("max_bytes", &self.max_bytes)
            .field("ttl", &self.ttl)
            .field("background_expiry", &self.background_expiry)
            .finish_non_exhaustive()
    }
}
