//! The theorem: the optimised run leaves what running the lines in order would have left.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use praxis_workflow::{
    Backoff, EffectClass, Elided, Failure, Plan, ResourceParameter, Run, RunOptions, RunReport,
    StepStatus, ToolEffects, lower,
};
use tokio::runtime::Runtime;

use crate::program::{generate, generate_ordered, text};
use crate::world::{World, effects};

/// A step's id, how it ended, how often it was tried, and why it failed.
type Ended = (Arc<str>, StepStatus, u32, Option<Box<Failure>>);

/// What must be the same: everything but timings and the run's id.
#[derive(Debug, PartialEq)]
struct Outcome {
    files: BTreeMap<String, i64>,
    status: String,
    output: serde_json::Value,
    error: Option<Failure>,
    steps: Vec<Ended>,
    /// Which results were remembered. That is a measurement, but one that must be the same unless a
    /// step was left out whose result a later one would have found.
    cached: Vec<bool>,
}

fn outcome(world: &World, report: &RunReport) -> Outcome {
    let steps = report.steps.iter();
    Outcome {
        files: world.files.lock().unwrap().clone(),
        status: format!("{:?}", report.status),
        output: report.output.clone(),
        error: report.error.clone(),
        steps: steps
            .clone()
            .map(|step| {
                let id = step.id.clone();
                (id, step.status, step.attempts, step.error.clone())
            })
            .collect(),
        cached: steps.map(|step| step.timing.cached).collect(),
    }
}

fn paused() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

fn options(jobs: usize, window: usize) -> RunOptions {
    RunOptions {
        jobs,
        window,
        backoff: Backoff {
            base: Duration::ZERO,
            max: Duration::ZERO,
        },
        ..RunOptions::default()
    }
}

fn in_order() -> RunOptions {
    RunOptions {
        optimize: false,
        ..options(1, 1)
    }
}

async fn run(plan: &Plan, world: &Arc<World>, options: RunOptions) -> RunReport {
    let executor: Arc<World> = Arc::clone(world);
    let report = Run::new(plan, executor).options(options).execute().await;
    report.expect("the options are in range")
}

/// What differs between the run in order and an optimised one, if anything does. The optimised one
/// believes `declared`.
fn difference(
    runtime: &Runtime,
    seed: u64,
    declared: &HashMap<String, ToolEffects>,
) -> Option<String> {
    let program = generate(seed);
    let plan = lower(&program, &effects()).expect("generated programs have no circles");
    let believed = lower(&program, declared).ok()?;
    let remembers = seed.is_multiple_of(2);
    let world = |seed| {
        if remembers {
            World::remembering(seed)
        } else {
            World::new(seed)
        }
    };
    runtime.block_on(async {
        let first = world(0);
        let report = run(&plan, &first, in_order()).await;
        let expected = outcome(&first, &report);
        for (world_seed, jobs, window) in [(1, 1, 1), (2, 2, 2), (3, 64, 64)] {
            let second = world(world_seed);
            let report = run(&believed, &second, options(jobs, window)).await;
            let mut found = outcome(&second, &report);
            let left_out = |step: &praxis_workflow::StepReport| {
                matches!(step.timing.elided, Some(Elided::Unused))
            };
            if report.steps.iter().any(left_out) {
                found.cached.clone_from(&expected.cached);
            }
            if found != expected {
                return Some(format!(
                    "seed {seed} with {jobs} jobs: optimised {found:#?}\nin order {expected:#?}\n{}",
                    text(&program)
                ));
            }
        }
        None
    })
}

fn check(runtime: &Runtime, seed: u64) {
    if let Some(difference) = difference(runtime, seed, &effects()) {
        panic!("{difference}");
    }
}

/// A run that is cancelled at any moment has changed the world as far as some line, and no further.
fn check_cancelled(runtime: &Runtime, seed: u64) {
    let program = generate_ordered(seed);
    let plan = lower(&program, &effects()).expect("generated programs have no circles");
    runtime.block_on(async {
        let first = World::new(0);
        run(&plan, &first, in_order()).await;
        let history = first.history.lock().unwrap().clone();
        let mut random = fastrand::Rng::with_seed(seed);
        let second = World::new(1);
        let executor: Arc<World> = Arc::clone(&second);
        let after = Duration::from_millis(random.u64(0..200));
        let run = Run::new(&plan, executor).options(options(random.usize(1..8), 8));
        let report = run.execute_until(tokio::time::sleep(after)).await.unwrap();
        let files = second.files.lock().unwrap().clone();
        assert!(
            files.is_empty() || history.contains(&files),
            "seed {seed} cancelled after {after:?}: {files:?} of {history:?} {report:#?}\n{}",
            text(&program)
        );
    });
}

fn number(variable: &str, unless: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(unless)
}

/// Tries all seeds, on as many threads as there are cores.
fn for_all(check: fn(&Runtime, u64), cases: u64) {
    let first = number("PRAXIS_THEOREM_SEED", 0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let runtime = paused();
                for seed in (first + thread..first + cases).step_by(threads as usize) {
                    check(&runtime, seed);
                }
            });
        }
    });
}

#[test]
fn the_optimised_run_is_the_run_in_order() {
    for_all(check, number("PRAXIS_THEOREM_CASES", 10_000));
}

#[test]
fn a_cancelled_run_stops_at_a_line() {
    for_all(check_cancelled, number("PRAXIS_THEOREM_CASES", 10_000) / 4);
}

/// Programs that were once run wrongly.
#[test]
fn what_went_wrong_once_stays_right() {
    // A loop over nothing, which might have written, hid the write before it from a read behind it.
    check(&paused(), 1_040_157);
}

/// Each rule of the effects is broken once, by tools that do more than they declare; the theorem
/// must notice.
#[test]
fn a_broken_rule_is_noticed() {
    let noticed = |what: &str, tool: &str, declared: ToolEffects| {
        let mut effects = effects();
        effects.insert(tool.to_owned(), declared);
        let runtime = paused();
        let seed = (0..3_000).find(|&seed| difference(&runtime, seed, &effects).is_some());
        assert!(seed.is_some(), "{what} was not noticed");
    };
    noticed(
        "a write that starts early",
        "write",
        ToolEffects {
            class: EffectClass::Read,
            reads: ToolEffects::writes(&["path"]).writes,
            ..ToolEffects::default()
        },
    );
    noticed("a read that crosses writes", "read", ToolEffects::pure());
    noticed(
        "a write of another resource",
        "write",
        ToolEffects {
            class: EffectClass::Write,
            writes: vec![ResourceParameter {
                name: "none".to_owned(),
                default: Some("elsewhere".to_owned()),
            }],
            ..ToolEffects::default()
        },
    );
    noticed(
        "an external step that is no barrier",
        "external",
        ToolEffects::reads(&["arg0"]),
    );
    noticed(
        "a read that is left out",
        "read",
        ToolEffects::pure().total(),
    );
    noticed("a write that is merged", "write", ToolEffects::pure());
}
