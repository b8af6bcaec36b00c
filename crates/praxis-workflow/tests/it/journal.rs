//! Journals: what is replayed, and what a process that died leaves to the next.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use praxis_workflow::{
    Backoff, Event, History, Journal, JournalError, JournalErrorKind, MemoryJournal, NoopExecutor,
    Plan, Record, Run, RunId, RunJournal, RunLog, RunOptions, RunReport, RunStart, RunState,
    RunStatus, lower,
};
use serde_json::Value;
use tokio::sync::Notify;

use crate::behaviour::plan;
use crate::program::{generate, text};
use crate::world::{World, effects};

fn options(jobs: usize) -> RunOptions {
    RunOptions {
        jobs,
        backoff: Backoff {
            base: Duration::ZERO,
            max: Duration::ZERO,
        },
        ..RunOptions::default()
    }
}

fn paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn begin(journal: &dyn Journal) -> RunJournal {
    RunJournal::begin(journal, RunId::generate(), RunStart::default()).unwrap()
}

/// Everything but the times.
fn timeless(report: &RunReport) -> Value {
    let mut report = serde_json::to_value(report).unwrap();
    for time in ["makespan_ms", "critical_path_ms", "work_ms"] {
        report["timing"][time] = Value::Null;
    }
    for step in report["steps"].as_array_mut().unwrap() {
        step["timing"]["started_ms"] = Value::Null;
        step["timing"]["duration_ms"] = Value::Null;
    }
    report
}

async fn replay(plan: &Plan, run: &RunId, history: &History, options: RunOptions) -> RunReport {
    let replay = Run::new(plan, Arc::new(NoopExecutor))
        .options(options)
        .replay(run, history);
    replay.execute().await.unwrap()
}

fn replays_the_same(seed: u64, jobs: usize) {
    let program = generate(seed);
    let plan = lower(&program, &effects()).unwrap();
    paused(async {
        let journal = MemoryJournal::new();
        let writing = begin(&journal);
        let run = writing.run().clone();
        let report = Run::new(&plan, World::new(seed))
            .options(options(jobs))
            .journal(writing)
            .execute()
            .await
            .unwrap();
        let history = journal.read(&run).unwrap();
        assert_eq!(history.state(), RunState::Ended(report.status));
        let again = replay(&plan, &run, &history, options(jobs)).await;
        assert_eq!(
            timeless(&again),
            timeless(&report),
            "seed {seed}, jobs {jobs}\n{}",
            text(&program)
        );
    });
}

#[test]
fn a_replay_gives_the_report_again() {
    let cases: u64 = std::env::var("PRAXIS_JOURNAL_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(500);
    for seed in 0..cases {
        replays_the_same(seed, 1 + (seed as usize * 7) % 9);
    }
}

/// A journal whose log takes so many records and then dies with its process.
#[derive(Clone)]
struct Mortal {
    inner: MemoryJournal,
    left: Arc<AtomicUsize>,
    died: Arc<Notify>,
    gone: Arc<AtomicBool>,
}

struct MortalLog {
    inner: Box<dyn RunLog>,
    left: Arc<AtomicUsize>,
    died: Arc<Notify>,
    gone: Arc<AtomicBool>,
}

impl Journal for Mortal {
    fn open(&self, run: &RunId) -> Result<Box<dyn RunLog>, JournalError> {
        Ok(Box::new(MortalLog {
            inner: self.inner.open(run)?,
            left: Arc::clone(&self.left),
            died: Arc::clone(&self.died),
            gone: Arc::clone(&self.gone),
        }))
    }

    fn read(&self, run: &RunId) -> Result<History, JournalError> {
        self.inner.read(run)
    }

    fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        self.inner.runs()
    }

    fn remove(&self, run: &RunId) -> Result<(), JournalError> {
        self.inner.remove(run)
    }
}

impl RunLog for MortalLog {
    fn append(&mut self, records: &[Record], durable: bool) -> Result<(), JournalError> {
        let left = self.left.load(Ordering::SeqCst);
        let whole = records.len().min(left);
        self.left.store(left - whole, Ordering::SeqCst);
        self.inner.append(&records[..whole], durable)?;
        if whole < records.len() {
            self.died.notify_one();
            let dead = JournalError::new(JournalErrorKind::Unusable, "the process is dead");
            // Nobody may hear of it: whoever waits for the log is dropped first.
            while !self.gone.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            return Err(dead);
        }
        Ok(())
    }

    fn abandon(&mut self) {}
}

/// Runs until the journal has taken `records`, then drops everything as a killed process would.
async fn run_and_die(
    plan: &Plan,
    world: &Arc<World>,
    journal: &MemoryJournal,
    run: Option<&RunId>,
    records: usize,
) -> (RunId, Option<RunReport>) {
    let mortal = Mortal {
        inner: journal.clone(),
        left: Arc::new(AtomicUsize::new(records)),
        died: Arc::default(),
        gone: Arc::default(),
    };
    let (writing, history) = match run {
        None => (begin(&mortal), None),
        Some(run) => {
            let (writing, history) = RunJournal::resume(&mortal, run).unwrap();
            (writing, Some(history))
        }
    };
    let run = writing.run().clone();
    let executor: Arc<World> = Arc::clone(world);
    let ready = Run::new(plan, executor).options(options(4));
    let ready = match &history {
        None => ready.journal(writing),
        Some(history) => ready.resume(writing, history),
    };
    let death = async {
        mortal.died.notified().await;
        mortal.gone.store(true, Ordering::SeqCst);
    };
    tokio::select! {
        biased;
        () = death => (run, None),
        report = ready.execute() => (run, Some(report.unwrap())),
    }
}

