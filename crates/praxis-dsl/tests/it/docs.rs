//! The documents say what is true.

use praxis_dsl::Code;

use crate::found;

const LANGUAGE: &str = include_str!("../../../../docs/language.md");
const DIAGNOSTICS: &str = include_str!("../../../../docs/diagnostics.md");

#[test]
fn every_example_of_the_language_is_right() {
    let mut count = 0;
    for fence in LANGUAGE.split("```praxis\n").skip(1) {
        let source = fence.split("```").next().unwrap_or_default();
        assert_eq!(found(source), "", "{source}");
        count += 1;
    }
    assert!(count >= 12, "{count} examples");
}

#[test]
fn every_code_has_its_entry() {
    let written: Vec<_> = DIAGNOSTICS
        .lines()
        .filter(|line| line.starts_with("## P"))
        .collect();
    let known: Vec<_> = Code::ALL
        .iter()
        .map(|code| format!("## {}: {}", code.id(), code.title()))
        .collect();
    assert_eq!(written, known);
    for code in Code::ALL {
        for sentence in code.explanation().split_inclusive(". ") {
            assert!(DIAGNOSTICS.contains(sentence.trim()), "{code}: {sentence}");
        }
    }
}
