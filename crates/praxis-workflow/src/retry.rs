//! How long to wait before another attempt.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Exponential backoff with full jitter.
///
/// The wait before retry `n` (from 1) is drawn evenly from zero to `base · 2ⁿ⁻¹`, at most `max`
/// ("full jitter" in M. Brooker, *Exponential Backoff and Jitter*, 2015): clients that failed
/// together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The bound of the first wait. 100 ms unless told.
    pub base: Duration,
    /// The bound of every wait. 10 s unless told.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            max: Duration::from_secs(10),
        }
    }
}

impl Backoff {
    /// The longest that the wait before retry `retry` (from 1) can be.
    pub fn bound(&self, retry: u32) -> Duration {
        let factor = 1u32
            .checked_shl(retry.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }

    /// A wait before retry `retry` (from 1).
    pub fn wait(&self, retry: u32) -> Duration {
        self.bound(retry).mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_maximum() {
        let backoff = Backoff::default();
        let bounds: Vec<u64> = [1, 2, 3, 7, 8, 40, u32::MAX]
            .iter()
            .map(|&n| backoff.bound(n).as_millis() as u64)
            .collect();
        assert_eq!(bounds, [100, 200, 400, 6400, 10_000, 10_000, 10_000]);
        assert!((0..100).all(|_| backoff.wait(2) <= Duration::from_millis(200)));
    }
}