/// Kills the run again and again, each time a few records further, and compares with a run that
/// was let be.
fn survives(seed: u64, stride: usize) {
    let program = generate(seed);
    let plan = lower(&program, &effects()).unwrap();
    paused(async {
        let expected_world = World::new(seed);
        let executor: Arc<World> = Arc::clone(&expected_world);
        let expected = Run::new(&plan, executor)
            .options(options(4))
            .execute()
            .await
            .unwrap();
        let world = World::new(seed);
        let journal = MemoryJournal::new();
        let (run, mut report) = run_and_die(&plan, &world, &journal, None, stride).await;
        let mut unknown: HashMap<String, usize> = HashMap::new();
        let mut kills = 0;
        while report.is_none() {
            kills += 1;
            assert!(kills < 500, "seed {seed} comes to no end");
            for step in journal.read(&run).unwrap().unknown() {
                *unknown.entry(step.about.step.to_string()).or_default() += 1;
            }
            // One record says that it goes on; and each life is longer, since one that ends before
            // a step does comes no further.
            let more = 1 + stride + kills;
            report = run_and_die(&plan, &world, &journal, Some(&run), more)
                .await
                .1;
        }
        let place = || format!("seed {seed}, stride {stride}\n{}", text(&program));
        let mut acted: HashMap<String, usize> = HashMap::new();
        for step in world.acts.lock().unwrap().iter() {
            *acted.entry(step.clone()).or_default() += 1;
        }
        for (step, times) in &acted {
            let again = unknown.get(step).copied().unwrap_or(0);
            assert!(
                *times <= 1 + again,
                "{step} acted {times} times: {}",
                place()
            );
        }
        // A step that was cut down between its effect and its record may act again, and what is
        // not idempotent then leaves another world: that is what it is reported as unknown for.
        if unknown.is_empty() {
            assert_eq!(
                *world.files.lock().unwrap(),
                *expected_world.files.lock().unwrap(),
                "{}",
                place()
            );
            let mut report = timeless(&report.unwrap());
            let mut expected = timeless(&expected);
            report["run_id"] = Value::Null;
            expected["run_id"] = Value::Null;
            assert_eq!(report, expected, "{}", place());
        }
        for step in expected_world.acts.lock().unwrap().iter() {
            assert!(acted.contains_key(step), "{step} is lost: {}", place());
        }
    });
}

#[test]
fn a_run_that_is_killed_again_and_again_does_each_effect_once() {
    for seed in 0..150 {
        for stride in [1, 2, 3, 5] {
            survives(seed, stride);
        }
    }
}

#[test]
fn two_cannot_go_on_with_one_run() {
    let journal = MemoryJournal::new();
    let first = begin(&journal);
    let refused = RunJournal::resume(&journal, first.run()).err().unwrap();
    assert_eq!(refused.kind(), JournalErrorKind::InUse);
    let run = first.run().clone();
    drop(first);
    RunJournal::resume(&journal, &run).unwrap();
}

#[test]
fn a_journal_that_fails_fails_no_run() {
    #[derive(Clone, Default)]
    struct Failing(Arc<Mutex<Vec<&'static str>>>);
    impl Journal for Failing {
        fn open(&self, _run: &RunId) -> Result<Box<dyn RunLog>, JournalError> {
            Ok(Box::new(self.clone()))
        }
        fn read(&self, run: &RunId) -> Result<History, JournalError> {
            Err(JournalError::not_found(run))
        }
        fn runs(&self) -> Result<Vec<RunId>, JournalError> {
            Ok(Vec::new())
        }
        fn remove(&self, run: &RunId) -> Result<(), JournalError> {
            Err(JournalError::not_found(run))
        }
    }
    impl RunLog for Failing {
        fn append(&mut self, records: &[Record], _durable: bool) -> Result<(), JournalError> {
            if records
                .iter()
                .any(|record| matches!(record.event, Event::Announced(_)))
            {
                self.0.lock().unwrap().push("failed");
                return Err(JournalError::new(
                    JournalErrorKind::Full,
                    "the disk is full",
                ));
            }
            Ok(())
        }
        fn abandon(&mut self) {
            self.0.lock().unwrap().push("abandoned");
        }
    }
    let plan = plan("CALL write --path a\nCALL write --path b\n").unwrap();
    let journal = Failing::default();
    let (with, without) = paused(async {
        let with = Run::new(&plan, World::new(1)).journal(begin(&journal));
        let without = Run::new(&plan, World::new(1));
        (
            with.execute().await.unwrap(),
            without.execute().await.unwrap(),
        )
    });
    assert_eq!(with.status, RunStatus::Succeeded);
    assert_eq!(timeless(&with)["steps"], timeless(&without)["steps"]);
    assert_eq!(*journal.0.lock().unwrap(), ["failed", "abandoned"]);
}

#[cfg(feature = "conformance")]
#[test]
fn the_journal_in_memory_keeps_the_contract() {
    praxis_workflow::conformance::check(&MemoryJournal::new());
}
