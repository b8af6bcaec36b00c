//! Running cargo from inside a program that cargo runs.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};

/// A cargo command in `root`.
///
/// `cargo run` tells its child about the package `xtask` through the environment.
/// A build script that asks to be rerun when such a variable changes would be rebuilt on every
/// switch between `cargo` and `cargo xtask`, so they are taken away again.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let known = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
            .iter()
            .any(|prefix| known.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
}

/// Prints the command as one would type it, runs it to its end and gives its status.
///
/// # Errors
/// The program could not be started.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus> {
    let typed = typed(command);
    eprintln!("$ {typed}");
    command
        .status()
        .with_context(|| format!("could not start `{typed}`"))
}

/// Runs the command without a word and gives its standard output.
///
/// # Errors
/// The program could not be started, failed, or printed something that is not UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let typed = typed(command);
    let output = command
        .output()
        .with_context(|| format!("could not start `{typed}`"))?;
    anyhow::ensure!(
        output.status.success(),
        "`{typed}` failed ({}):\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{typed}` printed something that is not UTF-8"))
}

/// The command as one would type it in a POSIX shell, without cargo's own path.
pub(crate) fn typed(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!(
                "{}={}",
                name.to_string_lossy(),
                quoted(&value.to_string_lossy())
            ));
        }
    }
    let program = Path::new(command.get_program());
    let name = program.file_stem().unwrap_or(command.get_program());
    words.push(name.to_string_lossy().into_owned());
    words.extend(
        command
            .get_args()
            .map(|argument| quoted(&argument.to_string_lossy())),
    );
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_as_one_would_type_it() {
        let mut command = Command::new("/usr/bin/cargo");
        command
            .args(["doc", "--features", "a b", "it's"])
            .env("RUSTDOCFLAGS", "-D warnings")
            .env_remove("CARGO_PKG_NAME");
        assert_eq!(
            typed(&command),
            r"RUSTDOCFLAGS='-D warnings' cargo doc --features 'a b' 'it'\''s'"
        );
    }

    #[test]
    fn the_output_of_a_failed_command_is_an_error_that_shows_its_words() {
        let mut command = cargo(Path::new("."));
        command.arg("no-such-subcommand");
        let error = output(&mut command).expect_err("cargo has no such subcommand");
        assert!(error.to_string().contains("no-such-subcommand"), "{error}");
    }
}
