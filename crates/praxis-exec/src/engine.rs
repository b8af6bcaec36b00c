use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Limit, Limits, Secrets, ToolContract};

/// A boxed future, so that engines can stand behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs tools within limits.
///
/// An implementor owes its callers six things, and the module `conformance` (a feature of this crate) checks them:
///
/// - **Dropping the future ends the run.** Whatever the call started (process, container, remote call)
///   is stopped with its descendants, and nothing of it outlives the drop for longer than the kernel needs.
/// - **Limits hold or are refused.** A limit of [`Request::limits`], or the contract's mounts, that the engine
///   cannot enforce is [`ErrorKind::UnsupportedLimit`] before anything starts, unless
///   [`Request::accept_unsupported`] names it. [`Capabilities::admit`] does this.
/// - **Output is bounded** by [`Limits::output_bytes`] or the engine's own default, whatever the tool prints.
/// - **Arguments are data.** They are bound already ([`ToolContract::bind`]) and reach the tool unchanged;
///   no shell reads them.
/// - **Secrets are kept.** A program gets those that its contract names ([`Request::secret_variables`]), and
///   what leaves the engine shows none ([`SecretVariables::conceal_in`](crate::SecretVariables::conceal_in));
///   an engine that has no way to give them refuses the contract ([`Request::refuse_secrets`]).
/// - **Calls are independent.** Many run at once through one engine, and one that fails leaves the others alone.
///
/// Errors name the tool and the engine ([`Error::with_tool`], [`Error::with_engine`]).
pub trait ExecutionEngine: Send + Sync {
    /// The name that contracts use under `engine:`, such as `local`.
    fn name(&self) -> &str;

    /// What this engine enforces.
    fn capabilities(&self) -> Capabilities;

    /// Whether this engine could run the tool, limits aside.
    ///
    /// # Errors
    /// What the tool lacks for it, as a phrase that follows the engine's name: `needs an image, and the contract has none`.
    fn suits(&self, contract: &ToolContract) -> Result<(), String> {
        let _ = contract;
        Ok(())
    }

    /// What tells the program that would run from another, beyond the contract and the files of its folder:
    /// for a container the image's id, since a name may mean another image tomorrow. It is part of cache keys.
    ///
    /// # Errors
    /// The program cannot be looked at: no such image, no daemon.
    fn program_id<'a>(
        &'a self,
        contract: &'a ToolContract,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        let _ = contract;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Looks whether what calls of this tool need is there: a daemon, an image, a session.
    /// It is quick and starts nothing; calling it is never required.
    ///
    /// # Errors
    /// Calls would fail with this error as things stand.
    fn prepare<'a>(&'a self, contract: &'a ToolContract) -> BoxFuture<'a, Result<(), Error>> {
        let _ = contract;
        Box::pin(std::future::ready(Ok(())))
    }

    /// Says that one call of this tool is about to come, so that what takes time can be begun for it, such as a container.
    ///
    /// It returns at once; the work goes on in the background, on the Tokio runtime of the caller.
    /// Calling it is never required, after [`ExecutionEngine::prepare`] it has the most effect, a call need not follow,
    /// and what goes wrong is left for the call to say.
    fn foresee(&self, contract: &ToolContract) {
        let _ = contract;
    }

    /// Ends what the engine has begun or keeps for calls to come, and returns when nothing of it is left.
    /// The engine takes no further calls that need such things.
    ///
    /// # Errors
    /// Something is left, or it cannot be known.
    fn shut_down<'a>(&'a self) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Runs one tool to its end.
    ///
    /// # Errors
    /// Of any [`ErrorKind`]; a tool that reports a failure is [`ErrorKind::Failed`].
    fn execute<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Output, Error>>;
}

/// One call of one tool.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The tool.
    pub contract: &'a ToolContract,
    /// The arguments, as [`ToolContract::bind`] returned them.
    pub arguments: &'a Map<String, Value>,
    /// The workspace root: file tools are confined to it, programs start in it.
    pub root: &'a Path,
    /// Names the call in logs and to the program.
    pub call_id: CallId,
    /// The limits that hold for this call.
    pub limits: Limits,
    /// Limits that the caller does without where the engine lacks them.
    pub accept_unsupported: &'a [Limit],
    /// Where the secrets that the contract names come from. Default: this host's, [`Secrets::of_host`].
    pub secrets: Cow<'a, Secrets>,
}

impl<'a> Request<'a> {
    /// A call under the contract's own limits, with a call id of its own.
    pub fn new(
        contract: &'a ToolContract,
        arguments: &'a Map<String, Value>,
        root: &'a Path,
    ) -> Self {
        Self {
            contract,
            arguments,
            root,
            call_id: CallId::unique(),
            limits: contract.limits.clone(),
            accept_unsupported: &[],
            secrets: match contract.secrets.is_empty() {
                true => Cow::Owned(Secrets::none()),
                false => Cow::Owned(Secrets::of_host()),
            },
        }
    }

    /// Sets the call id.
    #[must_use]
    pub fn with_call_id(mut self, call_id: CallId) -> Self {
        self.call_id = call_id;
        self
    }

