//! Programs of steps that do next to nothing, in three shapes, and a run that has all a real one
//! has: each step takes its predecessors' results, has a time limit and leaves a trace event, and
//! the run can be cancelled.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use praxis_dsl::checked::{
    Call, CheckedProgram, Location, Node, NodeKind, Operand, Reference, StepOptions,
};
use praxis_workflow::{
    BoxFuture, Plan, Run, RunJournal, RunOptions, RunStatus, StepCall, StepError, StepExecutor,
    StepOutput, ToolEffects, lower,
};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata};

/// How the steps depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Not at all.
    Wide,
    /// Each on the one before.
    Chain,
    /// In about √n layers of as many steps, each on two steps of the layer before.
    Layered,
}

impl Shape {
    /// All shapes, with their names.
    pub const ALL: [(&str, Self); 3] = [
        ("wide", Self::Wide),
        ("chain", Self::Chain),
        ("layered", Self::Layered),
    ];

    /// The steps that step `index` of `steps` takes its values from.
    pub fn predecessors(self, index: usize, steps: usize) -> Vec<usize> {
        match self {
            Self::Wide => Vec::new(),
            Self::Chain => index.checked_sub(1).into_iter().collect(),
            Self::Layered => {
                let width = layer(steps);
                let Some(above) = index.checked_sub(width) else {
                    return Vec::new();
                };
                let beside = above - above % width + (above + 1) % width;
                vec![above, beside]
            }
        }
    }
}

/// How many steps a layer has.
pub fn layer(steps: usize) -> usize {
    steps.isqrt().max(2)
}

/// A plan of `steps` pure calls that give the greatest of their arguments and one more.
pub fn plan(steps: usize, shape: Shape) -> Plan {
    plan_of(steps, shape, ToolEffects::pure())
}

/// The same with calls of these effects.
///
/// # Panics
///
/// Never: the calls have no `@after`, so there is no circle.
pub fn plan_of(steps: usize, shape: Shape, effects: ToolEffects) -> Plan {
    let body = (0..steps).map(|index| {
        let given = shape.predecessors(index, steps).into_iter();
        let mut arguments: Vec<(String, Operand)> = given
            .zip(["left", "right"])
            .map(|(before, parameter)| {
                let reference = Reference {
                    name: format!("v{before}"),
                    path: Vec::new(),
                };
                (parameter.to_owned(), Operand::Reference(reference))
            })
            .collect();
        if arguments.is_empty() {
            // A text of its own, so that no two calls are the same and one would do for both.
            let own = json!(format!("step {index}"));
            arguments.push(("left".to_owned(), Operand::Literal(json!(0))));
            arguments.push(("right".to_owned(), Operand::Literal(own)));
        }
        let call = Call {
            id: format!("s{}", index + 1),
            tool: "successor".to_owned(),
            arguments,
            bind: Some(format!("v{index}")),
            label: None,
            agent: None,
            options: StepOptions {
                timeout: Some(Duration::from_secs(60)),
                ..StepOptions::default()
            },
        };
        Node {
            location: Location {
                line: index as u32 + 1,
                column: 1,
            },
            kind: NodeKind::Call(call),
        }
    });
    let last = Reference {
        name: format!("v{}", steps - 1),
        path: Vec::new(),
    };
    let end = Node {
        location: Location {
            line: steps as u32 + 1,
            column: 1,
        },
        kind: NodeKind::Return(Some(Operand::Reference(last))),
    };
    let program = CheckedProgram {
        name: None,
        metadata: Map::new(),
        inputs: Vec::new(),
        body: body.chain([end]).collect(),
    };
    let effects = std::collections::HashMap::from([("successor".to_owned(), effects)]);
    lower(&program, &effects).expect("calls without `@after` have no circle")
}

/// Gives the greatest argument and one more: the number of steps on the longest way to it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Successor {
    /// Whether it says so of its calls, so that the scheduler polls them itself.
    pub prompt: bool,
}

impl StepExecutor for Successor {
    fn is_prompt(&self, _call: &StepCall) -> bool {
        self.prompt
    }

    fn execute(&self, call: StepCall) -> BoxFuture<'_, Result<StepOutput, StepError>> {
        Box::pin(async move {
            let greatest = call.arguments.values().filter_map(Value::as_u64).max();
            match greatest {
                Some(greatest) => Ok(StepOutput::from(json!(greatest + 1))),
                None => Err(StepError::new("failed", "no number was handed on")),
            }
        })
    }
}

/// Runs a plan of [`plan`] to its end and gives how many steps it had.
///
/// # Panics
///
/// When a step failed, or the last one did not get what the ones before it gave.
pub async fn run(
    plan: Arc<Plan>,
    shape: Shape,
    executor: Successor,
    journal: Option<RunJournal>,
) -> usize {
    let options = RunOptions {
        jobs: 64,
        timeout: Some(Duration::from_secs(600)),
        ..RunOptions::default()
    };
    let (cancel, cancelled) = oneshot::channel::<()>();
    let run = Run::new(&plan, Arc::new(executor)).options(options);
    let run = match journal {
        Some(journal) => run.journal(journal),
        None => run,
    };
    let report = run
        .execute_until(async {
            let _ = cancelled.await;
        })
        .await
        .expect("the options are valid");
    drop(cancel);
    assert_eq!(report.status, RunStatus::Succeeded);
    let steps = report.steps.len();
    let depth = match shape {
        Shape::Wide => 1,
        Shape::Chain => steps,
        Shape::Layered => steps.div_ceil(layer(steps)),
    };
    assert_eq!(report.output, depth, "the results were handed on");
    steps
}

/// A subscriber that takes every event of the scheduler and only counts them.
#[derive(Debug, Default)]
pub struct Counting(AtomicU64);

impl Counting {
    /// Makes a new one the subscriber of the process, and gives what it counts.
    ///
    /// # Panics
    ///
    /// When the process has a subscriber already.
    pub fn install() -> Arc<Self> {
        let counting = Arc::new(Self::default());
        tracing::subscriber::set_global_default(Arc::clone(&counting))
            .expect("a bench sets its subscriber once");
        counting
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl tracing::Subscriber for Counting {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("praxis_workflow")
    }

    fn event(&self, _event: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// Tasks one behind the other, each begun when the one before has ended.
///
/// # Panics
///
/// Never: the tasks do not.
pub async fn spawn_and_join_in_turn(tasks: usize) -> usize {
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
///
/// # Panics
///
/// Never: the tasks do not.
pub async fn spawn_and_join(tasks: usize) -> usize {
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

/// Layer by layer, all tasks of one at once.
pub async fn spawn_and_join_layers(tasks: usize) -> usize {
    let width = layer(tasks);
    let mut joined = 0;
    while joined < tasks {
        joined += spawn_and_join(width.min(tasks - joined)).await;
    }
    joined
}
