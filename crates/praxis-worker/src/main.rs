//! The program that stands between Praxis and a tool, where a tool is kept from the machine.
//!
//! Praxis builds it without shared libraries, so that it starts in any image, and embeds it in `praxis-exec`.
//! It holds no policy: what it is told on its command line or over its socket, it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(2)
}
