//! `cargo xtask fuzz`: the fuzz targets, built with the pinned compiler and nothing else.
//!
//! The compiler's coverage pass works without a sanitizer, so no nightly and no other tool is
//! needed: in safe Rust a mistake is a panic, an overflow or an assertion of the target.
//! LibFuzzer itself is C++, so a compiler for that is needed as well.
//! `cargo fuzz` finds the same targets where it is installed.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::{command_line, process, workspace};

/// The coverage that libFuzzer steers by, as `cargo fuzz --sanitizer none` asks for it.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
     --cfg fuzzing -Ccodegen-units=1";

/// The targets, each with the folder of its seeds.
const TARGETS: &[(&str, &str)] = &[
    ("parser", "dsl"),
    ("checker", "dsl"),
    ("document", "document"),
    ("format", "dsl"),
    ("json", "json"),
];

#[derive(Debug, PartialEq, Eq)]
struct Options<'arguments> {
    target: Option<&'arguments str>,
    seconds: u32,
}

impl<'arguments> Options<'arguments> {
    /// Gives the word that it does not understand, if there is one.
    fn parse(arguments: &'arguments [String]) -> Result<Self, &'arguments str> {
        let mut options = Self {
            target: None,
            seconds: 10,
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            if word == "--seconds" {
                let seconds = words.next().ok_or(word.as_str())?;
                options.seconds = seconds.parse().map_err(|_| seconds.as_str())?;
            } else if !word.starts_with('-') && options.target.is_none() {
                options.target = Some(word);
            } else {
                return Err(word);
            }
        }
        Ok(options)
    }
}

/// Runs the targets, or the one that `arguments` name, each for `--seconds`.
///
/// # Errors
/// Cargo or a target could not be started.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(word) => return Ok(command_line::unknown("option", word, &["--seconds N"])),
    };
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    if let Some(target) = options.target.filter(|target| !names.contains(target)) {
        return Ok(command_line::unknown("target", target, &names));
    }
    Ok(if all(options.target, options.seconds)? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether the compiler that libFuzzer is built with is there.
pub(crate) fn has_compiler() -> bool {
    Command::new(compiler()).arg("--version").output().is_ok()
}

/// The C++ compiler, by the name that the build of libFuzzer looks for.
fn compiler() -> OsString {
    std::env::var_os("CXX").unwrap_or_else(|| "c++".into())
}

/// Builds the targets and runs all or one; whether none found anything.
///
/// # Errors
/// As [`run`], and no C++ compiler.
pub(crate) fn all(only: Option<&str>, seconds: u32) -> Result<bool> {
    ensure!(
        has_compiler(),
        "there is no C++ compiler `{}` to build libFuzzer with; install one (Debian: \
         `apt-get install g++`), or run what needs none: `cargo test -p praxis-dsl fuzzing`",
        compiler().display()
    );
    let root = workspace::root();
    let folder = root.join("fuzz");
    let built = folder.join("target");
    let host = host(&folder)?;
    let mut build = process::cargo(&folder);
    build
        .args(["build", "--release", "--bins"])
        // Where a target is named, the flags are not for build scripts, which have no fuzzer in them.
        .args(["--target", &host])
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", &built);
    if !process::run(&mut build)?.success() {
        return Ok(false);
    }
    let programs = built.join(host).join("release");
    for (name, seeds) in TARGETS {
        if only.is_none_or(|only| only == *name)
            && !one(&programs.join(name), &folder, name, seeds, seconds)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The triple of this machine, as the compiler of `folder` names it.
fn host(folder: &Path) -> Result<String> {
    let described = process::output(process::cargo(folder).args(["--version", "--verbose"]))?;
    let mut lines = described.lines();
    let host = lines.find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("cargo does not say its host")?.to_owned())
}

fn one(program: &Path, folder: &Path, name: &str, seeds: &str, seconds: u32) -> Result<bool> {
    // What a run finds worth keeping goes to the first folder; the seeds are only read.
    let found = folder.join("corpus").join(name);
    let broken = folder.join("artifacts").join(name);
    for folder in [&found, &broken] {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("could not make {}", folder.display()))?;
    }
    let mut command = Command::new(program);
    command
        .arg(&found)
        .arg(folder.join("seeds").join(seeds))
        .arg(format!("-artifact_prefix={}/", broken.display()))
        .arg(format!("-max_total_time={seconds}"))
        .args(["-max_len=4096", "-timeout=10", "-rss_limit_mb=2048"])
        .args(["-print_final_stats=1", "-verbosity=0"]);
    Ok(process::run(&mut command)?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_and_its_seconds() {
        let check = |line: &str, expected: Result<(Option<&str>, u32), &str>| {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let parsed = Options::parse(&arguments);
            let parsed = parsed.map(|options| (options.target, options.seconds));
            assert_eq!(parsed, expected, "{line}");
        };
        check("", Ok((None, 10)));
        check("parser", Ok((Some("parser"), 10)));
        check("--seconds 60 checker", Ok((Some("checker"), 60)));
        check("--seconds", Err("--seconds"));
        check("--seconds soon", Err("soon"));
        check("parser checker", Err("checker"));
        check("--runs", Err("--runs"));
    }

    #[test]
    fn every_target_has_its_file_and_its_seeds() {
        let folder = workspace::root().join("fuzz");
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("it is there");
        for (name, seeds) in TARGETS {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            assert!(folder.join(format!("fuzz_targets/{name}.rs")).is_file());
            assert!(folder.join("seeds").join(seeds).is_dir());
        }
    }
}
