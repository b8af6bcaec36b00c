//! Canonical arguments: one byte sequence for each distinct JSON object, and the way back.
//!
//! A value is a word of 32 bits (its kind in the upper four, a length in the others) and what follows from it:
//! text as it is, numbers as eight bytes, the items of an array, the members of an object in the order of their names.
//! Text needs no escapes and numbers no digits, which makes a key cheaper than one of JSON text.

use std::sync::LazyLock;

use serde_json::{Map, Number, Value};

use crate::ErrorKind;

/// How deep arguments may nest, the argument object itself being level 1.
///
/// The same depth at which `serde_json` refuses to parse, so only values that were built in memory can be deeper.
pub const MAX_DEPTH: usize = 128;

/// How many bytes a key may have.
pub const MAX_KEY_BYTES: usize = 16 << 20;

const KIND_SHIFT: u32 = 28;
const NULL: u32 = 0;
const FALSE: u32 = 1;
const TRUE: u32 = 2;
const UNSIGNED: u32 = 3;
const NEGATIVE: u32 = 4;
const FLOAT: u32 = 5;
const DIGITS: u32 = 6;
const TEXT: u32 = 7;
const ARRAY: u32 = 8;
const OBJECT: u32 = 9;

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

    /// Starts anew with `prefix`.
    pub(crate) fn begin(&mut self, prefix: &[u8]) -> Written {
        self.len = 0;
        self.claim(prefix.len())?.copy_from_slice(prefix);
        Ok(())
    }

    #[inline(always)]
    fn claim(&mut self, more: usize) -> Result<&mut [u8], ErrorKind> {
        let start = self.len;
        let end = start.saturating_add(more);
        if end > self.bytes.len() {
            self.grow(end)?;
        }
        self.len = end;
        Ok(&mut self.bytes[start..end])
    }

    #[cold]
    fn grow(&mut self, end: usize) -> Written {
        if end > MAX_KEY_BYTES {
            return Err(ErrorKind::TooLong);
        }
        self.bytes.resize((2 * end).clamp(1024, MAX_KEY_BYTES), 0);
        Ok(())
    }

    #[inline]
    fn word(&mut self, kind: u32, length: usize) -> Written {
        // A length past 28 bits cannot stand for so many bytes, so the key is refused as too long.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        if length >= 1 << KIND_SHIFT {
            return Err(ErrorKind::TooLong);
        }
        self.claim(4)?
            .copy_from_slice(&(kind << KIND_SHIFT | length).to_le_bytes());
        Ok(())
    }

    #[inline]
    fn number(&mut self, kind: u32, bits: u64) -> Written {
        let target = self.claim(12)?;
        target[..4].copy_from_slice(&(kind << KIND_SHIFT | 8).to_le_bytes());
        target[4..].copy_from_slice(&bits.to_le_bytes());
        Ok(())
    }

    #[inline(always)]
    fn text(&mut self, kind: u32, text: &str) -> Written {
        let from = text.as_bytes();
        if from.len() >= MAX_KEY_BYTES {
            return Err(ErrorKind::TooLong);
        }
        let target = self.claim(4 + from.len())?;
        let (word, to) = target.split_at_mut(4);
        word.copy_from_slice(&(kind << KIND_SHIFT | from.len() as u32).to_le_bytes());
        copy_short(to, from);
        Ok(())
    }
}

/// Copies in words that overlap at the end: for texts as short as names, a call to copy costs several times as much.
#[inline(always)]
fn copy_short(to: &mut [u8], from: &[u8]) {
    if from.len() > 64 {
        to.copy_from_slice(from);
    } else if let (Some(last), Some(last_to)) = (from.last_chunk::<8>(), to.last_chunk_mut::<8>()) {
        *last_to = *last;
        let words = from.as_chunks::<8>().0.iter();
        for (word, word_to) in words.zip(to.as_chunks_mut::<8>().0) {
            *word_to = *word;
        }
    } else if let (Some(first), Some(last)) = (from.first_chunk::<4>(), from.last_chunk::<4>()) {
        to[..4].copy_from_slice(first);
        to[from.len() - 4..].copy_from_slice(last);
    } else {
        for (byte, byte_to) in from.iter().zip(to) {
            *byte_to = *byte;
        }
    }
}

