//! What outside bytes get: one diagnostic at the place, with what is there.

use praxis_dsl::{Code, Limits, decode, parse};

use crate::{checked, found};

/// The code and the message of the first diagnostic.
fn first(source: &str) -> String {
    match checked(source).diagnostics.first() {
        Some(found) => format!("{} {}", found.code, found.message),
        None => String::new(),
    }
}

#[test]
fn bytes_that_are_no_text() {
    let check = |bytes: &[u8], place: (u32, u32), message: &str| {
        let error = decode(bytes).expect_err("it is refused");
        assert_eq!((error.location.line, error.location.column), place);
        assert_eq!(error.to_string(), message);
        assert!(
            error.render("x").contains("help: "),
            "{}",
            error.render("x")
        );
    };
    check(
        b"\xff",
        (1, 1),
        "the byte 0xff at byte 0, line 1, column 1 is not UTF-8",
    );
    check(
        b"CALL a\r\nCALL \xc3\xa9 \xc3(",
        (2, 8),
        "the byte 0xc3 at byte 16, line 2, column 8 is not UTF-8",
    );
    check(
        b"CALL a \xe2\x82",
        (1, 8),
        "the byte 0xe2 at byte 7, line 1, column 8 is not UTF-8",
    );
    // A surrogate, and an overlong form.
    check(
        b"\xed\xa0\x80",
        (1, 1),
        "the byte 0xed at byte 0, line 1, column 1 is not UTF-8",
    );
    check(
        b"\xc0\x80",
        (1, 1),
        "the byte 0xc0 at byte 0, line 1, column 1 is not UTF-8",
    );
    check(
        b"\0\xff",
        (1, 2),
        "this looks like a binary file: it has NUL bytes and is not UTF-8 at byte 1, line 1, column 2",
    );
}

#[test]
fn a_source_cut_at_the_limit_is_too_large_and_not_bad_text() {
    let most = Limits::DEFAULT.max_source_bytes;
    // Whoever reads one byte behind the limit has the first half of a character there.
    let mut bytes = vec![b' '; most];
    bytes.push(0xc3);
    let error = decode(&bytes).expect_err("it is too large");
    assert_eq!(error.diagnostic.code, Code::SourceTooLarge);
    assert_eq!(
        error.to_string(),
        format!("the source has more than {most} bytes, and at most {most} are read")
    );
    bytes.pop();
    let text = decode(&bytes).expect("it is just small enough");
    assert_eq!(parse(text).diagnostics(), []);
}

#[test]
fn controls_and_marks() {
    let check = |source: &str, expected: &str| assert_eq!(first(source), expected, "{source:?}");
    check(
        "CALL a\0b",
        "P0006 the character U+0000 (NUL) does not belong here",
    );
    check(
        "\0",
        "P0006 the character U+0000 (NUL) does not belong here",
    );
    check("CALL say 'a\0b'", "");
    check("\u{feff}CALL ping", "");
    check(
        "CALL ping\n\u{feff}CALL ping",
        "P0006 the character U+FEFF (byte-order mark) does not belong here",
    );
    check("CALL ping\r\nCALL ping\r", "");
    check(
        "CALL ping\rCALL ping\n",
        "P0006 the character U+000D (a carriage return without a line feed) does not belong here",
    );
    check("CALL\tsay\thello\tyou", "");
    for (text, called) in [
        ("\u{202e}", "U+202E (a control of the writing direction)"),
        ("\u{2066}", "U+2066 (a control of the writing direction)"),
        ("\u{200b}", "U+200B (zero-width space)"),
        ("\u{200d}", "U+200D (zero-width joiner)"),
        ("\u{ad}", "U+00AD (soft hyphen)"),
    ] {
        let expected = format!("P0006 the character {called} does not belong here");
        for source in [
            format!("CA{text}LL ping"),
            format!("CALL pi{text}ng"),
            format!("LET na{text}me = 1"),
            format!("FOR na{text}me IN [1]\nEND_FOR"),
            format!("INPUT {text}name"),
            format!("CALL typed --co{text}unt 1"),
            format!("TASK la{text}bel"),
        ] {
            check(&source, &expected);
            assert_eq!(checked(&source).diagnostics.len(), 1, "{source:?}");
        }
    }
}

#[test]
fn numbers_beyond_what_there_is() {
    let check = |word: &str, expected: &str| {
        assert_eq!(
            first(&format!("CALL typed --value {word}")),
            expected,
            "{word}"
        );
    };
    check("18446744073709551615", "");
    check("-9223372036854775808", "");
    for word in ["18446744073709551616", "-9223372036854775809"] {
        check(word, &format!("P0010 the number {word} is out of range"));
    }
    check(
        &"9".repeat(400),
        &format!("P0010 the number {}… is out of range", "9".repeat(60)),
    );
    // No JSON number reaches that far, so these are text, as `NaN` is.
    check("1e400", "");
    check("-1e400", "");
    assert_eq!(
        first("CALL typed --ratio 1e400"),
        "P0206 `1e400` is not a number"
    );
}

#[test]
fn ten_thousand_arguments() {
    let named: String = (0..10_000).map(|n| format!(" --k{n} {n}")).collect();
    assert_eq!(found(&format!("CALL open_tool 1{named}")), "");
    assert_eq!(
        found(&format!("CALL open_tool 1{named} --k5000 1")),
        "P0203 --k5000"
    );
    let surplus = "x ".repeat(10_000);
    assert_eq!(
        checked(&format!("CALL ping {surplus}")).diagnostics.len(),
        1
    );
}
