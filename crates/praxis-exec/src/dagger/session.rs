//! A Dagger session: where it is, and asking it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::{DaggerConfig, Token};
use crate::local::MARK_VARIABLE;
use crate::local::process_tree::{self, ProcessTree};
use crate::{CallId, Error, ErrorKind, SECRET_VARIABLE_PREFIX, SECRETS_FOLDER_VARIABLE, web};

/// How many bytes an answer may have that holds no output: ids are long.
const MAX_ANSWER_BYTES: u64 = 8 * 1024 * 1024;

/// What the program may print before it says where its session is.
const MAX_GREETING_BYTES: u64 = 1024 * 1024;

/// The session of an engine; it is made when it is first needed, and again after it was lost.
#[derive(Default)]
pub(super) struct Sessions {
    open: tokio::sync::Mutex<()>,
    current: Mutex<Option<Arc<Session>>>,
}

impl Sessions {
    pub(super) async fn open(&self, config: &DaggerConfig) -> Result<Arc<Session>, Error> {
        let _one_at_a_time = self.open.lock().await;
        if let Some(session) = &*self.current() {
            return Ok(Arc::clone(session));
        }
        let opening = async {
            match look(config)? {
                Found::Session { port, token } => Session::new(port, token, None),
                Found::Program(path) => start(&path).await,
            }
        };
        let limit = config.start_timeout;
        let opened = tokio::time::timeout(limit, opening)
            .await
            .unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorKind::Timeout,
                    format!("the Dagger program opened no session within {limit:?}"),
                )
                .with_help("run `dagger session` by hand to see what it waits for"))
            });
        let session = Arc::new(opened?);
        *self.current() = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Lets the next call open another session.
    pub(super) fn forget(&self) {
        *self.current() = None;
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Arc<Session>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let port = self.current().as_ref().map(|session| session.port);
        formatter
            .debug_struct("Sessions")
            .field("port", &port)
            .finish()
    }
}

/// What there is to connect to.
pub(super) enum Found {
    Session { port: u16, token: Token },
    Program(PathBuf),
}

/// Looks for a session, then for a program; nothing is started, and nothing is ever downloaded.
pub(super) fn look(config: &DaggerConfig) -> Result<Found, Error> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let port = match config.port {
        Some(port) => Some(port),
        None => variable("DAGGER_SESSION_PORT")
            .map(|port| {
                port.parse().map_err(|_| {
                    let message = format!("DAGGER_SESSION_PORT is `{port}`, which is no port");
                    Error::new(ErrorKind::InvalidArguments, message)
                })
            })
            .transpose()?,
    };
    if let Some(port) = port {
        let token = config
            .token
            .clone()
            .or_else(|| variable("DAGGER_SESSION_TOKEN").map(Token));
        let token = token.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArguments,
                format!("there is a Dagger session at port {port}, but no DAGGER_SESSION_TOKEN"),
            )
            .with_help("run Praxis with `dagger run`, which sets both")
        })?;
        return Ok(Found::Session { port, token });
    }
    let name = config.cli.as_deref().unwrap_or("dagger");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let program = match name.contains('/') {
        true => Some(PathBuf::from(name)).filter(|path| path.is_file()),
        false => folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file())),
    };
    program.map(Found::Program).ok_or_else(|| {
        Error::new(
            ErrorKind::Unavailable,
            format!("there is no Dagger session (DAGGER_SESSION_PORT is not set) and no program `{name}`"),
        )
        .with_retryable(false)
        .with_help("run Praxis with `dagger run`, or install the Dagger CLI; Praxis downloads neither")
    })
}

/// A session that answers on this machine. Dropped, the program that opened it ends with all descendants.
pub(super) struct Session {
    client: reqwest::Client,
    port: u16,
    token: Token,
    _program: Option<Program>,
}

/// The tree comes first, so that on a drop it is killed while its root is still there to be found.
struct Program {
    _tree: ProcessTree,
    _child: Child,
    /// The session is open as long as this is.
    _stdin: Option<ChildStdin>,
}

/// Why a query has no answer.
pub(super) enum Fault {
    /// The session cannot be reached, or is none.
    Lost(Error),
    /// The answer is larger than this many bytes of output could make it.
    TooLarge(u64),
    /// The session says no, at this field of the query.
    Refused {
        message: String,
        field: Option<String>,
    },
}

#[derive(Deserialize)]
struct Greeting {
    port: u16,
    session_token: String,
}

