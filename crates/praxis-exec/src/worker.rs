//! The program `praxis-worker`, which starts tools inside containers and sandboxes.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::{CallId, Error, ErrorKind};

/// Empty where it could not be built.
static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/praxis-worker"));

/// The program as an ELF file without shared libraries.
///
/// # Errors
/// [`ErrorKind::NotFound`] where this build has none, with the reason.
pub fn program() -> Result<&'static [u8], Error> {
    if PROGRAM.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("this build of Praxis has no worker: {}", env!("PRAXIS_WORKER_MISSING")),
        )
        .with_help("build on Linux with the static C library at hand (`libc6-dev` on Debian, `glibc-static` on Fedora)"));
    }
    Ok(PROGRAM)
}

/// Writes the program into a folder as an executable that everyone may run, in place of what may be there; gives its path.
///
/// # Errors
/// As [`program`]; [`ErrorKind::Io`] where it cannot be written.
pub fn install(folder: &Path) -> Result<PathBuf, Error> {
    let program = program()?;
    let path = folder.join("praxis-worker");
    let temporary = folder.join(format!("praxis-worker.{}", CallId::unique()));
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o755);
        options.open(&temporary)?.write_all(program)?;
        // What the mask took away is given back.
        fs::set_permissions(&temporary, Permissions::from_mode(0o755))?;
        fs::rename(&temporary, &path)
    };
    write().map_err(|source| {
        Error::new(
            ErrorKind::Io,
            format!("cannot write the worker to {}: {source}", path.display()),
        )
        .with_source(source)
    })?;
    Ok(path)
}

/// The program as a file, which every process of this user shares and which stays.
///
/// It is in a folder of temporary files that no other user may enter; the first call of a process looks whether
/// what is there is this program, and writes it if not.
///
/// # Errors
/// As [`install`]; [`ErrorKind::Denied`] where somebody else has made a folder of that name.
pub fn file() -> Result<&'static Path, Error> {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = FILE.get() {
        return Ok(path);
    }
    let program = program()?;
    // Other versions of Praxis have other programs, and may run at the same time.
    let version = blake3::hash(program).to_hex();
    let folder = private_folder()?.join(&version[..16]);
    let path = folder.join("praxis-worker");
    if !fs::read(&path).is_ok_and(|found| found == program) {
        make_folder(&folder)?;
        install(&folder)?;
    }
    Ok(FILE.get_or_init(|| path))
}

/// A folder of temporary files that belongs to this user and that no other may enter.
pub(crate) fn private_folder() -> Result<PathBuf, Error> {
    let user = rustix::process::geteuid();
    let folder = std::env::temp_dir().join(format!("praxis-worker-{}", user.as_raw()));
    make_folder(&folder)?;
    let found = fs::symlink_metadata(&folder).map_err(|source| unmade(&folder, source))?;
    if !found.is_dir() || found.uid() != user.as_raw() || found.mode() & 0o077 != 0 {
        return Err(Error::new(
            ErrorKind::Denied,
            format!("{} is not a folder of this user alone", folder.display()),
        )
        .with_help("remove it, or set TMPDIR to a folder of your own"));
    }
    Ok(folder)
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(unmade(folder, source))
        }
        _ => Ok(()),
    }
}

fn unmade(folder: &Path, source: std::io::Error) -> Error {
    let message = format!("cannot make the folder {}: {source}", folder.display());
    Error::new(ErrorKind::Io, message).with_source(source)
}
