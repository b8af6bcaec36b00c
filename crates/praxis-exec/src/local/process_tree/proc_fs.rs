//! The members of a tree, as Linux's /proc shows them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::sync::OnceLock;

use rustix::fs::{PROC_SUPER_MAGIC, statfs};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::Group;
use crate::local::MARK_VARIABLE;

/// The longest environment that is searched for the mark; Linux allows about as much.
const MAX_ENVIRONMENT_BYTES: u64 = 4 * 1024 * 1024;

/// The first and the last process id that a member can have.
pub(super) type Range = (i32, i32);

/// The range that holds no process.
pub(super) const NOBODY: Range = (1, 0);

/// The ids given out since the process `pid` started, if that can be told.
///
/// The kernel gives ids out in ascending order and says which was the last.
/// If it is `pid`'s own, nothing was started since then, and a search can be left out.
pub(super) fn started_after(pid: i32) -> Option<Range> {
    static TRUSTED: OnceLock<bool> = OnceLock::new();
    // In some containers the file is not the kernel's but an imitation that lags behind.
    let trusted = TRUSTED.get_or_init(|| {
        statfs("/proc/loadavg").is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC)
    });
    if !trusted {
        return None;
    }
    let mut text = [0; 128];
    let length = File::open("/proc/loadavg").ok()?.read(&mut text).ok()?;
    let text = std::str::from_utf8(&text[..length]).ok()?;
    let last: i32 = text.split_ascii_whitespace().last()?.parse().ok()?;
    match last.cmp(&pid) {
        std::cmp::Ordering::Equal => Some(NOBODY),
        std::cmp::Ordering::Greater => Some((pid + 1, last)),
        std::cmp::Ordering::Less => None,
    }
}

/// A process that belongs to a tree.
pub(super) struct Member {
    pid: i32,
    start: u64,
}

impl Member {
    /// Sends a signal, unless the id has gone to another process since the search.
    pub(super) fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return;
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => {
                if stat(self.pid).is_some_and(|found| found.start == self.start) {
                    let _ = pidfd_send_signal(&handle, signal);
                }
            }
            Err(rustix::io::Errno::SRCH) => {}
            Err(_) => {
                let _ = kill_process(pid, signal);
            }
        }
    }
}

/// The living members of a tree: the root, its group, its descendants, and who carries the mark.
pub(super) fn members(group: &Group, range: Option<Range>) -> Vec<Member> {
    // No process has the id -1, while 0 is the parent of what the kernel itself started.
    let root = group.root.map_or(-1, |root| root.as_raw_nonzero().get());
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut others: Vec<Stat> = process_ids(range)
        .filter(|pid| *pid != own && *pid != 1)
        .filter_map(stat)
        .filter(|found| !found.dead)
        .collect();
    let mut known: HashSet<i32> = HashSet::from([root]);
    let mut found = Vec::new();
    let join = |stat: &Stat, known: &mut HashSet<i32>, found: &mut Vec<Member>| {
        known.insert(stat.pid);
        found.push(Member {
            pid: stat.pid,
            start: stat.start,
        });
    };
    others.retain(|stat| {
        let member = stat.pid == root || stat.group == root || has_mark(stat.pid, &group.mark);
        if member {
            join(stat, &mut known, &mut found);
        }
        !member
    });
    loop {
        let before = others.len();
        others.retain(|stat| {
            let member = known.contains(&stat.parent);
            if member {
                join(stat, &mut known, &mut found);
            }
            !member
        });
        if others.len() == before {
            return found;
        }
    }
}

fn process_ids(range: Option<Range>) -> Box<dyn Iterator<Item = i32>> {
    const FEW: i32 = 64;
    match range {
        Some((first, last)) if last.saturating_sub(first) < FEW => Box::new(first..=last),
        _ => {
            let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
            let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            Box::new(
                ids.filter(move |pid| {
                    range.is_none_or(|(first, last)| (first..=last).contains(pid))
                }),
            )
        }
    }
}

struct Stat {
    pid: i32,
    parent: i32,
    group: i32,
    start: u64,
    dead: bool,
}

fn stat(pid: i32) -> Option<Stat> {
    let mut text = [0; 512];
    let length = File::open(format!("/proc/{pid}/stat"))
        .ok()?
        .read(&mut text)
        .ok()?;
    parse_stat(pid, &text[..length])
}

/// Reads `pid (name) state ppid pgrp …`, where the name may hold anything, closing brackets included.
fn parse_stat(pid: i32, text: &[u8]) -> Option<Stat> {
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(&text[name_end + 1..]).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let start = fields.nth(16)?.parse().ok()?;
    Some(Stat {
        pid,
        parent,
        group,
        start,
        dead: matches!(state, "Z" | "X" | "x"),
    })
}

/// Whether a process was started with the mark, which only its own user can see.
fn has_mark(pid: i32, mark: &str) -> bool {
    let mut environment = Vec::new();
    let read = File::open(format!("/proc/{pid}/environ")).and_then(|file| {
        file.take(MAX_ENVIRONMENT_BYTES)
            .read_to_end(&mut environment)
    });
    read.is_ok()
        && environment
            .split(|byte| *byte == 0)
            .filter_map(|entry| entry.strip_prefix(MARK_VARIABLE.as_bytes()))
            .filter_map(|entry| entry.strip_prefix(b"="))
            .any(|marks| {
                marks
                    .split(|byte| *byte == b',')
                    .filter_map(|each| each.strip_prefix(mark.as_bytes()))
                    .any(|rest| rest.is_empty() || rest.starts_with(b"/"))
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_brackets_and_blanks() {
        let line = b"7 (a) R 1 (b c) S 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99 1000";
        let stat = parse_stat(7, line).unwrap();
        assert_eq!(
            (stat.parent, stat.group, stat.start, stat.dead),
            (3, 4, 99, false)
        );
    }

    #[test]
    fn this_process_can_be_read() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(stat(own).is_some_and(|stat| !stat.dead && stat.start > 0));
        assert!(!has_mark(own, "no such mark"));
    }
}