type Written = Result<(), ErrorKind>;

/// Appends `map` in canonical form; `depth` counts the levels already entered.
pub(crate) fn write_object(out: &mut Scratch, map: &Map<String, Value>, depth: usize) -> Written {
    if depth >= MAX_DEPTH {
        return Err(ErrorKind::TooDeep);
    }
    out.word(OBJECT, map.len())?;
    if *MAPS_ARE_SORTED {
        for (name, value) in map {
            out.text(TEXT, name)?;
            write_value(out, value, depth + 1)?;
        }
        return Ok(());
    }
    let mut members: Vec<(&String, &Value)> = map.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    for (name, value) in members {
        out.text(TEXT, name)?;
        write_value(out, value, depth + 1)?;
    }
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

fn write_value(out: &mut Scratch, value: &Value, depth: usize) -> Written {
    match value {
        Value::String(text) => out.text(TEXT, text),
        Value::Number(number) => write_number(out, number),
        Value::Bool(true) => out.word(TRUE, 0),
        Value::Bool(false) => out.word(FALSE, 0),
        Value::Null => out.word(NULL, 0),
        Value::Object(map) => write_object(out, map, depth),
        Value::Array(items) => {
            if depth >= MAX_DEPTH {
                return Err(ErrorKind::TooDeep);
            }
            out.word(ARRAY, items.len())?;
            items
                .iter()
                .try_for_each(|item| write_value(out, item, depth + 1))
        }
    }
}

/// Whether some crate of the build turned `serde_json/arbitrary_precision` on.
///
/// Numbers are their text then, and going through `f64` would give one key to two different arguments.
static NUMBERS_ARE_TEXT: LazyLock<bool> = LazyLock::new(|| {
    serde_json::from_str::<Number>("1.00").is_ok_and(|number| number.to_string() == "1.00")
});

fn write_number(out: &mut Scratch, number: &Number) -> Written {
    if *NUMBERS_ARE_TEXT {
        return out.text(DIGITS, &number.to_string());
    }
    if let Some(integer) = number.as_u64() {
        out.number(UNSIGNED, integer)
    } else if let Some(integer) = number.as_i64() {
        out.number(NEGATIVE, integer as u64)
    } else if let Some(float) = number.as_f64() {
        out.number(FLOAT, float.to_bits())
    } else {
        out.text(DIGITS, &number.to_string())
    }
}

/// The object that `bytes` are the canonical form of; `None` if they are not laid out as one.
pub(crate) fn read_object(mut bytes: &[u8]) -> Option<Map<String, Value>> {
    match read_value(&mut bytes, 0)? {
        Value::Object(map) if bytes.is_empty() => Some(map),
        _ => None,
    }
}

fn read_value(bytes: &mut &[u8], depth: usize) -> Option<Value> {
    let word = u32::from_le_bytes(*take::<4>(bytes)?);
    let length = (word & ((1 << KIND_SHIFT) - 1)) as usize;
    if depth > MAX_DEPTH {
        return None;
    }
    Some(match word >> KIND_SHIFT {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        UNSIGNED => Value::from(u64::from_le_bytes(*take(bytes)?)),
        NEGATIVE => Value::from(u64::from_le_bytes(*take(bytes)?) as i64),
        FLOAT => Value::from(f64::from_bits(u64::from_le_bytes(*take(bytes)?))),
        DIGITS => Value::Number(serde_json::from_str(read_text(bytes, length)?).ok()?),
        TEXT => Value::String(read_text(bytes, length)?.to_owned()),
        ARRAY => Value::Array(
            (0..length)
                .map(|_| read_value(bytes, depth + 1))
                .collect::<Option<_>>()?,
        ),
        OBJECT => {
            let mut map = Map::new();
            for _ in 0..length {
                let Value::String(name) = read_value(bytes, depth + 1)? else {
                    return None;
                };
                map.insert(name, read_value(bytes, depth + 1)?);
            }
            Value::Object(map)
        }
        _ => return None,
    })
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(first)
}

fn read_text<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a str> {
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}
