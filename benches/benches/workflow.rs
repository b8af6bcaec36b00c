//! What the scheduler costs for each step that does next to nothing, with everything that a step
//! has, against a bare spawn and join of a task for each in the same run.

use std::cell::LazyCell;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use praxis_benches::steps::{self, Counting, Shape, Successor};
use praxis_workflow::{
    Journal, MemoryJournal, Plan, Retention, RunId, RunJournal, RunStart, SqliteJournal,
    ToolEffects,
};
use tokio::runtime::Runtime;

/// As an agent would: on a worker of the runtime, not on the thread that blocks on it.
fn on_worker(runtime: &Runtime, work: impl Future<Output = usize> + Send + 'static) -> usize {
    runtime
        .block_on(runtime.spawn(work))
        .expect("the task does not panic")
}

fn scheduler(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let counting = Counting::install();
    let mut group = criterion.benchmark_group("scheduler");
    group.sample_size(20);
    for count in [10usize, 1_000, 100_000] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("spawn_join", count), |bencher| {
            bencher.iter(|| assert_eq!(on_worker(&runtime, steps::spawn_and_join(count)), count));
        });
        group.bench_function(BenchmarkId::new("spawn_join_in_turn", count), |bencher| {
            bencher.iter(|| {
                let work = steps::spawn_and_join_in_turn(count);
                assert_eq!(on_worker(&runtime, work), count);
            });
        });
        group.bench_function(BenchmarkId::new("spawn_join_layers", count), |bencher| {
            bencher.iter(|| {
                let work = steps::spawn_and_join_layers(count);
                assert_eq!(on_worker(&runtime, work), count);
            });
        });
        for (name, shape) in Shape::ALL {
            // Built only where a filter lets the bench run.
            let plan = LazyCell::new(|| Arc::new(steps::plan(count, shape)));
            for prompt in [false, true] {
                let name = if prompt {
                    format!("{name}_prompt")
                } else {
                    name.to_owned()
                };
                let before = counting.events();
                let mut runs = 0;
                group.bench_function(BenchmarkId::new(name, count), |bencher| {
                    bencher.iter(|| {
                        runs += 1;
                        let run = steps::run(Arc::clone(&plan), shape, Successor { prompt }, None);
                        assert_eq!(on_worker(&runtime, run), count);
                    });
                });
                let events = counting.events() - before;
                assert_eq!(events, runs * count as u64, "every step leaves one event");
            }
        }
    }
    group.finish();
}

/// A run whose journal is written as it goes, and forgotten after.
async fn journaled(plan: Arc<Plan>, shape: Shape, journal: Arc<dyn Journal>) -> usize {
    let id = RunId::generate();
    let writing = RunJournal::begin(&journal, id.clone(), RunStart::default());
    let writing = writing.expect("a journal begins");
    let steps = steps::run(plan, shape, Successor::default(), Some(writing)).await;
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
    let count = 10_000;
    group.throughput(Throughput::Elements(count as u64));
    for (shape_name, shape) in [("wide", Shape::Wide), ("chain", Shape::Chain)] {
        let plan = LazyCell::new(|| Arc::new(steps::plan(count, shape)));
        group.bench_function(BenchmarkId::new(shape_name, "off"), |bencher| {
            bencher.iter(|| {
                let run = steps::run(Arc::clone(&plan), shape, Successor::default(), None);
                assert_eq!(on_worker(&runtime, run), count);
            });
        });
        for (name, journal) in [("memory", &memory), ("sqlite", &sqlite)] {
            group.bench_function(BenchmarkId::new(shape_name, name), |bencher| {
                bencher.iter(|| {
                    let work = journaled(Arc::clone(&plan), shape, Arc::clone(journal));
                    assert_eq!(on_worker(&runtime, work), count);
                });
            });
        }
    }
    // Each of these is announced on stable storage before it is dispatched, one after the other.
    let writes = 100;
    let plan = Arc::new(steps::plan_of(writes, Shape::Wide, ToolEffects::external()));
    group.throughput(Throughput::Elements(writes as u64));
    for (name, journal) in [("memory", &memory), ("sqlite", &sqlite)] {
        group.bench_function(BenchmarkId::new("writes", name), |bencher| {
            bencher.iter(|| {
                let work = journaled(Arc::clone(&plan), Shape::Wide, Arc::clone(journal));
                assert_eq!(on_worker(&runtime, work), writes);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scheduler, journal);
criterion_main!(benches);
