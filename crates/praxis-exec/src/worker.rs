//! The program `praxis-worker`, which starts tools inside containers and sandboxes.

use crate::{Error, ErrorKind};

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
