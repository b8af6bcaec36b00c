//! One entry as bytes.

use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::canonical;
use crate::entry::{Origin, Reads};
use crate::index::Ticket;
use crate::{Entry, KeyRef, Resource, RunId, Stamp, Version};

/// Stands for [`Resource::everything`] where a path's length stands.
const EVERYTHING: u32 = u32::MAX;

/// The entry as bytes, behind their checksum; `None` for one that is not to outlive the process.
///
/// That is one that holds within its run only, one that says that there is no answer, and one whose value nests too deep or is too long.
pub(super) fn write(entry: &Entry) -> Option<Vec<u8>> {
    if entry.is_negative() {
        return None;
    }
    let mut out = vec![0; 8];
    out.extend(nanoseconds(entry.stored_at()).to_le_bytes());
    out.extend(nanoseconds(entry.expires_at()).to_le_bytes());
    out.extend(entry.run().0.to_le_bytes());
    out.extend((entry.reads().count() as u32).to_le_bytes());
    for (resource, version) in entry.reads() {
        let Version::At(stamp) = version else {
            return None;
        };
        match resource.as_path() {
            Some(path) => section(&mut out, path.as_bytes()),
            None => out.extend(EVERYTHING.to_le_bytes()),
        }
        out.extend(stamp.0.to_le_bytes());
    }
    section(&mut out, entry.key_bytes());
    let mut out = canonical::encode(&out, entry.value())?;
    let checksum = xxh3_64(&out[8..]);
    out[..8].copy_from_slice(&checksum.to_le_bytes());
    Some(out)
}

/// The entry that `bytes` are of; `None` if they are damaged.
pub(super) fn read(bytes: &[u8]) -> Option<Entry> {
    let (checksum, mut rest) = bytes.split_first_chunk::<8>()?;
    if xxh3_64(rest) != u64::from_le_bytes(*checksum) {
        return None;
    }
    let rest = &mut rest;
    let stored_at = Duration::from_nanos(u64::from_le_bytes(*take(rest)?));
    let expires_at = Duration::from_nanos(u64::from_le_bytes(*take(rest)?));
    let run = RunId(u128::from_le_bytes(*take(rest)?));
    let count = u32::from_le_bytes(*take(rest)?);
    let (mut resources, mut versions) = (Vec::new(), Vec::new());
    for _ in 0..count {
        resources.push(match u32::from_le_bytes(*take(rest)?) {
            EVERYTHING => Resource::everything(),
            length => Resource::path(std::str::from_utf8(bytes_of(rest, length)?).ok()?),
        });
        versions.push(Version::At(Stamp(u128::from_le_bytes(*take(rest)?))));
    }
    let length = u32::from_le_bytes(*take(rest)?);
    let key = KeyRef::from_bytes(bytes_of(rest, length)?)?.to_key();
    let value = canonical::decode(rest)?;
    let reads = (count > 0).then(|| Reads {
        ticket: Ticket::detached(key.id(), run, resources),
        versions: versions.into(),
    });
    let origin = Origin::apart(run, expires_at.saturating_sub(stored_at));
    Some(Entry::landed(key, Arc::new(value), stored_at, origin, reads).foreign())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn section(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(first)
}

fn bytes_of<'a>(bytes: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (first, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(first)
}
