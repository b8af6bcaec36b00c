//! The tests of the worker's protocol and of its command line; that it keeps tools apart is tested by `praxis-exec`.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod command_line;
mod frames;
