//! The engine that runs a tool in a container of a Dagger session.

mod query;
mod session;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::query::{Exec, Place};
use self::session::{Fault, Sessions};
use crate::container::Spec;
use crate::contract::units::duration_text;
use crate::docker::{self, DockerConfig};
use crate::{
    BoxFuture, Capabilities, Error, ErrorKind, ExecutionEngine, Isolation, Limit, Output, Request,
    SecretVariables, ToolContract, ending,
};

const NAME: &str = "dagger";

/// The limits that can be held; Dagger's API has none of processor, memory, processes, network or writing.
const ENFORCED: [Limit; 3] = [Limit::Timeout, Limit::OutputBytes, Limit::Mounts];

/// What the Dagger engine does where contracts leave it open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DaggerConfig {
    /// The session's port on this machine. Default: that of `DAGGER_SESSION_PORT`.
    pub port: Option<u16>,
    /// The session's token; it is not shown again. Default: that of `DAGGER_SESSION_TOKEN`.
    #[serde(skip)]
    pub token: Option<Token>,
    /// The program that opens a session where there is none. Default: `dagger`, if it is in `PATH`.
    pub cli: Option<String>,
    /// The image of a tool without one. Default: none, and such a tool is refused.
    pub image: Option<String>,
    /// User and group number of a tool. Default: those of this process, or 65534 (nobody) if it is root.
    pub user: Option<String>,
    /// The time limit of a tool without one. Default: 60 seconds.
    #[serde(with = "duration_text")]
    pub timeout: Duration,
    /// How long the program may take to open a session. Default: 60 seconds.
    #[serde(with = "duration_text")]
    pub start_timeout: Duration,
    /// The most that a tool without a limit may print, in bytes. Default: 16 MiB.
    pub output_bytes: u64,
}

impl Default for DaggerConfig {
    fn default() -> Self {
        Self {
            port: None,
            token: None,
            cli: None,
            image: None,
            user: None,
            timeout: Duration::from_secs(60),
            start_timeout: Duration::from_secs(60),
            output_bytes: 16 * 1024 * 1024,
        }
    }
}

impl DaggerConfig {
    /// A session that is open already.
    pub fn session(port: u16, token: impl Into<String>) -> Self {
        Self {
            port: Some(port),
            token: Some(Token(token.into())),
            ..Self::default()
        }
    }

    /// What makes a container of a contract, as the other engines of containers do it.
    fn container(&self) -> DockerConfig {
        let mut config = DockerConfig::default();
        config.image.clone_from(&self.image);
        config.user.clone_from(&self.user);
        config
    }
}

/// A session's token, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// Runs a tool in a container of a Dagger session.
///
/// It connects to the session of `DAGGER_SESSION_PORT` and `DAGGER_SESSION_TOKEN`, or opens one with the program
/// `dagger` that is in `PATH`; it never downloads that program.
/// The session runs the command of every call anew, with the folders that the contract mounts as copies:
/// what a tool writes there is gone with its container.
#[derive(Debug, Default)]
pub struct DaggerEngine {
    config: DaggerConfig,
    sessions: Sessions,
}

impl DaggerEngine {
    /// An engine with this configuration.
    pub fn new(config: DaggerConfig) -> Self {
        Self {
            config,
            sessions: Sessions::default(),
        }
    }

    async fn run(&self, request: &Request<'_>) -> Result<Output, Error> {
        let started = Instant::now();
        self.capabilities().admit(request)?;
        copies_will_do(request)?;
        let secrets = request.secret_variables()?;
        let spec = Spec::new(&self.config.container(), request)?;
        let limit = request.limits.timeout.unwrap_or(self.config.timeout);
        let called = tokio::time::timeout(limit, self.call(request, &spec, &secrets)).await;
        let outcome = called.unwrap_or_else(|_| Err(ending::timed_out(limit)));
        secrets.conceal_in(outcome.map(|(value, stderr)| {
            let mut output = Output::new(value, started);
            output.stderr = stderr;
            output.exit_code = Some(0);
            output
        }))
    }

