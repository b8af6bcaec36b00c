//! What an expression looks like before it is parsed, to refuse what would exhaust the machine.
//!
//! The parser and the interpreter behind [`super::Expression`] recurse over the input, so the
//! nesting, the chains and the comprehensions are counted first, in one pass over the bytes.

/// The length of an expression in bytes.
pub(crate) const MAX_BYTES: usize = 4096;
/// How deep brackets may nest.
pub(crate) const MAX_BRACKETS: usize = 32;
/// How many operators, selections, calls and list items an expression may have.
pub(crate) const MAX_OPERATORS: usize = 256;
/// How deep the parsed expression may be. The interpreter takes some 25 KiB of stack for a
/// level in an unoptimised build, and a thread has 2 MiB.
pub(crate) const MAX_DEPTH: usize = 32;
/// How many comprehensions (`map`, `filter`, `exists`, `all`, …) an expression may have.
pub(crate) const MAX_COMPREHENSIONS: usize = 4;
/// How deep comprehensions may nest.
pub(crate) const MAX_NESTED_COMPREHENSIONS: usize = 2;

const COMPREHENSIONS: [&str; 6] = ["map", "filter", "all", "exists", "exists_one", "existsOne"];

/// Whether the function `word` binds a name in its arguments.
pub(super) fn is_comprehension(word: &str) -> bool {
    COMPREHENSIONS.contains(&word)
}

/// Checks `source`; on failure says which limit it exceeds.
pub(crate) fn check(source: &str) -> Result<(), String> {
    if source.len() > MAX_BYTES {
        return Err(format!(
            "{} bytes long, and at most {MAX_BYTES} are read",
            source.len()
        ));
    }
    let mut counts = Counts::default();
    let bytes = source.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'"' | b'\'' => {
                counts.member = false;
                literal_end(bytes, at, false)
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => bytes.len(),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let end = at + word_length(&bytes[at..]);
                let word = &source[at..end];
                let quoted = matches!(bytes.get(end), Some(b'"' | b'\''));
                if quoted && word.len() <= 2 && word.bytes().all(|b| b"rRbB".contains(&b)) {
                    literal_end(bytes, end, word.contains(['r', 'R']))
                } else {
                    counts.word(word);
                    end
                }
            }
            b'0'..=b'9' => {
                counts.member = false;
                at + number_length(&bytes[at..])
            }
            _ => {
                counts.sign(byte)?;
                let pair = matches!(
                    (byte, bytes.get(at + 1)),
                    (b'=' | b'!' | b'<' | b'>', Some(b'='))
                        | (b'&', Some(b'&'))
                        | (b'|', Some(b'|'))
                );
                at + 1 + usize::from(pair)
            }
        };
        counts.limits()?;
    }
    Ok(())
}

/// The source for the CEL parser: each `$` before a name becomes a blank, so that offsets hold.
pub(crate) fn without_dollars(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = source.as_bytes().to_vec();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if matches!(byte, b'"' | b'\'') {
            let prefixed = at > 0 && matches!(bytes[at - 1], b'r' | b'R');
            at = literal_end(bytes, at, prefixed);
            continue;
        }
        let names = bytes
            .get(at + 1)
            .is_some_and(|next| next.is_ascii_alphabetic() || *next == b'_');
        if byte == b'$' && names {
            out[at] = b' ';
        }
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|_| source.to_owned())
}

#[derive(Default)]
struct Counts {
    /// For each open bracket, whether it holds the arguments of a comprehension.
    open: Vec<bool>,
    operators: usize,
    comprehensions: usize,
    nested: usize,
    /// The last sign was a `.`.
    selected: bool,
    /// The last word was a comprehension behind a `.`.
    member: bool,
}

impl Counts {
    fn word(&mut self, word: &str) {
        self.member = self.selected && is_comprehension(word);
        self.selected = false;
        self.operators += usize::from(word == "in");
    }

    fn sign(&mut self, byte: u8) -> Result<(), String> {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | 0x0c => return Ok(()),
            b'(' | b'[' | b'{' => {
                let comprehension = byte == b'(' && self.member;
                self.open.push(comprehension);
                self.operators += 1;
                if comprehension {
                    self.comprehensions += 1;
                    self.nested += 1;
                }
                if self.open.len() > MAX_BRACKETS {
                    return Err(format!("nested in more than {MAX_BRACKETS} brackets"));
                }
                if self.nested > MAX_NESTED_COMPREHENSIONS {
                    return Err(format!(
                        "more than {MAX_NESTED_COMPREHENSIONS} comprehensions inside each other"
                    ));
                }
            }
            b')' | b']' | b'}' => {
                if self.open.pop() == Some(true) {
                    self.nested -= 1;
                }
            }
            _ => self.operators += 1,
        }
        self.selected = byte == b'.';
        self.member = false;
        Ok(())
    }

    fn limits(&self) -> Result<(), String> {
        if self.operators > MAX_OPERATORS {
            return Err(format!("more than {MAX_OPERATORS} operators"));
        }
        if self.comprehensions > MAX_COMPREHENSIONS {
            return Err(format!("more than {MAX_COMPREHENSIONS} comprehensions"));
        }
        Ok(())
    }
}

fn word_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count()
}

pub(super) fn number_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'.' || **byte == b'_')
        .count()
}

/// The offset after the CEL text that opens at `start`.
pub(super) fn literal_end(bytes: &[u8], start: usize, raw: bool) -> usize {
    let quote = bytes[start];
    let triple = bytes[start..].starts_with(&[quote; 3]);
    let width = if triple { 3 } else { 1 };
    let mut at = start + width;
    while at < bytes.len() {
        if bytes[at] == b'\\' && !raw {
            at += 2;
        } else if bytes[at..].starts_with(&[quote; 3][..width]) {
            return at + width;
        } else {
            at += 1;
        }
    }
    bytes.len()
}
