//! Canonical arguments: one byte sequence for each distinct JSON object, and the way back.
//!
//! A value is a head and what follows from it: text as it is, numbers as eight bytes, the items of an array, the members of an object in the order of their names.
//! A head is one byte, its kind in the upper four bits and a length up to 12 in the lower; `13` there says that the length stands in a byte of its own, `14` in four.
//! The shortest form is the only one, so equal values have equal bytes.
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

const NULL: u8 = 0 << 4;
const FALSE: u8 = 1 << 4;
const TRUE: u8 = 2 << 4;
const UNSIGNED: u8 = 3 << 4;
const NEGATIVE: u8 = 4 << 4;
const FLOAT: u8 = 5 << 4;
const DIGITS: u8 = 6 << 4;
const TEXT: u8 = 7 << 4;
const ARRAY: u8 = 8 << 4;
const OBJECT: u8 = 9 << 4;

/// The longest length that stands in the head's own byte.
const SHORT: usize = 12;
const ONE_BYTE: u8 = 13;
const FOUR_BYTES: u8 = 14;

/// A buffer that is kept from key to key.
///
/// It is written from the start and begun anew, larger, where it is too small: so the writing itself never grows it, and keeps its place in registers.
#[derive(Debug, Default)]
pub(crate) struct Scratch(Vec<u8>);

impl Scratch {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn capacity(&self) -> usize {
        self.0.len()
    }

    /// `prefix` and the canonical form of `map`.
    pub(crate) fn write(
        &mut self,
        prefix: &[u8],
        map: &Map<String, Value>,
    ) -> Result<&[u8], ErrorKind> {
        self.fill(
            prefix,
            MAX_KEY_BYTES,
            |out| match FORM.is_plain() {
                true => object::<true>(out, map, 0),
                false => object::<false>(out, map, 0),
            },
            || map.values().any(|member| is_too_deep(member, 1)),
        )
    }

    #[inline(always)]
    fn fill(
        &mut self,
        prefix: &[u8],
        most: usize,
        write: impl Fn(&mut [u8]) -> Left<'_>,
        is_too_deep: impl Fn() -> bool,
    ) -> Result<&[u8], ErrorKind> {
        loop {
            let left = match self.0.split_at_mut_checked(prefix.len()) {
                Some((start, rest)) => {
                    start.copy_from_slice(prefix);
                    write(rest).map(|left| left.len())
                }
                None => None,
            };
            match left.map(|left| self.0.len() - left) {
                Some(end) if end <= most => return Ok(&self.0[..end]),
                None if self.0.len() < most + STRIDE => self.grow(most, &is_too_deep)?,
                Some(_) | None => return Err(ErrorKind::TooLong),
            }
        }
    }

    /// Makes room for more, unless the writing stopped for its depth.
    #[cold]
    fn grow(&mut self, most: usize, is_too_deep: &dyn Fn() -> bool) -> Result<(), ErrorKind> {
        if is_too_deep() {
            return Err(ErrorKind::TooDeep);
        }
        let room = (4 * self.0.len()).clamp(1024, most + STRIDE);
        self.0.resize(room, 0);
        Ok(())
    }
}

/// `prefix` and the canonical form of any value; `None` if it nests too deep or is too long.
#[cfg(feature = "disk")]
pub(crate) fn encode(prefix: &[u8], value: &Value) -> Option<Vec<u8>> {
    const MOST_BYTES: usize = 1 << 30;
    let mut scratch = Scratch::new();
    let written = scratch.fill(
        prefix,
        MOST_BYTES,
        |out| self::value::<false>(out, value, 0),
        || is_too_deep(value, 0),
    );
    let length = written.ok()?.len();
    scratch.0.truncate(length);
    Some(scratch.0)
}

