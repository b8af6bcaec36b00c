//! A program in its canonical layout.

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::keyword::Keyword;
use crate::parser::parse;
use crate::source::{BOM, Limits, Span};
use crate::tree::{Line, LineKind, Tree};
use crate::word::Word;

/// The blanks of one level of blocks.
const INDENT: &str = "  ";

/// The program of `tree` in its canonical layout.
///
/// Blocks are indented by two blanks a level, keywords are in upper case and `ELIF` and the end
/// words have one spelling each, words stand one blank apart, trailing comments two, and at most
/// one empty line stands between others. Words and comments stay as they are written, conditions
/// with quotes in them too, as do a byte-order mark and the line ends, which are those of the
/// first line. A line that the parser has reported stays byte for byte.
///
/// The result is a fixed point, and its tree is the same: see [`Tree::is_same_program`].
///
/// # Errors
///
/// The diagnostics of a program whose blocks are not known (one is left open, or what is wrong
/// with them depends on the layout), or one that is too large, before or after.
pub fn format(tree: &Tree) -> Result<String, Vec<Diagnostic>> {
    let too_large = |diagnostic: &Diagnostic| diagnostic.code == Code::SourceTooLarge;
    if tree.unbalanced || tree.diagnostics.iter().any(too_large) {
        return Err(tree.diagnostics.clone());
    }
    let layout = Layout::of(tree)?;
    // Where blocks do not fit, how far in a line stands may decide what it was meant for.
    if tree.has_errors() && !tree.is_same_program(&parse(&layout)) {
        return Err(tree.diagnostics.clone());
    }
    Ok(layout)
}

/// The text as it grows.
struct Layout<'t> {
    tree: &'t Tree,
    out: String,
    line_end: &'static str,
    /// For each open block, the line of its end.
    open: Vec<usize>,
    /// An empty line came since the last other.
    gap: bool,
    empty: bool,
}

impl<'t> Layout<'t> {
    fn of(tree: &'t Tree) -> Result<String, Vec<Diagnostic>> {
        let source = tree.source();
        let mut layout = Self {
            tree,
            out: String::with_capacity(source.len() + source.len() / 8),
            line_end: line_end(source),
            open: Vec::new(),
            gap: false,
            empty: true,
        };
        if source.starts_with(BOM) {
            layout.out.push_str(BOM);
        }
        let mut index = 0;
        for (line, place) in tree.source_lines() {
            match line {
                Some(line) => {
                    layout.line(index, line, place);
                    index += 1;
                }
                None => layout.between(tree.comment(None, place)),
            }
            if layout.out.len() > Limits::DEFAULT.max_source_bytes {
                let message = format!(
                    "the formatted program has more than {} bytes",
                    Limits::DEFAULT.max_source_bytes
                );
                return Err(vec![
                    Diagnostic::error(Code::SourceTooLarge, Span::default(), message)
                        .with_help("split the program"),
                ]);
            }
        }
        if layout.out.starts_with(BOM) && !source.starts_with(BOM) {
            // The mark belongs to a word, which must not come first.
            layout.out.insert_str(0, layout.line_end);
        }
        Ok(layout.out)
    }

    /// A line without words: empty, or a comment.
    fn between(&mut self, comment: &str) {
        if comment.is_empty() {
            self.gap = true;
            return;
        }
        self.begin(self.open.len());
        self.out.push_str(comment);
        self.out.push_str(self.line_end);
    }

    /// The empty line before the next one, if there is one, and its indent.
    fn begin(&mut self, depth: usize) {
        if self.gap && !self.empty {
            self.out.push_str(self.line_end);
        }
        self.gap = false;
        self.empty = false;
        for _ in 0..depth {
            self.out.push_str(INDENT);
        }
    }

    /// A line with words, which stands at `place`.
    fn line(&mut self, index: usize, line: &Line, place: Span) {
        let closes = self.open.last() == Some(&index);
        if closes {
            self.open.pop();
        }
        let continues = matches!(line.kind, LineKind::Keyword(keyword) if keyword.is_clause());
        let depth = self.open.len() - usize::from(continues && !self.open.is_empty());
        if let LineKind::Keyword(keyword) = line.kind
            && keyword.end().is_some()
        {
            self.open.push(line.link as usize - 1);
        }
        let source = self.tree.source();
        if self.is_reported(line) {
            let text = place.text(source);
            self.begin(0);
            self.out.push_str(text.strip_suffix('\r').unwrap_or(text));
            self.end();
            return;
        }
        self.begin(depth);
        let words = self.tree.words_of(line);
        match self.condition(line) {
            Some(condition) => {
                self.words(line, &words[..usize::from(line.head)]);
                self.out.push(' ');
                self.out.push_str(condition);
            }
            None => self.words(line, words),
        }
        let comment = self.tree.comment(Some(line), place);
        if !comment.is_empty() {
            self.out.push_str("  ");
            self.out.push_str(comment);
        }
        self.end();
    }

    fn end(&mut self) {
        // A carriage return that belongs to a word must not become a part of the line end.
        let end = if self.out.ends_with('\r') {
            "\r\n"
        } else {
            self.line_end
        };
        self.out.push_str(end);
    }

    /// Whether the parser has reported what the line starts with or holds.
    fn is_reported(&self, line: &Line) -> bool {
        let LineKind::Keyword(keyword) = line.kind else {
            return line.spoilt || line.kind == LineKind::Reported;
        };
        line.spoilt || self.tree.written(line) != Some(keyword)
    }

