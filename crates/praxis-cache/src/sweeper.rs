use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// Drops expired entries from time to time, on a thread of its own, until it is dropped or its cache is gone.
///
/// No cache needs one: an entry that expired is never given, and goes when it is next looked at or room is needed.
/// It gives memory back earlier, at the cost of a look at every entry each time.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use praxis_cache::{Sweeper, ToolCache};
///
/// let cache = Arc::new(ToolCache::default());
/// let sweeper = Sweeper::start(&cache, Duration::from_secs(60), ToolCache::cleanup_expired)?;
/// drop(sweeper); // That ends it; the cache goes on.
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Sweeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    ended: Mutex<bool>,
    changed: Condvar,
}

impl Sweeper {
    /// Calls `sweep` on `cache` every `interval`, a millisecond at least; the cache may go at any time.
    ///
    /// # Errors
    ///
    /// The system has no thread to spare.
    pub fn start<C: Send + Sync + 'static>(
        cache: &Arc<C>,
        interval: Duration,
        sweep: impl Fn(&C) -> u64 + Send + 'static,
    ) -> io::Result<Self> {
        let cache = Arc::downgrade(cache);
        let interval = interval.max(Duration::from_millis(1));
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("praxis-cache-sweeper".to_owned());
        let thread = thread.spawn(move || {
            let mut ended = seen.ended.lock();
            while !*ended {
                seen.changed.wait_for(&mut ended, interval);
                if *ended {
                    return;
                }
                let Some(cache) = cache.upgrade() else {
                    return;
                };
                MutexGuard::unlocked(&mut ended, || {
                    sweep(&cache);
                    // The last one to let go of a cache may end this sweeper, which takes the lock.
                    drop(cache);
                });
            }
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        *self.shared.ended.lock() = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // Dropped by its own thread if that held the cache, and the sweeper with it, last.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeper").finish_non_exhaustive()
    }
}
