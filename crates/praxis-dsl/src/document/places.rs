//! Where the lines of a document stand: in the document, and in the buffer that holds them.
//!
//! The buffer is the text of the last full check, then the lines that were changed since, so
//! that the words of all others keep their places in it.

/// A line by its number, from 0.
pub(super) type Number = usize;

/// The lines of a document.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// For each line, where it stands in the buffer.
    starts: Vec<u32>,
    /// The same at the last full check.
    first: Vec<u32>,
    /// For each line, its bytes with the line feed; as a Fenwick tree, from 1.
    sums: Vec<u32>,
    lengths: Vec<u32>,
    /// The starts of the changed lines in the buffer, in order, each with its line.
    changed: Vec<(u32, u32)>,
    /// The length of the text at the last full check.
    base: usize,
}

impl Places {
    pub(super) fn new(text: &str) -> Self {
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| narrow(at + 1)));
        let ends = starts[1..].iter().copied();
        let ends = ends.chain([narrow(text.len())]);
        let lengths: Vec<u32> = starts.iter().zip(ends).map(|(at, end)| end - at).collect();
        let mut sums = vec![0; lengths.len() + 1];
        for (line, &length) in lengths.iter().enumerate() {
            let at = line + 1;
            sums[at] += length;
            let above = at + (at & at.wrapping_neg());
            if above < sums.len() {
                sums[above] += sums[at];
            }
        }
        Self {
            first: starts.clone(),
            starts,
            sums,
            lengths,
            changed: Vec::new(),
            base: text.len(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.lengths.len()
    }

    /// How many bytes stand before the line.
    pub(super) fn offset(&self, line: Number) -> usize {
        let mut at = line;
        let mut sum = 0;
        while at > 0 {
            sum += self.sums[at];
            at &= at - 1;
        }
        sum as usize
    }

    /// The line that holds the byte `offset`, and where the line starts; the last line also for
    /// all that is behind it.
    pub(super) fn find(&self, offset: usize) -> (Number, usize) {
        let mut line = 0;
        let mut before = 0;
        let mut step = self.count().next_power_of_two();
        while step > 0 {
            let next = line + step;
            if next < self.sums.len() && before + self.sums[next] as usize <= offset {
                line = next;
                before += self.sums[next] as usize;
            }
            step /= 2;
        }
        if line < self.count() {
            return (line, before);
        }
        let last = self.count() - 1;
        (last, before - self.lengths[last] as usize)
    }

    /// The text of the line, without its line feed.
    pub(super) fn line<'b>(&self, buffer: &'b str, line: Number) -> &'b str {
        let text = self.whole_line(buffer, line);
        text.strip_suffix('\n').unwrap_or(text)
    }

    fn whole_line<'b>(&self, buffer: &'b str, line: Number) -> &'b str {
        let start = self.start(line);
        &buffer[start..start + self.lengths[line] as usize]
    }

    /// The whole document.
    pub(super) fn text(&self, buffer: &str) -> String {
        if self.changed.is_empty() {
            return buffer.to_owned();
        }
        let lines = 0..self.count();
        lines.map(|line| self.whole_line(buffer, line)).collect()
    }

    /// Where the line starts in the buffer.
    pub(super) fn start(&self, line: Number) -> usize {
        self.starts[line] as usize
    }

    /// Whether the line was changed since the last full check.
    pub(super) fn is_changed(&self, line: Number) -> bool {
        self.start(line) >= self.base && !self.changed.is_empty()
    }

    /// Whether the buffer holds so much text that was replaced that it should be made anew.
    pub(super) fn is_full(&self, buffer: &str) -> bool {
        const SLACK: usize = 1 << 20;
        buffer.len() > (5 * self.base + SLACK).min(u32::MAX as usize / 2)
    }

    /// Puts `text`, which has no line feed, into the place of the line.
    pub(super) fn replace(&mut self, buffer: &mut String, line: Number, text: &str) {
        // The line that was changed last is changed again where it is, as in typing.
        if let Some((start, _)) = self.changed.pop_if(|(_, last)| *last as usize == line) {
            buffer.truncate(start as usize);
        } else if !buffer.ends_with('\n') {
            buffer.push('\n');
        }
        let start = narrow(buffer.len());
        buffer.push_str(text);
        buffer.push('\n');
        self.starts[line] = start;
        self.changed.push((start, narrow(line)));
        let feed = usize::from(line + 1 < self.count());
        let length = narrow(text.len() + feed);
        let difference = length.wrapping_sub(self.lengths[line]);
        self.lengths[line] = length;
        let mut at = line + 1;
        while at < self.sums.len() {
            self.sums[at] = self.sums[at].wrapping_add(difference);
            at += at & at.wrapping_neg();
        }
    }

    /// Where the byte `at` of the buffer stands in the document.
    pub(super) fn in_document(&self, at: u32) -> usize {
        let changed = self.changed.partition_point(|(start, _)| *start <= at);
        let line = match self.changed[..changed].last() {
            Some(&(_, line)) => line as usize,
            None => self.first.partition_point(|start| *start <= at) - 1,
        };
        self.offset(line) + (at as usize).saturating_sub(self.start(line))
    }
}

fn narrow(number: usize) -> u32 {
    // A source is at most 64 MiB long, and the buffer a few times that.
    u32::try_from(number).unwrap_or(u32::MAX)
}
