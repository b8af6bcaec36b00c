//! What the driver tells the journal.

use std::sync::{Arc, Weak};
use std::time::Duration;

use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::executor::{CacheUse, StepCall};
use crate::journal::record::{ArgumentsDigest, Ending, Event, Finish, Outcome};
use crate::journal::writer::{Haste, Ticket};
use crate::journal::{Announcement, RunJournal};
use crate::plan::StepIndex;
use crate::report::{RunReport, RunStatus};

use super::Driver;
use super::state::{End, Key};
use super::task::TaskEnd;

/// The journal, and what it has to know of the steps that run.
pub(super) struct Journaling {
    journal: RunJournal,
    /// Counts the times that the driver took ends.
    turn: u64,
    running: FxHashMap<Key, Announcement>,
    /// By the address of a result that went through the cache, the first step that ended with it.
    /// Holding on to the allocation keeps its address from being used again.
    results: FxHashMap<usize, (Weak<Value>, Arc<str>)>,
    /// Whether the run has begun to change the world.
    changed: bool,
}

impl Journaling {
    pub(super) fn new(journal: RunJournal, turn: u64) -> Self {
        Self {
            journal,
            turn,
            running: FxHashMap::default(),
            results: FxHashMap::default(),
            changed: false,
        }
    }
}

impl Driver<'_> {
    /// Announces a step that is about to be dispatched; it must not be before the ticket is ready.
    pub(super) fn announce(
        &mut self,
        key: Key,
        scope: Key,
        index: StepIndex,
        call: &StepCall,
    ) -> Option<Ticket> {
        self.journal.as_ref()?;
        let about = self.about(key, scope, index, call);
        let journaling = self.journal.as_mut()?;
        let changes = about.effects.changes_the_world();
        let ticket = if changes {
            journaling.changed = true;
            let event = Event::Announced(about.clone());
            let number = journaling.journal.push(event, Haste::Durable);
            Some(journaling.journal.durable(number))
        } else {
            journaling.journal.room()
        };
        journaling.running.insert(key, about);
        ticket
    }

    fn about(&self, key: Key, scope: Key, index: StepIndex, call: &StepCall) -> Announcement {
        let step = self.plan.step(index);
        let row = self.entry(key).and_then(|entry| entry.row);
        let written = if step.class.changes_the_world() {
            step.written(&|operand| self.resolve(scope, operand).ok(), &|text| {
                self.executor.resource(text)
            })
        } else {
            Vec::new()
        };
        Announcement {
            step: Arc::clone(&call.step),
            way: row.map_or_else(Vec::new, |row| self.rows[row as usize].way().collect()),
            line: step.location.line,
            tool: Arc::clone(&call.tool),
            arguments: ArgumentsDigest::of(&call.arguments),
            effects: step.class,
            writes: written
                .iter()
                .map(|path| path.as_str().to_owned())
                .collect(),
            started_us: microseconds(self.started.elapsed()),
        }
    }

    /// Notes a step's end, unless the journal is where it comes from.
    pub(super) fn note_end(&mut self, key: Key, step: &Arc<str>, end: &TaskEnd) {
        let Some(journaling) = &mut self.journal else {
            return;
        };
        let mut same = None;
        if let Ok(output) = &end.result
            && output.cache != CacheUse::Bypassed
        {
            let address = Arc::as_ptr(&output.value) as usize;
            let first = journaling
                .results
                .entry(address)
                .or_insert_with(|| (Arc::downgrade(&output.value), Arc::clone(step)));
            same = (first.1 != *step).then(|| Arc::clone(&first.1));
        }
        let Some(about) = journaling.running.remove(&key) else {
            return;
        };
        let announced = about.effects.changes_the_world();
        let (cache, engine, outcome) = match &end.result {
            Ok(output) => {
                let outcome = match same {
                    Some(step) => Outcome::SameAs(step),
                    None => Outcome::Value(Arc::clone(&output.value)),
                };
                (output.cache, output.engine.clone(), outcome)
            }
            Err(error) => {
                let outcome = Outcome::Failed {
                    kind: error.kind().into(),
                    message: error.message().to_owned(),
                };
                (CacheUse::Bypassed, error.engine().cloned(), outcome)
            }
        };
        let finish = Finish {
            step: Arc::clone(step),
            about: (!announced).then_some(about),
            turn: journaling.turn,
            attempts: end.attempts,
            duration_us: microseconds(end.duration),
            cache,
            engine,
            outcome,
        };
        let haste = if announced { Haste::Soon } else { Haste::Lazy };
        journaling.journal.push(Event::Finished(finish), haste);
    }

    /// Ends that come from here on were not taken together with those before.
    pub(super) fn next_turn(&mut self) {
        if let Some(journaling) = &mut self.journal {
            journaling.turn += 1;
        }
    }

    /// Notes that a sibling's end has cancelled a step that was running.
    pub(super) fn note_cancelled(&mut self, key: Key) {
        if let Some(journaling) = &mut self.journal
            && let Some(about) = journaling.running.remove(&key)
        {
            journaling
                .journal
                .push(Event::Cancelled(about), Haste::Lazy);
        }
    }

    /// Forgets a step that was running: one by one it would not have begun.
    pub(super) fn note_discarded(&mut self, key: Key) {
        if let Some(journaling) = &mut self.journal {
            journaling.running.remove(&key);
        }
    }

    /// Notes what was running when the run was ended from outside.
    pub(super) fn note_interrupted(&mut self) {
        let Some(journaling) = &mut self.journal else {
            return;
        };
        if !matches!(self.end, Some(End::Cancelled | End::TimedOut)) {
            return;
        }
        for (_, about) in std::mem::take(&mut journaling.running) {
            journaling
                .journal
                .push(Event::Interrupted(about), Haste::Lazy);
        }
    }

    /// Notes the run's end, and waits until the journal is written.
    pub(super) async fn note_report(&mut self, report: &RunReport) {
        let Some(journaling) = self.journal.take() else {
            return;
        };
        let ending = Ending {
            status: report.status,
            output: report.output.clone(),
            error: report.error.clone(),
            makespan_us: microseconds(self.started.elapsed()),
        };
        // Without a change to the world, a machine that fails takes nothing that matters.
        let durable = journaling.changed || report.status == RunStatus::Cancelled;
        let haste = if durable { Haste::Durable } else { Haste::Soon };
        journaling.journal.push(Event::Ended(ending), haste);
        journaling.journal.settled(durable).wait().await;
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
