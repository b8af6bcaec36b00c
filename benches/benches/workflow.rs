//! What the scheduler costs for each step that does nothing, against spawning and joining a task
//! for each in the same run.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use praxis_dsl::checked::{
    Call, CheckedProgram, Location, Node, NodeKind, Operand, Reference, StepOptions,
};
use praxis_workflow::{
    Journal, MemoryJournal, NoopExecutor, Plan, Retention, Run, RunId, RunJournal, RunOptions,
    RunStart, RunStatus, SqliteJournal, ToolEffects, lower,
};
use serde_json::{Map, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// A program of `steps` calls; in a chain each needs the result of the one before.
fn plan(steps: usize, chain: bool) -> Plan {
    plan_of(steps, chain, ToolEffects::pure())
}

fn plan_of(steps: usize, chain: bool, effects: ToolEffects) -> Plan {
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
    let effects = HashMap::from([("noop".to_owned(), effects)]);
    lower(&program, &effects).expect("calls without `@after` have no circle")
}

/// As an agent would: on a worker of the runtime, not on the thread that blocks on it.
async fn run(plan: Arc<Plan>) -> usize {
    run_with(&plan, None).await
}

async fn run_with(plan: &Plan, journal: Option<RunJournal>) -> usize {
    let options = RunOptions {
        jobs: 64,
        ..RunOptions::default()
    };
    let run = Run::new(plan, Arc::new(NoopExecutor)).options(options);
    let run = match journal {
        Some(journal) => run.journal(journal),
        None => run,
    };
    let report = run.execute().await.expect("the options are valid");
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

/// A run whose journal is written as it goes, and forgotten after.
async fn journaled(plan: Arc<Plan>, journal: Arc<dyn Journal>) -> usize {
    let id = RunId::generate();
    let writing = RunJournal::begin(&journal, id.clone(), RunStart::default());
    let steps = run_with(&plan, Some(writing.expect("a journal begins"))).await;
    let history = journal.read(&id).expect("the journal can be read");
    assert_eq!(history.finished().len(), steps);
    journal.remove(&id).expect("the run is over");
    steps
}

/// What it costs that a run can be resumed.
fn journal(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let memory: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    let sqlite: Arc<dyn Journal> =
        Arc::new(SqliteJournal::new(folder.path(), Retention::default()));
    let mut group = criterion.benchmark_group("journal");
    group.sample_size(20);
    let steps = 10_000;
    group.throughput(Throughput::Elements(steps as u64));
    for (shape, chain) in [("wide", false), ("chain", true)] {
        let plan = Arc::new(plan(steps, chain));
        group.bench_function(BenchmarkId::new(shape, "off"), |bencher| {
            bencher.iter(|| assert_eq!(on_worker(&runtime, run(Arc::clone(&plan))), steps));
        });
        for (name, journal) in [("memory", &memory), ("sqlite", &sqlite)] {
            group.bench_function(BenchmarkId::new(shape, name), |bencher| {
                bencher.iter(|| {
                    let work = journaled(Arc::clone(&plan), Arc::clone(journal));
                    assert_eq!(on_worker(&runtime, work), steps);
                });
            });
        }
    }
    // Each of these is announced on stable storage before it is dispatched, one after the other.
    let writes = 100;
    let plan = Arc::new(plan_of(writes, false, ToolEffects::external()));
    group.throughput(Throughput::Elements(writes as u64));
    for (name, journal) in [("memory", &memory), ("sqlite", &sqlite)] {
        group.bench_function(BenchmarkId::new("writes", name), |bencher| {
            bencher.iter(|| {
                let work = journaled(Arc::clone(&plan), Arc::clone(journal));
                assert_eq!(on_worker(&runtime, work), writes);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scheduler, journal);
criterion_main!(benches);
