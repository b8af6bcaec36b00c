//! The executor of a workflow's steps: cache, then engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use praxis_cache::{FileVersions, Policy, Resource, RunId, ToolCache};
use praxis_exec::{CallId, EffectClass, Error, Request, ToolContract};
use praxis_workflow::{
    Arguments, BoxFuture, CacheUse, Plan, ResourcePath, StepCall, StepError, StepExecutor,
    StepOutput,
};
use serde_json::{Map, Value};

use crate::toolbox::{Tool, Toolbox};

/// How many calls of one tool are announced to its engine; none keeps more ready.
const ANNOUNCED: usize = 16;

/// Runs steps: what the cache may answer it answers, the rest goes to the tool's engine.
pub struct Agent {
    tools: Arc<Toolbox>,
    root: PathBuf,
    cache: Option<ToolCache>,
    versions: FileVersions,
    /// The calls that engines have not been told of: of which tool, on which engine, and how many.
    foreseen: Mutex<BTreeMap<(String, Option<String>), usize>>,
}

impl Agent {
    /// An agent whose file tools work below `root`, with a cache of its own.
    pub fn new(tools: Arc<Toolbox>, root: &Path) -> Self {
        Self {
            tools,
            root: root.to_owned(),
            cache: Some(ToolCache::default()),
            versions: FileVersions::new(root),
            foreseen: Mutex::default(),
        }
    }

    /// The same, with engines told of the calls of this plan ([`ExecutionEngine::foresee`](praxis_exec::ExecutionEngine::foresee))
    /// as soon as one of them has to be run: what the cache answers begins nothing.
    #[must_use]
    pub fn foreseeing(mut self, plan: &Plan) -> Self {
        let mut foreseen = BTreeMap::new();
        for call in plan.described_calls() {
            if self
                .tools
                .find(call.tool)
                .is_some_and(|tool| !tool.is_native())
            {
                let call = (call.tool.to_owned(), call.engine.map(str::to_owned));
                *foreseen.entry(call).or_insert(0) += 1;
            }
        }
        self.foreseen = Mutex::new(foreseen);
        self
    }

    /// Its tools.
    pub fn tools(&self) -> &Arc<Toolbox> {
        &self.tools
    }

    /// Tells engines of the calls that are about to come, once.
    fn announce(&self) {
        let mut foreseen = self.foreseen.lock().unwrap_or_else(PoisonError::into_inner);
        let foreseen = std::mem::take(&mut *foreseen);
        for ((tool, engine), count) in foreseen {
            if let Some(tool) = self.tools.find(&tool)
                && let Ok(engine) = self.tools.engine(tool, engine.as_deref())
            {
                for _ in 0..count.min(ANNOUNCED) {
                    engine.foresee(tool.contract());
                }
            }
        }
    }

    /// The same with `cache` in place of its own.
    #[must_use]
    pub fn with_cache(mut self, cache: ToolCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// The same without a cache.
    #[must_use]
    pub fn without_cache(mut self) -> Self {
        self.cache = None;
        self
    }

    /// Calls one tool, outside of any workflow and past the cache.
    ///
    /// # Errors
    ///
    /// An unknown tool, arguments that do not fit its contract, and whatever the tool fails with.
    pub async fn call(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
    ) -> Result<praxis_exec::Output, Error> {
        let tool = self.tool(tool)?;
        let arguments = tool.contract().bind(arguments)?;
        let engine = self.tools.engine(tool, None)?;
        let _touched = Touched {
            agent: self,
            contract: tool.contract(),
            arguments: &arguments,
            run: None,
        };
        engine
            .execute(
                Request::new(tool.contract(), &arguments, &self.root)
                    .accepting(self.tools.accepted()),
            )
            .await
    }

    fn tool(&self, name: &str) -> Result<&Tool, Error> {
        self.tools.find(name).ok_or_else(|| {
            let message = "there is no tool of that name";
            Error::new(praxis_exec::ErrorKind::NotFound, message)
                .with_tool(name)
                .with_help("`praxis tools list` shows the tools; `--tools DIR` adds more")
        })
    }

    async fn step(&self, mut call: StepCall) -> Result<StepOutput, Error> {
        let tool = self.tool(&call.tool)?;
        let contract = tool.contract();
        let arguments = contract.bind(std::mem::take(&mut call.arguments).into_map())?;
        let engine = self.tools.engine(tool, call.engine.as_deref())?;
        let run = remembered_run(&call.run);
        let work = || async {
            self.announce();
            let _touched = Touched {
                agent: self,
                contract,
                arguments: &arguments,
                run: Some(run),
            };
            let mut request =
                Request::new(contract, &arguments, &self.root).accepting(self.tools.accepted());
            request = request.with_call_id(CallId::new(format!("{}/{}", call.run, call.step)));
            if let Some(timeout) = call.timeout {
                request = request.with_timeout(timeout);
            }
            engine.execute(request).await.map(|output| output.value)
        };
        let name = || Some(Arc::from(engine.name()));
        let remembering = self
            .cache
            .as_ref()
            .filter(|_| call.cache != Some(false) && contract.cache.enabled);
        let policy = remembering.zip(policy(contract, &arguments, &self.root, run));
        let program = match policy {
            Some(_) => tool.program(engine, call.engine.as_deref()).await?,
            None => None,
        };
        let remembered = policy.and_then(|(cache, policy)| match tool.keys(&self.root, program.as_deref()) {
            Ok(keys) => match keys.key(&arguments) {
                Ok(key) => Some((cache, policy, key)),
                Err(error) => {
                    tracing::debug!(tool = %call.tool, %error, "the call is not remembered");
                    None
                }
            },
            Err(error) => {
                tracing::warn!(tool = %call.tool, %error, "the program cannot be read, so the call is not remembered");
                None
            }
        });
        let Some((cache, policy, key)) = remembered else {
            return Ok(StepOutput {
                value: Arc::new(work().await?),
                cache: CacheUse::Bypassed,
                engine: name(),
            });
        };
        let outcome = cache
            .get_or_run(&key, &policy, &self.versions, work)
            .await?;
        let (cache, engine) = if outcome.cached {
            (CacheUse::Hit, None)
        } else {
            (CacheUse::Miss, name())
        };
        Ok(StepOutput {
            value: outcome.value,
            cache,
            engine,
        })
    }
}

impl StepExecutor for Agent {
    fn execute(&self, call: StepCall) -> BoxFuture<'_, Result<StepOutput, StepError>> {
        Box::pin(async move { self.step(call).await.map_err(step_error) })
    }

