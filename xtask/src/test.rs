//! `cargo xtask test`: all tests and doctests of the workspace.

use std::process::ExitCode;

use anyhow::Result;

use crate::{process, workspace};

/// Runs `cargo test` with all features; `arguments` go to it as they are.
///
/// It prints nothing after cargo does, so that the last lines are the test runner's own.
///
/// # Errors
/// Cargo could not be started.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut command = process::cargo(&workspace::root());
    command.arg("test");
    if !names_a_package(arguments) {
        command.arg("--workspace");
    }
    command.arg("--all-features").args(arguments);
    let status = process::run(&mut command)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
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
