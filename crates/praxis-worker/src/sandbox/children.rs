//! The processes below this one: all that a tool has started, wherever they went.
//!
//! A stage is the first process of its namespace or a subreaper, so that whoever loses its parent becomes its child.

use std::collections::HashSet;
use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, wait};

use super::Level;

/// How often the living are looked for before they are given up; each time all that were found were killed.
const MAX_ROUNDS: u32 = 1000;

/// Takes ended children off the kernel's table, and gives the status of the one that is asked for.
pub(super) fn reap(wanted: Pid, status: &mut Option<i32>) -> Left {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, ended))) => {
                if pid == wanted {
                    *status = Some(ended.as_raw());
                }
            }
            Ok(None) => return Left::Some,
            Err(Errno::INTR) => {}
            Err(_) => return Left::None,
        }
    }
}

/// Whether there are children, alive or dying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    None,
    Some,
}

/// Sends a signal to all processes below this one.
pub(super) fn signal(level: Level, signal: Signal) {
    match level {
        Level::Sandbox => {
            // As `kill(-1)`: everyone in the namespace but its first process, which is this one.
            let _ = kill_process_group(Pid::INIT, signal);
        }
        Level::Process => {
            for pid in below() {
                let _ = kill_process(pid, signal);
            }
        }
    }
}

/// Kills all processes below this one and waits until they have gone.
pub(super) fn end(level: Level, wanted: Pid, status: &mut Option<i32>) {
    for _ in 0..MAX_ROUNDS {
        if reap(wanted, status) == Left::None {
            return;
        }
        signal(level, Signal::KILL);
        // Blocks until one has died; the others are on their way.
        if let Ok(Some((pid, ended))) = wait(WaitOptions::empty())
            && pid == wanted
        {
            *status = Some(ended.as_raw());
        }
    }
}

/// The ids of all processes below this one.
fn below() -> Vec<Pid> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let own = getpid().as_raw_nonzero().get();
    let mut known = HashSet::from([own]);
    let mut found = Vec::new();
    loop {
        let before = found.len();
        for (pid, parent) in &parents {
            if known.contains(parent) && known.insert(*pid) {
                found.extend(Pid::from_raw(*pid));
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Reads `pid (name) state ppid …`, where the name may hold anything.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.next()?.parse().ok(),
    }
}
