//! Turns a workflow written line by line into a graph and runs it at the speed of its longest
//! chain, with the outcome of running the lines in order.
//!
//! A program is lowered to a [`Plan`] ([`lower`], from a checked program and an
//! [`EffectCatalog`]) or built from async closures ([`Workflow`]); a [`Run`] executes it through a
//! [`StepExecutor`] and gives a [`RunReport`]. What a step may overlap with is decided by its
//! [`EffectClass`]: pure and reading steps start as soon as their inputs are there, steps that
//! change the world wait until everything before them has succeeded, and the failure that is
//! reported is the first in program order.
//!
//! ```
//! use praxis_workflow::{RunOptions, Workflow};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), praxis_workflow::Error> {
//! let mut flow = Workflow::new("shout");
//! let left = flow.step("left", &[], |_| async { Ok(json!("hello")) });
//! let right = flow.step("right", &[], |_| async { Ok(json!("world")) });
//! flow.step("both", &[left, right], |inputs| async move {
//!     let word = |id| inputs.value(id).as_str().unwrap_or_default().to_uppercase();
//!     Ok(json!(format!("{} {}", word("left"), word("right"))))
//! });
//! let (report, results) = flow.run(RunOptions::default()).await?;
//! assert_eq!(results["both"], json!("HELLO WORLD"));
//! assert_eq!(report.steps.len(), 3);
//! # Ok(())
//! # }
//! ```

mod effect;
mod arguments;
mod executor;
mod observer;
mod retry;
mod plan;
mod lower;
mod pass;
mod cost;
mod graph;
mod explain;
mod order;
mod race;
mod run;
mod journal;
mod report;
mod builder;
mod error;

pub use arguments::Arguments;
pub use builder::{Inputs, Step, Workflow};
pub use cost::{CostModel, LearnedCosts, LoadError};
pub use effect::{
    EffectCatalog, EffectClass, EverythingExternal, ResourceParameter, ResourcePath, ToolEffects,
};
pub use error::{Error, ErrorKind, Issue};
pub use executor::{
    BoxFuture, CacheUse, NoopExecutor, RunId, StepCall, StepError, StepExecutor, StepOutput,
};
pub use explain::{
    EdgeCounts, ExplainedBlock, ExplainedRounds, ExplainedStep, Explanation, Predicted, Wait,
};
#[cfg(feature = "conformance")]
pub use journal::conformance;
pub use journal::{
    Announcement, ArgumentsDigest, Ending, Event, Finish, History, Journal, JournalError,
    JournalErrorKind, MemoryJournal, Outcome, Record, RunJournal, RunLog, RunStart, RunState,
    UnknownStep,
};
#[cfg(feature = "sqlite")]
pub use journal::{Retention, SqliteJournal};
pub use lower::lower;
pub use observer::{RunEvent, RunObserver};
pub use pass::{Change, PassName};
pub use plan::{Plan, PlannedCall};
pub use report::{
    CacheCounts, Elided, Failure, RunReport, RunStatus, StepReport, StepStatus, StepTiming, Timing,
};
pub use retry::Backoff;
pub use run::{Run, RunOptions};
