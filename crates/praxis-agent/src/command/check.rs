//! `praxis check`.

use praxis_agent::{Problem, Toolbox, load, read};
use praxis_dsl::checked::Location;
use praxis_dsl::{Row, fix};
use serde::Serialize;

use crate::arguments::Check;
use crate::exit::{Exit, Stop};
use crate::output;
use crate::replace::replace;

/// The document that `--json` prints.
#[derive(Serialize)]
struct Document {
    files: Vec<Checked>,
}

#[derive(Serialize)]
struct Checked {
    path: String,
    diagnostics: Vec<Row>,
}

pub(crate) fn check(arguments: &Check) -> Result<Exit, Stop> {
    let tools = super::toolbox(&arguments.folders, false)?;
    let mut files = Vec::with_capacity(arguments.files.len());
    let mut exit = Exit::Done;
    for path in &arguments.files {
        if arguments.fix {
            mend(path, &tools)?;
        }
        match load(path, &tools) {
            Ok(loaded) => {
                if loaded.has_errors() && exit == Exit::Done {
                    exit = Exit::Mistake;
                }
                if !arguments.json {
                    for diagnostic in &loaded.diagnostics {
                        output::note(&loaded.render(diagnostic, output::colour_errors()));
                    }
                    let errors = loaded
                        .diagnostics
                        .iter()
                        .filter(|diagnostic| diagnostic.is_error())
                        .count();
                    output::text(&summary(
                        &loaded.path,
                        errors,
                        loaded.diagnostics.len() - errors,
                    ))?;
                }
                let diagnostics = loaded
                    .diagnostics
                    .iter()
                    .map(|diagnostic| loaded.row(diagnostic))
                    .collect();
                files.push(Checked {
                    path: loaded.path,
                    diagnostics,
                });
            }
            Err(Problem::NotText { path, row, text }) => {
                if exit == Exit::Done {
                    exit = Exit::Mistake;
                }
                if !arguments.json {
                    output::note(&text);
                    output::text(&summary(&path, 1, 0))?;
                }
                files.push(Checked {
                    path,
                    diagnostics: vec![*row],
                });
            }
            Err(problem) => {
                let stop = Stop::from(problem);
                output::complain(&stop.message, stop.help.as_deref());
                exit = stop.exit;
            }
        }
    }
    if arguments.json {
        output::json(&Document { files })?;
    }
    Ok(exit)
}

/// Makes the changes that certainly mend a mistake, and says which.
fn mend(path: &str, tools: &Toolbox) -> Result<(), Stop> {
    if path == "-" {
        let mut stop = Stop::new(Exit::Mistake, "standard input cannot be mended in place");
        stop.help = Some("give a file to --fix".to_owned());
        return Err(stop);
    }
    // What cannot be read is reported by the check itself.
    let Ok((_, source)) = read(path) else {
        return Ok(());
    };
    let fixed = fix(&source, tools);
    if fixed.source == source {
        return Ok(());
    }
    replace(path, &fixed.source)?;
    for change in fixed.changes {
        let Location { line, column } = change.location;
        let (before, after) = (visible(&change.before), visible(&change.after));
        output::note(&format!(
            "{path}:{line}:{column}: `{before}` is now `{after}` [{}]\n",
            change.code
        ));
    }
    Ok(())
}

/// A part of a program on one line of the terminal.
fn visible(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        let hidden = matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if hidden || character.is_control() {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

fn summary(path: &str, errors: usize, warnings: usize) -> String {
    let count = |number: usize, what: &str| match number {
        0 => None,
        1 => Some(format!("1 {what}")),
        many => Some(format!("{many} {what}s")),
    };
    let found: Vec<String> = [count(errors, "error"), count(warnings, "warning")]
        .into_iter()
        .flatten()
        .collect();
    if found.is_empty() {
        format!("{path}: ok\n")
    } else {
        format!("{path}: {}\n", found.join(", "))
    }
}
