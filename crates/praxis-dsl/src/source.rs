//! Source text: spans, lines and columns, limits, and the way from bytes to text.

use std::fmt;
use std::ops::Range;

use crate::checked::Location;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Row};
use crate::steps;

/// A range of bytes in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// The span from `start` up to `end`; both fit, because a source is at most
    /// [`Limits::max_source_bytes`] long.
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            end: u32::try_from(end).unwrap_or(u32::MAX),
        }
    }

    /// The span as a range, to index the source.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The text under the span; empty where the span does not fit the source.
    pub fn text(self, source: &str) -> &str {
        source.get(self.range()).unwrap_or_default()
    }

    /// The smallest span that holds both.
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// What a program may be at most; beyond it there is a diagnostic, never a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The length of the source in bytes. Default 64 MiB.
    pub max_source_bytes: usize,
    /// How deep blocks may nest. Default 128.
    pub max_depth: usize,
    /// How many diagnostics are kept; the rest is counted as one last diagnostic. Default 100.
    pub max_diagnostics: usize,
}

impl Limits {
    /// The limits that [`crate::parse`] uses.
    pub const DEFAULT: Self = Self {
        max_source_bytes: 64 << 20,
        max_depth: 128,
        max_diagnostics: 100,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Where the lines of a source start, to find the line and column of a byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineIndex {
    starts: Vec<u32>,
}

impl LineIndex {
    /// Indexes `source`.
    pub fn new(source: &str) -> Self {
        let mut starts = vec![0];
        starts.extend(
            memchr::memchr_iter(b'\n', source.as_bytes())
                .filter_map(|at| u32::try_from(at + 1).ok()),
        );
        Self { starts }
    }

    pub(crate) fn weight_bytes(&self) -> usize {
        self.starts.capacity() * size_of::<u32>()
    }

    /// The line and column of the byte `offset` in `source`, which is the text that was indexed.
    pub fn location(&self, source: &str, offset: u32) -> Location {
        let line = self.starts.partition_point(|&start| start <= offset).max(1) - 1;
        let start = self.starts[line] as usize;
        let end = (offset as usize).clamp(start, source.len().max(start));
        let before = source.as_bytes().get(start..end).unwrap_or_default();
        steps::add(before.len());
        let skipped = if start == 0 && before.starts_with(BOM.as_bytes()) {
            1
        } else {
            0
        };
        Location {
            line: u32::try_from(line + 1).unwrap_or(u32::MAX),
            column: u32::try_from(count_chars(before) + 1 - skipped).unwrap_or(u32::MAX),
        }
    }

    /// The bytes of the line with the number `line` (from 1), without its line end.
    pub fn line_span(&self, source: &str, line: u32) -> Span {
        let index = (line.max(1) - 1) as usize;
        let start = self
            .starts
            .get(index)
            .map_or(source.len(), |&at| at as usize);
        let end = self
            .starts
            .get(index + 1)
            .map_or(source.len(), |&at| at as usize - 1);
        let text = source.get(start..end).unwrap_or_default();
        Span::new(start, start + text.trim_end_matches('\r').len())
    }
}

/// The byte-order mark, which is skipped at the start of a source.
pub(crate) const BOM: &str = "\u{feff}";

fn count_chars(bytes: &[u8]) -> usize {
    // A byte that does not continue a character starts one; this form vectorises.
    bytes.iter().filter(|&&byte| (byte & 0xc0) != 0x80).count()
}

/// A source of `length` where at most `most` bytes are read.
pub(crate) fn too_large(length: fmt::Arguments<'_>, most: usize) -> Diagnostic {
    let message = format!("the source has {length}, and at most {most} are read");
    Diagnostic::error(Code::SourceTooLarge, Span::default(), message)
        .with_help("split the program, or read its data from a file with a tool")
}

/// Bytes that are not the text of a program, and where the first bad one is.
#[derive(Debug, Clone)]
pub struct DecodeError {
    /// What is wrong; its span counts bytes of the input.
    pub diagnostic: Box<Diagnostic>,
    /// The place of the first bad byte.
    pub location: Location,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for DecodeError {}

impl DecodeError {
    /// The error as a row for machines.
    pub fn to_row(&self) -> Row {
        let mut row = self.diagnostic.to_row("", &LineIndex::new(""));
        row.line = self.location.line;
        row.column = self.location.column;
        row.end_line = row.line;
        row.end_column = row.column + 1;
        row
    }

    /// The error as text for people; the source cannot be shown.
    pub fn render(&self, path: &str) -> String {
        let Diagnostic {
            code,
            message,
            help,
            ..
        } = &*self.diagnostic;
        let Location { line, column } = self.location;
        let mut out = format!(
            "error[{}]: {message}\n --> {path}:{line}:{column}\n",
            code.id()
        );
        if let Some(help) = help {
            out.push_str(&format!("  = help: {help}\n"));
        }
        out
    }
}

/// Reads `bytes` as the text of a program.
///
/// # Errors
///
/// More bytes than [`Limits::DEFAULT`] allows, whatever they are, so that a reader may stop one
/// byte behind the limit. For bytes that are no text, says where the first bad byte is, by offset, line and column, and whether the bytes look
/// like a binary file.
pub fn decode(bytes: &[u8]) -> Result<&str, DecodeError> {
    let most = Limits::DEFAULT.max_source_bytes;
    if bytes.len() > most {
        return Err(DecodeError {
            diagnostic: Box::new(too_large(format_args!("more than {most} bytes"), most)),
            location: Location { line: 1, column: 1 },
        });
    }
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let offset = error.valid_up_to();
    let before = &bytes[..offset];
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let column = count_chars(&before[line_start..]) + 1;
    let byte = bytes[offset];
    let place = format!("byte {offset}, line {line}, column {column}");
    let span = Span::new(
        offset,
        offset + error.error_len().unwrap_or(bytes.len() - offset),
    );
    let head = &bytes[..bytes.len().min(64 << 10)];
    let diagnostic = if memchr::memchr(0, head).is_some() {
        let message =
            format!("this looks like a binary file: it has NUL bytes and is not UTF-8 at {place}");
        Diagnostic::error(Code::BinaryFile, span, message)
            .with_help("give a text file that holds a program")
    } else {
        let message = format!("the byte 0x{byte:02x} at {place} is not UTF-8");
        Diagnostic::error(Code::InvalidUtf8, span, message).with_help("save the file as UTF-8")
    };
    let location = Location {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
    };
    Err(DecodeError {
        diagnostic: Box::new(diagnostic),
        location,
    })
}
