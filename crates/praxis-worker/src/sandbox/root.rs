//! The file system of a sandbox.
//!
//! The keeper builds a template once: programs and their settings from the machine, read-only, the few devices that
//! programs need, and mount points. Each stage has a copy of its mounts, adds `/proc` and `/tmp` of its own and what
//! its order shows, makes that the root, and lets go of the machine's.

use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use praxis_worker::staging::{Bind, PROGRAMS, Step};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstatvfs, openat2};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_bind, mount_change, mount_remount, move_mount, open_tree, unmount,
};
use rustix::process::{getegid, geteuid, pivot_root};

use super::{At, Failure};

/// Where the keeper and the stages have the root of the machine.
pub(super) const HOST: &str = "/host";

/// What becomes the root of a sandbox.
const BASE: &str = "/base";

/// The same file system without what lies on it, and open to writing: mount points are made here.
const BASE_POINTS: &str = "/base-points";

/// The settings that programs need to start at all, to know languages, time zones and whom to trust.
const SETTINGS: [&str; 24] = [
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld.so.preload",
    "alternatives",
    "localtime",
    "timezone",
    "locale.alias",
    "locale.conf",
    "mime.types",
    "magic",
    "protocols",
    "services",
    "os-release",
    "debian_version",
    "ssl/certs",
    "ssl/openssl.cnf",
    "ca-certificates",
    "pki/tls/certs",
    "pki/ca-trust",
    "terminfo",
    "fonts",
    "perl",
    "python3",
];

const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// What the keeper prepares.
pub(super) struct Template;

impl Template {
    /// Makes the machine's root [`HOST`] and builds [`BASE`]; `arguments` are the size of `/tmp` and more paths to show.
    pub(super) fn build(arguments: &[OsString]) -> Result<(), Failure> {
        leave_machine().at(Step::Root)?;
        tmpfs(BASE, "0755", "16m").at(Step::Root)?;
        let programs = PROGRAMS.iter().map(Path::new);
        for path in programs.chain(arguments.iter().skip(1).map(Path::new)) {
            show_program(path)?;
        }
        settings()?;
        devices()?;
        for folder in ["proc", "tmp", "run", "var"] {
            create(&Path::new(BASE).join(folder)).at(Step::Root)?;
        }
        symlink("/tmp", Path::new(BASE).join("var/tmp")).at(Step::Root)?;
        fs::create_dir(BASE_POINTS).at(Step::Root)?;
        mount_bind(BASE, BASE_POINTS).at(Step::Root)?;
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        mount_remount(BASE, flags, "").at(Step::Root)
    }
}

/// Puts an empty file system in the place of the root, with the machine's below it.
fn leave_machine() -> Result<(), Errno> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    let place = ["/tmp", "/var", "/usr"]
        .into_iter()
        .find(|place| Path::new(place).is_dir())
        .ok_or(Errno::NOENT)?;
    tmpfs(place, "0755", "1m")?;
    for folder in [HOST, BASE] {
        create(&Path::new(place).join(&folder[1..]))?;
    }
    std::env::set_current_dir(place).map_err(|error| super::errno(&error))?;
    pivot_root(".", &HOST[1..])?;
    std::env::set_current_dir("/").map_err(|error| super::errno(&error))
}

fn tmpfs(target: &str, mode: &str, size: &str) -> Result<(), Errno> {
    let options = CString::new(format!("mode={mode},size={size},nr_inodes=200k"))
        .map_err(|_| Errno::INVAL)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", target, "tmpfs", flags, Some(&*options))
}

/// Shows a folder of programs where it is there: as it is, or as the symlink that it is.
fn show_program(path: &Path) -> Result<(), Failure> {
    let host = below(HOST, path);
    if let Ok(target) = fs::read_link(&host) {
        let link = below(BASE, path);
        link.parent().map_or(Ok(()), create).at(Step::Root)?;
        return match symlink(target, link) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            outcome => outcome.at(Step::Root),
        };
    }
    if !host.exists() {
        return Ok(());
    }
    let point = below(BASE, path);
    make_point(&point, host.is_dir()).at(Step::Root)?;
    let tree = clone(path, ResolveFlags::IN_ROOT).at(Step::Root)?;
    attach(&tree, &point, MountFlags::RDONLY | MountFlags::NODEV).at(Step::Root)
}

