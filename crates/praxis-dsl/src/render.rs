//! Diagnostics as text for people, with an excerpt of the source.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

use crate::diagnostic::{Diagnostic, Severity, is_invisible};
use crate::source::{LineIndex, Span};

/// How many columns of a line an excerpt shows at most.
const EXCERPT_COLUMNS: usize = 120;
/// How much of a long line stands before the marked part.
const CONTEXT_COLUMNS: usize = 40;
const TAB_COLUMNS: usize = 4;

struct Style {
    strong: &'static str,
    severity: &'static str,
    frame: &'static str,
    reset: &'static str,
}

const PLAIN: Style = Style {
    strong: "",
    severity: "",
    frame: "",
    reset: "",
};
const RED: Style = Style {
    strong: "\u{1b}[1m",
    severity: "\u{1b}[1;31m",
    frame: "\u{1b}[1;34m",
    reset: "\u{1b}[0m",
};
const YELLOW: Style = Style {
    severity: "\u{1b}[1;33m",
    ..RED
};

impl Diagnostic {
    /// The diagnostic with an excerpt of `source`, which came from `path`.
    ///
    /// Indexes the lines of `source`; use [`Diagnostic::render_with`] for many diagnostics.
    pub fn render(&self, path: &str, source: &str, color: bool) -> String {
        self.render_with(path, source, &LineIndex::new(source), color)
    }

    /// [`Diagnostic::render`] with the index of `source` at hand.
    pub fn render_with(&self, path: &str, source: &str, lines: &LineIndex, color: bool) -> String {
        let style = match (color, self.severity) {
            (false, _) => PLAIN,
            (true, Severity::Error) => RED,
            (true, Severity::Warning) => YELLOW,
        };
        let Style {
            strong,
            severity,
            frame,
            reset,
        } = style;
        let place = lines.location(source, self.span.start);
        let gutter = self
            .labels
            .iter()
            .map(|label| lines.location(source, label.span.start).line)
            .fold(place.line, u32::max)
            .to_string()
            .len();
        let mut out = format!(
            "{severity}{}[{}]{reset}{strong}: {}{reset}\n",
            self.severity.as_str(),
            self.code,
            self.message
        );
        let (line, column) = (place.line, place.column);
        let _ = writeln!(
            out,
            "{:gutter$}{frame}-->{reset} {path}:{line}:{column}",
            ""
        );
        let _ = writeln!(out, "{:gutter$} {frame}|{reset}", "");
        excerpt(
            &mut out, source, lines, self.span, "", gutter, frame, severity, reset,
        );
        for label in &self.labels {
            let _ = writeln!(out, "{:gutter$} {frame}|{reset}", "");
            excerpt(
                &mut out,
                source,
                lines,
                label.span,
                &label.message,
                gutter,
                frame,
                frame,
                reset,
            );
        }
        if let Some(help) = &self.help {
            let _ = writeln!(
                out,
                "{:gutter$} {frame}={reset} {strong}help{reset}: {help}",
                ""
            );
        }
        out
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one caller, and each is a plain value"
)]
fn excerpt(
    out: &mut String,
    source: &str,
    lines: &LineIndex,
    span: Span,
    message: &str,
    gutter: usize,
    frame: &str,
    mark: &str,
    reset: &str,
) {
    let number = lines.location(source, span.start).line;
    let line = lines.line_span(source, number);
    let view = View::new(line.text(source), line.start, span);
    let _ = writeln!(out, "{frame}{number:>gutter$} |{reset} {}", view.text);
    let _ = write!(
        out,
        "{:gutter$} {frame}|{reset} {:before$}{mark}{}{reset}",
        "",
        "",
        "^".repeat(view.marked.max(1)),
        before = view.before,
    );
    if !message.is_empty() {
        let _ = write!(out, " {mark}{message}{reset}");
    }
    out.push('\n');
}

/// A line as it is shown, with the columns before the marked part and in it.
struct View {
    text: String,
    before: usize,
    marked: usize,
}

impl View {
    fn new(line: &str, line_start: u32, span: Span) -> Self {
        let start = floor(line, span.start.saturating_sub(line_start) as usize);
        let end = floor(line, span.end.saturating_sub(line_start) as usize).max(start);
        // Only the neighbourhood is looked at, so that a line of megabytes costs no more.
        let from = floor(line, start.saturating_sub(4 * EXCERPT_COLUMNS));
        let lead: Vec<char> = line[from..start].chars().rev().collect();
        let long = line.len() > EXCERPT_COLUMNS;
        let budget = if long {
            CONTEXT_COLUMNS.max(EXCERPT_COLUMNS.saturating_sub(line.len() - start))
        } else {
            usize::MAX
        };
        let mut kept = 0;
        let mut columns = 0;
        for &character in &lead {
            columns += width(character);
            if columns > budget {
                break;
            }
            kept += 1;
        }
        let cut = kept < lead.len() || from > 0;
        let mut text = String::new();
        let mut before = 0;
        if cut {
            text.push('…');
            before = 1;
        }
        for &character in lead[..kept].iter().rev() {
            before += push(&mut text, character);
        }
        let mut marked = 0;
        let mut total = before;
        for (offset, character) in line[start..].char_indices() {
            if total >= EXCERPT_COLUMNS && long {
                text.push('…');
                break;
            }
            let columns = push(&mut text, character);
            total += columns;
            if start + offset < end {
                marked += columns;
            }
        }
        let text = text.trim_end().to_owned();
        Self {
            text,
            before,
            marked,
        }
    }
}

fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

fn width(character: char) -> usize {
    if character == '\t' {
        TAB_COLUMNS
    } else if is_invisible(character) {
        format!("<U+{:04X}>", u32::from(character)).len()
    } else {
        character.width().unwrap_or(0)
    }
}

fn push(out: &mut String, character: char) -> usize {
    if character == '\t' {
        out.push_str("    ");
    } else if is_invisible(character) {
        let _ = write!(out, "<U+{:04X}>", u32::from(character));
    } else {
        out.push(character);
    }
    width(character)
}
