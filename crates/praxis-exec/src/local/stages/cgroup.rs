//! Control groups, of both versions: what holds a tool to limits of processor time, memory and processes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::{Error, ErrorKind, Limit, Limits};

/// The controllers that this engine uses.
const CONTROLLERS: [(&str, Limit); 3] = [
    ("cpu", Limit::Cpu),
    ("memory", Limit::Memory),
    ("pids", Limit::Pids),
];

/// The span in which a group may use its share of processor time, in microseconds.
const PERIOD: f64 = 100_000.0;

/// How often the members of a group are killed before it is given up; each time all that were found were killed.
const MAX_ROUNDS: u32 = 200;

/// Where groups can be made on this machine.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The version, and for each controller the folder to make groups in.
    found: BTreeMap<&'static str, Place>,
    /// What stands in the way of each of the others.
    missing: BTreeMap<&'static str, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    version: Version,
    folder: PathBuf,
}

/// The version of a hierarchy of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// The places of this machine, which are looked for once.
pub(crate) fn places() -> &'static Places {
    static PLACES: OnceLock<Places> = OnceLock::new();
    PLACES.get_or_init(|| {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        Places::find(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
    })
}

impl Places {
    fn find(mounts: &str, own: &str) -> Self {
        let mut places = Self::default();
        for (controller, _) in CONTROLLERS {
            match place(controller, mounts, own).and_then(|place| place.try_out(controller)) {
                Ok(place) => {
                    remove_abandoned(&place.folder);
                    places.found.insert(controller, place);
                }
                Err(why) => {
                    places.missing.insert(controller, why);
                }
            }
        }
        places
    }

    /// The limits that groups can be held to.
    pub(crate) fn limits(&self) -> Vec<Limit> {
        CONTROLLERS
            .into_iter()
            .filter(|(controller, _)| self.found.contains_key(controller))
            .map(|(_, limit)| limit)
            .collect()
    }

    /// Each controller with its version and folder, or with what stands in the way.
    pub(crate) fn report(
        &self,
    ) -> impl Iterator<Item = (&'static str, Result<(Version, &Path), &str>)> {
        CONTROLLERS.into_iter().map(|(controller, _)| {
            let found = match self.found.get(controller) {
                Some(place) => Ok((place.version, place.folder.as_path())),
                None => Err(self.missing.get(controller).map_or("", String::as_str)),
            };
            (controller, found)
        })
    }
}

/// The folder of this process in the hierarchy that has a controller.
fn place(controller: &str, mounts: &str, own: &str) -> Result<Place, String> {
    let own = |wanted: &dyn Fn(&str) -> bool| {
        own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            wanted(controllers).then_some(path)
        })
    };
    let lists = |list: &str| list.split(',').any(|each| each == controller);
    let (version, path, kind) = match own(&lists) {
        Some(path) => (Version::One, path, "cgroup"),
        None => match own(&str::is_empty) {
            Some(path) => (Version::Two, path, "cgroup2"),
            None => return Err("this process is in no cgroup".to_owned()),
        },
    };
    for line in mounts.lines() {
        let Some((fields, rest)) = line.split_once(" - ") else {
            continue;
        };
        let (mut fields, mut rest) = (fields.split(' ').skip(3), rest.split(' '));
        let (Some(root), Some(point), Some(found)) = (fields.next(), fields.next(), rest.next())
        else {
            continue;
        };
        let options = rest.next_back().unwrap_or_default();
        if found != kind || (version == Version::One && !lists(options)) {
            continue;
        }
        let below = Path::new(path).strip_prefix(root);
        let below =
            below.map_err(|_| format!("its cgroup {path} is not below the mount {point}"))?;
        return Ok(Place {
            version,
            folder: Path::new(point).join(below),
        });
    }
    Err(format!(
        "no {kind} file system with `{controller}` is mounted"
    ))
}

