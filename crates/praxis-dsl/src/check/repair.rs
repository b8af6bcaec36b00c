//! Expressions as other languages write them.

use crate::expression::Expression;

/// What `raw`, which is no expression, becomes with the operators of expressions in place of
/// `=`, `===`, `<>`, `and`, `or` and `not`; none if that is no expression either.
pub(super) fn repaired(raw: &str) -> Option<String> {
    let bytes = raw.as_bytes();
    let mut out = String::with_capacity(raw.len() + 8);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = &raw[at..];
        let length = match byte {
            // What stands in quotes is text. One that does not close is no matter of operators.
            b'"' | b'\'' => {
                let inside = rest[1..].find(char::from(byte))?;
                if rest[..inside + 1].contains('\\') {
                    return None;
                }
                inside + 2
            }
            b'=' | b'<' | b'>' | b'!' => {
                let length = rest
                    .bytes()
                    .take_while(|byte| b"=<>!".contains(byte))
                    .count();
                out.push_str(match &rest[..length] {
                    "=" | "===" => "==",
                    "<>" | "!==" => "!=",
                    "=>" => ">=",
                    "=<" => "<=",
                    other => other,
                });
                at += length;
                continue;
            }
            _ if byte == b'_' || byte.is_ascii_alphabetic() => {
                let part = |byte: &u8| *byte == b'_' || byte.is_ascii_alphanumeric();
                let length = rest.bytes().take_while(|byte| part(byte)).count();
                out.push_str(match rest[..length].to_ascii_lowercase().as_str() {
                    "and" => "&&",
                    "or" => "||",
                    "not" => "!",
                    _ => &rest[..length],
                });
                at += length;
                continue;
            }
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        out.push_str(&rest[..length]);
        at += length;
    }
    (out != raw && Expression::compile(&out).is_ok()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::repaired;

    #[test]
    fn operators_of_other_languages_are_understood() {
        let check = |raw: &str, expected: Option<&str>| {
            assert_eq!(repaired(raw).as_deref(), expected, "{raw}");
        };
        check("n = 3", Some("n == 3"));
        check("n === 'a = b'", Some("n == 'a = b'"));
        check("a and b or not c", Some("a && b || ! c"));
        check("a AND (n <> 3)", Some("a && (n != 3)"));
        check("n => 3", Some("n >= 3"));
        check("n == 3", None);
        check("n = = 3", None);
        check("n = 'a", None);
        check("é = 3", None);
        check("android = orb", Some("android == orb"));
    }
}
