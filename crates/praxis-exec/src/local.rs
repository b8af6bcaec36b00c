//! The engine that runs a tool as a process of this machine.

mod level;
pub(crate) mod process_tree;
mod program;
mod running;
#[cfg(all(feature = "sandbox", target_os = "linux"))]
mod stages;
#[cfg(not(all(feature = "sandbox", target_os = "linux")))]
#[path = "local/no_stages.rs"]
mod stages;

use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

pub use self::level::Level;
use self::program::Launch;
use self::running::{Running, Streams};
use self::stages::Stages;
pub(crate) use self::stages::probe;
use crate::capture::{Head, Tail, TooLarge};
use crate::contract::units::duration_text;
use crate::ending;
use crate::{
    BoxFuture, Capabilities, Error, ErrorKind, ExecutionEngine, Limit, Output, Request,
    SecretVariables, ToolContract,
};

const NAME: &str = "local";

/// The limits that every level holds a process to.
const ALWAYS: [Limit; 2] = [Limit::Timeout, Limit::OutputBytes];

/// How long the pipes of a process that has ended may stay open: only something outside of its tree holds them.
const DRAIN: Duration = Duration::from_millis(250);

/// Holds the marks of a process and of those that started it; the tree is found by it.
pub(crate) const MARK_VARIABLE: &str = "PRAXIS_PROCESS_MARK";

/// What the local engine does where contracts leave it open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalConfig {
    /// How far tools are kept from the machine: exactly so far, and contracts that ask for more are refused.
    /// Default: none, and each call has the lowest level, from `process` up, that gives what its contract asks for.
    pub level: Option<Level>,
    /// The time limit of a tool without one. Default: 60 seconds.
    #[serde(with = "duration_text")]
    pub timeout: Duration,
    /// The most that a tool without a limit may print, in bytes. Default: 16 MiB.
    pub output_bytes: u64,
    /// How much of the end of standard error is kept, in bytes. Default: 64 KiB.
    pub stderr_bytes: usize,
    /// How long a tool has after SIGTERM, at its time limit, before SIGKILL. Default: 500 ms.
    #[serde(with = "duration_text")]
    pub kill_grace: Duration,
    /// From the level `process` up: the most that one file may grow to, in bytes. Default: no bound but the user's own.
    pub file_bytes: Option<u64>,
    /// On the level `sandbox`: the size of a tool's `/tmp`, in bytes of memory. Default: 256 MiB.
    pub scratch_bytes: u64,
    /// On the level `sandbox`: files and folders that tools may read and execute, beside the machine's programs
    /// and libraries, under their own absolute paths. Default: none.
    pub visible: Vec<PathBuf>,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            level: None,
            timeout: Duration::from_secs(60),
            output_bytes: 16 * 1024 * 1024,
            stderr_bytes: 64 * 1024,
            kill_grace: Duration::from_millis(500),
            file_bytes: None,
            scratch_bytes: 256 * 1024 * 1024,
            visible: Vec::new(),
        }
    }
}

/// Runs a tool as a process: no shell, a cleared environment, a session or process group of its own.
///
/// The process starts in the workspace root and gets its arguments as variables,
/// as one JSON object on standard input, and in the placeholders of its command.
/// When the call ends, however it ends, the process and all its descendants are killed.
/// [`Level`] says how surely, and what else a level keeps a tool from.
///
/// Clones share the processes that the levels above [`Level::None`] keep ready; they end with the last clone.
#[derive(Clone, Debug, Default)]
pub struct LocalEngine {
    config: LocalConfig,
    stages: Stages,
}

impl LocalEngine {
    /// An engine with this configuration.
    pub fn new(config: LocalConfig) -> Self {
        let stages = Stages::new(&config);
        Self { config, stages }
    }

    /// Whether this machine has a level, whatever this engine's configuration says.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedLimit`], saying what the machine lacks and how to get it.
    pub fn available(&self, level: Level) -> Result<(), Error> {
        match level {
            Level::None => Ok(()),
            level => self.stages.available(level),
        }
    }

    /// The variables of the host that a tool would get from this engine, for the keys of remembered results.
    pub fn host_environment(&self, contract: &ToolContract) -> Vec<(String, OsString)> {
        program::host_environment(contract)
    }

    async fn run(&self, request: &Request<'_>) -> Result<Output, Error> {
        let secrets = request.secret_variables()?;
        secrets.conceal_in(self.run_with(request, &secrets).await)
    }

