//! Each mistake gives one diagnostic with its code at its place.

use praxis_dsl::{Code, decode};

use crate::{checked, found};

/// Each row: the program, then the code and the text under the span of each diagnostic.
#[track_caller]
fn check(source: &str, expected: &str) {
    assert_eq!(found(source), expected, "{source}");
}

#[test]
fn words() {
    check("CALL say \"never closed\nCALL ping", "P0004 \"");
    check("CALL say don't", "P0004 '");
    check("CALL say --text=\"x\nCALL ping", "P0004 \"");
    check("LET x = CALL say \"never\nCALL say $x", "P0004 \"");
    check("CALL say a\"b\"", "P0005 \"");
    check("CALL say a\"b\"c", "P0005 \"");
    check("CALL say \"a\"b", "P0005 b");
    check("CALL say a\u{202e}b", "P0006 \u{202e}");
    check("CALL say a\0b", "P0006 \0");
    check("CALL say a\rb", "P0006 \r");
    check("CA\u{200b}LL say a", "P0006 \u{200b}");
    check("CALL sa\u{200b}y a", "P0006 \u{200b}");
    check("CALL say a\u{200d}b \"a\u{200b}b\"", "");
    check("CALL say \"a ${b\"", "P0007 ${");
    check("CALL say ''\u{feff}x", "P0005 \u{feff}");
    check("CALL say ${a + b", "P0007 ${");
    check("CALL say ${'a}", "P0004 '");
    check("INPUT a\nCALL say ${a}/b", "P0007 ${a}/b");
    check("INPUT a\nCALL say b/${a}", "P0007 ${");
    check("INPUT a\nCALL say b/${a + 1}", "P0007 ${");
    check("INPUT a\nCALL read_file --filename=b${a}", "P0007 ${");
    check("INPUT a\nCALL probe [${a},2]", "P0007 ${");
    check("CALL say b${", "P0007 ${");
    check("CALL say b\\${a} 'b${a}' b$ {a} $", "");
    check("CALL say b\\\\${a}", "P0007 ${");
    check("CALL say ${a + b}", "P0401 a\nP0401 b");
    check("INPUT a\nIF ${a} > 1\nENDIF", "P0008 $");
    check("CALL say ${1 + }", "P0008 +");
    check("CALL say \"${1 +}\"", "P0008 +");
    check("CALL say \"${nothing_like(1)}\"", "P0008 nothing_like(1)");
    check(
        "CALL probe 123456789012345678901234567890",
        "P0010 123456789012345678901234567890",
    );
    check("CALL say 123456789012345678901234567890", "");
    check("LET x = 99999999999999999999", "P0010 99999999999999999999");
}

