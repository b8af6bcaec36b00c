//! `cargo xtask test`: all tests and doctests of the workspace.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::docker::Engine;
use crate::{process, workspace};

/// What the names of tests that need a container engine have in them.
const NEED_ENGINE: [&str; 5] = [
    "containers::",
    "docker::",
    "pool::",
    "dagger::",
    "engines::",
];

/// The exit code of a command that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// Runs `cargo test` with all features; `arguments` go to it as they are.
///
/// The tests get the container engine that is there, or one that is started for them and stopped after them.
/// Where there is none and none can be started, the tests that need one are left out, and the last lines say which and why;
/// with `CI=true` they are run all the same, and fail.
/// Otherwise it prints nothing after cargo does, so that the last lines are the test runner's own.
///
/// # Errors
/// Cargo could not be started.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    code(arguments).map(ExitCode::from)
}

/// Does what [`run`] does and gives the exit code as a number.
///
/// # Errors
/// Cargo could not be started, or the engine not be stopped.
pub(crate) fn code(arguments: &[String]) -> Result<u8> {
    let signals = Signals::heed()?;
    let engine = Engine::for_tests();
    let outcome = with_engine(arguments, engine.as_ref(), &signals);
    if let Ok(engine) = engine {
        engine.release()?;
    }
    outcome
}

fn with_engine(
    arguments: &[String],
    engine: Result<&Engine, &anyhow::Error>,
    signals: &Signals,
) -> Result<u8> {
    if signals.take().is_some() {
        return Ok(INTERRUPTED);
    }
    let mut command = tests(arguments);
    let reason = match engine {
        Ok(engine) => {
            command.env("DOCKER_HOST", engine.address().to_string());
            return Ok(exit(signals.run(&mut command)?));
        }
        Err(reason) => reason,
    };
    if std::env::var("CI").is_ok_and(|value| value == "true") {
        eprintln!("CI=true: the tests that need a container engine run, and fail: {reason:#}");
        return Ok(exit(signals.run(&mut command)?));
    }
    let left_out = needing_engine(arguments)?;
    separate(&mut command, arguments);
    command.args(NEED_ENGINE.iter().flat_map(|part| ["--skip", part]));
    let status = signals.run(&mut command)?;
    if !left_out.is_empty() {
        println!("\ntests that could not be run: {}", left_out.len());
        for name in &left_out {
            println!("  {name}");
        }
        println!("they need a container engine: {reason:#}");
        println!("`cargo xtask docker status` says where one was looked for");
    }
    Ok(exit(status))
}

fn exit(status: ExitStatus) -> u8 {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.unwrap_or(1)
}

fn tests(arguments: &[String]) -> Command {
    let mut command = process::cargo(&workspace::root());
    command.arg("test");
    if !names_a_package(arguments) {
        command.arg("--workspace");
    }
    command.arg("--all-features").args(arguments);
    command
}

/// Ends cargo's own arguments, if the caller has not.
fn separate(command: &mut Command, arguments: &[String]) {
    if !arguments.iter().any(|argument| argument == "--") {
        command.arg("--");
    }
}

/// The tests that need an engine, among those that `arguments` select.
fn needing_engine(arguments: &[String]) -> Result<Vec<String>> {
    let mut command = tests(arguments);
    separate(&mut command, arguments);
    let listed = process::output(command.arg("--list"))?;
    let names = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    let needing = names.filter(|name| NEED_ENGINE.iter().any(|part| name.contains(part)));
    Ok(needing.map(str::to_owned).collect())
}

/// The last signal to end that this process got, while it looks after an engine that must be stopped at the end.
struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// From here on such a signal is noted and ends nothing by itself.
    fn heed() -> Result<Self> {
        let last = Arc::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let number = usize::try_from(signal)?;
            signal_hook::flag::register_usize(signal, Arc::clone(&last), number)?;
        }
        Ok(Self(last))
    }

    fn take(&self) -> Option<Signal> {
        let number = i32::try_from(self.0.swap(0, Ordering::Relaxed)).ok()?;
        Signal::from_named_raw(number)
    }

    /// Runs a command to its end, and passes on to it and all that it started what signals come.
    fn run(&self, command: &mut Command) -> Result<ExitStatus> {
        let typed = process::typed(command);
        eprintln!("$ {typed}");
        // Cargo passes on no signal to the tests; in a group of their own all of them can be reached.
        let child = command.process_group(0).spawn();
        let mut child = child.with_context(|| format!("could not start `{typed}`"))?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if let Some(signal) = self.take() {
                let _ = kill_process_group(Pid::from_child(&child), signal);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Cargo lets `--workspace` win over `--package`, which is never what was meant.
fn names_a_package(arguments: &[String]) -> bool {
    arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| {
            argument.starts_with("--package")
                || (argument.starts_with("-p") && !argument.starts_with("--"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_package_narrows_the_run() {
        let check = |line: &str, expected: bool| {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(names_a_package(&arguments), expected, "{line}");
        };
        check("-p praxis-dsl", true);
        check("-ppraxis-dsl", true);
        check("--package=praxis-dsl", true);
        check("--doc some_filter", false);
        check("some_filter -- -p", false);
        check("", false);
    }
}
