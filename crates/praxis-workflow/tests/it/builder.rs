//! Workflows of plain async closures.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use praxis_workflow::{
    Backoff, BoxFuture, Inputs, RunOptions, RunStatus, StepError, StepStatus, Workflow,
};
use serde_json::{Value, json};

use crate::behaviour::paused;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// A step that takes `ms` and notes when it begins and ends.
    fn naps(
        &self,
        id: &'static str,
        ms: u64,
    ) -> impl Fn(Inputs) -> BoxFuture<'static, Result<Value, StepError>> + Send + Sync + 'static
    {
        let log = self.clone();
        move |_| {
            let log = log.clone();
            Box::pin(async move {
                log.note(format!("{id}("));
                tokio::time::sleep(Duration::from_millis(ms)).await;
                log.note(format!("){id}"));
                Ok(json!(id))
            })
        }
    }

    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().join(" ")
    }
}

#[test]
fn reads_pass_writes_of_other_paths_and_wait_for_their_own() {
    let log = Log::default();
    let mut flow = Workflow::new("paths");
    flow.writes("w", &["out/a"], &[], log.naps("w", 20));
    flow.reads("own", &["out"], &[], log.naps("own", 5));
    flow.reads("other", &["in"], &[], log.naps("other", 5));
    flow.reads("all", &[], &[], log.naps("all", 5));
    let (report, results) = paused(flow.run(RunOptions::default())).unwrap();
    assert_eq!(report.status, RunStatus::Succeeded);
    assert_eq!(results.len(), 4);
    let text = log.text();
    assert!(text.starts_with("w( other( )other )w"), "{text}");
}

#[test]
fn nothing_that_changes_the_world_passes_a_failure() {
    let log = Log::default();
    let mut flow = Workflow::new("failure");
    flow.step("slow", &[], |_| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(StepError::new("refused", "no"))
    });
    flow.writes("w", &["a"], &[], log.naps("w", 1));
    flow.reads("r", &["b"], &[], log.naps("r", 1));
    flow.changes("c", &[], log.naps("c", 1));
    let (report, _) = paused(flow.run(RunOptions::default())).unwrap();
    let failure = report.error.as_ref().unwrap();
    assert_eq!((failure.kind.as_str(), failure.line), ("refused", Some(1)));
    assert_eq!(log.text(), "r( )r", "only what reads may start early");
    let skipped = (report.steps.iter()).filter(|step| step.status == StepStatus::Skipped);
    assert_eq!(skipped.count(), 3);
}

#[test]
fn attempts_are_bounded_and_timed() {
    let tries = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&tries);
    let mut flow = Workflow::new("attempts");
    let flaky = flow.step("flaky", &[], move |_| {
        let tries = Arc::clone(&counted);
        async move {
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            match *tries {
                1..3 => Err(StepError::new("busy", "later").retryable(true)),
                tries => Ok(json!(tries)),
            }
        }
    });
    let hanging = flow.step("hanging", &[flaky], |_| async {
        std::future::pending::<()>().await;
        Ok(Value::Null)
    });
    flow.retries(flaky, 2)
        .timeout(hanging, Duration::from_millis(30));
    let options = RunOptions {
        backoff: Backoff {
            base: Duration::from_millis(1),
            max: Duration::from_millis(1),
        },
        ..RunOptions::default()
    };
    let (report, results) = paused(flow.run(options)).unwrap();
    assert_eq!(results["flaky"], json!(3));
    assert_eq!(report.steps[0].attempts, 3);
    assert_eq!(report.error.unwrap().kind, "timeout");
}

#[test]
fn a_run_can_be_cancelled() {
    let log = Log::default();
    let mut flow = Workflow::new("cancel");
    flow.step("short", &[], log.naps("short", 1));
    flow.step("long", &[], log.naps("long", 1000));
    let run = async {
        let cancel = tokio::time::sleep(Duration::from_millis(10));
        flow.run_until(RunOptions::default(), cancel).await
    };
    let (report, results) = paused(run).unwrap();
    assert_eq!(report.status, RunStatus::Cancelled);
    assert_eq!(report.steps[1].status, StepStatus::Cancelled);
    assert_eq!(results.keys().collect::<Vec<_>>(), ["short"]);
}

#[test]
fn what_cannot_be_a_step_is_refused_at_once() {
    let check = |message: &str, misuse: fn(&mut Workflow)| {
        let caught = std::panic::catch_unwind(|| misuse(&mut Workflow::new("w")));
        let text = caught.unwrap_err();
        let text = (text.downcast_ref::<String>().cloned())
            .or_else(|| text.downcast_ref::<&str>().map(|&text| text.to_owned()));
        assert!(text.as_ref().unwrap().contains(message), "{text:?}");
    };
    check("`a` is there already", |flow| {
        flow.step("a", &[], |_| async { Ok(Value::Null) });
        flow.step("a", &[], |_| async { Ok(Value::Null) });
    });
    check("no NUL", |flow| {
        flow.step("\0", &[], |_| async { Ok(Value::Null) });
    });
    check("belongs to this workflow", |flow| {
        let mut other = Workflow::new("other");
        let step = other.step("a", &[], |_| async { Ok(Value::Null) });
        flow.step("b", &[step], |_| async { Ok(Value::Null) });
    });
}