#[test]
fn structure() {
    check("CAL ping", "P0101 CAL");
    check("ping", "P0101 ping");
    check("frobnicate everything", "P0101 frobnicate");
    check("PARALLEL\nCALL ping", "P0102 PARALLEL");
    check("IF true\nPARALLEL\nCALL ping\nENDIF", "P0102 PARALLEL");
    check("PARALLEL\nCALL ping\nEND_PARALEL", "P0101 END_PARALEL");
    check("PARALLEL\nCALL ping\nEND", "P0101 END");
    check("PARALLEL\nCALL ping\nEND PARALLEL", "P0101 END PARALLEL");
    check("PARALEL\nCALL ping\nEND_PARALLEL", "P0101 PARALEL");
    check("FI true\nCALL ping\nELSE\nCALL ping\nENDIF", "P0101 FI");
    check("END_FOR", "P0103 END_FOR");
    // What was meant shows in what follows, with and without indentation.
    check(
        "PARALLEL\nPARALEL\nCALL ping\nEND_PARALLEL\nCALL ping\nEND_PARALLEL",
        "P0101 PARALEL",
    );
    check("INPUT xs\nFRO x IN $xs\nCALL say $x\nEND_FOR", "P0101 FRO");
    check(
        "INPUT xs\nPARALLEL FRO x IN $xs\nCALL say $x\nEND_FOR",
        "P0101 FRO",
    );
    check("IF true\nPARALLEL\nCALL ping\nENDIF\nENDIF", "P0104 ENDIF");
    check("IF true\n  IF true\n    CALL ping\nENDIF", "P0102 IF");
    check(
        "IF true\nSEQUENCE\nCALL ping\nELSE\nCALL ping\nENDIF",
        "P0102 SEQUENCE",
    );
    check("IF true\nLET x = 1\nELES\nLET x = 2\nENDIF", "P0101 ELES");
    check("INPTU x\nLTE y = $x\nCALL say $y", "P0101 INPTU\nP0101 LTE");
    check(
        "PARALLEL\nCALL ping\nEND_FOR\nEND_PARALLEL",
        "P0103 END_FOR",
    );
    check("PARALLEL\nCALL ping\nEND_FOR", "P0104 END_FOR");
    check("ELSE", "P0105 ELSE");
    check("PARALLEL\nCALL ping\nELIF true\nEND_PARALLEL", "P0105 ELIF");
    check("CATCH e", "P0105 CATCH");
    check("IF true\nELSE\nELSE\nENDIF", "P0106 ELSE");
    check("IF true\nELSE\nELIF true\nENDIF", "P0106 ELIF");
    check("TRY\nCALL ping\nCATCH\nCATCH\nEND_TRY", "P0106 CATCH");
    check("PARALLEL\nEND_PARALLEL", "P0107 PARALLEL");
    check("SEQUENCE\n# nothing\nEND_SEQUENCE", "P0107 SEQUENCE");
    check("CALL", "P0109 CALL");
    check("LET x = CALL\nCALL say $x", "P0109 CALL");
    check("WORKFLOW", "P0109 WORKFLOW");
    check("TASK", "P0109 TASK");
    check("AGENT \"\"", "P0109 AGENT");
    check("INPUT", "P0109 INPUT");
    check("INPUT x =", "P0109 =");
    check("IF\nENDIF", "P0109 IF");
    check("LET", "P0110 LET");
    check("LET x", "P0110 LET x");
    check("LET x=5\nCALL say $x", "P0110 x=5");
    check("LET x =\nCALL say $x", "P0110 LET x =");
    check("LET = 5", "P0110 LET = 5");
    check("FOR\nEND_FOR", "P0111 FOR");
    check("FOR x\nCALL say $x\nEND_FOR", "P0111 FOR x");
    check("FOR x [1]\nCALL say $x\nEND_FOR", "P0111 FOR x [1]");
    check("FOR x IN\nEND_FOR", "P0111 FOR x IN");
    check("FOR IN [1]\nEND_FOR", "P0111 FOR IN [1]");
}

