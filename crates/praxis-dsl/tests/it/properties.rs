//! Properties over random programs.

use praxis_dsl::{Expression, NoTools, Tree, check, compat_ast, compat_tokens, parse};
use proptest::prelude::*;

/// Pieces of the language, to get deeper than random characters do.
const PIECES: &[&str] = &[
    "CALL ",
    "LET ",
    "x ",
    "= ",
    "PARALLEL",
    "SEQUENCE",
    "IF ",
    "ELIF ",
    "ELSE",
    "FOR ",
    "IN ",
    "TRY",
    "CATCH ",
    "WORKFLOW ",
    "INPUT ",
    "TASK ",
    "AGENT ",
    "RETURN ",
    "END_PARALLEL",
    "END_SEQUENCE",
    "ENDIF",
    "END_FOR",
    "END_TRY",
    "END_FRO",
    "  ",
    "FRO ",
    "ELES",
    "${a ",
    "--k=${",
    "PARALEL",
    "END ",
    "\n",
    "\n",
    "\n",
    "\r\n",
    " ",
    "\"",
    "'",
    "\\",
    "$",
    "${",
    "}",
    "$x",
    "--",
    "--a=",
    "@id=",
    "@after=",
    "#",
    "[1]",
    "{\"a\":1}",
    "read_file ",
    "write_file ",
    "ping ",
    "1e400 ",
    "\0",
    "\r",
    "\u{feff}",
    "\u{202e}",
    "é",
    "🦀",
    "[",
    "]",
    "(",
    ")",
    ".map(",
    "&&",
    "==",
    "?",
    ":",
];

pub(crate) fn programs() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.concat())
}

fn holds(source: &str) {
    let tree: Tree = parse(source);
    let checked = check(&tree, &crate::catalog());
    let _ = check(&tree, &NoTools);
    for diagnostic in &checked.diagnostics {
        let range = diagnostic.span.range();
        assert!(
            source.get(range.clone()).is_some(),
            "{source:?} {diagnostic:?}"
        );
        let report = diagnostic.render("x", source, true);
        assert!(report.contains(&diagnostic.message));
        diagnostic.to_row(source, tree.line_index());
        if let Some(fix) = &diagnostic.fix {
            assert!(source.get(fix.span.range()).is_some(), "{source:?} {fix:?}");
        }
    }
    assert_eq!(checked.program.is_none(), checked.has_errors());
    if !tree.has_errors() {
        for text in [compat_ast(&tree), compat_tokens(&tree)] {
            let text = text.expect("a tree without errors has a compat form");
            serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON");
        }
    }
}

proptest! {
    #[test]
    fn every_text_is_answered(source in any::<String>()) {
        holds(&source);
    }

    #[test]
    fn every_program_is_answered(source in programs()) {
        holds(&source);
    }

    #[test]
    fn every_expression_is_answered(source in "[a-c0-9+*/%<>=!&|?:.,()\\[\\]{}'\"\\\\$ ]{0,40}") {
        if let Ok(expression) = Expression::compile(&source) {
            let _ = expression.evaluate(&|_| Some(serde_json::json!([1, "a"])));
        }
    }

    #[test]
    fn quoted_text_comes_back(text in any::<String>()) {
        let mut quoted = String::from("CALL t \"");
        for character in text.chars() {
            match character {
                '"' | '\\' | '$' => quoted.extend(['\\', character]),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                c if c.is_control() => quoted.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        let tree = parse(&quoted);
        prop_assert!(tree.diagnostics().is_empty(), "{quoted}");
        let statement = tree.statements().next().expect("a call");
        prop_assert_eq!(statement.words()[2].text(&quoted), text);
    }
}
