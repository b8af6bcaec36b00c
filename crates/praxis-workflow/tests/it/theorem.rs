//! The theorem: the optimised run leaves what running the lines in order would have left.

use std::sync::Arc;
use std::time::Duration;

use praxis_workflow::{Backoff, Run, RunOptions, RunReport, StepStatus, lower};

use crate::program::{generate, text};
use crate::world::{World, effects};

/// What must be the same: everything but timings and the run's id.
#[derive(Debug, PartialEq)]
struct Outcome {
    files: std::collections::BTreeMap<String, i64>,
    status: String,
    output: serde_json::Value,
    error: Option<praxis_workflow::Failure>,
    steps: Vec<(String, StepStatus, u32, Option<praxis_workflow::Failure>)>,
}

fn outcome(world: &World, report: &RunReport) -> Outcome {
    Outcome {
        files: world.files.lock().unwrap().clone(),
        status: format!("{:?}", report.status),
        output: report.output.clone(),
        error: report.error.clone(),
        steps: report
            .steps
            .iter()
            .map(|step| {
                (
                    step.id.clone(),
                    step.status,
                    step.attempts,
                    step.error.clone(),
                )
            })
            .collect(),
    }
}

async fn run(seed: u64, world_seed: u64, options: RunOptions) -> Outcome {
    let program = generate(seed);
    let plan = lower(&program, &effects()).expect("generated programs have no circles");
    let world = World::new(world_seed);
    let executor: Arc<World> = Arc::clone(&world);
    let options = RunOptions {
        backoff: Backoff {
            base: Duration::ZERO,
            max: Duration::ZERO,
        },
        ..options
    };
    let report = Run::new(&plan, executor).options(options).execute().await;
    let report = report.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", text(&program)));
    outcome(&world, &report)
}

fn check(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let expected = run(
            seed,
            0,
            RunOptions {
                optimize: false,
                ..RunOptions::default()
            },
        )
        .await;
        for (world_seed, jobs, window) in [(1, 1, 1), (2, 2, 2), (3, 64, 64)] {
            let found = run(
                seed,
                world_seed,
                RunOptions {
                    jobs,
                    window,
                    ..RunOptions::default()
                },
            )
            .await;
            assert_eq!(
                found,
                expected,
                "seed {seed} with {jobs} jobs: left is the optimised run\n{}",
                text(&generate(seed))
            );
        }
    });
}

#[test]
fn the_optimised_run_is_the_run_in_order() {
    let cases: u64 = std::env::var("PRAXIS_THEOREM_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_000);
    let first: u64 = std::env::var("PRAXIS_THEOREM_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    for seed in first..first + cases {
        check(seed);
    }
}

/// Programs that were once run wrongly.
#[test]
fn what_went_wrong_once_stays_right() {
    // A loop over nothing, which might have written, hid the write before it from a read behind it.
    check(1_040_157);
}
