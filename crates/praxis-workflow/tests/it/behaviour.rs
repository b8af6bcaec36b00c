//! What blocks, options and limits do, on programs as people write them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use praxis_dsl::{Catalog, ParameterKind, ToolSignature, check, parse};
use praxis_workflow::{
    Backoff, BoxFuture, Error, ErrorKind, Plan, Run, RunOptions, RunReport, RunStatus, StepCall,
    StepError, StepExecutor, StepOutput, StepStatus, lower,
};
use serde_json::{Value, json};

use crate::world::{World, effects};

pub(crate) fn plan(program: &str) -> Result<Plan, Error> {
    let tool = |name: &str| {
        let tool = ToolSignature::new(name)
            .optional("path", ParameterKind::Text)
            .optional("from", ParameterKind::Text);
        let tool = tool
            .optional("fail", ParameterKind::Text)
            .optional("ms", ParameterKind::Any);
        tool.optional("arg", ParameterKind::Any)
    };
    let catalog: Catalog = ["compute", "count", "read", "write", "copy", "external"]
        .into_iter()
        .map(tool)
        .collect();
    let checked = check(&parse(program), &catalog);
    let program = checked
        .program
        .unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
    lower(&program, &effects())
}

struct Outcome {
    report: RunReport,
    world: Arc<World>,
}

impl Outcome {
    fn statuses(&self) -> BTreeMap<&str, StepStatus> {
        self.report
            .steps
            .iter()
            .map(|step| (&*step.id, step.status))
            .collect()
    }

    fn files(&self) -> BTreeMap<String, i64> {
        self.world.files.lock().unwrap().clone()
    }
}

pub(crate) fn paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn run_with(program: &str, options: RunOptions) -> Outcome {
    let plan = plan(program).unwrap();
    let world = World::new(7);
    let executor: Arc<World> = Arc::clone(&world);
    let options = RunOptions {
        backoff: Backoff {
            base: Duration::ZERO,
            max: Duration::ZERO,
        },
        ..options
    };
    let report = paused(Run::new(&plan, executor).options(options).execute()).unwrap();
    Outcome { report, world }
}

fn run(program: &str) -> Outcome {
    run_with(program, RunOptions::default())
}

#[test]
fn a_parallel_block_waits_for_all_and_fails_with_the_first_by_position() {
    let program = "\
PARALLEL
  CALL write --path a @id=a
  CALL write --path b --fail before --ms 100 @id=b
  CALL write --path c --fail before --ms 1 @id=c
  CALL write --path d --ms 200 @id=d
END_PARALLEL
CALL write --path e @id=e
";
    let outcome = run(program);
    assert_eq!(outcome.report.error.as_ref().unwrap().line, Some(3));
    assert_eq!(outcome.files().keys().collect::<Vec<_>>(), ["a", "d"]);
    assert_eq!(outcome.statuses()["e"], StepStatus::Skipped);
}

#[test]
fn fail_fast_cancels_the_rest() {
    let program = "\
PARALLEL --fail_fast
  CALL write --path a --ms 1000 @id=a
  CALL write --path b --fail before --ms 30 @id=b
  SEQUENCE
    CALL compute --ms 1 @id=c
    CALL write --path c --ms 1000 @id=d
    CALL write --path e @id=e
  END_SEQUENCE
END_PARALLEL
";
    let outcome = run(program);
    assert_eq!(outcome.report.error.as_ref().unwrap().line, Some(3));
    let statuses = outcome.statuses();
    assert_eq!(statuses["a"], StepStatus::Cancelled);
    assert_eq!(statuses["c"], StepStatus::Succeeded);
    assert_eq!(statuses["d"], StepStatus::Cancelled);
    assert_eq!(statuses["e"], StepStatus::Skipped);
    assert!(outcome.files().is_empty());
    assert!(outcome.report.timing.makespan_ms < 1000.0);
}