    async fn call(
        &self,
        request: &Request<'_>,
        spec: &Spec,
        secrets: &SecretVariables,
    ) -> Result<(Value, String), Error> {
        let output_bytes = request
            .limits
            .output_bytes
            .unwrap_or(self.config.output_bytes);
        let session = self.sessions.open(&self.config).await?;
        let place = Place::of(spec, secrets, request.call_id.as_str());
        let ids = match place.query() {
            Some(query) => {
                let answered = session.ask(&query, 0).await;
                place.read(&answered.map_err(|fault| self.explain(fault, spec))?)?
            }
            None => Vec::new(),
        };
        let input = serde_json::to_string(request.arguments).expect("JSON has only text keys");
        let query = query::exec(spec, &place, &ids, &input);
        tracing::debug!(tool = request.contract.name, call = %request.call_id, "asked of the Dagger session");
        let answered = session.ask(&query, output_bytes).await;
        let answer = answered.map_err(|fault| self.explain(fault, spec))?;
        let Exec {
            code,
            stdout,
            stderr,
        } = query::read(&answer)?;
        if stdout.len() as u64 > output_bytes {
            return Err(ending::too_large(output_bytes).with_stderr(stderr));
        }
        // Before a line of it is cut for the message, so that no secret is cut in two.
        let stderr = secrets.conceal(&stderr).into_owned();
        if code != 0 {
            return Err(ending::failed(
                &format!("exited with code {code}"),
                Some(code),
                stderr,
            ));
        }
        match request.contract.output.read(stdout.as_bytes()) {
            Ok(value) => Ok((value, stderr)),
            Err(error) => Err(error.with_stderr(stderr)),
        }
    }

    fn explain(&self, fault: Fault, spec: &Spec) -> Error {
        match fault {
            Fault::Lost(error) => {
                self.sessions.forget();
                error
            }
            Fault::TooLarge(limit) => ending::too_large(limit),
            Fault::Refused { message, field } => {
                let said: String = message
                    .chars()
                    .take(500)
                    .flat_map(char::escape_default)
                    .collect();
                if field.as_deref() == Some("from") {
                    Error::new(
                        ErrorKind::NotFound,
                        format!("image `{}` cannot be had: {said}", spec.image),
                    )
                    .with_help("correct `image`, or let the Dagger engine reach its registry")
                } else if message.contains("executable file not found")
                    || message.contains("no such file or directory")
                {
                    Error::new(
                        ErrorKind::NotFound,
                        format!("its program is not in image `{}`: {said}", spec.image),
                    )
                } else {
                    Error::new(
                        ErrorKind::Failed,
                        format!("the Dagger session refused: {said}"),
                    )
                    .with_retryable(false)
                }
            }
        }
    }
}

/// Refuses a mount that a tool is to write to, unless the contract was made for Dagger, where every mount is a copy.
fn copies_will_do(request: &Request<'_>) -> Result<(), Error> {
    let contract = request.contract;
    let written = contract.mounts.iter().find(|mount| !mount.read_only);
    let Some(mount) = written.filter(|_| contract.engine != NAME) else {
        return Ok(());
    };
    if request.accept_unsupported.contains(&Limit::Mounts) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::UnsupportedLimit,
        format!(
            "unsupported limit: engine `{NAME}` cannot enforce mounts that are written to; what the tool wrote to {} would be lost",
            mount.target
        ),
    )
    .with_help("make the mount read-only (`:ro`), choose another engine, or accept by name to run without: mounts"))
}

impl ExecutionEngine for DaggerEngine {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(NAME, Isolation::Container, &ENFORCED)
    }

    fn suits(&self, contract: &ToolContract) -> Result<(), String> {
        match docker::image(&self.config.container(), contract) {
            Some(_) => Ok(()),
            None => Err("needs an image, and the contract has none".to_owned()),
        }
    }

    /// Looks whether there is a session, or a program that opens one.
    fn prepare<'a>(&'a self, contract: &'a ToolContract) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let found = session::look(&self.config);
            found
                .map(drop)
                .map_err(|error| error.with_tool(&contract.name).with_engine(NAME))
        })
    }

    fn execute<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        Box::pin(async move {
            let outcome = self.run(&request).await;
            outcome.map_err(|error| error.with_tool(&request.contract.name).with_engine(NAME))
        })
    }
}
