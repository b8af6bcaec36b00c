//! Steps whose outcome is known without calling their tool.

use std::sync::Arc;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::executor::CacheUse;
use crate::observer::RunEvent;
use crate::plan::{StepIndex, Twin};
use crate::report::{Elided, StepStatus};

use super::Driver;
use super::state::Key;

/// How a step that has a twin came by its result.
#[derive(Debug)]
pub(super) struct Shared {
    cache: CacheUse,
    engine: Option<Arc<str>>,
    attempts: u32,
}

impl Driver<'_> {
    /// The twin of a step, where its result may be taken over.
    pub(super) fn twin(&self, step: StepIndex) -> Option<Twin> {
        self.plan.step(step).twin.filter(|_| self.options.optimize)
    }

    /// Keeps how a step came by its result, for those that will take it over.
    pub(super) fn keep_for_twins(
        &mut self,
        scope: Key,
        step: StepIndex,
        (cache, engine, attempts): (CacheUse, Option<Arc<str>>, u32),
    ) {
        if let Some(slot) = self.plan.step(step).bind {
            let shared = Shared {
                cache,
                engine,
                attempts,
            };
            self.shared.insert((scope, slot), shared);
        }
    }

    /// Gives a step the result of its twin, reported as a cache would have answered it.
    pub(super) fn share(&mut self, key: Key, scope: Key, step: StepIndex, twin: Twin) {
        let Some(value) = self.value(scope, twin.slot).cloned() else {
            return;
        };
        let holder = self.holder(scope, twin.slot);
        let how = holder.and_then(|holder| self.shared.get(&(holder, twin.slot)));
        let (cache, engine, attempts) = match how {
            Some(how) if how.cache == CacheUse::Bypassed => {
                (CacheUse::Bypassed, how.engine.clone(), how.attempts)
            }
            Some(_) => (CacheUse::Hit, None, 1),
            None => (CacheUse::Bypassed, None, 1),
        };
        if self.plan.step(step).shared {
            self.keep_for_twins(scope, step, (cache, engine.clone(), attempts));
        }
        if let Some(row) = self.entry(key).and_then(|entry| entry.row) {
            let row = &mut self.rows[row as usize];
            row.cache = cache;
            row.details().value = Arc::downgrade(&value);
            row.details().engine = engine;
            row.attempts = attempts;
        }
        let with = self.plan.step(twin.step).id.to_string();
        self.elided(key, step, Elided::Merged { with });
        if let Some(slot) = self.plan.step(step).bind {
            let reach = self.entry(key).map_or(Duration::ZERO, |entry| entry.reach);
            self.bind(scope, slot, value, reach);
        }
        self.complete(key);
    }

    /// Whether the step need not run, its result being of no use and its success certain.
    pub(super) fn is_needless(&self, key: Key, step: StepIndex, arguments: &Arguments) -> bool {
        let spec = self.plan.step(step);
        if !spec.unused || !self.options.optimize {
            return false;
        }
        // A run that goes through its past again does what it did then.
        let id = self.step_id(key, step);
        match self.recall.as_ref().and_then(|recall| recall.ran(&id)) {
            Some(ran) => !ran,
            None => self.executor.cannot_fail(&spec.tool, arguments),
        }
    }

    /// Completes a step that need not run.
    pub(super) fn leave_out(&mut self, key: Key, step: StepIndex) {
        if let Some(row) = self.entry(key).and_then(|entry| entry.row) {
            // As the report of a run in order would say: it succeeds, and at once.
            self.rows[row as usize].attempts = 1;
        }
        self.elided(key, step, Elided::Unused);
        self.complete(key);
    }

    fn elided(&mut self, key: Key, step: StepIndex, elided: Elided) {
        let id = self.step_id(key, step);
        let spec = self.plan.step(step);
        self.observer.event(&RunEvent::StepStarted {
            step: &id,
            tool: &spec.tool,
            label: spec.label.as_deref(),
        });
        let mut cached = false;
        if let Some(row) = self.entry(key).and_then(|entry| entry.row) {
            let row = &mut self.rows[row as usize];
            row.status = Some(StepStatus::Succeeded);
            row.details().elided = Some(elided);
            cached = row.cache == CacheUse::Hit;
        }
        self.observer.event(&RunEvent::StepFinished {
            step: &id,
            tool: &spec.tool,
            status: StepStatus::Succeeded,
            cached,
            duration: Duration::ZERO,
        });
    }
}
