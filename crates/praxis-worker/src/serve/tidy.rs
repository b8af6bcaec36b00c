//! What a call leaves behind in its container: files, and the kernel's count of processes short of memory.

use std::ffi::OsString;
use std::fs::{self, File, FileTimes, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::flistxattr;
use rustix::io::Errno;

use super::launch::as_user;

/// The folders that are emptied after each call, and what is known of them from before the first.
pub(super) struct Folders {
    folders: Vec<Folder>,
    uid: u32,
}

struct Folder {
    path: PathBuf,
    device: u64,
    mode: u32,
    /// Whether the folder itself belongs to the tool's user, and so can be changed by it.
    own: bool,
}

impl Folders {
    /// Looks at the folders; one that is not there holds nothing, and no tool can make it.
    pub(super) fn open(paths: &[OsString], uid: u32) -> io::Result<Self> {
        let mut folders = Vec::new();
        for path in paths {
            let found = match fs::symlink_metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            folders.push(Folder {
                path: path.into(),
                device: found.dev(),
                mode: found.mode() & 0o7777,
                own: found.uid() == uid,
            });
        }
        Ok(Self { folders, uid })
    }

    /// Empties them of what the tool's user has put there.
    ///
    /// What is somebody else's was there before, and what is on another file system is mounted there: both stay.
    /// The tool's own user does it: the worker has no right to another user's files.
    pub(super) fn empty(&self) -> io::Result<()> {
        match self.folders.as_slice() {
            [] => Ok(()),
            folders => as_user(self.uid, || {
                folders.iter().try_for_each(|folder| folder.empty(self.uid))
            }),
        }
    }
}

impl Folder {
    fn empty(&self, uid: u32) -> io::Result<()> {
        if self.own {
            self.restore()?;
        }
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let found = fs::symlink_metadata(&path)?;
            if found.uid() == uid && found.dev() == self.device {
                remove(&path, found.is_dir())?;
            }
        }
        Ok(())
    }

    /// Gives the folder itself back its mode, and takes from it what a tool can note there.
    fn restore(&self) -> io::Result<()> {
        if fs::symlink_metadata(&self.path)?.mode() & 0o7777 != self.mode {
            fs::set_permissions(&self.path, Permissions::from_mode(self.mode))?;
        }
        let folder = File::open(&self.path)?;
        let then = FileTimes::new()
            .set_accessed(SystemTime::UNIX_EPOCH)
            .set_modified(SystemTime::UNIX_EPOCH);
        folder.set_times(then)?;
        match flistxattr(&folder, &mut [0_u8; 0]) {
            Ok(0) | Err(Errno::OPNOTSUPP) => Ok(()),
            Ok(_) => Err(io::Error::other("the folder has attributes")),
            Err(error) => Err(error.into()),
        }
    }
}

fn remove(path: &Path, is_folder: bool) -> io::Result<()> {
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
    fn a_folder_is_emptied_of_what_is_the_users_and_restored() {
        let base = std::env::temp_dir().join(format!("praxis-worker-empty-{}", std::process::id()));
        let (inside, outside) = (base.join("inside"), base.join("outside"));
        fs::create_dir_all(&inside).unwrap();
        fs::create_dir_all(&outside).unwrap();
        let uid = fs::metadata(&inside).unwrap().uid();
        let folders = Folders::open(&[inside.clone().into()], uid).unwrap();
        let mode = folders.folders[0].mode;
        fs::create_dir_all(inside.join("a/b/c")).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        fs::write(inside.join("file"), "").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        fs::set_permissions(&inside, Permissions::from_mode(0o500)).unwrap();
        let others = Folder {
            own: false,
            ..folder(&folders.folders[0])
        };
        others.empty(uid + 1).unwrap();
        assert_eq!(
            fs::read_dir(&inside).unwrap().count(),
            3,
            "what is another user's stays"
        );
        let elsewhere = Folder {
            device: 0,
            ..folder(&folders.folders[0])
        };
        elsewhere.empty(uid).unwrap();
        assert_eq!(
            fs::read_dir(&inside).unwrap().count(),
            3,
            "what is mounted stays"
        );
        folders.folders[0].empty(uid).unwrap();
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 0);
        assert_eq!(fs::metadata(&inside).unwrap().mode() & 0o7777, mode);
        assert!(
            outside.join("kept").exists(),
            "a link is removed, not followed"
        );
        fs::remove_dir_all(&base).unwrap();
    }

    fn folder(like: &Folder) -> Folder {
        Folder {
            path: like.path.clone(),
            ..*like
        }
    }
}
