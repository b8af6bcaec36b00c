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
/// It is written from the start and begun anew, larger, where it is too small: so the writing itself never grows it, and keeps its place in a register.
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
        self.fill(prefix, MAX_KEY_BYTES, |out, at, form| {
            object(out, at, map, 0, form)
        })
    }

    #[inline(always)]
    fn fill(
        &mut self,
        prefix: &[u8],
        most: usize,
        write: impl Fn(&mut [u8], usize, Form) -> Written,
    ) -> Result<&[u8], ErrorKind> {
        let form = *FORM;
        loop {
            let written = match self.0.get_mut(..prefix.len()) {
                Some(start) => {
                    start.copy_from_slice(prefix);
                    write(&mut self.0, prefix.len(), form)
                }
                None => Err(Stop::Full),
            };
            match written {
                Ok(end) if end <= most => return Ok(&self.0[..end]),
                Err(Stop::TooDeep) => return Err(ErrorKind::TooDeep),
                Err(Stop::Full) if self.0.len() < most + STRIDE => self.grow(most),
                Ok(_) | Err(Stop::Full) => return Err(ErrorKind::TooLong),
            }
        }
    }

    #[cold]
    fn grow(&mut self, most: usize) {
        let room = (4 * self.0.len()).clamp(1024, most + STRIDE);
        self.0.resize(room, 0);
    }
}

/// `prefix` and the canonical form of any value; `None` if it nests too deep or is too long.
#[cfg(feature = "disk")]
pub(crate) fn encode(prefix: &[u8], value: &Value) -> Option<Vec<u8>> {
    const MOST_BYTES: usize = 1 << 30;
    let mut scratch = Scratch::new();
    let write = |out: &mut [u8], at, form| self::value(out, at, value, 0, form);
    let length = scratch.fill(prefix, MOST_BYTES, write).ok()?.len();
    scratch.0.truncate(length);
    Some(scratch.0)
}

/// The value that `bytes` are the canonical form of; `None` if they are not laid out as one.
#[cfg(feature = "disk")]
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Value> {
    let value = read_value(&mut bytes, 0)?;
    bytes.is_empty().then_some(value)
}

/// Why the writing stopped.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// The buffer is too small.
    Full,
    TooDeep,
}

/// Where the writing is, or why it stopped.
type Written = Result<usize, Stop>;

/// Every short piece is one store of this many bytes, whatever it takes of them: what follows writes over the rest.
const STRIDE: usize = size_of::<u128>();

#[inline(always)]
fn store(out: &mut [u8], at: usize, bytes: u128, length: usize) -> Written {
    let room = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
    *room.ok_or(Stop::Full)? = bytes.to_le_bytes();
    Ok(at + length)
}

/// A kind and the length of what follows.
#[inline(always)]
fn head(out: &mut [u8], at: usize, kind: u8, length: usize) -> Written {
    if length <= SHORT {
        return store(out, at, u128::from(kind | length as u8), 1);
    }
    long_head(out, at, kind, length)
}

fn long_head(out: &mut [u8], at: usize, kind: u8, length: usize) -> Written {
    if let Ok(length) = u8::try_from(length) {
        let bytes = u128::from(kind | ONE_BYTE) | u128::from(length) << 8;
        return store(out, at, bytes, 2);
    }
    // What has so many bytes or items cannot be a key, whatever the buffer's size.
    let length = u32::try_from(length).map_err(|_| Stop::Full)?;
    let bytes = u128::from(kind | FOUR_BYTES) | u128::from(length) << 8;
    store(out, at, bytes, 5)
}

#[inline(always)]
fn text(out: &mut [u8], at: usize, kind: u8, text: &str) -> Written {
    let from = text.as_bytes();
    let length = from.len();
    if length > SHORT {
        return long_text(out, at, kind, from);
    }
    let room = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
    let room: &mut [u8; STRIDE] = room.ok_or(Stop::Full)?;
    room[0] = kind | length as u8;
    // The first and the last word overlap: for texts as short as names, a call to copy costs several times as much.
    if let (Some(first), Some(last)) = (from.first_chunk::<8>(), from.last_chunk::<8>()) {
        room[1..9].copy_from_slice(first);
        room[length - 7..][..8].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (from.first_chunk::<4>(), from.last_chunk::<4>()) {
        room[1..5].copy_from_slice(first);
        room[length - 3..][..4].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (from.first(), from.last()) {
        room[1] = *first;
        room[1 + length / 2] = from[length / 2];
        room[length] = *last;
    }
    Ok(at + 1 + length)
}

fn long_text(out: &mut [u8], at: usize, kind: u8, from: &[u8]) -> Written {
    let at = long_head(out, at, kind, from.len())?;
    let end = at + from.len();
    out.get_mut(at..end)
        .ok_or(Stop::Full)?
        .copy_from_slice(from);
    Ok(end)
}

/// What `serde_json` is in this build.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// Maps keep sorted, unless some crate of the build turned `preserve_order` on.
    maps_are_sorted: bool,
    /// Some crate turned `arbitrary_precision` on: numbers are their text, and going through `f64` would give one key to two different arguments.
    numbers_are_text: bool,
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
fn object(
    out: &mut [u8],
    at: usize,
    map: &Map<String, Value>,
    depth: usize,
    form: Form,
) -> Written {
    if depth >= MAX_DEPTH {
        return Err(Stop::TooDeep);
    }
    let mut at = head(out, at, OBJECT, map.len())?;
    if form.maps_are_sorted {
        for (name, member) in map {
            at = text(out, at, TEXT, name)?;
            at = value(out, at, member, depth, form)?;
        }
        return Ok(at);
    }
    let mut members: Vec<(&String, &Value)> = map.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    for (name, member) in members {
        at = text(out, at, TEXT, name)?;
        at = value(out, at, member, depth, form)?;
    }
    Ok(at)
}

fn array(out: &mut [u8], at: usize, items: &[Value], depth: usize, form: Form) -> Written {
    if depth >= MAX_DEPTH {
        return Err(Stop::TooDeep);
    }
    let start = head(out, at, ARRAY, items.len())?;
    items
        .iter()
        .try_fold(start, |at, item| value(out, at, item, depth, form))
}

/// `depth` is the level of what holds the value.
#[inline(always)]
fn value(out: &mut [u8], at: usize, value: &Value, depth: usize, form: Form) -> Written {
    match value {
        Value::String(string) => text(out, at, TEXT, string),
        Value::Number(number) => self::number(out, at, number, form),
        Value::Bool(true) => head(out, at, TRUE, 0),
        Value::Bool(false) => head(out, at, FALSE, 0),
        Value::Null => head(out, at, NULL, 0),
        Value::Object(map) => object(out, at, map, depth + 1, form),
        Value::Array(items) => array(out, at, items, depth + 1, form),
    }
}

#[inline(always)]
fn number(out: &mut [u8], at: usize, number: &Number, form: Form) -> Written {
    let (kind, bits) = if form.numbers_are_text {
        return long_number(out, at, number);
    } else if let Some(integer) = number.as_u64() {
        (UNSIGNED, integer)
    } else if let Some(integer) = number.as_i64() {
        (NEGATIVE, integer as u64)
    } else if let Some(float) = number.as_f64() {
        (FLOAT, float.to_bits())
    } else {
        return long_number(out, at, number);
    };
    store(out, at, u128::from(kind) | u128::from(bits) << 8, 9)
}

#[cold]
fn long_number(out: &mut [u8], at: usize, number: &Number) -> Written {
    text(out, at, DIGITS, &number.to_string())
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
