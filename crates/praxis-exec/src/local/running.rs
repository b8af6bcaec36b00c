//! A tool that runs, whatever its level.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use super::DRAIN;
use super::process_tree::ProcessTree;
use super::program::{self, Launch};
use super::stages::Staged;
use crate::{Error, ErrorKind, Request};

/// Praxis's ends of a tool's standard streams.
pub(super) struct Streams {
    pub(super) stdin: pipe::Sender,
    pub(super) stdout: pipe::Receiver,
    pub(super) stderr: pipe::Receiver,
}

/// The tool's ends: standard input, output and error.
pub(super) type Theirs = [OwnedFd; 3];

impl Streams {
    pub(super) fn new() -> io::Result<(Self, Theirs)> {
        let (their_input, input) = io::pipe()?;
        let (output, their_output) = io::pipe()?;
        let (complaints, their_complaints) = io::pipe()?;
        let streams = Self {
            stdin: pipe::Sender::from_owned_fd(input.into())?,
            stdout: pipe::Receiver::from_owned_fd(output.into())?,
            stderr: pipe::Receiver::from_owned_fd(complaints.into())?,
        };
        let theirs = [
            their_input.into(),
            their_output.into(),
            their_complaints.into(),
        ];
        Ok((streams, theirs))
    }
}

/// A running tool. Dropped, it is killed with all that it started.
#[cfg_attr(
    not(all(feature = "sandbox", target_os = "linux")),
    expect(
        clippy::large_enum_variant,
        reason = "without stages there is one kind only"
    )
)]
pub(super) enum Running {
    /// A child of this process.
    Direct(Box<Process>),
    /// A process on a stage.
    Staged(Box<Staged>),
}

/// The tree comes first, so that on a drop it is killed while its root is still there to be found.
pub(super) struct Process {
    tree: ProcessTree,
    child: Child,
}

impl Running {
    /// Starts a tool as a child of this process.
    pub(super) async fn direct(
        launch: Launch,
        request: &Request<'_>,
        [stdin, stdout, stderr]: Theirs,
    ) -> Result<Self, Error> {
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.words)
            .env_clear()
            .envs(&launch.variables)
            .current_dir(request.root)
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::from(stdout))
            .stderr(Stdio::from(stderr))
            .process_group(0)
            .kill_on_drop(true);
        let child = program::spawn(&mut command, &launch.program, request.root).await?;
        let pid = child.id().ok_or_else(|| {
            Error::new(
                ErrorKind::Io,
                "its process has no id although it was just started",
            )
        })?;
        tracing::debug!(tool = request.contract.name, call = %request.call_id, pid, "process started");
        let tree = ProcessTree::new(pid, launch.mark);
        Ok(Self::Direct(Box::new(Process { tree, child })))
    }

    /// The tool's own end. May be given up and taken up again.
    pub(super) async fn wait(&mut self) -> Result<ExitStatus, Error> {
        match self {
            Self::Direct(process) => process.child.wait().await.map_err(|source| {
                Error::new(
                    ErrorKind::Io,
                    format!("cannot wait for its process: {source}"),
                )
                .with_source(source)
            }),
            Self::Staged(staged) => staged.wait().await,
        }
    }

    /// Kills what is left after the tool's own end.
    pub(super) async fn sweep(&mut self) {
        if let Self::Direct(process) = self {
            process.tree.sweep().await;
        }
    }

    /// Kills everything.
    pub(super) async fn kill(&mut self) {
        match self {
            Self::Direct(process) => process.kill().await,
            Self::Staged(staged) => staged.kill().await,
        }
    }

    /// Asks everything to end, and kills what has not after `grace`.
    pub(super) async fn stop(&mut self, grace: Duration) {
        match self {
            Self::Direct(process) => {
                process.tree.terminate().await;
                let _ = tokio::time::timeout(grace, process.child.wait()).await;
                process.kill().await;
            }
            Self::Staged(staged) => staged.stop(grace).await,
        }
    }

    /// The error of a tool that the kernel killed a process of for want of memory.
    pub(super) fn out_of_memory(&self) -> Option<Error> {
        match self {
            Self::Direct(_) => None,
            Self::Staged(staged) => staged.out_of_memory(),
        }
    }
}

impl Process {
    /// Kills everything and takes the process off the kernel's table.
    async fn kill(&mut self) {
        self.tree.kill().await;
        let _ = tokio::time::timeout(DRAIN, self.child.wait()).await;
    }
}
