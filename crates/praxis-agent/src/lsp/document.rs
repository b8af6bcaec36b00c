//! A document that a client has open.

use std::cell::{Cell, OnceCell};
use std::time::Instant;

use praxis_dsl::navigate::{Names, visible_names};
use praxis_dsl::{Catalog, Code, Diagnostic, Limits, Span, Tree, parse};

use super::protocol::{Change, Range, TextEdit};
use super::text::{Encoding, Text};
use crate::program;
use crate::toolbox::Toolbox;

/// How large a text may be for its check to be kept from edit to edit, which takes several times
/// the room of the text.
const MAX_FOLLOWED_BYTES: usize = 4 << 20;

/// The text of a document and what is known of it.
///
/// Everything is worked out after a change, and only when it is asked for; all of it from the
/// whole text, but for the diagnostics of the language, which follow an edit.
pub(super) struct Document {
    pub(super) uri: String,
    pub(super) version: i32,
    text: Text,
    encoding: Encoding,
    /// It was larger than a program may be, so that its text is not kept.
    too_large: bool,
    /// Since when the client has not been told what is wrong with it.
    pub(super) untold: Option<Instant>,
    /// The check of the text, which takes edits.
    checked: OnceCell<praxis_dsl::Document<Catalog>>,
    findings: OnceCell<Vec<Diagnostic>>,
    /// Whether the steps had neither races nor cycles when that was last looked at.
    orderly: Cell<bool>,
    /// Whether that is to be looked at again, once the client is quiet.
    unsettled: Cell<bool>,
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
            checked: OnceCell::new(),
            findings: OnceCell::new(),
            orderly: Cell::new(false),
            unsettled: Cell::new(false),
            tree: OnceCell::new(),
            names: OnceCell::new(),
        };
        document.text_changed();
        document
    }

    pub(super) fn source(&self) -> &str {
        self.text.as_str()
    }

    /// Applies changes in their order, each to what the one before left.
    pub(super) fn change(&mut self, version: i32, changes: Vec<Change>) {
        self.version = version;
        // An edit can take as long as a check of everything, so that of many edits at once none
        // is followed.
        let alone = changes.len() == 1 && self.untold.is_none();
        if !alone {
            self.checked.take();
        }
        for change in changes {
            match change.range {
                None => {
                    self.text = Text::new(change.text, self.encoding);
                    self.too_large = false;
                    self.checked.take();
                }
                // What the range counts is not known any more.
                Some(_) if self.too_large => {}
                Some(range) => {
                    let edited = self.checked.get_mut();
                    let bytes = self.text.bytes(range);
                    if edited.is_some_and(|checked| checked.edit(bytes, &change.text).is_err()) {
                        self.checked.take();
                    }
                    self.text.replace(range, &change.text);
                }
            }
            if self.source().len() > Limits::DEFAULT.max_source_bytes {
                self.drop_text();
            }
        }
        self.text_changed();
    }

    /// Forgets the text, so that the document takes no room until all of it is sent again.
    pub(super) fn drop_text(&mut self) {
        self.text = Text::new(String::new(), self.encoding);
        self.too_large = true;
        self.checked.take();
        self.text_changed();
    }

    /// Forgets what was worked out from the tools.
    pub(super) fn tools_changed(&mut self) {
        self.checked.take();
        self.orderly.set(false);
        self.text_changed();
    }

    /// Forgets what was worked out from the text, but for the check that follows it.
    fn text_changed(&mut self) {
        self.findings.take();
        self.unsettled.set(false);
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
            if self.source().len() > MAX_FOLLOWED_BYTES {
                return self.examine(tools);
            }
            let checked = self.checked.get_or_init(|| {
                praxis_dsl::Document::new(self.source().to_owned(), tools.signatures().clone())
            });
            let found = checked.diagnostics();
            if found.iter().any(Diagnostic::is_error) {
                return found;
            }
            // Races and cycles need the whole program, and a step that is being typed seldom
            // makes the first one.
            if self.orderly.get() {
                self.unsettled.set(true);
                return found;
            }
            self.examine(tools)
        })
    }

    /// Whether races and cycles are not among the findings yet.
    pub(super) fn is_unsettled(&self) -> bool {
        self.unsettled.get()
    }

    /// Looks for races and cycles; where there are some, the client is to be told again.
    pub(super) fn settle(&mut self, tools: &Toolbox) {
        self.unsettled.set(false);
        let found = self.examine(tools);
        if !self.orderly.get() {
            self.findings = OnceCell::from(found);
            self.untold.get_or_insert_with(Instant::now);
        }
    }

    /// All that is wrong, worked out from the whole text.
    fn examine(&self, tools: &Toolbox) -> Vec<Diagnostic> {
        let (plan, found) = program::examine(self.tree(), tools);
        self.orderly.set(plan.is_some());
        found
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
