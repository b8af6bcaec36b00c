//! Blocks: which lines open, continue and close them, and what was meant where they do not fit.
//!
//! A line that starts with a misspelt `PARALLEL`, or an end word of another kind, only shows as
//! a mistake when what follows does not fit. Each such find is a [`Repair`], and the parser
//! reads the program once more with it, so that the rest is read as it was meant.

use super::{Parser, narrow};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, shown};
use crate::keyword::{Keyword, nearest_keyword};
use crate::source::Span;
use crate::steps;
use crate::tree::LineKind;

/// How many lines are kept that may be misspelt openings.
const MOST_SUSPECTS: usize = 64;

/// A line that is read as if it started with `keyword`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repair {
    pub(super) line: usize,
    pub(super) keyword: Keyword,
}

/// A block that is not closed yet.
pub(super) struct Open {
    keyword: Keyword,
    /// Its opening line.
    line: usize,
    /// How far in that stands.
    indent: usize,
    /// Its last clause, or its opening line.
    clause: usize,
    /// Whether the last clause may come already: `ELSE` or `CATCH`.
    last: bool,
    /// An end word of another kind that may have been meant for it.
    mismatched: Option<usize>,
    /// The opening line of a block inside it that ends where this one should.
    overrun: Option<usize>,
}

/// A line that may open a block, if its first word is misspelt.
pub(super) struct Suspect {
    keyword: Keyword,
    line: usize,
    depth: usize,
    reported: bool,
}

/// What earlier lines left to explain a later one that does not fit.
#[derive(Default)]
pub(super) struct Doubts {
    suspects: Vec<Suspect>,
    /// Ends that closed a block around an open one, each with the end that the open one wanted.
    early: Vec<(usize, Keyword, Keyword)>,
    /// End words of another kind in blocks that were closed after them, each with the end that
    /// the block wanted.
    strays: Vec<Repair>,
    /// Clauses that found no place, each with the line of the block that is to blame if it is
    /// left open.
    clauses: Vec<(Repair, usize)>,
    /// What the next reading should take for granted.
    pub(super) repairs: Vec<Repair>,
}

