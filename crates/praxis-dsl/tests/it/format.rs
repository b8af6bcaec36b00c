//! The formatter: one layout, the same program, a fixed point.

use praxis_dsl::{Limits, format, parse, parse_with};
use proptest::prelude::*;

use crate::mutations::mutants;
use crate::writer::{Random, untidy};

#[track_caller]
fn check_format(source: &str, expected: &str) {
    let formatted = format(&parse(source)).unwrap_or_else(|found| panic!("{source:?}: {found:#?}"));
    assert_eq!(formatted, expected, "{source:?}");
    holds(source);
}

/// What must hold for every text: the same program, and a fixed point.
fn holds(source: &str) {
    crate::fuzzing::bodies::format(source.as_bytes());
}

#[test]
fn layout() {
    check_format("", "");
    check_format("\n\n \n", "");
    check_format("call  ping", "CALL ping\n");
    check_format("let x   =\tcall ping\n", "LET x = CALL ping\n");
    check_format(
        "for x in [1]\ncall probe $x\nendfor",
        "FOR x IN [1]\n  CALL probe $x\nEND_FOR\n",
    );
    check_format(
        "if true\ncall ping\nelse if 1 > 2\n\tcall ping\nelse\ntry\ncall ping\ncatch e\nEndTry\nend_if",
        "IF true\n  CALL ping\nELIF 1 > 2\n  CALL ping\nELSE\n  TRY\n    CALL ping\n  CATCH e\n  END_TRY\nENDIF\n",
    );
    check_format(
        "parallel  for x in [1] --limit  2\nsequence\ncall ping\nendsequence\nend_for",
        "PARALLEL FOR x IN [1] --limit 2\n  SEQUENCE\n    CALL ping\n  END_SEQUENCE\nEND_FOR\n",
    );
    check_format(
        "\n# one\n\n\n\ncall ping # two \t\n   #three\nsequence\n# four\ncall ping\n\n# five\nend_sequence\n\n",
        "# one\n\nCALL ping  # two\n#three\nSEQUENCE\n  # four\n  CALL ping\n\n  # five\nEND_SEQUENCE\n",
    );
    // Line ends and the byte-order mark stay.
    check_format("call a\r\n\r\n\r\ncall b\n", "CALL a\r\n\r\nCALL b\r\n");
    check_format("call a\ncall b\r\n", "CALL a\nCALL b\n");
    check_format("\u{feff}\ncall a", "\u{feff}CALL a\n");
    check_format("\u{feff}\u{feff}call a", "\u{feff}\u{feff}call a\n");
    check_format("\n\n\u{feff}call a", "\n\u{feff}call a\n");
    // A name that is a keyword, a tool that is one, and quoted keywords are no keywords.
    check_format("call call let", "CALL call let\n");
    check_format("for in in in\nend_for", "FOR in IN in\nEND_FOR\n");
    check_format("let let = if", "LET let = if\n");
    check_format("\"call\" ping", "\"call\" ping\n");
    check_format("let x = \"call\" y", "LET x = \"call\" y\n");
}

#[test]
fn words_stay_as_they_are_written() {
    check_format(
        "call say  'a  b'   \"c  ${ 'd  e' }\"  ${ 1  +  2 }   --k=\"f  g\"   C:\\temp\\",
        "CALL say 'a  b' \"c  ${ 'd  e' }\" ${ 1  +  2 } --k=\"f  g\" C:\\temp\\\n",
    );
    check_format("call say a\\  # b", "CALL say a\\   # b\n");
    check_format("call say a\\ \t", "CALL say a\\ \n");
    check_format("call say a#b \\#c #d", "CALL say a#b \\#c  #d\n");
    check_format("call say 'a'#b", "CALL say 'a'#b\n");
    check_format("call say don\\'t", "CALL say don\\'t\n");
    check_format("call say a\r\r\ncall b", "CALL say a\r\r\nCALL b\n");
    check_format("call say a\rb\r\ncall b", "CALL say a\rb\r\nCALL b\r\n");
    check_format("call say a\r # b\ncall b", "CALL say a\r  # b\nCALL b\n");
    // In a condition, blanks may be part of a text.
    check_format("if  1   >\t2\nendif", "IF 1 > 2\nENDIF\n");
    check_format(
        "if  'a  b'  ==  x  # c\nendif",
        "IF 'a  b'  ==  x  # c\nENDIF\n",
    );
    check_format(
        "if r'\\' + 'a  b' + r'\\' == x\nendif",
        "IF r'\\' + 'a  b' + r'\\' == x\nENDIF\n",
    );
}

#[test]
fn what_the_parser_reports_stays() {
    check_format(
        "sequence\n call  say \"never\n   let x\n\tcall  ping\nend_sequence",
        "SEQUENCE\n call  say \"never\n   let x\n  CALL ping\nEND_SEQUENCE\n",
    );
    check_format(
        "parallel\ncall  ping\n   end_paralel\ncall  ping",
        "PARALLEL\n  CALL ping\n   end_paralel\nCALL ping\n",
    );
    check_format("end_for\ncall  ping", "end_for\nCALL ping\n");
    // A line that only the checker reports is laid out as others are.
    check_format("  frobnicate   all", "frobnicate all\n");
    check_format("\r\n call \"x\ncall  a", " call \"x\r\nCALL a\r\n");
    for refused in [
        "if true\ncall ping",
        "parallel\ncall ping\nif true\nend_parallel",
    ] {
        let tree = parse(refused);
        let found = format(&tree).expect_err(refused);
        assert_eq!(found, tree.diagnostics(), "{refused}");
    }
}

#[test]
fn limits() {
    let limits = Limits {
        max_source_bytes: 10,
        ..Limits::DEFAULT
    };
    let found = format(&parse_with("CALL read_file a", &limits)).expect_err("it is too large");
    assert_eq!(found[0].code.id(), "P0003");
    // The indent of a few bytes must not fill the memory.
    let deep = "SEQUENCE\n".repeat(128);
    let ends = "END_SEQUENCE\n".repeat(128);
    let many = format!("{deep}{}{ends}", "c\n".repeat(300_000));
    let found = format(&parse(&many)).expect_err("the result would be too large");
    assert_eq!(found[0].code.id(), "P0003");

    holds(&format!("{}call ping", "sequence\n".repeat(10_000)));
    let deep = format!(
        "{}call  ping\n{}",
        "  sequence\n".repeat(10_000),
        "end_sequence\n".repeat(10_000)
    );
    holds(&deep);
    assert!(format(&parse(&deep)).is_ok());
    holds(&format!("call say {}", "a  ".repeat(50_000)));
    holds(&format!("call say {}#", " \t".repeat(50_000)));
    holds(&"\n".repeat(50_000));
}

proptest! {
    #[test]
    fn every_text_keeps_its_program(source in any::<String>()) {
        holds(&source);
    }

    #[test]
    fn pieces_of_programs_keep_theirs(source in crate::properties::programs()) {
        holds(&source);
    }

    #[test]
    fn valid_programs_have_one_layout(seed in any::<u64>()) {
        let mut random = Random(seed);
        let source = untidy(&mut random);
        prop_assert!(format(&parse(&source)).is_ok());
        holds(&source);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn programs_with_a_mistake_keep_theirs(seed in any::<u64>()) {
        for source in mutants(seed) {
            holds(&source);
        }
    }
}
