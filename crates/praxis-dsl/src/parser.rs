//! From source to tree: total, in one pass, without recursion.

use std::collections::HashSet;

use crate::argument::{Argument, Arguments, recorded_parameters, recorded_rest};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Sink, shown};
use crate::keyword::{Keyword, nearest_keyword};
use crate::lexer::lex_line;
use crate::source::{BOM, Limits, LineIndex, Span};
use crate::tree::{Line, LineKind, Tree};
use crate::word::{Quote, Word};

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
        let message = format!(
            "the source has {} bytes, and at most {most} are read",
            source.len()
        );
        sink.push(
            Diagnostic::error(Code::SourceTooLarge, Span::default(), message)
                .with_help("split the program, or read its data from a file with a tool"),
        );
        return Tree {
            source: Box::default(),
            lines: Vec::new(),
            words: Vec::new(),
            index: LineIndex::new(""),
            diagnostics: sink.finish(),
        };
    }
    let mut parser = Parser {
        source,
        limits,
        lines: Vec::with_capacity(source.len() / 32),
        words: Vec::with_capacity(source.len() / 8),
        open: Vec::new(),
        suspects: Vec::new(),
        skipped: 0,
        sink,
    };
    parser.run();
    Tree {
        source: source.into(),
        lines: parser.lines,
        words: parser.words,
        index: LineIndex::new(source),
        diagnostics: parser.sink.finish(),
    }
}

/// A block that is not closed yet.
struct Open {
    keyword: Keyword,
    /// Its opening line.
    line: usize,
    /// Its last clause, or its opening line.
    clause: usize,
    /// Whether the last clause may come already: `ELSE` or `CATCH`.
    last: bool,
    /// An end word of another kind that may have been meant for it.
    mismatched: Option<usize>,
}

/// A line whose first word is nearly that of a block.
struct Suspect {
    keyword: Keyword,
    line: usize,
    depth: usize,
    reported: bool,
}

struct Parser<'s> {
    source: &'s str,
    limits: &'s Limits,
    lines: Vec<Line>,
    words: Vec<Word>,
    open: Vec<Open>,
    suspects: Vec<Suspect>,
    /// How many blocks beyond the depth limit are open.
    skipped: usize,
    sink: Sink,
}

