//! How a program's call ends, in the words that every engine of programs uses.

use std::time::Duration;

use crate::{Error, ErrorKind};

/// The way out where the kernel does not know what kind of program a file is.
pub(crate) const NO_PROGRAM_HELP: &str = "a program is built for this kind of processor, and a script begins with a line such as #!/bin/sh; \
     or name its interpreter first in `command`";

/// More was printed than is allowed.
pub(crate) fn too_large(limit: u64) -> Error {
    Error::new(
        ErrorKind::OutputTooLarge,
        format!("printed more than {limit} bytes and was killed"),
    )
    .with_help("raise `output_bytes` in the contract, or let the tool write to a file")
}

/// The time limit passed.
pub(crate) fn timed_out(limit: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("ran longer than its limit of {limit:?} and was killed"),
    )
    .with_help("raise `timeout` in the contract, or give the step an @timeout of its own")
}

/// The kernel killed a process of the tool because the tool's memory was used up.
#[cfg(any(feature = "docker", feature = "sandbox"))]
pub(crate) fn out_of_memory(limit: u64) -> Error {
    Error::new(
        ErrorKind::OutOfMemory,
        format!(
            "used more memory than its limit of {limit} bytes, and it or a process of it was killed"
        ),
    )
    .with_help("raise `memory` in the contract, or give the tool less to do at once")
}

/// The program ended otherwise than with exit code 0; `how` says it, the last line of its words follows.
pub(crate) fn failed(how: &str, code: Option<i32>, stderr: String) -> Error {
    let said = stderr.lines().rev().find(|line| !line.trim().is_empty());
    let message = match said {
        Some(line) => {
            let line: String = line.trim().chars().take(300).collect();
            format!("{how}: {line}")
        }
        None => how.to_owned(),
    };
    Error::new(ErrorKind::Failed, message)
        .with_exit_code(code)
        .with_stderr(stderr)
}
