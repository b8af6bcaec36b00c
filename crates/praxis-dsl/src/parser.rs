//! From source to tree: total, in one pass, without recursion.

mod blocks;
mod header;

use std::sync::OnceLock;

use self::blocks::{Doubts, Open, Repair};
use self::header::Given;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::keyword::Keyword;
use crate::lexer::lex_line;
use crate::source::{BOM, Limits, Span, too_large};
use crate::steps;
use crate::tree::{Line, LineKind, Tree};
use crate::word::Word;

/// Parses `source` within [`Limits::DEFAULT`]. Every text gives a tree.
pub fn parse(source: &str) -> Tree {
    parse_with(source, &Limits::DEFAULT)
}

/// Parses `source` within `limits`. Every text gives a tree.
pub fn parse_with(source: &str, limits: &Limits) -> Tree {
    let mut sink = Sink::new(limits.max_diagnostics);
    // Spans count bytes in 32 bits, whatever the limits say.
    let most = limits.max_source_bytes.min(u32::MAX as usize - 1);
    if source.len() > most {
        let length = source.len();
        sink.push(too_large(format_args!("{length} bytes"), most));
        return Tree {
            source: String::new(),
            lines: Vec::new(),
            words: Vec::new(),
            index: OnceLock::new(),
            unbalanced: false,
            diagnostics: sink.finish(),
        };
    }
    let mut repairs: Vec<Repair> = Vec::new();
    let mut best = read(source, limits, &repairs);
    for _ in 1..MOST_READINGS {
        let mut found = std::mem::take(&mut best.repairs);
        found.truncate(limits.max_diagnostics);
        steps::add(found.len() * repairs.len());
        found.retain(|repair| repairs.iter().all(|other| other.line != repair.line));
        if found.is_empty() {
            break;
        }
        repairs.extend(found);
        repairs.sort_by_key(|repair| repair.line);
        repairs.dedup_by_key(|repair| repair.line);
        let again = read(source, limits, &repairs);
        if again.sink.count() > best.sink.count() {
            break;
        }
        best = again;
    }
    Tree {
        source: source.into(),
        lines: best.lines,
        words: best.words,
        index: OnceLock::new(),
        unbalanced: best.unbalanced,
        diagnostics: best.sink.finish(),
    }
}

/// Reads the line `line` of `tree` again, whose text stands at `at` in the source by now, and
/// gives what is wrong with its form. None when the line may change how others are read.
pub(crate) fn reread(tree: &mut Tree, line: usize, at: usize) -> Option<Sink> {
    let limits = Limits::DEFAULT;
    let mut parser = Parser {
        lines: std::mem::take(&mut tree.lines),
        words: std::mem::take(&mut tree.words),
        ..Parser::new(&tree.source, &limits, &[])
    };
    let read = parser.reread(line, at);
    let Parser {
        lines, words, sink, ..
    } = parser;
    tree.lines = lines;
    tree.words = words;
    read.then_some(sink)
}

/// What one reading of a program gives.
struct Reading {
    lines: Vec<Line>,
    words: Vec<Word>,
    unbalanced: bool,
    /// What the next reading should take for granted.
    repairs: Vec<Repair>,
    sink: Sink,
}

fn read(source: &str, limits: &Limits, repairs: &[Repair]) -> Reading {
    let mut parser = Parser {
        lines: Vec::with_capacity(source.len() / 32),
        // Memory that is not touched costs nothing; to move the words later would.
        words: Vec::with_capacity(source.len() / 5),
        ..Parser::new(source, limits, repairs)
    };
    parser.run();
    Reading {
        lines: parser.lines,
        words: parser.words,
        unbalanced: parser.unbalanced,
        repairs: parser.doubts.repairs,
        sink: parser.sink,
    }
}

/// How often a program is read whose blocks do not fit, each time with what was learnt.
const MOST_READINGS: usize = 4;

struct Parser<'s> {
    source: &'s str,
    limits: &'s Limits,
    lines: Vec<Line>,
    words: Vec<Word>,
    open: Vec<Open>,
    doubts: Doubts,
    /// What an earlier reading learnt, by the line.
    repairs: &'s [Repair],
    /// How many blocks beyond the depth limit are open.
    skipped: usize,
    /// A block is left open, so that it is not known which lines it holds.
    unbalanced: bool,
    given: Given<'s>,
    sink: Sink,
}

impl<'s> Parser<'s> {
    fn new(source: &'s str, limits: &'s Limits, repairs: &'s [Repair]) -> Self {
        Self {
            source,
            limits,
            lines: Vec::new(),
            words: Vec::new(),
            open: Vec::new(),
            doubts: Doubts::default(),
            repairs,
            skipped: 0,
            unbalanced: false,
            given: Given::default(),
            sink: Sink::new(limits.max_diagnostics),
        }
    }

    fn reread(&mut self, line: usize, at: usize) -> bool {
        let first = self.words.len();
        let (_, closed) = self.words_at(at);
        if self.words.len() == first {
            return false;
        }
        let (kind, head) = self.kind(first);
        let known = &mut self.lines[line];
        *known = Line {
            head,
            spoilt: !closed,
            first: narrow(first),
            last: narrow(self.words.len()),
            ..*known
        };
        match kind {
            LineKind::Keyword(keyword) if known.kind == kind => {
                self.form(keyword, line);
                true
            }
            _ => false,
        }
    }

