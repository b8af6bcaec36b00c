//! The words of a line: where they stand, how they are quoted, what they say.

use std::borrow::Cow;

use crate::source::Span;
use crate::template::interpolation_end;

/// How a word is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quote {
    /// Not at all.
    Bare,
    /// `'…'`
    Single,
    /// `"…"`
    Double,
}

/// A word of a line, as a place in the source; its text is decoded on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word {
    span: Span,
    quote: Quote,
    flags: u8,
}

impl Word {
    /// A backslash is in it, so that its text may differ from the source.
    pub(crate) const BACKSLASH: u8 = 1;
    /// A `$` is in it.
    pub(crate) const DOLLAR: u8 = 2;
    /// It follows another word without a blank, because a quote opened or closed.
    pub(crate) const GLUED: u8 = 4;
    /// A control character or one beyond ASCII is in it.
    pub(crate) const UNUSUAL: u8 = 8;
    /// A bare word with a quoted value right after its first `=`.
    pub(crate) const VALUE_SINGLE: u8 = 16;
    /// The same in double quotes.
    pub(crate) const VALUE_DOUBLE: u8 = 32;
    /// The closing quote is missing.
    pub(crate) const UNCLOSED: u8 = 64;
    /// A bare word that starts with `--`.
    pub(crate) const OPTION: u8 = 128;

    pub(crate) fn new(start: usize, end: usize, quote: Quote, flags: u8) -> Self {
        Self {
            span: Span::new(start, end),
            quote,
            flags,
        }
    }

    /// Where it stands, quotes included.
    pub fn span(&self) -> Span {
        self.span
    }

    /// How it is quoted.
    pub fn quote(&self) -> Quote {
        self.quote
    }

    /// Whether it stands without quotes.
    pub fn is_bare(&self) -> bool {
        self.quote == Quote::Bare
    }

    /// Whether no blank stands before it although another word does.
    pub fn is_glued(&self) -> bool {
        self.has(Self::GLUED)
    }

    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// The source of a word without quotes and escapes, which is its text; none for another.
    #[inline]
    pub(crate) fn plain<'s>(&self, source: &'s str) -> Option<&'s [u8]> {
        let decoded = Self::BACKSLASH | Self::VALUE_SINGLE | Self::VALUE_DOUBLE;
        if !self.is_bare() || self.has(decoded) {
            return None;
        }
        source.as_bytes().get(self.span.range())
    }

    /// The source of the word, without its quotes.
    pub fn raw<'s>(&self, source: &'s str) -> &'s str {
        self.content().text(source)
    }

    /// Where the text inside the quotes stands.
    pub(crate) fn content(&self) -> Span {
        let Span { start, end } = self.span;
        match (self.quote, self.has(Self::UNCLOSED)) {
            (Quote::Bare, _) => self.span,
            (_, true) => Span {
                start: start + 1,
                end,
            },
            (_, false) => Span {
                start: start + 1,
                end: end - 1,
            },
        }
    }

    /// The text of the word: quotes removed, escapes replaced, `${…}` as it is.
    pub fn text<'s>(&self, source: &'s str) -> Cow<'s, str> {
        if self.has(Self::VALUE_SINGLE | Self::VALUE_DOUBLE)
            && let Some((name, value)) = self.split_assignment(source)
        {
            let name = Word {
                flags: self.flags & Self::BACKSLASH,
                ..*self
            }
            .narrowed(name);
            let text = format!("{}={}", name.text(source), value.text(source));
            return Cow::Owned(text);
        }
        let raw = self.raw(source);
        if !self.has(Self::BACKSLASH) {
            return Cow::Borrowed(raw);
        }
        match self.quote {
            Quote::Bare => unescape_bare(raw),
            Quote::Single => unescape_single(raw),
            Quote::Double => crate::template::decode(raw),
        }
    }

    fn narrowed(self, span: Span) -> Self {
        Self { span, ..self }
    }

    /// For `name=value`, where the name stands and the value as a word of its own.
    pub(crate) fn split_assignment(&self, source: &str) -> Option<(Span, Self)> {
        if !self.is_bare() {
            return None;
        }
        let raw = self.span.text(source);
        let at = memchr::memchr(b'=', raw.as_bytes())?;
        let start = self.span.start as usize;
        let quote = if self.has(Self::VALUE_DOUBLE) {
            Quote::Double
        } else if self.has(Self::VALUE_SINGLE) {
            Quote::Single
        } else {
            Quote::Bare
        };
        let kept = Self::BACKSLASH | Self::DOLLAR | Self::UNUSUAL | Self::UNCLOSED;
        let value = Self::new(
            start + at + 1,
            self.span.end as usize,
            quote,
            self.flags & kept,
        );
        Some((Span::new(start, start + at), value))
    }
}

/// Whether a backslash before `next` outside quotes is an escape.
pub(crate) fn escapes_bare(next: u8) -> bool {
    matches!(
        next,
        b' ' | b'\t' | 0x0b | 0x0c | b'"' | b'\'' | b'#' | b'$' | b'\\'
    )
}

/// The text of a bare word. An expression in it stays as it is, since it has escapes of its own.
fn unescape_bare(raw: &str) -> Cow<'_, str> {
    let Some((start, end)) = expression_in(raw) else {
        return unescape(raw, escapes_bare);
    };
    match (
        unescape(&raw[..start], escapes_bare),
        unescape(&raw[end..], escapes_bare),
    ) {
        (Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(raw),
        (before, after) => Cow::Owned(format!("{before}{}{after}", &raw[start..end])),
    }
}

/// Where the `${…}` stands that `raw` or its value starts with, in `--name=${…}`.
fn expression_in(raw: &str) -> Option<(usize, usize)> {
    let start = if raw.starts_with(['-', '@']) {
        raw.find('=')? + 1
    } else {
        0
    };
    let end = raw[start..]
        .starts_with("${")
        .then(|| interpolation_end(raw.as_bytes(), start))??;
    Some((start, end + 1))
}

fn unescape_single(raw: &str) -> Cow<'_, str> {
    unescape(raw, |next| matches!(next, b'\'' | b'\\'))
}

/// Drops each backslash that stands before a byte that `escapes` accepts.
fn unescape(raw: &str, escapes: fn(u8) -> bool) -> Cow<'_, str> {
    let bytes = raw.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        let backslash = at + found;
        if bytes.get(backslash + 1).is_some_and(|&next| escapes(next)) {
            out.push_str(&raw[copied..backslash]);
            copied = backslash + 1;
            at = backslash + 2;
        } else {
            at = backslash + 1;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(raw);
    }
    out.push_str(&raw[copied..]);
    Cow::Owned(out)
}
