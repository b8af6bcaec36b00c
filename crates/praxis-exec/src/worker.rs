//! The program `praxis-worker`, which starts tools inside containers and sandboxes.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

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
