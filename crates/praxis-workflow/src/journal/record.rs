//! What a journal holds.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::effect::EffectClass;
use crate::executor::CacheUse;
use crate::report::{Failure, RunStatus};
use crate::run::RunOptions;

/// Something that happened in a run, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Milliseconds since 1970, by the machine's clock.
    pub at_ms: u64,
    /// What happened.
    pub event: Event,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The run has begun; the first record of each journal.
    Started(RunStart),
    /// The run goes on in another process.
    Resumed,
    /// A step that changes the world is about to be dispatched.
    Announced(Announcement),
    /// A step is over.
    Finished(Finish),
    /// A step was running when a sibling's end cancelled it: `--fail_fast`, `--any`.
    Cancelled(Announcement),
    /// A step was running when the run was ended from outside.
    Interrupted(Announcement),
    /// The run is over.
    Ended(Ending),
}

/// What a run was asked to do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunStart {
    /// The program's `WORKFLOW` name.
    pub workflow: Option<String>,
    /// The program's text; empty for a plan that was built otherwise.
    pub source: String,
    /// The values of the inputs that were given.
    pub inputs: Map<String, Value>,
    /// The options.
    pub options: RunOptions,
    /// What else the caller needs to go on later, in a form of its own.
    pub context: Value,
}

/// A step and what it is about to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// The step's id, with the rounds' numbers behind it inside of loops: unique within the run.
    pub step: Arc<str>,
    /// The way to it from the program: sorted by it, steps stand in program order.
    pub way: Vec<u32>,
    /// The line of its `CALL`.
    pub line: u32,
    /// Its tool.
    pub tool: Arc<str>,
    /// What its arguments are known by.
    pub arguments: ArgumentsDigest,
    /// What its tool declares to do.
    pub effects: EffectClass,
    /// What it writes; empty for what changes nothing, `""` is everything.
    pub writes: Vec<String>,
    /// When it was dispatched, in microseconds since the run's start.
    pub started_us: u64,
}

/// A step's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finish {
    /// The step, as [`Announcement::step`].
    pub step: Arc<str>,
    /// What it was; absent where it was announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Announcement>,
    /// Ends that the scheduler took together have the same number, and later ones a higher.
    pub turn: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// How long it took over all attempts, in microseconds.
    pub duration_us: u64,
    /// What the cache had to do with it.
    pub cache: CacheUse,
    /// The engine that ran it, if one did.
    pub engine: Option<Arc<str>>,
    /// What it gave.
    pub outcome: Outcome,
}

/// What a step gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A result. Stored beside the record, not in it.
    Value(#[serde(skip)] Arc<Value>),
    /// The very result of a step that finished before, through the cache.
    SameAs(Arc<str>),
    /// A result that is too large, or nested too deep, to be kept.
    NotKept,
    /// An error.
    Failed {
        /// A short stable word.
        kind: Arc<str>,
        /// What happened, in words.
        message: String,
    },
}

/// A run's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// How it ended.
    pub status: RunStatus,
    /// The value of `RETURN`.
    pub output: Value,
    /// The first failure in program order.
    pub error: Option<Failure>,
    /// From the run's start to its end, in microseconds.
    pub makespan_us: u64,
}

/// The first 16 bytes of the BLAKE3 digest of a step's arguments as JSON, keys in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArgumentsDigest([u8; 16]);

impl ArgumentsDigest {
    pub(crate) fn of(arguments: &Arguments) -> Self {
        let text = serde_json::to_vec(arguments).expect("an object is JSON");
        let mut digest = [0; 16];
        digest.copy_from_slice(&blake3::hash(&text).as_bytes()[..16]);
        Self(digest)
    }
}

impl fmt::Display for ArgumentsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ArgumentsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ArgumentsDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ArgumentsDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = (text.len() == 32)
            .then(|| u128::from_str_radix(&text, 16).ok())
            .flatten();
        let number = number.ok_or_else(|| serde::de::Error::custom("not 32 hex digits"))?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl Record {
    /// Puts what `keep` makes of the record's result in its place, if it has one.
    pub(crate) fn keep(&mut self, keep: &mut dyn FnMut(&Value) -> Value) {
        if let Event::Finished(finish) = &mut self.event
            && let Outcome::Value(value) = &mut finish.outcome
        {
            *value = Arc::new(keep(value));
        }
    }
}

impl Event {
    /// The step that it is about, if it is about one.
    pub fn step(&self) -> Option<&Arc<str>> {
        match self {
            Self::Announced(about) | Self::Cancelled(about) | Self::Interrupted(about) => {
                Some(&about.step)
            }
            Self::Finished(finish) => Some(&finish.step),
            Self::Started(_) | Self::Resumed | Self::Ended(_) => None,
        }
    }
}
