//! What a journal tells of a run.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::report::RunStatus;

use super::record::{Announcement, Ending, Event, Finish, Outcome, Record, RunStart};

/// What a journal tells of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// The records in order, as far as they are whole.
    pub records: Vec<Record>,
    /// What was found to be lost or changed since it was written.
    pub damage: Option<String>,
    /// Whether the run went on after its journal could not be written any more.
    pub abandoned: bool,
    /// Whether another has the run's log open.
    pub in_use: bool,
}

/// How a run stands, as its journal tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// A process is at it.
    Running,
    /// Its process died, or stopped it at the user's wish: it can be taken up again.
    Interrupted,
    /// It went on without its journal, so nobody knows how far.
    Abandoned,
    /// It is over.
    Ended(RunStatus),
}

impl RunState {
    /// A short stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
            Self::Ended(RunStatus::Succeeded) => "succeeded",
            Self::Ended(RunStatus::Failed) => "failed",
            Self::Ended(RunStatus::Cancelled) => "cancelled",
        }
    }
}

/// A step whose effect may be there, and whose result is not.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownStep {
    /// What it was about to do.
    pub about: Announcement,
    /// Whether it is known to have succeeded, with a result that was too large to be kept; else
    /// nothing is known of its end.
    pub succeeded: bool,
}

impl History {
    /// What the run was asked to do; `None` where even that is lost.
    pub fn start(&self) -> Option<&RunStart> {
        self.records.iter().find_map(|record| match &record.event {
            Event::Started(start) => Some(start),
            _ => None,
        })
    }

    /// How the run ended, unless it goes on or was taken up again since.
    pub fn ending(&self) -> Option<&Ending> {
        match &self.records.last()?.event {
            Event::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    /// How the run stands.
    pub fn state(&self) -> RunState {
        match self.ending() {
            _ if self.in_use => RunState::Running,
            Some(ending) if ending.status != RunStatus::Cancelled => RunState::Ended(ending.status),
            _ if self.abandoned => RunState::Abandoned,
            Some(ending) => RunState::Ended(ending.status),
            None => RunState::Interrupted,
        }
    }

    /// The steps that change the world, were dispatched, and cannot be gone past without running
    /// them again, in program order.
    pub fn unknown(&self) -> Vec<UnknownStep> {
        let mut open: Vec<UnknownStep> = Past::new(self, false)
            .fates
            .into_values()
            .filter_map(|fate| match fate {
                Fate::Announced(about) => Some(UnknownStep {
                    about,
                    succeeded: false,
                }),
                Fate::NotKept(about) => Some(UnknownStep {
                    about,
                    succeeded: true,
                }),
                _ => None,
            })
            .filter(|step| step.about.effects.changes_the_world())
            .collect();
        open.sort_by(|one, other| one.about.way.cmp(&other.about.way));
        open
    }

    /// The steps that are over, with what they were, in program order.
    pub fn finished(&self) -> Vec<(&Announcement, &Finish)> {
        let mut announced: FxHashMap<&Arc<str>, &Announcement> = FxHashMap::default();
        let mut finished = Vec::new();
        for record in &self.records {
            match &record.event {
                Event::Announced(about) => {
                    announced.insert(&about.step, about);
                }
                Event::Finished(finish) => {
                    let about = finish.about.as_ref();
                    if let Some(about) = about.or_else(|| announced.get(&finish.step).copied()) {
                        finished.push((about, finish));
                    }
                }
                _ => {}
            }
        }
        finished.sort_by(|one, other| one.0.way.cmp(&other.0.way));
        finished
    }
}

/// What is known of a step.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It is over; the announcement says what it was.
    Finished(Announcement),
    /// Its end is not known.
    Announced(Announcement),
    /// It succeeded, and its result was not kept.
    NotKept(Announcement),
    /// A sibling's end cancelled it.
    Cancelled(Announcement),
    /// It was running when the run was ended from outside.
    Interrupted(Announcement),
}

/// A run's history, ready to be gone through again.
#[derive(Debug)]
pub(crate) struct Past {
    /// What is known of each step.
    pub(crate) fates: FxHashMap<Arc<str>, Fate>,
    /// The steps' ends in the order in which the scheduler took them; results that were the same
    /// are one value again.
    pub(crate) ends: VecDeque<Finish>,
    /// Whether no step is to be run.
    pub(crate) replay: bool,
    pub(crate) ending: Option<Ending>,
    /// How long the run had been going, in microseconds.
    pub(crate) elapsed_us: u64,
    /// The turn to go on with.
    pub(crate) turn: u64,
    /// Whether ends may be missing.
    pub(crate) damaged: bool,
    values: FxHashMap<Arc<str>, Arc<Value>>,
}

impl Past {
    pub(crate) fn new(history: &History, replay: bool) -> Self {
        let mut past = Self {
            fates: FxHashMap::default(),
            ends: VecDeque::new(),
            replay,
            ending: history.ending().cloned(),
            elapsed_us: 0,
            turn: 0,
            damaged: history.damage.is_some(),
            values: FxHashMap::default(),
        };
        for record in &history.records {
            past.note(&record.event);
        }
        past
    }

    fn note(&mut self, event: &Event) {
        let (step, fate) = match event {
            Event::Announced(about) => (&about.step, Fate::Announced(about.clone())),
            Event::Cancelled(about) => (&about.step, Fate::Cancelled(about.clone())),
            // Who goes on has to begin it again; who replays the run saw it running.
            Event::Interrupted(about) if self.replay => {
                (&about.step, Fate::Interrupted(about.clone()))
            }
            Event::Finished(finish) => return self.finished(finish),
            Event::Ended(ending) => {
                self.elapsed_us = self.elapsed_us.max(ending.makespan_us);
                return;
            }
            Event::Resumed => {
                self.fates
                    .retain(|_, fate| !matches!(fate, Fate::Interrupted(_)));
                return;
            }
            Event::Interrupted(_) | Event::Started(_) => return,
        };
        self.fates.insert(Arc::clone(step), fate);
    }

    fn finished(&mut self, finish: &Finish) {
        let announced = self.fates.remove(&finish.step);
        let about = finish.about.clone().or(match announced {
            Some(Fate::Announced(about)) => Some(about),
            _ => None,
        });
        // What is over and was never told to begin is what a damaged journal says.
        let Some(about) = about else { return };
        let us = about.started_us.saturating_add(finish.duration_us);
        self.elapsed_us = self.elapsed_us.max(us);
        self.turn = self.turn.max(finish.turn.saturating_add(1));
        let mut finish = finish.clone();
        let step = Arc::clone(&finish.step);
        let fate = match &finish.outcome {
            Outcome::NotKept => Fate::NotKept(about),
            Outcome::SameAs(other) => match self.values.get(other) {
                Some(value) => {
                    finish.outcome = Outcome::Value(Arc::clone(value));
                    self.ends.push_back(finish);
                    Fate::Finished(about)
                }
                None => Fate::Announced(about),
            },
            Outcome::Value(value) => {
                self.values.insert(Arc::clone(&step), Arc::clone(value));
                self.ends.push_back(finish);
                Fate::Finished(about)
            }
            Outcome::Failed { .. } => {
                self.ends.push_back(finish);
                Fate::Finished(about)
            }
        };
        self.fates.insert(step, fate);
    }
}
