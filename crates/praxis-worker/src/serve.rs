//! `praxis-worker serve SOCKET UID GID [FOLDER]...`: the first process of a warm container.
//!
//! It dials the socket once and does what it is told there: it starts one tool at a time as the given user,
//! with streams of its own and nothing in its environment but the container's and the call's, and answers when no process of the call is left.
//! Between the calls it empties the folders. When the socket closes it exits, and with it the container.

mod launch;
mod receive;
mod tidy;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use praxis_worker::frames::{Answer, Ended, Exit, Order, Run, STREAMS, VERSION};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};

use self::launch::{launch, take_group};
use self::receive::Orders;
use self::tidy::{Folders, OomCounter};

const USAGE: &str = "usage: praxis-worker serve SOCKET UID GID [FOLDER]...";

/// Serves until the socket closes.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode, String> {
    let [socket, uid, gid, folders @ ..] = arguments else {
        return Err(USAGE.to_owned());
    };
    if std::process::id() != 1 {
        // It ends a call by killing every process that it may, which must be those of the container.
        return Err("it serves only as the first process of a container".to_owned());
    }
    let stream = UnixStream::connect(socket)
        .map_err(|error| format!("cannot connect to {}: {error}", socket.display()))?;
    let user = number("UID", uid)?;
    let worker = Worker {
        state: Mutex::new(State {
            answers: stream
                .try_clone()
                .map_err(|error| format!("cannot share the socket: {error}"))?,
            running: None,
        }),
        uid: user,
        folders: Folders::open(folders, user)
            .map_err(|error| format!("cannot look at the folders: {error}"))?,
    };
    take_group(number("GID", gid)?).map_err(|error| format!("cannot take its group: {error}"))?;
    worker
        .state()
        .answer(&Answer::Hello(VERSION))
        .map_err(|error| format!("cannot answer: {error}"))?;
    let (started, starts) = channel();
    std::thread::scope(|scope| {
        let other = &worker;
        // The thread that starts tools is the tool's user for a moment, and the tool may signal that user's processes
        // for as long. Whom a signal to process 1 is meant for is this first thread, which attends: at the only time
        // when it is that user there is no tool.
        // Without one of its halves the worker is of no use, and Praxis sees it end.
        let obeying = std::thread::Builder::new().spawn_scoped(scope, move || {
            leave(other.obey(Orders::new(&stream), &started))
        });
        let why = match obeying {
            Ok(_) => worker.attend(&starts),
            Err(error) => Err(format!("cannot start a thread: {error}")),
        };
        leave(why)
    })
}

/// Ends the program with both of its threads, and with it everything in the container.
fn leave(why: Result<(), String>) -> ! {
    let code = match why {
        Ok(()) => 0,
        Err(why) => {
            let _ = writeln!(io::stderr(), "praxis-worker: {why}");
            i32::from(crate::UNUSABLE)
        }
    };
    std::process::exit(code)
}

fn number(name: &str, text: &OsStr) -> Result<u32, String> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    match number {
        Some(number) if number != 0 => Ok(number),
        _ => Err(format!("{name} is {text:?}; it is a number above 0")),
    }
}

struct Worker {
    state: Mutex<State>,
    uid: u32,
    folders: Folders,
}

/// What both threads touch. Frames are written under its lock, so that they do not mix.
struct State {
    answers: UnixStream,
    running: Option<u64>,
}

/// A tool that was just started.
struct Started {
    call: u64,
    pid: Pid,
    at: Instant,
}

impl State {
    fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        self.answers.write_all(&answer.encode())
    }
}

impl Worker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads orders until the socket closes. Starting and signalling happen here, so that they never overtake each other.
    fn obey(&self, mut orders: Orders<'_>, started: &Sender<Started>) -> Result<(), String> {
        while let Some(order) = orders.next()? {
            let mut state = self.state();
            let answered = match order {
                Order::Run(_) if state.running.is_some() => {
                    return Err("a tool was to be started while another runs".to_owned());
                }
                Order::Run(run) => match self.start(&run, orders.streams()?) {
                    Ok(start) => {
                        state.running = Some(run.call);
                        started.send(start).map_err(|error| error.to_string())?;
                        Ok(())
                    }
                    Err(error) => state.answer(&Answer::Refused {
                        call: run.call,
                        errno: error.raw_os_error().unwrap_or(0),
                        folder: !Path::new(&run.folder).is_dir(),
                    }),
                },
                Order::Stop(call) => {
                    if state.running == Some(call) {
                        signal_all(Signal::TERM);
                    }
                    Ok(())
                }
                Order::Ping(number) => state.answer(&Answer::Pong(number)),
            };
            answered.map_err(|error| format!("cannot answer: {error}"))?;
        }
        Ok(())
    }

    fn start(&self, run: &Run, streams: [OwnedFd; STREAMS]) -> io::Result<Started> {
        let at = Instant::now();
        let pid = launch(run, streams, self.uid)?;
        Ok(Started {
            call: run.call,
            pid,
            at,
        })
    }

    /// Takes off the table what ends, orphans included, and answers when a tool and all that it started has.
    fn attend(&self, starts: &Receiver<Started>) -> Result<(), String> {
        let mut oom = OomCounter::open();
        for start in starts {
            let exit = await_end(start.pid)?;
            let nanoseconds = u64::try_from(start.at.elapsed().as_nanos()).unwrap_or(u64::MAX);
            kill_rest()?;
            let ended = Ended {
                call: start.call,
                exit,
                oom_kills: oom.since_last(),
                clean: self.folders.empty().is_ok(),
                nanoseconds,
            };
            let mut state = self.state();
            state.running = None;
            state
                .answer(&Answer::Ended(ended))
                .map_err(|error| format!("cannot answer: {error}"))?;
        }
        Ok(())
    }
}

fn signal_all(signal: Signal) {
    // The group of process 1 stands for every process but the caller; that there is none is no fault.
    let _ = kill_process_group(Pid::INIT, signal);
}

/// Waits for this process, and on the way for every orphan that ends.
fn await_end(tool: Pid) -> Result<Exit, String> {
    loop {
        let Some((pid, status)) = await_any()? else {
            return Err("a tool that was started is gone without a trace".to_owned());
        };
        if pid != tool {
            continue;
        }
        if let Some(code) = status.exit_status() {
            return Ok(Exit::Code(code));
        }
        if let Some(signal) = status.terminating_signal() {
            return Ok(Exit::Signal(signal));
        }
    }
}

/// Kills until there is nobody left.
fn kill_rest() -> Result<(), String> {
    loop {
        signal_all(Signal::KILL);
        if await_any()?.is_none() {
            return Ok(());
        }
    }
}

fn await_any() -> Result<Option<(Pid, rustix::process::WaitStatus)>, String> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(ended) => return Ok(ended),
            Err(rustix::io::Errno::CHILD) => return Ok(None),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("cannot wait for a process: {error}")),
        }
    }
}
