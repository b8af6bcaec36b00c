//! `cargo xtask ci`: everything that a change must pass.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::table::Table;
use crate::workspace::{Package, Workspace};
use crate::{command_line, fuzz as targets, process, test as suite, tidy};

struct Stage {
    name: &'static str,
    run: fn(&Workspace) -> Result<Outcome>,
}

enum Outcome {
    Passed(String),
    Failed(String),
}

const STAGES: &[Stage] = &[
    Stage {
        name: "format",
        run: format,
    },
    Stage {
        name: "clippy",
        run: clippy,
    },
    Stage {
        name: "docs",
        run: docs,
    },
    Stage {
        name: "tidy",
        run: tidy,
    },
    Stage {
        name: "deny",
        run: deny,
    },
    Stage {
        name: "features",
        run: features,
    },
    Stage {
        name: "test",
        run: test,
    },
    Stage {
        name: "fuzz",
        run: fuzz,
    },
];

/// The stages, in the order in which they run.
pub(crate) fn names() -> Vec<&'static str> {
    STAGES.iter().map(|stage| stage.name).collect()
}

/// Runs all stages, or those that `arguments` name, up to the first that fails.
///
/// # Errors
/// A stage could not be started at all.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    for given in arguments {
        if !names().contains(&given.as_str()) {
            return Ok(command_line::unknown("stage", given, &names()));
        }
    }
    let workspace = Workspace::load()?;
    let wanted = STAGES
        .iter()
        .filter(|stage| arguments.is_empty() || arguments.iter().any(|given| given == stage.name));
    let mut table = Table::new(&["stage", "result", "seconds", "note"]);
    let mut failed = None;
    for stage in wanted {
        if failed.is_some() {
            table.row([stage.name.to_owned(), "not run".to_owned()]);
            continue;
        }
        eprintln!("\n== {} ==", stage.name);
        let started = Instant::now();
        let (result, note) = match (stage.run)(&workspace) {
            Ok(Outcome::Passed(note)) => ("passed", note),
            Ok(Outcome::Failed(note)) => ("FAILED", note),
            Err(error) => {
                eprintln!("error: {error:#}");
                ("FAILED", "could not run".to_owned())
            }
        };
        if result == "FAILED" {
            failed = Some(stage.name);
        }
        table.row([
            stage.name.to_owned(),
            result.to_owned(),
            seconds(started.elapsed()),
            note,
        ]);
    }
    println!("\n{table}");
    match failed {
        None => Ok(ExitCode::SUCCESS),
        Some(stage) => {
            println!("`{stage}` failed; once it is mended: cargo xtask ci {stage}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.1}", elapsed.as_secs_f64())
}

fn format(workspace: &Workspace) -> Result<Outcome> {
    one(process::cargo(&workspace.root).args(["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> Result<Outcome> {
    one(process::cargo(&workspace.root).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))
}

fn docs(workspace: &Workspace) -> Result<Outcome> {
    one(process::cargo(&workspace.root)
        .args(["doc", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "-D warnings"))
}

fn tidy(_: &Workspace) -> Result<Outcome> {
    let counts = tidy::check(&[])?;
    let note = counts.to_string();
    Ok(if counts.errors == 0 {
        Outcome::Passed(note)
    } else {
        Outcome::Failed(note)
    })
}

/// The real cargo-deny where it is installed.
///
/// Building it takes longer than everything else here, so a fresh machine holds `deny.toml` through
/// `tidy`'s own reading of it instead, and the summary says which of the two it was.
fn deny(workspace: &Workspace) -> Result<Outcome> {
    let installed = process::output(process::cargo(&workspace.root).args(["deny", "--version"]));
    if installed.is_err() {
        eprintln!(
            "cargo-deny is not installed, so only `cargo xtask tidy policy` holds deny.toml; \
             `cargo install cargo-deny --locked` adds the full tool"
        );
        let counts = tidy::check(&["policy"])?;
        let note = "by tidy's policy check: cargo-deny is not installed".to_owned();
        return Ok(if counts.errors == 0 {
            Outcome::Passed(note)
        } else {
            Outcome::Failed(note)
        });
    }
    one(process::cargo(&workspace.root).args([
        "deny",
        "--all-features",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

/// Every crate by itself: with nothing, with each feature, with its defaults and with everything.
///
/// It is clippy that checks, so that code which is dead without a feature fails as well.
fn features(workspace: &Workspace) -> Result<Outcome> {
    let mut runs = 0;
    for package in &workspace.packages {
        for selection in selections(package) {
            let mut command = process::cargo(&workspace.root);
            command
                .args(["clippy", "--quiet", "--package", &package.name])
                .args(selection)
                .args(["--", "-D", "warnings"]);
            if !process::run(&mut command)?.success() {
                return Ok(Outcome::Failed(process::typed(&command)));
            }
            runs += 1;
        }
    }
    Ok(Outcome::Passed(format!(
        "{runs} selections in {} packages",
        workspace.packages.len()
    )))
}

/// The feature selections under which a package must stand, each once.
fn selections(package: &Package) -> Vec<Vec<String>> {
    let bare = || vec!["--no-default-features".to_owned()];
    let mut selections = vec![bare()];
    for feature in package.features.keys().filter(|name| *name != "default") {
        selections.push([bare(), vec!["--features".to_owned(), feature.clone()]].concat());
    }
    if package
        .features
        .get("default")
        .is_some_and(|on| !on.is_empty())
    {
        selections.push(Vec::new());
    }
    if selections.len() > 2 {
        selections.push(vec!["--all-features".to_owned()]);
    }
    selections
}

fn test(_: &Workspace) -> Result<Outcome> {
    Ok(match suite::code(&[])? {
        0 => Outcome::Passed(String::new()),
        _ => Outcome::Failed("cargo xtask test".to_owned()),
    })
}

/// A few seconds of each fuzz target.
fn fuzz(_: &Workspace) -> Result<Outcome> {
    // The fuzzer itself is C++; the tests run the same bodies on the seeds without it.
    if !targets::has_compiler() {
        let note = "NOT RUN: there is no C++ compiler for libFuzzer; the tests run its seeds";
        return Ok(Outcome::Passed(note.to_owned()));
    }
    Ok(if targets::all(None, 5)? {
        Outcome::Passed("5 seconds each".to_owned())
    } else {
        Outcome::Failed("cargo xtask fuzz".to_owned())
    })
}

fn one(command: &mut Command) -> Result<Outcome> {
    let status = process::run(command)?;
    Ok(if status.success() {
        Outcome::Passed(String::new())
    } else {
        Outcome::Failed(process::typed(command))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_checked_bare_with_each_feature_by_default_and_in_full() {
        let check = |features: &[(&str, &[&str])], expected: &[&str]| {
            let package = Package {
                features: features
                    .iter()
                    .map(|(name, on)| {
                        let on = on.iter().map(|feature| (*feature).to_owned()).collect();
                        ((*name).to_owned(), on)
                    })
                    .collect(),
                ..Package::default()
            };
            let selections: Vec<String> = selections(&package)
                .iter()
                .map(|selection| selection.join(" "))
                .collect();
            assert_eq!(selections, expected);
        };
        check(&[], &["--no-default-features"]);
        check(&[("default", &[])], &["--no-default-features"]);
        check(
            &[("default", &["a"]), ("a", &[]), ("b", &[])],
            &[
                "--no-default-features",
                "--no-default-features --features a",
                "--no-default-features --features b",
                "",
                "--all-features",
            ],
        );
    }

    #[test]
    fn stage_names_are_unique() {
        let mut unique = names();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), STAGES.len());
    }
}
