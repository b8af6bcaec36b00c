//! One call in a warm container.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::time::Duration;

use praxis_worker::frames::{Answer, Ended, Exit, Order, Run};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::{Receiver, Sender};

use super::link::{Link, Lost};
use super::slot::Call;
use crate::capture::{Head, Tail, TooLarge};
use crate::{Error, ErrorKind, SecretVariables, ending};

/// How long the streams of a call that has ended may stay open: only somebody outside of its container holds them.
const DRAIN: Duration = Duration::from_millis(250);

/// What a call is held to.
pub(super) struct Bounds<'a> {
    pub(super) timeout: Duration,
    pub(super) kill_grace: Duration,
    pub(super) output_bytes: u64,
    pub(super) stderr_bytes: usize,
    pub(super) memory_bytes: u64,
    pub(super) secrets: &'a SecretVariables,
}

/// How a call went, and what that means for its container.
pub(super) enum Outcome {
    /// The worker did not get the order, and so did nothing; it is of no use.
    NotStarted(io::Error),
    /// Nothing was started, and the container is as it was before.
    Refused(Error),
    /// The tool has run.
    Over {
        said: Result<Said, Error>,
        /// Whether nothing of it is left in the container.
        clean: bool,
    },
}

/// The tool has run and the container must not be used again.
fn spent(said: Result<Said, Error>) -> Outcome {
    Outcome::Over { said, clean: false }
}

/// What a tool that succeeded has printed.
pub(super) struct Said {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// Starts a tool and stays with it to its end.
pub(super) async fn attend(
    link: &mut Link,
    call: &Call,
    input: &[u8],
    bounds: &Bounds<'_>,
) -> Outcome {
    let number = link.number();
    let order = match order(number, call) {
        Ok(order) => order,
        Err(error) => return Outcome::Refused(error),
    };
    let streams = match Streams::open(input) {
        Ok(streams) => streams,
        Err(source) => {
            let message = format!("cannot make pipes for it: {source}");
            return Outcome::Refused(Error::new(ErrorKind::Io, message).with_source(source));
        }
    };
    if let Err(error) = link.send(&order, &streams.theirs).await {
        return Outcome::NotStarted(error);
    }
    drop(streams.theirs);
    let mut stdout = Head::new(Some(streams.stdout), bounds.output_bytes);
    let mut stderr = Tail::new(Some(streams.stderr), bounds.stderr_bytes);
    let stdin = streams.stdin;
    let end = {
        let watched = watch(link, stdin, &mut stdout, &mut stderr);
        tokio::time::timeout(bounds.timeout, watched).await
    };
    let answer = match end {
        Ok(Ok(answer)) => answer,
        Ok(Err(End::TooLarge)) => {
            let error = ending::too_large(bounds.output_bytes);
            return spent(Err(error.with_stderr(stderr.text())));
        }
        Ok(Err(End::Lost(lost))) => {
            return spent(Err(lost_while_running(&lost).with_stderr(stderr.text())));
        }
        Err(_) => {
            stop(link, number, bounds.kill_grace, &mut stdout, &mut stderr).await;
            let error = ending::timed_out(bounds.timeout);
            return spent(Err(error.with_stderr(stderr.text())));
        }
    };
    match answer {
        Answer::Refused {
            call: refused,
            errno,
            folder,
        } if refused == number => Outcome::Refused(not_started(call, errno, folder)),
        Answer::Ended(ended) if ended.call == number => {
            let drained = tokio::time::timeout(DRAIN, async {
                tokio::join!(stdout.fill(), stderr.fill()).0
            });
            let drained = drained.await;
            // Before a line of it is cut for a message, so that no secret is cut in two.
            let stderr = bounds.secrets.conceal(&stderr.text()).into_owned();
            let said = match drained {
                Ok(Err(TooLarge)) => {
                    Err(ending::too_large(bounds.output_bytes).with_stderr(stderr))
                }
                _ => judge(ended, bounds, stderr).map(|stderr| Said {
                    stdout: stdout.bytes().to_vec(),
                    stderr,
                }),
            };
            let clean = ended.clean && drained.is_ok();
            Outcome::Over { said, clean }
        }
        _ => spent(Err(lost_while_running(&Lost::Unexpected))),
    }
}

/// The standard streams of a call: our ends of the pipes, and the tool's.
struct Streams {
    /// What is left to write, if it is more than a pipe holds.
    stdin: Option<(Sender, Vec<u8>)>,
    stdout: Receiver,
    stderr: Receiver,
    theirs: [OwnedFd; 3],
}

impl Streams {
    fn open(input: &[u8]) -> io::Result<Self> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let ((their_stdin, stdin), (stdout, their_stdout), (stderr, their_stderr)) =
            (pipe()?, pipe()?, pipe()?);
        rustix::io::ioctl_fionbio(&stdin, true)?;
        // Most arguments fit into a pipe at once, which saves waiting until it can be written to.
        let written = match rustix::io::write(&stdin, input) {
            Ok(count) => count,
            Err(Errno::AGAIN) => 0,
            Err(error) => return Err(error.into()),
        };
        let left = &input[written..];
        let stdin = match left.is_empty() {
            true => None,
            false => Some((Sender::from_owned_fd(stdin)?, left.to_vec())),
        };
        Ok(Self {
            stdin,
            stdout: Receiver::from_owned_fd(stdout)?,
            stderr: Receiver::from_owned_fd(stderr)?,
            theirs: [their_stdin, their_stdout, their_stderr],
        })
    }
}

