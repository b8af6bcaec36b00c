//! Records as rows, and back.

use std::io::{self, Write};
use std::sync::Arc;

use serde_json::Value;

use crate::journal::record::{Ending, Event, Finish, Outcome, Record};

/// A result that is nested deeper cannot be read back.
const MOST_LEVELS: u32 = 120;

/// A result of more bytes than this stands once, under its digest.
pub(super) const INLINE_BYTES: usize = 32 << 10;

/// A record as it is stored.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) body: String,
    pub(super) value: Option<Stored>,
    pub(super) checksum: i64,
}

/// A result as it is stored.
#[derive(Debug)]
pub(super) enum Stored {
    Inline(String),
    Content { digest: [u8; 32], text: String },
}

/// Takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + buffer.len() > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A record as a row; `None` where it cannot be one, which no record of a run is.
pub(super) fn encode(number: u64, record: &Record, max_value_bytes: u64) -> Option<Row> {
    let mut value = None;
    let mut smaller = None;
    if let Event::Finished(finish) = &record.event
        && let Outcome::Value(result) = &finish.outcome
    {
        let most = usize::try_from(max_value_bytes).unwrap_or(usize::MAX);
        match text(result, most).filter(|_| shallow(result, MOST_LEVELS)) {
            Some(text) if text.len() <= INLINE_BYTES => value = Some(Stored::Inline(text)),
            Some(text) => {
                let digest = *blake3::hash(text.as_bytes()).as_bytes();
                value = Some(Stored::Content { digest, text });
            }
            None => {
                let outcome = Outcome::NotKept;
                smaller = Some(Event::Finished(Finish {
                    outcome,
                    ..finish.clone()
                }));
            }
        }
    }
    if let Event::Ended(ending) = &record.event
        && !shallow(&ending.output, MOST_LEVELS)
    {
        smaller = Some(Event::Ended(Ending {
            output: Value::Null,
            ..ending.clone()
        }));
    }
    let body = serde_json::to_string(smaller.as_ref().unwrap_or(&record.event)).ok()?;
    let stored = match &value {
        None => &[][..],
        Some(Stored::Inline(text)) => text.as_bytes(),
        Some(Stored::Content { digest, .. }) => digest,
    };
    let checksum = checksum(number, record.at_ms, &body, stored);
    Some(Row {
        body,
        value,
        checksum,
    })
}

/// Whether a value is nested so many levels at most.
fn shallow(value: &Value, levels: u32) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| shallow(item, levels - 1)),
        Value::Object(fields) => {
            levels > 0 && fields.values().all(|value| shallow(value, levels - 1))
        }
        _ => true,
    }
}

fn text(value: &Value, most: usize) -> Option<String> {
    let mut writer = Bounded {
        bytes: Vec::with_capacity(128),
        most,
    };
    serde_json::to_writer(&mut writer, value).ok()?;
    String::from_utf8(writer.bytes).ok()
}

/// The record that a row's body and result make.
pub(super) fn decode(at_ms: u64, body: &str, value: Option<&str>) -> Option<Record> {
    let mut event: Event = serde_json::from_str(body).ok()?;
    if let Event::Finished(Finish {
        outcome: Outcome::Value(result),
        ..
    }) = &mut event
    {
        *result = Arc::new(serde_json::from_str(value?).ok()?);
    }
    Some(Record { at_ms, event })
}

/// Tells a row from one that was changed.
pub(super) fn checksum(number: u64, at_ms: u64, body: &str, stored: &[u8]) -> i64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&at_ms.to_le_bytes());
    hasher.update(&(body.len() as u64).to_le_bytes());
    hasher.update(body.as_bytes());
    hasher.update(stored);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_le_bytes(first)
}
