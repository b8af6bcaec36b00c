//! What a run leaves behind: the document that `praxis run --json` prints.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a run went. The field names are stable: others script against them.
///
/// What was measured stands under `timing`, here and in each step: the time, and whether a result was remembered.
/// Two runs of one program over one world differ there and in the run's id only, whatever the cache held and however many steps ran at once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// The run's id.
    pub run_id: String,
    /// The program's `WORKFLOW` name.
    pub workflow: Option<String>,
    /// How it ended.
    pub status: RunStatus,
    /// The value of `RETURN`; null without one.
    pub output: Value,
    /// The first failure in program order.
    pub error: Option<Failure>,
    /// The steps in program order. A step that never ran stands here once, as skipped.
    pub steps: Vec<StepReport>,
    /// Where the time went, and what the cache saved.
    pub timing: Timing,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Everything that was to run has run.
    Succeeded,
    /// A step failed, or the run's time was over.
    Failed,
    /// The caller cancelled it.
    Cancelled,
}

/// How one step went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// The step's id, with the round's number behind it inside of a loop: `fetch[3]`.
    pub id: Arc<str>,
    /// The line of its `CALL`.
    pub line: u32,
    /// Its tool.
    pub tool: Arc<str>,
    /// How it ended.
    pub status: StepStatus,
    /// The agent it was sent to.
    pub agent: Option<Arc<str>>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed.
    pub error: Option<Box<Failure>>,
    /// What was measured of it.
    pub timing: StepTiming,
}

/// What was measured of one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct StepTiming {
    /// When its first attempt began, in milliseconds since the run's start; null if it never did.
    pub started_ms: Option<f64>,
    /// How long it took over all attempts, in milliseconds.
    pub duration_ms: f64,
    /// Whether the result was remembered.
    pub cached: bool,
    /// The engine that ran it; null when none did.
    pub engine: Option<Arc<str>>,
    /// Why its tool was not called though it succeeded; absent for a step that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elided: Option<Elided>,
}

/// Why an optimised run did without a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
#[non_exhaustive]
pub enum Elided {
    /// An earlier step had called the tool with the same arguments.
    Merged {
        /// The earlier step's id.
        with: String,
    },
    /// Nobody uses the result, and the call could not fail.
    Unused,
}

/// How one step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// It gave a result.
    Succeeded,
    /// It gave an error.
    Failed,
    /// It did not run, or what it gave was discarded because a step before it failed.
    Skipped,
    /// It was running when the run or its block was cancelled.
    Cancelled,
}

/// A failure and its place in the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A short stable word: `timeout`, `not_found`, `failed`, …
    pub kind: String,
    /// What happened, in words.
    pub message: String,
    /// The line, from 1; null where no line is to blame.
    pub line: Option<u32>,
    /// The column in characters, from 1.
    pub column: Option<u32>,
}

/// Where the time went, in milliseconds, and what the cache saved.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Timing {
    /// From the run's start to its end.
    pub makespan_ms: f64,
    /// The longest chain of steps that had to wait for each other: no number of jobs beats it.
    pub critical_path_ms: f64,
    /// All steps' durations added up.
    pub work_ms: f64,
    /// What the cache did.
    pub cache: CacheCounts,
}

/// What the cache did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CacheCounts {
    /// Steps whose result was remembered.
    pub hits: u64,
    /// Steps that were looked for and had to run.
    pub misses: u64,
}
