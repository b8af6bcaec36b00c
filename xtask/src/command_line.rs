//! Which commands there are, and what a mistyped one meant.

use std::process::ExitCode;

use anyhow::Result;

use crate::{bench, ci, docker, fuzz, test, tidy};

/// The exit code for a command line that cannot be understood.
const USAGE: u8 = 2;

struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<ExitCode>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "test",
        arguments: "[cargo test arguments]",
        about: "all tests and doctests of the workspace, with all features",
        run: test::run,
    },
    Command {
        name: "docker",
        arguments: "[up|down|status]",
        about: "a container engine for the tests, with their image; `test` starts and stops one by itself",
        run: docker::run,
    },
    Command {
        name: "tidy",
        arguments: "[check…]",
        about: "the house rules that no compiler knows: layers, manifests, files, links, licences",
        run: tidy::run,
    },
    Command {
        name: "ci",
        arguments: "[stage…]",
        about: "format, clippy, docs, tidy, deny, every crate alone with each feature, tests, fuzz targets",
        run: ci::run,
    },
    Command {
        name: "bench",
        arguments: "[bench] [--save] [--check] [-- criterion arguments]",
        about: "the benches, their medians, and the ratios that the project answers for",
        run: bench::run,
    },
    Command {
        name: "fuzz",
        arguments: "[target] [--seconds N]",
        about: "the fuzz targets, 10 seconds each unless told",
        run: fuzz::run,
    },
];

/// Runs the command that `arguments` name; without any, says which there are.
///
/// # Errors
/// What the command itself could not do.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    match arguments.split_first() {
        None => Ok(help()),
        Some((first, _)) if matches!(first.as_str(), "help" | "-h" | "--help") => Ok(help()),
        Some((first, rest)) => match COMMANDS.iter().find(|command| command.name == first) {
            Some(command) => (command.run)(rest),
            None => {
                let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
                Ok(unknown("command", first, &names))
            }
        },
    }
}

fn help() -> ExitCode {
    println!("Usage: cargo xtask <command>\n");
    for command in COMMANDS {
        println!("  {} {}", command.name, command.arguments);
        println!("      {}", command.about);
    }
    println!("  help\n      this text\n");
    println!("Checks of `tidy`: {}", tidy::names().join(", "));
    println!("Stages of `ci`: {}", ci::names().join(", "));
    ExitCode::SUCCESS
}

/// Reports a word that names none of `known`, with the closest one that does.
pub(crate) fn unknown(kind: &str, given: &str, known: &[&str]) -> ExitCode {
    eprintln!("error: there is no {kind} `{given}`");
    match closest(given, known) {
        Some(meant) => eprintln!("  did you mean `{meant}`?"),
        None => eprintln!("  known: {}", known.join(", ")),
    }
    ExitCode::from(USAGE)
}

fn closest<'known>(given: &str, known: &[&'known str]) -> Option<&'known str> {
    known
        .iter()
        .map(|candidate| (edit_distance(given, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The Levenshtein distance, one row at a time (Wagner and Fischer, 1974).
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, left_char) in left.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (column, right_char) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left_char != *right_char);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_finds_the_one_that_was_meant() {
        let known = ["test", "tidy", "ci", "bench"];
        assert_eq!(closest("tets", &known), Some("test"));
        assert_eq!(closest("tydi", &known), Some("tidy"));
        assert_eq!(closest("benches", &known), Some("bench"));
        assert_eq!(closest("frobnicate", &known), None);
    }

    #[test]
    fn edit_distance_counts_single_changes() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("same", "same"), 0);
    }
}
