//! Whose a container is, so that one whose owner is dead can be told from one in use.

use std::fs;

/// The label that holds a container's [`Owner`].
pub(crate) const OWNER_LABEL: &str = "io.praxis.owner";

/// A process, named so that no other one is taken for it: not after its number was given out again,
/// not after a restart of the machine, and not from inside of another container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Of the running kernel; empty where there is none to be read.
    boot: String,
    /// The process id's namespace.
    namespace: String,
    pid: u32,
    /// When it started, in the kernel's ticks.
    start: u64,
}

impl Owner {
    pub(crate) fn this_process() -> Self {
        let pid = std::process::id();
        Self {
            boot: read("/proc/sys/kernel/random/boot_id"),
            namespace: fs::read_link("/proc/self/ns/pid")
                .map(|link| {
                    let digits = |c: &char| c.is_ascii_digit();
                    link.to_string_lossy().chars().filter(digits).collect()
                })
                .unwrap_or_default(),
            pid,
            start: start_of(pid).unwrap_or(0),
        }
    }

    /// The value of the label.
    pub(crate) fn label(&self) -> String {
        format!(
            "{}.{}.{}.{}",
            self.boot, self.namespace, self.pid, self.start
        )
    }

    /// Whether the owner that a label names lives; `None` where that cannot be known from here:
    /// it belongs to another machine, another start of this one, or another process namespace.
    pub(crate) fn knows_alive(&self, label: &str) -> Option<bool> {
        let mut parts = label.split('.');
        let (boot, namespace) = (parts.next()?, parts.next()?);
        let pid: u32 = parts.next()?.parse().ok()?;
        let start: u64 = parts.next()?.parse().ok()?;
        let near = !self.boot.is_empty() && boot == self.boot && namespace == self.namespace;
        near.then(|| start_of(pid) == Some(start))
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// When a process started; none for one that is not there or has ended and only waits to be noticed.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may hold blanks and parentheses; what follows the last one does not.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_living_are_told_from_the_dead_and_the_unknown() {
        let this = Owner::this_process();
        let check = |owner: Owner, expect: Option<bool>| {
            assert_eq!(this.knows_alive(&owner.label()), expect, "{owner:?}");
        };
        check(this.clone(), Some(true));
        let start = this.start + 1;
        check(
            Owner {
                start,
                ..this.clone()
            },
            Some(false),
        );
        let pid = u32::MAX;
        check(
            Owner {
                pid,
                ..this.clone()
            },
            Some(false),
        );
        let boot = "another".to_owned();
        check(
            Owner {
                boot,
                ..this.clone()
            },
            None,
        );
        let namespace = "1".to_owned();
        check(
            Owner {
                namespace,
                ..this.clone()
            },
            None,
        );
        assert_eq!(this.knows_alive("nonsense"), None);
        assert_eq!(this.knows_alive(""), None);
    }
}
