//! A server that is a program of this machine.

use std::io;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::config::{McpTransport, expand};
use crate::capture::Tail;
use crate::local::MARK_VARIABLE;
use crate::local::process_tree::{self, ProcessTree};
use crate::{CallId, Error, ErrorKind, SecretVariables, Secrets};

/// Variables of the host that every server gets: what finds programs and the user's files, and what decides language.
const BASE_VARIABLES: [&str; 9] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "TMPDIR", "TZ",
];

/// How much of the end of a server's standard error is kept.
const STDERR_BYTES: usize = 16 * 1024;

/// A running server. The tree comes first, so that on a drop it is killed while its root is still there to be found.
pub(super) struct ServerProcess {
    _tree: ProcessTree,
    child: Mutex<Child>,
    said: Arc<Mutex<Tail<tokio::io::Empty>>>,
    flooded: Arc<AtomicBool>,
}

/// The server's ends of the conversation.
pub(super) type Pipes = (Bounded<ChildStdout>, ChildStdin);

impl ServerProcess {
    /// Starts it.
    pub(super) fn start(
        transport: &McpTransport,
        message_bytes: usize,
        secrets: &Secrets,
        used: &mut SecretVariables,
    ) -> Result<(Self, Pipes), Error> {
        let McpTransport::Stdio {
            command,
            args,
            env,
            cwd,
        } = transport
        else {
            return Err(Error::new(
                ErrorKind::InvalidContract,
                "the server is no program",
            ));
        };
        let mark = CallId::unique();
        let mut process = Command::new(expand(command, secrets, used)?);
        process.env_clear();
        for (name, value) in std::env::vars_os() {
            let known = |name: &str| BASE_VARIABLES.contains(&name) || name.starts_with("LC_");
            if name.to_str().is_some_and(known) {
                process.env(name, value);
            }
        }
        for word in args {
            // A list of processes shows arguments to everyone on the machine.
            if word.contains("${secret:") {
                return Err(Error::new(
                    ErrorKind::InvalidContract,
                    "a secret stands in its arguments, where every user of the machine can see it",
                )
                .with_help("give it to the server as a variable, under `env`"));
            }
            process.arg(expand(word, secrets, used)?);
        }
        for (name, value) in env {
            process.env(name, expand(value, secrets, used)?);
        }
        if let Some(cwd) = cwd {
            process.current_dir(cwd);
        }
        process
            .env(MARK_VARIABLE, process_tree::chained("mcp", mark.as_str()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = process.spawn().map_err(|source| {
            let kind = match source.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Io,
            };
            Error::new(kind, format!("cannot start `{command}`: {source}"))
                .with_source(source)
                .with_help("install it, or correct `command` and `cwd`")
        })?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.id());
        let (Some(input), Some(output), Some(id)) = pipes else {
            return Err(Error::new(
                ErrorKind::Io,
                "its process has no pipes although it was just started",
            ));
        };
        let said = Arc::new(Mutex::new(Tail::new(None, STDERR_BYTES)));
        if let Some(mut stderr) = child.stderr.take() {
            let said = Arc::clone(&said);
            tokio::spawn(async move {
                let mut buffer = vec![0; 4096];
                while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
                    said.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(&buffer[..count]);
                }
            });
        }
        let flooded = Arc::new(AtomicBool::new(false));
        let output = Bounded {
            inner: output,
            since_line: 0,
            limit: message_bytes,
            flooded: Arc::clone(&flooded),
        };
        let process = Self {
            _tree: ProcessTree::new(id, mark),
            child: Mutex::new(child),
            said,
            flooded,
        };
        Ok((process, (output, input)))
    }

    /// How it ended, once it has.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().ok().flatten()
    }

    /// The end of what it wrote to standard error.
    pub(super) fn said(&self) -> String {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .text()
    }

    /// Whether it was cut off for a message that was too long.
    pub(super) fn flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }
}

/// Lines that are bounded: where one is longer than the limit, the stream ends.
pub(super) struct Bounded<R> {
    inner: R,
    since_line: usize,
    limit: usize,
    flooded: Arc<AtomicBool>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Bounded<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        let fresh = &buffer.filled()[before..];
        self.since_line = match fresh.iter().rposition(|byte| *byte == b'\n') {
            Some(place) => fresh.len() - place - 1,
            None => self.since_line + fresh.len(),
        };
        if self.since_line > self.limit {
            self.flooded.store(true, Ordering::Relaxed);
            buffer.set_filled(before);
            return Poll::Ready(Ok(()));
        }
        polled
    }
}
