//! Files are named for a concept, and there is never a second file for a second try.

use super::{Problem, tree::Tree};

/// Names of a kind of thing rather than of a thing.
const KINDS: &[&str] = &[
    "common", "helper", "helpers", "misc", "types", "util", "utils",
];

/// Ends that say "the other one is wrong".
const SECOND_TRIES: &[&str] = &[
    "_backup",
    "_copy",
    "_final",
    "_fixed",
    "_improved",
    "_new",
    "_old",
    "_tmp",
];

/// Looks at every part of the path of every Rust file.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, _) in tree.texts_ending(".rs") {
        for part in path.trim_end_matches(".rs").split('/') {
            if KINDS.contains(&part) {
                problems.push(Problem::error(
                    path,
                    format!("`{part}` names a kind; name the file for the concept that it holds"),
                ));
            } else if is_second_try(part) {
                problems.push(Problem::error(
                    path,
                    format!("`{part}` is a second try beside a first; replace the first"),
                ));
            }
        }
    }
    problems
}

fn is_second_try(part: &str) -> bool {
    let numbered = part
        .rsplit_once("_v")
        .is_some_and(|(_, n)| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()));
    numbered || SECOND_TRIES.iter().any(|end| part.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kinds_and_second_tries_are_refused() {
        let check = |path: &str, expected: usize| {
            let found = check(&Tree::of(&[(path, "")]));
            assert_eq!(found.len(), expected, "{path}: {found:?}");
        };
        check("crates/a/src/pool.rs", 0);
        check("crates/a/src/renew.rs", 0);
        check("crates/a/src/ipv4.rs", 0);
        check("crates/a/src/new.rs", 0);
        check("docs/types.md", 0);

        check("crates/a/src/types.rs", 1);
        check("crates/a/src/utils/strings.rs", 1);
        check("crates/a/tests/it/common.rs", 1);
        check("crates/a/src/service_fixed.rs", 1);
        check("crates/a/src/service_v2.rs", 1);
        check("crates/a/src/pool_new/mod.rs", 1);
    }
}