impl Place {
    /// Makes a group with the controller and removes it.
    fn try_out(self, controller: &str) -> Result<Self, String> {
        if self.version == Version::Two {
            self.delegate(controller)?;
        }
        let group = self.folder.join(unique());
        let shown = self.folder.display();
        fs::create_dir(&group).map_err(|error| {
            let help = "root may, and so may who is given the cgroup: systemd-run --user --scope -p Delegate=yes praxis …";
            format!("no group can be made in {shown}: {error} ({help})")
        })?;
        let file = match (self.version, controller) {
            (Version::One, "cpu") => "cpu.cfs_quota_us",
            (Version::One, "memory") => "memory.limit_in_bytes",
            (_, "pids") => "pids.max",
            (Version::Two, "cpu") => "cpu.max",
            (Version::Two, _) | (Version::One, _) => "memory.max",
        };
        let there = group.join(file).exists();
        let _ = fs::remove_dir(&group);
        match there {
            true => Ok(self),
            false => Err(format!("groups in {shown} have no {file}")),
        }
    }

    /// Hands a controller on to the groups below this one, which version 2 asks for.
    fn delegate(&self, controller: &str) -> Result<(), String> {
        let shown = self.folder.display();
        let read = |file: &str| fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let has = |file: &str| read(file).split_whitespace().any(|each| each == controller);
        if has("cgroup.subtree_control") {
            return Ok(());
        }
        if !has("cgroup.controllers") {
            return Err(format!("the cgroup {shown} is not given `{controller}`"));
        }
        let hand_on = || {
            fs::write(
                self.folder.join("cgroup.subtree_control"),
                format!("+{controller}"),
            )
        };
        match hand_on() {
            Ok(()) => Ok(()),
            // A group with processes of its own hands nothing on, so this one moves to a leaf, if it is the only one.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                let own = std::process::id().to_string();
                if read("cgroup.procs").split_whitespace().any(|pid| pid != own) {
                    return Err(format!("the cgroup {shown} holds other processes, so that it can have no groups below it"));
                }
                let leaf = self.folder.join("praxis");
                let moved = match fs::create_dir(&leaf) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                    _ => fs::write(leaf.join("cgroup.procs"), own),
                };
                moved.and_then(|()| hand_on())
            }
            Err(error) => Err(error),
        }
        .map_err(|error| format!("the cgroup {shown} does not hand `{controller}` on: {error}"))
    }
}

/// A name that says whose group it is.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("praxis-{}-{number}", std::process::id())
}

/// Removes groups that processes of Praxis have left when they were killed; the kernel keeps those with members.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| {
            let (owner, _) = name.strip_prefix("praxis-")?.split_once('-')?;
            owner.parse::<u32>().ok()
        });
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The groups of one call. Dropped, they are removed.
#[derive(Debug)]
pub(super) struct Group {
    folders: Vec<(Version, PathBuf)>,
    memory: Option<(Version, PathBuf, u64)>,
}

impl Group {
    /// Groups that hold their members to these limits; none where nothing of the kind is limited.
    pub(super) fn of(limits: &Limits) -> Result<Option<Self>, Error> {
        let wanted: Vec<(&str, u64)> = [
            ("cpu", limits.cpu.map(|cores| (cores * PERIOD) as u64)),
            ("memory", limits.memory_bytes),
            // The stage is a member too.
            ("pids", limits.pids.map(|pids| u64::from(pids) + 1)),
        ]
        .into_iter()
        .filter_map(|(controller, limit)| Some((controller, limit?)))
        .filter(|(controller, _)| places().found.contains_key(controller))
        .collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let mut group = Self {
            folders: Vec::new(),
            memory: None,
        };
        let name = unique();
        for (controller, limit) in wanted {
            group.add(controller, limit, &name).map_err(|source| {
                Error::new(
                    ErrorKind::Io,
                    format!("cannot make a cgroup for its limit of `{controller}`: {source}"),
                )
                .with_source(source)
            })?;
        }
        Ok(Some(group))
    }

