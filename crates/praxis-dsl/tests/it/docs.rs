//! The documents say what is true.

use praxis_dsl::{Code, decode};

use crate::{checked, found};

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

/// The page of the diagnostics, as the table of the codes says it.
fn page() -> String {
    let mut page = String::from(
        "# Diagnostics\n\nEvery diagnostic of the language has a stable code.\n\
         `praxis check` prints it in brackets, and `praxis explain-error P0101` says what this page says.\n\
         A test keeps the page equal to the table in the program; `UPDATE_DOCS=1 cargo test -p praxis-dsl docs` writes it.\n\
         Each first program has the mistake, and each second one none: a test checks them too.\n\
         A byte that is no text is written `\\xe9`.\n",
    );
    for code in Code::ALL {
        page.push_str(&format!("\n## {}: {}\n\n", code.id(), code.title()));
        for sentence in code.explanation().split_inclusive(". ") {
            page.push_str(sentence.trim_end());
            page.push('\n');
        }
        if let Some((wrong, right)) = code.examples() {
            let wrong = wrong.replace('\u{200b}', "<U+200B>");
            page.push_str(&format!(
                "\n```text\n{wrong}\n```\n\n```praxis\n{right}\n```\n"
            ));
        }
    }
    page
}

#[test]
fn every_code_has_its_entry() {
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/diagnostics.md");
        std::fs::write(path, page).expect("the page can be written");
    } else if DIAGNOSTICS.replace("\r\n", "\n") != page {
        let differs = page
            .lines()
            .zip(DIAGNOSTICS.lines())
            .find(|(one, other)| one != other);
        panic!("docs/diagnostics.md is not the page of the codes: {differs:#?}");
    }
}

/// The bytes of an example, in which `\xe9` is a byte.
fn bytes(example: &str) -> Vec<u8> {
    let mut parts = example.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

#[test]
fn every_example_of_a_code_has_its_mistake_and_no_other() {
    let codes = |example: &str| match decode(&bytes(example)) {
        Err(error) => vec![error.diagnostic.code],
        Ok(source) => checked(source)
            .diagnostics
            .iter()
            .map(|found| found.code)
            .collect(),
    };
    for code in Code::ALL {
        let Some((wrong, right)) = code.examples() else {
            // What only a large program shows has tests of its own.
            assert!(
                matches!(
                    code,
                    Code::SourceTooLarge | Code::TooManyDiagnostics | Code::TooDeep
                ),
                "{code}"
            );
            continue;
        };
        // What is found with the order of the steps is tested where that is known.
        if !matches!(code, Code::Cycle | Code::Race) {
            assert_eq!(codes(wrong), [*code], "{code}: {wrong}");
        }
        assert_eq!(codes(right), [], "{code}: {right}");
    }
}
