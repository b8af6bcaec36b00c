//! What a run holds for each of its steps at most, and that neither that nor the time for a step
//! grows when there are a million of them.

use std::sync::Arc;
use std::time::Instant;

use peak_alloc::PeakAlloc;
use praxis_benches::steps::{self, Shape, Successor};
use praxis_workflow::{RunOptions, RunStatus, Workflow};
use serde_json::json;
use tokio::runtime::Runtime;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const FEW: usize = 10_000;
const MANY: usize = 1_000_000;

/// Measures `work` on `count` steps and gives the most bytes held at once for each step.
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn measure(name: &str, count: usize, work: impl FnOnce()) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let started = Instant::now();
    work();
    let nanoseconds = started.elapsed().as_nanos() / count as u128;
    let bytes = (MEMORY.peak_usage() - before) / count;
    println!("{name}, {count} steps: {bytes} bytes and {nanoseconds} ns for each");
    bytes
}

fn program(runtime: &Runtime, shape: Shape, name: &str, count: usize) -> usize {
    let plan = Arc::new(steps::plan(count, shape));
    measure(name, count, || {
        let run = runtime.spawn(steps::run(
            Arc::clone(&plan),
            shape,
            Successor::default(),
            None,
        ));
        let done = runtime.block_on(run).expect("the task does not panic");
        assert_eq!(done, count);
    })
}

/// A chain of closures, with the memory that its building takes.
fn closures(runtime: &Runtime, count: usize) -> usize {
    measure("closures in a chain", count, || {
        let mut flow = Workflow::new("chain");
        let mut before = None;
        for index in 0..count {
            let after: Vec<_> = before.into_iter().collect();
            let id = format!("s{index}");
            before = Some(flow.step(&id, &after, move |inputs| async move {
                let sum = index.checked_sub(1).map_or(0, |before| {
                    inputs.value(&format!("s{before}")).as_u64().unwrap_or(0) + 1
                });
                Ok(json!(sum))
            }));
        }
        let run = runtime.spawn(flow.run(RunOptions::default()));
        let (report, results) = runtime
            .block_on(run)
            .expect("the task does not panic")
            .expect("the options are valid");
        assert_eq!(report.status, RunStatus::Succeeded);
        assert_eq!(results[&format!("s{}", count - 1)], json!(count - 1));
    })
}

fn main() {
    let runtime = Runtime::new().expect("a runtime starts");
    let check = |few: usize, many: usize| {
        assert!(many <= few * 3 / 2, "{few} bytes for a step became {many}");
    };
    for (name, shape) in Shape::ALL {
        let few = program(&runtime, shape, name, FEW);
        check(few, program(&runtime, shape, name, MANY));
    }
    let few = closures(&runtime, FEW);
    check(few, closures(&runtime, MANY));
}
