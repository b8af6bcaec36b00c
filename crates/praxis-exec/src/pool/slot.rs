//! A warm container with a worker in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixListener;

use super::link::{Link, Lost};
use super::stock::shut_down;
use crate::container::{Container, Spec};
use crate::docker::Client;
use crate::mounts::Bind;
use crate::{CallId, Error, ErrorKind, worker};

/// Where a container finds the worker.
const PROGRAM: &str = "/praxis/worker";

/// Where a container finds the folder of the socket that its worker dials.
const SOCKETS: &str = "/praxis/socket";

/// How long a worker may take from the start of its container until it has dialled in.
const ARRIVAL: Duration = Duration::from_secs(20);

/// Folders that a tool can write to although its container is read-only, beside those of the specification.
const SHARED_MEMORY: [&str; 2] = ["/dev/shm", "/dev/mqueue"];

/// Settings of the kernel that leave a tool nothing to leave behind but files and processes:
/// no shared memory, messages or semaphores of System V, and no connections that linger.
const NO_RESIDUE: [(&str, &str); 4] = [
    ("kernel.shmmni", "0"),
    ("kernel.msgmni", "0"),
    ("kernel.sem", "0 0 0 0"),
    ("net.ipv4.tcp_max_tw_buckets", "0"),
];

/// What the calls that one warm container can serve have in common.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kind {
    pub(super) tool: String,
    /// Whether one container serves one call after the other.
    pub(super) reuse: bool,
    /// How often the image of this name was seen to become another.
    image_version: u64,
    /// Without what belongs to one call alone: the command, the environment and the folder to start in.
    pub(super) spec: Spec,
    /// Which folders the mounts are: one that was put in another's place is not seen by containers that are there.
    folders: Vec<(u64, u64)>,
}

impl Kind {
    /// Splits the container of one call into what makes the container and what makes the call.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where a mounted folder has just gone.
    pub(super) fn split(
        tool: &str,
        reuse: bool,
        image_version: u64,
        spec: Spec,
    ) -> Result<(Self, Call), Error> {
        let call = Call {
            command: spec.command,
            env: spec.env,
            folder: spec.work_dir,
        };
        let spec = Spec {
            command: Vec::new(),
            env: Vec::new(),
            work_dir: "/".to_owned(),
            ..spec
        };
        let identify = |bind: &Bind| {
            let found = fs::metadata(&bind.source).map_err(|source| {
                let message = format!("cannot mount {}: {source}", bind.source.display());
                Error::new(ErrorKind::NotFound, message).with_source(source)
            })?;
            Ok((found.dev(), found.ino()))
        };
        let folders = spec.binds.iter().map(identify).collect::<Result<_, _>>()?;
        // What is emptied after a call must hold nothing of the host's.
        let mounted_over = spec.scratch.iter().any(|(folder, _)| {
            let inside = |bind: &Bind| Path::new(&bind.target).starts_with(folder);
            spec.binds.iter().any(inside)
        });
        let kind = Self {
            tool: tool.to_owned(),
            // A root file system that can be written to cannot be emptied.
            reuse: reuse && !mounted_over && spec.read_only,
            image_version,
            spec,
            folders,
        };
        Ok((kind, call))
    }

    /// User and group number of the tool, if a worker can start it as them.
    pub(super) fn user(spec: &Spec) -> Option<(u32, u32)> {
        let (user, group) = spec.user.split_once(':')?;
        let (user, group) = (user.parse().ok()?, group.parse().ok()?);
        (user != 0 && group != 0).then_some((user, group))
    }
}

/// What is particular to one call.
pub(super) struct Call {
    pub(super) command: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) folder: String,
}

/// A warm container. Dropped, everything in it ends and it is removed.
pub(super) struct Slot {
    /// Comes first: closing it ends the worker at once, whatever the daemon does.
    pub(super) link: Link,
    container: Container,
}

impl Slot {
    /// Starts a container and waits until its worker is there, or until it is `given_up`.
    ///
    /// # Errors
    /// What the daemon refuses; [`ErrorKind::Unavailable`] where the worker does not come;
    /// [`ErrorKind::Cancelled`] where it is given up, and then the container is gone.
    pub(super) async fn start(
        client: &Client,
        kind: &Kind,
        given_up: impl Future<Output = ()>,
    ) -> Result<Self, Error> {
        let post = Post::open()?;
        let spec = resident(kind, worker::file()?, &post.folder)?;
        let container = Container::create(client, &spec).await?;
        let arrived = tokio::select! {
            arrived = arrive(&container, &post) => arrived,
            () = given_up => {
                container.remove().await;
                return Err(shut_down());
            }
        };
        arrived.map(|link| Self { link, container })
    }

