//! Which tools' calls the driver polls itself.

use std::time::Duration;

/// How long a tool's calls take, as far as it decides where they are polled.
///
/// Handing a step to a worker and taking its end costs about a microsecond, and more where it
/// wakes another thread. So the driver polls the calls of a tool itself once enough of them in a
/// row were done sooner than that would pay. One that takes longer sends those behind it to the
/// workers, for long enough that what they wait for the driver counts for little.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Habit(i8);

impl Habit {
    /// A call that is done sooner than this is not worth a worker.
    const QUICK: Duration = Duration::from_micros(5);
    /// As many quick calls in a row make a habit.
    const ENOUGH: i8 = 2;
    /// One that is not quick counts against as many that are.
    const LAPSE: i8 = -100;

    pub(super) fn learn(&mut self, took: Duration) {
        self.0 = if took > Self::QUICK {
            Self::LAPSE
        } else {
            (self.0 + 1).min(Self::ENOUGH)
        };
    }

    pub(super) fn is_quick(self) -> bool {
        self.0 == Self::ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_habit_takes_some_calls_and_one_breaks_it() {
        let (quick, slow) = (Duration::from_micros(1), Duration::from_micros(6));
        let mut habit = Habit::default();
        let after = |habit: &mut Habit, calls: i8| {
            (0..calls).for_each(|_| habit.learn(quick));
            habit.is_quick()
        };
        assert!(!after(&mut habit, Habit::ENOUGH - 1));
        assert!(after(&mut habit, 1));
        assert!(after(&mut habit, 100));
        habit.learn(slow);
        assert!(!after(&mut habit, -Habit::LAPSE + Habit::ENOUGH - 1));
        assert!(after(&mut habit, 1));
    }
}
