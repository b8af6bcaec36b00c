//! From a file to a plan, with every problem on the way as a diagnostic.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use praxis_dsl::{Code, Diagnostic, Limits, LineIndex, Row, Span, Tree, decode, parse};
use praxis_workflow::{ErrorKind, Issue, Plan, lower};

use crate::toolbox::Toolbox;

/// A program that was read, with what was found in it.
pub struct Loaded {
    /// The path to show; `<stdin>` for standard input.
    pub path: String,
    /// The text.
    pub source: String,
    /// What can be run, if there are no errors.
    pub plan: Option<Plan>,
    /// Errors and warnings, in source order.
    pub diagnostics: Vec<Diagnostic>,
    lines: LineIndex,
}

/// Why a program could not even be looked at.
#[derive(Debug)]
pub enum Problem {
    /// It cannot be read.
    Unreadable {
        /// The path to show.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is not text, or too large.
    NotText {
        /// The path to show.
        path: String,
        /// The diagnostic as a row, since there is no text to point into.
        row: Box<Row>,
        /// The diagnostic for people.
        text: String,
    },
}

impl Loaded {
    /// Whether it cannot be run.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// A diagnostic as a row for machines.
    pub fn row(&self, diagnostic: &Diagnostic) -> Row {
        diagnostic.to_row(&self.source, &self.lines)
    }

    /// A diagnostic with its lines of source, for people.
    pub fn render(&self, diagnostic: &Diagnostic, color: bool) -> String {
        diagnostic.render_with(&self.path, &self.source, &self.lines, color)
    }
}

/// Reads the text of a program, `-` being standard input.
///
/// # Errors
///
/// A file that cannot be read, and one that is no text or larger than a program may be.
pub fn read(path: &str) -> Result<(String, String), Problem> {
    let shown = if path == "-" {
        "<stdin>".to_owned()
    } else {
        path.to_owned()
    };
    let unreadable = |source| Problem::Unreadable {
        path: shown.clone(),
        source,
    };
    // One byte past the limit is enough for the parser to say that the source is too large.
    let most = Limits::DEFAULT.max_source_bytes as u64 + 1;
    let mut bytes = Vec::new();
    if path == "-" {
        io::stdin()
            .lock()
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
    } else {
        let file = File::open(Path::new(path)).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(unreadable(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        file.take(most)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
    }
    match decode(&bytes) {
        Ok(_) => Ok((
            shown,
            String::from_utf8(bytes).expect("`decode` has just read it as UTF-8"),
        )),
        Err(error) => {
            let (row, text) = (Box::new(error.to_row()), error.render(&shown));
            Err(Problem::NotText {
                path: shown,
                row,
                text,
            })
        }
    }
}

/// Reads, checks and lowers a program, `-` being standard input.
///
/// # Errors
///
/// As [`read`]; everything that is wrong with the text itself is in [`Loaded::diagnostics`].
pub fn load(path: &str, tools: &Toolbox) -> Result<Loaded, Problem> {
    let (path, source) = read(path)?;
    Ok(load_text(path, source, tools))
}

/// Checks and lowers the text of a program; `path` is shown with its diagnostics.
pub fn load_text(path: String, source: String, tools: &Toolbox) -> Loaded {
    let tree = parse(&source);
    let (plan, diagnostics) = examine(&tree, tools);
    Loaded {
        path,
        lines: tree.into_line_index(),
        source,
        plan,
        diagnostics,
    }
}

/// Checks and lowers a program: what can be run, if there are no errors, and what is wrong, in
/// source order.
pub(crate) fn examine(tree: &Tree, tools: &Toolbox) -> (Option<Plan>, Vec<Diagnostic>) {
    let validation = tools.check(tree);
    let checked = validation.checked();
    let mut diagnostics = checked.diagnostics.clone();
    let mut plan = None;
    if let Some(program) = &checked.program {
        match lower(program, tools) {
            Ok(lowered) => plan = Some(lowered),
            Err(error) => {
                diagnostics.extend(
                    error
                        .issues()
                        .iter()
                        .map(|issue| diagnose(issue, tree.source(), tree.line_index())),
                );
                diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
            }
        }
    }
    (plan, diagnostics)
}

fn diagnose(issue: &Issue, source: &str, lines: &LineIndex) -> Diagnostic {
    let code = match issue.kind {
        ErrorKind::Race => Code::Race,
        _ => Code::Cycle,
    };
    let span = match issue.location {
        Some(location) => {
            let line = lines.line_span(source, location.line);
            let text = line.text(source);
            let skipped: usize = text
                .chars()
                .take(location.column as usize - 1)
                .map(char::len_utf8)
                .sum();
            Span::new(line.start as usize + skipped, line.end as usize)
        }
        None => Span::new(0, 0),
    };
    let diagnostic = Diagnostic::error(code, span, issue.message.clone());
    match &issue.help {
        Some(help) => diagnostic.with_help(help.clone()),
        None => diagnostic,
    }
}
