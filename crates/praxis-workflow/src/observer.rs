//! What a run tells those who watch it.

use std::sync::Arc;
use std::time::Duration;

use crate::executor::RunId;
use crate::report::{StepReport, StepStatus};

/// Watches a run.
///
/// Called on the scheduler's own task and in order, so an observer must not block: it hands the
/// event on and returns.
pub trait RunObserver: Send + Sync {
    /// Something happened.
    fn event(&self, event: &RunEvent<'_>);
}

/// Something that happened in a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunEvent<'a> {
    /// The run has begun.
    Started {
        /// Its id.
        run: &'a RunId,
        /// The calls that stand in the program; loops may run one of them many times.
        calls: usize,
    },
    /// A step's first attempt begins.
    StepStarted {
        /// The step's id.
        step: &'a str,
        /// Its tool.
        tool: &'a str,
        /// The label of the task that it stands under.
        label: Option<&'a str>,
    },
    /// A step is over. Steps that never started are only in the report.
    StepFinished {
        /// The step's id.
        step: &'a str,
        /// Its tool.
        tool: &'a str,
        /// How it ended.
        status: StepStatus,
        /// Whether the result was remembered.
        cached: bool,
        /// How long it took, over all attempts.
        duration: Duration,
    },
    /// The run is over.
    Finished {
        /// The steps as the report has them.
        steps: &'a [StepReport],
    },
}

/// The observer that looks away.
impl RunObserver for () {
    fn event(&self, _event: &RunEvent<'_>) {}
}

impl<T: RunObserver + ?Sized> RunObserver for &T {
    fn event(&self, event: &RunEvent<'_>) {
        (**self).event(event);
    }
}

impl<T: RunObserver + ?Sized> RunObserver for Box<T> {
    fn event(&self, event: &RunEvent<'_>) {
        (**self).event(event);
    }
}

impl<T: RunObserver + ?Sized> RunObserver for Arc<T> {
    fn event(&self, event: &RunEvent<'_>) {
        (**self).event(event);
    }
}
