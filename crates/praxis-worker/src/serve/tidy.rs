//! What a call leaves behind in its container: files, and the kernel's count of processes short of memory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::launch::as_user;

/// Empties folders of what the tool's user has put there.
///
/// What is somebody else's was there before, and what is on another file system is mounted there: both stay.
/// The tool's own user does it: the worker has no right to another user's files.
pub(super) fn empty(folders: &[PathBuf], uid: u32) -> io::Result<()> {
    let mut left = Vec::new();
    for folder in folders {
        collect(folder, uid, &mut left)?;
    }
    if left.is_empty() {
        return Ok(());
    }
    as_user(uid, || left.iter().try_for_each(|entry| remove(entry)))
}

/// The entries of a folder to be removed, each with whether it is a folder itself.
fn collect(folder: &Path, uid: u32, left: &mut Vec<(PathBuf, bool)>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.peekable();
    if entries.peek().is_none() {
        return Ok(());
    }
    let device = fs::symlink_metadata(folder)?.dev();
    for entry in entries {
        let path = entry?.path();
        let found = fs::symlink_metadata(&path)?;
        if found.uid() == uid && found.dev() == device {
            left.push((path, found.is_dir()));
        }
    }
    Ok(())
}

fn remove((path, is_folder): &(PathBuf, bool)) -> io::Result<()> {
    match is_folder {
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
        let own = fs::metadata(&inside).unwrap().uid();
        let collected = |uid: u32| {
            let mut left = Vec::new();
            collect(&inside, uid, &mut left).unwrap();
            left
        };
        assert!(
            collected(own + 1).is_empty(),
            "what is another user's stays"
        );
        collected(own)
            .iter()
            .for_each(|entry| remove(entry).unwrap());
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 0);
        assert!(
            outside.join("kept").exists(),
            "a link is removed, not followed"
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
