//! The makespan of random graphs on a simulated clock: the scheduler with exact and with noisy
//! estimates, against the lower bound, a first-come first-served queue, and barriers between levels.
//!
//! The times that Criterion is given are the simulated ones, so they are the same on every machine.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main};
use praxis_dsl::checked::{
    Call, CheckedProgram, Location, Node, NodeKind, Operand, Reference, StepOptions,
};
use praxis_workflow::{
    BoxFuture, Plan, Run, RunOptions, RunStatus, StepCall, StepError, StepExecutor, StepOutput,
    ToolEffects, lower,
};
use serde_json::{Map, json};

const STEPS: usize = 1_000;
const JOBS: usize = 8;
const SEEDS: u64 = 8;

/// A graph whose edges lead from lower numbers to higher ones, and its durations.
struct Graph {
    before: Vec<Vec<usize>>,
    ms: Vec<u64>,
}

/// A shape, as how the predecessors of a step are drawn.
type Shape = fn(usize, &mut fastrand::Rng) -> Vec<usize>;

/// Layers of 40; each step needs some of the layer before.
fn layered(step: usize, random: &mut fastrand::Rng) -> Vec<usize> {
    let layer = step / 40;
    if layer == 0 {
        return Vec::new();
    }
    let count = random.usize(1..4);
    (0..count)
        .map(|_| (layer - 1) * 40 + random.usize(0..40))
        .collect()
}

/// Forks of as many as there are jobs, and a join behind each.
fn fork_join(step: usize, _random: &mut fastrand::Rng) -> Vec<usize> {
    let (stage, place) = (step / (JOBS + 1), step % (JOBS + 1));
    let first = stage * (JOBS + 1);
    match place {
        JOBS => (first..first + JOBS).collect(),
        _ => first.checked_sub(1).into_iter().collect(),
    }
}

/// Up to three of the hundred before.
fn random_dag(step: usize, random: &mut fastrand::Rng) -> Vec<usize> {
    let count = random.usize(0..4);
    let earliest = step.saturating_sub(100);
    let draw = |_| (step > 0).then(|| random.usize(earliest..step.max(1)));
    (0..count).filter_map(draw).collect()
}

/// A tree from its root to its leaves, each step with up to four behind it.
fn tree(step: usize, random: &mut fastrand::Rng) -> Vec<usize> {
    if step == 0 {
        return Vec::new();
    }
    vec![(step - 1) / 4 + random.usize(0..=((step - 1) / 4).min(1)) - ((step - 1) / 4).min(1)]
}