    /// The name under which the daemon knows the container.
    pub(super) fn name(&self) -> &str {
        self.container.name()
    }

    /// Whether the worker answers within this time.
    pub(super) async fn is_well(&mut self, within: Duration) -> Result<(), Lost> {
        match tokio::time::timeout(within, self.link.ping()).await {
            Ok(answered) => answered,
            Err(_) => Err(Lost::Failed(std::io::ErrorKind::TimedOut.into())),
        }
    }

    /// Ends it, and returns when the container is gone.
    pub(super) async fn close(self) {
        drop(self.link);
        self.container.remove().await;
    }
}

/// Starts the container and waits for the worker in it.
async fn arrive(container: &Container, post: &Post) -> Result<Link, Error> {
    container.start().await?;
    let arrival = tokio::time::timeout(ARRIVAL, Link::accept(&post.listener));
    let why = tokio::select! {
        arrived = arrival => match arrived {
            Ok(Ok(link)) => return Ok(link),
            Ok(Err(lost)) => lost.to_string(),
            Err(_) => format!("its worker did not come within {ARRIVAL:?}"),
        },
        _ = container.wait() => "its worker could not be started".to_owned(),
    };
    Err(Error::new(
        ErrorKind::Unavailable,
        format!("a container that was to be kept warm is of no use: {why}"),
    )
    .with_help(format!(
        "is the container engine on this machine, and may it run {} and see {}?",
        worker::file()?.display(),
        post.folder.display(),
    )))
}

/// The container of a worker that serves calls of this kind.
fn resident(kind: &Kind, program: &Path, sockets: &Path) -> Result<Spec, Error> {
    let (user, group) = Kind::user(&kind.spec).ok_or_else(|| {
        let message = format!("`{}` is no user and group number", kind.spec.user);
        Error::new(ErrorKind::InvalidContract, message)
    })?;
    let mut spec = kind.spec.clone();
    let bind = |source: &Path, target: &str| Bind {
        source: source.to_owned(),
        target: target.to_owned(),
        read_only: true,
    };
    spec.binds.push(bind(program, PROGRAM));
    spec.binds.push(bind(sockets, SOCKETS));
    let mut command = [PROGRAM, "serve"].map(str::to_owned).to_vec();
    command.push(format!("{SOCKETS}/{}", Post::NAME));
    command.extend([user.to_string(), group.to_string()]);
    if kind.reuse {
        command.extend(spec.scratch.iter().map(|(folder, _)| folder.clone()));
        command.extend(SHARED_MEMORY.map(str::to_owned));
        let own = |(name, _): &(&str, &str)| !spec.network || !name.starts_with("net.");
        let sysctls = NO_RESIDUE.into_iter().filter(own);
        spec.sysctls = sysctls
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
    }
    spec.command = command;
    spec.user = "0:0".to_owned();
    spec.capabilities = ["KILL", "SETGID", "SETUID"].map(str::to_owned).to_vec();
    spec.auto_remove = true;
    Ok(spec)
}

/// A socket in a folder of its own where one worker is waited for; both are gone when it is dropped.
struct Post {
    folder: PathBuf,
    listener: UnixListener,
}

impl Post {
    const NAME: &str = "praxis";

    fn open() -> Result<Self, Error> {
        let folder = worker::private_folder()?.join(CallId::unique().as_str());
        let path = folder.join(Self::NAME);
        let open = || {
            // The worker may be another user here than there, and has no right to others' files;
            // the folder around keeps everyone else away.
            fs::DirBuilder::new().mode(0o755).create(&folder)?;
            fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
            let listener = UnixListener::bind(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(0o666))?;
            Ok(listener)
        };
        let opened = open().map_err(|source: std::io::Error| {
            let message = format!("cannot listen at {}: {source}", path.display());
            Error::new(ErrorKind::Io, message).with_source(source)
        });
        match opened {
            Ok(listener) => Ok(Self { folder, listener }),
            Err(error) => {
                let _ = fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