#[test]
fn surplus_and_places() {
    check("AGENT a b c", "P0112 b c");
    check("SEQUENCE now\nCALL ping\nEND_SEQUENCE", "P0112 now");
    check("SEQUENCE\nCALL ping\nEND_SEQUENCE now", "P0112 now");
    check("IF true\nELSE now\nENDIF", "P0112 now");
    check("LET x = a b", "P0112 b");
    check("LET x = 1 + 1", "P0112 + 1");
    check("LET x = \"a\" + 'b'", "P0112 + 'b'");
    check("INPUT x = a b", "P0112 b");
    check("RETURN a b", "P0112 b");
    check("WORKFLOW w lonely", "P0112 lonely");
    check("FOR x IN [1] --limit 2\nEND_FOR", "P0112 --limit 2");
    check(
        "FOR x IN [1] @on_error=maybe\nCALL ping\nEND_FOR",
        "P0302 @on_error=maybe",
    );
    check(
        "FOR x IN [1] @on_eror=stop\nCALL ping\nEND_FOR",
        "P0301 @on_eror=stop",
    );
    check(
        "PARALLEL FOR x IN [1] @on_error=stop --limit 2 @on_error=stop\nCALL ping\nEND_FOR",
        "P0303 @on_error=stop",
    );
    check("FOR x IN [1] @on_error=continue\nCALL ping\nEND_FOR", "");
    check("PARALLEL --limt 2\nCALL ping\nEND_PARALLEL", "P0113 --limt");
    check(
        "PARALLEL FOR x IN [1] --any\nCALL ping\nEND_FOR",
        "P0113 --any",
    );
    check("CALL say -- x", "P0114 --");
    check("CALL ping\nINPUT x", "P0115 INPUT");
    check("IF true\nINPUT x\nENDIF", "P0115 INPUT");
    check("WORKFLOW a\nWORKFLOW b", "P0115 WORKFLOW");
    check("CALL ping\nWORKFLOW a", "P0115 WORKFLOW");
    check("RETURN 1\nCALL ping\nCALL ping", "P0116 CALL");
    check(
        "IF true\nRETURN\nELSE\nRETURN\nENDIF\nCALL ping",
        "P0116 CALL",
    );
    check("PARALLEL\nRETURN 1\nEND_PARALLEL", "P0117 RETURN");
    check(
        "PARALLEL FOR x IN [1]\nIF true\nRETURN\nENDIF\nEND_FOR",
        "P0117 RETURN",
    );
    check(
        "PARALLEL --limit 0\nCALL ping\nEND_PARALLEL",
        "P0118 --limit 0",
    );
    check("PARALLEL --limit\nCALL ping\nEND_PARALLEL", "P0118 --limit");
    check(
        "PARALLEL --any=maybe\nCALL ping\nEND_PARALLEL",
        "P0118 maybe",
    );
    check("FOR x IN files\nEND_FOR", "P0118 files");
    check("INPUT x = $y", "P0118 $y");
}

#[test]
fn tools() {
    check("CALL raed_file a", "P0201 raed_file");
    check("CALL Read_File a", "P0201 Read_File");
    check("CALL read_file a --encodng utf-8", "P0202 --encodng");
    check("CALL word_count --txt x", "P0202 --txt");
    check("CALL read_file a --filename b", "P0203 --filename");
    check("CALL probe --v 1 --v 2", "P0203 --v");
    check("CALL word_count x --text y", "P0203 --text");
    check("CALL read_file", "P0204 read_file");
    check("CALL copy_file a", "P0204 copy_file");
    check("CALL read_file a b c d", "P0205 c d");
    check(
        "PARALLEL --limit 1 --limit 2\nCALL ping\nEND_PARALLEL",
        "P0203 --limit",
    );
    check("WORKFLOW w --a 1 --a 2", "P0203 WORKFLOW w --a 1 --a 2");
    check("CALL ping now", "P0205 now");
    check("CALL typed --count five", "P0206 five");
    check("CALL typed --count 1.5", "P0206 1.5");
    check("CALL typed --flag 1", "P0206 1");
    check("CALL typed --items {}", "P0206 {}");
    check("CALL typed --text --count 1", "P0206 --text");
    check("CALL typed --mode fats", "P0206 fats");
    check("CALL write_file a hello --append", "P0207 --append");
    check("CALL open_tool 1 2 --more x", "");
}

