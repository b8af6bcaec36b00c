//! A program that is being edited: a change of one line checks that line.
//!
//! A full check leaves behind what each line depends on and what others see of it. An edit reads
//! and checks its line in that context; as long as others see the same, nothing else is looked
//! at. Otherwise (another keyword, another bound name, lines that come or go) the whole program
//! is checked again. The rules are those of [`check`] in either case.

mod places;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;

use self::places::Places;
use crate::catalog::ToolCatalog;
use crate::check::{Checked, Memory, check, check_and_remember};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::parser::{parse, reread};
use crate::source::{BOM, Limits, Span};
use crate::tree::Tree;

/// The text of a program with what is wrong with it, kept up to date from edit to edit.
///
/// ```
/// use praxis_dsl::{Catalog, Document, ParameterKind, Scope, ToolSignature};
///
/// let tool = ToolSignature::new("say").required("text", ParameterKind::Text);
/// let catalog: Catalog = [tool].into_iter().collect();
/// let mut document = Document::new("CALL say hello\nCALL sya again\n".to_owned(), catalog);
/// assert_eq!(document.diagnostics()[0].message, "unknown tool `sya`");
///
/// let scope = document.edit(20..23, "say").expect("the range is in the text");
/// assert_eq!(scope, Scope::Line);
/// assert_eq!(document.diagnostics(), []);
/// assert_eq!(document.text(), "CALL say hello\nCALL say again\n");
/// ```
#[derive(Debug)]
pub struct Document<C> {
    catalog: C,
    /// Its source is the buffer of `places`.
    tree: Tree,
    places: Places,
    /// For each line of the text, that of the tree, or [`BLANK`].
    lines: Vec<u32>,
    found: Found,
}

/// How much of a document an edit had checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The line that was edited.
    Line,
    /// All lines.
    Document,
}

/// A range that is not one of the text, or cuts a character in two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditError {
    range: Range<usize>,
    length: usize,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { range, length } = self;
        if range.start <= range.end && range.end <= *length {
            write!(
                f,
                "the range {range:?} cuts a character in two; use the start or end of one"
            )
        } else {
            write!(
                f,
                "the range {range:?} is not in the text, which has {length} bytes"
            )
        }
    }
}

impl std::error::Error for EditError {}

/// A line of the text without words.
const BLANK: u32 = u32::MAX;

#[derive(Debug)]
enum Found {
    /// The lines depend on each other in ways that are not followed, as those of blocks that
    /// do not close.
    Whole(Vec<Diagnostic>),
    Lines(Box<Lines>),
}

#[derive(Debug)]
struct Lines {
    memory: Memory,
    /// The diagnostics of each line of the tree that has some; their spans are places in the buffer.
    diagnostics: BTreeMap<usize, Vec<Diagnostic>>,
    count: usize,
    /// Words that labels point to, by their place at the last full check: where they stand now.
    moved: HashMap<Span, Span>,
    /// Where the keywords of the lines that changed stood then.
    heads: HashMap<usize, Span>,
}

impl<C: ToolCatalog> Document<C> {
    /// Checks `text` against the tools of `catalog`.
    pub fn new(text: String, catalog: C) -> Self {
        let mut document = Self {
            catalog,
            tree: parse(""),
            places: Places::default(),
            lines: Vec::new(),
            found: Found::Whole(Vec::new()),
        };
        document.load(text);
        document
    }

    /// The text as it is by now, copied together.
    pub fn text(&self) -> String {
        self.places.text(self.tree.source())
    }

    /// How many lines it has: one more than line feeds.
    pub fn line_count(&self) -> usize {
        self.places.count()
    }

    /// The text of the line with the number `line` (from 0), without its line feed.
    pub fn line(&self, line: usize) -> Option<&str> {
        (line < self.line_count()).then(|| self.places.line(self.tree.source(), line))
    }

    /// The byte at which the line with the number `line` (from 0) starts.
    pub fn line_start(&self, line: usize) -> Option<usize> {
        (line < self.line_count()).then(|| self.places.offset(line))
    }

    /// The tools that it is checked against.
    pub fn catalog(&self) -> &C {
        &self.catalog
    }

