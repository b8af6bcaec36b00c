//! The syntax tree: a list of lines with links from each block to its end.
//!
//! A line costs 20 bytes and a word 12, whatever they hold; text is decoded on demand.

use std::sync::OnceLock;

use crate::diagnostic::Diagnostic;
use crate::keyword::Keyword;
use crate::source::{LineIndex, Span};
use crate::word::Word;

/// What a line is to the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// A line that starts with this keyword.
    Keyword(Keyword),
    /// A line that starts with a word that is no keyword.
    Command,
    /// A line that the parser has reported; it is not part of the tree.
    Reported,
}

/// A line that has words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) kind: LineKind,
    /// How many words the keyword takes: two for `PARALLEL FOR` and `ELSE IF`.
    pub(crate) head: u8,
    /// The parser has reported it, so that the checker only binds its names.
    pub(crate) spoilt: bool,
    /// The index of its first word.
    pub(crate) first: u32,
    /// The index after its last word.
    pub(crate) last: u32,
    /// For the opening line and the clauses of a block: the line of the next clause or of the end.
    pub(crate) next: u32,
    /// For the opening line of a block: the line after the block. For its clauses and its
    /// end: the opening line.
    pub(crate) link: u32,
}

/// A program as it is written, with what is wrong with its form.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(crate) source: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) words: Vec<Word>,
    pub(crate) index: OnceLock<LineIndex>,
    /// A block is left open, so that it is not known which lines it holds.
    pub(crate) unbalanced: bool,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Tree {
    /// The source that was parsed.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What is wrong with the form of the program, in source order.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether the form of the program is wrong, so that it is refused.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Where the lines of the source start.
    pub fn line_index(&self) -> &LineIndex {
        self.index.get_or_init(|| LineIndex::new(&self.source))
    }

    /// The bytes of memory that it takes, spare room included, but for its diagnostics.
    pub fn weight_bytes(&self) -> usize {
        size_of::<Self>()
            + self.source.capacity()
            + self.lines.capacity() * size_of::<Line>()
            + self.words.capacity() * size_of::<Word>()
            + self.index.get().map_or(0, LineIndex::weight_bytes)
    }

    /// Where the lines of the source start, for whoever keeps the source.
    pub fn into_line_index(self) -> LineIndex {
        let Self { index, source, .. } = self;
        index
            .into_inner()
            .unwrap_or_else(|| LineIndex::new(&source))
    }

    pub(crate) fn statement(&self, line: usize) -> Statement<'_> {
        Statement { tree: self, line }
    }

    /// The word of the line `line` that is bound there, by its place.
    pub(crate) fn bound_word(&self, line: usize) -> Option<&Word> {
        let Line {
            kind,
            head,
            first,
            last,
            ..
        } = self.lines[line];
        let binds = matches!(
            kind,
            LineKind::Keyword(
                Keyword::Let
                    | Keyword::Input
                    | Keyword::For
                    | Keyword::ParallelFor
                    | Keyword::Catch
            )
        );
        let word = first as usize + usize::from(head);
        (binds && word < last as usize).then(|| &self.words[word])
    }

    /// The statements of the program outside of blocks.
    pub fn statements(&self) -> Statements<'_> {
        Statements {
            tree: self,
            at: 0,
            end: self.lines.len(),
        }
    }
}

/// A statement: a line, or a block from its opening line to its end word.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'t> {
    tree: &'t Tree,
    line: usize,
}

impl<'t> Statement<'t> {
    /// The keyword it starts with; none for an unknown command.
    pub fn keyword(&self) -> Option<Keyword> {
        match self.row().kind {
            LineKind::Keyword(keyword) => Some(keyword),
            LineKind::Command | LineKind::Reported => None,
        }
    }

