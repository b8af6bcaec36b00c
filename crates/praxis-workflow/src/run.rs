//! Running a plan.
//!
//! One task, the driver, owns all state and takes no lock; calls of tools run on other tasks. Statements are *issued* in program order, without waiting: each learns which names,
//! earlier writes and `@after` steps it has to wait for, and starts the moment the last of them
//! is done. A step that changes the world also waits until everything before it has succeeded:
//! every scope counts its done prefix (as a processor's reorder buffer counts retired
//! instructions; Smith and Pleszkun 1985), and a waiting step climbs from its own scope's prefix
//! to the program's. So when a step fails, nothing behind it has left a trace.

mod state;
mod alarm;
mod issue;
mod open;
mod elide;
mod size;
mod steps;
mod task;
mod attempts;
mod habit;
mod flow;
mod finish;
mod journaling;
mod past;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, ready};
use std::time::Duration;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use slab::Slab;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Issue};
use crate::executor::{RunId, StepExecutor};
use crate::journal::history::{History, Past};
use crate::journal::record::Event;
use crate::journal::writer::{Haste, RunJournal};
use crate::observer::{RunEvent, RunObserver};
use crate::plan::{Plan, Slot};
use crate::report::RunReport;
use crate::retry::Backoff;

use alarm::Alarm;
use elide::Shared;
use journaling::Journaling;
use past::Recall;
use state::{Bindings, End, Entry, Key, Name, ReadyQueue, Row, Scope, Todo};
use task::{Running, TaskEnd, Tasks};

/// How a run may use the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOptions {
    /// How many steps may run at once: 1 or more. Twice the cores, and at least 4, unless told.
    pub jobs: usize,
    /// How long the run may take. No limit unless told.
    pub timeout: Option<Duration>,
    /// Whether steps may overlap. `false` runs the lines one by one, with the same outcome.
    pub optimize: bool,
    /// The waits between attempts.
    pub backoff: Backoff,
    /// How many rounds of a `FOR` may be begun before the first of them is done.
    pub window: usize,
    /// How many bytes of memory a step's result may take; a larger one fails the step.
    pub result_bytes: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        // Asking costs some hundred microseconds on Linux, where it reads the control groups.
        static CORES: OnceLock<usize> = OnceLock::new();
        let cores =
            *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from));
        Self {
            jobs: (2 * cores).max(4),
            timeout: None,
            optimize: true,
            backoff: Backoff::default(),
            window: 64,
            result_bytes: 256 << 20,
        }
    }
}

/// A plan about to be run.
pub struct Run<'a> {
    plan: &'a Plan,
    executor: Arc<dyn StepExecutor>,
    inputs: Map<String, Value>,
    options: RunOptions,
    observer: &'a dyn RunObserver,
    id: RunId,
    journal: Option<RunJournal>,
    past: Option<Past>,
}

impl<'a> Run<'a> {
    /// A run of `plan` whose steps `executor` executes.
    pub fn new(plan: &'a Plan, executor: Arc<dyn StepExecutor>) -> Self {
        let options = RunOptions::default();
        Self {
            plan,
            executor,
            inputs: Map::new(),
            options,
            observer: &(),
            id: RunId::generate(),
            journal: None,
            past: None,
        }
    }

    /// Another id than a generated one.
    #[must_use]
    pub fn named(mut self, id: RunId) -> Self {
        self.id = id;
        self
    }

    /// Whether what happens is written down.
    pub fn is_journaled(&self) -> bool {
        self.journal.is_some()
    }

    /// Writes down what happens. The run takes the journal's id.
    #[must_use]
    pub fn journal(mut self, journal: RunJournal) -> Self {
        self.id = journal.run().clone();
        self.journal = Some(journal);
        self
    }

    /// Goes on where a run stopped: what has an end in `history` is not run again.
    ///
    /// The plan, the inputs and the options must be those of that run. What stands in
    /// [`History::unknown`] is run again, so ask first whether it may be.
    #[must_use]
    pub fn resume(mut self, journal: RunJournal, history: &History) -> Self {
        self.past = Some(Past::new(history, false));
        journal.push(Event::Resumed, Haste::Lazy);
        self.journal(journal)
    }