fn settings() -> Result<(), Failure> {
    let folder = Path::new(BASE).join("etc");
    create(&folder).at(Step::Root)?;
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    let mut users = String::from("nobody:x:65534:65534::/:/usr/sbin/nologin\n");
    let mut groups = String::from("nogroup:x:65534:\n");
    users.insert_str(0, &format!("praxis:x:{user}:{group}::/tmp:/bin/sh\n"));
    groups.insert_str(0, &format!("praxis:x:{group}:\n"));
    let texts = [
        ("passwd", users),
        ("group", groups),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n".to_owned()),
        (
            "nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\n".to_owned(),
        ),
    ];
    for (name, text) in texts {
        fs::write(folder.join(name), text).at(Step::Root)?;
    }
    let versions = fs::read_dir(below(HOST, Path::new("/etc")))
        .into_iter()
        .flatten()
        .flatten();
    let versions = versions
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("python3.") || name.starts_with("java-"));
    let names = SETTINGS
        .iter()
        .map(|name| (*name).to_owned())
        .chain(versions);
    for name in names.chain(["resolv.conf".to_owned()]) {
        let path = Path::new("/etc").join(&name);
        // Many of them are symlinks, and some lead nowhere.
        let Ok(tree) = clone(&path, ResolveFlags::IN_ROOT) else {
            continue;
        };
        let is_folder = rustix::fs::fstat(&tree)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir());
        let point = folder.join(&name);
        make_point(&point, is_folder).at(Step::Root)?;
        attach(&tree, &point, MountFlags::RDONLY | MountFlags::NODEV).at(Step::Root)?;
    }
    Ok(())
}

fn devices() -> Result<(), Failure> {
    let folder = Path::new(BASE).join("dev");
    create(&folder).at(Step::Root)?;
    for name in DEVICES {
        let tree = clone(&Path::new("/dev").join(name), ResolveFlags::IN_ROOT).at(Step::Root)?;
        let point = folder.join(name);
        make_point(&point, false).at(Step::Root)?;
        // A device may be written to on a read-only mount, but not given other rights.
        attach(&tree, &point, MountFlags::RDONLY).at(Step::Root)?;
    }
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("shm", "/tmp"),
    ];
    for (name, target) in links {
        symlink(target, folder.join(name)).at(Step::Root)?;
    }
    Ok(())
}

/// The root of one stage.
pub(super) struct Root {
    base: OwnedFd,
}

impl Root {
    /// What does not depend on the order.
    pub(super) fn prepare(scratch_bytes: &str) -> Result<Self, Failure> {
        let flags =
            MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
        mount("proc", format!("{BASE}/proc"), "proc", flags, None).at(Step::Proc)?;
        tmpfs(&format!("{BASE}/tmp"), "1777", scratch_bytes).at(Step::Root)?;
        Ok(Self {
            base: open(CWD, Path::new(BASE), ResolveFlags::empty()).at(Step::Root)?,
        })
    }

    /// Shows what the order shows, makes this the root and lets go of the machine's.
    pub(super) fn enter(self, binds: &[Bind]) -> Result<(), Failure> {
        for bind in binds {
            self.show(bind).at(Step::Bind)?;
        }
        std::env::set_current_dir(BASE).at(Step::Pivot)?;
        pivot_root(".", ".").at(Step::Pivot)?;
        unmount(".", UnmountFlags::DETACH).at(Step::Pivot)?;
        std::env::set_current_dir("/").at(Step::Pivot)
    }

