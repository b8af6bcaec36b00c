//! What was meant: the nearest of the words that would be right.

/// Words longer than this are not compared, to bound the time.
const LONGEST: usize = 64;

/// The candidate nearest to `word`, unless all are too far to be meant.
///
/// The distance is the optimal string alignment distance (insertions, deletions,
/// substitutions, transpositions of neighbours); case differences weigh nothing.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let wanted: Vec<char> = word.to_lowercase().chars().collect();
    if wanted.is_empty() || wanted.len() > LONGEST {
        return None;
    }
    let limit = match wanted.len() {
        1 => 0,
        2..=3 => 1,
        4..=7 => 2,
        length => length / 3,
    };
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let chars: Vec<char> = candidate.to_lowercase().chars().collect();
        if chars.len() > LONGEST || chars.len().abs_diff(wanted.len()) > limit {
            continue;
        }
        let distance = distance(&wanted, &chars);
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let substituted = last[j] + usize::from(x != y);
            let mut least = substituted.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_is_meant_and_nothing_else() {
        let tools = ["read_file", "write_file", "list_files"];
        assert_eq!(nearest("raed_file", tools), Some("read_file"));
        assert_eq!(nearest("READ_FILE", tools), Some("read_file"));
        assert_eq!(nearest("lsit_file", tools), Some("list_files"));
        assert_eq!(nearest("http_fetch", tools), None);
        assert_eq!(nearest("", tools), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
