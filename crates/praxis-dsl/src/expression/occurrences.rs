//! Where the free names of an expression stand in its source.

use super::shape::{is_comprehension, literal_end, number_length};
use crate::source::Span;

/// The words of `source` that refer to names from outside of it, in order: no functions, no
/// keys after a `.`, nothing in texts, and not the names that its comprehensions bind.
///
/// `source` is an expression that compiles, as it stands between `${` and `}` or as a condition.
pub(crate) fn occurrences(source: &str) -> Vec<Span> {
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    // For each open bracket, the name that a comprehension binds in it.
    let mut bound: Vec<Option<&str>> = Vec::new();
    let mut selected = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if bytes.get(at + 1) == Some(&b'"') => {
                // In double quotes of the program, the quotes of a text may be escaped.
                at = source[at + 2..]
                    .find("\\\"")
                    .map_or(bytes.len(), |end| at + 2 + end + 2);
                selected = false;
            }
            b'"' | b'\'' => {
                at = literal_end(bytes, at, false);
                selected = false;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => break,
            b'0'..=b'9' => {
                at += number_length(&bytes[at..]);
                selected = false;
            }
            b'(' | b'[' | b'{' => {
                bound.push(None);
                selected = false;
                at += 1;
            }
            b')' | b']' | b'}' => {
                bound.pop();
                selected = false;
                at += 1;
            }
            b' ' | b'\t' | b'\r' | b'\n' | 0x0c | b'$' => at += 1,
            b'.' => {
                selected = true;
                at += 1;
            }
            _ => {
                let word = word_at(source, at);
                if word.is_empty() {
                    selected = false;
                    at += source[at..].chars().next().map_or(1, char::len_utf8);
                    continue;
                }
                let end = at + word.len();
                let quoted = matches!(bytes.get(end), Some(b'"' | b'\''));
                if quoted && word.len() <= 2 && word.bytes().all(|b| b"rRbB".contains(&b)) {
                    at = literal_end(bytes, end, word.contains(['r', 'R']));
                    selected = false;
                    continue;
                }
                let rest = source[end..].trim_start();
                let called = rest.starts_with('(');
                if called && selected && is_comprehension(word) {
                    let inside = rest[1..].trim_start();
                    let name = word_at(inside, 0);
                    bound.push(Some(name));
                    at = source.len() - inside.len() + name.len();
                } else {
                    if !called && !selected && !bound.contains(&Some(word)) {
                        found.push(Span::new(at, end));
                    }
                    at = end;
                }
                selected = false;
            }
        }
    }
    found
}

/// The name that starts at `at`; empty if none does.
fn word_at(source: &str, at: usize) -> &str {
    let rest = &source[at..];
    let starts = rest
        .chars()
        .next()
        .is_some_and(|first| first == '_' || unicode_ident::is_xid_start(first));
    if !starts {
        return "";
    }
    let end = rest
        .find(|c: char| !unicode_ident::is_xid_continue(c))
        .unwrap_or(rest.len());
    &rest[..end]
}

#[cfg(test)]
mod tests {
    use super::occurrences;

    #[track_caller]
    fn check(source: &str, expect: &[&str]) {
        let found: Vec<&str> = occurrences(source)
            .into_iter()
            .map(|span| span.text(source))
            .filter(|word| !matches!(*word, "true" | "false" | "null" | "in"))
            .collect();
        assert_eq!(found, expect, "{source}");
    }

    #[test]
    fn free_names_are_found_wherever_they_stand() {
        check("size(files) > 0", &["files"]);
        check("a + a.b[a] + $a", &["a"; 4]);
        check("'a' + a + \"a\" + r'a\\' + b'a'", &["a"]);
        check("\\\"a\\\" + a", &["a"]);
        check("xs.map(x, x + y) + x", &["xs", "y", "x"]);
        check("xs.filter( x , x.exists(y, y == z))", &["xs", "z"]);
        check("{'k': v, k: 1}[i]", &["v", "k", "i"]);
        check("has(a.b) && !(c in d) // e", &["a", "c", "d"]);
        check("1e5 + 0x1f + 2u + größe", &["größe"]);
        check("m.map(x", &["m"]);
        check("a.", &["a"]);
    }
}
