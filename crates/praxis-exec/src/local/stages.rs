//! Stages: processes that each hold one tool, on the levels `process` and `sandbox`.
//!
//! A keeper, one for each level, starts them; [`praxis_worker::staging`] has what is said.
//! One or a few are kept ready, so that a call does not wait for namespaces to be made.

mod cgroup;
mod keeper;
mod order;
mod probe;

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(super) use praxis_worker::staging::PROGRAMS;
use praxis_worker::staging::{Answer, KILL, Network, STOP, Step};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use tokio::net::UnixStream;

use self::cgroup::Group;
use self::keeper::{Keeper, Replies};
pub(crate) use self::probe::probe;
use super::process_tree::ProcessTree;
use super::program::{self, Launch};
use super::running::Theirs;
use super::{Level, LocalConfig};
use crate::ending;
use crate::{Error, ErrorKind, Limit, Request};

/// How long a stage has to kill everything and say so, before its socket is closed and the kernel does it.
const KILLING: Duration = Duration::from_secs(5);

/// The stages of one engine; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Stages(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    settings: Settings,
    process: Slot,
    sandbox: Slot,
}

/// What a keeper is started with.
#[derive(Debug, Default)]
struct Settings {
    scratch_bytes: u64,
    visible: Vec<std::path::PathBuf>,
    file_bytes: u64,
}

/// A keeper, or why there is none.
type Slot = Mutex<Option<Result<Arc<Keeper>, Refusal>>>;

/// Why a level is not available.
#[derive(Clone, Debug)]
struct Refusal {
    message: String,
    help: String,
    /// Whether the machine was only short of something for a moment.
    passing: bool,
}

impl Refusal {
    fn error(&self) -> Error {
        let kind = match self.passing {
            true => ErrorKind::Unavailable,
            false => ErrorKind::UnsupportedLimit,
        };
        Error::new(kind, self.message.as_str()).with_help(self.help.as_str())
    }
}

/// Whether an error of the operating system goes by itself.
fn is_passing(errno: i32) -> bool {
    let passing = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE];
    passing.map(Errno::raw_os_error).contains(&errno)
}

impl Stages {
    pub(super) fn new(config: &LocalConfig) -> Self {
        let settings = Settings {
            scratch_bytes: config.scratch_bytes,
            visible: config.visible.clone(),
            file_bytes: config.file_bytes.unwrap_or(0),
        };
        Self(Arc::new(Inner {
            settings,
            ..Inner::default()
        }))
    }

    /// Whether calls can have this level; the first time, this is found out by starting its keeper.
    pub(super) fn available(&self, level: Level) -> Result<(), Error> {
        self.keeper(level).map(drop)
    }

    /// The limits that cgroups hold a tool to.
    pub(super) fn metered(&self) -> Vec<Limit> {
        cgroup::places().limits()
    }

    fn keeper(&self, level: Level) -> Result<Arc<Keeper>, Error> {
        let slot = match level {
            Level::Sandbox => &self.0.sandbox,
            _ => &self.0.process,
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(Ok(keeper)) if keeper.lives() => Ok(Arc::clone(keeper)),
            Some(Err(refusal)) => Err(refusal.error()),
            _ => {
                let started = Keeper::start(level, &self.0.settings).map(Arc::new);
                let outcome = started.clone().map_err(|refusal| refusal.error());
                let lasts = !matches!(&started, Err(refusal) if refusal.passing);
                *slot = lasts.then_some(started);
                outcome
            }
        }
    }

    /// Starts a tool on a stage.
    pub(super) async fn start(
        &self,
        level: Level,
        launch: Launch,
        request: &Request<'_>,
        theirs: Theirs,
    ) -> Result<Staged, Error> {
        let network = match level {
            Level::Sandbox if request.limits.network != Some(true) => Network::Own,
            _ => Network::Host,
        };
        let file_bytes = self.0.settings.file_bytes;
        let order = order::order(level, &launch, request, file_bytes)?;
        let order = order.encode().map_err(|error| {
            Error::new(
                ErrorKind::InvalidArguments,
                format!("cannot start it: {error}"),
            )
        })?;
        let order = order::in_memory(&order)?;
        let group = Group::of(&request.limits)?;
        let mut replies = self.ready(level, network).await?;
        let mut files = vec![order];
        files.extend(theirs);
        if let Some(group) = &group {
            files.extend(group.entrances()?);
        }
        replies.start(&files).map_err(away)?;
        tracing::debug!(tool = request.contract.name, call = %request.call_id, %level, "handed to a stage");
        let root = request.root.to_owned();
        Ok(Staged {
            replies,
            group,
            // A stage of the level `process` could be killed by its own tool, which then is found by its mark.
            tree: (level == Level::Process).then(|| ProcessTree::marked(launch.mark)),
            ended: None,
            place: Place {
                level,
                program: launch.program,
                root,
            },
        })
    }

