//! The engine that runs a tool in a container of its own, through Docker or Podman.

mod client;
mod failure;

use std::pin::pin;
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWriteExt, Empty};
use tokio::sync::OnceCell;

pub use self::client::{Client, Daemon, OwnContainer};
pub(crate) use self::client::{check_image, limited};
pub(crate) use self::failure::{gone, is_answer, may_have_arrived, of_call};
use crate::capture::{Head, Tail, TooLarge};
use crate::container::{Container, HOST, Spec};
use crate::contract::units::duration_text;
use crate::{
    BoxFuture, Capabilities, Error, ErrorKind, ExecutionEngine, Isolation, Limit, Output, Request,
    SecretVariables, ToolContract, ending,
};

const NAME: &str = "docker";

/// The user that a tool is where Praxis itself is root: nobody.
const NOBODY: u32 = 65534;

/// What the container engines do where contracts leave it open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DockerConfig {
    /// The daemon's address, such as `unix:///run/docker.sock`. Default: [`Client::connect`] looks for one.
    pub host: Option<String>,
    /// The image of a tool without one. Default: none, and such a tool is refused.
    ///
    /// `host`, here as in a contract, stands for the programs of this machine: an empty image in which the container
    /// sees `/usr`, `/bin`, `/lib` and their like, read-only, and nothing of any user.
    pub image: Option<String>,
    /// User and group number of a tool, such as `1000:1000`.
    /// Default: those of this process, or 65534 (nobody) if it is root.
    pub user: Option<String>,
    /// The time limit of a tool without one, counted from its start. Default: 60 seconds.
    #[serde(with = "duration_text")]
    pub timeout: Duration,
    /// The time limit of each call to the daemon. Default: 30 seconds.
    #[serde(with = "duration_text")]
    pub call_timeout: Duration,
    /// The most that a tool without a limit may print, in bytes. Default: 16 MiB.
    pub output_bytes: u64,
    /// How much of the end of standard error is kept, in bytes. Default: 64 KiB.
    pub stderr_bytes: usize,
    /// The processor limit of a tool without one, in cores. Default: none.
    pub cpu: Option<f64>,
    /// The memory limit of a tool without one, in bytes. Default: 512 MiB.
    pub memory_bytes: u64,
    /// How many processes and threads a tool without a limit may have. Default: 256.
    pub pids: u32,
    /// The size of each of the folders `/work` and `/tmp`, in bytes; they are memory of the tool. Default: 64 MiB.
    pub scratch_bytes: u64,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            host: None,
            image: None,
            user: None,
            timeout: Duration::from_secs(60),
            call_timeout: Duration::from_secs(30),
            output_bytes: 16 * 1024 * 1024,
            stderr_bytes: 64 * 1024,
            cpu: None,
            memory_bytes: 512 * 1024 * 1024,
            pids: 256,
            scratch_bytes: 64 * 1024 * 1024,
        }
    }
}

impl DockerConfig {
    /// User and group number of a tool.
    pub(crate) fn user(&self) -> String {
        self.user.clone().unwrap_or_else(|| {
            let user = rustix::process::geteuid();
            if user.is_root() {
                format!("{NOBODY}:{NOBODY}")
            } else {
                format!("{}:{}", user.as_raw(), rustix::process::getegid().as_raw())
            }
        })
    }
}

/// Runs a tool in a container that is made for the call and removed after it.
///
/// The container has no network, a read-only root file system, folders in memory at `/work` and `/tmp`, no
/// capabilities, no way to new privileges, and limits of processor, memory and processes;
/// the contract's folder is at `/praxis/tool`, read-only, and its mounts are where it says.
/// The daemon is looked for at the first call ([`Client::connect`]), and no image is ever downloaded.
#[derive(Debug, Default)]
pub struct DockerEngine {
    config: DockerConfig,
    client: OnceCell<Client>,
}

impl DockerEngine {
    /// An engine with this configuration.
    pub fn new(config: DockerConfig) -> Self {
        Self {
            config,
            client: OnceCell::new(),
        }
    }

    /// An engine that uses a connection which is there already.
    pub fn with_client(config: DockerConfig, client: Client) -> Self {
        Self {
            config,
            client: OnceCell::new_with(Some(client)),
        }
    }

    /// The connection to the daemon, made if there is none yet.
    ///
    /// # Errors
    /// Those of [`Client::connect`].
    pub async fn client(&self) -> Result<&Client, Error> {
        self.client
            .get_or_try_init(|| Client::connect(&self.config))
            .await
    }

