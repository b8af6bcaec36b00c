//! Where steps are polled: by the driver itself once a tool's calls are known to be quick.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use praxis_workflow::{BoxFuture, Run, RunStatus, StepCall, StepError, StepExecutor, StepOutput};

use crate::behaviour::{paused, plan};

/// Notes for each step whether a worker ran it; the steps in `slow` take a millisecond.
struct Watched {
    slow: &'static [&'static str],
    by_worker: Mutex<Vec<bool>>,
}

impl StepExecutor for Watched {
    fn execute(&self, call: StepCall) -> BoxFuture<'_, Result<StepOutput, StepError>> {
        Box::pin(async move {
            // What blocks on a runtime is no task of it.
            let by_worker = tokio::task::try_id().is_some();
            self.by_worker.lock().unwrap().push(by_worker);
            if self.slow.contains(&&*call.step) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(StepOutput::default())
        })
    }
}

/// Runs a chain of 300 steps and gives which of them were run by a worker.
fn by_worker(slow: &'static [&'static str]) -> Vec<bool> {
    let mut program = "LET x0 = CALL compute\n".to_owned();
    for step in 1..300 {
        program += &format!("LET x{step} = CALL compute --arg $x{}\n", step - 1);
    }
    program += "RETURN $x299\n";
    let executor = Arc::new(Watched {
        slow,
        by_worker: Mutex::default(),
    });
    let plan = plan(&program).unwrap();
    let run = Run::new(&plan, Arc::<Watched>::clone(&executor));
    let report = paused(run.execute()).unwrap();
    assert_eq!(report.status, RunStatus::Succeeded);
    std::mem::take(&mut executor.by_worker.lock().unwrap())
}

#[test]
fn a_tool_that_is_always_done_at_once_soon_needs_no_worker() {
    let by_worker = by_worker(&[]);
    assert!(by_worker[..2].iter().all(|by| *by));
    assert!(!by_worker[2..].iter().any(|by| *by));
}

#[test]
fn a_tool_that_was_slow_once_goes_to_the_workers_for_a_while() {
    let by_worker = by_worker(&["s21"]);
    assert!(!by_worker[2..21].iter().any(|by| *by));
    assert!(by_worker[21..122].iter().all(|by| *by));
    assert!(!by_worker[124..].iter().any(|by| *by));
}
