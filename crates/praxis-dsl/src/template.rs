//! Text in double quotes: its escapes and its `${…}` interpolations.

use std::borrow::Cow;

use crate::source::Span;
use crate::steps;

/// A part of a text in double quotes, as places in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text with its escapes.
    Text(Span),
    /// What stands between `${` and `}`.
    Expression(Span),
    /// A `${` without its `}`, to the end.
    Unclosed(Span),
}

/// The end of the interpolation whose `${` stands at `open` in `bytes`: the offset of its
/// `}`. It may hold braces in pairs and CEL texts in either quote; it ends on its line.
pub(crate) fn interpolation_end(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 2;
    let mut depth = 0_usize;
    let mut literal: Option<u8> = None;
    loop {
        let byte = *bytes.get(at)?;
        steps::add(1);
        match (literal, byte) {
            (_, b'\n') => return None,
            (_, b'\\') if bytes.get(at + 1) == Some(&b'\n') => return None,
            (_, b'\\') => at += 1,
            (Some(quote), _) if byte == quote => literal = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => literal = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth == 0 => return Some(at),
            (None, b'}') => depth -= 1,
            (None, _) => {}
        }
        at += 1;
    }
}

/// Splits the inside of a text in double quotes.
pub(crate) fn parts(raw: &str) -> Vec<Part> {
    steps::add(raw.len());
    let bytes = raw.as_bytes();
    let mut parts = Vec::new();
    let mut text = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'\\', b'$', &bytes[at..]) {
        let here = at + found;
        if bytes[here] == b'\\' {
            at = (here + 2).min(bytes.len());
        } else if bytes.get(here + 1) != Some(&b'{') {
            at = here + 1;
        } else if let Some(end) = interpolation_end(bytes, here) {
            if here > text {
                parts.push(Part::Text(Span::new(text, here)));
            }
            parts.push(Part::Expression(Span::new(here + 2, end)));
            at = end + 1;
            text = at;
        } else {
            // One that does not close keeps later ones from closing, as in the lexer.
            if here > text {
                parts.push(Part::Text(Span::new(text, here)));
            }
            parts.push(Part::Unclosed(Span::new(here, bytes.len())));
            return parts;
        }
    }
    if text < bytes.len() || parts.is_empty() {
        parts.push(Part::Text(Span::new(text, bytes.len())));
    }
    parts
}

/// The text of the inside of double quotes, with `${…}` as it is.
pub(crate) fn decode(raw: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(raw.len());
    for part in parts(raw) {
        match part {
            Part::Text(span) | Part::Unclosed(span) => unescape(span.text(raw), &mut out),
            Part::Expression(span) => {
                out.push_str("${");
                out.push_str(span.text(raw));
                out.push('}');
            }
        }
    }
    Cow::Owned(out)
}

/// Appends the text of `raw`, a stretch inside double quotes without interpolations.
pub(crate) fn unescape(raw: &str, out: &mut String) {
    steps::add(raw.len());
    let bytes = raw.as_bytes();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        let here = at + found;
        let (character, length) = match bytes.get(here + 1) {
            Some(b'n') => ('\n', 2),
            Some(b't') => ('\t', 2),
            Some(b'r') => ('\r', 2),
            Some(&byte @ (b'"' | b'\\' | b'$')) => (char::from(byte), 2),
            Some(b'u') => match unicode_escape(&raw[here..]) {
                Some(found) => found,
                None => {
                    at = here + 1;
                    continue;
                }
            },
            _ => {
                at = here + 1;
                continue;
            }
        };
        out.push_str(&raw[copied..here]);
        out.push(character);
        copied = here + length;
        at = copied;
    }
    out.push_str(&raw[copied..]);
}

/// The character of `\u{…}` at the start of `raw`, and the length of the escape.
fn unicode_escape(raw: &str) -> Option<(char, usize)> {
    let digits = raw.strip_prefix("\\u{")?;
    let end = digits.bytes().take(7).position(|byte| byte == b'}')?;
    let digits = &digits[..end];
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    Some((character, end + 4))
}

/// The CEL source of an interpolation: `\"` outside of a text opens and closes one, since
/// people escape the quotes that they nest.
pub(crate) fn expression_source(raw: &str) -> Cow<'_, str> {
    if !raw.contains("\\\"") {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut literal: Option<char> = None;
    let mut characters = raw.chars().peekable();
    while let Some(character) = characters.next() {
        match (literal, character) {
            (None | Some('\\'), '\\') if characters.peek() == Some(&'"') => {
                characters.next();
                out.push('"');
                literal = if literal.is_none() { Some('\\') } else { None };
                continue;
            }
            (Some('\'' | '"'), '\\') => {
                out.push(character);
                out.extend(characters.next());
                continue;
            }
            (None, '\'' | '"') => literal = Some(character),
            (Some(quote), _) if quote == character => literal = None,
            _ => {}
        }
        out.push(character);
    }
    Cow::Owned(out)
}
