//! A stage: holds one tool from its start to the end of all that it started.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use praxis_worker::staging::{
    Answer, FIXED_FILES, KILL, MAX_ORDER_BYTES, Order, START, STOP, Step,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, pidfd_open,
    set_child_subreaper, set_dumpable_behavior, setrlimit, setsid,
};

use super::children::{self, Left};
use super::root::Root;
use super::{At, Failure, Level, answer, receive, restrict};

/// How often a stage looks for children that have ended and that nobody waits for, in seconds.
const REAP_SECONDS: i64 = 1;

pub(super) fn run(level: Level, scratch_bytes: Option<&str>) -> Result<(), Failure> {
    // The descriptor 0 becomes the tool's own, so the socket is kept elsewhere.
    let socket = io::stdin().as_fd().try_clone_to_owned().at(Step::Stage)?;
    let root = prepare(level, scratch_bytes)?;
    answer(&socket, Answer::Ready);
    let Some((START, files)) = receive(&socket).at(Step::Order)? else {
        return Ok(());
    };
    let tool = start(root, files)?;
    attend(level, &socket, tool);
    Ok(())
}

/// What can be done before there is a tool.
fn prepare(level: Level, scratch_bytes: Option<&str>) -> Result<Option<Root>, Failure> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::Limits)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).at(Step::Limits)?;
    match level {
        Level::Process => {
            setsid().at(Step::Limits)?;
            // Any process id turns it on; the kernel only looks whether it is 0.
            set_child_subreaper(Some(Pid::INIT)).at(Step::Limits)?;
            Ok(None)
        }
        Level::Sandbox => {
            // The first process of a namespace may already lead its session.
            let _ = setsid();
            Root::prepare(scratch_bytes.unwrap_or("0")).map(Some)
        }
    }
}

fn start(root: Option<Root>, files: Vec<OwnedFd>) -> Result<Pid, Failure> {
    let mut files = files.into_iter();
    let Some([order, stdin, stdout, stderr]) = take::<FIXED_FILES>(&mut files) else {
        return Err(Errno::BADF).at(Step::Order);
    };
    for cgroup in files {
        // "0" is the process that writes it.
        rustix::io::write(&cgroup, b"0").at(Step::Cgroup)?;
    }
    let order = read(order)?;
    if order.file_bytes != 0 {
        let most = Rlimit {
            current: Some(order.file_bytes),
            maximum: Some(order.file_bytes),
        };
        setrlimit(Resource::Fsize, most).at(Step::Limits)?;
    }
    // Soft limits of those who start Praxis may be high, and programs that close all descriptors suffer by it.
    let open = getrlimit(Resource::Nofile);
    let soft = Rlimit {
        current: open
            .current
            .map_or(Some(1024), |current| Some(current.min(1024))),
        ..open
    };
    setrlimit(Resource::Nofile, soft).at(Step::Limits)?;
    match root {
        None => {
            std::env::set_current_dir(&order.folder).at(Step::Folder)?;
            restrict::process()?;
        }
        Some(root) => {
            root.enter(&order.binds)?;
            std::env::set_current_dir(&order.folder).at(Step::Folder)?;
            restrict::sandbox(&order.binds)?;
        }
    }
    let mut command = Command::new(&order.program);
    command
        .args(&order.words)
        .env_clear()
        .envs(order.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr))
        .process_group(0);
    let mut tries = 0;
    let child = loop {
        match command.spawn() {
            // Another process that forks while a program is being written holds it open for a moment.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < 20 => {
                tries += 1;
                thread::sleep(Duration::from_millis(10));
            }
            outcome => break outcome.at(Step::Start)?,
        }
    };
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(Errno::SRCH)
        .at(Step::Start)
}

fn take<const N: usize>(files: &mut impl Iterator<Item = OwnedFd>) -> Option<[OwnedFd; N]> {
    let some: Vec<OwnedFd> = files.take(N).collect();
    some.try_into().ok()
}

fn read(order: OwnedFd) -> Result<Order, Failure> {
    let file = File::from(order);
    let length = file.metadata().at(Step::Order)?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    file.take(MAX_ORDER_BYTES as u64 + 4)
        .read_to_end(&mut bytes)
        .at(Step::Order)?;
    Order::decode(&bytes)
        .map_err(|_| Errno::INVAL)
        .at(Step::Order)
}

/// Waits for the tool's end or for a word from Praxis, and sees to it that nothing is left.
fn attend(level: Level, socket: &OwnedFd, tool: Pid) {
    let mut status = None;
    let handle = pidfd_open(tool, PidfdFlags::empty());
    let pause = Timespec {
        // Where there are no such handles, the tool's end is looked for often.
        tv_sec: if handle.is_ok() { REAP_SECONDS } else { 0 },
        tv_nsec: if handle.is_ok() { 0 } else { 1_000_000 },
    };
    loop {
        let mut events = vec![PollFd::new(socket, PollFlags::IN)];
        if let Ok(handle) = &handle {
            events.push(PollFd::new(handle, PollFlags::IN));
        }
        let _ = poll(&mut events, Some(&pause));
        let word = !events[0].revents().is_empty();
        let left = children::reap(tool, &mut status);
        if status.is_some() {
            if left == Left::Some {
                children::end(level, tool, &mut status);
            }
            break;
        }
        if !word {
            continue;
        }
        match receive(socket) {
            Ok(Some((STOP, _))) => children::signal(level, Signal::TERM),
            Ok(Some((KILL, _))) | Ok(None) => {
                children::end(level, tool, &mut status);
                break;
            }
            Err(Errno::AGAIN) | Ok(Some(_)) => {}
            Err(_) => {
                children::end(level, tool, &mut status);
                break;
            }
        }
    }
    let killed = Signal::KILL.as_raw();
    answer(socket, Answer::Ended(status.unwrap_or(killed)));
}