#[test]
fn any_takes_the_first_success() {
    let program = "\
PARALLEL --any
  CALL compute --fail before --ms 1 @id=a
  CALL compute --ms 20 @id=b
  CALL compute --ms 5000 @id=c
END_PARALLEL
CALL write --path done @id=d
";
    let outcome = run(program);
    assert_eq!(outcome.report.status, RunStatus::Succeeded);
    let statuses = outcome.statuses();
    assert_eq!(
        (statuses["a"], statuses["b"]),
        (StepStatus::Failed, StepStatus::Succeeded)
    );
    assert_eq!(
        (statuses["c"], statuses["d"]),
        (StepStatus::Cancelled, StepStatus::Succeeded)
    );
    let none = run(
        "PARALLEL --any\n  CALL compute --fail before --ms 9\n  CALL compute --fail before\nEND_PARALLEL\n",
    );
    assert_eq!(none.report.error.unwrap().line, Some(2));
}

#[test]
fn limits_bound_how_many_run_at_once() {
    let children = "  CALL compute --ms 10\n".repeat(12);
    let most = |program: &str, jobs| {
        let outcome = run_with(
            program,
            RunOptions {
                jobs,
                ..RunOptions::default()
            },
        );
        let busy = *outcome.world.most_at_once.lock().unwrap();
        busy.1
    };
    assert_eq!(
        most(&format!("PARALLEL --limit 3\n{children}END_PARALLEL\n"), 64),
        3
    );
    assert_eq!(most(&format!("PARALLEL\n{children}END_PARALLEL\n"), 64), 12);
    assert_eq!(most(&format!("PARALLEL\n{children}END_PARALLEL\n"), 5), 5);
    let rounds = "LET xs = CALL compute --ms 1\nPARALLEL FOR x IN [1,2,3,4,5,6,7,8] --limit 2\n  CALL compute --arg $x --ms 9\nEND_FOR\n";
    assert_eq!(
        most(rounds, 64),
        3,
        "two rounds, and the step before the loop that nothing waits for"
    );
}

#[test]
fn loops_bind_lists_in_the_order_of_their_items() {
    let program = "\
PARALLEL FOR x IN [30,20,10]
  LET y = CALL compute --arg $x --ms $x
END_FOR
FOR x IN [1,2]
  LET z = $x
END_FOR
FOR x IN []
  LET none = $x
END_FOR
RETURN ${[size(y),z[1],size(none)]}
";
    assert_eq!(run(program).report.output, json!([3, 2, 0]));
    let order = "FOR x IN [3,1,2]\n  CALL write --path same --arg $x @id=w\nEND_FOR\nLET last = CALL read --path same\nRETURN $last\n";
    let (fast, slow) = (
        run(order),
        run_with(
            order,
            RunOptions {
                optimize: false,
                ..RunOptions::default()
            },
        ),
    );
    assert_eq!(fast.report.output, slow.report.output);
    let ids: Vec<&str> = fast.report.steps.iter().map(|step| &*step.id).collect();
    assert_eq!(ids, ["w[0]", "w[1]", "w[2]", "s2"]);
    assert_eq!(
        run("LET n = CALL compute\nFOR x IN $n\n  CALL compute\nEND_FOR\n")
            .report
            .error
            .unwrap()
            .kind,
        "evaluation"
    );
}

#[test]
fn return_ends_the_run_wherever_it_stands() {
    let program = "\
FOR x IN [1,2,3,4]
  CALL write --path \"f${x}\"
  IF x == 2
    RETURN $x
  END_IF
END_FOR
CALL write --path never
";
    for optimize in [true, false] {
        let outcome = run_with(
            program,
            RunOptions {
                optimize,
                ..RunOptions::default()
            },
        );
        assert_eq!(outcome.report.output, 2);
        assert_eq!(outcome.files().keys().collect::<Vec<_>>(), ["f1", "f2"]);
        assert_eq!(
            outcome.report.steps.last().unwrap().status,
            StepStatus::Skipped
        );
    }
    let late = run("CALL compute --fail before --ms 50\nRETURN 1\n");
    assert_eq!(late.report.status, RunStatus::Failed);
}

