//! The recorded cases of existing Praxis tools.

use praxis_dsl::{compat_ast, compat_tokens, parse};
use serde_json::Value;

#[test]
fn the_recorded_cases_hold() {
    let cases = include_str!("../fixtures/compat.jsonl");
    let mut count = 0;
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        let id = case["id"].as_str().expect("a case has an id");
        let tree = parse(case["input"].as_str().expect("a case has an input"));
        count += 1;
        if let Some(error) = case.get("error") {
            assert!(tree.has_errors(), "{id} is refused");
            assert!(
                compat_ast(&tree).is_err() && compat_tokens(&tree).is_err(),
                "{id}"
            );
            if let Some(line) = error["line"].as_u64() {
                let row = tree.diagnostics()[0].to_row(tree.source(), tree.line_index());
                assert_eq!(u64::from(row.line), line, "{id}");
            }
            continue;
        }
        let tokens = compat_tokens(&tree).unwrap_or_else(|errors| panic!("{id}: {errors:?}"));
        let ast = compat_ast(&tree).unwrap_or_else(|errors| panic!("{id}: {errors:?}"));
        assert_eq!(json(&tokens), case["tokens"], "{id}: tokens");
        assert_eq!(json(&ast), case["ast"], "{id}: tree");
    }
    assert!(count > 60, "{count} cases");
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The arguments of the only node.
fn args(source: &str) -> Value {
    let tree = parse(source);
    let ast = compat_ast(&tree).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
    json(&ast)["nodes"][0]["args"].clone()
}

fn words(source: &str) -> Value {
    let tree = parse(source);
    let tokens = compat_tokens(&tree).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
    json(&tokens)[0]["args"].clone()
}

