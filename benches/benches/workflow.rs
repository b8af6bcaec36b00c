//! What the scheduler costs for each step that does nothing, against spawning and joining a task
//! for each in the same run.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use praxis_dsl::checked::{
    Call, CheckedProgram, Location, Node, NodeKind, Operand, Reference, StepOptions,
};
use praxis_workflow::{NoopExecutor, Plan, Run, RunOptions, RunStatus, ToolEffects, lower};
use serde_json::{Map, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// A program of `steps` calls; in a chain each needs the result of the one before.
fn plan(steps: usize, chain: bool) -> Plan {
    let body = (0..steps).map(|index| {
        let argument = match index.checked_sub(1).filter(|_| chain) {
            Some(before) => Operand::Reference(Reference {
                name: format!("v{before}"),
                path: Vec::new(),
            }),
            None => Operand::Literal(json!(index)),
        };
        let call = Call {
            id: format!("s{}", index + 1),
            tool: "noop".to_owned(),
            arguments: vec![("value".to_owned(), argument)],
            bind: Some(format!("v{index}")),
            label: None,
            agent: None,
            options: StepOptions::default(),
        };
        Node {
            location: Location {
                line: index as u32 + 1,
                column: 1,
            },
            kind: NodeKind::Call(call),
        }
    });
    let program = CheckedProgram {
        name: None,
        metadata: Map::new(),
        inputs: Vec::new(),
        body: body.collect(),
    };
    let effects = HashMap::from([("noop".to_owned(), ToolEffects::pure())]);
    lower(&program, &effects).expect("calls without `@after` have no circle")
}

/// As an agent would: on a worker of the runtime, not on the thread that blocks on it.
async fn run(plan: Arc<Plan>) -> usize {
    let options = RunOptions {
        jobs: 64,
        ..RunOptions::default()
    };
    let report = Run::new(&plan, Arc::new(NoopExecutor))
        .options(options)
        .execute()
        .await
        .expect("the options are valid");
    assert_eq!(report.status, RunStatus::Succeeded);
    report.steps.len()
}

/// Tasks one behind the other, each begun when the one before has ended.
async fn spawn_and_join_in_turn(tasks: usize) -> usize {
    for index in 0..tasks {
        black_box(
            tokio::spawn(async move { black_box(index) })
                .await
                .expect("the task does not panic"),
        );
    }
    tasks
}

/// All tasks at once.
async fn spawn_and_join(tasks: usize) -> usize {
    let mut set = JoinSet::new();
    for index in 0..tasks {
        set.spawn(async move { black_box(index) });
    }
    let mut joined = 0;
    while let Some(result) = set.join_next().await {
        black_box(result.expect("the task does not panic"));
        joined += 1;
    }
    joined
}

fn on_worker(runtime: &Runtime, work: impl Future<Output = usize> + Send + 'static) -> usize {
    runtime
        .block_on(runtime.spawn(work))
        .expect("the task does not panic")
}

fn scheduler(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let mut group = criterion.benchmark_group("scheduler");
    group.sample_size(20);
    for steps in [10usize, 1_000, 100_000] {
        group.throughput(Throughput::Elements(steps as u64));
        group.bench_function(BenchmarkId::new("spawn_join", steps), |bencher| {
            bencher.iter(|| assert_eq!(on_worker(&runtime, spawn_and_join(steps)), steps));
        });
        group.bench_function(BenchmarkId::new("spawn_join_in_turn", steps), |bencher| {
            bencher.iter(|| assert_eq!(on_worker(&runtime, spawn_and_join_in_turn(steps)), steps));
        });
        for (shape, chain) in [("wide", false), ("chain", true)] {
            let plan = Arc::new(plan(steps, chain));
            group.bench_function(BenchmarkId::new(shape, steps), |bencher| {
                bencher.iter(|| assert_eq!(on_worker(&runtime, run(Arc::clone(&plan))), steps));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, scheduler);
criterion_main!(benches);
