//! A workflow of plain async closures, for those who have no program text.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use praxis_dsl::checked::{Location, Operand, Reference};
use serde_json::Value;

use crate::arguments::{self, Arguments};
use crate::effect::{EffectClass, ResourceParameter};
use crate::error::Error;
use crate::executor::{BoxFuture, StepCall, StepError, StepExecutor, StepOutput};
use crate::order;
use crate::plan::{Block, Plan, Statement, StatementKind, StepSpec, Writers};
use crate::report::RunReport;
use crate::run::{Run, RunOptions};

type StepFunction = dyn Fn(Inputs) -> BoxFuture<'static, Result<Value, StepError>> + Send + Sync;

/// Steps that are async closures, in program order.
///
/// A step starts when the steps it names are done, and what it [reads](Workflow::reads) is written
/// by those before it. One that [writes](Workflow::writes) or [changes](Workflow::changes) anything
/// also waits until everything before it has succeeded.
///
/// ```
/// use std::time::Duration;
///
/// use praxis_workflow::{RunOptions, StepError, Workflow};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), praxis_workflow::Error> {
/// let mut flow = Workflow::new("report");
/// let fetched = flow.reads("fetch", &["in/a.txt"], &[], |_| async {
///     Err(StepError::new("busy", "the server is busy").retryable(true))
/// });
/// flow.timeout(fetched, Duration::from_secs(5)).retries(fetched, 1);
/// flow.writes("save", &["out/a.txt"], &[fetched], |inputs| async move {
///     Ok(json!({ "saved": inputs.value("fetch") }))
/// });
/// let (report, results) = flow.run(RunOptions::default()).await?;
/// let failure = report.error.expect("both attempts failed");
/// assert_eq!((failure.kind.as_str(), report.steps[0].attempts), ("busy", 2));
/// assert!(results.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct Workflow {
    plan: Plan,
    functions: HashMap<Arc<str>, Arc<StepFunction>>,
}

/// A step of a [`Workflow`], to be named by later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step(u32);

/// The results of the steps that a step waits for.
#[derive(Debug, Clone, Default)]
pub struct Inputs(Arguments);

impl Inputs {
    /// The result of the step with that id; null for one that was not named.
    pub fn value(&self, id: &str) -> &Value {
        self.0.get(id).unwrap_or(&Value::Null)
    }
}

impl Workflow {
    /// An empty workflow.
    pub fn new(name: &str) -> Self {
        let mut plan = Plan::empty(Some(name.to_owned()));
        plan.blocks.push(Block::default());
        Self {
            plan,
            functions: HashMap::new(),
        }
    }

    /// Adds a step that touches nothing but its inputs; it starts when `after` are done.
    ///
    /// # Panics
    ///
    /// When a step of that id is there already, the id holds a NUL, or a handle belongs to another
    /// workflow.
    pub fn step<F, R>(&mut self, id: &str, after: &[Step], function: F) -> Step
    where
        F: Fn(Inputs) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, StepError>> + Send + 'static,
    {
        self.add(id, after, (EffectClass::Pure, &[]), function)
    }

    /// Adds a step that reads the resources at these paths, or everything if there are none: it also
    /// waits for the last step before it that writes to one of them, to what is below or above.
    ///
    /// # Panics
    ///
    /// As [`Workflow::step`].
    pub fn reads<F, R>(&mut self, id: &str, paths: &[&str], after: &[Step], function: F) -> Step
    where
        F: Fn(Inputs) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, StepError>> + Send + 'static,
    {
        self.add(id, after, (EffectClass::Read, paths), function)
    }

    /// Adds a step that writes the resources at these paths, or everything if there are none: it
    /// starts when everything before it has succeeded, and readers of other resources do not wait
    /// for it.
    ///
    /// # Panics
    ///
    /// As [`Workflow::step`].
    pub fn writes<F, R>(&mut self, id: &str, paths: &[&str], after: &[Step], function: F) -> Step
    where
        F: Fn(Inputs) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, StepError>> + Send + 'static,
    {
        self.add(id, after, (EffectClass::Write, paths), function)
    }

    /// Adds a step that changes the world: it starts when everything before it has succeeded.
    ///
    /// # Panics
    ///
    /// As [`Workflow::step`].
    pub fn changes<F, R>(&mut self, id: &str, after: &[Step], function: F) -> Step
    where
        F: Fn(Inputs) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, StepError>> + Send + 'static,
    {
        self.add(id, after, (EffectClass::External, &[]), function)
    }

    /// Bounds each attempt of a step: after `limit` its future is dropped, and the step has failed
    /// with the kind `timeout`.
    ///
    /// # Panics
    ///
    /// When the handle belongs to another workflow.
    pub fn timeout(&mut self, step: Step, limit: Duration) -> &mut Self {
        self.spec(step).timeout = Some(limit);
        self
    }

