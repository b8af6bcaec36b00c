use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

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
    /// Lags behind, as what is held does, while a [`Hit`](crate::Hit) of such an entry is kept, or the store keeps it for readers that may still look at it.
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

/// What a [`ToolCache`](crate::ToolCache) counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Hits,
    Misses,
    Stores,
    Evictions,
    Expired,
    Invalidated,
    Entries,
    Bytes,
}

/// The counts of a [`ToolCache`](crate::ToolCache).
#[derive(Debug, Default)]
pub(crate) struct Counters(Striped<8>);

impl Counters {
    pub(crate) fn add(&self, count: Count, by: u64) {
        self.0.add(count as usize, by);
    }

    pub(crate) fn subtract(&self, count: Count, by: u64) {
        self.0.add(count as usize, by.wrapping_neg());
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let count = |count: Count| self.0.sum(count as usize);
        Stats {
            hits: count(Count::Hits),
            misses: count(Count::Misses),
            stores: count(Count::Stores),
            evictions: count(Count::Evictions),
            expired: count(Count::Expired),
            invalidated: count(Count::Invalidated),
            entries: count(Count::Entries),
            bytes: count(Count::Bytes),
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

/// Hits and misses.
#[derive(Debug, Default)]
pub(crate) struct Looks(Striped<2>);

impl Looks {
    pub(crate) fn hit(&self) {
        self.0.add(0, 1);
    }

    pub(crate) fn missed(&self) {
        self.0.add(1, 1);
    }

    pub(crate) fn hits(&self) -> u64 {
        self.0.sum(0)
    }

    pub(crate) fn misses(&self) -> u64 {
        self.0.sum(1)
    }
}

/// `N` counts, each apart by thread so that threads do not wait for each other's cache lines.
///
/// What one thread adds another may take away, so only the sum over all threads means something.
#[derive(Debug)]
struct Striped<const N: usize>([Stripe<N>; SEATS]);

#[derive(Debug)]
#[repr(align(128))]
struct Stripe<const N: usize>([AtomicU64; N]);

/// So many threads at a time have a stripe of their own, which takes no locked instruction.
const OWNED: usize = 8;

/// The others share these.
const SHARED: usize = 8;

/// All stripes.
pub(crate) const SEATS: usize = OWNED + SHARED;

/// This thread's stripe; a thread that is going has none of its own any more.
pub(crate) fn seat() -> usize {
    SEAT.try_with(|seat| seat.0).unwrap_or(OWNED)
}

impl<const N: usize> Default for Striped<N> {
    fn default() -> Self {
        let stripe = |_| Stripe(std::array::from_fn(|_| AtomicU64::new(0)));
        Self(std::array::from_fn(stripe))
    }
}

impl<const N: usize> Striped<N> {
    fn add(&self, count: usize, by: u64) {
        let seat = seat();
        let count = &self.0[seat].0[count];
        if seat < OWNED {
            let before = count.load(Ordering::Relaxed);
            count.store(before.wrapping_add(by), Ordering::Relaxed);
        } else {
            count.fetch_add(by, Ordering::Relaxed);
        }
    }

    fn sum(&self, count: usize) -> u64 {
        let stripes = self.0.iter();
        stripes.fold(0, |sum, stripe| {
            sum.wrapping_add(stripe.0[count].load(Ordering::Relaxed))
        })
    }
}

/// The stripe of a thread.
struct Seat(usize);

/// The seats that no thread has, and how many threads found none of those.
static FREE: Mutex<(Vec<usize>, usize)> = Mutex::new((Vec::new(), 0));

thread_local! {
    static SEAT: Seat = Seat::take();
}

impl Seat {
    fn take() -> Self {
        let mut seats = FREE.lock();
        let (free, taken) = &mut *seats;
        if let Some(seat) = free.pop() {
            return Self(seat);
        }
        let seat = *taken;
        *taken += 1;
        Self(if seat < OWNED {
            seat
        } else {
            OWNED + seat % SHARED
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // The lock also shows the next owner all that this one has counted.
        if self.0 < OWNED {
            FREE.lock().0.push(self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_is_lost_however_many_threads_come_and_go() {
        let looks = Looks::default();
        for _ in 0..5 {
            std::thread::scope(|scope| {
                for _ in 0..3 * OWNED {
                    scope.spawn(|| (0..1_000).for_each(|_| looks.hit()));
                }
            });
        }
        assert_eq!(looks.hits(), 5 * 3 * OWNED as u64 * 1_000);
        assert_eq!(looks.misses(), 0);
    }

    #[test]
    fn what_one_thread_adds_another_takes_away() {
        let counters = Counters::default();
        counters.add(Count::Bytes, 7);
        std::thread::scope(|scope| {
            scope.spawn(|| counters.subtract(Count::Bytes, 5));
        });
        assert_eq!(counters.snapshot().bytes, 2);
    }
}
