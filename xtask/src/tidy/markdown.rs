//! Markdown without trailing blanks, whose links to files and headings lead somewhere.

use super::{Problem, tree::Tree};

/// Checks every page but those that are a test's input.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.texts_ending(".md") {
        if path.contains("/fixtures/") {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            if line.ends_with([' ', '\t']) {
                problems.push(Problem::error(
                    format!("{path}:{}", index + 1),
                    "blanks at the end of the line",
                ));
            }
        }
        for (line, target) in links(text) {
            if let Some(message) = broken(tree, path, &target) {
                problems.push(Problem::error(format!("{path}:{line}"), message));
            }
        }
    }
    problems
}

/// Why `target`, as written on the page `from`, leads nowhere.
fn broken(tree: &Tree, from: &str, target: &str) -> Option<String> {
    let elsewhere = ["http://", "https://", "mailto:"];
    if target.is_empty() || elsewhere.iter().any(|start| target.starts_with(start)) {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        from.to_owned()
    } else {
        match resolved(from, file) {
            Some(path) => path,
            None => return Some(format!("the link `{target}` leads out of the repository")),
        }
    };
    if !tree.has(&path) {
        return Some(format!(
            "the link `{target}` leads to {path}, which is not there"
        ));
    }
    if heading.is_empty() || !path.ends_with(".md") {
        return None;
    }
    let page = tree.text(&path)?;
    let known = anchors(page);
    (!known.iter().any(|anchor| anchor == heading)).then(|| {
        format!(
            "the link `{target}` names no heading of {path}; it has: {}",
            known.join(", ")
        )
    })
}

/// `file` as seen from the page `from`, or nothing if it leaves the repository.
fn resolved(from: &str, file: &str) -> Option<String> {
    let mut parts: Vec<&str> = match file.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from.split('/').collect(),
    };
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The lines outside code fences, with their numbers and with code spans blanked out.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fence: Option<String> = None;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        match &fence {
            Some(open) => {
                if bare.starts_with(open.as_str()) {
                    fence = None;
                }
            }
            None => {
                let mark = bare.chars().next().filter(|c| matches!(c, '`' | '~'));
                let run = mark.map_or(0, |m| bare.chars().take_while(|c| *c == m).count());
                if run >= 3 {
                    fence = Some(bare.chars().take(run).collect());
                } else {
                    lines.push((index + 1, without_code_spans(line)));
                }
            }
        }
    }
    lines
}

fn without_code_spans(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        kept.push_str(&rest[..at]);
        let run = rest[at..].chars().take_while(|c| *c == '`').count();
        let ticks = "`".repeat(run);
        let after = &rest[at + run..];
        match after.find(&ticks) {
            Some(end) => rest = &after[end + run..],
            None => {
                kept.push_str(&ticks);
                rest = after;
            }
        }
    }
    kept + rest
}

/// Every link target with its line: `[text](target)` and `[name]: target`.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        for (at, _) in line.match_indices("](") {
            links.push((number, target(&line[at + 2..])));
        }
        let definition = line
            .trim_start()
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]:"));
        if let Some((_, rest)) = definition {
            links.push((number, target(&format!("{})", rest.trim()))));
        }
    }
    links
}

/// What stands before the closing parenthesis, without angle brackets and without a title.
fn target(rest: &str) -> String {
    if let Some(inner) = rest.strip_prefix('<') {
        return inner.split('>').next().unwrap_or_default().to_owned();
    }
    let mut depth = 0_usize;
    let end = rest.find(|c: char| {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return true,
            ')' => depth -= 1,
            c => return c.is_whitespace(),
        }
        false
    });
    rest[..end.unwrap_or(rest.len())].to_owned()
}

/// The anchors of a page's headings, made as the common hosts of Git repositories make them.
fn anchors(page: &str) -> Vec<String> {
    let mut fenced = false;
    let mut anchors: Vec<String> = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let level = line.chars().take_while(|c| *c == '#').count();
        let Some(title) = line.get(level..).and_then(|rest| rest.strip_prefix(' ')) else {
            continue;
        };
        if fenced || !(1..=6).contains(&level) {
            continue;
        }
        let anchor: String = title
            .trim()
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                '-' | '_' => Some(c),
                c if c.is_alphanumeric() => c.to_lowercase().next(),
                _ => None,
            })
            .collect();
        let twins = anchors
            .iter()
            .filter(|known| {
                **known == anchor
                    || known
                        .strip_prefix(&format!("{anchor}-"))
                        .is_some_and(|n| n.parse::<u32>().is_ok())
            })
            .count();
        anchors.push(if twins == 0 {
            anchor
        } else {
            format!("{anchor}-{twins}")
        });
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    fn found(page: &str) -> Vec<Problem> {
        check(&Tree::of(&[
            ("docs/page.md", page),
            (
                "docs/other.md",
                "# The `other` page\n\n## Part 1: a_b\n\n## Twice\n\n## Twice\n",
            ),
            ("docs/fixtures/bad.md", "trailing \n[x](nowhere.md)\n"),
            ("src/main.rs", ""),
        ]))
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        for link in [
            "[a](other.md)",
            "[a](./other.md \"title\")",
            "[a](<other.md>)",
            "[a](../src/main.rs#L3)",
            "[a](../src)",
            "[a](/src/main.rs)",
            "[a](other.md#the-other-page)",
            "[a](other.md#part-1-a_b)",
            "[a](other.md#twice-1)",
            "[a]: other.md",
            "# Here\n[a](#here)",
            "[a](https://example.org/b.md)",
            "`[a](nowhere.md)` is code",
            "```\n[a](nowhere.md)\n```",
            "``` a\n~~~\n[a](nowhere.md)\n```\n[a](other.md)",
        ] {
            assert_eq!(found(link), [], "{link}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_fail() {
        for link in [
            "[a](nowhere.md)",
            "![a](nowhere.png)",
            "[a](../docs/nowhere.md)",
            "[a](../../out/of/here.md)",
            "[a](other.md#no-such-part)",
            "[a](#no-such-part)",
            "[a]: nowhere.md",
            "[a](other.md) and [b](nowhere.md)",
        ] {
            assert_eq!(places(&found(link)), ["docs/page.md:1"], "{link}");
        }
        let after_code = "```\n```\n[a](nowhere.md)";
        assert_eq!(places(&found(after_code)), ["docs/page.md:3"]);
    }

    #[test]
    fn blanks_at_the_end_of_a_line_fail() {
        assert_eq!(
            places(&found("a\nb \n\tc\t\n")),
            ["docs/page.md:2", "docs/page.md:3"]
        );
        assert_eq!(found("  a\n\nb\n"), []);
    }
}
