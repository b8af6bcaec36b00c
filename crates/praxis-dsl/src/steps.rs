//! Steps of work, counted in the crate's own tests, which hold time to be linear without a clock.
//!
//! Every loop over bytes, words, names or blocks that input can make long counts its rounds.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Counts `steps` rounds of a loop; outside of tests it does nothing.
#[inline]
pub(crate) fn add(steps: usize) {
    #[cfg(test)]
    STEPS.with(|counted| counted.set(counted.get() + steps as u64));
    #[cfg(not(test))]
    let _ = steps;
}

/// How many steps `work` takes.
#[cfg(test)]
pub(crate) fn of(work: impl FnOnce()) -> u64 {
    STEPS.set(0);
    work();
    STEPS.get()
}