    /// Tries a step up to `times` times again after failures that are
    /// [retryable](StepError::is_retryable).
    ///
    /// # Panics
    ///
    /// As [`Workflow::timeout`].
    pub fn retries(&mut self, step: Step, times: u32) -> &mut Self {
        self.spec(step).retries = times;
        self
    }

    fn spec(&mut self, step: Step) -> &mut StepSpec {
        let steps = &mut self.plan.steps;
        steps
            .get_mut(step.0 as usize)
            .expect("the step belongs to this workflow")
    }

    fn add<F, R>(
        &mut self,
        id: &str,
        after: &[Step],
        (class, paths): (EffectClass, &[&str]),
        function: F,
    ) -> Step
    where
        F: Fn(Inputs) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, StepError>> + Send + 'static,
    {
        let function: Arc<StepFunction> = Arc::new(move |inputs| Box::pin(function(inputs)));
        let paths: Vec<ResourceParameter> = paths.iter().map(|path| literal(path)).collect();
        let (reads, writes) = match class {
            EffectClass::Read => (paths, Vec::new()),
            _ => (Vec::new(), paths),
        };
        let plan = &mut self.plan;
        let id: Arc<str> = Arc::from(id);
        assert!(!id.contains('\0'), "a step's id holds no NUL");
        assert!(
            !self.functions.contains_key(&id),
            "a step named `{id}` is there already"
        );
        let index = plan.steps.len() as u32;
        let slot = plan.names.intern(&id);
        let mut arguments = Vec::with_capacity(after.len());
        let mut needs = Vec::with_capacity(after.len());
        for step in after {
            let name = plan
                .steps
                .get(step.0 as usize)
                .expect("the step belongs to this workflow")
                .id
                .to_string();
            needs.push(plan.names.intern(&name));
            arguments.push((
                name.clone(),
                Operand::Reference(Reference {
                    name,
                    path: Vec::new(),
                }),
            ));
        }
        let location = Location {
            line: index + 1,
            column: 1,
        };
        let writers = if class.changes_the_world() {
            Writers::Steps(vec![index])
        } else {
            Writers::none()
        };
        plan.steps.push(StepSpec {
            id: Arc::clone(&id),
            tool: Arc::clone(&id),
            tool_number: index,
            location,
            label: None,
            agent: None,
            engine: None,
            timeout: None,
            retries: 0,
            cache: None,
            inputs: arguments::Inputs::new(&arguments, &mut plan.names, &Arc::default()),
            arguments,
            bind: Some(slot),
            class,
            reads,
            writes,
            total: false,
            twin: None,
            shared: false,
            unused: false,
        });
        plan.blocks[0].statements.push(Statement {
            location,
            kind: StatementKind::Call(index),
            needs,
            binds: vec![slot],
            writers,
            may_return: false,
            after: Vec::new(),
            height: 0,
            behind: 0,
        });
        plan.tools += 1;
        self.functions.insert(id, function);
        Step(index)
    }

    /// Runs all steps; gives the report, and the results of the steps that succeeded by their id.
    ///
    /// # Errors
    ///
    /// As [`Run::execute`].
    pub async fn run(
        self,
        options: RunOptions,
    ) -> Result<(RunReport, HashMap<String, Value>), Error> {
        self.run_until(options, std::future::pending()).await
    }

    /// Runs all steps, or until `cancel` is ready: then what runs is dropped, and the report tells
    /// what was done.
    ///
    /// # Errors
    ///
    /// As [`Run::execute`].
    pub async fn run_until(
        mut self,
        options: RunOptions,
        cancel: impl Future<Output = ()>,
    ) -> Result<(RunReport, HashMap<String, Value>), Error> {
        order::measure(&mut self.plan);
        let executor = Arc::new(Closures {
            functions: self.functions,
            results: Mutex::default(),
        });
        let report = Run::new(&self.plan, Arc::<Closures>::clone(&executor))
            .options(options)
            .execute_until(cancel)
            .await?;
        let results = std::mem::take(
            &mut *executor
                .results
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let results = results
            .into_iter()
            .map(|(id, value)| (id.to_string(), Arc::unwrap_or_clone(value)));
        Ok((report, results.collect()))
    }
}

/// A resource that no argument names, since no step has this id.
fn literal(path: &str) -> ResourceParameter {
    ResourceParameter {
        name: "\0".to_owned(),
        default: Some(path.to_owned()),
    }
}

struct Closures {
    functions: HashMap<Arc<str>, Arc<StepFunction>>,
    results: Mutex<HashMap<Arc<str>, Arc<Value>>>,
}

impl StepExecutor for Closures {
    fn execute(&self, call: StepCall) -> BoxFuture<'_, Result<StepOutput, StepError>> {
        let function = self
            .functions
            .get(&call.tool)
            .expect("every step of a workflow has its function");
        let work = function(Inputs(call.arguments));
        Box::pin(async move {
            let output = StepOutput::from(work.await?);
            let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
            results.insert(call.tool, Arc::clone(&output.value));
            Ok(output)
        })
    }
}
