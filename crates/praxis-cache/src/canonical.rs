//! Canonical JSON: one byte sequence for each distinct value.

use std::sync::LazyLock;

use serde_json::{Map, Number, Value};

use crate::ErrorKind;

/// How deep arguments may nest, the argument object itself being level 1.
///
/// The same depth at which `serde_json` refuses to parse, so only values that were built in memory can be deeper.
pub const MAX_DEPTH: usize = 128;

/// How many bytes a key may have.
pub const MAX_KEY_BYTES: usize = 16 << 20;

/// A growing buffer that is written in place.
///
/// All of `bytes` is initialised and only `len` of it counts, so that a write is one bounds check.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    len: usize,
}

impl Scratch {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            len: 0,
        }
    }

    pub(crate) fn written(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn extend_from_slice(&mut self, more: &[u8]) {
        self.claim(more.len()).copy_from_slice(more);
    }

    fn push(&mut self, byte: u8) {
        self.claim(1)[0] = byte;
    }

    #[inline]
    fn claim(&mut self, more: usize) -> &mut [u8] {
        let start = self.len;
        self.len += more;
        if self.len > self.bytes.len() {
            self.grow();
        }
        &mut self.bytes[start..self.len]
    }

    #[cold]
    fn grow(&mut self) {
        self.bytes.resize((2 * self.len).max(1024), 0);
    }
}

type Written = Result<(), ErrorKind>;

/// Appends `map` in canonical form; `depth` counts the levels already entered.
pub(crate) fn write_object(out: &mut Scratch, map: &Map<String, Value>, depth: usize) -> Written {
    if depth >= MAX_DEPTH {
        return Err(ErrorKind::TooDeep);
    }
    if !*MAPS_ARE_SORTED {
        return write_unsorted(out, map, depth);
    }
    out.push(b'{');
    for (name, value) in map {
        write_member(out, name, value, depth)?;
    }
    close(out, b'}');
    Ok(())
}

/// Whether `serde_json` keeps its maps sorted, which it does unless some crate of the build turned `preserve_order` on.
static MAPS_ARE_SORTED: LazyLock<bool> = LazyLock::new(|| {
    let map: Map<String, Value> = ["b", "a"]
        .map(|name| (name.into(), Value::Null))
        .into_iter()
        .collect();
    map.keys().is_sorted()
});

fn write_unsorted(out: &mut Scratch, map: &Map<String, Value>, depth: usize) -> Written {
    let mut members: Vec<(&String, &Value)> = map.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    out.push(b'{');
    for (name, value) in members {
        write_member(out, name, value, depth)?;
    }
    close(out, b'}');
    Ok(())
}

fn write_member(out: &mut Scratch, name: &str, value: &Value, depth: usize) -> Written {
    write_string(out, name, b':')?;
    write_value(out, value, depth + 1)
}

/// Appends `value` and a comma, which the enclosing container overwrites after the last one.
fn write_value(out: &mut Scratch, value: &Value, depth: usize) -> Written {
    match value {
        Value::String(text) => return write_string(out, text, b','),
        Value::Number(number) => write_number(out, number)?,
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Null => out.extend_from_slice(b"null"),
        Value::Object(map) => write_object(out, map, depth)?,
        Value::Array(items) => {
            if depth >= MAX_DEPTH {
                return Err(ErrorKind::TooDeep);
            }
            out.push(b'[');
            for item in items {
                write_value(out, item, depth + 1)?;
            }
            close(out, b']');
        }
    }
    out.push(b',');
    room(out, 0)
}

fn close(out: &mut Scratch, bracket: u8) {
    match out.bytes[..out.len].last_mut() {
        Some(last) if *last == b',' => *last = bracket,
        _ => out.push(bracket),
    }
}

fn room(out: &Scratch, more: usize) -> Written {
    if out.len.saturating_add(more) > MAX_KEY_BYTES {
        return Err(ErrorKind::TooLong);
    }
    Ok(())
}

fn write_string(out: &mut Scratch, text: &str, then: u8) -> Written {
    let bytes = text.as_bytes();
    room(out, bytes.len())?;
    let start = out.len;
    let target = out.claim(bytes.len() + 3);
    target[0] = b'"';
    let (body, end) = target[1..].split_at_mut(bytes.len());
    end.copy_from_slice(&[b'"', then]);
    if copy_looking_for_escapes(body, bytes) {
        out.len = start + 1;
        write_escaped(out, bytes);
        out.extend_from_slice(&[b'"', then]);
    }
    Ok(())
}

/// Copies `from`; true if a byte of it needs an escape, which in argument text is rare.
///
/// One pass of eight bytes at a time: for texts as short as names, a search and a call to copy cost several times as much.
/// What is left at the end is copied in words that overlap what was copied already.
fn copy_looking_for_escapes(to: &mut [u8], from: &[u8]) -> bool {
    let mut found = false;
    if let (Some(last), Some(last_to)) = (from.last_chunk::<8>(), to.last_chunk_mut::<8>()) {
        *last_to = *last;
        found |= word_needs_escape(u64::from_le_bytes(*last));
        for (word, word_to) in from
            .as_chunks::<8>()
            .0
            .iter()
            .zip(to.as_chunks_mut::<8>().0)
        {
            *word_to = *word;
            found |= word_needs_escape(u64::from_le_bytes(*word));
        }
    } else if let (Some(first), Some(last)) = (from.first_chunk::<4>(), from.last_chunk::<4>()) {
        let [a, b, c, d] = *first;
        let [e, f, g, h] = *last;
        to[..4].copy_from_slice(first);
        to[from.len() - 4..].copy_from_slice(last);
        found = word_needs_escape(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    } else {
        for (byte, byte_to) in from.iter().zip(to) {
            *byte_to = *byte;
            found |= byte_needs_escape(*byte);
        }
    }
    found
}

/// True if any byte of `word` is below 0x20, a quote or a backslash ("Bit Twiddling Hacks", has-less and has-value).
#[inline]
fn word_needs_escape(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let zero = |x: u64| x.wrapping_sub(ONES) & !x & HIGHS;
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
    let quote = zero(word ^ (ONES * u64::from(b'"')));
    let backslash = zero(word ^ (ONES * u64::from(b'\\')));
    (control | quote | backslash) != 0
}

fn byte_needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_escaped(out: &mut Scratch, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte_needs_escape(*byte)) {
        let byte = rest[at];
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let short = match byte {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0x00..0x20 => {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
                continue;
            }
            quoted => quoted,
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(rest);
}

/// Whether some crate of the build turned `serde_json/arbitrary_precision` on.
///
/// Numbers are their text then, and going through `f64` would give one key to two different arguments.
static NUMBERS_ARE_TEXT: LazyLock<bool> = LazyLock::new(|| {
    serde_json::from_str::<Number>("1.00").is_ok_and(|number| number.to_string() == "1.00")
});

fn write_number(out: &mut Scratch, number: &Number) -> Written {
    if *NUMBERS_ARE_TEXT {
        let text = number.to_string();
        room(out, text.len())?;
        out.extend_from_slice(text.as_bytes());
    } else if let Some(integer) = number.as_u64() {
        out.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes());
    } else if let Some(integer) = number.as_i64() {
        out.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes());
    } else if let Some(float) = number.as_f64() {
        // Always has a point or an exponent, so a float never looks like an integer.
        out.extend_from_slice(zmij::Buffer::new().format_finite(float).as_bytes());
    } else {
        out.extend_from_slice(number.to_string().as_bytes());
    }
    Ok(())
}