    fn show(&self, bind: &Bind) -> Result<(), Errno> {
        // Praxis has resolved the path; a symlink that has come into it since would lead elsewhere.
        let tree = clone(Path::new(&bind.source), ResolveFlags::NO_SYMLINKS)?;
        let is_folder =
            rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&tree)?.st_mode).is_dir();
        let target = Path::new(&bind.target);
        let point = match self.point(target) {
            Err(Errno::NOENT) => {
                let parent = if target.starts_with("/tmp") {
                    BASE
                } else {
                    BASE_POINTS
                };
                make_point(&below(parent, target), is_folder)?;
                self.point(target)?
            }
            outcome => outcome?,
        };
        let mut flags = MountFlags::NODEV;
        if bind.read_only {
            flags |= MountFlags::RDONLY;
        }
        attach_at(&tree, &point, flags)?;
        if bind.read_only {
            lock_below(&below(BASE, target))?;
        }
        Ok(())
    }

    fn point(&self, target: &Path) -> Result<OwnedFd, Errno> {
        let target = target.strip_prefix("/").map_err(|_| Errno::INVAL)?;
        open(
            &self.base,
            target,
            ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH,
        )
    }
}

/// A path of a root that is at `root`.
fn below(root: &str, path: &Path) -> PathBuf {
    Path::new(root).join(path.strip_prefix("/").unwrap_or(path))
}

fn create(folder: &Path) -> Result<(), Errno> {
    fs::create_dir_all(folder).map_err(|error| super::errno(&error))
}

/// A file or folder for something to be mounted on.
fn make_point(path: &Path, is_folder: bool) -> Result<(), Errno> {
    if is_folder {
        return create(path);
    }
    path.parent().map_or(Ok(()), create)?;
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .map(drop)
        .map_err(|error| super::errno(&error))
}

fn open(at: impl AsFd, path: &Path, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(
        at,
        path,
        flags,
        Mode::empty(),
        resolve | ResolveFlags::NO_MAGICLINKS,
    )
}

/// A mount of its own of a file or folder of the machine, not attached anywhere yet.
fn clone(path: &Path, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    let host = open(CWD, Path::new(HOST), ResolveFlags::empty())?;
    let path = path.strip_prefix("/").map_err(|_| Errno::INVAL)?;
    let found = open(&host, path, resolve)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    match open_tree(&found, "", flags) {
        // What other mounts lie on cannot be shown without them in a user namespace.
        Err(Errno::INVAL) => open_tree(&found, "", flags | OpenTreeFlags::AT_RECURSIVE),
        outcome => outcome,
    }
}

fn attach(tree: &OwnedFd, point: &Path, flags: MountFlags) -> Result<(), Errno> {
    attach_at(tree, &open(CWD, point, ResolveFlags::empty())?, flags)
}

fn attach_at(tree: &OwnedFd, point: &OwnedFd, flags: MountFlags) -> Result<(), Errno> {
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", point, "", empty)?;
    restrict(tree, flags)
}

/// Takes rights from a mount, and gives none back that its source lacks: the kernel would refuse that.
fn restrict(tree: impl AsFd, flags: MountFlags) -> Result<(), Errno> {
    let tree = tree.as_fd();
    let has = fstatvfs(tree)?.f_flag;
    let kept = [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = kept
        .into_iter()
        .filter(|(set, _)| has.contains(*set))
        .fold(MountFlags::empty(), |all, (_, flag)| all | flag);
    let path = format!("{HOST}/proc/self/fd/{}", tree.as_raw_fd());
    mount_remount(
        path,
        MountFlags::BIND | MountFlags::NOSUID | flags | kept,
        "",
    )
}

/// Makes read-only what lies on a read-only mount.
fn lock_below(target: &Path) -> Result<(), Errno> {
    let mounts =
        fs::read(format!("{HOST}/proc/self/mountinfo")).map_err(|error| super::errno(&error))?;
    for line in mounts.split(|byte| *byte == b'\n') {
        let Some(point) = line.split(|byte| *byte == b' ').nth(4) else {
            continue;
        };
        let point = unescaped(point);
        let path = Path::new(std::ffi::OsStr::from_bytes(&point));
        if path != target && path.starts_with(target) {
            let mounted = open(CWD, path, ResolveFlags::NO_SYMLINKS)?;
            restrict(&mounted, MountFlags::RDONLY | MountFlags::NODEV)?;
        }
    }
    Ok(())
}

/// The kernel writes blanks and backslashes of a path as three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(byte) => {
                plain.push(byte);
                rest = &after[3..];
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_kernel_are_read() {
        assert_eq!(unescaped(br"/a\040b\134c"), b"/a b\\c");
        assert_eq!(unescaped(br"/a\04"), br"/a\04");
    }
}