    /// Goes through a run that is over again, without running a step: the executor is asked for
    /// resources only. The plan, the inputs and the options must be those of that run.
    #[must_use]
    pub fn replay(mut self, run: &RunId, history: &History) -> Self {
        self.past = Some(Past::new(history, true));
        self.id = run.clone();
        self
    }

    /// The values of the program's inputs.
    #[must_use]
    pub fn inputs(mut self, inputs: Map<String, Value>) -> Self {
        self.inputs = inputs;
        self
    }

    /// Other options than the default.
    #[must_use]
    pub fn options(mut self, options: RunOptions) -> Self {
        self.options = options;
        self
    }

    /// Tells `observer` what happens.
    #[must_use]
    pub fn observer(mut self, observer: &'a dyn RunObserver) -> Self {
        self.observer = observer;
        self
    }

    /// The run's id.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Runs to the end. Needs a tokio runtime with time enabled.
    ///
    /// Dropping the future drops every step that runs.
    ///
    /// # Errors
    ///
    /// Inputs that the program does not declare or that are missing, and options out of range.
    /// A failing step is not an error: it is in the report.
    pub async fn execute(self) -> Result<RunReport, Error> {
        self.execute_until(std::future::pending()).await
    }

    /// Runs to the end, or until `cancel` is ready: then what runs is stopped, and the report
    /// tells what was done.
    ///
    /// # Errors
    ///
    /// As [`Run::execute`].
    pub async fn execute_until(self, cancel: impl Future<Output = ()>) -> Result<RunReport, Error> {
        if self.options.jobs == 0 || self.options.window == 0 {
            return Err(Error::new(
                ErrorKind::Options,
                "`jobs` and `window` must be 1 or more, not 0",
            ));
        }
        let inputs = self.bind_inputs()?;
        let (elapsed, turn) = self
            .past
            .as_ref()
            .map_or((0, 0), |past| (past.elapsed_us, past.turn));
        let now = Instant::now();
        let tasks = Tasks::new(
            Arc::clone(&self.executor),
            self.options.backoff,
            self.plan.tools,
        );
        let driver = Driver {
            plan: self.plan,
            executor: self.executor,
            options: self.options,
            observer: self.observer,
            id: self.id,
            scopes: Slab::new(),
            entries: Slab::new(),
            sequence: 0,
            todo: VecDeque::new(),
            ready: ReadyQueue::default(),
            tasks,
            rows: Vec::with_capacity(self.plan.calls()),
            started: now
                .checked_sub(Duration::from_micros(elapsed))
                .unwrap_or(now),
            now,
            reach: Duration::ZERO,
            shared: FxHashMap::default(),
            end: None,
            journal: self.journal.map(|journal| Journaling::new(journal, turn)),
            recall: self.past.map(Recall::new),
        };
        driver.run(inputs, cancel).await
    }

    fn bind_inputs(&self) -> Result<Bindings, Error> {
        let mut names = Bindings::for_program(self.plan.names.len());
        let mut issues = Vec::new();
        let issue = |message: String, location| Issue {
            kind: ErrorKind::Input,
            message,
            help: None,
            location,
        };
        for input in &self.plan.inputs {
            match self.inputs.get(&input.name).or(input.default.as_ref()) {
                Some(value) => {
                    names.insert(input.slot, Name::Value(Arc::new(value.clone())));
                }
                None => {
                    let message = format!(
                        "the input `{}` has no default and no value was given",
                        input.name
                    );
                    issues.push(issue(message, Some(input.location)));
                }
            }
        }
        for name in self.inputs.keys() {
            if !self.plan.inputs.iter().any(|input| input.name == *name) {
                let known: Vec<&str> = self
                    .plan
                    .inputs
                    .iter()
                    .map(|input| input.name.as_str())
                    .collect();
                let known = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                issues.push(issue(
                    format!("the program has no input `{name}`; its inputs are: {known}"),
                    None,
                ));
            }
        }
        if issues.is_empty() {
            Ok(names)
        } else {
            Err(Error::from_issues(issues))
        }
    }
}

/// How long tasks that were cancelled may take to end before they are left to the runtime.
const SHUTDOWN: Duration = Duration::from_secs(5);