    /// A total tool succeeds for all arguments that its contract accepts.
    fn cannot_fail(&self, tool: &str, arguments: &Arguments) -> bool {
        self.tools.find(tool).is_some_and(|tool| {
            let contract = tool.contract();
            contract.effects.total && contract.bind(arguments.clone().into_map()).is_ok()
        })
    }

    /// Links below the root are followed, so that two names of one file are one resource.
    fn resource(&self, argument: &str) -> ResourcePath {
        let plain = ResourcePath::parse(argument);
        let mut path = self.root.clone();
        let linked = plain
            .as_str()
            .split('/')
            .filter(|part| !part.is_empty())
            .any(|part| {
                path.push(part);
                path.is_symlink()
            });
        if !linked {
            return plain;
        }
        let whole = self.root.join(plain.as_str());
        let real = whole
            .ancestors()
            .find_map(|known| Some((known, known.canonicalize().ok()?)));
        let Some((known, real)) = real else {
            return ResourcePath::everything();
        };
        let rest = whole.strip_prefix(known).unwrap_or(Path::new(""));
        match real
            .strip_prefix(&self.root)
            .ok()
            .and_then(|inside| inside.join(rest).to_str().map(str::to_owned))
        {
            Some(inside) => ResourcePath::parse(&inside),
            None => ResourcePath::everything(),
        }
    }
}

/// The run as the cache stores it: the hexadecimal digits of its id, so that `praxis cache explain` can
/// name it.
fn remembered_run(run: &praxis_workflow::RunId) -> RunId {
    let digits: String = run.as_str().chars().filter(|&digit| digit != '-').collect();
    u128::from_str_radix(&digits, 16).map_or_else(|_| RunId::named(run.as_str()), RunId::numbered)
}

/// How a call may be remembered; `None` where its effects forbid it.
fn policy(
    contract: &ToolContract,
    arguments: &Map<String, Value>,
    root: &Path,
    run: RunId,
) -> Option<Policy> {
    let policy = match contract.effects.class {
        EffectClass::Pure => Policy::pure(run),
        EffectClass::Read => Policy::read(run, resources(&contract.effects.reads, arguments, root)),
        EffectClass::External if contract.cache.ttl.is_some() => Policy::pure(run),
        EffectClass::Write | EffectClass::External => return None,
    };
    Some(match contract.cache.ttl {
        Some(ttl) => policy.ttl(ttl),
        None => policy,
    })
}

/// The resources that the named arguments hold; an argument that is no path is everything.
fn resources(names: &[String], arguments: &Map<String, Value>, root: &Path) -> Vec<Resource> {
    let path = |text: &str| Resource::within(root, Path::new(text));
    let mut resources = Vec::new();
    for name in names {
        match arguments.get(name) {
            Some(Value::String(text)) => resources.push(path(text)),
            Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
                resources.extend(items.iter().filter_map(Value::as_str).map(path));
            }
            _ => resources.push(Resource::everything()),
        }
    }
    resources
}

/// Tells the cache what a call may have changed, however the call ends.
struct Touched<'a> {
    agent: &'a Agent,
    contract: &'a ToolContract,
    arguments: &'a Map<String, Value>,
    run: Option<RunId>,
}

impl Drop for Touched<'_> {
    fn drop(&mut self) {
        let Some(cache) = &self.agent.cache else {
            return;
        };
        match self.contract.effects.class {
            EffectClass::Pure | EffectClass::Read => {}
            EffectClass::Write => {
                let written = resources(
                    &self.contract.effects.writes,
                    self.arguments,
                    &self.agent.root,
                );
                if written.is_empty() {
                    cache.wrote(&Resource::everything());
                }
                for resource in &written {
                    cache.wrote(resource);
                }
            }
            EffectClass::External => {
                if let Some(run) = self.run {
                    cache.external(run);
                }
            }
        }
    }
}

/// The failure in one message: what happened, what the program said last, and the way out.
fn step_error(error: Error) -> StepError {
    let mut message = error.to_string();
    let said: Vec<&str> = error.stderr().trim_end().lines().rev().take(3).collect();
    for line in said.into_iter().rev().filter(|line| !line.is_empty()) {
        if !message.contains(line) {
            message.push_str("; stderr: ");
            message.push_str(line);
        }
    }
    if let Some(help) = error.help() {
        message.push_str("; ");
        message.push_str(help);
    }
    let engine = error.engine().map(str::to_owned);
    let failed = StepError::new(error.kind().as_str(), message)
        .retryable(error.is_retryable())
        .caused_by(error);
    match engine {
        Some(engine) => failed.on_engine(engine),
        None => failed,
    }
}