    /// The condition of a line, where its blanks may be part of a text in it.
    fn condition(&self, line: &Line) -> Option<&'t str> {
        if !matches!(line.kind, LineKind::Keyword(Keyword::If | Keyword::Elif)) {
            return None;
        }
        let words = &self.tree.words_of(line)[usize::from(line.head)..];
        let span = words.first()?.span().to(words.last()?.span());
        let text = span.text(self.tree.source());
        text.contains(['"', '\'', '\u{b}', '\u{c}']).then_some(text)
    }

    fn words(&mut self, line: &Line, words: &[Word]) {
        let source = self.tree.source();
        for (at, word) in words.iter().enumerate() {
            let raw = word.span().text(source);
            if at > 0 && !word.is_glued() {
                self.out.push(' ');
            }
            if !self.tree.is_keyword_at(line, at) || !word.is_bare() {
                self.out.push_str(raw);
            } else if line.kind == LineKind::Keyword(Keyword::Elif) && line.head == 2 {
                // `ELSE IF` becomes one word.
                if at == 0 {
                    self.out.push_str(Keyword::Elif.as_str());
                } else {
                    self.out.pop();
                }
            } else {
                match Keyword::parse(raw) {
                    Some(keyword) => self.out.push_str(spelling(keyword)),
                    None => self.out.push_str(&raw.to_ascii_uppercase()),
                }
            }
        }
    }
}

/// How the first line ends. One that ends with a carriage return of its own does not say.
fn line_end(source: &str) -> &'static str {
    let first = source
        .split_inclusive('\n')
        .find(|line| line.ends_with('\n') && !line.ends_with("\r\r\n"));
    match first {
        Some(line) if line.ends_with("\r\n") => "\r\n",
        _ => "\n",
    }
}

/// The spelling that the formatter gives a keyword.
fn spelling(keyword: Keyword) -> &'static str {
    match keyword {
        Keyword::EndIf => "ENDIF",
        other => other.as_str(),
    }
}

/// What stands between words and at the end of a line.
pub(crate) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{b}' | '\u{c}' | '\r')
}

impl Tree {
    /// Whether both are the same program: equal but for spans, blank lines, comments, and the
    /// spelling of keywords.
    pub fn is_same_program(&self, other: &Self) -> bool {
        let codes = |tree: &Self| -> Vec<Code> {
            tree.diagnostics.iter().map(|found| found.code).collect()
        };
        self.lines.len() == other.lines.len()
            && self.unbalanced == other.unbalanced
            && codes(self) == codes(other)
            && self.lines.iter().zip(&other.lines).all(|(left, right)| {
                (left.kind, left.spoilt, left.next, left.link)
                    == (right.kind, right.spoilt, right.next, right.link)
                    && self.content(left).eq(other.content(right))
            })
    }

    /// The words of a line as they are written, without those that are keywords.
    fn content<'t>(&'t self, line: &'t Line) -> impl Iterator<Item = (&'t str, bool)> {
        let words = self.words_of(line).iter().enumerate();
        words
            .filter(move |(at, _)| !self.is_keyword_at(line, *at))
            .map(|(_, word)| (word.span().text(&self.source), word.is_glued()))
    }

    /// The lines of the source with where they stand, without their line feeds; with each, the
    /// line of the tree if it has words.
    pub(crate) fn source_lines(&self) -> impl Iterator<Item = (Option<&Line>, Span)> {
        let source = &*self.source;
        let mut at = if source.starts_with(BOM) {
            BOM.len()
        } else {
            0
        };
        let mut lines = self.lines.iter().peekable();
        std::iter::from_fn(move || {
            let start = at;
            let rest = source
                .as_bytes()
                .get(start..)
                .filter(|rest| !rest.is_empty())?;
            let end = memchr::memchr(b'\n', rest).map_or(source.len(), |length| start + length);
            at = end + 1;
            let line =
                lines.next_if(|line| (self.words[line.first as usize].span().start as usize) < end);
            Some((line, Span::new(start, end)))
        })
    }

    /// The comment of a source line that stands at `place`, with its `#`; empty without one.
    pub(crate) fn comment(&self, line: Option<&Line>, place: Span) -> &str {
        let last = line.and_then(|line| self.words_of(line).last());
        let start = last.map_or(place.start, |word| word.span().end);
        let rest = Span { start, ..place };
        rest.text(&self.source).trim_matches(is_blank)
    }

    pub(crate) fn words_of(&self, line: &Line) -> &[Word] {
        &self.words[line.first as usize..line.last as usize]
    }

    /// Whether the word `at` of the line is a keyword, in any spelling.
    pub(crate) fn is_keyword_at(&self, line: &Line, at: usize) -> bool {
        let LineKind::Keyword(keyword) = line.kind else {
            return false;
        };
        let head = usize::from(line.head);
        let Some(word) = self.words_of(line).get(at) else {
            return false;
        };
        let spells = |text: &str| {
            word.is_bare() && word.span().text(&self.source).eq_ignore_ascii_case(text)
        };
        if at < head {
            return Keyword::parse(&word.text(&self.source)).is_some();
        }
        match keyword {
            Keyword::For | Keyword::ParallelFor => at == head + 1 && spells("IN"),
            Keyword::Let => at == head + 2 && spells("CALL"),
            _ => false,
        }
    }

    /// The keyword that the line starts with as it is written.
    fn written(&self, line: &Line) -> Option<Keyword> {
        let parse = |word: &Word| Keyword::parse(&word.text(&self.source));
        match self.words_of(line) {
            [first, second, ..] if line.head == 2 => match (parse(first)?, parse(second)?) {
                (Keyword::Parallel, Keyword::For) => Some(Keyword::ParallelFor),
                (Keyword::Else, Keyword::If) => Some(Keyword::Elif),
                _ => None,
            },
            [first, ..] => parse(first),
            [] => None,
        }
    }
}