    /// Sets the limits, in place of the contract's.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the time limit, in place of the contract's.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = Some(timeout);
        self
    }

    /// Takes secrets from here.
    #[must_use]
    pub fn with_secrets(mut self, secrets: &'a Secrets) -> Self {
        self.secrets = Cow::Borrowed(secrets);
        self
    }

    /// Does without these limits where the engine lacks them.
    #[must_use]
    pub fn accepting(mut self, limits: &'a [Limit]) -> Self {
        self.accept_unsupported = limits;
        self
    }
}

/// The name of one call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct CallId(String);

impl CallId {
    /// A call id of the caller's own making.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// An id that no other call on this machine has.
    pub fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        static START: std::sync::OnceLock<u128> = std::sync::OnceLock::new();
        let start = START.get_or_init(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_nanos())
        });
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{:x}-{start:x}-{number:x}", std::process::id()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a tool gave.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Output {
    /// The result.
    pub value: Value,
    /// The end of what a program wrote to standard error, control characters escaped.
    pub stderr: String,
    /// From the start of the call to its end.
    pub duration: Duration,
    /// A program's exit code.
    pub exit_code: Option<i32>,
}

impl Output {
    /// An output of this value, for a call that began at `started`.
    pub fn new(value: Value, started: Instant) -> Self {
        Self {
            value,
            stderr: String::new(),
            duration: started.elapsed(),
            exit_code: None,
        }
    }
}

/// How far a tool is kept from the machine, the least first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Isolation {
    /// It runs inside this process.
    #[default]
    None,
    /// It is a process of its own, with this user's rights.
    Process,
    /// It is a process whose rights the kernel cuts down.
    Sandbox,
    /// It is in a container.
    Container,
}

impl Isolation {
    /// Every one, the least first.
    pub const ALL: [Self; 4] = [Self::None, Self::Process, Self::Sandbox, Self::Container];

    /// The name that contracts use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Process => "process",
            Self::Sandbox => "sandbox",
            Self::Container => "container",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Isolation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Error::new(
                ErrorKind::InvalidArguments,
                format!("no isolation is called `{name}`; from the least on there are {names}"),
            )
        })
    }
}

/// What an engine enforces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// The engine.
    pub engine: String,
    /// How far it keeps a tool from the machine.
    pub isolation: Isolation,
    /// The limits that it enforces.
    pub limits: Vec<Limit>,
}

impl Capabilities {
    /// The capabilities of an engine.
    pub fn new(engine: impl Into<String>, isolation: Isolation, limits: &[Limit]) -> Self {
        Self {
            engine: engine.into(),
            isolation,
            limits: limits.to_vec(),
        }
    }

    /// Whether the engine enforces this limit.
    pub fn enforces(&self, limit: Limit) -> bool {
        self.limits.contains(&limit)
    }

    /// The limits that a request asks for, the engine lacks and the caller does not waive.
    pub fn missing(&self, request: &Request<'_>) -> impl Iterator<Item = Limit> {
        let mounts = (!request.contract.mounts.is_empty()).then_some(Limit::Mounts);
        let demanded = request.limits.demanded().chain(mounts);
        demanded
            .filter(|limit| !self.enforces(*limit) && !request.accept_unsupported.contains(limit))
    }

    /// Refuses a request that asks for a limit which the engine lacks and the caller does not waive.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedLimit`], naming the limits, the engine and the ways out.
    pub fn admit(&self, request: &Request<'_>) -> Result<(), Error> {
        let missing: Vec<&str> = self.missing(request).map(Limit::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let able = self.limits.iter().map(|limit| limit.as_str());
        let able: Vec<&str> = able.collect();
        Err(Error::new(
            ErrorKind::UnsupportedLimit,
            format!(
                "unsupported limit: engine `{}` cannot enforce {}; it enforces {}",
                self.engine,
                missing.join(", "),
                if able.is_empty() { "none".to_owned() } else { able.join(", ") },
            ),
        )
        .with_tool(&request.contract.name)
        .with_engine(&self.engine)
        .with_help(format!(
            "choose an engine that enforces it, take it out of the contract, or accept by name to run without: {}",
            missing.join(", "),
        )))
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<E: ExecutionEngine + ?Sized> ExecutionEngine for $pointer {
            fn name(&self) -> &str {
                (**self).name()
            }

            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            fn suits(&self, contract: &ToolContract) -> Result<(), String> {
                (**self).suits(contract)
            }

            fn program_id<'a>(
                &'a self,
                contract: &'a ToolContract,
            ) -> BoxFuture<'a, Result<Option<String>, Error>> {
                (**self).program_id(contract)
            }

            fn prepare<'a>(&'a self, contract: &'a ToolContract) -> BoxFuture<'a, Result<(), Error>> {
                (**self).prepare(contract)
            }

            fn foresee(&self, contract: &ToolContract) {
                (**self).foresee(contract);
            }

            fn shut_down<'a>(&'a self) -> BoxFuture<'a, Result<(), Error>> {
                (**self).shut_down()
            }

            fn execute<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Output, Error>> {
                (**self).execute(request)
            }
        }
    )*};
}

forward!(&E, Box<E>, Arc<E>);

/// An engine that runs nothing and answers every call with `null`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopEngine;

impl ExecutionEngine for NoopEngine {
    fn name(&self) -> &str {
        "noop"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new("noop", Isolation::None, &Limit::ALL)
    }

    fn execute<'a>(&'a self, _request: Request<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        Box::pin(async { Ok(Output::new(Value::Null, Instant::now())) })
    }
}