    /// The connection to the daemon, if there is one.
    pub(crate) fn connected(&self) -> Option<&Client> {
        self.client.get()
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
        let mut spec = Spec::new(&self.config, request)?;
        let exposed = secrets.expose();
        spec.env
            .extend(exposed.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let client = self.client().await?;
        self.capabilities().admit(request)?;
        let container = Container::create(client, &spec).await?;
        let outcome = self
            .attend(client, &container, &spec, request, secrets)
            .await;
        match &outcome {
            // It cannot be removed before the daemon is back; the caller is not kept waiting for that.
            Err(error) if error.kind() == ErrorKind::Unavailable => drop(container),
            _ => container.remove().await,
        }
        let mut output = Output::new(serde_json::Value::Null, started);
        (output.value, output.stderr) = outcome?;
        output.exit_code = Some(0);
        Ok(output)
    }

    /// Runs the container to its end and gives the tool's result and the end of its standard error.
    async fn attend(
        &self,
        client: &Client,
        container: &Container,
        spec: &Spec,
        request: &Request<'_>,
        secrets: &SecretVariables,
    ) -> Result<(serde_json::Value, String), Error> {
        let timeout = request.limits.timeout.unwrap_or(self.config.timeout);
        let output_bytes = request.limits.output_bytes;
        let output_bytes = output_bytes.unwrap_or(self.config.output_bytes);
        let input = serde_json::to_vec(request.arguments).expect("JSON has only text keys");
        let mut stdout = Head::<Empty>::new(None, output_bytes);
        let mut stderr = Tail::<Empty>::new(None, self.config.stderr_bytes);

        let mut streams = container.attach().await?;
        let begun = container.start().await;
        begun.map_err(|error| while_running(client, error))?;
        tracing::debug!(tool = request.contract.name, call = %request.call_id, container = container.name(), "container started");
        let end = tokio::time::timeout(timeout, async {
            let mut feed = pin!(async {
                // A program may well end without having read its input.
                let _ = streams.input.write_all(&input).await;
                let _ = streams.input.shutdown().await;
            });
            let mut fed = false;
            loop {
                tokio::select! {
                    frame = streams.output.next() => match frame {
                        Some(Ok(LogOutput::StdOut { message })) => stdout.push(&message)?,
                        Some(Ok(LogOutput::StdErr { message })) => stderr.push(&message),
                        Some(Ok(_)) => {}
                        // How the stream ended says less than how the container did.
                        Some(Err(_)) | None => break,
                    },
                    () = &mut feed, if !fed => fed = true,
                }
            }
            Ok::<_, TooLarge>(container.wait().await)
        });
        match end.await {
            Ok(Ok(waited)) => waited.map_err(|error| while_running(client, error))?,
            Ok(Err(TooLarge)) => {
                return Err(ending::too_large(output_bytes).with_stderr(stderr.text()));
            }
            Err(_) => return Err(ending::timed_out(timeout).with_stderr(stderr.text())),
        }
        let state = container.state().await;
        let state = state.map_err(|error| while_running(client, error))?;
        // Before a line of it is cut for a message, so that no secret is cut in two.
        let stderr = secrets.conceal(&stderr.text()).into_owned();
        if state.oom_killed == Some(true) {
            return Err(ending::out_of_memory(spec.memory_bytes).with_stderr(stderr));
        }
        let code = i32::try_from(state.exit_code.unwrap_or(0)).unwrap_or(i32::MAX);
        if code != 0 {
            return Err(failed(code, stderr));
        }
        let value = request.contract.output.read(stdout.bytes());
        match value {
            Ok(value) => Ok((value, stderr)),
            Err(error) => Err(error.with_stderr(stderr)),
        }
    }
}

impl ExecutionEngine for DockerEngine {
    fn name(&self) -> &str {
        NAME
    }

    /// All limits; once connected, without those that the daemon says it lacks.
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new(NAME, Isolation::Container, &Limit::ALL);
        if let Some(client) = self.connected() {
            let lacks = &client.daemon().lacks;
            capabilities.limits.retain(|limit| !lacks.contains(limit));
        }
        capabilities
    }

    fn suits(&self, contract: &ToolContract) -> Result<(), String> {
        let image = image(&self.config, contract);
        match image {
            // An image may well know what to start.
            Some(HOST) if contract.command.is_empty() => {
                Err("needs a command, and the contract has none".to_owned())
            }
            Some(_) => Ok(()),
            None => Err("needs an image, and the contract has none".to_owned()),
        }
    }

    /// The id of the image.
    fn program_id<'a>(
        &'a self,
        contract: &'a ToolContract,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(async move {
            let Some(image) = image(&self.config, contract) else {
                return Ok(None);
            };
            let id = match self.client().await {
                Ok(client) => client.image_id(image).await,
                Err(error) => Err(error),
            };
            id.map(Some)
                .map_err(|error| error.with_tool(&contract.name).with_engine(NAME))
        })
    }

    /// Looks whether the daemon and the image are there.
    fn prepare<'a>(&'a self, contract: &'a ToolContract) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.program_id(contract).await.map(drop) })
    }

    fn execute<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        Box::pin(async move {
            let outcome = self.run(&request).await;
            outcome.map_err(|error| error.with_tool(&request.contract.name).with_engine(NAME))
        })
    }
}

/// The image of a tool: its own, or that of all tools.
pub(crate) fn image<'a>(config: &'a DockerConfig, contract: &'a ToolContract) -> Option<&'a str> {
    let image = contract.image.as_deref().or(config.image.as_deref());
    image.map(str::trim).filter(|image| !image.is_empty())
}

/// A daemon that does not answer after the tool was started has gone away in the middle.
fn while_running(client: &Client, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unavailable => gone(client.address()).with_source(error),
        _ => error,
    }
}

fn failed(code: i32, stderr: String) -> Error {
    // What starts the program says so in its place, and leaves the code that programs fail with.
    if stderr.starts_with("exec ") && stderr.trim_end().ends_with("exec format error") {
        return Error::new(
            ErrorKind::NotFound,
            format!(
                "its program is no program of this machine: {}",
                stderr.trim_end()
            ),
        )
        .with_stderr(stderr)
        .with_help(ending::NO_PROGRAM_HELP);
    }
    let how = match code {
        // A container engine does not tell the two apart.
        129..=192 => format!(
            "exited with code {code}, as a program does that signal {} has killed",
            code - 128
        ),
        _ => format!("exited with code {code}"),
    };
    ending::failed(&how, Some(code), stderr)
}
