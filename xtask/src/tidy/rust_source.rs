//! What a Rust file may hold: a root module's content, lint exceptions, marks of unfinished work.

use super::rust_text::RustText;
use super::{Problem, tree::Tree};

/// Past this a file deserves a second look.
const LONG: usize = 600;

const MARKS: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
const MACROS: &[&str] = &["todo!", "unimplemented!"];

/// A crate's `lib.rs` is its documentation, its modules in reading order and a short `pub use`.
pub(super) fn root_modules(tree: &Tree) -> Vec<Problem> {
    tree.texts_ending("/src/lib.rs")
        .filter(|(path, _)| path.starts_with("crates/"))
        .filter_map(|(path, source)| {
            let (line, item) = first_logic(&RustText::of(source).code)?;
            Some(Problem::error(
                format!("{path}:{line}"),
                format!("`{item}` in a root module, which holds only docs, `mod` and `use`; move it to a module"),
            ))
        })
        .collect()
}

/// The line and the first word of the first item that is neither `mod x;` nor `use`.
fn first_logic(code: &str) -> Option<(usize, String)> {
    let mut rest = code;
    loop {
        rest = rest.trim_start();
        let line = code[..code.len() - rest.len()].matches('\n').count() + 1;
        if rest.is_empty() {
            return None;
        }
        if rest.starts_with("#[") || rest.starts_with("#![") {
            rest = &rest[attribute(rest)..];
            continue;
        }
        let item = rest
            .split([';', '{', '\n'])
            .next()
            .unwrap_or_default()
            .trim();
        let words: Vec<&str> = item.split_whitespace().collect();
        let after_visibility = words
            .iter()
            .skip_while(|word| word.starts_with("pub"))
            .copied()
            .collect::<Vec<_>>();
        let ends = rest.find(';').map_or(rest.len(), |at| at + 1);
        let inline = rest[..ends].contains('{');
        match after_visibility.first() {
            Some(&"use") => rest = &rest[ends..],
            Some(&"mod") if !inline => rest = &rest[ends..],
            Some(&"extern") if after_visibility.get(1) == Some(&"crate") => rest = &rest[ends..],
            _ => return Some((line, item.to_owned())),
        }
    }
}

/// The length of the attribute that `rest` starts with.
fn attribute(rest: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 1 => return at + 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    rest.len()
}

/// Files that have grown past what one reads in a sitting.
pub(super) fn length(tree: &Tree) -> Vec<Problem> {
    tree.texts_ending(".rs")
        .map(|(path, source)| (path, source.lines().count()))
        .filter(|(_, lines)| *lines > LONG)
        .map(|(path, lines)| {
            Problem::warning(
                path,
                format!("{lines} lines; look again past {LONG}: is it one concept?"),
            )
        })
        .collect()
}

/// A lint is put aside with `#[expect(…, reason = "…")]`, which says why and ends with its cause.
pub(super) fn exceptions(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, source) in tree.texts_ending(".rs") {
        let code = RustText::of(source).code;
        for start in ["#[allow(", "#![allow("] {
            for (at, _) in code.match_indices(start) {
                let held = &code[at..at + attribute(&code[at..])];
                if !held.contains("reason") {
                    let line = code[..at].matches('\n').count() + 1;
                    problems.push(Problem::error(
                        format!("{path}:{line}"),
                        "a bare `allow`; write `expect(…, reason = \"…\")`",
                    ));
                }
            }
        }
    }
    problems
}

/// What is not done is an issue, not a note in the source.
pub(super) fn unfinished(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, source) in tree.texts_ending(".rs") {
        let text = RustText::of(source);
        let marks = MARKS.iter().map(|mark| (*mark, &text.comments));
        let macros = MACROS.iter().map(|name| (*name, &text.code));
        for (word, place) in marks.chain(macros) {
            for (index, line) in place.lines().enumerate() {
                if has_word(line, word) {
                    problems.push(Problem::error(
                        format!("{path}:{}", index + 1),
                        format!("`{word}`: finish it, or file an issue and leave no note"),
                    ));
                }
            }
        }
    }
    problems
}

fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(joins) && !line[at + word.len()..].starts_with(joins))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    const LIB: &str = "crates/a/src/lib.rs";

    #[test]
    fn a_root_module_holds_docs_modules_and_uses() {
        let check = |source: &str, expected: &[&str]| {
            let found = root_modules(&Tree::of(&[(LIB, source)]));
            assert_eq!(places(&found), expected, "{source}\n{found:?}");
        };
        check("", &[]);
        check(
            "//! Docs with `fn main() {}`.\n\n#![cfg_attr(a, b(c))]\nmod a;\npub(crate) mod b;\n",
            &[],
        );
        check(
            "/// Docs.\n#[cfg(feature = \"x\")]\npub mod a;\npub use a::{\n    B, C,\n};\npub use d::E;\n",
            &[],
        );
        check("#[cfg(\n    any(a, b)\n)]\nextern crate alloc;\n", &[]);

        check("mod a;\n\nfn f() {}\n", &["crates/a/src/lib.rs:3"]);
        check("pub struct S;\n", &["crates/a/src/lib.rs:1"]);
        check("mod a {\n    mod b;\n}\n", &["crates/a/src/lib.rs:1"]);
        check(
            "use a::b;\n#[test]\nconst X: u8 = 1;\n",
            &["crates/a/src/lib.rs:3"],
        );
        check("macro_rules! m { () => {} }\n", &["crates/a/src/lib.rs:1"]);
    }

    #[test]
    fn other_files_may_hold_logic() {
        let tree = Tree::of(&[
            ("crates/a/src/pool.rs", "fn f() {}"),
            ("benches/src/lib.rs", "fn f() {}"),
        ]);
        assert_eq!(root_modules(&tree), []);
    }

    #[test]
    fn a_long_file_is_a_warning() {
        let check = |lines: usize, expected: usize| {
            let tree = Tree::of(&[(LIB, &"\n".repeat(lines))]);
            assert_eq!(length(&tree).len(), expected, "{lines}");
        };
        check(LONG, 0);
        check(LONG + 1, 1);
    }

    #[test]
    fn a_lint_is_put_aside_only_with_a_reason() {
        let check = |source: &str, expected: &[&str]| {
            let found = exceptions(&Tree::of(&[(LIB, source)]));
            assert_eq!(places(&found), expected, "{source}");
        };
        check("#[expect(dead_code, reason = \"x\")]\nfn f() {}", &[]);
        check("#[allow(dead_code, reason = \"x\")]\nfn f() {}", &[]);
        check(
            "// #[allow(dead_code)]\nconst A: &str = \"#[allow(dead_code)]\";",
            &[],
        );
        check(
            "\n#[allow(dead_code)]\nfn f() {}",
            &["crates/a/src/lib.rs:2"],
        );
        check("#![allow(\n    dead_code\n)]", &["crates/a/src/lib.rs:1"]);
    }

    #[test]
    fn marks_of_unfinished_work_are_refused_where_they_mean_it() {
        let check = |source: &str, expected: &[&str]| {
            let found = unfinished(&Tree::of(&[(LIB, source)]));
            assert_eq!(places(&found), expected, "{source}");
        };
        check("let text = \"TODO\"; // a text", &[]);
        check("// TODOS are a word of their own", &[]);
        check("fn todo() {} todo();", &[]);
        check("\n// TODO: later", &["crates/a/src/lib.rs:2"]);
        check("/// FIXME", &["crates/a/src/lib.rs:1"]);
        check("fn f() { todo!() }", &["crates/a/src/lib.rs:1"]);
        check(
            "fn f() {\n    unimplemented!(\"x\")\n}",
            &["crates/a/src/lib.rs:2"],
        );
    }
}