    async fn run_with(
        &self,
        request: &Request<'_>,
        secrets: &SecretVariables,
    ) -> Result<Output, Error> {
        let started = Instant::now();
        request.contract.check()?;
        let level = self.level(request)?;
        let timeout = request.limits.timeout.unwrap_or(self.config.timeout);
        let output_bytes = request
            .limits
            .output_bytes
            .unwrap_or(self.config.output_bytes);
        let input = serde_json::to_vec(request.arguments).expect("JSON has only text keys");

        let launch = Launch::new(request, secrets, &|folder| self.shows(level, folder))?;
        let (streams, theirs) = Streams::new().map_err(|source| {
            Error::new(ErrorKind::Io, format!("cannot make its pipes: {source}"))
                .with_source(source)
        })?;
        let mut running = match level {
            Level::None => Running::direct(launch, request, theirs).await?,
            level => {
                let stages = &self.stages;
                Running::Staged(Box::new(
                    stages.start(level, launch, request, theirs).await?,
                ))
            }
        };
        let mut stdout = Head::new(Some(streams.stdout), output_bytes);
        let mut stderr = Tail::new(Some(streams.stderr), self.config.stderr_bytes);
        let end = {
            let attended = attend(
                &mut running,
                streams.stdin,
                &input,
                &mut stdout,
                &mut stderr,
            );
            tokio::time::timeout(timeout, attended).await
        };
        let status = match end {
            Ok(End::Exited(status)) => {
                running.sweep().await;
                status
            }
            Ok(End::TooLarge) => {
                running.kill().await;
                return Err(ending::too_large(output_bytes).with_stderr(stderr.text()));
            }
            Err(_) => {
                running.stop(self.config.kill_grace).await;
                let _ = tokio::time::timeout(DRAIN, stderr.fill()).await;
                let error = running.out_of_memory();
                let error = error.unwrap_or_else(|| ending::timed_out(timeout));
                return Err(error.with_stderr(stderr.text()));
            }
        };
        let drained = tokio::time::timeout(DRAIN, async {
            tokio::join!(stdout.fill(), stderr.fill()).0
        });
        if let Ok(Err(TooLarge)) = drained.await {
            return Err(ending::too_large(output_bytes).with_stderr(stderr.text()));
        }
        // Before a line of it is cut for the message, so that no secret is cut in two.
        let stderr = secrets.conceal(&stderr.text()).into_owned();
        if let Some(error) = running.out_of_memory() {
            let code = status.ok().and_then(|status| status.code());
            return Err(error.with_exit_code(code).with_stderr(stderr));
        }
        let status = status.map_err(|error| error.with_stderr(stderr.as_str()))?;
        if !status.success() {
            return Err(failed(status, stderr));
        }
        let value = request.contract.output.read(stdout.bytes());
        let value = value.map_err(|error| error.with_stderr(stderr.as_str()))?;
        let mut output = Output::new(value, started);
        output.stderr = stderr;
        output.exit_code = status.code();
        Ok(output)
    }
}

/// Kills what calls have left behind whose [`CallId`](crate::CallId) is `call`, or begins with it and a slash.
///
/// A process that is killed cannot end its calls; this does it from another.
/// Blocks until none is found any more; away from Linux none is ever found.
pub fn kill_left_behind(call: &str) {
    process_tree::kill_marked(call);
}

impl ExecutionEngine for LocalEngine {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        let level = self.highest();
        Capabilities::new(NAME, level.isolation(), &self.enforced(level))
    }

    fn suits(&self, contract: &ToolContract) -> Result<(), String> {
        if contract.command.is_empty() {
            return Err("needs a command, and the contract has none".to_owned());
        }
        Ok(())
    }

    fn execute<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        Box::pin(async move {
            let outcome = self.run(&request).await;
            outcome.map_err(|error| error.with_tool(&request.contract.name).with_engine(NAME))
        })
    }
}

enum End {
    Exited(Result<ExitStatus, Error>),
    TooLarge,
}

/// Feeds and reads the process until it ends or says too much.
async fn attend(
    running: &mut Running,
    mut stdin: pipe::Sender,
    input: &[u8],
    stdout: &mut Head<pipe::Receiver>,
    stderr: &mut Tail<pipe::Receiver>,
) -> End {
    let mut feed = pin!(async move {
        // A program may well end without having read its input.
        let _ = stdin.write_all(input).await;
    });
    let mut read = pin!(async {
        let keep_tail = async {
            stderr.fill().await;
            Ok(())
        };
        tokio::try_join!(stdout.fill(), keep_tail)
    });
    let (mut fed, mut drained) = (false, false);
    loop {
        tokio::select! {
            status = running.wait() => return End::Exited(status),
            outcome = &mut read, if !drained => match outcome {
                Ok(_) => drained = true,
                Err(TooLarge) => return End::TooLarge,
            },
            () = &mut feed, if !fed => fed = true,
        }
    }
}

fn failed(status: ExitStatus, stderr: String) -> Error {
    use std::os::unix::process::ExitStatusExt;

    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended without an exit code".to_owned(),
    };
    ending::failed(&how, status.code(), stderr)
}