    /// A stage that waits for its order.
    async fn ready(&self, level: Level, network: Network) -> Result<Replies, Error> {
        let mut tries = 0;
        loop {
            let keeper = self.keeper(level)?;
            tries += 1;
            match keeper.stage(network).await {
                Ok(replies) => return Ok(replies),
                Err(keeper::Unready::Refused(refusal)) => return Err(refusal.error()),
                // No tool has started, so that another stage, perhaps of another keeper, is as good.
                Err(keeper::Unready::Away) if tries < 3 => {}
                Err(keeper::Unready::Away) => {
                    return Err(Error::new(
                        ErrorKind::Unavailable,
                        format!(
                            "the processes that hold tools on the level `{level}` end before they are given one"
                        ),
                    ));
                }
            }
        }
    }
}

/// A tool on a stage. Dropped, its socket is closed, and the stage kills everything.
pub(super) struct Staged {
    replies: Replies,
    group: Option<Group>,
    tree: Option<ProcessTree>,
    ended: Option<ExitStatus>,
    place: Place,
}

/// What the words of an error need.
struct Place {
    level: Level,
    program: std::path::PathBuf,
    root: std::path::PathBuf,
}

impl Staged {
    /// The tool's end, and the end of all that it started.
    pub(super) async fn wait(&mut self) -> Result<ExitStatus, Error> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        let answer = self.replies.next().await;
        match answer {
            Ok(Answer::Ended(status)) => {
                let status = ExitStatus::from_raw(status);
                self.ended = Some(status);
                if let Some(tree) = &mut self.tree {
                    tree.gone();
                }
                Ok(status)
            }
            Ok(Answer::Failed(step, errno)) => {
                if let Some(tree) = &mut self.tree {
                    tree.gone();
                }
                Err(self.place.failed(step, errno))
            }
            Ok(Answer::Ready) | Err(_) => {
                self.kill_left().await;
                Err(Error::new(
                    ErrorKind::Io,
                    "the process that held it was killed, and it with it",
                ))
            }
        }
    }

    /// Kills everything.
    pub(super) async fn kill(&mut self) {
        if self.ended.is_some() {
            return;
        }
        self.say(KILL);
        if let Some(group) = &self.group {
            group.kill();
        }
        if tokio::time::timeout(KILLING, self.wait()).await.is_err() {
            self.kill_left().await;
        }
    }

    /// Asks everything to end, and kills what has not after `grace`.
    pub(super) async fn stop(&mut self, grace: Duration) {
        self.say(STOP);
        let _ = tokio::time::timeout(grace, self.wait()).await;
        self.kill().await;
    }

    /// The error of a tool that the kernel killed a process of for want of memory.
    pub(super) fn out_of_memory(&self) -> Option<Error> {
        let limit = self.group.as_ref()?.out_of_memory()?;
        Some(ending::out_of_memory(limit))
    }

    fn say(&self, word: u8) {
        // A stage that does not hear it has ended.
        let _ = send(self.replies.socket(), &[word], SendFlags::NOSIGNAL);
    }

    async fn kill_left(&mut self) {
        if let Some(tree) = &mut self.tree {
            tree.kill().await;
        }
        if let Some(group) = &self.group {
            group.kill();
        }
    }
}

impl Place {
    /// What a stage could not do, in the words of this engine.
    fn failed(&self, step: Step, errno: i32) -> Error {
        let source = std::io::Error::from_raw_os_error(errno);
        let program = self.program.display();
        match step {
            Step::Start if self.level == Level::Sandbox && errno == NOT_THERE => Error::new(
                ErrorKind::NotFound,
                format!("the sandbox has no program {program}, or not the interpreter that its first line names"),
            )
            .with_help("the sandbox has the machine's /usr, the contract's folder and the workspace; list other folders in the engine's `visible`")
            .with_source(source),
            Step::Start | Step::Folder => program::not_started(source, &self.program, &self.root),
            step => Error::new(ErrorKind::Io, format!("cannot {step} for it: {source}"))
                .with_source(source),
        }
    }
}

const NOT_THERE: i32 = Errno::NOENT.raw_os_error();

fn away(errno: Errno) -> Error {
    let source = std::io::Error::from(errno);
    Error::new(
        ErrorKind::Unavailable,
        format!("the process that was to hold it is gone: {source}"),
    )
    .with_source(source)
}

/// A socket of this process in the hands of its runtime.
fn registered(socket: std::os::unix::net::UnixStream) -> std::io::Result<UnixStream> {
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}
