//! How words become values.

use serde_json::{Number, Value};

use crate::word::{Quote, Word};

/// What a word is by its own look, before a contract says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Typed {
    /// The text of the word.
    Text,
    /// A JSON scalar, array or object.
    Value(Value),
    /// A whole number that fits neither `i64` nor `u64`.
    OutOfRange,
}

/// The type of a word with the decoded text `text`.
pub(crate) fn type_of(text: &str, quote: Quote) -> Typed {
    let Some(&first) = text.as_bytes().first() else {
        return Typed::Text;
    };
    if matches!(first, b'[' | b'{' | b' ' | b'\t' | b'\r' | b'\n') {
        return json(text).map_or(Typed::Text, Typed::Value);
    }
    if quote != Quote::Bare {
        return Typed::Text;
    }
    match first {
        // Its quotes are escaped, or it would not be bare.
        b'"' => serde_json::from_str(text).map_or(Typed::Text, Typed::Value),
        b'-' | b'0'..=b'9' => number(text),
        b't' | b'T' if text.eq_ignore_ascii_case("true") => Typed::Value(Value::Bool(true)),
        b'f' | b'F' if text.eq_ignore_ascii_case("false") => Typed::Value(Value::Bool(false)),
        b'n' if text == "null" => Typed::Value(Value::Null),
        _ => Typed::Text,
    }
}

/// The value of a word that refers to nothing, by its own look; a number out of range is text.
pub(crate) fn value_of(word: &Word, source: &str) -> Value {
    let text = word.text(source);
    match type_of(&text, word.quote()) {
        Typed::Value(value) => value,
        Typed::Text | Typed::OutOfRange => Value::String(text.into_owned()),
    }
}

/// The JSON array or object that `text` is as a whole, with blanks around it at most.
pub(crate) fn json(text: &str) -> Option<Value> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let (first, last) = (text.as_bytes().first()?, text.as_bytes().last()?);
    if !matches!((first, last), (b'[', b']') | (b'{', b'}')) {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// A JSON number, or text where the grammar of JSON has none.
pub(crate) fn number(text: &str) -> Typed {
    match shape(text) {
        Shape::Text => Typed::Text,
        Shape::Integer => {
            if let Ok(value) = text.parse::<i64>() {
                Typed::Value(Value::Number(value.into()))
            } else if let Ok(value) = text.parse::<u64>() {
                Typed::Value(Value::Number(value.into()))
            } else {
                Typed::OutOfRange
            }
        }
        Shape::Float => text
            .parse::<f64>()
            .ok()
            .and_then(Number::from_f64)
            .map_or(Typed::Text, |number| Typed::Value(Value::Number(number))),
    }
}

enum Shape {
    Text,
    Integer,
    Float,
}

fn shape(text: &str) -> Shape {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes[at] == b'0') {
        return Shape::Text;
    }
    at += whole;
    let mut shape = Shape::Integer;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return Shape::Text;
        }
        at += 1 + fraction;
        shape = Shape::Float;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return Shape::Text;
        }
        at += exponent;
        shape = Shape::Float;
    }
    if at == bytes.len() {
        shape
    } else {
        Shape::Text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bare(text: &str) -> Typed {
        type_of(text, Quote::Bare)
    }

    #[test]
    fn bare_words_are_json_scalars() {
        assert_eq!(bare("42"), Typed::Value(json!(42)));
        assert_eq!(bare("-0"), Typed::Value(json!(0)));
        assert_eq!(bare("1e3"), Typed::Value(json!(1000.0)));
        assert_eq!(bare("-2.5E-1"), Typed::Value(json!(-0.25)));
        assert_eq!(bare("18446744073709551615"), Typed::Value(json!(u64::MAX)));
        assert_eq!(bare("18446744073709551616"), Typed::OutOfRange);
        assert_eq!(bare("-9223372036854775809"), Typed::OutOfRange);
        assert_eq!(bare("TrUe"), Typed::Value(json!(true)));
        assert_eq!(bare("null"), Typed::Value(Value::Null));
        assert_eq!(bare("\"a b\\n\""), Typed::Value(json!("a b\n")));
        assert_eq!(bare("[1,{\"a\":2}]"), Typed::Value(json!([1, {"a": 2}])));
        for text in [
            "NULL", "007", "+5", ".5", "5.", "1_000", "NaN", "Infinity", "1e400", "-", "--", "1e",
            "1e+", "0x1F", "1,000", "[1", "[1]x", "{a}", "", "-a", "٣", "\"", "\"a", "\"a\"b",
            " 1",
        ] {
            assert_eq!(bare(text), Typed::Text, "{text}");
        }
    }

    #[test]
    fn quoted_words_are_text_unless_arrays_or_objects() {
        for text in ["42", "true", "null", "01234", "", "a", " 42 ", "\"a\""] {
            assert_eq!(type_of(text, Quote::Single), Typed::Text, "{text}");
        }
        assert_eq!(
            type_of("{\"a\":1}", Quote::Single),
            Typed::Value(json!({"a": 1}))
        );
        assert_eq!(
            type_of(" [1, 2]\n", Quote::Double),
            Typed::Value(json!([1, 2]))
        );
    }

    #[test]
    fn deep_json_is_text() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(bare(&deep), Typed::Text);
    }
}