impl Parser<'_> {
    fn run(&mut self) {
        let source = self.source;
        let mut at = if source.starts_with(BOM) {
            BOM.len()
        } else {
            0
        };
        while at < source.len() {
            let first = self.words.len();
            let mut quote = None;
            at = lex_line(source, at, &mut self.words, |span| quote = Some(span));
            if let Some(span) = quote {
                self.unclosed_quote(span);
            }
            if self.words.len() > first {
                self.line(first, quote.is_some());
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
        let (kind, head) = self.kind(first);
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
        if keyword.end().is_some() {
            self.open_block(keyword, index);
            if keyword == Keyword::For || keyword == Keyword::ParallelFor {
                self.for_header(index, reported);
            }
        } else if keyword.is_clause() {
            self.clause(keyword, index);
        } else if keyword.is_end() {
            self.end(keyword, index);
        } else if !reported {
            match keyword {
                Keyword::Call => self.call(index, usize::from(head)),
                Keyword::Let => self.let_header(index),
                _ => {}
            }
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
        Keyword::parse(&self.words.get(word)?.text(self.source))
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

    /// A line that starts with no keyword: perhaps a misspelt one.
    fn command(&mut self, index: usize) {
        if self.skipped > 0 {
            self.lines[index].kind = LineKind::Reported;
            return;
        }
        let words = self.words_of(index);
        let word = words[0].text(self.source);
        let bytes = word.as_bytes();
        let Some(top) = self.open.last() else {
            self.suspect(index);
            return;
        };
        if bytes.len() >= 3 && bytes[..3].eq_ignore_ascii_case(b"end") {
            let end = top.keyword.end();
            let split = matches!(bytes.len(), 3 | 4)
                && (bytes.len() == 3 || bytes[3] == b'_')
                && words.get(1).is_none_or(|next| {
                    Keyword::parse(&format!("END_{}", next.text(self.source))) == end
                });
            let meant = nearest_keyword(&word).map(|(_, keyword)| keyword);
            if split || (meant.is_some() && meant == end) {
                let spelling = end.map_or("", Keyword::as_str);
                let span = if split {
                    self.line_span(index)
                } else {
                    self.first_span(index)
                };
                let message = format!("unknown command `{}`", shown(span.text(self.source)));
                self.sink.push(
                    Diagnostic::error(Code::UnknownCommand, span, message)
                        .with_help(format!("did you mean {spelling}?"))
                        .with_fix(span, spelling),
                );
                self.lines[index].kind = LineKind::Reported;
                self.close(index);
                return;
            }
        }
        self.suspect(index);
    }

    fn suspect(&mut self, index: usize) {
        let word = self.words_of(index)[0].text(self.source);
        let opens = nearest_keyword(&word).filter(|(_, keyword)| keyword.end().is_some());
        if let Some((_, keyword)) = opens {
            let depth = self.open.len();
            self.suspects.push(Suspect {
                keyword,
                line: index,
                depth,
                reported: false,
            });
        }
    }

    /// Whether a misspelt opening line explains an end word or clause that has no block.
    fn blame_suspect(&mut self, wanted: impl Fn(Keyword) -> bool, closes: bool) -> bool {
        let depth = self.open.len();
        let Some(at) = self
            .suspects
            .iter()
            .rposition(|suspect| suspect.depth == depth && wanted(suspect.keyword))
        else {
            return false;
        };
        let Suspect {
            keyword,
            line,
            reported,
            ..
        } = self.suspects[at];
        if !reported {
            let span = self.first_span(line);
            let message = format!("unknown command `{}`", shown(span.text(self.source)));
            let spelling = keyword.as_str();
            self.sink.push(
                Diagnostic::error(Code::UnknownCommand, span, message)
                    .with_help(format!("did you mean {spelling}?"))
                    .with_fix(span, spelling),
            );
            self.lines[line].kind = LineKind::Reported;
            self.suspects[at].reported = true;
        }
        if closes {
            self.suspects.truncate(at);
        }
        true
    }

    fn open_block(&mut self, keyword: Keyword, index: usize) {
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
            clause: index,
            last: false,
            mismatched: None,
        });
    }

    fn clause(&mut self, keyword: Keyword, index: usize) {
        let owner = if keyword == Keyword::Catch {
            Keyword::Try
        } else {
            Keyword::If
        };
        let depth = self.open.len();
        match self.open.last_mut() {
            Some(open) if open.keyword == owner => {
                if open.last {
                    let first = open.clause;
                    let span = self.head_span(index);
                    let (message, help) = match keyword {
                        Keyword::Catch => ("a second CATCH", "a TRY has one CATCH"),
                        Keyword::Elif => ("ELIF after ELSE", "put it before the ELSE"),
                        _ => ("a second ELSE", "an IF has one ELSE; use ELIF before it"),
                    };
                    let label = self.head_span(first);
                    self.sink.push(
                        Diagnostic::error(Code::RepeatedClause, span, message)
                            .with_label(label, "the first is here")
                            .with_help(help),
                    );
                    self.lines[index].kind = LineKind::Reported;
                    return;
                }
                open.last = keyword != Keyword::Elif;
                let before = std::mem::replace(&mut open.clause, index);
                let opener = open.line;
                self.lines[before].next = narrow(index);
                self.lines[index].link = narrow(opener);
                self.suspects.retain(|suspect| suspect.depth < depth);
            }
            _ => {
                self.lines[index].kind = LineKind::Reported;
                if self.blame_suspect(|suspect| suspect == owner, false) {
                    return;
                }
                let span = self.head_span(index);
                let (name, owner) = (keyword.as_str(), owner.as_str());
                let mut diagnostic = Diagnostic::error(
                    Code::MisplacedClause,
                    span,
                    format!("{name} stands outside of {owner}"),
                )
                .with_help(format!("{name} belongs directly into an {owner} block"));
                if let Some(open) = self.open.last() {
                    let label = self.head_span(open.line);
                    let text = format!("this {} is open here", open.keyword.as_str());
                    diagnostic = diagnostic.with_label(label, text);
                }
                self.sink.push(diagnostic);
            }
        }
    }

    fn end(&mut self, keyword: Keyword, index: usize) {
        let Some(at) = self
            .open
            .iter()
            .rposition(|open| open.keyword.end() == Some(keyword))
        else {
            return self.end_without_block(keyword, index);
        };
        if at + 1 < self.open.len()
            && self.blame_suspect(|suspect| suspect.end() == Some(keyword), true)
        {
            self.lines[index].kind = LineKind::Reported;
            return;
        }
        while self.open.len() > at + 1 {
            if let Some(open) = self.open.pop() {
                self.leave_unclosed(open, index);
            }
        }
        if let Some(line) = self.open[at].mismatched.take() {
            self.stray(line);
        }
        self.close(index);
    }

    /// Closes the innermost block with the line `index`.
    fn close(&mut self, index: usize) {
        let Some(open) = self.open.pop() else { return };
        self.lines[open.clause].next = narrow(index);
        self.lines[open.line].link = narrow(index + 1);
        self.lines[index].link = narrow(open.line);
        self.suspects
            .retain(|suspect| suspect.depth <= self.open.len());
        if matches!(open.keyword, Keyword::Parallel | Keyword::Sequence) && open.line + 1 == index {
            let name = open.keyword.as_str();
            let span = self.head_span(open.line);
            self.sink.push(
                Diagnostic::error(Code::EmptyBlock, span, format!("{name} has no steps"))
                    .with_help("delete the block, or put a CALL into it"),
            );
        }
    }

    fn end_without_block(&mut self, keyword: Keyword, index: usize) {
        self.lines[index].kind = LineKind::Reported;
        if self.blame_suspect(|suspect| suspect.end() == Some(keyword), true) {
            return;
        }
        match self.open.last_mut() {
            // It may be meant for the open block; what follows will tell.
            Some(open) if open.mismatched.is_none() => open.mismatched = Some(index),
            _ => self.stray(index),
        }
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
    fn leave_unclosed(&mut self, open: Open, index: usize) {
        self.lines[open.clause].next = narrow(index);
        self.lines[open.line].link = narrow(index);
        let name = open.keyword.as_str();
        let end = open.keyword.end().map_or("", Keyword::as_str);
        let opener = self.head_span(open.line);
        if let Some(line) = open.mismatched {
            let span = self.first_span(line);
            let word = shown(span.text(self.source));
            let message = format!("{word} does not close {name}");
            self.sink.push(
                Diagnostic::error(Code::MismatchedEnd, span, message)
                    .with_label(opener, format!("this {name} is open"))
                    .with_help(format!("did you mean {end}?"))
                    .with_fix(span, end),
            );
            return;
        }
        let message = format!("this {name} is not closed");
        let mut diagnostic = Diagnostic::error(Code::UnclosedBlock, opener, message)
            .with_help(format!("close it with {end}"));
        if let Some(line) = self.lines.get(index) {
            let span = self.words[line.first as usize].span();
            let word = shown(span.text(self.source));
            diagnostic = diagnostic.with_label(span, format!("{word} closes a block around it"));
        }
        self.sink.push(diagnostic);
    }

    fn let_header(&mut self, index: usize) {
        let words = self.words_of(index);
        let equals = words.get(2).is_some_and(|word| is_sign(word, self.source));
        if equals && words.len() > 3 {
            // The right-hand side can be a call, whose form is checked like any other.
            if self.keyword_at(self.lines[index].first as usize + 3) == Some(Keyword::Call) {
                self.call(index, 4);
            }
            return;
        }
        let head = words[0].span();
        let diagnostic = match words.get(1) {
            None => Diagnostic::error(Code::MalformedLet, head, "LET has no name")
                .with_help("write `LET name = CALL tool` or `LET name = value`"),
            Some(word) if !equals => {
                let text = word.text(self.source);
                let span = self.line_span(index);
                match text.split_once('=') {
                    Some((name, value)) if !name.is_empty() || !value.is_empty() => {
                        Diagnostic::error(
                            Code::MalformedLet,
                            word.span(),
                            "LET needs blanks around its `=`",
                        )
                        .with_help(format!("write `LET {} = …`", shown(name)))
                    }
                    _ if is_sign(word, self.source) => {
                        Diagnostic::error(Code::MalformedLet, span, "LET has no name")
                            .with_help("write `LET name = value`")
                    }
                    _ => {
                        let message = format!("LET {} has no `=`", shown(&text));
                        Diagnostic::error(Code::MalformedLet, span, message)
                            .with_help(format!("write `LET {} = value`", shown(&text)))
                    }
                }
            }
            Some(word) => {
                let name = shown(&word.text(self.source));
                let message = format!("LET {name} has no value");
                Diagnostic::error(Code::MalformedLet, self.line_span(index), message).with_help(
                    format!("write `LET {name} = CALL tool` or `LET {name} = value`"),
                )
            }
        };
        self.sink.push(diagnostic);
        self.lines[index].spoilt = true;
    }

    fn for_header(&mut self, index: usize, reported: bool) {
        let head = usize::from(self.lines[index].head);
        let words = &self.words_of(index)[head..];
        let is_in = |word: &Word| {
            word.is_bare() && word.span().text(self.source).eq_ignore_ascii_case("in")
        };
        let message = match words {
            [] => "FOR has no name",
            [first, ..] if is_in(first) && !words.get(1).is_some_and(is_in) => "FOR has no name",
            [_] => "FOR has no IN",
            [_, second, ..] if !is_in(second) => "FOR has no IN after its name",
            [_, _] => "FOR has no list",
            _ => return,
        };
        if reported {
            return;
        }
        let span = self.line_span(index);
        self.lines[index].spoilt = true;
        self.sink.push(
            Diagnostic::error(Code::MalformedFor, span, message)
                .with_help("write `FOR name IN $list`"),
        );
    }

    fn call(&mut self, index: usize, head: usize) {
        let source = self.source;
        let words = &self.words_of(index)[head..];
        let Some((tool, words)) = words.split_first() else {
            let span = self.words_of(index)[head - 1].span();
            self.sink.push(
                Diagnostic::error(Code::MissingWord, span, "CALL has no tool")
                    .with_help("write the name of a tool after CALL"),
            );
            self.lines[index].spoilt = true;
            return;
        };
        let repeated = repeated_arguments(source, tool, words);
        self.lines[index].spoilt = !repeated.is_empty();
        for diagnostic in repeated {
            self.sink.push(diagnostic);
        }
    }
}

/// One diagnostic for each argument of a call that was given before.
fn repeated_arguments(source: &str, tool: &Word, words: &[Word]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // Without an option nothing can be given twice.
    if !words
        .iter()
        .any(|word| crate::argument::is_option(word, source))
    {
        return found;
    }
    let tool = tool.text(source);
    let recorded = recorded_parameters(&tool);
    let mut seen: Vec<(&str, Span)> = Vec::new();
    let mut index: HashSet<&str> = HashSet::new();
    let mut positions: Vec<(usize, Span)> = Vec::new();
    let repeat = |name: &str, span: Span, first: Span| {
        let message = format!("the argument `{}` is given twice", shown(name));
        Diagnostic::error(Code::RepeatedArgument, span, message)
            .with_label(first, "it is given here")
            .with_help("keep one of the two")
    };
    for argument in Arguments::new(source, words, recorded_rest(&tool)) {
        match argument {
            Argument::Named { word, name, .. } => {
                let text = name.text(source);
                let name_span = match word.split_assignment(source) {
                    Some((name, _)) => name,
                    None => word.span(),
                };
                // A short list is faster than hashing, a long one must not be quadratic.
                let known = if seen.len() < 16 {
                    seen.iter().any(|(name, _)| *name == text)
                } else {
                    if index.is_empty() {
                        index.extend(seen.iter().map(|(name, _)| *name));
                    }
                    !index.insert(text)
                };
                if known {
                    let first = seen.iter().find(|(name, _)| *name == text);
                    found.push(repeat(
                        text,
                        name_span,
                        first.map_or(name_span, |found| found.1),
                    ));
                    if found.len() >= 100 {
                        return found;
                    }
                } else {
                    seen.push((text, name_span));
                }
            }
            Argument::Positional(position, word) => positions.push((position, word.span())),
            Argument::Rest(position, at) => positions.push((position, words[at].span())),
            Argument::Step(..) => {}
        }
    }
    for (name, named) in seen {
        let position = match recorded.iter().position(|parameter| *parameter == name) {
            Some(position) => Some(position),
            None => name
                .strip_prefix("arg")
                .filter(|digits| *digits == "0" || !digits.starts_with(['0', '+']))
                .and_then(|digits| digits.parse().ok())
                .filter(|&position: &usize| position >= recorded.len()),
        };
        if let Some(&(_, span)) = position.and_then(|position| positions.get(position)) {
            let (first, second) = if span < named {
                (span, named)
            } else {
                (named, span)
            };
            found.push(repeat(name, second, first));
        }
    }
    found
}

fn is_sign(word: &Word, source: &str) -> bool {
    word.quote() == Quote::Bare && word.span().text(source) == "="
}

fn narrow(index: usize) -> u32 {
    // There are fewer words and lines than bytes, and those fit.
    u32::try_from(index).unwrap_or(u32::MAX)
}
