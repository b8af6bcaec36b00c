//! Where there is no /proc, a tree is its process group.

use rustix::process::Signal;

use super::Group;

/// Which processes can be members; here it cannot be known.
pub(super) type Range = ();

/// The range that holds no process.
pub(super) const NOBODY: Range = ();

/// Nobody can be found but by the group.
pub(super) fn started_after(_pid: i32) -> Option<Range> {
    Some(NOBODY)
}

/// A member of a tree; there are none beyond the group.
pub(super) enum Member {}

impl Member {
    /// Sends a signal.
    pub(super) fn signal(&self, _signal: Signal) {
        match *self {}
    }
}

/// The members that the group's own signals do not reach.
pub(super) fn members(_group: &Group, _range: Option<Range>) -> Vec<Member> {
    Vec::new()
}
