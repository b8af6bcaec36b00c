//! Diagnostics as people see them.

use insta::assert_snapshot;

use crate::checked;

fn rendered(source: &str) -> String {
    let reports: Vec<String> = checked(source)
        .diagnostics
        .iter()
        .map(|found| found.render("a.praxis", source, false))
        .collect();
    reports.join("\n")
}

#[test]
fn the_caret_is_under_the_character() {
    assert_snapshot!(rendered("CALL ping\n\tCALL raed_file 字x\n"), @r#"
    error[P0201]: unknown tool `raed_file`
     --> a.praxis:2:7
      |
    2 |     CALL raed_file 字x
      |          ^^^^^^^^^
      = help: did you mean `read_file`?
    "#);
    assert_snapshot!(rendered("IF true\n  PARALLEL\n    CALL ping\nENDIF"), @r#"
    error[P0102]: this PARALLEL is not closed
     --> a.praxis:2:3
      |
    2 |   PARALLEL
      |   ^^^^^^^^
      |
    4 | ENDIF
      | ^^^^^ ENDIF closes a block around it
      = help: close it with END_PARALLEL
    "#);
    assert_snapshot!(rendered("CALL say a\u{202e}b"), @r#"
    error[P0006]: the character U+202E (a control of the writing direction) does not belong here
     --> a.praxis:1:11
      |
    1 | CALL say a<U+202E>b
      |           ^^^^^^^^
      = help: delete it, or quote the word if it is data
    "#);
    assert_snapshot!(rendered("LET 字 = 1\nCALL say 字 $字 $other"), @r#"
    error[P0401]: `other` is not bound
     --> a.praxis:2:15
      |
    2 | CALL say 字 $字 $other
      |                 ^^^^^^
      = help: bind it with `LET other = …` or `INPUT other` on a line above
    "#);
    assert_snapshot!(rendered(&format!("CALL ping @timeout={}", "9".repeat(300))), @r#"
    error[P0302]: `999999999999999999999999999999999999999999999999999999999999…` is not a value of `@timeout`
     --> a.praxis:1:11
      |
    1 | CALL ping @timeout=99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999…
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: it takes a time above zero such as 500ms, 5s, 2m or 1h
    "#);
}

#[test]
fn rows_count_characters() {
    let source = "CALL say é 🦀 $x\n";
    let checked = checked(source);
    let row = checked.diagnostics[0].to_row(source, &praxis_dsl::LineIndex::new(source));
    let json = serde_json::to_string(&row).expect("a row is JSON");
    assert_snapshot!(json, @r#"{"severity":"error","code":"P0401","message":"`x` is not bound","help":"bind it with `LET x = …` or `INPUT x` on a line above","line":1,"column":14,"end_line":1,"end_column":16}"#);
}