    fn add(&mut self, controller: &str, limit: u64, name: &str) -> io::Result<()> {
        let Place { version, folder } = &places().found[controller];
        let folder = folder.join(name);
        let known = (*version, folder.clone());
        if !self.folders.contains(&known) {
            fs::create_dir(&folder)?;
            self.folders.push(known);
        }
        let write = |file: &str, value: String| fs::write(folder.join(file), value);
        match (version, controller) {
            (Version::One, "cpu") => {
                write("cpu.cfs_period_us", format!("{PERIOD}"))?;
                // The kernel takes no less.
                write("cpu.cfs_quota_us", limit.max(1000).to_string())?;
            }
            (Version::Two, "cpu") => write("cpu.max", format!("{} {PERIOD}", limit.max(1000)))?,
            (_, "pids") => write("pids.max", limit.to_string())?,
            (Version::One, _) => {
                write("memory.limit_in_bytes", limit.to_string())?;
                // Not there where the kernel does not count swapped memory.
                let _ = write("memory.memsw.limit_in_bytes", limit.to_string());
                self.memory = Some((*version, folder.clone(), limit));
            }
            (Version::Two, _) => {
                write("memory.max", limit.to_string())?;
                let _ = write("memory.swap.max", "0".to_owned());
                self.memory = Some((*version, folder.clone(), limit));
            }
        }
        Ok(())
    }

    /// What a process writes `0` to so as to become a member.
    pub(super) fn entrances(&self) -> Result<Vec<OwnedFd>, Error> {
        self.folders
            .iter()
            .map(|(_, folder)| {
                let file = File::options()
                    .write(true)
                    .open(folder.join("cgroup.procs"));
                file.map(File::into).map_err(|source| {
                    Error::new(ErrorKind::Io, format!("cannot open its cgroup: {source}"))
                        .with_source(source)
                })
            })
            .collect()
    }

    /// The limit, if the kernel killed a member for want of memory.
    pub(super) fn out_of_memory(&self) -> Option<u64> {
        let (version, folder, limit) = self.memory.as_ref()?;
        let file = match version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = fs::read_to_string(folder.join(file)).ok()?;
        let kills = text
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "))?;
        (kills.trim() != "0").then_some(*limit)
    }

    /// Kills all members.
    pub(super) fn kill(&self) {
        for (version, folder) in &self.folders {
            if *version == Version::Two && fs::write(folder.join("cgroup.kill"), "1").is_ok() {
                continue;
            }
            for _ in 0..MAX_ROUNDS {
                let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
                let members: Vec<Pid> = members
                    .lines()
                    .filter_map(|line| Pid::from_raw(line.parse().ok()?))
                    .collect();
                if members.is_empty() {
                    break;
                }
                for member in members {
                    let _ = kill_process(member, Signal::KILL);
                }
            }
        }
    }

    fn remove(folders: &[(Version, PathBuf)]) -> bool {
        folders
            .iter()
            .all(|(_, folder)| match fs::remove_dir(folder) {
                Ok(()) => true,
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if Self::remove(&self.folders) {
            return;
        }
        // The last members are still dying.
        let folders = std::mem::take(&mut self.folders);
        let _ = std::thread::Builder::new()
            .name("praxis-cgroup".to_owned())
            .spawn(move || {
                for round in 0..100 {
                    std::thread::sleep(Duration::from_millis(round.min(20)));
                    if Self::remove(&folders) {
                        return;
                    }
                }
                tracing::warn!(?folders, "cgroups of a call could not be removed");
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(controller: &str, mounts: &str, own: &str, expect: Result<(Version, &str), &str>) {
        let found = place(controller, mounts, own);
        match expect {
            Ok((version, folder)) => {
                let folder = folder.into();
                assert_eq!(found, Ok(Place { version, folder }));
            }
            Err(part) => assert!(
                found.clone().is_err_and(|why| why.contains(part)),
                "{found:?}"
            ),
        }
    }

    #[test]
    fn both_versions_are_found() {
        let one = "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                   31 25 0:27 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                   32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let own = "4:memory:/docker/x/inner\n3:cpu,cpuacct:/a\n2:pids:/b\n0::/init.scope\n";
        check(
            "cpu",
            one,
            own,
            Ok((Version::One, "/sys/fs/cgroup/cpu,cpuacct/a")),
        );
        check(
            "memory",
            one,
            own,
            Ok((Version::One, "/sys/fs/cgroup/memory/inner")),
        );
        check("pids", one, own, Err("no cgroup file system with `pids`"));
        check(
            "memory",
            one,
            "4:memory:/other\n",
            Err("not below the mount"),
        );
        check("memory", "", "", Err("in no cgroup"));
        let two = "32 25 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let own = "0::/user.slice/run-1.scope\n";
        let folder = "/sys/fs/cgroup/user.slice/run-1.scope";
        check("pids", two, own, Ok((Version::Two, folder)));
    }
}
