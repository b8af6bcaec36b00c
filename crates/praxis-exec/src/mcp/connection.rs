//! One conversation with a server, from its greeting to its end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use rmcp::ClientHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, Implementation,
    PaginatedRequestParams, Tool,
};
use rmcp::service::{
    ClientInitializeError, NotificationContext, RoleClient, RunningService, ServiceError,
};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
};

use super::config::{McpServerConfig, McpTransport, expand};
use super::process::ServerProcess;
use crate::{Error, ErrorKind, SecretVariables, Secrets, web};

/// How many tools a server may have.
const MAX_TOOLS: usize = 1_000;

/// How many pages its list may take.
const MAX_PAGES: usize = 200;

/// How many bytes its list may take as JSON.
const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;

/// How long a dying process is waited for, to learn how it died.
const LAST_WORDS: Duration = Duration::from_millis(300);

pub(super) struct Connection {
    service: RunningService<RoleClient, Host>,
    process: Option<ServerProcess>,
    stale: Arc<AtomicBool>,
    message_bytes: usize,
}

/// What a server may ask of Praxis: to be told who it is, and to tell that its tools have changed.
struct Host {
    stale: Arc<AtomicBool>,
}

impl ClientHandler for Host {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("praxis", env!("CARGO_PKG_VERSION")),
        )
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.stale.store(true, Ordering::Relaxed);
    }
}

impl Connection {
    /// Starts or reaches the server and greets it.
    pub(super) async fn open(
        config: &McpServerConfig,
        secrets: &Secrets,
        used: &mut SecretVariables,
    ) -> Result<Self, Error> {
        let stale = Arc::new(AtomicBool::new(false));
        let host = Host {
            stale: Arc::clone(&stale),
        };
        let message_bytes = config.message_bytes;
        let (service, process) = match &config.transport {
            transport @ McpTransport::Stdio { .. } => {
                let (process, (output, input)) =
                    ServerProcess::start(transport, message_bytes, secrets, used)?;
                // The pipe ends before that limit is met, so that the one call which waits is told.
                let transport =
                    AsyncRwTransport::new(output, input).with_max_line_length(usize::MAX);
                match rmcp::serve_client(host, transport).await {
                    Ok(service) => (service, Some(process)),
                    Err(error) => {
                        return Err(lost(Some(&process), message_bytes, not_greeted(&error)).await);
                    }
                }
            }
            McpTransport::Http { url, headers } => {
                let transport = http(config, url, headers, secrets, used)?;
                let service = rmcp::serve_client(host, transport).await;
                (service.map_err(|error| not_greeted(&error))?, None)
            }
        };
        Ok(Self {
            service,
            process,
            stale,
            message_bytes,
        })
    }

    /// Whether nothing can be asked of it any more.
    pub(super) fn is_closed(&self) -> bool {
        self.service.is_closed()
            || self.service.peer().is_transport_closed()
            || self
                .process
                .as_ref()
                .is_some_and(|process| process.flooded() || process.ended().is_some())
    }

    /// Whether the server said that its tools have changed since this was asked last.
    pub(super) fn take_stale(&self) -> bool {
        self.stale.swap(false, Ordering::Relaxed)
    }

    /// All tools, page by page.
    pub(super) async fn tools(&self) -> Result<Vec<Tool>, Error> {
        let too_many = |what: String| {
            Error::new(
                ErrorKind::OutputTooLarge,
                format!("its list of tools {what}"),
            )
        };
        let (mut tools, mut bytes) = (Vec::new(), 0);
        let mut cursor = None;
        let mut seen = HashSet::new();
        for _ in 0..MAX_PAGES {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            let page = self.service.peer().list_tools(Some(params)).await;
            let page = match page {
                Ok(page) => page,
                Err(error) => return Err(self.failed(error).await),
            };
            for tool in page.tools {
                bytes += serde_json::to_vec(&tool).map_or(0, |text| text.len());
                tools.push(tool);
                if tools.len() > MAX_TOOLS {
                    return Err(too_many(format!("has more than {MAX_TOOLS}")));
                }
                if bytes > MAX_LIST_BYTES {
                    return Err(too_many(format!("takes more than {MAX_LIST_BYTES} bytes")));
                }
            }
            match page.next_cursor {
                None => return Ok(tools),
                Some(next) if !seen.insert(next.clone()) => {
                    return Err(too_many(
                        "never ends: it comes to the same page again".to_owned(),
                    ));
                }
                next => cursor = next,
            }
        }
        Err(too_many(format!("has more than {MAX_PAGES} pages")))
    }

