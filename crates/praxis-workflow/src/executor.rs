//! The port through which the scheduler runs a step.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arguments::Arguments;
use crate::effect::ResourcePath;

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs one step.
///
/// What implementors owe: the future is dropped when the step is cancelled or its time is over,
/// and then everything that it started must end. It may be polled on any thread. A panic is
/// caught by the scheduler and counts as a failure that is not retried.
pub trait StepExecutor: Send + Sync {
    /// Runs `call` once. Retries and the time limit are the scheduler's.
    ///
    /// # Errors
    ///
    /// Whatever the step fails with; [`StepError::is_retryable`] decides about another attempt.
    fn execute(&self, call: StepCall) -> BoxFuture<'_, Result<StepOutput, StepError>>;

    /// Whether the call's future is quick to poll: it waits without blocking and computes for
    /// microseconds at most, or it is done at once.
    ///
    /// The scheduler polls the first time of such a call itself, which spares two wake-ups. While
    /// it does, nothing else of the run goes on and no time limit is seen, so a call that may
    /// block or compute must not be called prompt. False unless the executor knows better: where
    /// eight calls of a tool in a row took 5 µs at most, the scheduler takes the next to be prompt
    /// by itself, until one takes longer.
    fn is_prompt(&self, call: &StepCall) -> bool {
        let _ = call;
        false
    }

    /// The resource that an argument names; by its text alone unless the executor knows better.
    ///
    /// One that knows links gives two names of one thing the same path. Asked on the scheduler's
    /// own task for each step that reads or writes, so it must be quick.
    fn resource(&self, argument: &str) -> ResourcePath {
        ResourcePath::parse(argument)
    }

    /// Whether this call of a tool that is declared total succeeds for certain: whether the tool's
    /// contract accepts the arguments. Asked, on the scheduler's own task, only for pure steps whose
    /// result nobody uses; where it says yes, the step is not run.
    fn cannot_fail(&self, tool: &str, arguments: &Arguments) -> bool {
        let _ = (tool, arguments);
        false
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: StepExecutor + ?Sized> StepExecutor for $pointer {
            fn execute(&self, call: StepCall) -> BoxFuture<'_, Result<StepOutput, StepError>> {
                (**self).execute(call)
            }

            fn is_prompt(&self, call: &StepCall) -> bool {
                (**self).is_prompt(call)
            }

            fn resource(&self, argument: &str) -> ResourcePath {
                (**self).resource(argument)
            }

            fn cannot_fail(&self, tool: &str, arguments: &Arguments) -> bool {
                (**self).cannot_fail(tool, arguments)
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);

/// The executor that does nothing and answers null, for measuring the scheduler alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopExecutor;

impl StepExecutor for NoopExecutor {
    fn is_prompt(&self, _call: &StepCall) -> bool {
        true
    }

    fn execute(&self, _call: StepCall) -> BoxFuture<'_, Result<StepOutput, StepError>> {
        Box::pin(std::future::ready(Ok(StepOutput::default())))
    }
}

/// What the executor is asked to do.
#[derive(Debug, Clone)]
pub struct StepCall {
    /// The run it belongs to.
    pub run: RunId,
    /// The step's id, with the round's number behind it inside of a loop: `fetch[3]`.
    pub step: Arc<str>,
    /// The tool's name.
    pub tool: Arc<str>,
    /// Parameter to value.
    pub arguments: Arguments,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How long this attempt may take; the scheduler drops the future after it.
    pub timeout: Option<Duration>,
    /// `@engine`.
    pub engine: Option<Arc<str>>,
    /// The agent the step is sent to.
    pub agent: Option<Arc<str>>,
    /// `@cache`: whether the answer may come from memory; unset, the tool's contract decides.
    pub cache: Option<bool>,
}

/// What a step gave.
#[derive(Debug, Clone, Default)]
pub struct StepOutput {
    /// The result.
    pub value: Arc<Value>,
    /// What the cache had to do with it.
    pub cache: CacheUse,
    /// The engine that ran it, if one did.
    pub engine: Option<Arc<str>>,
}

impl From<Value> for StepOutput {
    fn from(value: Value) -> Self {
        Self {
            value: Arc::new(value),
            ..Self::default()
        }
    }
}

/// What the cache had to do with a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheUse {
    /// The result was remembered.
    Hit,
    /// It was looked for, not found, and computed.
    Miss,
    /// Nobody looked: the step may not be remembered.
    #[default]
    Bypassed,
}

/// Why a step failed.
#[derive(Debug, Clone)]
pub struct StepError(Box<Reason>);

#[derive(Debug, Clone)]
struct Reason {
    engine: Option<Arc<str>>,
    kind: Arc<str>,
    message: String,
    retryable: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl StepError {
    /// A failure that another attempt would not mend. `kind` is a short stable word
    /// (`timeout`, `not_found`), the message names the thing and the way out.
    pub fn new(kind: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        Self(Box::new(Reason {
            engine: None,
            kind: kind.into(),
            message: message.into(),
            retryable: false,
            source: None,
        }))
    }

    /// Marks it as one that another attempt may mend.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// Names the engine that ran the step.
    #[must_use]
    pub fn on_engine(mut self, engine: impl Into<Arc<str>>) -> Self {
        self.0.engine = Some(engine.into());
        self
    }

    /// Keeps the error underneath.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The engine that ran the step, if one did.
    pub fn engine(&self) -> Option<&Arc<str>> {
        self.0.engine.as_ref()
    }

    /// The short stable word for the kind of failure.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// What happened, in words.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether another attempt may mend it.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for StepError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// Identifies a run: sortable by its start, unique on a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Arc<str>);

impl RunId {
    /// A new id: milliseconds since 1970 in hex, a dash, and 32 random bits.
    pub fn generate() -> Self {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self(format!("{:012x}-{:08x}", since.as_millis(), fastrand::u32(..)).into())
    }

    /// The id of this text, if it is one that [`RunId::generate`] can give.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |part: &str, length| {
            let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            part.len() == length && part.bytes().all(digit)
        };
        let (time, random) = text.split_once('-')?;
        (hex(time, 12) && hex(random, 8)).then(|| Self(text.into()))
    }

    /// When the run was begun, in milliseconds since 1970.
    pub fn began_ms(&self) -> u64 {
        let time = self.0.split('-').next().unwrap_or_default();
        u64::from_str_radix(time, 16).unwrap_or(0)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