async fn start(path: &std::path::Path) -> Result<Session, Error> {
    let mark = CallId::unique();
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        let secret = |name: &str| {
            name.starts_with(SECRET_VARIABLE_PREFIX) || name == SECRETS_FOLDER_VARIABLE
        };
        if name.to_str().is_some_and(secret) {
            command.env_remove(name);
        }
    }
    command
        .args(["session", "--label", "dagger.io/sdk.name:praxis"])
        .env("DO_NOT_TRACK", "1")
        .env("DAGGER_NO_NAG", "1")
        .env(
            MARK_VARIABLE,
            process_tree::chained("dagger", mark.as_str()),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let shown = path.display();
    let mut child = command.spawn().map_err(|source| {
        Error::new(
            ErrorKind::Unavailable,
            format!("cannot start {shown}: {source}"),
        )
        .with_source(source)
    })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let id = child.id().unwrap_or_default();
    let program = Program {
        _tree: ProcessTree::new(id, mark),
        _child: child,
        _stdin: stdin,
    };
    let mut said = crate::capture::Tail::new(stderr, 16 * 1024);
    let mut lines = BufReader::new(
        stdout
            .ok_or_else(|| Error::new(ErrorKind::Io, "its pipes are gone"))?
            .take(MAX_GREETING_BYTES),
    )
    .lines();
    let greeting = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(greeting) = serde_json::from_str::<Greeting>(&line) {
                return Some(greeting);
            }
        }
        None
    };
    let greeting = tokio::select! {
        greeting = greeting => greeting,
        // Its complaints are read meanwhile, so that it never waits for a reader.
        () = async { said.fill().await; std::future::pending().await } => None,
    };
    let Some(greeting) = greeting else {
        let _ = tokio::time::timeout(std::time::Duration::from_millis(200), said.fill()).await;
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!("{shown} ended without opening a session"),
        )
        .with_stderr(said.text())
        .with_help("run `dagger session` by hand to see what is wrong"));
    };
    tokio::spawn(async move {
        let mut rest = lines.into_inner().into_inner().into_inner();
        let mut nowhere = tokio::io::sink();
        let drain = tokio::io::copy(&mut rest, &mut nowhere);
        let _ = tokio::join!(drain, said.fill());
    });
    Session::new(greeting.port, Token(greeting.session_token), Some(program))
}

impl Session {
    fn new(port: u16, token: Token, program: Option<Program>) -> Result<Self, Error> {
        // The session is on this machine, whatever proxy the environment names.
        let client = web::client(|builder| {
            builder
                .no_proxy()
                .connect_timeout(std::time::Duration::from_secs(10))
        })?;
        Ok(Self {
            client,
            port,
            token,
            _program: program,
        })
    }

    /// Asks a query and gives its data. Dropped before the answer, it closes the connection, at which the session gives up.
    pub(super) async fn ask(&self, query: &str, output_bytes: u64) -> Result<Value, Fault> {
        let url = format!("http://127.0.0.1:{}/query", self.port);
        let lost = |message: String| {
            Fault::Lost(Error::new(
                ErrorKind::Unavailable,
                format!("the Dagger session at port {} {message}", self.port),
            ))
        };
        let sent = self.client.post(url).basic_auth(&self.token.0, Some(""));
        let sent = sent
            .header("content-type", "application/json")
            .body(json!({"query": query}).to_string());
        let mut response = sent
            .send()
            .await
            .map_err(|error| lost(format!("cannot be reached: {}", web::chain(&error))))?;
        let status = response.status();
        if status == reqwest::StatusCode::UNAUTHORIZED {
            return Err(Fault::Lost(
                Error::new(
                    ErrorKind::Denied,
                    format!(
                        "the Dagger session at port {} does not know this token",
                        self.port
                    ),
                )
                .with_help(
                    "DAGGER_SESSION_TOKEN must be that of the session at DAGGER_SESSION_PORT",
                ),
            ));
        }
        // One byte of output takes at most six in JSON.
        let most = output_bytes
            .saturating_mul(6)
            .saturating_add(MAX_ANSWER_BYTES);
        let mut body = Vec::new();
        loop {
            let chunk = response
                .chunk()
                .await
                .map_err(|error| lost(format!("broke off: {}", web::chain(&error))))?;
            let Some(chunk) = chunk else { break };
            body.extend_from_slice(&chunk);
            if body.len() as u64 > most {
                return Err(Fault::TooLarge(output_bytes));
            }
        }
        let answer: Value = serde_json::from_slice(&body).map_err(|_| {
            let said: String = String::from_utf8_lossy(&body).chars().take(200).collect();
            lost(format!(
                "answered HTTP {} and no JSON: {said:?}",
                status.as_u16()
            ))
        })?;
        if let Some(error) = answer.get("errors").and_then(|errors| errors.get(0)) {
            let message = error
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or("no reason given");
            let path = error.get("path").and_then(Value::as_array);
            let mut fields = path.into_iter().flatten().filter_map(Value::as_str);
            return Err(Fault::Refused {
                message: message.to_owned(),
                field: fields.next_back().map(str::to_owned),
            });
        }
        match answer.get("data") {
            Some(data) if data.is_object() => Ok(data.clone()),
            _ => Err(lost("answered without data".to_owned())),
        }
    }
}
