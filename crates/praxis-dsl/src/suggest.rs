//! What was meant: the nearest of the words that would be right.

use crate::steps;

/// Words longer than this are not compared, to bound the time.
const LONGEST: usize = 64;

/// A word that was perhaps meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nearest<'c> {
    pub(crate) word: &'c str,
    /// No other candidate is as near.
    pub(crate) clear: bool,
}

/// The candidate nearest to `word`, unless all are too far to be meant; of several as near, the
/// first in alphabetical order.
///
/// The distance is the optimal string alignment distance (insertions, deletions,
/// substitutions, transpositions of neighbours); case differences weigh nothing.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<Nearest<'c>> {
    let wanted = Letters::of(word).filter(|wanted| wanted.outline.length > 0)?;
    let limit = match wanted.outline.length {
        1 => 0,
        2..=3 => 1,
        4..=7 => 2,
        length => length / 3,
    };
    let mut best: Option<(usize, Nearest<'c>)> = None;
    for candidate in candidates {
        steps::add(candidate.len());
        // Most are too different to be compared letter by letter.
        let outline = Outline::of(candidate);
        if outline.is_some_and(|outline| outline.least_distance(&wanted.outline) > limit) {
            continue;
        }
        let Some(letters) = Letters::of(candidate) else {
            continue;
        };
        if letters.outline.least_distance(&wanted.outline) > limit {
            continue;
        }
        let distance = distance(wanted.as_slice(), letters.as_slice());
        if distance > limit {
            continue;
        }
        best = Some(match best {
            Some((least, nearest)) if distance == least => {
                let word = nearest.word.min(candidate);
                let clear = nearest.clear && candidate == nearest.word;
                (least, Nearest { word, clear })
            }
            Some((least, nearest)) if distance > least => (least, nearest),
            _ => {
                let word = candidate;
                (distance, Nearest { word, clear: true })
            }
        });
    }
    best.map(|(_, candidate)| candidate)
}

/// What tells two words apart without a closer look.
#[derive(Clone, Copy, Default)]
struct Outline {
    length: usize,
    /// A bit for each letter that is there, by its number; some share one.
    present: u64,
}

impl Outline {
    /// The outline of an ASCII word, which nearly all are.
    fn of(word: &str) -> Option<Self> {
        let bytes = word.as_bytes();
        bytes.is_ascii().then(|| Self {
            length: bytes.len(),
            present: bytes
                .iter()
                .fold(0, |bits, byte| bits | bit(byte.to_ascii_lowercase().into())),
        })
    }

    fn least_distance(&self, other: &Self) -> usize {
        let missing = (self.present & !other.present).count_ones();
        let added = (other.present & !self.present).count_ones();
        let letters = missing.max(added) as usize;
        letters.max(self.length.abs_diff(other.length))
    }
}

fn bit(letter: char) -> u64 {
    1 << (u32::from(letter) % 64)
}

/// The lower-case letters of a word, without an allocation.
struct Letters {
    letters: [char; LONGEST],
    outline: Outline,
}

impl Letters {
    fn of(word: &str) -> Option<Self> {
        let mut found = Self {
            letters: ['\0'; LONGEST],
            outline: Outline::default(),
        };
        for letter in word.chars().flat_map(char::to_lowercase) {
            *found.letters.get_mut(found.outline.length)? = letter;
            found.outline.length += 1;
            found.outline.present |= bit(letter);
        }
        Some(found)
    }

    fn as_slice(&self) -> &[char] {
        &self.letters[..self.outline.length]
    }
}

fn distance(a: &[char], b: &[char]) -> usize {
    steps::add(a.len() * b.len());
    let mut rows = [[0_usize; LONGEST + 1]; 3];
    for (at, cell) in rows[0].iter_mut().enumerate() {
        *cell = at;
    }
    for (i, &x) in a.iter().enumerate() {
        let (before_last, last, row) = ((i + 2) % 3, i % 3, (i + 1) % 3);
        rows[row][0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let substituted = rows[last][j] + usize::from(x != y);
            let mut least = substituted.min(rows[last][j + 1] + 1).min(rows[row][j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                least = least.min(rows[before_last][j - 1] + 1);
            }
            rows[row][j + 1] = least;
        }
    }
    rows[a.len() % 3][b.len()]
}

#[cfg(test)]
mod tests {
    #[test]
    fn finds_what_is_meant_and_nothing_else() {
        let nearest = |word, candidates: &[&'static str]| {
            super::nearest(word, candidates.iter().copied()).map(|found| (found.word, found.clear))
        };
        let tools = ["read_file", "write_file", "list_files"];
        assert_eq!(nearest("raed_file", &tools), Some(("read_file", true)));
        assert_eq!(nearest("READ_FILE", &tools), Some(("read_file", true)));
        assert_eq!(nearest("lsit_file", &tools), Some(("list_files", true)));
        assert_eq!(nearest("http_fetch", &tools), None);
        assert_eq!(nearest("", &tools), None);
        assert_eq!(nearest("x", &["y"]), None);
        let names = ["part_b", "part_a", "park_cc"];
        assert_eq!(nearest("part_c", &names), Some(("part_a", false)));
        assert_eq!(nearest("park_c", &names), Some(("park_cc", true)));
    }
}