#[test]
fn after_orders_steps_also_forwards_and_across_blocks() {
    let program = "\
CALL compute --arg late @id=late @after=early
CALL compute --arg early --ms 50 @id=early
PARALLEL
  CALL compute --arg p @id=p @after=q
  CALL compute --arg q --ms 50 @id=q
END_PARALLEL
FOR x IN [1]
  CALL compute --arg $x @id=inside @after=early,q
END_FOR
";
    for optimize in [true, false] {
        let outcome = run_with(
            program,
            RunOptions {
                optimize,
                ..RunOptions::default()
            },
        );
        let calls = outcome.world.calls.lock().unwrap().clone();
        let at = |id: &str| calls.iter().position(|call| call == id).unwrap();
        assert!(at("early") < at("late") && at("q") < at("p"), "{calls:?}");
        assert!(
            at("early") < at("inside[0]") && at("q") < at("inside[0]"),
            "{calls:?}"
        );
    }
}

#[test]
fn circles_and_races_are_refused_with_every_step_named() {
    let refused = |program: &str| {
        let error = plan(program).unwrap_err();
        (error.kind(), error.to_string())
    };
    let (kind, text) = refused(
        "LET x = CALL compute @id=a @after=c\nLET y = CALL compute --arg $x @id=b\nCALL compute --arg $y @id=c\n",
    );
    assert_eq!(kind, ErrorKind::Cycle);
    for part in [
        "`a` (line 1)",
        "line 2",
        "`c` (line 3)",
        "@after",
        "$x",
        "$y",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(refused("CALL compute @id=a @after=a\n").0, ErrorKind::Cycle);
    let branches = "IF 1 == 1\n  CALL compute @id=a @after=b\nELSE\n  CALL compute @id=b\nEND_IF\n";
    assert_eq!(refused(branches).0, ErrorKind::After);
    let race = "PARALLEL\n  CALL write --path d\n  SEQUENCE\n    CALL write --path d/x\n  END_SEQUENCE\nEND_PARALLEL\n";
    let (kind, text) = refused(race);
    assert_eq!(kind, ErrorKind::Race);
    assert!(text.contains("line 4") && text.contains("line 2"), "{text}");
    assert_eq!(
        refused("PARALLEL FOR x IN [1,2]\n  CALL write --path d\nEND_FOR\n").0,
        ErrorKind::Race
    );
    assert!(plan("PARALLEL FOR x IN [1,2]\n  CALL write --path \"d${x}\"\nEND_FOR\n").is_ok());
    assert!(plan("PARALLEL\n  CALL write --path d\n  CALL write --path e\nEND_PARALLEL\n").is_ok());
}

#[test]
fn reads_pass_writes_of_other_resources_and_wait_for_their_own() {
    let program = "\
CALL write --path slow --ms 1000 @id=w
LET a = CALL read --path other --ms 10 @id=other
LET b = CALL read --path slow --ms 10 @id=own
LET c = CALL read --path slow/below --ms 10 @id=below
";
    let outcome = run(program);
    let started = |id: &str| {
        outcome
            .report
            .steps
            .iter()
            .find(|step| &*step.id == id)
            .unwrap()
            .timing
            .started_ms
            .unwrap()
    };
    assert!(started("other") < 100.0, "{}", started("other"));
    assert!(started("own") >= 1000.0 && started("below") >= 1000.0);
    let timing = outcome.report.timing;
    assert!(
        (1010.0..1100.0).contains(&timing.critical_path_ms),
        "{timing:?}"
    );
    assert!(timing.work_ms > timing.makespan_ms);
}

#[test]
fn a_block_that_wrote_nothing_hides_no_write() {
    let blocks = [
        "FOR x IN []\n  CALL external\nEND_FOR\n",
        "IF 1 == 2\n  CALL external\nEND_IF\n",
        "TRY\n  CALL compute\nCATCH\n  CALL write --path a\nEND_TRY\n",
    ];
    for block in blocks {
        for many in [1, 40] {
            let program = format!(
                "CALL write --path a --ms 500 --arg 1\n{}LET b = CALL read --path a --ms 1\nRETURN $b\n",
                block.repeat(many)
            );
            let in_order = run_with(
                &program,
                RunOptions {
                    optimize: false,
                    ..RunOptions::default()
                },
            );
            assert_eq!(
                run(&program).report.output,
                in_order.report.output,
                "{program}"
            );
        }
    }
}

#[test]
fn attempts_are_bounded_and_timed() {
    let retried = run("CALL compute --fail once @retries=2 @id=a\n");
    assert_eq!(
        (retried.report.status, retried.report.steps[0].attempts),
        (RunStatus::Succeeded, 2)
    );
    let once = run("CALL compute --fail once @id=a\n");
    assert_eq!(
        (once.report.status, once.report.steps[0].attempts),
        (RunStatus::Failed, 1)
    );
    let hopeless = run("CALL compute --fail before @retries=5\n");
    assert_eq!(
        hopeless.report.steps[0].attempts, 1,
        "the error does not say that another attempt may help"
    );
    let slow = run("CALL compute --ms 5000 @timeout=1s @retries=2\n");
    let step = &slow.report.steps[0];
    assert_eq!(
        (step.attempts, slow.report.error.unwrap().kind.as_str()),
        (3, "timeout")
    );
    let options = RunOptions {
        timeout: Some(Duration::from_millis(100)),
        ..RunOptions::default()
    };
    let whole = run_with(
        "CALL compute --ms 5000 @id=a\nCALL write --path x @id=b\n",
        options,
    );
    assert_eq!(whole.report.status, RunStatus::Failed);
    assert_eq!(whole.statuses()["a"], StepStatus::Cancelled);
    assert_eq!(whole.statuses()["b"], StepStatus::Skipped);
}

#[test]
fn cancelling_drops_what_runs_and_tells_what_was_done() {
    let plan = plan("CALL write --path a @id=a\nCALL write --path b --ms 5000 @id=b\nCALL write --path c @id=c\n").unwrap();
    let world = World::new(1);
    let executor: Arc<World> = Arc::clone(&world);
    let cancel = tokio::time::Duration::from_millis(200);
    let report = paused(async {
        Run::new(&plan, executor)
            .execute_until(tokio::time::sleep(cancel))
            .await
    })
    .unwrap();
    assert_eq!(report.status, RunStatus::Cancelled);
    let statuses: Vec<StepStatus> = report.steps.iter().map(|step| step.status).collect();
    assert_eq!(
        statuses,
        [
            StepStatus::Succeeded,
            StepStatus::Cancelled,
            StepStatus::Skipped
        ]
    );
    assert_eq!(
        world.most_at_once.lock().unwrap().0,
        0,
        "the future of the running step was dropped"
    );
}

struct Panics;

impl StepExecutor for Panics {
    fn execute(&self, call: StepCall) -> BoxFuture<'_, Result<StepOutput, StepError>> {
        Box::pin(async move { panic!("{} is out of order", call.step) })
    }
}