#[test]
fn step_options() {
    check("CALL ping @timout=5s", "P0301 @timout");
    check("CALL say now @timout=5s", "P0301 @timout");
    check("CALL say mail @bob=x", "");
    check("CALL ping @timeout", "P0302 @timeout");
    check("CALL ping @timeout=5d", "P0302 @timeout=5d");
    check("CALL ping @timeout=0", "P0302 @timeout=0");
    check("CALL ping @retries=101", "P0302 @retries=101");
    check("CALL ping @retries=-1", "P0302 @retries=-1");
    check("CALL ping @cache=maybe", "P0302 @cache=maybe");
    check("CALL ping @id=", "P0302 @id=");
    check("CALL ping @engine=$x", "P0302 @engine=$x");
    check("CALL ping @after=a,,b", "P0302 @after=a,,b");
    check("CALL ping @timeout=1s @timeout=2s", "P0303 @timeout=2s");
    check("CALL ping @id=a\nCALL ping @id=a", "P0304 a");
    check("CALL ping @id=s2\nCALL ping", "P0304 s2");
    check("CALL ping @id=first\nCALL ping @after=frist", "P0305 frist");
    check("CALL ping @after=last\nCALL ping @id=last", "");
    check("CALL ping @after=s2\nCALL ping", "");
    check("CALL ping @after=s3\nCALL ping", "P0305 s3");
    check("CALL say @bob", "");
}

#[test]
fn every_code_can_be_found() {
    for code in Code::ALL {
        assert_eq!(Code::find(&code.id().to_lowercase()), Some(*code));
        assert!(!code.title().is_empty() && !code.explanation().is_empty());
    }
    assert_eq!(Code::find("P9999"), None);
}

#[test]
fn help_and_fixes_mend_the_program() {
    let mend = |source: &str| {
        let diagnostic = checked(source).diagnostics.remove(0);
        let fix = diagnostic.fix.unwrap_or_else(|| panic!("no fix: {source}"));
        let mut mended = source.to_owned();
        mended.replace_range(fix.span.range(), &fix.replacement);
        mended
    };
    for (source, expected) in [
        ("CAL ping", "CALL ping"),
        ("ping", "CALL ping"),
        ("PARALLEL\nCALL ping\nEND PARALEL", ""),
        (
            "PARALLEL\nCALL ping\nENDIF",
            "PARALLEL\nCALL ping\nEND_PARALLEL",
        ),
        ("CALL raed_file a", "CALL read_file a"),
        (
            "CALL read_file a --encodng x",
            "CALL read_file a --encoding x",
        ),
        ("CALL ping @timout=5s", "CALL ping @timeout=5s"),
        (
            "LET names = 1\nCALL probe $nmaes",
            "LET names = 1\nCALL probe $names",
        ),
        ("LET $x = 1", "LET x = 1"),
        (
            "INPUT files = []\nLET n = size(files) + 1",
            "INPUT files = []\nLET n = ${size(files) + 1}",
        ),
        (
            "INPUT files = []\nRETURN {'files': size(files)}",
            "INPUT files = []\nRETURN ${{'files': size(files)}}",
        ),
        ("LET pair = {\"a\": [1, 2]}", "LET pair = '{\"a\": [1, 2]}'"),
        ("INPUT a\nCALL say ${a}/b", "INPUT a\nCALL say \"${a}/b\""),
        ("IF true\nCALL ping\nEDNIF", "IF true\nCALL ping\nENDIF"),
        ("CALL sa\u{200b}y x", "CALL say x"),
        ("LET x = 1\nCALL say \"$x\"", "LET x = 1\nCALL say \"${x}\""),
    ] {
        if expected.is_empty() {
            continue;
        }
        let mended = mend(source);
        assert_eq!(mended, expected);
        assert_eq!(found(&mended), "", "{mended}");
    }
}

#[test]
fn bytes_that_are_no_text() {
    assert_eq!(decode("é".as_bytes()).expect("it is UTF-8"), "é");
    let error = decode(b"CALL a\nCALL \xc3\xa9 \xff").expect_err("0xff is not UTF-8");
    assert_eq!((error.location.line, error.location.column), (2, 8));
    assert_eq!(error.to_row().code, "P0001");
    assert!(error.to_string().contains("byte 15"), "{error}");
    assert!(error.render("x").starts_with("error[P0001]: the byte 0xff"));
    let error = decode(b"\x7fELF\0\0\xff").expect_err("it is binary");
    assert_eq!(error.to_row().code, "P0002");
}