enum End {
    TooLarge,
    Lost(Lost),
}

/// Feeds and reads the tool until the worker says how it ended.
async fn watch(
    link: &mut Link,
    stdin: Option<(Sender, Vec<u8>)>,
    stdout: &mut Head<Receiver>,
    stderr: &mut Tail<Receiver>,
) -> Result<Answer, End> {
    let mut fed = stdin.is_none();
    let mut feed = pin!(async {
        if let Some((mut stdin, input)) = stdin {
            // A program may well end without having read its input.
            let _ = stdin.write_all(&input).await;
        }
    });
    let mut read = pin!(async {
        let keep_tail = async {
            stderr.fill().await;
            Ok(())
        };
        tokio::try_join!(stdout.fill(), keep_tail)
    });
    let mut drained = false;
    loop {
        tokio::select! {
            answer = link.answer() => return answer.map_err(End::Lost),
            outcome = &mut read, if !drained => match outcome {
                Ok(_) => drained = true,
                Err(TooLarge) => return Err(End::TooLarge),
            },
            () = &mut feed, if !fed => fed = true,
        }
    }
}

/// Asks the call to end and waits a little; what it prints meanwhile may be the reason that somebody looks for.
async fn stop(
    link: &mut Link,
    number: u64,
    grace: Duration,
    stdout: &mut Head<Receiver>,
    stderr: &mut Tail<Receiver>,
) {
    let Ok(order) = Order::Stop(number).encode() else {
        return;
    };
    if link.send(&order, &[]).await.is_ok() {
        let _ = tokio::time::timeout(grace, watch(link, None, stdout, stderr)).await;
        let _ = tokio::time::timeout(DRAIN, stderr.fill()).await;
    }
}

fn order(number: u64, call: &Call) -> Result<Vec<u8>, Error> {
    let variables = call.env.iter();
    let run = Order::Run(Run {
        call: number,
        folder: call.folder.as_str().into(),
        words: call.command.iter().map(Into::into).collect(),
        variables: variables
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
    });
    run.encode().map_err(|_| too_long())
}

fn too_long() -> Error {
    Error::new(
        ErrorKind::InvalidArguments,
        "its arguments are too long to start it with",
    )
    .with_help("let the program read its arguments from standard input, where they are JSON")
}

/// The end of standard error, if the tool succeeded.
fn judge(ended: Ended, bounds: &Bounds<'_>, stderr: String) -> Result<String, Error> {
    if ended.oom_kills.is_some_and(|count| count > 0) {
        return Err(ending::out_of_memory(bounds.memory_bytes).with_stderr(stderr));
    }
    match ended.exit {
        Exit::Code(0) => Ok(stderr),
        Exit::Code(code) => {
            let how = format!("exited with code {code}");
            Err(ending::failed(&how, Some(code), stderr))
        }
        Exit::Signal(signal) => {
            let how = format!("was killed by signal {signal}");
            Err(ending::failed(&how, None, stderr))
        }
    }
}

fn lost_while_running(lost: &Lost) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("{lost} while the tool ran, so its result is lost"),
    )
    .with_help(
        "somebody may have removed the container, or it may have been out of memory; \
         the tool may have done a part of its work",
    )
}

fn not_started(call: &Call, errno: i32, folder: bool) -> Error {
    let program = call.command.first().map_or("", String::as_str);
    let source = io::Error::from_raw_os_error(errno);
    if folder {
        return Error::new(
            ErrorKind::NotFound,
            format!("the container has no folder {} to start in", call.folder),
        );
    }
    let error = match Errno::from_raw_os_error(errno) {
        Errno::NOENT => Error::new(
            ErrorKind::NotFound,
            format!("its program `{program}` is not in the image, or the interpreter that its first line names is not"),
        )
        .with_help("name a program that the image has; a relative path starts at the contract's folder"),
        Errno::ACCESS => Error::new(
            ErrorKind::Denied,
            format!("its program `{program}` may not be executed in the container"),
        )
        .with_help("make it executable, or name its interpreter first in `command`"),
        Errno::NOEXEC => Error::new(
            ErrorKind::NotFound,
            format!("`{program}` is no program of this machine"),
        )
        .with_help(ending::NO_PROGRAM_HELP),
        Errno::TOOBIG => too_long(),
        _ => Error::new(ErrorKind::Io, format!("cannot start `{program}`: {source}")),
    };
    error.with_source(source)
}
