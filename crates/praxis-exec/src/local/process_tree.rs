//! A process with everything that it started, and the end of them all.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::MARK_VARIABLE;
use crate::CallId;

#[cfg(target_os = "linux")]
#[path = "process_tree/proc_fs.rs"]
mod scan;
#[cfg(not(target_os = "linux"))]
#[path = "process_tree/group_only.rs"]
mod scan;

/// How often a tree is looked for again before it is given up; each time everything found was killed.
const MAX_ROUNDS: u32 = 200;

/// For how long after a start the range of process ids since then says which processes can be descendants.
const RANGE_HOLDS: Duration = Duration::from_secs(1);

/// The processes of one call. Dropped, it kills what is left of them.
pub(crate) struct ProcessTree {
    group: Group,
    started: Instant,
    alive: bool,
}

/// What the members of a tree are known by.
#[derive(Clone)]
struct Group {
    root: Option<Pid>,
    mark: String,
}

impl ProcessTree {
    /// The tree of a process that was started just before as leader of its group, with the mark in its environment.
    pub(crate) fn new(root: u32, mark: CallId) -> Self {
        let root = i32::try_from(root).ok().and_then(Pid::from_raw);
        let mark = mark.as_str().to_owned();
        Self {
            group: Group { root, mark },
            started: Instant::now(),
            alive: true,
        }
    }

    /// The tree of processes that have the mark in their environment, without a root that is known.
    #[cfg(all(feature = "sandbox", target_os = "linux"))]
    pub(super) fn marked(mark: CallId) -> Self {
        Self {
            group: Group {
                root: None,
                mark: mark.as_str().to_owned(),
            },
            started: Instant::now(),
            alive: true,
        }
    }

    /// All of it is known to have ended.
    #[cfg(all(feature = "sandbox", target_os = "linux"))]
    pub(super) fn gone(&mut self) {
        self.alive = false;
    }

    /// Sends SIGTERM to all of it.
    pub(super) async fn terminate(&self) {
        self.group.signal_group(Signal::TERM);
        let group = self.group.clone();
        let _ = tokio::task::spawn_blocking(move || {
            for member in scan::members(&group, None) {
                member.signal(Signal::TERM);
            }
        })
        .await;
    }

    /// Kills all of it.
    pub(super) async fn kill(&mut self) {
        self.kill_within(None).await;
    }

    /// Kills what the root left behind when it ended by itself.
    ///
    /// Must follow the root's end at once: its id is free for others by then.
    /// Ids are given out in a circle, so that it will not be soon, but it will be.
    pub(super) async fn sweep(&mut self) {
        let group_left = self.group.signal_group(Signal::KILL);
        let since = self.group.root.map(|root| root.as_raw_nonzero().get());
        let range = since
            .filter(|_| self.started.elapsed() < RANGE_HOLDS)
            .and_then(scan::started_after);
        if !group_left && range == Some(scan::NOBODY) {
            self.alive = false;
            return;
        }
        self.kill_within(range).await;
    }

    async fn kill_within(&mut self, range: Option<scan::Range>) {
        let group = self.group.clone();
        let done = tokio::task::spawn_blocking(move || group.kill(range)).await;
        self.alive = done.is_err();
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        if self.alive {
            self.group.kill(None);
        }
    }
}

impl Group {
    /// Whether there was anyone in the root's process group.
    fn signal_group(&self, signal: Signal) -> bool {
        self.root
            .is_some_and(|root| kill_process_group(root, signal).is_ok())
    }

    /// Kills until nobody is found: a process may fork between being found and being killed.
    fn kill(&self, range: Option<scan::Range>) {
        for round in 0..MAX_ROUNDS {
            self.signal_group(Signal::KILL);
            let members = scan::members(self, range);
            if members.is_empty() {
                return;
            }
            for member in &members {
                member.signal(Signal::KILL);
            }
            std::thread::sleep(Duration::from_micros(u64::from(round.min(20)) * 250));
        }
        tracing::warn!(mark = self.mark, "processes of a call could not be killed");
    }
}

/// Kills all processes that carry the mark, or one that goes on behind it with a slash.
pub(super) fn kill_marked(mark: &str) {
    let mark = mark.to_owned();
    Group { root: None, mark }.kill(None);
}

/// The value of the mark variable for a process of this call with this mark: those of Praxis's own parents
/// stay in it, so that killing an outer tool takes along what tools inside of it started.
pub(crate) fn chained(call: &str, mark: &str) -> String {
    match std::env::var(MARK_VARIABLE) {
        Ok(outer) if outer.len() < 1024 => format!("{outer},{call},{mark}"),
        _ => format!("{call},{mark}"),
    }
}