impl Parser<'_> {
    /// A line that starts with no keyword: perhaps a misspelt one.
    pub(super) fn command(&mut self, index: usize) {
        if self.skipped > 0 {
            self.lines[index].kind = LineKind::Reported;
            return;
        }
        if !self.misspelt_end(index) {
            self.suspect(index);
        }
    }

    /// Whether the line is the end of the innermost block, written wrong.
    fn misspelt_end(&mut self, index: usize) -> bool {
        let Some(end) = self.open.last().and_then(|top| top.keyword.end()) else {
            return false;
        };
        let words = self.words_of(index);
        let word = words[0].text(self.source);
        let bare_end = word.eq_ignore_ascii_case("end") || word.eq_ignore_ascii_case("end_");
        let split = bare_end
            && words.get(1).is_none_or(|next| {
                Keyword::parse(&format!("END_{}", next.text(self.source))) == Some(end)
            });
        let near = nearest_keyword(&word).filter(|&(_, keyword)| keyword == end);
        if !split && near.is_none() {
            return false;
        }
        let spelling = near.map_or(end.as_str(), |(spelling, _)| spelling);
        let span = if split {
            self.line_span(index)
        } else {
            self.first_span(index)
        };
        self.unknown(span, spelling);
        self.lines[index].kind = LineKind::Reported;
        self.close(index);
        true
    }

    fn unknown(&mut self, span: Span, meant: &str) {
        let message = format!("unknown command `{}`", shown(span.text(self.source)));
        self.sink.push(
            Diagnostic::error(Code::UnknownCommand, span, message)
                .with_help(format!("did you mean {meant}?"))
                .with_fix(span, meant),
        );
    }

    fn suspect(&mut self, index: usize) {
        let word = self.words_of(index)[0].text(self.source);
        let meant = match &*word {
            "I" | "F" | "i" | "f" => Some(Keyword::If),
            word => nearest_keyword(word).map(|(_, keyword)| keyword),
        };
        let first = self.lines[index].first as usize;
        let keyword = match meant {
            Some(Keyword::Parallel) if self.keyword_at(first + 1) == Some(Keyword::For) => {
                Keyword::ParallelFor
            }
            Some(keyword) if keyword.end().is_some() => keyword,
            _ => return,
        };
        if self.doubts.suspects.len() >= MOST_SUSPECTS {
            self.doubts.suspects.remove(0);
        }
        self.doubts.suspects.push(Suspect {
            keyword,
            line: index,
            depth: self.open.len(),
            reported: false,
        });
    }

    /// Whether a misspelt opening line explains an end word or clause that has no block.
    fn blame_suspect(&mut self, wanted: impl Fn(Keyword) -> bool, closes: bool) -> bool {
        steps::add(self.doubts.suspects.len());
        // One that stands deeper was in a block that has taken its end word.
        let depth = self.open.len();
        let Some(at) = self
            .doubts
            .suspects
            .iter()
            .rposition(|suspect| suspect.depth >= depth && wanted(suspect.keyword))
        else {
            return false;
        };
        let Suspect {
            keyword,
            line,
            reported,
            ..
        } = self.doubts.suspects[at];
        if !reported {
            self.unknown(self.first_span(line), keyword_word(keyword));
            self.lines[line].kind = LineKind::Reported;
            self.doubts.suspects[at].reported = true;
            self.doubts.repairs.push(Repair { line, keyword });
        }
        if closes {
            self.doubts.suspects.truncate(at);
        }
        true
    }

    /// Whether an end word of the kind `keyword` that came too early explains one that has no
    /// block: it was meant for the block that was open then.
    fn blame_early_end(&mut self, keyword: Keyword) -> bool {
        steps::add(self.doubts.early.len());
        let Some(at) = self
            .doubts
            .early
            .iter()
            .rposition(|&(_, end, _)| end == keyword)
        else {
            return false;
        };
        let (line, _, meant) = self.doubts.early.swap_remove(at);
        self.doubts.repairs.push(Repair {
            line,
            keyword: meant,
        });
        true
    }

    pub(super) fn open_block(&mut self, keyword: Keyword, index: usize) {
        if self.open.len() >= self.limits.max_depth {
            let span = self.head_span(index);
            let most = self.limits.max_depth;
            let message = format!("{} is nested deeper than {most} blocks", keyword.as_str());
            self.sink.push(
                Diagnostic::error(Code::TooDeep, span, message)
                    .with_help("flatten the blocks, or move the inner ones to another workflow"),
            );
            self.lines[index].kind = LineKind::Reported;
            self.skipped = 1;
            return;
        }
        self.open.push(Open {
            keyword,
            line: index,
            indent: self.indent(index),
            clause: index,
            last: false,
            mismatched: None,
            overrun: None,
        });
    }

    /// A line that continues a block; if `forced`, the innermost that can take it.
    pub(super) fn clause(&mut self, keyword: Keyword, index: usize, forced: bool) {
        let owner = if keyword == Keyword::Catch {
            Keyword::Try
        } else {
            Keyword::If
        };
        self.leave_inner(owner, index, forced);
        match self.open.last_mut() {
            Some(open) if open.keyword == owner && open.last => {
                let first = open.clause;
                self.lines[index].kind = LineKind::Reported;
                if self.blame_suspect(|suspect| suspect == owner, false) {
                    return;
                }
                if let Some(outer) = self.taker(owner) {
                    let line = self.open[outer].line;
                    self.misplaced(keyword, index, line);
                }
                let (message, help) = match keyword {
                    Keyword::Catch => ("a second CATCH", "a TRY has one CATCH"),
                    Keyword::Elif => ("ELIF after ELSE", "put it before the ELSE"),
                    _ => ("a second ELSE", "an IF has one ELSE; use ELIF before it"),
                };
                let label = self.head_span(first);
                self.sink.push(
                    Diagnostic::error(Code::RepeatedClause, self.head_span(index), message)
                        .with_label(label, "the first is here")
                        .with_help(help),
                );
            }
            Some(open) if open.keyword == owner => {
                open.last = keyword != Keyword::Elif;
                let before = std::mem::replace(&mut open.clause, index);
                let opener = open.line;
                self.lines[before].next = narrow(index);
                self.lines[index].link = narrow(opener);
            }
            _ => {
                self.lines[index].kind = LineKind::Reported;
                if self.blame_suspect(|suspect| suspect == owner, false) {
                    return;
                }
                if let (Some(_), Some(top)) = (self.taker(owner), self.open.last()) {
                    self.misplaced(keyword, index, top.line);
                }
                let span = self.head_span(index);
                let (name, owner) = (keyword.as_str(), owner.as_str());
                let mut diagnostic = Diagnostic::error(
                    Code::MisplacedClause,
                    span,
                    format!("{name} stands outside of {owner}"),
                )
                .with_help(format!("{name} belongs directly inside {owner}"));
                if let Some(open) = self.open.last() {
                    let label = self.head_span(open.line);
                    let text = format!("this {} is open here", open.keyword.as_str());
                    diagnostic = diagnostic.with_label(label, text);
                }
                self.sink.push(diagnostic);
            }
        }
    }

    /// The innermost block that can take a clause of `owner`.
    fn taker(&self, owner: Keyword) -> Option<usize> {
        steps::add(self.open.len());
        self.open
            .iter()
            .rposition(|open| open.keyword == owner && !open.last)
    }

    fn misplaced(&mut self, keyword: Keyword, line: usize, blamed: usize) {
        if self.doubts.clauses.len() < MOST_SUSPECTS {
            let repair = Repair { line, keyword };
            self.doubts.clauses.push((repair, blamed));
        }
    }

    /// Leaves the blocks inside of the one that the clause belongs to: the one that it stands
    /// as far in as, if it stands apart from those inside.
    fn leave_inner(&mut self, owner: Keyword, index: usize, forced: bool) {
        let Some(at) = self.taker(owner) else { return };
        steps::add(self.open.len());
        let indent = self.indent(index);
        let apart = self.open[at].indent == indent
            && self.open[at + 1..]
                .iter()
                .all(|inner| inner.indent != indent);
        if forced || apart {
            while self.open.len() > at + 1 {
                if let Some(open) = self.open.pop() {
                    self.leave_unclosed(open, index);
                }
            }
        }
    }

    pub(super) fn end(&mut self, keyword: Keyword, index: usize) {
        steps::add(self.open.len());
        let Some(at) = self
            .open
            .iter()
            .rposition(|open| open.keyword.end() == Some(keyword))
        else {
            return self.end_without_block(keyword, index);
        };
        if at + 1 < self.open.len() {
            if self.blame_suspect(|suspect| suspect.end() == Some(keyword), true)
                || self.blame_early_end(keyword)
                || self.blame_loop(keyword)
            {
                self.lines[index].kind = LineKind::Reported;
                return;
            }
            let wanted = self.open.last().and_then(|top| top.keyword.end());
            if let Some(wanted) = wanted
                && self.doubts.early.len() < MOST_SUSPECTS
            {
                self.doubts.early.push((index, keyword, wanted));
            }
        }
        while self.open.len() > at + 1 {
            if let Some(open) = self.open.pop() {
                self.leave_unclosed(open, index);
            }
        }
        if let Some(line) = self.open[at].mismatched.take() {
            self.stray(line);
            if self.doubts.strays.len() < MOST_SUSPECTS {
                self.doubts.strays.push(Repair { line, keyword });
            }
        }
        self.close(index);
    }

    /// Closes the innermost block with the line `index`.
    fn close(&mut self, index: usize) {
        let Some(open) = self.open.pop() else { return };
        self.lines[open.clause].next = narrow(index);
        self.lines[open.line].link = narrow(index + 1);
        self.lines[index].link = narrow(open.line);
        // Where the end stands as far in as the block around it does, it may be meant for that.
        if let Some(outer) = self.open.last()
            && outer.overrun.is_none()
            && outer.keyword.end() == open.keyword.end()
        {
            let indent = self.indent(index);
            if indent == outer.indent && indent != open.indent {
                let line = open.line;
                if let Some(outer) = self.open.last_mut() {
                    outer.overrun = Some(line);
                }
            }
        }
        if matches!(open.keyword, Keyword::Parallel | Keyword::Sequence) && open.line + 1 == index {
            let name = open.keyword.as_str();
            let span = self.head_span(open.line);
            self.sink.push(
                Diagnostic::error(Code::EmptyBlock, span, format!("{name} has no steps"))
                    .with_help("delete the block, or put a CALL into it"),
            );
        }
    }

    /// How many bytes of blanks stand before the line.
    fn indent(&self, line: usize) -> usize {
        let before = &self.source.as_bytes()[..self.first_span(line).start as usize];
        let blanks = before
            .iter()
            .rev()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        steps::add(blanks);
        blanks
    }

    fn end_without_block(&mut self, keyword: Keyword, index: usize) {
        self.lines[index].kind = LineKind::Reported;
        if self.blame_suspect(|suspect| suspect.end() == Some(keyword), true)
            || self.blame_early_end(keyword)
            || self.blame_loop(keyword)
        {
            return;
        }
        match self.open.last_mut() {
            // It may be meant for the open block; what follows will tell.
            Some(open) if open.mismatched.is_none() => open.mismatched = Some(index),
            _ => self.stray(index),
        }
    }

    /// Whether the innermost block is a `PARALLEL FOR` with a misspelt `FOR`.
    fn blame_loop(&mut self, end: Keyword) -> bool {
        let Some(open) = self.open.last().filter(|open| {
            open.keyword == Keyword::Parallel && end == Keyword::EndFor && open.mismatched.is_none()
        }) else {
            return false;
        };
        let line = open.line;
        let meant = self
            .words_of(line)
            .get(1)
            .and_then(|word| nearest_keyword(&word.text(self.source)));
        if !matches!(meant, Some((_, Keyword::For))) {
            return false;
        }
        self.doubts.repairs.push(Repair {
            line,
            keyword: Keyword::ParallelFor,
        });
        true
    }

    /// Reports a line that is read as if it started with `keyword`, by what it starts with.
    pub(super) fn repaired(&mut self, index: usize, keyword: Keyword, found: Option<Keyword>) {
        let span = self.first_span(index);
        match found {
            None => self.unknown(span, keyword_word(keyword)),
            Some(written) if written == keyword => {}
            Some(Keyword::Parallel) if keyword == Keyword::ParallelFor => {
                let second = self.words_of(index)[1].span();
                self.unknown(second, Keyword::For.as_str());
            }
            Some(_) => {
                if let Some(open) = self.open.last() {
                    let (opener, line) = (open.keyword, open.line);
                    self.mismatched_end(index, opener, line);
                }
            }
        }
    }

    fn mismatched_end(&mut self, index: usize, opener: Keyword, line: usize) {
        let name = opener.as_str();
        let end = opener.end().map_or("", Keyword::as_str);
        let span = self.first_span(index);
        let word = shown(span.text(self.source));
        let message = format!("{word} does not close {name}");
        let label = self.head_span(line);
        self.sink.push(
            Diagnostic::error(Code::MismatchedEnd, span, message)
                .with_label(label, format!("this {name} is open"))
                .with_help(format!("did you mean {end}?"))
                .with_fix(span, end),
        );
    }

    fn stray(&mut self, line: usize) {
        let span = self.first_span(line);
        let word = shown(span.text(self.source));
        let message = format!("{word} closes no open block");
        self.sink.push(
            Diagnostic::error(Code::StrayEnd, span, message)
                .with_help("delete the line, or open its block above"),
        );
    }

    /// Ends `open` before the line `index` and says what is missing.
    pub(super) fn leave_unclosed(&mut self, open: Open, index: usize) {
        self.lines[open.clause].next = narrow(index);
        self.lines[open.line].link = narrow(index);
        self.unbalanced = true;
        let name = open.keyword.as_str();
        let end = open.keyword.end();
        steps::add(self.doubts.strays.len() + self.doubts.clauses.len());
        if let Some(line) = open.mismatched {
            self.mismatched_end(line, open.keyword, open.line);
            if let Some(keyword) = end {
                self.doubts.repairs.push(Repair { line, keyword });
            }
            return;
        }
        let stray = self
            .doubts
            .strays
            .iter()
            .position(|stray| Some(stray.keyword) == end);
        if let Some(at) = stray {
            self.doubts.repairs.push(self.doubts.strays.remove(at));
        }
        let clause = self
            .doubts
            .clauses
            .iter()
            .position(|&(_, blamed)| blamed == open.line);
        if let Some(at) = clause {
            self.doubts.repairs.push(self.doubts.clauses.remove(at).0);
        }
        let end = end.map_or("", Keyword::as_str);
        let opener = self.head_span(open.overrun.unwrap_or(open.line));
        let message = format!("this {name} is not closed");
        let mut diagnostic = Diagnostic::error(Code::UnclosedBlock, opener, message)
            .with_help(format!("close it with {end}"));
        if open.overrun.is_some() {
            let label = self.head_span(open.line);
            diagnostic = diagnostic.with_label(label, "its end is taken for that of this one");
        } else if let Some(line) = self.lines.get(index) {
            let span = self.words[line.first as usize].span();
            let word = shown(span.text(self.source));
            diagnostic = diagnostic.with_label(span, format!("{word} closes a block around it"));
        }
        self.sink.push(diagnostic);
    }
}

/// The first word of a line that starts with `keyword`.
fn keyword_word(keyword: Keyword) -> &'static str {
    match keyword {
        Keyword::ParallelFor => Keyword::Parallel.as_str(),
        other => other.as_str(),
    }
}