/// A normal deviate, by Box and Muller.
fn normal(random: &mut fastrand::Rng) -> f64 {
    let (u, v) = (1.0 - random.f64(), random.f64());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

impl Graph {
    fn new(shape: Shape, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let before = (0..STEPS)
            .map(|step| {
                let mut before = shape(step, &mut random);
                before.sort_unstable();
                before.dedup();
                before
            })
            .collect();
        // Lognormal, with a median of a second.
        let ms = (0..STEPS).map(|_| ((normal(&mut random) * 0.8).exp() * 1000.0) as u64 + 1);
        Self {
            before,
            ms: ms.collect(),
        }
    }

    /// What no schedule beats: the longest chain, or all work divided among the jobs.
    fn bound(&self) -> Duration {
        let mut ends = vec![0; STEPS];
        for step in 0..STEPS {
            let start = self.before[step].iter().map(|&other| ends[other]).max();
            ends[step] = start.unwrap_or(0) + self.ms[step];
        }
        let chain = ends.into_iter().max().unwrap_or(0);
        let work: u64 = self.ms.iter().sum();
        Duration::from_millis(chain.max(work.div_ceil(JOBS as u64)))
    }

    /// First come, first served.
    fn fifo(&self) -> Duration {
        let mut pending: Vec<usize> = self.before.iter().map(Vec::len).collect();
        let mut behind = vec![Vec::new(); STEPS];
        for (step, before) in self.before.iter().enumerate() {
            for &other in before {
                behind[other].push(step);
            }
        }
        let mut ready: std::collections::VecDeque<usize> =
            (0..STEPS).filter(|&step| pending[step] == 0).collect();
        let mut running = BinaryHeap::new();
        let mut now = 0;
        loop {
            while running.len() < JOBS
                && let Some(step) = ready.pop_front()
            {
                running.push(Reverse((now + self.ms[step], step)));
            }
            let Some(Reverse((end, step))) = running.pop() else {
                return Duration::from_millis(now);
            };
            now = end;
            for &next in &behind[step] {
                pending[next] -= 1;
                if pending[next] == 0 {
                    ready.push_back(next);
                }
            }
        }
    }

    /// Levels with barriers between them, each packed with the longest first.
    fn barriers(&self) -> Duration {
        let mut levels: Vec<Vec<u64>> = Vec::new();
        let mut level = vec![0; STEPS];
        for step in 0..STEPS {
            let before = self.before[step].iter().map(|&other| level[other] + 1);
            level[step] = before.max().unwrap_or(0);
            levels.resize(levels.len().max(level[step] + 1), Vec::new());
            levels[level[step]].push(self.ms[step]);
        }
        let spans = levels.into_iter().map(|mut level| {
            level.sort_unstable_by_key(|&ms| Reverse(ms));
            let mut ends: BinaryHeap<Reverse<u64>> = vec![Reverse(0); JOBS].into();
            for ms in level {
                let Reverse(first) = ends.pop().expect("there are jobs");
                ends.push(Reverse(first + ms));
            }
            ends.into_iter().map(|Reverse(end)| end).max().unwrap_or(0)
        });
        Duration::from_millis(spans.sum())
    }

    /// The plan, with estimates that are off by up to this share.
    fn plan(&self, noise: f64, seed: u64) -> Plan {
        let call = |(step, before): (usize, &Vec<usize>)| {
            let arguments = before.iter().map(|other| {
                let name = format!("v{other}");
                let path = Vec::new();
                (name.clone(), Operand::Reference(Reference { name, path }))
            });
            let call = Call {
                id: format!("s{step}"),
                tool: format!("t{step}"),
                arguments: arguments.collect(),
                bind: Some(format!("v{step}")),
                label: None,
                agent: None,
                options: StepOptions::default(),
            };
            let location = Location {
                line: step as u32 + 1,
                column: 1,
            };
            Node {
                location,
                kind: NodeKind::Call(call),
            }
        };
        let program = CheckedProgram {
            name: None,
            metadata: Map::new(),
            inputs: Vec::new(),
            body: self.before.iter().enumerate().map(call).collect(),
        };
        let tools = (0..STEPS).map(|step| (format!("t{step}"), ToolEffects::pure()));
        let effects: HashMap<String, ToolEffects> = tools.collect();
        let mut plan = lower(&program, &effects).expect("the graph has no circle");
        let mut random = fastrand::Rng::with_seed(seed);
        let estimates = self.ms.iter().enumerate().map(|(step, &ms)| {
            let off = 1.0 + noise * (2.0 * random.f64() - 1.0);
            let estimate = Duration::from_secs_f64(ms as f64 * off / 1000.0);
            (format!("t{step}"), estimate)
        });
        plan.prioritise(&estimates.collect::<HashMap<String, Duration>>());
        plan
    }
}

/// Sleeps on the simulated clock.
struct Sleeper(HashMap<String, u64>);

impl StepExecutor for Sleeper {
    fn execute(&self, call: StepCall) -> BoxFuture<'_, Result<StepOutput, StepError>> {
        let ms = self.0[&*call.tool];
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(StepOutput::from(json!(null)))
        })
    }
}

/// The makespan of a run by the scheduler, on a clock that jumps to the next timer.
fn scheduled(plan: &Plan, sleeper: &Arc<Sleeper>) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime starts");
    let options = RunOptions {
        jobs: JOBS,
        ..RunOptions::default()
    };
    let executor: Arc<Sleeper> = Arc::clone(sleeper);
    let run = Run::new(plan, executor).options(options);
    let report = runtime
        .block_on(run.execute())
        .expect("the options are valid");
    assert_eq!(report.status, RunStatus::Succeeded);
    Duration::from_secs_f64(report.timing.makespan_ms / 1000.0)
}

fn makespan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("makespan");
    group.sample_size(10);
    group.sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(50));
    group.measurement_time(Duration::from_millis(200));
    let shapes: [(&str, Shape); 4] = [
        ("layered", layered),
        ("fork_join", fork_join),
        ("random", random_dag),
        ("tree", tree),
    ];
    for (name, shape) in shapes {
        let graphs: Vec<Graph> = (0..SEEDS).map(|seed| Graph::new(shape, seed)).collect();
        let mut simulated = |what: &str, makespan: &dyn Fn(usize) -> Duration| {
            group.bench_function(BenchmarkId::new(name, what), |bencher| {
                bencher.iter_custom(|iterations| {
                    let all = || {
                        (0..graphs.len())
                            .map(|index| black_box(makespan(index)))
                            .sum()
                    };
                    (0..iterations).map(|_| -> Duration { all() }).sum()
                });
            });
        };
        simulated("bound", &|index| graphs[index].bound());
        simulated("fifo", &|index| graphs[index].fifo());
        simulated("barriers", &|index| graphs[index].barriers());
        let sleepers: Vec<Arc<Sleeper>> = graphs
            .iter()
            .map(|graph| {
                let tools = graph.ms.iter().enumerate();
                Arc::new(Sleeper(
                    tools.map(|(step, &ms)| (format!("t{step}"), ms)).collect(),
                ))
            })
            .collect();
        for (what, noise) in [("exact", 0.0), ("noisy", 0.5)] {
            let plans: Vec<Plan> = (graphs.iter().zip(0..))
                .map(|(graph, seed)| graph.plan(noise, seed))
                .collect();
            simulated(what, &|index| scheduled(&plans[index], &sleepers[index]));
        }
    }
    group.finish();
}

criterion_group!(benches, makespan);
criterion_main!(benches);
