//! Words as the values that a contract declares.

use serde_json::Value;

use crate::catalog::ParameterKind;
use crate::value::{Typed, json, number, type_of};
use crate::word::Quote;

/// Why a word is not a value of the wanted kind.
#[derive(Debug, PartialEq)]
pub(super) enum Unfit {
    Kind,
    OutOfRange,
}

/// The word with the decoded text `text` as a value of the kind `kind`, without loss.
pub(super) fn coerce(kind: ParameterKind, text: &str, quote: Quote) -> Result<Value, Unfit> {
    match kind {
        ParameterKind::Text => Ok(Value::String(text.to_owned())),
        ParameterKind::Any => match type_of(text, quote) {
            Typed::Value(value) => Ok(value),
            Typed::Text => Ok(Value::String(text.to_owned())),
            Typed::OutOfRange => Err(Unfit::OutOfRange),
        },
        ParameterKind::Integer => match number(text) {
            Typed::Value(Value::Number(value)) => whole(value).ok_or(Unfit::Kind),
            Typed::OutOfRange => Err(Unfit::OutOfRange),
            _ => Err(Unfit::Kind),
        },
        ParameterKind::Number => match number(text) {
            Typed::Value(value) => Ok(value),
            Typed::OutOfRange => Err(Unfit::OutOfRange),
            Typed::Text => Err(Unfit::Kind),
        },
        ParameterKind::Boolean => {
            if text.eq_ignore_ascii_case("true") {
                Ok(Value::Bool(true))
            } else if text.eq_ignore_ascii_case("false") {
                Ok(Value::Bool(false))
            } else {
                Err(Unfit::Kind)
            }
        }
        ParameterKind::Array => json(text).filter(Value::is_array).ok_or(Unfit::Kind),
        ParameterKind::Object => json(text).filter(Value::is_object).ok_or(Unfit::Kind),
    }
}

/// A number that is whole, as an integer: `1e3` is 1000.
fn whole(number: serde_json::Number) -> Option<Value> {
    if number.is_i64() || number.is_u64() {
        return Some(Value::Number(number));
    }
    // Beyond 2^53 a float no longer says which integer was meant.
    let value = number
        .as_f64()
        .filter(|value| value.fract() == 0.0 && value.abs() <= 2f64.powi(53))?;
    format!("{value:.0}").parse::<i64>().ok().map(Value::from)
}

/// Whether a value that is known is of the kind `kind`.
pub(super) fn fits(kind: ParameterKind, value: &Value) -> bool {
    match kind {
        ParameterKind::Text => value.is_string(),
        ParameterKind::Integer => value.is_i64() || value.is_u64(),
        ParameterKind::Number => value.is_number(),
        ParameterKind::Boolean => value.is_boolean(),
        ParameterKind::Array => value.is_array(),
        ParameterKind::Object => value.is_object(),
        ParameterKind::Any => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_declared_type_decides() {
        use ParameterKind::{Any, Array, Boolean, Integer, Number, Object, Text};
        let bare = |kind, text| coerce(kind, text, Quote::Bare);
        let quoted = |kind, text| coerce(kind, text, Quote::Double);
        for text in ["42", "true", "007", "[1]", "18446744073709551616", ""] {
            assert_eq!(bare(Text, text), Ok(json!(text)), "{text}");
        }
        assert_eq!(quoted(Integer, "5"), Ok(json!(5)));
        assert_eq!(bare(Integer, "1e3"), Ok(json!(1000)));
        assert_eq!(bare(Integer, "1.5"), Err(Unfit::Kind));
        assert_eq!(bare(Integer, "five"), Err(Unfit::Kind));
        assert_eq!(
            bare(Integer, "99999999999999999999"),
            Err(Unfit::OutOfRange)
        );
        assert_eq!(quoted(Number, "1.5"), Ok(json!(1.5)));
        assert_eq!(bare(Number, "007"), Err(Unfit::Kind));
        assert_eq!(quoted(Boolean, "TRUE"), Ok(json!(true)));
        assert_eq!(bare(Boolean, "1"), Err(Unfit::Kind));
        assert_eq!(quoted(Array, "[1]"), Ok(json!([1])));
        assert_eq!(bare(Array, "{}"), Err(Unfit::Kind));
        assert_eq!(bare(Object, "{\"a\":1}"), Ok(json!({"a": 1})));
        assert_eq!(bare(Any, "42"), Ok(json!(42)));
        assert_eq!(quoted(Any, "42"), Ok(json!("42")));
        assert_eq!(bare(Any, "99999999999999999999"), Err(Unfit::OutOfRange));
    }
}
