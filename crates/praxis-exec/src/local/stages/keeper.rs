//! The process that starts stages, and the stages that wait for work.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use praxis_worker::staging::{ANSWER_BYTES, Answer, MAX_FILES, Network, START, Step};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};

use super::super::Level;
use super::{Refusal, Settings, is_passing, registered};

/// How long a keeper or a stage has to say that it is ready.
const START_TIME: Duration = Duration::from_secs(10);

/// The most stages that wait for work.
const MOST_READY: usize = 4;

/// A running keeper. Dropped, it ends, and so do the stages that wait for work.
#[derive(Debug)]
pub(super) struct Keeper {
    level: Level,
    socket: UnixStream,
    process: Mutex<Child>,
    ready: Mutex<VecDeque<UnixStream>>,
    /// How many calls are taking a stage; as many are kept ready, within bounds.
    wanted: AtomicUsize,
    away: AtomicBool,
}

/// Why there is no stage.
pub(super) enum Unready {
    /// The machine cannot do it.
    Refused(Refusal),
    /// The keeper or the stage has ended.
    Away,
}

impl Keeper {
    pub(super) fn start(level: Level, settings: &Settings) -> Result<Self, Refusal> {
        let refused = |error: io::Error| {
            Refusal {
            message: format!("the level `{level}` is not available: cannot start its keeper: {error}"),
            help: "the worker is started from memory, as /proc/self/fd/…; a noexec rule for such files forbids it (sysctl vm.memfd_noexec)".to_owned(),
            passing: error.raw_os_error().is_some_and(is_passing),
        }
        };
        let program = program().map_err(|error| Refusal {
            message: format!("the level `{level}` is not available: {}", error.message),
            help: error.help,
            passing: error.passing,
        })?;
        let (socket, theirs) = UnixStream::pair().map_err(refused)?;
        let mut words: Vec<OsString> = vec!["sandbox".into(), level.as_str().into()];
        words.push(settings.scratch_bytes.to_string().into());
        words.extend(settings.visible.iter().map(Into::into));
        let process = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
            .arg0("praxis-worker")
            .args(words)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(refused)?;
        let keeper = Self {
            level,
            socket,
            process: Mutex::new(process),
            ready: Mutex::default(),
            wanted: AtomicUsize::new(0),
            away: AtomicBool::new(false),
        };
        let said = keeper.socket.set_read_timeout(Some(START_TIME));
        let mut bytes = [0; ANSWER_BYTES];
        said.and_then(|()| (&keeper.socket).read_exact(&mut bytes))
            .map_err(refused)?;
        match Answer::decode(bytes) {
            Ok(Answer::Ready) => {}
            Ok(Answer::Failed(step, errno)) => return Err(refusal(level, step, errno)),
            _ => return Err(refused(io::ErrorKind::InvalidData.into())),
        }
        if level == Level::Sandbox {
            keeper.first(refused)?;
        }
        Ok(keeper)
    }

    /// Has a stage started, since a machine may let a keeper be and yet no stage, and keeps it for the first call.
    fn first(&self, refused: impl Fn(io::Error) -> Refusal + Copy) -> Result<(), Refusal> {
        let away = || refused(io::ErrorKind::BrokenPipe.into());
        let socket = self.order(self.standard()).map_err(|_| away())?;
        socket.set_read_timeout(Some(START_TIME)).map_err(refused)?;
        let mut bytes = [0; ANSWER_BYTES];
        // The answer stays where it is for the call.
        // With a time limit on the socket, any signal ends the call, a child's end among them.
        let peek = || recv(&socket, &mut bytes, RecvFlags::PEEK | RecvFlags::WAITALL);
        let (filled, _) = rustix::io::retry_on_intr(peek).map_err(|errno| refused(errno.into()))?;
        if filled < ANSWER_BYTES {
            return Err(away());
        }
        if let Ok(Answer::Failed(step, errno)) = Answer::decode(bytes) {
            return Err(refusal(self.level, step, errno));
        }
        self.lock().push_back(socket);
        Ok(())
    }

    /// Whether it is there, as far as is known.
    pub(super) fn lives(&self) -> bool {
        !self.away.load(Ordering::Relaxed)
    }

    /// A stage that is ready.
    pub(super) async fn stage(&self, network: Network) -> Result<Replies, Unready> {
        let wanted = self.wanted.fetch_add(1, Ordering::Relaxed) + 1;
        let outcome = self.take(network).await;
        if outcome.is_ok() {
            self.refill(wanted.min(MOST_READY));
        }
        self.wanted.fetch_sub(1, Ordering::Relaxed);
        outcome
    }

    async fn take(&self, network: Network) -> Result<Replies, Unready> {
        let standard = self.standard();
        let waiting = match network == standard {
            true => self.lock().pop_front(),
            false => None,
        };
        let socket = match waiting {
            Some(socket) => socket,
            None => self.order(network)?,
        };
        let socket = registered(socket).map_err(|_| Unready::Away)?;
        let mut replies = Replies {
            socket,
            bytes: [0; ANSWER_BYTES],
            filled: 0,
        };
        match tokio::time::timeout(START_TIME, replies.next()).await {
            Ok(Ok(Answer::Ready)) => Ok(replies),
            Ok(Ok(Answer::Failed(step, errno))) => {
                Err(Unready::Refused(refusal(self.level, step, errno)))
            }
            _ => Err(Unready::Away),
        }
    }

