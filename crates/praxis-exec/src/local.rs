//! The engine that runs a tool as a process of this machine.

pub(crate) mod process_tree;
mod program;

use std::ffi::OsString;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use self::process_tree::ProcessTree;
use crate::capture::{Head, Tail, TooLarge};
use crate::contract::units::duration_text;
use crate::ending;
use crate::{
    BoxFuture, CallId, Capabilities, Error, ErrorKind, ExecutionEngine, Isolation, Limit, Output,
    Request, SecretVariables, ToolContract,
};

const NAME: &str = "local";

/// The limits that this engine can hold a process to.
const ENFORCED: [Limit; 2] = [Limit::Timeout, Limit::OutputBytes];

/// How long the pipes of a process that has ended may stay open: only something outside of its tree holds them.
const DRAIN: Duration = Duration::from_millis(250);

/// Holds the marks of a process and of those that started it; the tree is found by it.
pub(crate) const MARK_VARIABLE: &str = "PRAXIS_PROCESS_MARK";

/// What the local engine does where contracts leave it open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalConfig {
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
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            output_bytes: 16 * 1024 * 1024,
            stderr_bytes: 64 * 1024,
            kill_grace: Duration::from_millis(500),
        }
    }
}

/// Runs a tool as a process: no shell, a cleared environment, a process group of its own.
///
/// The process starts in the workspace root and gets its arguments as variables,
/// as one JSON object on standard input, and in the placeholders of its command.
/// When the call ends, however it ends, the process and all its descendants are killed:
/// those of its group, those that it is an ancestor of, and those that carry its mark in their environment.
/// A descendant that has left the group, lost its parent *and* cleared its environment is out of reach;
/// only an engine with a container or a process namespace can hold that one.
#[derive(Clone, Debug, Default)]
pub struct LocalEngine {
    config: LocalConfig,
}

impl LocalEngine {
    /// An engine with this configuration.
    pub fn new(config: LocalConfig) -> Self {
        Self { config }
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
        self.capabilities().admit(request)?;
        let timeout = request.limits.timeout.unwrap_or(self.config.timeout);
        let output_bytes = request
            .limits
            .output_bytes
            .unwrap_or(self.config.output_bytes);
        let input = serde_json::to_vec(request.arguments).expect("JSON has only text keys");

        let mut process = self.start(request, secrets).await?;
        let mut stdout = Head::new(process.child.stdout.take(), output_bytes);
        let mut stderr = Tail::new(process.child.stderr.take(), self.config.stderr_bytes);
        let stdin = process.child.stdin.take();
        let end = {
            let attended = attend(&mut process.child, stdin, &input, &mut stdout, &mut stderr);
            tokio::time::timeout(timeout, attended).await
        };
        let status = match end {
            Ok(End::Exited(status)) => {
                process.tree.sweep().await;
                status.map_err(|source| {
                    Error::new(
                        ErrorKind::Io,
                        format!("cannot wait for its process: {source}"),
                    )
                    .with_source(source)
                })?
            }
            Ok(End::TooLarge) => {
                process.kill().await;
                return Err(ending::too_large(output_bytes).with_stderr(stderr.text()));
            }
            Err(_) => {
                process.stop(self.config.kill_grace).await;
                let _ = tokio::time::timeout(DRAIN, stderr.fill()).await;
                return Err(ending::timed_out(timeout).with_stderr(stderr.text()));
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

    async fn start(
        &self,
        request: &Request<'_>,
        secrets: &SecretVariables,
    ) -> Result<Process, Error> {
        let contract = request.contract;
        contract.check()?;
        let variables = contract.argument_variables(request.arguments)?;
        let host = program::host_environment(contract);
        let dir = contract.dir.as_deref().unwrap_or(request.root);
        let words = contract.expand_command(request.arguments, request.root, dir)?;
        let (program, words) = program::resolve(contract, &words, request.root, &variables, &host)?;

        let mark = CallId::unique();
        let mut command = Command::new(&program);
        command
            .args(words)
            .env_clear()
            .envs(host)
            .envs(&variables.set)
            .envs(secrets.expose())
            .env("PRAXIS_ROOT", request.root)
            .env("PRAXIS_CALL_ID", request.call_id.as_str())
            .env(
                MARK_VARIABLE,
                process_tree::chained(request.call_id.as_str(), mark.as_str()),
            )
            .current_dir(request.root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(dir) = &contract.dir {
            command.env("PRAXIS_CONTRACT_DIR", dir);
        }
        if !variables.omitted.is_empty() {
            command.env("PRAXIS_STDIN_ONLY", variables.omitted.join(","));
        }
        let child = program::spawn(&mut command, &program, request.root).await?;
        let pid = child.id().ok_or_else(|| {
            Error::new(
                ErrorKind::Io,
                "its process has no id although it was just started",
            )
        })?;
        tracing::debug!(tool = contract.name, call = %request.call_id, pid, "process started");
        Ok(Process {
            tree: ProcessTree::new(pid, mark),
            child,
        })
    }
}

/// Kills what calls have left behind whose [`CallId`] is `call`, or begins with it and a slash.
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
        Capabilities::new(NAME, Isolation::Process, &ENFORCED)
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

/// A running process. The tree comes first, so that on a drop it is killed while its root is still there to be found.
struct Process {
    tree: ProcessTree,
    child: Child,
}

impl Process {
    /// Kills everything and takes the process off the kernel's table.
    async fn kill(&mut self) {
        self.tree.kill().await;
        let _ = tokio::time::timeout(DRAIN, self.child.wait()).await;
    }

    /// Asks everything to end, and kills what has not after `grace`.
    async fn stop(&mut self, grace: Duration) {
        self.tree.terminate().await;
        let _ = tokio::time::timeout(grace, self.child.wait()).await;
        self.kill().await;
    }
}

enum End {
    Exited(std::io::Result<ExitStatus>),
    TooLarge,
}

/// Feeds and reads the process until it ends or says too much.
async fn attend(
    child: &mut Child,
    stdin: Option<ChildStdin>,
    input: &[u8],
    stdout: &mut Head<ChildStdout>,
    stderr: &mut Tail<ChildStderr>,
) -> End {
    let mut feed = pin!(async {
        if let Some(mut stdin) = stdin {
            // A program may well end without having read its input.
            let _ = stdin.write_all(input).await;
        }
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
            status = child.wait() => return End::Exited(status),
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
