//! Words of the JSON form to text and back.

use super::{Assignment, Piece, Word};
use crate::check::parse_reference;
use crate::diagnostic::{is_invisible, shown};
use crate::lexer::lex_line;
use crate::template::{Part, interpolation_end, parts, unescape};
use crate::word::{Quote, Word as Written};

impl Word {
    /// The form of a word that is written so in `source`; none where an interpolation in it is
    /// left open.
    pub(super) fn of(word: &Written, source: &str) -> Option<Self> {
        let raw = word.span().text(source);
        if word.is_bare() && !raw.starts_with('$') {
            let assignment = |sign: &str| {
                let Some((name, value)) = word.split_assignment(source) else {
                    let name = raw[sign.len()..].to_owned();
                    return Some(Assignment { name, value: None });
                };
                Some(Assignment {
                    name: name.text(source)[sign.len()..].to_owned(),
                    value: Some(Box::new(Self::value(&value, source)?)),
                })
            };
            if raw.starts_with("--") {
                return assignment("--").map(Self::Option);
            }
            if raw.starts_with('@') && raw.contains('=') {
                return assignment("@").map(Self::Step);
            }
        }
        Self::value(word, source)
    }

    /// The form of a word that is no option.
    fn value(word: &Written, source: &str) -> Option<Self> {
        let raw = word.raw(source);
        match word.quote() {
            Quote::Single => Some(Self::Literal(word.text(source).into_owned())),
            Quote::Double => template(raw),
            Quote::Bare => {
                if let Some(inside) = raw.strip_prefix("${") {
                    let whole = interpolation_end(raw.as_bytes(), 0) == Some(raw.len() - 1);
                    return whole.then(|| Self::Expression(inside[..inside.len() - 1].to_owned()));
                }
                let reference = raw.strip_prefix('$');
                let reference = reference.filter(|name| parse_reference(name).is_some());
                Some(match reference {
                    Some(name) => Self::Reference(name.to_owned()),
                    None => Self::Bare(raw.to_owned()),
                })
            }
        }
    }

    /// The text of the word.
    ///
    /// # Errors
    ///
    /// Says what it would be read as, if not as this word.
    pub(super) fn to_text(&self) -> Result<String, String> {
        let mut text = String::new();
        self.write(&mut text);
        let mut words = Vec::new();
        let mut closed = true;
        let end = lex_line(&text, 0, &mut words, |_| closed = false);
        let again = match &*words {
            [word] if closed && end == text.len() => Self::of(word, &text),
            _ => None,
        };
        if again.as_ref() == Some(self) {
            return Ok(text);
        }
        let reading = match (again, words.len()) {
            (Some(again), _) => {
                let json = serde_json::to_string(&again).unwrap_or_default();
                format!("it would be read as {}", shown(&json))
            }
            _ if matches!(self, Self::Literal(_)) => {
                "text in single quotes stands on one line; write it as `text`".to_owned()
            }
            (None, 1) if !closed => "it has a quote that is not closed".to_owned(),
            _ => "it is not one word; write it as `text` if it is data".to_owned(),
        };
        Err(reading)
    }

    fn write(&self, out: &mut String) {
        let assignment = |out: &mut String, sign: &str, assignment: &Assignment| {
            out.push_str(sign);
            out.push_str(&assignment.name);
            if let Some(value) = &assignment.value {
                out.push('=');
                // Options do not nest, so neither does this.
                if !matches!(**value, Self::Option(_) | Self::Step(_)) {
                    value.write(out);
                }
            }
        };
        match self {
            Self::Bare(raw) => out.push_str(raw),
            Self::Text(text) => {
                out.push('"');
                escape(text, out);
                out.push('"');
            }
            Self::Template(pieces) => {
                out.push('"');
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => escape(text, out),
                        Piece::Expression(source) => {
                            out.push_str("${");
                            out.push_str(source);
                            out.push('}');
                        }
                    }
                }
                out.push('"');
            }
            Self::Literal(text) => {
                out.push('\'');
                for character in text.chars() {
                    if matches!(character, '\'' | '\\') {
                        out.push('\\');
                    }
                    out.push(character);
                }
                out.push('\'');
            }
            Self::Reference(name) => {
                out.push('$');
                out.push_str(name);
            }
            Self::Expression(source) => {
                out.push_str("${");
                out.push_str(source);
                out.push('}');
            }
            Self::Option(option) => assignment(out, "--", option),
            Self::Step(option) => assignment(out, "@", option),
        }
    }
}

/// The form of a text in double quotes.
fn template(raw: &str) -> Option<Word> {
    let mut pieces = Vec::new();
    for part in parts(raw) {
        match part {
            Part::Text(span) => {
                let mut text = String::new();
                unescape(span.text(raw), &mut text);
                pieces.push(Piece::Text(text));
            }
            Part::Expression(span) => pieces.push(Piece::Expression(span.text(raw).to_owned())),
            Part::Unclosed(_) => return None,
        }
    }
    match pieces.pop() {
        Some(Piece::Text(text)) if pieces.is_empty() => Some(Word::Text(text)),
        last => {
            pieces.extend(last);
            Some(Word::Template(pieces))
        }
    }
}

/// Appends `text` as it is written in double quotes.
fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '"' | '\\' | '$' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            character if is_invisible(character) => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(character)));
            }
            character => out.push(character),
        }
    }
}
