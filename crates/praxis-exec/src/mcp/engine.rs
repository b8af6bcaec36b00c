//! The engine that calls the tools of MCP servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use serde_json::Value;

use super::definition::McpTool;
use super::server::McpServer;
use crate::native::fits;
use crate::{
    BoxFuture, Capabilities, Error, ErrorKind, ExecutionEngine, Isolation, Limit, Output,
    OutputFormat, Request, ToolContract,
};

pub(super) const NAME: &str = "mcp";

/// The limits that this engine can hold a call to; what the server does besides is its own.
const ENFORCED: [Limit; 2] = [Limit::Timeout, Limit::OutputBytes];

/// Calls tools of MCP servers.
///
/// At a time limit, and when a call is dropped, the server is told with `notifications/cancelled`
/// and nobody waits for its answer; whether it stops working is up to the server.
#[derive(Debug, Default)]
pub struct McpEngine {
    tools: BTreeMap<String, (Arc<McpServer>, McpTool)>,
}

impl McpEngine {
    /// An engine without tools.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the tools of a server.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidContract`] where one of them has the name of a tool that is there already; none is added then.
    pub fn add(&mut self, server: McpServer) -> Result<(), Error> {
        let server = Arc::new(server);
        for tool in server.tools() {
            if let Some((other, _)) = self.tools.get(&tool.contract.name) {
                return Err(tool.contract.invalid(format!(
                    "MCP servers `{}` and `{}` both have a tool that would be called so; rename one server",
                    other.name(),
                    server.name()
                )));
            }
        }
        for tool in server.tools() {
            let entry = (Arc::clone(&server), tool.clone());
            self.tools.insert(tool.contract.name.clone(), entry);
        }
        Ok(())
    }

    /// The contracts of all tools, sorted by name.
    pub fn contracts(&self) -> impl Iterator<Item = &Arc<ToolContract>> {
        self.tools.values().map(|(_, tool)| &tool.contract)
    }

    async fn run(&self, request: &Request<'_>) -> Result<Output, Error> {
        let started = Instant::now();
        self.capabilities().admit(request)?;
        request.refuse_secrets()?;
        let (server, tool) = self.tools.get(&request.contract.name).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "no MCP server has a tool of this name")
        })?;
        let limit = request.limits.timeout.unwrap_or(server.config().timeout);
        let called = tokio::time::timeout(limit, server.call(tool, request.arguments)).await;
        let (secrets, outcome) = called.map_err(|_| {
            Error::new(ErrorKind::Timeout, format!("ran longer than its limit of {limit:?}; MCP server `{}` was told", server.name()))
                .with_help("raise `timeout` for the server in its configuration, or give the step an @timeout of its own")
        })?;
        let output_bytes = request
            .limits
            .output_bytes
            .unwrap_or(server.config().output_bytes);
        let value =
            outcome.and_then(|response| read(response, request.contract.output, output_bytes));
        secrets.conceal_in(value.map(|value| Output::new(value, started)))
    }
}

impl ExecutionEngine for McpEngine {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(NAME, Isolation::Process, &ENFORCED)
    }

    fn suits(&self, contract: &ToolContract) -> Result<(), String> {
        match self.tools.contains_key(&contract.name) {
            true => Ok(()),
            false => Err("no MCP server has it".to_owned()),
        }
    }

    fn execute<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        Box::pin(async move {
            let outcome = self.run(&request).await;
            outcome.map_err(|error| error.with_tool(&request.contract.name).with_engine(NAME))
        })
    }
}

/// The value that a tool answered with: its structured content if there is one, its text if all of it is text,
/// else the list of its parts.
fn read(
    response: CallToolResponse,
    format: OutputFormat,
    output_bytes: u64,
) -> Result<Value, Error> {
    let result = match response {
        CallToolResponse::Complete(result) => result,
        CallToolResponse::InputRequired(_) => {
            return Err(Error::failed(
                "asks for input from a person, which a tool of a workflow cannot have",
            ));
        }
        _ => {
            return Err(Error::failed(
                "began a task of its own instead of answering, which is not supported",
            ));
        }
    };
    let text = all_text(&result);
    if result.is_error == Some(true) {
        return Err(reported(text, &result));
    }
    let value = match (result.structured_content, text) {
        (Some(value), _) => value,
        (None, Some(text)) => format.read(text.as_bytes())?,
        (None, None) => serde_json::to_value(&result.content).map_err(|source| {
            Error::new(
                ErrorKind::Failed,
                format!("its answer is no JSON: {source}"),
            )
            .with_source(source)
        })?,
    };
    if !fits(&value, output_bytes) {
        return Err(Error::new(
            ErrorKind::OutputTooLarge,
            format!("its result takes more than {output_bytes} bytes"),
        ));
    }
    Ok(value)
}

/// The texts of a result joined by line ends, if all of its parts are text.
fn all_text(result: &CallToolResult) -> Option<String> {
    let texts = result.content.iter().map(|part| match part {
        ContentBlock::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    let texts: Option<Vec<&str>> = texts.collect();
    texts.map(|texts| texts.join("\n"))
}

fn reported(text: Option<String>, result: &CallToolResult) -> Error {
    let text = text
        .filter(|text| !text.trim().is_empty())
        .unwrap_or_else(|| {
            let structured = result.structured_content.as_ref();
            structured.map_or_else(|| "it does not say why".to_owned(), Value::to_string)
        });
    let mut said = crate::capture::Tail::<tokio::io::Empty>::new(None, 64 * 1024);
    said.push(text.as_bytes());
    let said = said.text();
    let line: String = said
        .trim()
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(300)
        .collect();
    Error::new(ErrorKind::Failed, format!("reported a failure: {line}")).with_stderr(said)
}