struct Driver<'a> {
    plan: &'a Plan,
    executor: Arc<dyn StepExecutor>,
    options: RunOptions,
    observer: &'a dyn RunObserver,
    id: RunId,
    scopes: Slab<Scope<'a>>,
    entries: Slab<Entry>,
    sequence: u32,
    todo: VecDeque<Todo>,
    ready: ReadyQueue,
    tasks: Tasks,
    rows: Vec<Row>,
    started: Instant,
    /// When the last end came, or the start: what starts next is noted as started then.
    now: Instant,
    /// The longest chain of durations so far.
    reach: Duration,
    /// How steps with twins came by their results, by the scope and the name that hold them.
    shared: FxHashMap<(Key, Slot), Shared>,
    end: Option<End>,
    journal: Option<Journaling>,
    recall: Option<Recall>,
}

impl Driver<'_> {
    async fn run(
        mut self,
        inputs: Bindings,
        cancel: impl Future<Output = ()>,
    ) -> Result<RunReport, Error> {
        self.observer.event(&RunEvent::Started {
            run: &self.id,
            calls: self.plan.calls(),
        });
        let limit = self.options.timeout;
        let deadline = async move {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let mut over = pin!(async move {
            tokio::select! {
                biased;
                () = cancel => End::Cancelled,
                () = deadline => End::TimedOut,
            }
        });
        let mut alarm = Alarm::default();
        self.open_program(inputs);
        loop {
            // Steps that never wait must not keep the runtime's other tasks from running.
            tokio::task::consume_budget().await;
            self.work();
            let cut_short = self.start_ready();
            if self.end.is_some() {
                break;
            }
            if self.recall_next()? {
                continue;
            }
            if self.tasks.len() == 0 && !cut_short {
                return Err(Error::new(
                    ErrorKind::Stalled,
                    "no step runs and none can start; please report this program as a defect of Praxis",
                ));
            }
            self.next_turn();
            let woken = poll_fn(|context| match alarm.poll(over.as_mut(), context) {
                Poll::Ready(end) => Poll::Ready(Err(end)),
                Poll::Pending if cut_short => Poll::Ready(Ok(None)),
                Poll::Pending => self.tasks.poll_next(context).map(Some).map(Ok),
            });
            match woken.await {
                Ok(None) => {
                    tokio::task::yield_now().await;
                    self.now = Instant::now();
                }
                Ok(Some((running, end))) => self.ended(running, end),
                Err(end) => self.end = Some(end),
            }
            while self.end.is_none() {
                let Some((running, end)) = self.tasks.try_next() else {
                    break;
                };
                self.ended(running, end);
            }
        }
        self.note_interrupted();
        self.note_what_was_running();
        // An aborted task ends at its next await; one that never comes to it must not hold the run.
        self.tasks.close();
        let drained = poll_fn(|context| {
            while self.tasks.len() > 0 {
                if let (running, Some(end)) = ready!(self.tasks.poll_next(context)) {
                    self.note_late(&running, &end);
                }
            }
            Poll::Ready(())
        });
        let _ = tokio::time::timeout(SHUTDOWN, drained).await;
        let report = self.report();
        self.note_report(&report).await;
        self.observer.event(&RunEvent::Finished {
            steps: &report.steps,
        });
        Ok(report)
    }

    fn work(&mut self) {
        while let Some(todo) = self.todo.pop_front() {
            if self.end.is_some() {
                return;
            }
            match todo {
                Todo::Activate(key) => self.activate(key),
                Todo::Issue(key) => self.issue(key),
                Todo::Advance(key) => self.advance(key),
            }
        }
    }

    fn ended(&mut self, running: Running, end: Option<TaskEnd>) {
        if let Some(group) = running.drain {
            if let Some(scope) = self.scope_mut(group) {
                scope.draining -= 1;
            }
            self.todo.push_back(Todo::Advance(group));
        }
        if let Some(end) = end {
            if self.entry(running.key).is_none() {
                self.note_late(&running, &end);
            }
            self.take(running.key, end);
        }
    }

    fn key(&mut self, index: usize) -> Key {
        self.sequence = self.sequence.wrapping_add(1);
        Key {
            index: index as u32,
            sequence: self.sequence,
        }
    }
}