/// Whether the writing of a value at that depth stops for it.
fn is_too_deep(value: &Value, depth: usize) -> bool {
    let too_deep = |inner| is_too_deep(inner, depth + 1);
    match value {
        Value::Array(items) => depth >= MAX_DEPTH || items.iter().any(too_deep),
        Value::Object(map) => depth >= MAX_DEPTH || map.values().any(too_deep),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The value that `bytes` are the canonical form of; `None` if they are not laid out as one.
#[cfg(feature = "disk")]
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Value> {
    let value = read_value(&mut bytes, 0)?;
    bytes.is_empty().then_some(value)
}

/// What is left of the buffer; `None` if it is too small or the value nests too deep, which the caller finds out.
type Left<'a> = Option<&'a mut [u8]>;

/// Every short piece has this much room, whatever it takes of it: what follows writes over the rest.
const STRIDE: usize = 16;

/// A kind and the length of what follows.
#[inline(always)]
fn head(out: &mut [u8], kind: u8, length: usize) -> Left<'_> {
    if length > SHORT {
        return long_head(out, kind, length);
    }
    *out.first_mut()? = kind | length as u8;
    out.get_mut(1..)
}

fn long_head(out: &mut [u8], kind: u8, length: usize) -> Left<'_> {
    if let Ok(length) = u8::try_from(length) {
        *out.first_chunk_mut()? = [kind | ONE_BYTE, length];
        return out.get_mut(2..);
    }
    // What has so many bytes or items cannot be a key, whatever the buffer's size.
    let [a, b, c, d] = u32::try_from(length).ok()?.to_le_bytes();
    *out.first_chunk_mut()? = [kind | FOUR_BYTES, a, b, c, d];
    out.get_mut(5..)
}

/// Names and other short texts are most of a key: for them a call to copy would cost several times as much as words that overlap.
#[inline(always)]
fn text<'a>(out: &'a mut [u8], kind: u8, text: &str) -> Left<'a> {
    let from = text.as_bytes();
    let length = from.len();
    if let (Some(first), Some(last)) = (from.first_chunk::<8>(), from.last_chunk::<8>()) {
        if length > SHORT {
            return long_text(out, kind, from);
        }
        let room: &mut [u8; 1 + SHORT] = out.first_chunk_mut()?;
        room[0] = kind | length as u8;
        room[1..9].copy_from_slice(&u64::from_le_bytes(*first).to_le_bytes());
        room[length - 7..][..8].copy_from_slice(&u64::from_le_bytes(*last).to_le_bytes());
        return out.get_mut(1 + length..);
    }
    let room: &mut [u8; 8] = out.first_chunk_mut()?;
    room[0] = kind | length as u8;
    if let (Some(first), Some(last)) = (from.first_chunk::<4>(), from.last_chunk::<4>()) {
        room[1..5].copy_from_slice(&u32::from_le_bytes(*first).to_le_bytes());
        room[length - 3..][..4].copy_from_slice(&u32::from_le_bytes(*last).to_le_bytes());
    } else if let (Some(first), Some(last)) = (from.first(), from.last()) {
        room[1] = *first;
        room[1 + length / 2] = from[length / 2];
        room[length] = *last;
    }
    out.get_mut(1 + length..)
}

fn long_text<'a>(out: &'a mut [u8], kind: u8, from: &[u8]) -> Left<'a> {
    let out = long_head(out, kind, from.len())?;
    let (room, left) = out.split_at_mut_checked(from.len())?;
    room.copy_from_slice(from);
    Some(left)
}

/// What `serde_json` is in this build.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// Maps keep sorted, unless some crate of the build turned `preserve_order` on.
    maps_are_sorted: bool,
    /// Some crate turned `arbitrary_precision` on: numbers are their text, and going through `f64` would give one key to two different arguments.
    numbers_are_text: bool,
}

impl Form {
    /// Whether it is as nearly everywhere: the functions below are compiled apart for it, with `PLAIN` set.
    fn is_plain(self) -> bool {
        self.maps_are_sorted && !self.numbers_are_text
    }
}