    /// Calls a tool. Dropped before its end, it tells the server that nobody waits any more.
    pub(super) async fn call(
        &self,
        params: CallToolRequestParams,
    ) -> Result<CallToolResponse, Error> {
        match self.service.peer().call_tool_once(params).await {
            Ok(response) => Ok(response),
            Err(error) => Err(self.failed(error).await),
        }
    }

    async fn failed(&self, error: ServiceError) -> Error {
        let failed = match &error {
            ServiceError::McpError(said) => {
                let message: String = said
                    .message
                    .chars()
                    .take(300)
                    .flat_map(char::escape_default)
                    .collect();
                let kind = match said.code.0 {
                    -32601 => ErrorKind::NotFound,
                    -32602 => ErrorKind::InvalidArguments,
                    _ => ErrorKind::Failed,
                };
                return Error::new(
                    kind,
                    format!(
                        "the server says: {message} (JSON-RPC error {})",
                        said.code.0
                    ),
                );
            }
            ServiceError::TransportClosed => Error::new(
                ErrorKind::Unavailable,
                "the connection ended before the answer",
            ),
            ServiceError::TransportSend(cause) => Error::new(
                ErrorKind::Unavailable,
                format!("cannot be reached: {}", web::chain(cause.error.as_ref())),
            ),
            ServiceError::UnexpectedResponse => Error::new(
                ErrorKind::Failed,
                "the server answered with something else than was asked for",
            ),
            other => Error::new(ErrorKind::Failed, other.to_string()),
        };
        lost(
            self.process.as_ref(),
            self.message_bytes,
            failed.with_retryable(true),
        )
        .await
    }
}

/// The error, with what the process has to say for itself.
async fn lost(process: Option<&ServerProcess>, message_bytes: usize, error: Error) -> Error {
    let Some(process) = process else {
        return error;
    };
    if process.flooded() {
        return Error::new(
            ErrorKind::OutputTooLarge,
            format!("sent a message of more than {message_bytes} bytes and was stopped"),
        );
    }
    if error.kind() != ErrorKind::Unavailable {
        return error;
    }
    let end = tokio::time::timeout(LAST_WORDS, async {
        loop {
            match process.ended() {
                Some(status) => return status,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    let error = match end.await {
        Ok(status) => {
            let message = format!("{}; its process ended ({status})", error.message());
            Error::new(ErrorKind::Unavailable, message)
                .with_exit_code(status.code())
                .with_retryable(true)
        }
        Err(_) => error,
    };
    error.with_stderr(process.said())
}

fn not_greeted(error: &ClientInitializeError) -> Error {
    let message = match error {
        ClientInitializeError::ConnectionClosed(_) => {
            "the connection ended before it answered `initialize`".to_owned()
        }
        ClientInitializeError::TransportError { error, .. } => {
            format!("cannot be reached: {}", web::chain(error.error.as_ref()))
        }
        ClientInitializeError::JsonRpcError(said) => {
            let said: String = said.message.chars().take(300).collect();
            format!("refused `initialize`: {said:?}")
        }
        other => {
            let said: String = other.to_string().chars().take(300).collect();
            format!("does not speak MCP as was expected: {said}")
        }
    };
    Error::new(ErrorKind::Unavailable, message)
        .with_help("start it by hand to see what it says; it must speak MCP on standard output and nothing else")
}

fn http(
    config: &McpServerConfig,
    url: &str,
    headers: &std::collections::BTreeMap<String, String>,
    secrets: &Secrets,
    used: &mut SecretVariables,
) -> Result<StreamableHttpClientTransport<reqwest::Client>, Error> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidContract, message);
    let client = web::client(|builder| builder.connect_timeout(config.start_timeout))?;
    let mut sent = HashMap::new();
    for (name, value) in headers {
        let named = HeaderName::try_from(name.as_str());
        let named = named.map_err(|_| invalid(format!("{name:?} is no name of a header")))?;
        let value = HeaderValue::try_from(expand(value, secrets, used)?);
        let value =
            value.map_err(|_| invalid(format!("the value of header `{name}` cannot be sent")))?;
        sent.insert(named, value);
    }
    let url = expand(url, secrets, used)?;
    let mut transport = StreamableHttpClientTransportConfig::with_uri(url);
    transport.custom_headers = sent;
    transport.max_sse_event_size = config.message_bytes;
    transport.max_json_response_size = config.message_bytes;
    transport.allow_stateless = true;
    Ok(StreamableHttpClientTransport::with_client(
        client, transport,
    ))
}
