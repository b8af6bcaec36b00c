//! Large and hostile programs: each is answered, in time that grows with its length.

use praxis_dsl::{Code, Limits, parse, parse_with};

use crate::{checked, found};

#[test]
fn ten_thousand_levels() {
    for (open, close) in [
        ("IF true\n", "ENDIF\n"),
        ("PARALLEL\n", "END_PARALLEL\n"),
        ("FOR x IN [1]\n", "END_FOR\n"),
    ] {
        let source = format!(
            "{}CALL ping\n{}CALL ping\n",
            open.repeat(10_000),
            close.repeat(10_000)
        );
        let tree = parse(&source);
        let codes: Vec<_> = tree.diagnostics().iter().map(|found| found.code).collect();
        assert_eq!(codes, [Code::TooDeep], "{open}");
        assert!(checked(&source).program.is_none());
        // Without the ends there is more to say, and still no overflow.
        assert!(checked(&open.repeat(10_000)).program.is_none());
    }
    let deepest = format!(
        "{}CALL ping\n{}",
        "IF true\n".repeat(128),
        "ENDIF\n".repeat(128)
    );
    assert_eq!(found(&deepest), "");
}

#[test]
fn a_source_beyond_the_limit_is_refused() {
    let limits = Limits {
        max_source_bytes: 10,
        ..Limits::DEFAULT
    };
    let tree = parse_with("CALL ping\n#", &limits);
    assert_eq!(tree.diagnostics()[0].code, Code::SourceTooLarge);
}

#[test]
fn diagnostics_are_bounded() {
    let checked = checked(&"nonsense here\n".repeat(10_000));
    assert_eq!(checked.diagnostics.len(), 101);
    let last = checked.diagnostics.last().expect("there are some");
    assert_eq!(last.code, Code::TooManyDiagnostics);
    assert_eq!(last.message, "9900 more diagnostics are not shown");
}

#[test]
fn a_long_line_and_many_words() {
    let text = "a".repeat(10 << 20);
    assert_eq!(found(&format!("CALL say {text}")), "");
    assert_eq!(found(&format!("CALL say {}", "a ".repeat(100_000))), "");
    let report = {
        let source = format!("CALL ping {text}");
        checked(&source).diagnostics[0].render("x", &source, false)
    };
    assert!(report.len() < 2000, "{}", report.len());
}

#[test]
fn a_tree_takes_the_same_memory_for_each_line() {
    let each = |lines: usize| {
        let source = "LET x = CALL read_file --filename \"a file\" @timeout=5s\n".repeat(lines);
        parse(&source).weight_bytes() / lines
    };
    let (few, many) = (each(1_000), each(100_000));
    assert!(many <= few && many < 300, "{few} and {many} bytes a line");
}

#[test]
fn a_hundred_thousand_lines() {
    let mut source = String::new();
    for number in 0..100_000 {
        source.push_str(&format!(
            "LET x{number} = CALL read_file --filename \"a{number}\"\n"
        ));
    }
    let program = checked(&source).program.expect("it is right");
    assert_eq!(program.body.len(), 100_000);
    assert_eq!(program.body[99_999].location.line, 100_000);
}
