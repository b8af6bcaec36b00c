//! The engine that keeps containers warm: a worker in each of them starts a tool as soon as it is called.

mod attend;
mod keeper;
mod link;
mod report;
mod slot;
mod stock;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use self::attend::{Bounds, Outcome, Said, attend};
use self::keeper::Shared;
pub use self::report::{ResourceUsage, Statistics};
use self::slot::Kind;
use crate::container::Spec;
use crate::contract::units::duration_text;
use crate::docker::{Client, DockerConfig, DockerEngine};
use crate::{
    BoxFuture, Capabilities, Error, ErrorKind, ExecutionEngine, Output, Request, ToolContract,
};

const NAME: &str = "pool";

/// How many containers are tried for a call whose tool has not been started.
const TRIES: usize = 4;

/// What the pool keeps, and what it does where contracts leave it open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolConfig {
    /// The containers themselves.
    pub docker: DockerConfig,
    /// How many warm containers a tool has at all times once it was called or foreseen. Default: none.
    pub warm: BTreeMap<String, usize>,
    /// The workspace root of the calls that [`ExecutionEngine::prepare`] and [`ExecutionEngine::foresee`] are for.
    /// Default: the current folder.
    pub root: Option<PathBuf>,
    /// How many containers are kept warm together. Default: 16.
    pub slots: usize,
    /// What the memory limits of warm containers may add up to, in bytes. Default: 8 GiB.
    pub memory_bytes: u64,
    /// How many warm containers a tool may have because it is called often. Default: 4.
    pub slots_per_tool: usize,
    /// How many containers are started ahead at the same time. Default: 4.
    pub starts_at_once: usize,
    /// How many calls may run at the same time; others wait. Default: 32.
    pub concurrency: usize,
    /// How long a call waits for others to end, and for a container, at most. Default: 60 seconds.
    #[serde(with = "duration_text")]
    pub wait: Duration,
    /// How long a warm container is kept that nobody asks for, unless it is configured. Default: 10 minutes.
    #[serde(with = "duration_text")]
    pub idle: Duration,
    /// How often warm containers are looked at. Default: 10 seconds.
    #[serde(with = "duration_text")]
    pub health_interval: Duration,
    /// How long a tool has after SIGTERM, at its time limit, before SIGKILL. Default: 500 ms.
    #[serde(with = "duration_text")]
    pub kill_grace: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            docker: DockerConfig::default(),
            warm: BTreeMap::new(),
            root: None,
            slots: 16,
            memory_bytes: 8 * 1024 * 1024 * 1024,
            slots_per_tool: 4,
            starts_at_once: 4,
            concurrency: 32,
            wait: Duration::from_secs(60),
            idle: Duration::from_secs(600),
            health_interval: Duration::from_secs(10),
            kill_grace: Duration::from_millis(500),
        }
    }
}

/// Runs a tool in a container that was started before the call.
///
/// The container is held to what [`DockerEngine`] holds one to, and the tool is the same user in it, with the same
/// environment. A worker is its first process: it starts the tool, and answers when no process of the call is left.
/// A container serves one call, and the next is started in the background;
/// one of a contract that says `reuse: true` serves one call after the other, and between them the worker empties the
/// folders that the tool can write to. A container that it cannot empty, or whose call did not end by itself, is replaced.
///
/// Tools that are called often have warm containers, up to [`PoolConfig::slots`]; those in [`PoolConfig::warm`] always.
/// Where none is ready, the call waits until one has started, which takes as long as a call of [`DockerEngine`].
/// Containers go when the engine does ([`PoolEngine::drain`] waits for it), and also when this process is killed:
/// a worker ends when its socket closes.
///
/// What a worker cannot start goes to [`DockerEngine`]: a contract without a command, a daemon on another machine,
/// a tool that is to be root or named by something else than numbers.
#[derive(Debug)]
pub struct PoolEngine {
    shared: Arc<Shared>,
}

impl PoolEngine {
    /// An engine with this configuration. Nothing is started before the first call.
    pub fn new(config: PoolConfig) -> Self {
        let cold = DockerEngine::new(config.docker.clone());
        Self::over(config, cold)
    }

    /// An engine that uses a connection which is there already.
    pub fn with_client(config: PoolConfig, client: Client) -> Self {
        let cold = DockerEngine::with_client(config.docker.clone(), client);
        Self::over(config, cold)
    }

    fn over(config: PoolConfig, cold: DockerEngine) -> Self {
        Self {
            shared: Arc::new(Shared::new(config, cold)),
        }
    }

    /// Has a warm container for calls like this one, and returns when it is there.
    ///
    /// # Errors
    /// A call would fail with this error.
    pub async fn warm(&self, request: &Request<'_>) -> Result<(), Error> {
        let client = self.shared.client().await?;
        let Some((kind, _)) = parts(&self.shared, client, request)? else {
            return Ok(());
        };
        let lease = self.shared.take(kind).await?;
        lease.give_back();
        Ok(())
    }

    /// What the pool has done so far, and what it has.
    pub fn statistics(&self) -> Statistics {
        self.shared.statistics()
    }

    /// What each container of the pool takes from the machine at this moment.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where the daemon does not say.
    pub async fn resource_usage(&self) -> Result<Vec<ResourceUsage>, Error> {
        report::resource_usage(self.shared.client().await?, self.shared.label()).await
    }

    /// Ends the pool: refuses further calls, waits for those under way, and returns when all containers are gone.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where containers are left, or the daemon does not say.
    pub async fn drain(&self) -> Result<(), Error> {
        self.shared.drain().await
    }