#[test]
fn a_panic_is_a_failure_of_its_step() {
    let plan = plan("CALL compute @retries=3\nCALL write --path x\n").unwrap();
    let report = paused(Run::new(&plan, Arc::new(Panics)).execute()).unwrap();
    let error = report.error.unwrap();
    assert_eq!((error.kind.as_str(), error.line), ("panic", Some(1)));
    assert!(
        error.message.contains("s1 is out of order"),
        "{}",
        error.message
    );
    assert_eq!(report.steps[1].status, StepStatus::Skipped);
}

#[test]
fn options_and_inputs_out_of_range_are_refused() {
    let plan = plan("INPUT a\nINPUT b = 1\nRETURN ${[a,b]}\n").unwrap();
    let world = World::new(1);
    let executor: Arc<World> = Arc::clone(&world);
    let run = |inputs: Value, jobs| {
        let inputs = inputs.as_object().unwrap().clone();
        let options = RunOptions {
            jobs,
            ..RunOptions::default()
        };
        paused(
            Run::new(&plan, Arc::<World>::clone(&executor))
                .inputs(inputs)
                .options(options)
                .execute(),
        )
    };
    assert_eq!(run(json!({ "a": 2 }), 1).unwrap().output, json!([2, 1]));
    assert_eq!(run(json!({}), 1).unwrap_err().kind(), ErrorKind::Input);
    let unknown = run(json!({ "a": 1, "c": 1 }), 1).unwrap_err();
    assert!(unknown.to_string().contains("a, b"), "{unknown}");
    assert_eq!(
        run(json!({ "a": 1 }), 0).unwrap_err().kind(),
        ErrorKind::Options
    );
}

