//! Characters and names that cannot stand where they do.

use crate::code::Code;
use crate::diagnostic::{Diagnostic, is_bidi_control, is_format_control, shown};
use crate::source::Span;
use crate::steps;
use crate::word::Word;

/// The words that expressions reserve.
const RESERVED: [&str; 22] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "has",
];

/// Whether `text` can be a name.
pub(crate) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|first| first == '_' || unicode_ident::is_xid_start(first))
        && characters.all(unicode_ident::is_xid_continue)
        && !RESERVED.contains(&text)
}

/// What is wrong with `text` as a name, if anything.
pub(crate) fn check_name(text: &str, span: Span) -> Option<Diagnostic> {
    if is_name(text) {
        return None;
    }
    let message = if RESERVED.contains(&text) {
        format!("`{text}` is a word of expressions and cannot be a name")
    } else {
        format!("`{}` cannot be a name", shown(text))
    };
    let mut diagnostic = Diagnostic::error(Code::InvalidName, span, message)
        .with_help("a name is a letter or `_`, then letters, digits and `_`");
    if let Some(plain) = text.strip_prefix('$').filter(|plain| is_name(plain)) {
        diagnostic = diagnostic
            .with_help(format!(
                "write `{plain}` where it is bound, `${plain}` where it is used"
            ))
            .with_fix(span, plain);
    }
    Some(diagnostic)
}

/// A character of `word` that does not belong there. Keywords and names take no zero-width
/// characters either; in bare data some scripts need them.
pub(super) fn odd_character(word: &Word, source: &str, is_name: bool) -> Option<Diagnostic> {
    if !word.has(Word::UNUSUAL) || (!word.is_bare() && !is_name) {
        return None;
    }
    let raw = word.span().text(source);
    steps::add(raw.len());
    let (offset, character) = raw.char_indices().find(|&(_, character)| {
        (character.is_control() && character != '\t')
            || is_bidi_control(character)
            || (is_name && is_format_control(character))
    })?;
    let start = word.span().start as usize + offset;
    let span = Span::new(start, start + character.len_utf8());
    let code = u32::from(character);
    let called = match character {
        '\0' => " (NUL)",
        '\r' => " (a carriage return without a line feed)",
        '\u{ad}' => " (soft hyphen)",
        '\u{200b}' => " (zero-width space)",
        '\u{200c}' => " (zero-width non-joiner)",
        '\u{200d}' => " (zero-width joiner)",
        '\u{feff}' => " (byte-order mark)",
        _ if is_bidi_control(character) => " (a control of the writing direction)",
        _ => "",
    };
    let message = format!("the character U+{code:04X}{called} does not belong here");
    let help = if character == '\r' {
        "end lines with a line feed, or with a carriage return and a line feed"
    } else {
        "delete it, or quote the word if it is data"
    };
    Some(
        Diagnostic::error(Code::OddCharacter, span, message)
            .with_help(help)
            .with_fix(span, ""),
    )
}

/// Words that are not apart, because a quote opens or closes between them.
pub(super) fn glued(word: &Word, source: &str) -> Option<Diagnostic> {
    if !word.is_glued() {
        return None;
    }
    let start = word.span().start as usize;
    let line = source[..start]
        .rfind(['\n', ' ', '\t'])
        .map_or(0, |at| at + 1);
    steps::add(start - line);
    let json = source[line..].starts_with(['[', '{']);
    let first = source[start..].chars().next().map_or(0, char::len_utf8);
    let (message, help) = if json {
        (
            "a quote opens in the middle of a word",
            "put the whole JSON value into single quotes",
        )
    } else if word.is_bare() {
        (
            "text follows a closing quote",
            "put a blank between them, or all of it into the quotes",
        )
    } else {
        let quote = &source[start..=start];
        let help = if quote == "'" {
            "put a blank before it, or write `\\'` for the character"
        } else {
            "put a blank before it, or write `\\\"` for the character"
        };
        ("a quote opens in the middle of a word", help)
    };
    let span = Span::new(start, start + first);
    Some(Diagnostic::error(Code::QuoteInWord, span, message).with_help(help))
}
