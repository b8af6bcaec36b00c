//! A document that a client has open.

use std::cell::OnceCell;
use std::time::Instant;

use praxis_dsl::navigate::{Names, visible_names};
use praxis_dsl::{Code, Diagnostic, Limits, Span, Tree, parse};

use super::protocol::{Change, Range, TextEdit};
use super::text::{Encoding, Text};
use crate::program;
use crate::toolbox::Toolbox;

/// The text of a document and what is known of it.
///
/// Everything is worked out from the whole text after a change, and only when it is asked for.
pub(super) struct Document {
    pub(super) uri: String,
    pub(super) version: i32,
    text: Text,
    encoding: Encoding,
    /// It was larger than a program may be, so that its text is not kept.
    too_large: bool,
    /// Since when the client has not been told what is wrong with it.
    pub(super) untold: Option<Instant>,
    findings: OnceCell<Vec<Diagnostic>>,
    tree: OnceCell<Tree>,
    names: OnceCell<Names>,
}

impl Document {
    pub(super) fn new(uri: String, version: i32, source: String, encoding: Encoding) -> Self {
        let mut document = Self {
            uri,
            version,
            text: Text::new(source, encoding),
            encoding,
            too_large: false,
            untold: None,
            findings: OnceCell::new(),
            tree: OnceCell::new(),
            names: OnceCell::new(),
        };
        document.changed();
        document
    }

    pub(super) fn source(&self) -> &str {
        self.text.as_str()
    }

    /// Applies changes in their order, each to what the one before left.
    pub(super) fn change(&mut self, version: i32, changes: Vec<Change>) {
        self.version = version;
        for change in changes {
            match change.range {
                None => {
                    self.text = Text::new(change.text, self.encoding);
                    self.too_large = false;
                }
                // What the range counts is not known any more.
                Some(_) if self.too_large => {}
                Some(range) => self.text.replace(range, &change.text),
            }
            if self.source().len() > Limits::DEFAULT.max_source_bytes {
                self.drop_text();
            }
        }
        self.changed();
    }

    /// Forgets the text, so that the document takes no room until all of it is sent again.
    pub(super) fn drop_text(&mut self) {
        self.text = Text::new(String::new(), self.encoding);
        self.too_large = true;
        self.changed();
    }

    /// Forgets what was worked out from the text and the tools.
    pub(super) fn changed(&mut self) {
        self.findings.take();
        self.tree.take();
        self.names.take();
        self.untold.get_or_insert_with(Instant::now);
    }

    pub(super) fn findings(&self, tools: &Toolbox) -> &[Diagnostic] {
        self.findings.get_or_init(|| {
            if self.too_large {
                let message = "the document is larger than a program may be, and is not looked at";
                let found = Diagnostic::error(Code::SourceTooLarge, Span::default(), message);
                return vec![
                    found.with_help(
                        "split the program, or close other documents, and open it again",
                    ),
                ];
            }
            program::examine(self.tree(), tools).1
        })
    }

    pub(super) fn tree(&self) -> &Tree {
        self.tree.get_or_init(|| parse(self.source()))
    }

    pub(super) fn names(&self, tools: &Toolbox) -> &Names {
        self.names.get_or_init(|| Names::of(self.tree(), tools))
    }

    /// The names that can be used at the byte `offset`, in the order in which they were bound.
    pub(super) fn visible(&self, offset: u32, tools: &Toolbox) -> Vec<(String, Span)> {
        visible_names(self.tree(), tools, offset)
    }

    /// The byte of a position; it fits, because a source is at most 64 MiB long.
    pub(super) fn offset(&self, position: super::protocol::Position) -> u32 {
        u32::try_from(self.text.offset(position)).unwrap_or(u32::MAX)
    }

    pub(super) fn range(&self, span: Span) -> Range {
        self.text.range(span.range())
    }

    pub(super) fn span(&self, range: Range) -> Span {
        let bytes = self.text.bytes(range);
        Span::new(bytes.start, bytes.end)
    }

    /// The edit that puts `text` in the place of all of it and touches only the lines that differ.
    pub(super) fn replacement(&self, text: &str) -> Option<TextEdit> {
        let (old, new) = (self.source(), text);
        if old == new {
            return None;
        }
        let ahead = old.split_inclusive('\n').zip(new.split_inclusive('\n'));
        let ahead = ahead.take_while(|(one, other)| one == other);
        let ahead: usize = ahead.map(|(line, _)| line.len()).sum();
        let (old, new) = (&old[ahead..], &new[ahead..]);
        let behind = old.lines().rev().zip(new.lines().rev());
        let same = behind.take_while(|(one, other)| one == other).count();
        let end = |text: &str| {
            let lines = text.split_inclusive('\n').rev().take(same);
            text.len() - lines.map(str::len).sum::<usize>()
        };
        // The last line may have no line end, or another one.
        let (mut old_end, mut new_end) = (end(old), end(new));
        if old[old_end..] != new[new_end..] {
            (old_end, new_end) = (old.len(), new.len());
        }
        Some(TextEdit {
            range: self.text.range(ahead..ahead + old_end),
            new_text: new[..new_end].to_owned(),
        })
    }
}
