//! The words of a line, in one pass over its bytes.

use crate::source::Span;
use crate::steps;
use crate::template::interpolation_end;
use crate::word::{Quote, Word, escapes_bare};

/// What the lexer does with a byte inside a bare word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    End,
    Special,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte < 0x20 || byte >= 0x7f {
            classes[byte] = Class::Special;
        }
        byte += 1;
    }
    classes[b'\n' as usize] = Class::End;
    classes[b' ' as usize] = Class::End;
    classes[b'\t' as usize] = Class::End;
    classes[0x0b] = Class::End;
    classes[0x0c] = Class::End;
    classes[b'\\' as usize] = Class::Special;
    classes[b'$' as usize] = Class::Special;
    classes[b'"' as usize] = Class::Special;
    classes[b'\'' as usize] = Class::Special;
    classes
};

/// Whether a byte inside quotes stands for itself and ends nothing.
const QUOTED: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        plain[byte] = true;
        byte += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\'' as usize] = false;
    plain[b'\\' as usize] = false;
    plain[b'$' as usize] = false;
    plain
};

/// Whether the end of an interpolation on this line is worth looking for.
struct Ends {
    quoted: bool,
    bare: bool,
}

/// Appends the words of the line that starts at `at` and returns where the next one starts.
/// A quote that does not close is reported through `unclosed`; the rest of the line is its word.
pub(crate) fn lex_line(
    source: &str,
    mut at: usize,
    words: &mut Vec<Word>,
    mut unclosed: impl FnMut(Span),
) -> usize {
    let bytes = source.as_bytes();
    let mut glued = 0;
    // Looking for the end of an interpolation goes on to the end of the line at most. One that
    // has none keeps later ones from being looked for, so that each line takes linear time.
    let mut ends = Ends {
        quoted: true,
        bare: true,
    };
    let start = at;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\n' => {
                steps::add(at - start);
                return at + 1;
            }
            b' ' | b'\t' | 0x0b | 0x0c => {
                at += 1;
                glued = 0;
            }
            b'\r' if matches!(bytes.get(at + 1), None | Some(b'\n')) => at += 1,
            b'#' if glued == 0 => {
                let next =
                    memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |end| at + end + 1);
                steps::add(next - start);
                return next;
            }
            b'"' | b'\'' => {
                let (end, flags) = quoted(bytes, at, &mut ends);
                if flags & Word::UNCLOSED != 0 {
                    unclosed(Span::new(at, at + 1));
                }
                let quote = if byte == b'"' {
                    Quote::Double
                } else {
                    Quote::Single
                };
                words.push(Word::new(at, end, quote, flags | glued));
                at = end;
                glued = Word::GLUED;
            }
            _ => {
                // Nearly all words are plain up to a blank or the end of the line.
                let name = byte == b'$' && bytes.get(at + 1) != Some(&b'{');
                let from = at + usize::from(name);
                let end = from + plain_bytes(&bytes[from..]);
                if let Some(&after @ (b' ' | b'\n')) = bytes.get(end) {
                    let flags = match bytes[at..end] {
                        [b'$', ..] => Word::DOLLAR,
                        [b'-', b'-', ..] => Word::OPTION,
                        _ => 0,
                    };
                    words.push(Word::new(at, end, Quote::Bare, flags | glued));
                    at = end + 1;
                    glued = 0;
                    if after == b'\n' {
                        steps::add(at - start);
                        return at;
                    }
                    continue;
                }
                let (end, flags, opened) = bare(bytes, at, &mut ends);
                if flags & Word::UNCLOSED != 0 {
                    unclosed(Span::new(opened, opened + 1));
                }
                words.push(Word::new(at, end, Quote::Bare, flags | glued));
                at = end;
                glued = Word::GLUED;
            }
        }
    }
    steps::add(at - start);
    at
}

