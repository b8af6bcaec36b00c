//! Large and hostile programs: each is answered, in time that grows with its length.

use std::time::Instant;

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

/// Eight times the input may take up to 32 times the time: the bound is loose because the
/// machine is shared, and a quadratic step would take 64 times.
#[test]
fn time_grows_with_the_length() {
    let shapes: [fn(usize) -> String; 18] = [
        |size| " ".repeat(size),
        |size| format!("CALL say {}", "\"${\" ".repeat(size / 5)),
        |size| format!("CALL say \"{}", "${".repeat(size / 2)),
        |size| format!("CALL say {}", "a\"b\"".repeat(size / 4)),
        |size| {
            format!(
                "CALL open_tool 1 {}",
                (0..size / 10)
                    .map(|n| format!("--k{n} 1 "))
                    .collect::<String>()
            )
        },
        |size| "END_FOR\n".repeat(size / 8),
        |size| format!("IF true\n{}ENDIF\n", "ELIF true\n".repeat(size / 100)),
        |size| "PARALEL\n".repeat(size / 32),
        |size| format!("CALL say {}", "\\".repeat(size)),
        |size| format!("CALL say {}", "${a ".repeat(size / 4)),
        |size| {
            format!(
                "CALL say --{}={}",
                "a".repeat(size / 2),
                "${x}=".repeat(size / 10)
            )
        },
        |size| "PARALEL\nCALL a\nEND_PARALLEL\n".repeat(size / 28),
        |size| "FOR x IN [1]\nCALL a\nEND_IF\n".repeat(size / 26),
        |size| "IF a\nPARALLEL\nCALL b\nELSE\nENDIF\n".repeat(size / 32),
        |size| "TRY\nCATCH\nCATCH\n".repeat(size / 16),
        |size| {
            format!(
                "{}IF a\n{}ENDIF\n",
                " ".repeat(size / 2),
                "ELSE\n".repeat(size / 10)
            )
        },
        |size| "LET x = a + b\n".repeat(size / 14),
        |size| {
            (0..size / 24)
                .map(|n| format!("LET name{n} = $nmae{n}\n"))
                .collect()
        },
    ];
    for (index, shape) in shapes.into_iter().enumerate() {
        let time = |size: usize| {
            let source = shape(size);
            (0..3)
                .map(|_| {
                    let start = Instant::now();
                    let tree = parse(&source);
                    let _ = praxis_dsl::compat_ast(&tree);
                    praxis_dsl::check(&tree, &crate::catalog());
                    start.elapsed()
                })
                .min()
                .expect("three runs")
        };
        let (small, large) = (time(20_000), time(160_000));
        let ratio = large.as_secs_f64() / small.as_secs_f64().max(0.0005);
        assert!(ratio < 32.0, "shape {index}: {small:?} became {large:?}");
    }
}
