//! Runs tools of this machine on stages: processes that each hold one tool, on the levels `process` and `sandbox`.
//!
//! `praxis-worker sandbox LEVEL [SCRATCH_BYTES PATH…]` is the keeper, which starts the stages that it is asked for.
//! On the level `sandbox` it has a user namespace of its own, and each stage is the first process of namespaces of its own.
//! `praxis-worker stage LEVEL [SCRATCH_BYTES]` is a stage, and `praxis-worker probe` tells what this machine can do.
//! [`praxis_worker::staging`] has what they say to Praxis.

mod children;
mod keeper;
mod namespaces;
mod probe;
mod restrict;
mod root;
mod stage;

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use praxis_worker::staging::{Answer, Step};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};

pub(crate) use self::probe::run as probe;

/// How far a tool is kept from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Process,
    Sandbox,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Sandbox => "sandbox",
        }
    }

    fn read(word: Option<&OsString>) -> Result<Self, String> {
        [Self::Process, Self::Sandbox]
            .into_iter()
            .find(|level| word.is_some_and(|word| word == OsStr::new(level.name())))
            .ok_or_else(|| "the level is `process` or `sandbox`".to_owned())
    }
}

/// The keeper's whole life.
pub(crate) fn keep(arguments: &[OsString]) -> Result<ExitCode, String> {
    let level = Level::read(arguments.first())?;
    Ok(told(keeper::run(level, &arguments[1..])))
}

/// A stage's whole life.
pub(crate) fn stage(arguments: &[OsString]) -> Result<ExitCode, String> {
    let level = Level::read(arguments.first())?;
    let scratch_bytes = arguments.get(1).and_then(|bytes| bytes.to_str());
    Ok(told(stage::run(level, scratch_bytes)))
}

/// Tells Praxis what went wrong; there is nobody else to tell.
fn told(outcome: Result<(), Failure>) -> ExitCode {
    let Err(failure) = outcome else {
        return ExitCode::SUCCESS;
    };
    answer(io::stdin(), failure.answer());
    ExitCode::from(crate::UNUSABLE)
}

/// A step that failed.
#[derive(Clone, Copy, Debug)]
struct Failure {
    step: Step,
    errno: Errno,
}

impl Failure {
    fn answer(self) -> Answer {
        Answer::Failed(self.step, self.errno.raw_os_error())
    }
}

/// Names the step that an error of the operating system belongs to.
trait At<T> {
    fn at(self, step: Step) -> Result<T, Failure>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, step: Step) -> Result<T, Failure> {
        self.map_err(|errno| Failure { step, errno })
    }
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| errno(&error)).at(step)
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::INVAL)
}

fn answer(socket: impl AsFd, answer: Answer) {
    // Where Praxis has gone there is nobody to tell.
    let _ = send(socket, &answer.encode(), SendFlags::NOSIGNAL);
}

/// The next byte of a socket with the file descriptors that came with it; `None` at its end.
fn receive(socket: impl AsFd) -> Result<Option<(u8, Vec<OwnedFd>)>, Errno> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut into = [io::IoSliceMut::new(&mut byte)];
        match recvmsg(&socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            outcome => break outcome?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let files = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        })
        .flatten()
        .collect();
    Ok(Some((byte[0], files)))
}
