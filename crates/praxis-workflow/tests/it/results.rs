//! How large a result may be.

use std::sync::Arc;

use praxis_workflow::{
    BoxFuture, Failure, Run, RunOptions, StepCall, StepError, StepExecutor, StepOutput, StepStatus,
};
use serde_json::Value;

use crate::behaviour::{paused, plan};

/// Answers with a text of as many bytes.
struct Zeros(usize);

impl StepExecutor for Zeros {
    fn execute(&self, _call: StepCall) -> BoxFuture<'_, Result<StepOutput, StepError>> {
        Box::pin(async move {
            // Zeroed memory that nobody writes to takes none.
            let text = String::from_utf8(vec![0; self.0]).unwrap();
            Ok(StepOutput::from(Value::String(text)))
        })
    }
}

/// Runs a step with a result of so many bytes, and one behind it; gives the failure.
fn failure(bytes: usize, options: RunOptions) -> Option<Failure> {
    let plan = plan("LET x = CALL read --path a\nCALL write --path b\n").unwrap();
    let run = Run::new(&plan, Arc::new(Zeros(bytes))).options(options);
    let report = paused(run.execute()).unwrap();
    let skipped = report.steps[1].status == StepStatus::Skipped;
    assert_eq!(skipped, report.error.is_some(), "{report:?}");
    report.error
}

#[test]
fn a_result_of_a_gigabyte_fails_its_step() {
    let failure = failure(1 << 30, RunOptions::default()).unwrap();
    assert_eq!(failure.kind, "output_too_large");
    let text = "tool `read`: the result takes more than 268435456 bytes; have it write a file";
    assert!(failure.message.contains(text), "{}", failure.message);
}

#[test]
fn the_bound_is_the_caller_s() {
    let check = |bytes, result_bytes, fails| {
        let options = RunOptions {
            result_bytes,
            ..RunOptions::default()
        };
        assert_eq!(failure(bytes, options).is_some(), fails, "{bytes} bytes");
    };
    check(1, 40, false);
    check(10, 40, true);
    check(1 << 30, 2 << 30, false);
}
