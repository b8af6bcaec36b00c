//! Going through what a journal tells again: the ends of steps come from it, in the order in which
//! they came, until it has no more.
//!
//! The driver is deterministic in the order of the ends that it takes, so after the last of them it
//! stands where the process stood when it died. No limit of jobs holds meanwhile, since nothing
//! runs, and what the journal does not tell of is held back until then.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::error::{Error, ErrorKind};
use crate::executor::{StepCall, StepError, StepOutput};
use crate::journal::history::{Fate, Past};
use crate::journal::record::{ArgumentsDigest, Finish, Outcome};
use crate::observer::RunEvent;
use crate::report::RunStatus;

use super::Driver;
use super::state::{End, EntryState, Key, Todo};
use super::task::TaskEnd;

/// The past, and where the driver stands in it.
pub(super) struct Recall {
    past: Past,
    running: FxHashMap<Arc<str>, Key>,
    /// Steps that could start, and of which the journal has no end.
    held: Vec<Key>,
    misfit: Option<String>,
}

impl Recall {
    pub(super) fn new(past: Past) -> Self {
        Self {
            past,
            running: FxHashMap::default(),
            held: Vec::new(),
            misfit: None,
        }
    }

    /// Whether a step ran in the past; `None` where it may still have to be decided.
    pub(super) fn ran(&self, step: &str) -> Option<bool> {
        let known = self.past.fates.contains_key(step);
        (known || self.past.replay).then_some(known)
    }
}

impl Driver<'_> {
    /// Whether the step is one of the past, or has to wait until the past is over.
    pub(super) fn recalled(&mut self, key: Key, call: &StepCall, label: Option<&str>) -> bool {
        let Some(recall) = &mut self.recall else {
            return false;
        };
        let replay = recall.past.replay;
        let (about, ended) = match recall.past.fates.get(&call.step) {
            Some(Fate::Finished(about)) => (about, true),
            Some(Fate::Cancelled(about) | Fate::Interrupted(about)) => (about, false),
            Some(Fate::NotKept(_)) if replay => {
                let message = format!("the result of step {} was too large to be kept", call.step);
                recall.misfit.get_or_insert(message);
                return true;
            }
            Some(Fate::Announced(about) | Fate::NotKept(about)) => {
                if let Some(message) = difference(about, call) {
                    recall.misfit.get_or_insert(message);
                }
                recall.held.push(key);
                return true;
            }
            None => {
                recall.held.push(key);
                return true;
            }
        };
        if let Some(message) = difference(about, call) {
            recall.misfit.get_or_insert(message);
        }
        let started = Duration::from_micros(about.started_us);
        if ended {
            recall.running.insert(Arc::clone(&call.step), key);
        }
        self.observer.event(&RunEvent::StepStarted {
            step: &call.step,
            tool: &call.tool,
            label,
        });
        if let Some(entry) = self.entry_mut(key) {
            entry.state = EntryState::Running;
            if let Some(row) = entry.row {
                self.rows[row as usize].started = Some(started);
            }
        }
        true
    }

    /// Takes the next ends of the past; gives false once it is over.
    pub(super) fn recall_next(&mut self) -> Result<bool, Error> {
        let Some(recall) = &mut self.recall else {
            return Ok(false);
        };
        if let Some(message) = recall.misfit.take() {
            return Err(misfit(&message));
        }
        let Some(turn) = recall.past.ends.front().map(|end| end.turn) else {
            return self.past_is_over();
        };
        let mut ends = Vec::new();
        while let Some(finish) = recall.past.ends.pop_front_if(|end| end.turn == turn) {
            match recall.running.remove(&finish.step) {
                Some(key) => ends.push((key, task_end(finish))),
                // Where records are lost, those behind them may be out of reach.
                None if recall.past.damaged => {}
                None => {
                    let message = format!("step {} ended where it cannot have begun", finish.step);
                    return Err(misfit(&message));
                }
            }
        }
        for (key, end) in ends {
            self.finished(key, end);
        }
        Ok(true)
    }

    fn past_is_over(&mut self) -> Result<bool, Error> {
        let Some(recall) = self.recall.take() else {
            return Ok(false);
        };
        if !recall.past.replay {
            for key in recall.held {
                self.set_state(key, EntryState::Waiting);
                self.todo.push_back(Todo::Activate(key));
            }
            return Ok(true);
        }
        self.end = Some(match &recall.past.ending {
            Some(ending) if ending.status == RunStatus::Cancelled => End::Cancelled,
            Some(ending)
                if (ending.error.as_ref())
                    .is_some_and(|error| error.kind == "timeout" && error.line.is_none()) =>
            {
                End::TimedOut
            }
            _ => return Err(misfit("it ends before the program does")),
        });
        Ok(true)
    }
}

fn task_end(finish: Finish) -> TaskEnd {
    let result = match finish.outcome {
        Outcome::Value(value) => Ok(StepOutput {
            value,
            cache: finish.cache,
            engine: finish.engine,
        }),
        Outcome::Failed { kind, message } => {
            let error = StepError::new(kind, message);
            Err(match finish.engine {
                Some(engine) => error.on_engine(engine),
                None => error,
            })
        }
        Outcome::SameAs(_) | Outcome::NotKept => {
            Err(StepError::new("failed", "the result was not kept"))
        }
    };
    TaskEnd {
        result,
        attempts: finish.attempts,
        duration: Duration::from_micros(finish.duration_us),
        started: None,
    }
}

fn difference(about: &crate::journal::Announcement, call: &StepCall) -> Option<String> {
    if about.tool != call.tool {
        return Some(format!(
            "step {} calls `{}`, and called `{}` when it was run",
            call.step, call.tool, about.tool
        ));
    }
    (about.arguments != ArgumentsDigest::of(&call.arguments)).then(|| {
        format!(
            "the arguments of step {} (`{}`, line {}) are others than when it was run",
            call.step, call.tool, about.line
        )
    })
}

fn misfit(message: &str) -> Error {
    Error::new(
        ErrorKind::Journal,
        format!("the journal does not fit the program: {message}"),
    )
}
