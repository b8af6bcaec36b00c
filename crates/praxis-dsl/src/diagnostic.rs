//! Diagnostics: what is wrong, where, what would be right.

use serde::Serialize;

use crate::check::is_name;
use crate::code::Code;
use crate::source::{LineIndex, Span};
use crate::steps;
use crate::suggest::Nearest;
use crate::word::Word;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The program cannot run.
    Error,
    /// The program runs, but perhaps not as it was meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A change of the source that mends the mistake and can be made by a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced.
    pub span: Span,
    /// What stands there then.
    pub replacement: String,
}

/// Another place that has to do with the mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is there.
    pub message: String,
}

/// One mistake in a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The kind of mistake.
    pub code: Code,
    /// What is wrong: a lowercase fragment that names the offending value.
    pub message: String,
    /// The way out.
    pub help: Option<String>,
    /// Where it is.
    pub span: Span,
    /// Other places that have to do with it.
    pub labels: Vec<Label>,
    /// A change that mends it.
    pub fix: Option<Fix>,
}

/// A diagnostic as a row for machines; the names are stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `error` or `warning`.
    pub severity: Severity,
    /// The stable id of the code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub help: Option<String>,
    /// The line of the first character, from 1.
    pub line: u32,
    /// The column of the first character, in characters from 1.
    pub column: u32,
    /// The line of the character after the last.
    pub end_line: u32,
    /// The column of the character after the last.
    pub end_column: u32,
}

impl Diagnostic {
    /// An error without help.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            help: None,
            span,
            labels: Vec::new(),
            fix: None,
        }
    }

    /// A warning without help.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// The same with a way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with another place that has to do with it.
    #[must_use]
    pub fn with_label(mut self, span: Span, message: impl Into<String>) -> Self {
        let message = message.into();
        self.labels.push(Label { span, message });
        self
    }

    /// The same with a change that mends it.
    #[must_use]
    pub fn with_fix(mut self, span: Span, replacement: impl Into<String>) -> Self {
        let replacement = replacement.into();
        self.fix = Some(Fix { span, replacement });
        self
    }

    /// The same with what was meant, which replaces `span` if nothing else is as near to it.
    /// `sign` stands before the word where it is written.
    #[must_use]
    pub(crate) fn meaning(self, span: Span, sign: &str, meant: Nearest<'_>) -> Self {
        let word = format!("{sign}{}", meant.word);
        let helped = self.with_help(format!("did you mean `{word}`?"));
        if meant.clear {
            helped.with_fix(span, word)
        } else {
            helped
        }
    }

    /// The same with blanks around the first `=` of `word`, if a name stands before it.
    #[must_use]
    pub(crate) fn spaced(self, word: &Word, source: &str) -> Self {
        let written = word.span().text(source);
        match written.split_once('=') {
            Some((name, value)) if word.is_bare() && is_name(name) && !value.starts_with('=') => {
                let spaced = format!("{name} = {value}");
                self.with_fix(word.span(), spaced.trim_end())
            }
            _ => self,
        }
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The diagnostic as a row for machines; `lines` is the index of `source`.
    pub fn to_row(&self, source: &str, lines: &LineIndex) -> Row {
        let start = lines.location(source, self.span.start);
        let end = lines.location(source, self.span.end);
        Row {
            severity: self.severity,
            code: self.code.id(),
            message: self.message.clone(),
            help: self.help.clone(),
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
        }
    }
}

/// Diagnostics as they are found, with a bound on how many are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sink {
    kept: Vec<Diagnostic>,
    limit: usize,
    dropped: usize,
    last_span: Span,
    errors: bool,
}

impl Sink {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.errors |= diagnostic.is_error();
        if self.kept.len() < self.limit {
            self.kept.push(diagnostic);
        } else {
            self.dropped += 1;
            self.last_span = diagnostic.span;
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors
    }

    /// How many there are, those that are not kept included.
    pub(crate) fn count(&self) -> usize {
        self.kept.len() + self.dropped
    }

    /// The diagnostics in source order, then one that counts those that were not kept.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        steps::add(self.kept.len());
        self.kept
            .sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
        if self.dropped > 0 {
            let message = format!("{} more diagnostics are not shown", self.dropped);
            self.kept.push(
                Diagnostic::warning(Code::TooManyDiagnostics, self.last_span, message)
                    .with_help("mend these first and check again"),
            );
        }
        self.kept
    }
}

/// A value of the source for a message: cut, with what cannot be seen escaped.
pub(crate) fn shown(text: &str) -> String {
    const LIMIT: usize = 60;
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        steps::add(1);
        if count == LIMIT {
            out.push('…');
            break;
        }
        if is_invisible(character) {
            out.push_str(&format!("U+{:04X}", u32::from(character)));
        } else {
            out.push(character);
        }
    }
    out
}

/// Whether a terminal would not show the character, or would let it reorder others.
pub(crate) fn is_invisible(character: char) -> bool {
    character.is_control() || is_format_control(character)
}

/// Zero-width characters and bidirectional controls.
pub(crate) fn is_format_control(character: char) -> bool {
    is_bidi_control(character)
        || matches!(character,
            '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// The characters that reorder the text around them.
pub(crate) fn is_bidi_control(character: char) -> bool {
    matches!(character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
