use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far a clock may go backwards before what it stored is held to be of another time.
pub(crate) const CLOCK_SLACK: Duration = Duration::from_secs(1);

/// The time that entries age by.
///
/// `now` is the time since a moment of the clock's own choosing.
/// A clock that goes backwards is tolerated: an entry from more than a second in the future is a miss and dropped, so none outlives its TTL by more than that.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Duration;
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

impl<C: Clock + ?Sized> Clock for Box<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

/// The system's monotonic clock, counted from a moment before it was made.
///
/// On Linux it is the coarse one, which moves in steps of 1 to 10 ms and is cheaper to read.
#[derive(Clone, Copy, Debug)]
pub struct MonotonicClock {
    #[cfg(not(target_os = "linux"))]
    start: std::time::Instant,
}

#[expect(
    clippy::derivable_impls,
    reason = "there is a field where the platform has no coarse clock"
)]
impl Default for MonotonicClock {
    fn default() -> Self {
        Self {
            #[cfg(not(target_os = "linux"))]
            start: std::time::Instant::now(),
        }
    }
}

impl Clock for MonotonicClock {
    #[cfg(target_os = "linux")]
    fn now(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }

    #[cfg(not(target_os = "linux"))]
    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The time since 1970 by the system's clock when this clock was made, and from then on by the monotonic one.
///
/// So it goes on across processes, as entries on disk need, and never goes backwards within one.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    began: Duration,
    since: MonotonicClock,
    zero: Duration,
}

impl Default for WallClock {
    fn default() -> Self {
        let since = MonotonicClock::default();
        Self {
            zero: since.now(),
            since,
            began: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }
}

impl Clock for WallClock {
    fn now(&self) -> Duration {
        self.began + self.since.now().saturating_sub(self.zero)
    }
}

/// A clock that stands still until it is moved; for tests.
#[derive(Debug, Default)]
pub struct ManualClock {
    nanoseconds: AtomicU64,
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::SeqCst))
    }
}
