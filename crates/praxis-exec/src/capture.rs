//! Keeping no more of a tool's streams than was asked for.

use std::fmt::Write;

use tokio::io::{AsyncRead, AsyncReadExt};

const CHUNK: usize = 64 * 1024;

/// More was printed than is allowed.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// The beginning of a stream. Reading may be given up and taken up again at any point.
pub(crate) struct Head<R> {
    reader: Option<R>,
    bytes: Vec<u8>,
    limit: u64,
}

impl<R: AsyncRead + Unpin> Head<R> {
    pub(crate) fn new(reader: Option<R>, limit: u64) -> Self {
        Self {
            reader,
            bytes: Vec::new(),
            limit,
        }
    }

    /// Reads to the end of the stream or to the limit.
    pub(crate) async fn fill(&mut self) -> Result<(), TooLarge> {
        while let Some(reader) = &mut self.reader {
            if self.bytes.capacity() - self.bytes.len() < CHUNK / 4 {
                self.bytes.reserve(CHUNK);
            }
            // A pipe that cannot be read is at its end for all that its reader can tell.
            if !matches!(reader.read_buf(&mut self.bytes).await, Ok(1..)) {
                self.reader = None;
            }
            if let Err(error) = self.check() {
                self.reader = None;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes what was read elsewhere.
    #[cfg(feature = "docker")]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        self.bytes.extend_from_slice(bytes);
        self.check()
    }

    fn check(&self) -> Result<(), TooLarge> {
        if self.bytes.len() as u64 > self.limit {
            return Err(TooLarge);
        }
        Ok(())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The end of a stream. Reading may be given up and taken up again at any point.
pub(crate) struct Tail<R> {
    reader: Option<R>,
    bytes: Vec<u8>,
    keep: usize,
    cut: bool,
}

impl<R: AsyncRead + Unpin> Tail<R> {
    pub(crate) fn new(reader: Option<R>, keep: usize) -> Self {
        Self {
            reader,
            bytes: Vec::new(),
            keep,
            cut: false,
        }
    }

    /// Reads to the end of the stream.
    pub(crate) async fn fill(&mut self) {
        while let Some(reader) = &mut self.reader {
            self.bytes.reserve(CHUNK / 16);
            if !matches!(reader.read_buf(&mut self.bytes).await, Ok(1..)) {
                self.reader = None;
            }
            self.bound();
        }
    }

    /// Takes what was read elsewhere.
    #[cfg(any(feature = "docker", feature = "mcp"))]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.bound();
    }

    fn bound(&mut self) {
        if self.bytes.len() > 2 * self.keep + CHUNK {
            self.trim();
        }
    }

    /// What was kept, as text that is safe to show: control characters are escaped.
    pub(crate) fn text(&mut self) -> String {
        self.trim();
        let mut text = String::with_capacity(self.bytes.len());
        if self.cut {
            text.push('…');
        }
        for character in String::from_utf8_lossy(&self.bytes).chars() {
            match character {
                '\n' | '\t' => text.push(character),
                control if control.is_control() => {
                    let _ = write!(text, "{}", control.escape_default());
                }
                other => text.push(other),
            }
        }
        text
    }

    fn trim(&mut self) {
        if let Some(surplus) = self.bytes.len().checked_sub(self.keep + 1) {
            self.bytes.drain(..=surplus);
            self.cut = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_head_stops_past_its_limit() {
        let mut head = Head::new(Some(&b"12345"[..]), 5);
        head.fill().await.unwrap();
        assert_eq!(head.bytes(), b"12345");
        let mut head = Head::new(Some(tokio::io::repeat(b'x')), 1_000_000);
        assert!(head.fill().await.is_err());
        assert!(head.bytes().len() < 1_200_000);
    }

    #[tokio::test]
    async fn a_tail_keeps_the_end_and_shows_control_characters() {
        let mut tail = Tail::new(Some(&b"\x1b[31mred\n\xffend"[..]), 100);
        tail.fill().await;
        assert_eq!(tail.text(), "\\u{1b}[31mred\n\u{fffd}end");
        let mut tail = Tail::new(Some(&b"0123456789"[..]), 3);
        tail.fill().await;
        assert_eq!(tail.text(), "…789");
        let mut tail = Tail::new(Some(&b"012"[..]), 3);
        tail.fill().await;
        assert_eq!(tail.text(), "012");
    }
}
