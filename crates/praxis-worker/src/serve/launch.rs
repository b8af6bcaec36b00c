//! Starting a tool as another user, and fast.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use praxis_worker::frames::{Run, STREAMS};
use rustix::process::{Gid, Pid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// Where programs are looked for when the tool has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Gives up root's groups, for good and for every thread that is started later.
///
/// # Errors
/// Where the container lacks the capability.
pub(super) fn take_group(gid: u32) -> io::Result<()> {
    let gid = Gid::from_raw(gid);
    set_thread_groups(&[])?;
    Ok(set_thread_res_gid(gid, gid, gid)?)
}

/// Does something with the rights of another user, and of no other thread than this.
///
/// The saved user stays root, and with it the permitted capabilities.
/// So the way back is open, and a process of that user may neither trace this thread
/// nor change its limits, its priority or its processors meanwhile: the kernel asks it for the same capabilities.
pub(super) fn as_user<T>(uid: u32, action: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let uid = Uid::from_raw(uid);
    set_thread_res_uid(uid, uid, Uid::ROOT)?;
    let outcome = action();
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    outcome
}

/// Starts a tool as this user.
///
/// The thread becomes the user before and not the child after its start, because the standard library can then share
/// this process's memory with the child until it is another program; a copy would take longer than all the rest.
/// The program loses the saved user as it starts.
///
/// The folder is the worker's own from then on: the standard library would go to it in a copy of this process,
/// and there a file that is no program would be taken for a script.
pub(super) fn launch(run: &Run, streams: [OwnedFd; STREAMS], uid: u32) -> io::Result<Pid> {
    as_user(uid, || start(run, streams))
}

fn start(run: &Run, streams: [OwnedFd; STREAMS]) -> io::Result<Pid> {
    let Some((program, arguments)) = run.words.split_first() else {
        return Err(io::ErrorKind::NotFound.into());
    };
    std::env::set_current_dir(&run.folder)?;
    let [stdin, stdout, stderr] = streams.map(Stdio::from);
    let child = Command::new(find(program, &run.variables)?)
        .arg0(program)
        .args(arguments)
        .envs(run.variables.iter().map(|(name, value)| (name, value)))
        .process_group(0)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        .spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok(pid.expect("a process that was started has an id"))
}

/// The path of a program: the first file in the folders of the tool's `PATH` that may be executed.
fn find(program: &OsStr, variables: &[(OsString, OsString)]) -> io::Result<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Ok(program.into());
    }
    let given = variables.iter().find(|(name, _)| name == "PATH");
    let path = given.map(|(_, path)| path.clone());
    let path = path.or_else(|| std::env::var_os("PATH"));
    let path = path.unwrap_or_else(|| DEFAULT_PATH.into());
    let mut closest = io::ErrorKind::NotFound;
    for folder in std::env::split_paths(&path).filter(|folder| folder.is_absolute()) {
        let candidate = folder.join(program);
        match may_execute(&candidate) {
            Some(true) => return Ok(candidate),
            Some(false) => closest = io::ErrorKind::PermissionDenied,
            None => {}
        }
    }
    Err(match closest {
        io::ErrorKind::NotFound => rustix::io::Errno::NOENT.into(),
        _ => rustix::io::Errno::ACCESS.into(),
    })
}

/// Whether a file may be executed; `None` where there is none.
fn may_execute(path: &Path) -> Option<bool> {
    let metadata = std::fs::metadata(path).ok()?;
    metadata
        .is_file()
        .then(|| metadata.permissions().mode() & 0o111 != 0)
}
