//! A quantile sketch of durations that forgets.
//!
//! The buckets are those of DDSketch (C. Masson, J. E. Rim, H. K. Lee, *DDSketch: A Fast and
//! Fully-Mergeable Quantile Sketch with Relative-Error Guarantees*, VLDB 2019): bucket `i` holds
//! what lies in `(γ^(i-1), γ^i]`. Weights decay forward (G. Cormode et al., *Forward Decay*, ICDE
//! 2009): each observation weighs more than the one before, so that half of what counts are the
//! last [`HALF_LIFE`] observations.

use std::collections::BTreeMap;
use std::time::Duration;

/// The relative error of a quantile.
const ERROR: f64 = 0.05;
/// After so many observations, an observation counts half.
const HALF_LIFE: f64 = 50.0;
/// What is kept lies between a microsecond and a day, in 240 buckets at most.
const SHORTEST_US: f64 = 1.0;
const LONGEST_US: f64 = 86_400e6;
/// Past this weight, all weights are scaled down.
const HEAVIEST: f64 = 1e12;

/// Durations of one tool.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sketch {
    buckets: BTreeMap<i16, f64>,
    /// What the next observation weighs.
    next: f64,
    /// How many there were, forgotten ones too.
    pub(super) count: u64,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            buckets: BTreeMap::new(),
            next: 1.0,
            count: 0,
        }
    }
}

fn gamma() -> f64 {
    (1.0 + ERROR) / (1.0 - ERROR)
}

fn bucket(duration: Duration) -> i16 {
    let micros = (duration.as_secs_f64() * 1e6).clamp(SHORTEST_US, LONGEST_US);
    (micros.ln() / gamma().ln()).ceil() as i16
}

impl Sketch {
    pub(super) fn observe(&mut self, duration: Duration) {
        *self.buckets.entry(bucket(duration)).or_default() += self.next;
        self.next *= (std::f64::consts::LN_2 / HALF_LIFE).exp();
        self.count = self.count.saturating_add(1);
        if self.next > HEAVIEST {
            let scale = self.next;
            self.next = 1.0;
            self.buckets.retain(|_, weight| {
                *weight /= scale;
                *weight > 1e-9
            });
        }
    }

    /// The duration that this share of the observations does not pass.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let total: f64 = self.buckets.values().sum();
        let mut left = share.clamp(0.0, 1.0) * total;
        let mut found = None;
        for (&index, weight) in &self.buckets {
            found = Some(index);
            left -= weight;
            if left <= 0.0 {
                break;
            }
        }
        let gamma = gamma();
        // The point of a bucket that is off by at most the relative error.
        found.map(|index| {
            Duration::from_secs_f64(2.0 * gamma.powi(i32::from(index)) / (gamma + 1.0) / 1e6)
        })
    }

    /// Buckets and weights, scaled so that the next observation weighs 1.
    pub(super) fn parts(&self) -> Vec<(i16, f64)> {
        self.buckets
            .iter()
            .map(|(&index, weight)| (index, weight / self.next))
            .filter(|(_, weight)| *weight > 1e-9)
            .collect()
    }

    /// The sketch of these parts; `None` for parts that no sketch has.
    pub(super) fn from_parts(count: u64, parts: &[(i16, f64)]) -> Option<Self> {
        let range = bucket(Duration::ZERO)..=bucket(Duration::MAX);
        let sound = |&(index, weight): &(i16, f64)| {
            range.contains(&index) && weight.is_finite() && weight > 0.0 && weight < HEAVIEST
        };
        parts.iter().all(sound).then(|| Self {
            buckets: parts.iter().copied().collect(),
            next: 1.0,
            count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_long_past_is_forgotten() {
        let mut sketch = Sketch::default();
        for _ in 0..10_000 {
            sketch.observe(Duration::from_secs(10));
        }
        for _ in 0..100 {
            sketch.observe(Duration::from_millis(10));
        }
        let median = sketch.quantile(0.5).unwrap();
        assert!(median < Duration::from_millis(11), "{median:?}");
        assert_eq!(Sketch::default().quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn quantiles_are_within_the_error_and_the_memory_is_bounded(
            mut micros in prop::collection::vec(1u64..10_000_000_000, 1..40),
            share in 0.0f64..1.0,
        ) {
            let mut sketch = Sketch::default();
            for &one in &micros {
                sketch.observe(Duration::from_micros(one));
            }
            // So few that decay hardly shows: the neighbours of the exact rank bound the answer.
            let found = sketch.quantile(share).unwrap().as_secs_f64() * 1e6;
            micros.sort_unstable();
            let rank = share * (micros.len() - 1) as f64;
            let slack = 8.0;
            let low = micros[(rank - slack).max(0.0) as usize] as f64;
            let high = micros[((rank + slack).ceil() as usize).min(micros.len() - 1)] as f64;
            prop_assert!(found >= low * 0.94 && found <= high * 1.06, "{low} {found} {high}");
            prop_assert!(sketch.buckets.len() <= 260);
        }

        #[test]
        fn parts_make_the_same_sketch(micros in prop::collection::vec(0u64..u64::MAX, 0..50)) {
            let mut sketch = Sketch::default();
            for &one in &micros {
                sketch.observe(Duration::from_micros(one));
            }
            let again = Sketch::from_parts(sketch.count, &sketch.parts()).unwrap();
            for share in [0.1, 0.5, 0.9] {
                prop_assert_eq!(again.quantile(share), sketch.quantile(share));
            }
        }
    }
}
