//! How long a call is expected to take: what priorities and predictions are made from.

mod learned;
mod sketch;

use std::sync::Arc;
use std::time::Duration;

use crate::effect::EffectClass;

pub use learned::{LearnedCosts, LoadError};

/// Expects durations.
///
/// Implementors answer from memory: the plan asks once for each tool. An estimate decides only
/// which of the steps that could start goes first, and what is predicted; a wrong one costs time
/// and changes no outcome.
pub trait CostModel: Send + Sync {
    /// How long one call of `tool` usually takes; `None` where nothing is known of it.
    fn expected(&self, tool: &str) -> Option<Duration>;
}

/// The model that knows nothing: every call is taken for what its effects suggest.
impl CostModel for () {
    fn expected(&self, _tool: &str) -> Option<Duration> {
        None
    }
}

impl<T: CostModel + ?Sized> CostModel for &T {
    fn expected(&self, tool: &str) -> Option<Duration> {
        (**self).expected(tool)
    }
}

impl<T: CostModel + ?Sized> CostModel for Box<T> {
    fn expected(&self, tool: &str) -> Option<Duration> {
        (**self).expected(tool)
    }
}

impl<T: CostModel + ?Sized> CostModel for Arc<T> {
    fn expected(&self, tool: &str) -> Option<Duration> {
        (**self).expected(tool)
    }
}

impl CostModel for std::collections::HashMap<String, Duration> {
    fn expected(&self, tool: &str) -> Option<Duration> {
        self.get(tool).copied()
    }
}

/// What a call is taken for where its tool was never seen: 1 ms for a pure one, 5 ms for one that
/// reads or writes, 100 ms for an external one.
pub(crate) fn unseen(class: EffectClass) -> Duration {
    Duration::from_millis(match class {
        EffectClass::Pure => 1,
        EffectClass::Read | EffectClass::Write => 5,
        EffectClass::External => 100,
    })
}
