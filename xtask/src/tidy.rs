//! `cargo xtask tidy`: the house rules that no compiler knows.
//!
//! A check is a function from the tracked files and the workspace to the problems that it found.
//! Each has tests that show it going red on a bad sample.

mod file_names;
mod layers;
mod manifests;
mod markdown;
mod policy;
mod portability;
mod ratios;
mod rust_source;
mod rust_text;
mod tree;

use std::fmt;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command_line;
use crate::workspace::Workspace;
use tree::Tree;

/// What a check looks at.
struct Subject {
    tree: Tree,
    workspace: Workspace,
}

/// Something that a check found.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    severity: Severity,
    /// A file, or a file and a line.
    place: String,
    /// What is wrong there and what would be right.
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Error,
    Warning,
}

impl Problem {
    fn error(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place: place.into(),
            message: message.into(),
        }
    }

    fn warning(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(place, message)
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}: {}", self.place, self.message)
    }
}

struct Check {
    name: &'static str,
    run: fn(&Subject) -> Result<Vec<Problem>>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "layers",
        run: |subject| Ok(layers::check(&subject.workspace)),
    },
    Check {
        name: "manifests",
        run: |subject| manifests::check(&subject.tree),
    },
    Check {
        name: "root-modules",
        run: |subject| Ok(rust_source::root_modules(&subject.tree)),
    },
    Check {
        name: "file-names",
        run: |subject| Ok(file_names::check(&subject.tree)),
    },
    Check {
        name: "file-length",
        run: |subject| Ok(rust_source::length(&subject.tree)),
    },
    Check {
        name: "lint-exceptions",
        run: |subject| Ok(rust_source::exceptions(&subject.tree)),
    },
    Check {
        name: "unfinished",
        run: |subject| Ok(rust_source::unfinished(&subject.tree)),
    },
    Check {
        name: "markdown",
        run: |subject| Ok(markdown::check(&subject.tree)),
    },
    Check {
        name: "portability",
        run: |subject| Ok(portability::check(&subject.tree)),
    },
    Check {
        name: "ratios",
        run: |subject| ratios::check(&subject.tree, &subject.workspace),
    },
    Check {
        name: "policy",
        run: |subject| policy::check(&subject.tree, &subject.workspace.root),
    },
];

/// The checks, in the order in which they run.
pub(crate) fn names() -> Vec<&'static str> {
    CHECKS.iter().map(|check| check.name).collect()
}

/// What a run of checks came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) checks: usize,
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} checks, {} errors, {} warnings",
            self.checks, self.errors, self.warnings
        )
    }
}

/// Runs all checks, or those that `arguments` name.
///
/// # Errors
/// A check could not read what it looks at.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    for given in arguments {
        if !names().contains(&given.as_str()) {
            return Ok(command_line::unknown("check", given, &names()));
        }
    }
    let wanted: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let counts = check(&wanted)?;
    println!("tidy: {counts}");
    Ok(if counts.errors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the checks named in `wanted`, or all if it is empty, and prints what they find.
///
/// # Errors
/// A check could not read what it looks at.
pub(crate) fn check(wanted: &[&str]) -> Result<Counts> {
    let workspace = Workspace::load()?;
    let subject = Subject {
        tree: Tree::read(&workspace.root)?,
        workspace,
    };
    let mut counts = Counts::default();
    for check in CHECKS
        .iter()
        .filter(|check| wanted.is_empty() || wanted.contains(&check.name))
    {
        let problems = (check.run)(&subject)
            .with_context(|| format!("check `{}` could not run", check.name))?;
        counts.checks += 1;
        for problem in problems {
            eprintln!("{problem} [{}]", check.name);
            match problem.severity {
                Severity::Error => counts.errors += 1,
                Severity::Warning => counts.warnings += 1,
            }
        }
    }
    Ok(counts)
}

/// The places of `problems`, for tests that compare what was found with what should be.
#[cfg(test)]
fn places(problems: &[Problem]) -> Vec<&str> {
    problems
        .iter()
        .map(|problem| problem.place.as_str())
        .collect()
}