#[test]
fn long_loops_and_long_programs_run_through() {
    let items: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    let program = format!(
        "FOR x IN [{}]\n  LET y = $x\nEND_FOR\nRETURN ${{size(y)}}\n",
        items.join(",")
    );
    assert_eq!(run(&program).report.output, 20_000);
    let program: String = (0..20_000)
        .map(|n| format!("LET v{n} = CALL read --path f{n}\n"))
        .collect();
    let plan = plan(&program).unwrap();
    let report =
        paused(Run::new(&plan, Arc::new(praxis_workflow::NoopExecutor)).execute()).unwrap();
    assert_eq!(report.steps.len(), 20_000);
    assert!(
        report
            .steps
            .iter()
            .all(|step| step.status == StepStatus::Succeeded)
    );
}

#[test]
fn a_failing_item_stops_its_loop_or_lets_it_go_on() {
    let program = |option: &str| {
        format!(
            "FOR x IN [1,2,3] {option}\n  LET f = \"${{x == 2 ? 'before' : 'no'}}\"\n  LET y = CALL read --path a --fail $f\n  CALL write --path \"w${{x}}\"\nEND_FOR\nRETURN $y\n"
        )
    };
    let stopped = run(&program("@on_error=stop"));
    assert_eq!(stopped.report.status, RunStatus::Failed);
    assert_eq!(stopped.files().keys().collect::<Vec<_>>(), ["w1"]);
    let went_on = run(&program("@on_error=continue"));
    assert_eq!(went_on.report.status, RunStatus::Succeeded);
    assert_eq!(went_on.report.output, json!([-1, null, -1]));
    assert_eq!(went_on.files().keys().collect::<Vec<_>>(), ["w1", "w3"]);
    let failed: Vec<&str> = went_on
        .report
        .steps
        .iter()
        .filter(|step| step.status == StepStatus::Failed)
        .map(|step| &*step.id)
        .collect();
    assert_eq!(failed, ["s1[1]"]);
    assert_eq!(went_on.statuses()["s2[1]"], StepStatus::Skipped);
}

/// Answers with a text, and counts how many of its answers are alive.
#[derive(Default)]
struct Counting {
    alive: std::sync::Mutex<(std::collections::VecDeque<std::sync::Weak<Value>>, usize)>,
}

impl StepExecutor for Counting {
    fn execute(&self, call: StepCall) -> BoxFuture<'_, Result<StepOutput, StepError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let output = StepOutput::from(call.arguments["arg"].clone());
            let mut alive = self.alive.lock().unwrap();
            alive.0.push_back(Arc::downgrade(&output.value));
            while alive
                .0
                .front()
                .is_some_and(|first| first.strong_count() == 0)
            {
                alive.0.pop_front();
            }
            let count = alive.0.len();
            alive.1 = alive.1.max(count);
            Ok(output)
        })
    }
}

#[test]
fn hundreds_of_thousands_of_items_stream_through() {
    let items: Vec<String> = (0..300_000).map(|n| n.to_string()).collect();
    let program = format!(
        "LET items = [{}]\nFOR x IN $items\n  LET y = CALL read --path a --arg $x\n  LET z = CALL compute --arg $y\nEND_FOR\n",
        items.join(",")
    );
    let plan = plan(&program).unwrap();
    let executor = Arc::new(Counting::default());
    let run = Run::new(&plan, Arc::<Counting>::clone(&executor));
    let report = paused(run.execute()).unwrap();
    assert_eq!(report.status, RunStatus::Succeeded);
    assert_eq!(report.steps.len(), 600_000);
    // What is alive is what 64 rounds hold, not what all of them would.
    let most = executor.alive.lock().unwrap().1;
    assert!(most <= 3 * 64, "{most} results were alive at once");
}
