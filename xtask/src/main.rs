//! The workspace's own tasks, run as `cargo xtask <command>`.
//!
//! One file holds one command.
//! Everything here is ordinary Rust on a few small crates, so that a fresh clone needs no other tool.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a development tool talks to the terminal"
)]

mod bench;
mod ci;
mod command_line;
mod docker;
mod fuzz;
mod process;
mod table;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    command_line::run(&arguments).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