    /// The words of its first line, keyword included.
    pub fn words(&self) -> &'t [Word] {
        let line = self.row();
        &self.tree.words[line.first as usize..line.last as usize]
    }

    /// The words after the keyword.
    pub fn arguments(&self) -> &'t [Word] {
        &self.words()[usize::from(self.row().head)..]
    }

    /// Where the keyword stands; two words for `PARALLEL FOR` and `ELSE IF`.
    pub fn head_span(&self) -> Span {
        let words = self.words();
        words[0]
            .span()
            .to(words[usize::from(self.row().head) - 1].span())
    }

    /// Where its first line stands, from the first word to the last.
    pub fn line_span(&self) -> Span {
        let words = self.words();
        words[0].span().to(words[words.len() - 1].span())
    }

    /// The statements of its block up to the first clause (`ELIF`, `ELSE`, `CATCH`) or the end.
    pub fn children(&self) -> Statements<'t> {
        let end = match self.keyword() {
            Some(keyword) if keyword.end().is_some() || keyword.is_clause() => self.row().next,
            _ => 0,
        };
        Statements {
            tree: self.tree,
            at: self.line + 1,
            end: end as usize,
        }
    }

    /// The clauses of its block in order, each of which has children of its own.
    pub fn clauses(&self) -> Clauses<'t> {
        let opener = self
            .keyword()
            .is_some_and(|keyword| keyword.end().is_some());
        let at = if opener {
            self.row().next as usize
        } else {
            usize::MAX
        };
        Clauses {
            tree: self.tree,
            opener: self.line,
            at,
        }
    }

    /// The line of the end word, if the block has one.
    pub fn end(&self) -> Option<Self> {
        let last = (self.row().link as usize)
            .checked_sub(1)
            .filter(|&last| last > self.line)?;
        let end = Statement {
            tree: self.tree,
            line: last,
        };
        let closes = end.keyword().is_some_and(Keyword::is_end);
        (closes && end.row().link as usize == self.line).then_some(end)
    }

    /// Whether the parser has reported its first line.
    pub(crate) fn is_spoilt(&self) -> bool {
        self.row().spoilt
    }

    /// The index of its first line.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    fn row(&self) -> &'t Line {
        &self.tree.lines[self.line]
    }
}

/// The statements of a block or of the program.
#[derive(Debug, Clone)]
pub struct Statements<'t> {
    tree: &'t Tree,
    at: usize,
    end: usize,
}

impl Statements<'_> {
    /// The byte where what follows them starts: a clause, an end word, or the end of the source.
    pub(crate) fn end(&self) -> u32 {
        let line = self.tree.lines.get(self.end);
        line.map_or(Span::new(0, self.tree.source.len()).end, |line| {
            self.tree.words[line.first as usize].span().start
        })
    }
}

impl<'t> Iterator for Statements<'t> {
    type Item = Statement<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.end {
            let line = self.at;
            let Line { kind, link, .. } = self.tree.lines[line];
            self.at = line + 1;
            match kind {
                LineKind::Reported => continue,
                LineKind::Keyword(keyword) if keyword.end().is_some() => {
                    self.at = (link as usize).max(line + 1);
                }
                LineKind::Keyword(keyword) if keyword.is_end() || keyword.is_clause() => continue,
                LineKind::Keyword(_) | LineKind::Command => {}
            }
            return Some(Statement {
                tree: self.tree,
                line,
            });
        }
        None
    }
}

/// The clauses of a block.
#[derive(Debug, Clone)]
pub struct Clauses<'t> {
    tree: &'t Tree,
    opener: usize,
    at: usize,
}

impl<'t> Iterator for Clauses<'t> {
    type Item = Statement<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.tree.lines.get(self.at)?;
        let LineKind::Keyword(keyword) = line.kind else {
            return None;
        };
        if !keyword.is_clause() || line.link as usize != self.opener {
            return None;
        }
        let clause = Statement {
            tree: self.tree,
            line: self.at,
        };
        self.at = line.next as usize;
        Some(clause)
    }
}
