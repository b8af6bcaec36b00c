//! What a call leaves behind in its container: files, and the kernel's count of processes short of memory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::launch::as_user;

/// Empties folders that belong to the worker and that a tool could write to.
///
/// The tool's own user does it: the worker has no right to another user's files.
pub(super) fn empty(folders: &[PathBuf], uid: u32) -> io::Result<()> {
    let mut entries = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder)? {
            entries.push(entry?.path());
        }
    }
    if entries.is_empty() {
        return Ok(());
    }
    as_user(uid, || entries.iter().try_for_each(|entry| remove(entry)))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}

/// Where the kernel counts what it killed for want of memory: version 2 of control groups, and version 1.
const COUNTERS: [&str; 2] = [
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/memory/memory.oom_control",
];

/// The container's count of processes that the kernel killed for want of memory.
pub(super) struct OomCounter {
    file: Option<File>,
    last: Option<u32>,
}

impl OomCounter {
    pub(super) fn open() -> Self {
        let file = COUNTERS.iter().find_map(|path| File::open(path).ok());
        let last = file.as_ref().and_then(read);
        Self { file, last }
    }

    /// How many were added since the last time, where the kernel tells.
    pub(super) fn since_last(&mut self) -> Option<u32> {
        let count = self.file.as_ref().and_then(read)?;
        let before = self.last.replace(count)?;
        Some(count.saturating_sub(before))
    }
}

fn read(file: &File) -> Option<u32> {
    let mut text = [0; 512];
    let length = file.read_at(&mut text, 0).ok()?;
    parse(std::str::from_utf8(&text[..length]).ok()?)
}

fn parse(text: &str) -> Option<u32> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_count_alike() {
        let check = |text: &str, expect| assert_eq!(parse(text), expect, "{text}");
        check("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", Some(3));
        check(
            "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n",
            Some(1),
        );
        check("oom_kill_disable 0\nunder_oom 0\n", None);
        check("oom_kill -1\n", None);
    }

    #[test]
    fn folders_are_emptied_of_whatever_is_in_them() {
        let folder =
            std::env::temp_dir().join(format!("praxis-worker-empty-{}", std::process::id()));
        let outside = folder.join("outside");
        let inside = folder.join("inside");
        fs::create_dir_all(inside.join("a/b/c")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        fs::write(inside.join("file"), "").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        for entry in fs::read_dir(&inside).unwrap() {
            remove(&entry.unwrap().path()).unwrap();
        }
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 0);
        assert!(
            outside.join("kept").exists(),
            "a link is removed, not followed"
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
