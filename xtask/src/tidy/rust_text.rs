//! Tells code from comments and literals, so that a check sees what it means to see.

/// A Rust source twice, each time with everything else blanked out; lines stay where they were.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RustText {
    /// Without comments and without the content of literals.
    pub(super) code: String,
    /// Only comments.
    pub(super) comments: String,
}

impl RustText {
    /// Splits `source`; it need not be valid Rust.
    pub(super) fn of(source: &str) -> Self {
        let chars: Vec<char> = source.chars().collect();
        let mut text = Self {
            code: String::with_capacity(source.len()),
            comments: String::new(),
        };
        let mut at = 0;
        while at < chars.len() {
            let rest = &chars[at..];
            let (length, kind) = match rest {
                ['/', '/', ..] => (until_newline(rest), Kind::Comment),
                ['/', '*', ..] => (block_comment(rest), Kind::Comment),
                ['r' | 'b' | 'c', ..] if !follows_a_word(&chars, at) => match prefixed(rest) {
                    Some(length) => (length, Kind::Literal),
                    None => (1, Kind::Code),
                },
                ['"', ..] => (quoted(rest), Kind::Literal),
                ['\'', '\\', ..] | ['\'', _, '\'', ..] => (character(rest), Kind::Literal),
                _ => (1, Kind::Code),
            };
            text.push(&rest[..length], kind);
            at += length;
        }
        text
    }

    fn push(&mut self, piece: &[char], kind: Kind) {
        for (index, &c) in piece.iter().enumerate() {
            let edge = index == 0 || index + 1 == piece.len();
            let blank = if c == '\n' { '\n' } else { ' ' };
            let (code, comment) = match kind {
                Kind::Code => (c, blank),
                Kind::Comment => (blank, c),
                Kind::Literal => (if edge && c != '\n' { '"' } else { blank }, blank),
            };
            self.code.push(code);
            self.comments.push(comment);
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Code,
    Comment,
    Literal,
}

fn follows_a_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn until_newline(rest: &[char]) -> usize {
    rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => {
                depth += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a raw, byte or C literal that starts here.
fn prefixed(rest: &[char]) -> Option<usize> {
    let letters = match rest {
        ['b' | 'c', 'r', ..] => 2,
        _ => 1,
    };
    let raw = rest[letters - 1] == 'r';
    let after = &rest[letters..];
    if raw {
        let hashes = after.iter().take_while(|c| **c == '#').count();
        if after.get(hashes) != Some(&'"') {
            return None;
        }
        let body = letters + hashes + 1;
        let mut at = body;
        while at < rest.len() {
            let closing = rest[at] == '"'
                && rest[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
            at += 1;
            if closing {
                return Some(at + hashes);
            }
        }
        return Some(rest.len());
    }
    match after.first() {
        Some('"') => Some(letters + quoted(after)),
        Some('\'') if rest[0] == 'b' => Some(letters + character(after)),
        _ => None,
    }
}

fn quoted(rest: &[char]) -> usize {
    escaped(rest, '"')
}

fn character(rest: &[char]) -> usize {
    escaped(rest, '\'')
}

/// The length of a literal that ends at the first `end` without a backslash.
fn escaped(rest: &[char], end: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == end => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_comments_and_literals_are_told_apart() {
        let check = |source: &str, code: &str, comments: &str| {
            let text = RustText::of(source);
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words(&text.code), code, "{source}");
            assert_eq!(words(&text.comments), comments, "{source}");
            assert_eq!(
                text.code.matches('\n').count(),
                source.matches('\n').count(),
                "{source}"
            );
        };
        check("a // b \"c\"\nd", "a d", "// b \"c\"");
        check("a /* b /* c */ d */ e", "a e", "/* b /* c */ d */");
        check(r#"f("a // b\" c") // d"#, "f(\" \")", "// d");
        check("let s = r#\"a \" // b\"#; // c", "let s = \" \";", "// c");
        check(r"let c = '\''; // d", "let c = \" \";", "// d");
        check("let c = '\"'; x", "let c = \" \"; x", "");
        check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}", "");
        check(
            "b\"//\" br\"//\" c\"//\" b'/' x",
            "\" \" \" \" \" \" \" \" x",
            "",
        );
        check("let r = 1; for b in c {}", "let r = 1; for b in c {}", "");
        check("\"never closed", "\" \"", "");
        check("/* never closed", "", "/* never closed");
        check("", "", "");
    }
}