    /// Appends the words of the line at `at`; gives the start of the next line, and whether all
    /// quotes close.
    fn words_at(&mut self, at: usize) -> (usize, bool) {
        let mut quote = None;
        let next = lex_line(self.source, at, &mut self.words, |span| quote = Some(span));
        if let Some(span) = quote {
            self.unclosed_quote(span);
        }
        (next, quote.is_none())
    }

    fn run(&mut self) {
        let source = self.source;
        let mut at = if source.starts_with(BOM) {
            BOM.len()
        } else {
            0
        };
        while at < source.len() {
            let first = self.words.len();
            let (next, closed) = self.words_at(at);
            at = next;
            if self.words.len() > first {
                self.line(first, !closed);
            }
        }
        while let Some(open) = self.open.pop() {
            self.leave_unclosed(open, self.lines.len());
        }
    }

    fn unclosed_quote(&mut self, span: Span) {
        let quote = span.text(self.source);
        let inside = self.words.last().is_some_and(|word| word.is_glued());
        let help = if quote == "'" && inside {
            "for an apostrophe write `\\'`, or put the whole text into double quotes".to_owned()
        } else {
            format!("close it with {quote} on this line; `\\n` in double quotes is a line end")
        };
        let message = format!("this {quote} is not closed on its line");
        self.sink
            .push(Diagnostic::error(Code::UnclosedQuote, span, message).with_help(help));
    }

    fn line(&mut self, first: usize, reported: bool) {
        let index = self.lines.len();
        let (mut kind, mut head) = self.kind(first);
        let repair = self
            .repairs
            .first()
            .filter(|repair| repair.line == index)
            .copied();
        let written = match kind {
            LineKind::Keyword(keyword) => Some(keyword),
            LineKind::Command | LineKind::Reported => None,
        };
        if let Some(Repair { keyword, .. }) = repair {
            self.repairs = &self.repairs[1..];
            kind = LineKind::Keyword(keyword);
            if written != Some(keyword) {
                head = 1 + u8::from(keyword == Keyword::ParallelFor);
            }
        }
        self.lines.push(Line {
            kind,
            head,
            spoilt: reported,
            first: narrow(first),
            last: narrow(self.words.len()),
            next: 0,
            link: narrow(index + 1),
        });
        let keyword = match kind {
            LineKind::Keyword(keyword) => keyword,
            LineKind::Command | LineKind::Reported => return self.command(index),
        };
        if self.skipped > 0 {
            self.lines[index].kind = LineKind::Reported;
            if keyword.end().is_some() {
                self.skipped += 1;
            } else if keyword.is_end() {
                self.skipped -= 1;
            }
            return;
        }
        if repair.is_some() {
            self.repaired(index, keyword, written);
        }
        if keyword.end().is_some() {
            self.open_block(keyword, index);
        } else if keyword.is_clause() {
            self.clause(keyword, index, repair.is_some());
        } else if keyword.is_end() {
            self.end(keyword, index);
        }
        self.form(keyword, index);
    }

    /// What is wrong with the form of the line by itself, whatever stands around it.
    fn form(&mut self, keyword: Keyword, index: usize) {
        let Line { head, spoilt, .. } = self.lines[index];
        match keyword {
            Keyword::For | Keyword::ParallelFor => self.for_header(index, spoilt),
            Keyword::Call if !spoilt => self.call(index, usize::from(head)),
            Keyword::Let if !spoilt => self.let_header(index),
            _ => {}
        }
    }

    fn kind(&self, first: usize) -> (LineKind, u8) {
        let Some(keyword) = self.keyword_at(first) else {
            return (LineKind::Command, 1);
        };
        let second = || self.keyword_at(first + 1);
        match keyword {
            Keyword::Parallel if second() == Some(Keyword::For) => {
                (LineKind::Keyword(Keyword::ParallelFor), 2)
            }
            Keyword::Else if second() == Some(Keyword::If) => (LineKind::Keyword(Keyword::Elif), 2),
            _ => (LineKind::Keyword(keyword), 1),
        }
    }

    fn keyword_at(&self, word: usize) -> Option<Keyword> {
        let word = self.words.get(word)?;
        match word.plain(self.source) {
            Some(bytes) => Keyword::of_bytes(bytes),
            None => Keyword::parse(&word.text(self.source)),
        }
    }

    fn words_of(&self, line: usize) -> &[Word] {
        let Line { first, last, .. } = self.lines[line];
        &self.words[first as usize..last as usize]
    }

    fn first_span(&self, line: usize) -> Span {
        self.words[self.lines[line].first as usize].span()
    }

    fn head_span(&self, line: usize) -> Span {
        let Line { first, head, .. } = self.lines[line];
        self.first_span(line)
            .to(self.words[first as usize + usize::from(head) - 1].span())
    }

    fn line_span(&self, line: usize) -> Span {
        let last = self.lines[line].last as usize - 1;
        self.first_span(line).to(self.words[last].span())
    }
}

fn narrow(index: usize) -> u32 {
    // There are fewer words and lines than bytes, and those fit.
    u32::try_from(index).unwrap_or(u32::MAX)
}
