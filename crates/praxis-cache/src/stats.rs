use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a cache did since it was made, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls answered from memory, those that waited for another's run included.
    pub hits: u64,
    /// Calls that found nothing to answer them.
    pub misses: u64,
    /// Results remembered.
    pub stores: u64,
    /// Entries that the store let go to keep within its bounds.
    ///
    /// Lags behind while the store keeps an evicted entry for readers that may still look at it.
    pub evictions: u64,
    /// Entries found older than their TTL.
    pub expired: u64,
    /// Entries dropped because of a write, an external step, a changed version or a call to invalidate.
    pub invalidated: u64,
    /// Entries held.
    pub entries: u64,
    /// Their approximate size; see [`Entry::weight_bytes`](crate::Entry::weight_bytes).
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) looks: Looks,
    pub(crate) stores: Counter,
    pub(crate) evictions: Counter,
    pub(crate) expired: Counter,
    pub(crate) invalidated: Counter,
    pub(crate) entries: Counter,
    pub(crate) bytes: Counter,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            hits: self.looks.hits(),
            misses: self.looks.misses(),
            stores: self.stores.value(),
            evictions: self.evictions.value(),
            expired: self.expired.value(),
            invalidated: self.invalidated.value(),
            entries: self.entries.value(),
            bytes: self.bytes.value(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, by: u64) {
        self.0.fetch_sub(by, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Hits and misses, counted apart by thread so that threads do not wait for each other's cache lines.
#[derive(Debug, Default)]
pub(crate) struct Looks([Stripe; STRIPES]);

const STRIPES: usize = 8;

#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Stripe {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
}

thread_local! {
    static STRIPE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES
    };
}

impl Looks {
    /// This thread's counters.
    pub(crate) fn own(&self) -> &Stripe {
        &self.0[STRIPE.with(|stripe| *stripe)]
    }

    pub(crate) fn hits(&self) -> u64 {
        self.sum(|stripe| &stripe.hits)
    }

    pub(crate) fn misses(&self) -> u64 {
        self.sum(|stripe| &stripe.misses)
    }

    fn sum(&self, counter: impl Fn(&Stripe) -> &Counter) -> u64 {
        self.0.iter().map(|stripe| counter(stripe).value()).sum()
    }
}
