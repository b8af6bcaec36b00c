//! `praxis check`.

use praxis_agent::{Problem, load};
use praxis_dsl::Row;
use serde::Serialize;

use crate::arguments::Check;
use crate::exit::{Exit, Stop};
use crate::output;

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