    /// Looks whether a container could be had for calls of the tool.
    async fn look(&self, contract: &ToolContract) -> Result<(), Error> {
        let arguments = Map::new();
        let request = foreseen(&self.shared, contract, &arguments);
        match Spec::new(&self.shared.config.docker, &request) {
            // What is to be mounted may be made by a call that comes before.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            made => drop(made?),
        }
        self.shared.cold.prepare(contract).await?;
        self.capabilities().admit(&request)
    }

    async fn run(&self, request: &Request<'_>) -> Result<Output, Error> {
        let started = Instant::now();
        let client = self.shared.client().await?;
        let Some((kind, mut call)) = parts(&self.shared, client, request)? else {
            return self.shared.cold.execute(request.clone()).await;
        };
        let secrets = request.secret_variables()?;
        let exposed = secrets.expose();
        call.env
            .extend(exposed.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let config = &self.shared.config;
        let bounds = Bounds {
            timeout: request.limits.timeout.unwrap_or(config.docker.timeout),
            kill_grace: config.kill_grace,
            output_bytes: request
                .limits
                .output_bytes
                .unwrap_or(config.docker.output_bytes),
            stderr_bytes: config.docker.stderr_bytes,
            memory_bytes: kind.spec.memory_bytes,
            secrets: &secrets,
        };
        let input = serde_json::to_vec(request.arguments).expect("JSON has only text keys");
        let _place = self.shared.place().await?;
        let said = self.serve(kind, &call, &input, &bounds).await;
        secrets.conceal_in(said.and_then(|said| {
            let value = request.contract.output.read(&said.stdout);
            let value = value.map_err(|error| error.with_stderr(said.stderr.as_str()))?;
            let mut output = Output::new(value, started);
            output.stderr = said.stderr;
            output.exit_code = Some(0);
            Ok(output)
        }))
    }

    /// Runs a call in a container; in another if the first turns out not to be there any more before the tool was started.
    async fn serve(
        &self,
        kind: Kind,
        call: &slot::Call,
        input: &[u8],
        bounds: &Bounds<'_>,
    ) -> Result<Said, Error> {
        for _ in 0..TRIES {
            let mut lease = self.shared.take(kind.clone()).await?;
            match attend(lease.link(), call, input, bounds).await {
                Outcome::NotStarted(error) => {
                    tracing::debug!(%error, tool = kind.tool, "a warm container was gone");
                    lease.discard();
                }
                Outcome::Refused(error) => {
                    lease.give_back();
                    return Err(error);
                }
                Outcome::Over { said, clean } => {
                    lease.end(kind.reuse, clean);
                    return said;
                }
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("{TRIES} containers were gone before its program could be started in them"),
        )
        .with_help(
            "something removes them: see the events of the container engine, `docker events`",
        ))
    }
}

impl ExecutionEngine for PoolEngine {
    fn name(&self) -> &str {
        NAME
    }

    /// Those of [`DockerEngine`].
    fn capabilities(&self) -> Capabilities {
        capabilities(&self.shared)
    }

    fn suits(&self, contract: &ToolContract) -> Result<(), String> {
        self.shared.cold.suits(contract)
    }

    fn program_id<'a>(
        &'a self,
        contract: &'a ToolContract,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        self.shared.cold.program_id(contract)
    }

    /// Looks whether the daemon and the image are there, and the contract is one for calls from [`PoolConfig::root`].
    fn prepare<'a>(&'a self, contract: &'a ToolContract) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let outcome = self.look(contract).await;
            outcome.map_err(|error| error.with_tool(&contract.name).with_engine(NAME))
        })
    }

    /// Has a container ready for calls of the tool from [`PoolConfig::root`] until as many have come as were foreseen.
    /// Without a connection to the daemon, which [`PoolEngine::prepare`] makes, it does nothing.
    fn foresee(&self, contract: &ToolContract) {
        let (Some(client), Ok(_)) = (self.shared.cold.connected(), Handle::try_current()) else {
            return;
        };
        let arguments = Map::new();
        match parts(
            &self.shared,
            client,
            &foreseen(&self.shared, contract, &arguments),
        ) {
            Ok(Some((kind, _))) => self.shared.foresee(kind),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, tool = contract.name, "no container is started ahead");
            }
        }
    }

    /// [`PoolEngine::drain`].
    fn shut_down<'a>(&'a self) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.drain())
    }

    fn execute<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        Box::pin(async move {
            let outcome = self.run(&request).await;
            outcome.map_err(|error| error.with_tool(&request.contract.name).with_engine(NAME))
        })
    }
}

impl Drop for PoolEngine {
    fn drop(&mut self) {
        self.shared.close();
    }
}

fn capabilities(shared: &Shared) -> Capabilities {
    let mut capabilities = shared.cold.capabilities();
    capabilities.engine = NAME.to_owned();
    capabilities
}

/// A call that is about to come, whose arguments nobody knows yet.
fn foreseen<'a>(
    shared: &'a Shared,
    contract: &'a ToolContract,
    arguments: &'a Map<String, Value>,
) -> Request<'a> {
    let root = shared.config.root.as_deref();
    Request::new(contract, arguments, root.unwrap_or(Path::new(".")))
}

/// What the call needs of a container, and what it is in it; `None` if no worker can start it.
fn parts(
    shared: &Shared,
    client: &Client,
    request: &Request<'_>,
) -> Result<Option<(Kind, slot::Call)>, Error> {
    let spec = Spec::new(&shared.config.docker, request)?;
    capabilities(shared).admit(request)?;
    let here = client.address().starts_with("unix://");
    if !here || spec.command.is_empty() || Kind::user(&spec).is_none() {
        return Ok(None);
    }
    let contract = request.contract;
    let image = shared.image_version(&spec.image);
    Kind::split(&contract.name, contract.reuse, image, spec).map(Some)
}