#[test]
fn words_are_split_and_unescaped() {
    let check = |source: &str, expected: &[&str]| {
        assert_eq!(
            words(&format!("CALL {source}")),
            serde_json::json!(expected),
            "{source}"
        );
    };
    check(r#"t a"b"c"#, &["t", "a", "b", "c"]);
    check(r#"t "" ''"#, &["t", "", ""]);
    check(r#"t --k="a b" @id="x y""#, &["t", "--k=a b", "@id=x y"]);
    check(
        r#"t "a\"b\\c\nd\te\rf\$g\u{1F980}h\q""#,
        &["t", "a\"b\\c\nd\te\rf$g🦀h\\q"],
    );
    check(r"t 'a\'b\\c\n'", &["t", r"a'b\c\n"]);
    check(
        r"t C:\temp\new.txt \# \$x \\ a\ b \' end\",
        &[
            "t",
            r"C:\temp\new.txt",
            "#",
            "$x",
            r"\",
            "a b",
            "'",
            r"end\",
        ],
    );
    check("t a#b # c", &["t", "a#b"]);
    check(
        r#"t "${a['}']} ${ {'k': "v"} }""#,
        &["t", r#"${a['}']} ${ {'k': "v"} }"#],
    );
    check(r#"t "${" x"#, &["t", "${", "x"]);
    check(
        "t ${a b} ${ {'k': \"v w\"} } c",
        &["t", "${a b}", "${ {'k': \"v w\"} }", "c"],
    );
    check("t --k=${a == 'b c'} x", &["t", "--k=${a == 'b c'}", "x"]);
    check(r"t ${a}/b\ c ${'it\'s'}", &["t", "${a}/b c", r"${'it\'s'}"]);
    check(
        "t ${a b x${a b} $${a b} \\${a b}",
        &["t", "${a", "b", "x${a", "b}", "$${a", "b}", "${a", "b}"],
    );
    check("t ${a # b} ${c # d", &["t", "${a # b}", "${c"]);
    check(
        "t a\u{b}b\u{c}c\td\u{a0}e",
        &["t", "a", "b", "c", "d\u{a0}e"],
    );
    check(
        r#"t "\u{110000} \u{} \u{zz}""#,
        &["t", r"\u{110000} \u{} \u{zz}"],
    );
}

#[test]
fn numbers_keep_their_digits() {
    let tree = parse("CALL t --v 123456789012345678901234567890 --w -0 --x [-0,1e2]");
    let ast = compat_ast(&tree).expect("it is accepted");
    assert!(
        ast.contains("\"v\":123456789012345678901234567890,\"w\":0,\"x\":[-0,1e2]"),
        "{ast}"
    );
}

#[test]
fn options_and_positions_are_named() {
    let check = |source: &str, expected: Value| assert_eq!(args(source), expected, "{source}");
    check("CALL t --a --b", serde_json::json!({"a": true, "b": true}));
    check(
        "CALL t --a=1 --b= --c=x=y",
        serde_json::json!({"a": 1, "b": "", "c": "x=y"}),
    );
    check("CALL t --a \"--b\"", serde_json::json!({"a": "--b"}));
    check(
        "CALL t \"42\" '{\"a\":1}'",
        serde_json::json!({"arg0": "42", "arg1": {"a": 1}}),
    );
    check(
        "CALL t a @timeout=5s --b @id=x",
        serde_json::json!({"arg0": "a", "b": true}),
    );
    check(
        "CALL t @bob @x=1",
        serde_json::json!({"arg0": "@bob", "arg1": "@x=1"}),
    );
    check(
        "CALL write_file o.txt 1  'a  b' --x @timeout=5s \"\"",
        serde_json::json!({"filename": "o.txt", "content": "1 a  b --x "}),
    );
    check(
        "WORKFLOW w --a 1 b 2 --c=3 d",
        serde_json::json!({"name": "w", "a": 1, "b": 2, "c": 3}),
    );
    check("WORKFLOW", serde_json::json!({"name": ""}));
    check("TASK", serde_json::json!({"name": ""}));
    check("AGENT", serde_json::json!({"agent_id": ""}));
    check(
        "IF\nENDIF",
        serde_json::json!({"condition": "true", "else_children": []}),
    );
    check(
        "PARALLEL --limit 2\nCALL t\nEND_PARALLEL",
        serde_json::json!({"limit": 2}),
    );
    check(
        "frobnicate a --b 1",
        serde_json::json!({"arg0": "a", "b": 1}),
    );
}

#[test]
fn words_are_typed() {
    let check = |word: &str, expected: &str| {
        let tree = parse(&format!("CALL t --v {word}"));
        let ast = compat_ast(&tree).unwrap_or_else(|errors| panic!("{word}: {errors:?}"));
        let expected = format!("\"args\":{{\"v\":{expected}}}");
        assert!(ast.contains(&expected), "{word}: {ast}");
    };
    for number in [
        "1E5",
        "1e-7",
        "0.0",
        "-0.0",
        "1e+5",
        "1.10",
        "1e22",
        "5e-324",
        "9223372036854775808",
        "-9223372036854775809",
        "123456789012345678901234567890",
        "[]",
        "[[1],[2,[3]]]",
        "{}",
        "[true,null]",
    ] {
        check(number, number);
    }
    for text in [
        "+5",
        ".5",
        "5.",
        "00",
        "-",
        "1.2.3",
        "2024-01-01",
        "Null",
        "NULL",
        "None",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "1_000",
        "007",
        "-007",
        "0b1",
        "1e",
        "[1,",
        "[1,2",
        "{",
        "{a:1}",
        "[a]",
        "yes",
        "5s",
        "10%",
        "a=b",
        "a,b",
        "@x",
        "-x",
        "$x",
        "${x}",
        "\u{ff11}",
        "\u{663}",
        "truefalse",
        "nan",
    ] {
        check(text, &format!("\"{text}\""));
        check(&format!("'{text}'"), &format!("\"{text}\""));
    }
    for (word, expected) in [
        ("-0", "0"),
        ("True", "true"),
        ("FALSE", "false"),
        ("'[1, 2, 3]'", "[1, 2, 3]"),
        ("\"[1, 2]\"", "[1, 2]"),
        ("' [1] '", " [1] "),
        (r#"'{"a": "it\'s"}'"#, r#"{"a": "it's"}"#),
        (r#"'{"a": "x\ny"}'"#, r#"{"a": "x\ny"}"#),
        (r#""{\"a\": \"b c\"}""#, r#"{"a": "b c"}"#),
        (r#"\"hi\""#, r#""hi""#),
        (r#"'"hi"'"#, r#""\"hi\"""#),
        ("\"42\"", "\"42\""),
        ("'true'", "\"true\""),
        ("\"01234\"", "\"01234\""),
        ("[1, 2]", "\"[1,\",\"arg0\":\"2]\""),
    ] {
        check(word, expected);
    }
}

#[test]
fn calls_are_refused_or_named() {
    let json = |text: &str| -> Value { serde_json::from_str(text).expect("it is JSON") };
    for (call, expected) in [
        ("t x --a 1 y", r#"{"arg0":"x","a":1,"arg1":"y"}"#),
        ("t --a x --b", r#"{"a":"x","b":true}"#),
        ("t --=v", r#"{"":"v"}"#),
        ("t --", r#"{"":true}"#),
        ("t x -- y", r#"{"arg0":"x","":"y"}"#),
        ("t --k==b --K 1", r#"{"k":"=b","K":1}"#),
        ("t --k= v", r#"{"k":"","arg0":"v"}"#),
        ("t --n --5 -5", r#"{"n":true,"5":-5}"#),
        ("t --a.b 1 --a_b 2 --a-b", r#"{"a.b":1,"a_b":2,"a-b":true}"#),
        ("t --arg1 y x", r#"{"arg1":"y","arg0":"x"}"#),
        (
            "read_file --encoding x a",
            r#"{"encoding":"x","filename":"a"}"#,
        ),
        (
            "list_files src --recursive",
            r#"{"directory":"src","recursive":true}"#,
        ),
        (
            "list_directory a b c d",
            r#"{"directory":"a","pattern":"b","recursive":"c","arg3":"d"}"#,
        ),
        (
            "create_directory a true",
            r#"{"directory":"a","recursive":true}"#,
        ),
        (
            "copy_file a b c",
            r#"{"source":"a","destination":"b","arg2":"c"}"#,
        ),
        ("write_file o.txt", r#"{"filename":"o.txt"}"#),
        (
            "write_file o.txt 42",
            r#"{"filename":"o.txt","content":"42"}"#,
        ),
        (
            "write_file o.txt a --mode x b",
            r#"{"filename":"o.txt","content":"a --mode x b"}"#,
        ),
        (
            "write_file --mode x o.txt a b",
            r#"{"mode":"x","filename":"o.txt","content":"a b"}"#,
        ),
        (
            "write_file --content b o.txt",
            r#"{"content":"b","filename":"o.txt"}"#,
        ),
        ("Write_File o.txt a", r#"{"arg0":"o.txt","arg1":"a"}"#),
        ("CALL x", r#"{"arg0":"x"}"#),
    ] {
        assert_eq!(args(&format!("CALL {call}")), json(expected), "{call}");
    }
    for call in [
        "",
        "t --a 1 --a 2",
        "t --a --a",
        "t --a=1 --a 2",
        "t x --arg0 y",
        "t --arg1 y x z",
        "read_file a --filename b",
        "read_file --filename b a",
        "write_file --content b o.txt a",
        "t x'",
        "t \"a\\\"",
    ] {
        assert!(parse(&format!("CALL {call}")).has_errors(), "{call}");
    }
}

#[test]
fn commands_and_blocks() {
    let nodes = |source: &str| {
        let tree = parse(source);
        let ast = compat_ast(&tree).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
        json(&ast)["nodes"].clone()
    };
    for (source, expected) in [
        ("WORKFLOW a b c d", r#"{"name":"a","b":"c"}"#),
        (
            "TASK build --retries 3 timeout 5",
            r#"{"name":"build","retries":3,"timeout":5}"#,
        ),
        ("TASK build --flag", r#"{"name":"build"}"#),
        ("AGENT \"a b\"", r#"{"agent_id":"a b"}"#),
        ("AGENT a --model gpt", r#"{"agent_id":"a","model":"gpt"}"#),
        ("ping x --b 1", r#"{"arg0":"x","b":1}"#),
        (
            "PARALLEL x --limit 2\nping\nEND_PARALLEL",
            r#"{"arg0":"x","limit":2}"#,
        ),
        (
            "IF \"a b\"  ==   'c  d'\nENDIF",
            r#"{"condition":"a b == c  d","else_children":[]}"#,
        ),
        (
            "IF a\nELSE\nEND_IF",
            r#"{"condition":"a","else_children":[]}"#,
        ),
    ] {
        assert_eq!(nodes(source)[0]["args"], json(expected), "{source}");
    }
    for (source, value) in [
        ("straße x", "STRASSE"),
        ("foo-bar", "FOO-BAR"),
        ("END", "END"),
        ("\"two words\"", "TWO WORDS"),
        ("END_FOO", "END_FOO"),
        ("paralel", "PARALEL"),
    ] {
        let node = nodes(source)[0].clone();
        assert_eq!(
            (&node["type"], &node["value"]),
            (&json("\"command\""), &value.into())
        );
        assert_eq!(node["metadata"], json(r#"{"simple_command":true}"#));
    }
    let nested = nodes(
        "parallel\nPARALLEL\nCALL a\nEND_PARALLEL\nSEQUENCE\nCALL b\nEND_SEQUENCE\nend_parallel",
    );
    assert_eq!(
        nested[0]["children"][0]["metadata"]["execution_mode"],
        "parallel"
    );
    assert_eq!(
        nested[0]["children"][1]["metadata"]["execution_mode"],
        "sequence"
    );
    let other = nodes("IF a\nIF b\nCALL x\nELSE\nCALL y\nENDIF\nELSE\nCALL z\nENDIF");
    assert_eq!(
        other[0]["children"][0]["args"]["else_children"][0]["tool_name"],
        "y"
    );
    assert_eq!(other[0]["args"]["else_children"][0]["tool_name"], "z");
    for source in [
        "PARALLEL\n# nothing\n\nEND_PARALLEL",
        "SEQUENCE",
        "END_SEQUENCE",
        "ENDIF",
        "ELSE",
        "PARALLEL\nCALL a\nEND_SEQUENCE",
        "IF a\nELSE\nELSE\nENDIF",
        "IF a\nELSE\nELIF b\nENDIF",
        "PARALLEL\nSEQUENCE\nEND_SEQUENCE\nEND_PARALLEL",
        "IF a",
        "LET x",
        "FOR x\nEND_FOR",
    ] {
        assert!(parse(source).has_errors(), "{source}");
    }
}

#[test]
fn lines_end_and_begin() {
    let check = |source: &str, expected: Value| {
        let tree = parse(source);
        let tokens = json(&compat_tokens(&tree).expect("it is accepted"));
        let words: Vec<Value> = tokens
            .as_array()
            .expect("an array")
            .iter()
            .map(|token| token["args"].clone())
            .collect();
        assert_eq!(Value::from(words), expected, "{source:?}");
    };
    check("\u{feff}CALL a x", serde_json::json!([["a", "x"]]));
    check(
        "\n\n  \n\t# c\nCALL a\n\n#\nCALL b",
        serde_json::json!([["a"], ["b"]]),
    );
    check(
        "CALL a x\r\n\r\nCALL b\r",
        serde_json::json!([["a", "x"], ["b"]]),
    );
    check("CALL a x#y # z", serde_json::json!([["a", "x#y"]]));
    check(
        "CALL\ta\u{b}x\u{c}y\t",
        serde_json::json!([["a", "x", "y"]]),
    );
    check("   ", serde_json::json!([]));
}

#[test]
fn step_options_are_metadata() {
    let tree = parse("CALL t a @timeout=5s @retries=2");
    let ast = json(&compat_ast(&tree).expect("it is accepted"));
    let expected = serde_json::json!({
        "original_args": ["t", "a", "@timeout=5s", "@retries=2"],
        "options": {"timeout": "5s", "retries": 2},
    });
    assert_eq!(ast["nodes"][0]["metadata"], expected);
}

#[test]
fn operators_and_nesting() {
    let tree = parse("| x\nIF a\nCALL t\nELIF b\nELSE\nPARALLEL\nCALL t\nEND_PARALLEL\nENDIF");
    let tokens = json(&compat_tokens(&tree).expect("it is accepted"));
    assert_eq!(tokens[0]["type"], "operator");
    let ast = json(&compat_ast(&tree).expect("it is accepted"));
    let elif = &ast["nodes"][1]["args"]["else_children"][0];
    assert_eq!(ast["nodes"][1]["metadata"]["has_else"], true);
    assert_eq!(elif["args"]["condition"], "b");
    assert_eq!(
        elif["args"]["else_children"][0]["metadata"]["execution_mode"],
        "parallel"
    );
}