    /// What is wrong, in source order: what [`check`] finds in the text. This takes time for
    /// each diagnostic, not for each line.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        match &self.found {
            Found::Whole(diagnostics) => diagnostics.clone(),
            Found::Lines(lines) => lines
                .diagnostics
                .values()
                .flatten()
                .map(|diagnostic| self.in_document(diagnostic, &lines.moved))
                .collect(),
        }
    }

    /// Checks the whole text, for the program that it is.
    pub fn check(&self) -> Checked {
        check(&parse(&self.text()), &self.catalog)
    }

    /// Puts `replacement` into the place of the bytes in `range`, and checks what it changes.
    ///
    /// # Errors
    ///
    /// A range that is not in the text, or cuts a character in two; nothing is changed then.
    pub fn edit(&mut self, range: Range<usize>, replacement: &str) -> Result<Scope, EditError> {
        let (line, start) = self.places.find(range.start);
        let text = self.places.line(self.tree.source(), line);
        let inside = range.start.saturating_sub(start)..range.end.saturating_sub(start);
        let one_line = range.end <= start + text.len() && !replacement.contains('\n');
        if one_line && text.get(inside.clone()).is_some() {
            let text = [&text[..inside.start], replacement, &text[inside.end..]].concat();
            return Ok(self.edit_line(line, &text));
        }
        let mut text = self.text();
        if text.get(range.clone()).is_none() {
            let length = text.len();
            return Err(EditError { range, length });
        }
        text.replace_range(range, replacement);
        self.load(text);
        Ok(Scope::Document)
    }

    fn edit_line(&mut self, line: usize, text: &str) -> Scope {
        let marked = line == 0
            && (text.starts_with(BOM) || self.line(0).is_some_and(|text| text.starts_with(BOM)));
        let row = self.lines[line];
        let head = (row != BLANK).then(|| {
            let row = row as usize;
            let line_of_tree = &self.tree.lines[row];
            let last = line_of_tree.last as usize == self.tree.words.len();
            let head = self.tree.statement(row).head_span();
            if last && self.places.is_changed(line) {
                let first = line_of_tree.first as usize;
                self.tree.words.truncate(first);
            }
            head
        });
        let referred = self.is_referred(line);
        self.places.replace(&mut self.tree.source, line, text);
        let alone = matches!(self.found, Found::Lines(_))
            && !marked
            && !referred
            && !self.places.is_full(self.tree.source())
            && match head {
                None => self.is_blank(line),
                Some(head) => self.recheck(line, row as usize, head).is_some(),
            };
        if alone {
            return Scope::Line;
        }
        self.load(self.text());
        Scope::Document
    }

    /// Whether a label of another line points to the line as it was changed.
    fn is_referred(&self, line: usize) -> bool {
        let Found::Lines(lines) = &self.found else {
            return false;
        };
        if !self.places.is_changed(line) {
            return false;
        }
        let start = self.places.start(line);
        let end = start + self.places.line(self.tree.source(), line).len();
        let inside = |span: Span| (start..=end).contains(&(span.start as usize));
        let row = self.lines[line] as usize;
        let mut others = lines.diagnostics.iter().filter(|(other, _)| **other != row);
        others.any(|(_, found)| {
            let mut labels = found.iter().flat_map(|diagnostic| &diagnostic.labels);
            labels.any(|label| inside(label.span))
        })
    }

    fn is_blank(&self, line: usize) -> bool {
        let mut words = Vec::new();
        let start = self.places.start(line);
        crate::lexer::lex_line(self.tree.source(), start, &mut words, |_| {});
        words.is_empty()
    }

    /// Reads and checks the line alone; none when others may have to be checked too.
    fn recheck(&mut self, line: usize, row: usize, head: Span) -> Option<()> {
        let Found::Lines(lines) = &mut self.found else {
            return None;
        };
        let known = lines.diagnostics.get(&row);
        let is_empty = |diagnostic: &Diagnostic| diagnostic.code == Code::EmptyBlock;
        if known.is_some_and(|known| known.iter().any(is_empty)) {
            return None;
        }
        let before = known.map_or(0, Vec::len);
        let sink = reread(&mut self.tree, row, self.places.start(line))?;
        let rechecked = lines.memory.recheck(&self.tree, &self.catalog, row, sink)?;
        let head = *lines.heads.entry(row).or_insert(head);
        let moved_head = self.tree.statement(row).head_span();
        lines.moved.insert(head, moved_head);
        lines.moved.extend(rechecked.moved);
        lines.count = lines.count - before + rechecked.diagnostics.len();
        if rechecked.diagnostics.is_empty() {
            lines.diagnostics.remove(&row);
        } else {
            lines.diagnostics.insert(row, rechecked.diagnostics);
        }
        (lines.count <= Limits::DEFAULT.max_diagnostics).then_some(())
    }

    /// Checks the whole of `text`.
    fn load(&mut self, text: String) {
        self.tree = parse(&text);
        self.places = Places::new(&text);
        self.lines = vec![BLANK; self.places.count()];
        for (row, line) in self.tree.lines.iter().enumerate() {
            let at = self.tree.words[line.first as usize].span().start;
            let (line, _) = self.places.find(at as usize);
            self.lines[line] = u32::try_from(row).unwrap_or(BLANK);
        }
        let settled = self.tree.diagnostics().iter().all(is_of_one_line);
        let (checked, memory) = check_and_remember(&self.tree, &self.catalog);
        // A text that is too large is not in its tree.
        self.tree.source = text;
        let count = checked.diagnostics.len();
        self.found = match memory {
            Some(memory) if settled && count <= Limits::DEFAULT.max_diagnostics => {
                let mut diagnostics: BTreeMap<usize, Vec<Diagnostic>> = BTreeMap::new();
                for diagnostic in checked.diagnostics {
                    let (line, _) = self.places.find(diagnostic.span.start as usize);
                    let row = self.lines[line] as usize;
                    diagnostics.entry(row).or_default().push(diagnostic);
                }
                Found::Lines(Box::new(Lines {
                    memory,
                    diagnostics,
                    count,
                    moved: HashMap::new(),
                    heads: HashMap::new(),
                }))
            }
            _ => Found::Whole(checked.diagnostics),
        };
    }

    /// The diagnostic with places of the document.
    fn in_document(&self, diagnostic: &Diagnostic, moved: &HashMap<Span, Span>) -> Diagnostic {
        let place = |span: Span| {
            let start = self.places.in_document(span.start);
            Span::new(start, start + (span.end - span.start) as usize)
        };
        let mut diagnostic = diagnostic.clone();
        diagnostic.span = place(diagnostic.span);
        for label in &mut diagnostic.labels {
            label.span = place(*moved.get(&label.span).unwrap_or(&label.span));
        }
        if let Some(fix) = &mut diagnostic.fix {
            fix.span = place(fix.span);
        }
        diagnostic
    }
}

/// Whether what the parser found is about one line, whatever stands around it.
fn is_of_one_line(diagnostic: &Diagnostic) -> bool {
    matches!(
        diagnostic.code,
        Code::UnclosedQuote
            | Code::MalformedLet
            | Code::MalformedFor
            | Code::MissingWord
            | Code::RepeatedArgument
            | Code::EmptyBlock
    )
}