static FORM: LazyLock<Form> = LazyLock::new(|| {
    let map: Map<String, Value> = ["b", "a"]
        .map(|name| (name.into(), Value::Null))
        .into_iter()
        .collect();
    Form {
        maps_are_sorted: map.keys().is_sorted(),
        numbers_are_text: serde_json::from_str::<Number>("1.00")
            .is_ok_and(|number| number.to_string() == "1.00"),
    }
});

/// Writes `map` in canonical form; `depth` counts the levels already entered.
fn object<'a, const PLAIN: bool>(
    out: &'a mut [u8],
    map: &Map<String, Value>,
    depth: usize,
) -> Left<'a> {
    if depth >= MAX_DEPTH {
        return None;
    }
    let mut out = head(out, OBJECT, map.len())?;
    if PLAIN || FORM.maps_are_sorted {
        for (name, member) in map {
            out = text(out, TEXT, name)?;
            out = value::<PLAIN>(out, member, depth + 1)?;
        }
        return Some(out);
    }
    let mut members: Vec<(&String, &Value)> = map.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    for (name, member) in members {
        out = text(out, TEXT, name)?;
        out = value::<PLAIN>(out, member, depth + 1)?;
    }
    Some(out)
}

fn array<'a, const PLAIN: bool>(out: &'a mut [u8], items: &[Value], depth: usize) -> Left<'a> {
    if depth >= MAX_DEPTH {
        return None;
    }
    let mut out = head(out, ARRAY, items.len())?;
    for item in items {
        out = value::<PLAIN>(out, item, depth + 1)?;
    }
    Some(out)
}

/// Writes a value in canonical form; `depth` counts the levels already entered.
#[inline(always)]
fn value<'a, const PLAIN: bool>(out: &'a mut [u8], value: &Value, depth: usize) -> Left<'a> {
    match value {
        Value::String(string) => text(out, TEXT, string),
        Value::Number(number) => self::number::<PLAIN>(out, number),
        Value::Bool(true) => head(out, TRUE, 0),
        Value::Bool(false) => head(out, FALSE, 0),
        Value::Null => head(out, NULL, 0),
        Value::Object(map) => object::<PLAIN>(out, map, depth),
        Value::Array(items) => array::<PLAIN>(out, items, depth),
    }
}

#[inline(always)]
fn number<'a, const PLAIN: bool>(out: &'a mut [u8], number: &Number) -> Left<'a> {
    let (kind, bits) = if !PLAIN && FORM.numbers_are_text {
        return long_number(out, number);
    } else if let Some(integer) = number.as_u64() {
        (UNSIGNED, integer)
    } else if let Some(integer) = number.as_i64() {
        (NEGATIVE, integer as u64)
    } else if let Some(float) = number.as_f64() {
        (FLOAT, float.to_bits())
    } else {
        return long_number(out, number);
    };
    let room: &mut [u8; 9] = out.first_chunk_mut()?;
    room[0] = kind;
    room[1..].copy_from_slice(&bits.to_le_bytes());
    out.get_mut(9..)
}

#[cold]
fn long_number<'a>(out: &'a mut [u8], number: &Number) -> Left<'a> {
    text(out, DIGITS, &number.to_string())
}

/// The object that `bytes` are the canonical form of; `None` if they are not laid out as one.
pub(crate) fn read_object(mut bytes: &[u8]) -> Option<Map<String, Value>> {
    match read_value(&mut bytes, 0)? {
        Value::Object(map) if bytes.is_empty() => Some(map),
        _ => None,
    }
}

fn read_value(bytes: &mut &[u8], depth: usize) -> Option<Value> {
    let [head] = *take(bytes)?;
    let length = match head & 0xf {
        ONE_BYTE => usize::from(take::<1>(bytes)?[0]),
        FOUR_BYTES => usize::try_from(u32::from_le_bytes(*take(bytes)?)).ok()?,
        length => usize::from(length),
    };
    if depth > MAX_DEPTH {
        return None;
    }
    Some(match head & 0xf0 {
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