/// The end of the bare word at `start`, its flags, and where the quote of its value opens.
fn bare(bytes: &[u8], start: usize, ends: &mut Ends) -> (usize, u8, usize) {
    let mut at = start;
    let mut flags = 0;
    if bytes[start..].starts_with(b"--") {
        flags = Word::OPTION;
        at += 2;
    }
    while let Some(&byte) = bytes.get(at) {
        match CLASSES[usize::from(byte)] {
            Class::Plain => {
                at += 1;
                at += plain_bytes(&bytes[at..]);
            }
            Class::End => break,
            Class::Special => match byte {
                b'\\' => {
                    flags |= Word::BACKSLASH;
                    let escape = bytes.get(at + 1).is_some_and(|&next| escapes_bare(next));
                    at += if escape { 2 } else { 1 };
                }
                b'$' => {
                    // Only the first `$` of a word can open it, so that long words stay cheap.
                    let opens = ends.bare
                        && flags & Word::DOLLAR == 0
                        && bytes.get(at + 1) == Some(&b'{')
                        && (at == start || takes_value(&bytes[start..at]));
                    flags |= Word::DOLLAR;
                    if opens {
                        match interpolation_end(bytes, at) {
                            Some(end) => {
                                flags |= content_flags(&bytes[at..end]);
                                at = end;
                            }
                            None => ends.bare = false,
                        }
                    }
                    at += 1;
                }
                b'"' | b'\'' => {
                    if !takes_value(&bytes[start..at]) {
                        break;
                    }
                    let (end, inner) = quoted(bytes, at, ends);
                    let kind = if byte == b'"' {
                        Word::VALUE_DOUBLE
                    } else {
                        Word::VALUE_SINGLE
                    };
                    return (end, flags | inner | kind, at);
                }
                b'\r' if matches!(bytes.get(at + 1), None | Some(b'\n')) => break,
                _ => {
                    flags |= Word::UNUSUAL;
                    at += 1;
                }
            },
        }
    }
    (at, flags, at)
}

/// How many bytes at the start of `bytes` belong to a bare word and mean nothing else.
#[inline]
fn plain_bytes(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|&byte| CLASSES[usize::from(byte)] != Class::Plain)
        .unwrap_or(bytes.len())
}

/// The flags of a word that holds `bytes`, an interpolation.
fn content_flags(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |flags, &byte| match byte {
        b'\\' => flags | Word::BACKSLASH,
        0x20..0x7f => flags,
        _ => flags | Word::UNUSUAL,
    })
}

/// Whether `word` is `--name=` or `@name=`, whose value may open a quote or an expression.
fn takes_value(word: &[u8]) -> bool {
    (word.starts_with(b"--") || word.starts_with(b"@"))
        && memchr::memchr(b'=', word).is_some_and(|at| at + 1 == word.len())
}

/// The end of the quoted word at `start`, and its flags.
fn quoted(bytes: &[u8], start: usize, ends: &mut Ends) -> (usize, u8) {
    let quote = bytes[start];
    let mut at = start + 1;
    let mut flags = 0;
    loop {
        let rest = &bytes[at..];
        at += rest
            .iter()
            .position(|&byte| !QUOTED[usize::from(byte)])
            .unwrap_or(rest.len());
        match bytes.get(at) {
            None | Some(b'\n') => {
                let line_end = at > start + 1 && bytes[at - 1] == b'\r';
                return (if line_end { at - 1 } else { at }, flags | Word::UNCLOSED);
            }
            Some(&byte) if byte == quote => return (at + 1, flags),
            Some(b'\\') => {
                flags |= Word::BACKSLASH;
                let pair = match bytes.get(at + 1) {
                    Some(b'\\') => true,
                    Some(b'$') => quote == b'"',
                    Some(&next) => next == quote,
                    None => false,
                };
                at += if pair { 2 } else { 1 };
            }
            Some(b'$') => {
                flags |= Word::DOLLAR;
                at += 1;
                if quote == b'"' && ends.quoted && bytes.get(at) == Some(&b'{') {
                    match interpolation_end(bytes, at - 1) {
                        Some(end) => at = end + 1,
                        None => ends.quoted = false,
                    }
                }
            }
            Some(&byte) => {
                if !(0x20..0x7f).contains(&byte) {
                    flags |= Word::UNUSUAL;
                }
                at += 1;
            }
        }
    }
}
