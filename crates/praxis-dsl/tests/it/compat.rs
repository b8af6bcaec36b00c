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
