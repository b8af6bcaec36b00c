//! A server: its connection, made again where it broke, and its tools as they are now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, CallToolResponse};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::approvals::{Approvals, changed};
use super::config::McpServerConfig;
use super::connection::Connection;
use super::definition::{McpTool, definition, differences};
use crate::contract::check_name;
use crate::{Error, ErrorKind, SecretVariables, Secrets};

/// How long the first try to connect again is put off; each further one twice as long as the one before.
const FIRST_DELAY: Duration = Duration::from_millis(100);

const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// A connected MCP server.
///
/// Where the connection breaks, the call that was on its way fails and the next one connects again,
/// after a pause that grows with each failure. Dropped, it ends the server's process with all descendants.
pub struct McpServer {
    name: String,
    config: McpServerConfig,
    secrets: Secrets,
    approvals: Arc<Approvals>,
    tools: Vec<McpTool>,
    refused: Vec<Error>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    failures: u32,
    not_before: Option<Instant>,
}

/// A connection, what the server's tools are by its last word, and the secrets that it was given.
#[derive(Clone)]
struct Live {
    connection: Arc<Connection>,
    definitions: Arc<BTreeMap<String, Value>>,
    secrets: SecretVariables,
}

impl McpServer {
    /// Starts or reaches a server and lists its tools.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where it cannot be reached or does not speak MCP, [`ErrorKind::NotFound`] where its
    /// program is not there, [`ErrorKind::Timeout`] where it takes too long, [`ErrorKind::OutputTooLarge`] where its
    /// list does not end, [`ErrorKind::InvalidContract`] where its configuration cannot be meant. All name the server.
    pub async fn connect(
        name: &str,
        config: &McpServerConfig,
        secrets: &Secrets,
        approvals: Arc<Approvals>,
    ) -> Result<Self, Error> {
        check_name("server", name)?;
        let mut server = Self {
            name: name.to_owned(),
            config: config.clone(),
            secrets: secrets.clone(),
            approvals,
            tools: Vec::new(),
            refused: Vec::new(),
            state: Mutex::default(),
        };
        let (live, listed) = server.open().await.map_err(|error| server.named(&error))?;
        let mut names = std::collections::BTreeSet::new();
        for tool in &listed {
            match McpTool::new(name, config, tool) {
                Ok(tool) if !names.insert(tool.contract.name.clone()) => {
                    server.refused.push(Error::new(
                        ErrorKind::InvalidContract,
                        format!(
                            "tool {:?} of MCP server `{name}`: another one is called `{}` too",
                            tool.name, tool.contract.name
                        ),
                    ));
                }
                Ok(tool) => server.tools.push(tool),
                Err(error) => server.refused.push(error),
            }
        }
        server.state.get_mut().live = Some(live);
        Ok(server)
    }

    /// The name that the operator gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its tools, as they were listed when it was connected.
    pub fn tools(&self) -> &[McpTool] {
        &self.tools
    }

    /// Why the others of its tools cannot be called.
    pub fn refused(&self) -> &[Error] {
        &self.refused
    }

    pub(super) fn config(&self) -> &McpServerConfig {
        &self.config
    }

    /// Calls a tool, if it is still what it was. The outcome's secrets are not concealed yet.
    pub(super) async fn call(
        &self,
        tool: &McpTool,
        arguments: &Map<String, Value>,
    ) -> (SecretVariables, Result<CallToolResponse, Error>) {
        let live = match self.live().await {
            Ok(live) => live,
            Err(error) => return (SecretVariables::default(), Err(error)),
        };
        let outcome = async {
            let key = tool.key();
            match live.definitions.get(&tool.name) {
                Some(now) if *now == *tool.definition => self.approvals.admit(tool)?,
                Some(now) => {
                    let paths = differences(&tool.definition, now);
                    return Err(changed(&key, "it was listed", &paths));
                }
                None => {
                    let message = format!(
                        "MCP server `{}` has no tool `{}` any more",
                        self.name, tool.name
                    );
                    return Err(Error::new(ErrorKind::NotFound, message));
                }
            }
            let params =
                CallToolRequestParams::new(tool.name.clone()).with_arguments(arguments.clone());
            live.connection
                .call(params)
                .await
                .map_err(|error| self.named(&error))
        };
        let outcome = outcome.await;
        (live.secrets, outcome)
    }

    /// The connection, made again where it broke, with the tools as they are by now.
    async fn live(&self) -> Result<Live, Error> {
        let mut state = self.state.lock().await;
        if let Some(live) = &mut state.live
            && !live.connection.is_closed()
        {
            if live.connection.take_stale() {
                let listed = timeout(self.config.start_timeout, live.connection.tools()).await;
                let listed = listed
                    .unwrap_or_else(|_| Err(self.slow()))
                    .map_err(|error| self.named(&error))?;
                live.definitions = Arc::new(definitions(&listed));
            }
            return Ok(live.clone());
        }
        if state.live.take().is_some() {
            state.put_off();
        }
        if let Some(not_before) = state.not_before {
            sleep_until(not_before).await;
        }
        match self.open().await {
            Ok((live, _)) => {
                state.live = Some(live.clone());
                Ok(live)
            }
            Err(error) => {
                state.put_off();
                Err(self.named(&error))
            }
        }
    }

    async fn open(&self) -> Result<(Live, Vec<rmcp::model::Tool>), Error> {
        let mut used = SecretVariables::default();
        let opened = timeout(self.config.start_timeout, async {
            let connection = Connection::open(&self.config, &self.secrets, &mut used).await?;
            let tools = connection.tools().await?;
            Ok((connection, tools))
        });
        let opened = opened.await.unwrap_or_else(|_| Err(self.slow()));
        let (connection, tools) =
            opened.map_err(|error| error.map_texts(|text| used.conceal(text).into_owned()))?;
        let live = Live {
            connection: Arc::new(connection),
            definitions: Arc::new(definitions(&tools)),
            secrets: used,
        };
        Ok((live, tools))
    }

    fn slow(&self) -> Error {
        let limit = self.config.start_timeout;
        Error::new(
            ErrorKind::Timeout,
            format!("did not start and list its tools within {limit:?}"),
        )
        .with_help("raise its `startTimeout`, or start it by hand to see what it says")
    }

    /// The error with the server's name before it.
    fn named(&self, error: &Error) -> Error {
        let named = Error::new(
            error.kind(),
            format!("MCP server `{}`: {}", self.name, error.message()),
        )
        .with_retryable(error.is_retryable())
        .with_exit_code(error.exit_code())
        .with_stderr(error.stderr());
        match error.help() {
            Some(help) => named.with_help(help),
            None => named,
        }
    }
}

impl State {
    fn put_off(&mut self) {
        let delay = FIRST_DELAY
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST_DELAY);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + delay);
    }
}

fn definitions(tools: &[rmcp::model::Tool]) -> BTreeMap<String, Value> {
    let named = tools
        .iter()
        .map(|tool| (tool.name.to_string(), definition(tool)));
    named.collect()
}

impl std::fmt::Debug for McpServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("McpServer")
            .field("name", &self.name)
            .field("tools", &self.tools.len())
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}
