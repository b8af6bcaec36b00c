//! A Docker daemon of our own: installed if need be, started, found again, stopped.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::http::Address;
use crate::process;

/// Images and containers; it needs a real file system, not one in memory.
const STATE: &str = "/var/lib/praxis-xtask-docker";

/// The socket, the process id, the log.
const RUN: &str = "/run/praxis-xtask-docker";

/// How long a daemon may take to answer, and to end.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// A daemon that we started.
///
/// Whoever uses it holds a shared lock, which the kernel takes back from a process that dies.
/// The last user stops it, unless it is to be kept.
pub(crate) struct Daemon {
    pid: Pid,
    lock: Option<File>,
}

/// Whether a daemon could be started here; if not, why.
pub(crate) fn may_start() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("that takes root".to_owned());
    }
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let of = |name: &str| {
        system
            .lines()
            .any(|line| line.starts_with("ID") && line.contains(name))
    };
    if !of("debian") && !of("ubuntu") {
        return Err("that takes Debian or Ubuntu, whose packages it is made of".to_owned());
    }
    Ok(())
}

impl Daemon {
    pub(crate) fn socket() -> String {
        format!("{RUN}/docker.sock")
    }

    pub(crate) fn address() -> Address {
        Address::Unix(Self::socket())
    }

    /// The one that runs.
    pub(crate) fn running() -> Option<Self> {
        let pid = fs::read_to_string(pid_file()).ok()?.trim().parse().ok()?;
        let pid = Pid::from_raw(pid)?;
        // The number may be another process's by now; only ours was started with this file's name.
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
        let ours = String::from_utf8_lossy(&line).contains(&*pid_file().to_string_lossy());
        ours.then(|| Self {
            pid,
            lock: used().ok(),
        })
    }

    /// Starts one; gives the one that runs if there is one.
    pub(crate) fn start() -> Result<Self> {
        if let Some(daemon) = Self::running() {
            wait_until_it_answers(None)?;
            return Ok(daemon);
        }
        clear()?;
        fs::create_dir_all(STATE).with_context(|| format!("cannot make {STATE}"))?;
        fs::create_dir_all(RUN).with_context(|| format!("cannot make {RUN}"))?;
        let lock = used()?;
        let mut child = spawn()?;
        wait_until_it_answers(Some(&mut child))?;
        let pid = Pid::from_child(&child);
        eprintln!(
            "started a container engine of our own at {}",
            Self::address()
        );
        Ok(Self {
            pid,
            lock: Some(lock),
        })
    }

    /// Lets it run on when its last user is gone.
    pub(crate) fn keep(&self) -> Result<()> {
        File::create(kept()).context("cannot note that the engine is to be kept")?;
        Ok(())
    }

    /// Stops it if nobody else uses it and it is not to be kept.
    pub(crate) fn release(mut self) -> Result<()> {
        let Some(lock) = self.lock.take() else {
            return Ok(());
        };
        lock.unlock()?;
        if kept().exists() || lock.try_lock().is_err() {
            return Ok(());
        }
        self.stop()
    }

    /// Stops it and removes what it made; not the package, which is of use to others.
    pub(crate) fn stop(self) -> Result<()> {
        let _ = kill_process(self.pid, Signal::TERM);
        if !ended(self.pid, STOP) {
            // It leads a group of its own, in which its containerd is as well.
            let _ = kill_process_group(self.pid, Signal::KILL);
            ensure!(
                ended(self.pid, STOP),
                "the engine with process id {:?} does not end",
                self.pid
            );
        }
        clear()
    }
}

/// Removes what a daemon of ours made that runs no more; one that was killed leaves containers and mounts.
pub(super) fn clear() -> Result<()> {
    for pid in keepers() {
        for child in children(pid) {
            let _ = kill_process(child, Signal::KILL);
        }
        let _ = kill_process(pid, Signal::KILL);
        ensure!(
            ended(pid, STOP),
            "the process {pid:?} of an engine of ours does not end"
        );
    }
    unmount(&[STATE, RUN])?;
    for folder in [STATE, RUN] {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {folder}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The processes that keep the containers of a daemon of ours, by the socket in their command line.
fn keepers() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .parse()
                .ok()
                .and_then(Pid::from_raw)
        })
        .filter(|pid| {
            let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
            let line = String::from_utf8_lossy(&line.unwrap_or_default()).into_owned();
            let program = line
                .split('\0')
                .next()
                .and_then(|program| program.rsplit('/').next());
            program.is_some_and(|name| name.starts_with("containerd")) && line.contains(RUN)
        })
        .collect()
}

fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    let listed = tasks.into_iter().flatten().flatten().filter_map(|task| {
        let list = fs::read_to_string(task.path().join("children")).ok()?;
        let pids = list
            .split_whitespace()
            .filter_map(|word| Pid::from_raw(word.parse().ok()?));
        Some(pids.collect::<Vec<_>>())
    });
    listed.flatten().collect()
}

fn pid_file() -> PathBuf {
    Path::new(RUN).join("dockerd.pid")
}

fn log_file() -> PathBuf {
    Path::new(RUN).join("dockerd.log")
}

fn kept() -> PathBuf {
    Path::new(RUN).join("kept")
}

/// The mark of a user.
fn used() -> Result<File> {
    let file = File::create(Path::new(RUN).join("users"))
        .context("cannot make the lock of the engine's users")?;
    file.lock_shared()?;
    Ok(file)
}

/// Installs what a daemon needs, as far as it is missing.
pub(super) fn install() -> Result<()> {
    if is_program("dockerd") && is_program("containerd") && is_program("runc") {
        return Ok(());
    }
    eprintln!("there is no Docker on this machine; installing Debian's");
    apt(&["update", "-qq"])?;
    apt(&[
        "install",
        "--yes",
        "-qq",
        "--no-install-recommends",
        "docker.io",
    ])
}

/// Runs apt-get, waiting for another that is at work.
pub(super) fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args([
            "-o",
            "DPkg::Lock::Timeout=300",
            "-o",
            "APT::Sandbox::User=root",
        ])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    process::output(&mut command).map(drop)
}

fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons are in folders that not every PATH of root has.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(name).is_file())
}

fn spawn() -> Result<Child> {
    let log = File::create(log_file()).context("cannot make the engine's log")?;
    let program = ["/usr/sbin/dockerd", "/usr/bin/dockerd"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("dockerd");
    Command::new(program)
        .args(["--data-root", STATE])
        .arg("--exec-root")
        .arg(Path::new(RUN).join("exec"))
        .arg("--pidfile")
        .arg(pid_file())
        .args(["--host", &Daemon::address().to_string()])
        // Containers of the tests have no network, so none is set up on the machine.
        .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
        .args([
            "--ip-forward=false",
            "--ip-masq=false",
            "--log-level",
            "warn",
        ])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C is for the tests; the engine is stopped after them.
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {program}"))
}

fn wait_until_it_answers(mut child: Option<&mut Child>) -> Result<()> {
    let started = Instant::now();
    loop {
        let error = match Daemon::address().ping() {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let status = match &mut child {
            Some(child) => child.try_wait()?,
            None => None,
        };
        if let Some(status) = status {
            bail!(
                "the container engine ended at once ({status}):\n{}",
                log_end()
            );
        }
        if started.elapsed() > START {
            bail!(
                "the container engine does not answer ({error:#}):\n{}",
                log_end()
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn log_end() -> String {
    let log = fs::read_to_string(log_file()).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

fn ended(pid: Pid, limit: Duration) -> bool {
    let started = Instant::now();
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    // One that ended and is our own child stays on the table as a zombie until we end too.
    let runs = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    while runs() {
        if started.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
    true
}

/// Takes away what the engine left mounted, the deepest first.
fn unmount(folders: &[&str]) -> Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    let mut mounted: Vec<&str> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        // The daemon mounts its own folder as well.
        .filter(|path| {
            folders
                .iter()
                .any(|folder| Path::new(path).starts_with(folder))
        })
        .collect();
    mounted.sort_unstable_by_key(|path| std::cmp::Reverse(path.len()));
    for path in mounted {
        process::output(Command::new("umount").args(["--lazy", path]))?;
    }
    Ok(())
}
