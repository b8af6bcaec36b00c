//! The keeper: starts stages, and takes them off the kernel's table when they have ended.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use praxis_worker::staging::{Answer, Network, Step};
use rustix::process::{DumpableBehavior, set_dumpable_behavior, setsid};

use super::root::Template;
use super::{At, Failure, Level, answer, namespaces, receive, restrict};

/// A thread of the keeper starts one program and waits for it.
const STACK_BYTES: usize = 128 * 1024;

pub(super) fn run(level: Level, arguments: &[OsString]) -> Result<(), Failure> {
    // Signals of the terminal are for Praxis, which decides what becomes of its tools.
    let _ = setsid();
    let program = Program::of_this_process(arguments.first()).at(Step::Stage)?;
    let program = match level {
        Level::Process => program,
        Level::Sandbox => {
            namespaces::users()?;
            Template::build(arguments)?;
            restrict::keeper()?;
            // Since the tools are of the same user, only this keeps the keeper's memory from theirs.
            set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::Root)?;
            program.below(super::root::HOST)
        }
    };
    let program = Arc::new(program);
    let orders = io::stdin();
    answer(&orders, Answer::Ready);
    while let Some((byte, files)) = receive(orders.as_fd()).at(Step::Order)? {
        let Some(network) = Network::from_byte(byte) else {
            continue;
        };
        for socket in files {
            let program = Arc::clone(&program);
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            // A socket that is dropped tells Praxis that there is no stage.
            let _ = thread.spawn(move || hold(level, network, &program, socket));
        }
    }
    Ok(())
}

/// Starts one stage and waits for its end.
fn hold(level: Level, network: Network, program: &Program, socket: OwnedFd) {
    let own = match level {
        Level::Process => Ok(()),
        Level::Sandbox => namespaces::own(network),
    };
    let started = own.and_then(|()| {
        let stage = socket.try_clone().at(Step::Stage)?;
        program.start(level, stage).at(Step::Stage)
    });
    match started {
        Ok(mut child) => {
            drop(socket);
            let _ = child.wait();
        }
        Err(failure) => answer(&socket, failure.answer()),
    }
}

/// This program, to be started again.
struct Program {
    _file: File,
    path: String,
    scratch_bytes: OsString,
}

impl Program {
    fn of_this_process(scratch_bytes: Option<&OsString>) -> io::Result<Self> {
        let file = File::open("/proc/self/exe")?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(Self {
            _file: file,
            path,
            scratch_bytes: scratch_bytes.cloned().unwrap_or_default(),
        })
    }

    /// The same, where the root of the machine is at another path.
    fn below(self, host: &str) -> Self {
        let path = format!("{host}{}", self.path);
        Self { path, ..self }
    }

    fn start(&self, level: Level, socket: OwnedFd) -> io::Result<std::process::Child> {
        Command::new(&self.path)
            .arg0("praxis-worker")
            .args(["stage", level.name()])
            .arg(&self.scratch_bytes)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(socket))
            .spawn()
    }
}
