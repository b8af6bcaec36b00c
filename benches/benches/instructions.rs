//! What one call and one step cost in instructions, which no load of the machine changes.
//!
//! Each case runs in a process of its own below `valgrind --tool=callgrind`, twice: the second time does more of it, and the difference is what is counted.
//! Criterion is given instructions in the place of time, so the figures stand beside the others.
//! What goes by the clock is not as it is elsewhere, since nothing is quick here: every step that is not called prompt goes to a worker.

use std::cell::LazyCell;
use std::hint::black_box;
use std::io::ErrorKind;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{Criterion, SamplingMode, Throughput};
use praxis_benches::calls;
use praxis_benches::steps::{self, Shape, Successor};
use praxis_cache::{NoVersions, Policy, RunId};
use tokio::runtime::{Builder, Runtime};

/// Tells the process what to do, in place of counting: a case, which part of it, and how often.
const CASE: &str = "PRAXIS_COUNTED_CASE";

/// What is counted.
struct Case {
    name: String,
    /// Does it so many times.
    work: Box<dyn Fn(usize)>,
    /// The same without what is to be counted.
    without: Option<Box<dyn Fn(usize)>>,
}

/// How often a case is done the first time, and how often more the second.
const ONCE: usize = 1_000;
const MORE: usize = 2_000;

fn cases() -> Vec<Case> {
    let mut cases = calls_of_tools();
    cases.extend(steps_of_runs());
    cases
}

fn case(name: impl Into<String>, work: impl Fn(usize) + 'static) -> Case {
    Case {
        name: name.into(),
        work: Box::new(work),
        without: None,
    }
}

fn calls_of_tools() -> Vec<Case> {
    let arguments = calls::arguments();
    let keys = calls::keys();
    let run = RunId::unique();
    let key = keys.key(&arguments).expect("small arguments");
    let id = key.id();
    let moka = move |times| {
        let moka = calls::moka_by_id(id);
        for _ in 0..times {
            black_box(moka.get(black_box(&id.0)).expect("a hit"));
        }
    };
    let built = {
        let (keys, arguments) = (keys.clone(), arguments.clone());
        move |times| {
            for _ in 0..times {
                let id = keys.with_key(black_box(&arguments), |key| key.id());
                black_box(id.expect("small arguments"));
            }
        }
    };
    let found = {
        let keys = keys.clone();
        move |times| {
            let cache = calls::filled(&keys, &Policy::pure(run), &NoVersions);
            for _ in 0..times {
                let hit = cache.lookup(black_box(key.as_ref()), run, &NoVersions);
                black_box(hit.expect("a hit"));
            }
        }
    };
    let called = move |times| {
        let cache = calls::filled(&keys, &Policy::pure(run), &NoVersions);
        for _ in 0..times {
            let hit = keys.with_key(black_box(&arguments), |key| {
                cache.lookup(key, run, &NoVersions)
            });
            black_box(hit.expect("small arguments").expect("a hit"));
        }
    };
    vec![
        case("cache/moka_get", moka),
        case("cache/key", built),
        case("cache/lookup", found),
        case("cache/tool_call", called),
    ]
}

/// One thread for the tasks, so that none is handed from one to another.
fn on_one_thread(work: impl Future<Output = usize> + Send + 'static) -> usize {
    let runtime: Runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime starts");
    let work = runtime.spawn(work);
    runtime.block_on(work).expect("the task does not panic")
}

fn steps_of_runs() -> Vec<Case> {
    let mut cases = vec![
        case("step/spawn_join_in_turn", |times| {
            on_one_thread(steps::spawn_and_join_in_turn(times));
        }),
        case("step/spawn_join", |times| {
            on_one_thread(steps::spawn_and_join(times));
        }),
        case("step/spawn_join_layers", |times| {
            on_one_thread(steps::spawn_and_join_layers(times));
        }),
    ];
    for (name, shape) in Shape::ALL {
        for (prompt, ending) in [(false, ""), (true, "_prompt")] {
            let run = case(format!("step/{name}{ending}"), move |times| {
                let plan = Arc::new(steps::plan(times, shape));
                let run = steps::run(plan, shape, Successor { prompt }, None);
                assert_eq!(on_one_thread(run), times);
            });
            cases.push(Case {
                without: Some(Box::new(move |times| {
                    black_box(steps::plan(times, shape));
                })),
                ..run
            });
        }
    }
    cases
}

#[expect(clippy::print_stderr, reason = "it says why nothing is counted")]
fn main() -> ExitCode {
    let cases = cases();
    if let Ok(wanted) = std::env::var(CASE) {
        run(&cases, &wanted);
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|argument| argument == "--test") {
        for case in &cases {
            (case.work)(10);
        }
        return ExitCode::SUCCESS;
    }
    match Command::new("valgrind").arg("--version").output() {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!(
                "instructions: nothing is counted without `valgrind`, which is not in the path"
            );
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("instructions: `valgrind` does not start: {error}");
            return ExitCode::FAILURE;
        }
    }
    let mut criterion = Criterion::default()
        .with_measurement(Instructions)
        .configure_from_args();
    let mut group = criterion.benchmark_group("instructions");
    group.sample_size(10);
    group.sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_nanos(1));
    group.measurement_time(Duration::from_millis(1));
    for case in &cases {
        let own = LazyCell::new(|| {
            let without = case
                .without
                .as_ref()
                .map_or(0, |_| difference(case, WITHOUT));
            (difference(case, WHOLE) - without) as f64 / MORE as f64
        });
        group.bench_function(&case.name, |bencher| {
            bencher.iter_custom(|iterations| *own * iterations as f64);
        });
    }
    group.finish();
    criterion.final_summary();
    ExitCode::SUCCESS
}

/// Does what a counting process asks for.
fn run(cases: &[Case], wanted: &str) {
    let mut words = wanted.split(' ');
    let (name, part, times) = (words.next(), words.next(), words.next());
    let case = cases.iter().find(|case| Some(&*case.name) == name);
    let case = case.expect("the case is one of these");
    let work = match part {
        Some(WITHOUT) => case.without.as_ref().expect("the case has such a part"),
        _ => &case.work,
    };
    let times = times.and_then(|times| times.parse().ok());
    work(times.expect("a number stands at the end"));
}

const WHOLE: &str = "whole";
const WITHOUT: &str = "without";

/// The instructions of doing a case as often more.
fn difference(case: &Case, part: &str) -> u64 {
    let count = |times| instructions(&format!("{} {part} {times}", case.name));
    count(ONCE + MORE) - count(ONCE)
}

/// The instructions of a process that does as `wanted`.
fn instructions(wanted: &str) -> u64 {
    let program = std::env::current_exe().expect("the bench knows where it stands");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .env(CASE, wanted)
        .output()
        .expect("valgrind starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let collected = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, collected) = collected.expect("callgrind says what it has counted");
    collected.trim().parse().expect("a number of instructions")
}

/// Instructions in the place of time.
struct Instructions;

impl Measurement for Instructions {
    type Intermediate = ();
    type Value = f64;

    fn start(&self) {}

    fn end(&self, (): ()) -> f64 {
        0.0
    }

    fn add(&self, one: &f64, other: &f64) -> f64 {
        one + other
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Instructions {
    fn scale_values(&self, _typical: f64, _values: &mut [f64]) -> &'static str {
        "instructions"
    }

    fn scale_throughputs(
        &self,
        _typical: f64,
        _throughput: &Throughput,
        _values: &mut [f64],
    ) -> &'static str {
        "instructions"
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        "instructions"
    }
}