    /// The network of the stages that wait for work.
    fn standard(&self) -> Network {
        match self.level {
            Level::Sandbox => Network::Own,
            _ => Network::Host,
        }
    }

    fn refill(&self, most: usize) {
        let mut ready = self.lock();
        while ready.len() < most {
            match self.order(self.standard()) {
                Ok(socket) => ready.push_back(socket),
                Err(_) => return,
            }
        }
    }

    /// Has a stage started, and gives the socket on which it will say that it is ready.
    fn order(&self, network: Network) -> Result<UnixStream, Unready> {
        let (socket, theirs) = UnixStream::pair().map_err(|_| Unready::Away)?;
        send_files(self.socket.as_fd(), network.byte(), &[theirs.as_fd()]).map_err(|_| {
            self.away.store(true, Ordering::Relaxed);
            Unready::Away
        })?;
        Ok(socket)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<UnixStream>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let process = self.process.get_mut();
        let process = process.unwrap_or_else(PoisonError::into_inner);
        // Stages that hold a tool have a socket of their own, and go on until that is closed.
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// The socket of a stage.
pub(super) struct Replies {
    socket: tokio::net::UnixStream,
    bytes: [u8; ANSWER_BYTES],
    filled: usize,
}

impl Replies {
    /// The next answer. May be given up and taken up again.
    pub(super) async fn next(&mut self) -> io::Result<Answer> {
        while self.filled < ANSWER_BYTES {
            self.socket.readable().await?;
            match self.socket.try_read(&mut self.bytes[self.filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => self.filled += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        self.filled = 0;
        Answer::decode(self.bytes).map_err(io::Error::other)
    }

    /// Gives the stage its order.
    pub(super) fn start(&mut self, files: &[OwnedFd]) -> Result<(), Errno> {
        let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        send_files(self.socket.as_fd(), START, &files)
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn send_files(socket: BorrowedFd<'_>, byte: u8, files: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(Errno::TOOBIG);
    }
    let bytes = [byte];
    let slices = [io::IoSlice::new(&bytes)];
    sendmsg(socket, &slices, &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// Why the machine cannot do it, and what to do about it.
fn refusal(level: Level, step: Step, errno: i32) -> Refusal {
    let error = io::Error::from_raw_os_error(errno);
    let help = match (step, Errno::from_raw_os_error(errno)) {
        (Step::UserNamespace, Errno::NOSPC) => {
            "raise the sysctl user.max_user_namespaces above 0, or run the tool in a container"
        }
        (Step::UserNamespace, Errno::PERM | Errno::ACCESS) => {
            "user namespaces are forbidden here: allow them (sysctl kernel.unprivileged_userns_clone=1, \
             kernel.apparmor_restrict_unprivileged_userns=0; in a container, a seccomp profile with unshare and mount, \
             such as `--security-opt seccomp=unconfined`), or run the tool in a container of its own"
        }
        (Step::Proc, _) => {
            "a container that hides parts of its /proc forbids another: start it with an unmasked one \
             (Docker: `--security-opt systempaths=unconfined`), or run the tool in a container of its own"
        }
        (_, Errno::NOSYS) => "the kernel is too old or built without it; the level needs Linux 5.6",
        _ => {
            "`praxis doctor` shows what this machine can do; an engine of containers needs less of the kernel"
        }
    };
    Refusal {
        message: format!("the level `{level}` is not available: cannot {step}: {error}"),
        help: help.to_owned(),
        passing: is_passing(errno),
    }
}

/// The worker, as a file that is nowhere on disk and that nobody can change.
pub(super) fn program() -> Result<&'static File, Refusal> {
    static PROGRAM: OnceLock<Result<File, Refusal>> = OnceLock::new();
    let made = PROGRAM.get_or_init(|| {
        let bytes = crate::worker::program().map_err(|error| Refusal {
            message: error.message().to_owned(),
            help: error.help().unwrap_or_default().to_owned(),
            passing: false,
        })?;
        in_memory("praxis-worker", bytes, true).map_err(|error| Refusal {
            message: format!("cannot keep the worker in memory: {error}"),
            help: "the machine is short of memory, or forbids files in memory (sysctl vm.memfd_noexec)".to_owned(),
            passing: false,
        })
    });
    made.as_ref().map_err(Clone::clone)
}

/// A file that is nowhere on disk.
pub(super) fn in_memory(name: &str, bytes: &[u8], executable: bool) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match executable {
        // Kernels before 6.3 do not know the flag, and take every such file for a program.
        true => memfd_create(name, flags | MemfdFlags::EXEC).or_else(|_| memfd_create(name, flags)),
        false => memfd_create(name, MemfdFlags::CLOEXEC),
    };
    let mut file = File::from(file?);
    file.write_all(bytes)?;
    if executable {
        let change = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK;
        fcntl_add_seals(&file, change | SealFlags::SEAL)?;
    }
    file.rewind()?;
    Ok(file)
}
