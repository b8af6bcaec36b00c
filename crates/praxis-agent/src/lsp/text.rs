//! The text of a document, and its places as the client counts them.

use std::ops;

use super::protocol::{Position, Range};

/// In what units a client counts the characters of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Bytes.
    Utf8,
    /// Units of UTF-16, the protocol's default.
    Utf16,
}

impl Encoding {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16 => "utf-16",
        }
    }

    fn length(self, character: char) -> usize {
        match self {
            Self::Utf8 => character.len_utf8(),
            Self::Utf16 => character.len_utf16(),
        }
    }
}

/// A text that is edited by ranges.
#[derive(Debug, Clone)]
pub(super) struct Text {
    source: String,
    /// Where lines start. For the protocol a lone carriage return ends one too.
    starts: Vec<usize>,
    encoding: Encoding,
}

impl Text {
    pub(super) fn new(source: String, encoding: Encoding) -> Self {
        let starts = line_starts(&source);
        Self {
            source,
            starts,
            encoding,
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.source
    }

    /// Puts `text` in the place of `range`, which is read as [`Text::offset`] reads its ends.
    pub(super) fn replace(&mut self, range: Range, text: &str) {
        let range = self.bytes(range);
        self.source.replace_range(range, text);
        self.starts = line_starts(&self.source);
    }

    /// The bytes of `range`; one that ends before it starts is empty.
    pub(super) fn bytes(&self, range: Range) -> ops::Range<usize> {
        let start = self.offset(range.start);
        start..self.offset(range.end).max(start)
    }

    /// The byte of `position`. Beyond the end of a line it is that end, beyond the last line the
    /// end of the text, and inside a character its start.
    pub(super) fn offset(&self, position: Position) -> usize {
        let line = position.line as usize;
        let Some(&start) = self.starts.get(line) else {
            return self.source.len();
        };
        let end = self
            .starts
            .get(line + 1)
            .copied()
            .unwrap_or(self.source.len());
        let mut left = position.character as usize;
        let mut at = start;
        for character in self.source[start..end].chars() {
            let length = self.encoding.length(character);
            if left < length || matches!(character, '\n' | '\r') {
                break;
            }
            left -= length;
            at += character.len_utf8();
        }
        at
    }

    /// The position of the byte `offset`; inside a character it is its start, beyond the text its end.
    pub(super) fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.source.len());
        while !self.source.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|&start| start <= offset) - 1;
        let before = &self.source[self.starts[line]..offset];
        let character: usize = before
            .chars()
            .map(|found| self.encoding.length(found))
            .sum();
        Position {
            line: narrow(line),
            character: narrow(character),
        }
    }

    pub(super) fn range(&self, bytes: ops::Range<usize>) -> Range {
        Range {
            start: self.position(bytes.start),
            end: self.position(bytes.end),
        }
    }
}

fn line_starts(source: &str) -> Vec<usize> {
    let bytes = source.as_bytes();
    let mut starts = vec![0];
    starts.extend(
        memchr::memchr2_iter(b'\n', b'\r', bytes)
            .filter(|&at| bytes[at] == b'\n' || bytes.get(at + 1) != Some(&b'\n'))
            .map(|at| at + 1),
    );
    starts
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Position, Range, Text};

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    #[track_caller]
    fn check(
        encoding: Encoding,
        source: &str,
        position: (u32, u32),
        offset: usize,
        back: (u32, u32),
    ) {
        let text = Text::new(source.to_owned(), encoding);
        assert_eq!(
            text.offset(at(position.0, position.1)),
            offset,
            "{source:?}"
        );
        assert_eq!(text.position(offset), at(back.0, back.1), "{source:?}");
    }

    #[test]
    fn positions_count_in_the_units_that_were_agreed_on() {
        use Encoding::{Utf8, Utf16};
        check(Utf16, "a🦀b", (0, 3), 5, (0, 3));
        check(Utf8, "a🦀b", (0, 5), 5, (0, 5));
        // In the middle of a character is its start.
        check(Utf16, "a🦀b", (0, 2), 1, (0, 1));
        check(Utf8, "aéb", (0, 2), 1, (0, 1));
        // Beyond a line is its end, beyond the text the text's.
        check(Utf16, "ab\r\ncd", (0, 9), 2, (0, 2));
        check(Utf16, "ab\r\ncd", (1, 9), 6, (1, 2));
        check(Utf16, "ab\r\ncd", (7, 0), 6, (1, 2));
        check(Utf16, "ab\ncd\n", (2, 0), 6, (2, 0));
        check(Utf16, "ab\rcd", (1, 1), 4, (1, 1));
        check(Utf16, "", (0, 0), 0, (0, 0));
        check(Utf16, "", (u32::MAX, u32::MAX), 0, (0, 0));
    }

    #[test]
    fn edits_replace_ranges() {
        let mut text = Text::new("LET x = 🦀\nCALL t".to_owned(), Encoding::Utf16);
        let range = |start, end| Range { start, end };
        text.replace(range(at(0, 8), at(0, 10)), "é\n\n");
        assert_eq!(text.as_str(), "LET x = é\n\n\nCALL t");
        text.replace(range(at(3, 4), at(1, 0)), "!");
        assert_eq!(text.as_str(), "LET x = é\n\n\nCALL! t");
        text.replace(range(at(0, 9), at(9, 9)), "");
        assert_eq!(text.as_str(), "LET x = é");
    }
}
