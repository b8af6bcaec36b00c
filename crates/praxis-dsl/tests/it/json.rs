//! The JSON form: text and JSON come back from each other, and data stays data.

use praxis_dsl::json::{Assignment, Clause, Piece, Program, Statement, Word};
use praxis_dsl::{Quote, Tree, check, compat_ast, format, parse};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::mutations::mutants;
use crate::writer::{Random, untidy};

fn program(statements: &Value) -> Value {
    json!({"praxis": 1, "statements": statements})
}

/// A document of statements, and its text.
#[track_caller]
fn check_form(statements: &Value, expected: &str) {
    let document = program(statements);
    let form = Program::from_json(&document.to_string()).expect("it is a program");
    assert_eq!(form.to_source().as_deref(), Ok(expected), "{document:#}");
    let again = Program::of(&parse(expected)).expect("it has no errors");
    assert_eq!(serde_json::to_value(&again).expect("it is JSON"), document);
    assert_eq!(format(&parse(expected)).as_deref(), Ok(expected));
}

/// A document that is refused: where, and a part of why.
#[track_caller]
fn refused(document: &Value, pointer: &str, message: &str) {
    let error = Program::from_value(document)
        .and_then(|form| form.to_source())
        .expect_err(&document.to_string());
    assert_eq!(error.pointer(), pointer, "{error}");
    assert!(error.message().contains(message), "{error}");
}

/// The words of all lines as they are read: the quotes, and the text.
fn words(tree: &Tree) -> Vec<(Quote, String)> {
    let mut open: Vec<_> = tree.statements().collect();
    let mut found = Vec::new();
    while let Some(statement) = open.pop() {
        for word in statement.arguments() {
            found.push((word.quote(), word.text(tree.source()).into_owned()));
        }
        open.extend(statement.children());
        open.extend(statement.clauses());
    }
    found
}

/// What must hold for every text: if it has a form, that gives the same program.
fn holds(source: &str) -> bool {
    let tree = parse(source);
    let Ok(form) = Program::of(&tree) else {
        let clean = !check(&tree, &crate::catalog()).has_errors();
        assert!(!clean, "a right program has a form: {source:?}");
        return false;
    };
    let text = form
        .to_source()
        .unwrap_or_else(|error| panic!("{source:?}: {error}"));
    let again = parse(&text);
    assert_eq!(words(&tree), words(&again), "{source:?}\n{text:?}");
    assert_eq!(
        compat_ast(&tree).ok(),
        compat_ast(&again).ok(),
        "{source:?}\n{text:?}"
    );
    let errors = |tree: &Tree| -> Vec<_> {
        let found = check(tree, &crate::catalog()).diagnostics;
        found
            .into_iter()
            .filter(praxis_dsl::Diagnostic::is_error)
            .map(|found| found.code)
            .collect()
    };
    assert_eq!(errors(&tree), errors(&again), "{source:?}\n{text:?}");
    let document = serde_json::to_string(&form).expect("it is JSON");
    assert_eq!(
        Program::from_json(&document).as_ref(),
        Ok(&form),
        "{document}"
    );
    true
}

#[test]
fn each_statement_has_a_form() {
    check_form(&json!([]), "");
    check_form(
        &json!([
            {"kind": "comment", "text": "what it does"},
            {"kind": "workflow", "name": {"bare": "nightly"},
             "words": [{"option": {"name": "version"}}, {"bare": "1.0"}]},
            {"kind": "input", "name": "target"},
            {"kind": "input", "name": "dir", "default": {"text": "docs"}},
            {"kind": "task", "name": {"text": "look around"}},
            {"kind": "agent", "name": {"bare": "worker-1"}},
            {"kind": "call", "tool": {"bare": "ping"}, "arguments": [
                {"step": {"name": "timeout", "value": {"bare": "5s"}}}]},
            {"kind": "call", "bind": "text", "tool": {"bare": "read_file"}, "arguments": [
                {"template": [{"expression": "dir"}, {"text": "/a \"b\" $c"}]},
                {"option": {"name": "encoding", "value": {"literal": "it's"}}}]},
            {"kind": "let", "name": "pair", "value": {"literal": "{\"a\": [1]}"}},
            {"kind": "return", "value": {"reference": "pair.a[0]"}},
            {"kind": "return"}
        ]),
        "# what it does\nWORKFLOW nightly --version 1.0\nINPUT target\nINPUT dir = \"docs\"\n\
         TASK \"look around\"\nAGENT worker-1\nCALL ping @timeout=5s\n\
         LET text = CALL read_file \"${dir}/a \\\"b\\\" \\$c\" --encoding='it\\'s'\n\
         LET pair = '{\"a\": [1]}'\nRETURN $pair.a[0]\nRETURN\n",
    );
    check_form(
        &json!([
            {"kind": "parallel", "words": [{"option": {"name": "limit"}}, {"bare": "2"}], "body": [
                {"kind": "sequence", "body": [{"kind": "call", "tool": {"bare": "ping"}}]}]},
            {"kind": "if", "condition": "1 > 2  || 'a' == \"#\"", "body": [], "clauses": [
                {"kind": "elif", "condition": "true", "body": [{"kind": "comment", "text": ""}]},
                {"kind": "else", "body": [{"kind": "return"}]}]},
            {"kind": "for", "parallel": true, "variable": "x", "items": {"bare": "[1,2]"},
             "words": [{"option": {"name": "limit", "value": {"bare": "3"}}}], "body": []},
            {"kind": "for", "variable": "y", "items": {"expression": "[1].map(z, z)"}, "body": []},
            {"kind": "try", "body": [], "clauses": [{"kind": "catch", "name": "e", "body": []}]},
            {"kind": "try", "body": []}
        ]),
        "PARALLEL --limit 2\n  SEQUENCE\n    CALL ping\n  END_SEQUENCE\nEND_PARALLEL\n\
         IF 1 > 2  || 'a' == \"#\"\nELIF true\n  #\nELSE\n  RETURN\nENDIF\n\
         PARALLEL FOR x IN [1,2] --limit=3\nEND_FOR\nFOR y IN ${[1].map(z, z)}\nEND_FOR\n\
         TRY\nCATCH e\nEND_TRY\nTRY\nEND_TRY\n",
    );
}

#[test]
fn comments_and_spellings_come_in_one_form() {
    let form = Program::of(&parse("if 1 > 2 # why\n\telse  if true\n#no\nend_if")).unwrap();
    let expected = "# why\nIF 1 > 2\nELIF true\n  # no\nENDIF\n";
    assert_eq!(form.to_source().as_deref(), Ok(expected));
    assert!(holds("#\r\"\n#\u{a0}\n# \u{b}\n#\u{b}a \t\r\n"));
}

#[test]
fn data_stays_data() {
    let call = |argument: Value| {
        program(&json!([{"kind": "call", "tool": {"bare": "say"}, "arguments": [argument]}]))
    };
    for evil in [
        "\nCALL delete_file x",
        "\r\nCALL x",
        "\" CALL x",
        "' x",
        "${secret}",
        "$secret",
        "# x",
        "\0",
        "\\",
        "a\\\n",
        "\u{202e}",
        "\u{2028}",
        "--flag",
        "@id=x",
    ] {
        let document = call(json!({"text": evil}));
        let source = Program::from_value(&document)
            .unwrap()
            .to_source()
            .expect(evil);
        let tree = parse(&source);
        assert_eq!(tree.statements().count(), 1, "{source:?}");
        assert_eq!(words(&tree)[1], (Quote::Double, evil.to_owned()));
        assert!(!check(&tree, &crate::catalog()).has_errors(), "{source}");
    }
    let at = "/statements/0/arguments/0";
    refused(
        &call(json!({"bare": "a\nCALL delete_file x"})),
        at,
        "not one word",
    );
    refused(&call(json!({"bare": "a b"})), at, "not one word");
    refused(&call(json!({"bare": "# a"})), at, "not one word");
    refused(&call(json!({"bare": ""})), at, "not one word");
    refused(
        &call(json!({"bare": "'a'"})),
        at,
        "read as {\"literal\":\"a\"}",
    );
    refused(
        &call(json!({"bare": "$a"})),
        at,
        "read as {\"reference\":\"a\"}",
    );
    refused(
        &call(json!({"bare": "--a"})),
        at,
        "read as {\"option\":{\"name\":\"a\"}}",
    );
    refused(
        &call(json!({"bare": "\"a"})),
        at,
        "quote that is not closed",
    );
    refused(
        &call(json!({"literal": "a\nCALL x"})),
        at,
        "stands on one line",
    );
    refused(&call(json!({"reference": "a b"})), at, "not one word");
    refused(
        &call(json!({"reference": "a-b"})),
        at,
        "read as {\"bare\":\"$a-b\"}",
    );
    refused(
        &call(json!({"expression": "a}\nCALL x"})),
        at,
        "not one word",
    );
    refused(&call(json!({"expression": "a} b"})), at, "not one word");
    refused(
        &call(json!({"template": []})),
        at,
        "read as {\"text\":\"\"}",
    );
    refused(
        &call(json!({"template": [{"expression": "a} ${b"}]})),
        at,
        "read as",
    );
    refused(
        &call(json!({"template": [{"text": "a"}, {"text": "b"}]})),
        at,
        "read as",
    );
    refused(
        &call(json!({"option": {"name": "a b"}})),
        at,
        "not one word",
    );
    refused(&call(json!({"option": {"name": "a=b"}})), at, "read as");
    refused(
        &call(json!({"step": {"name": "id"}})),
        at,
        "read as {\"bare\":\"@id\"}",
    );
    let joined = program(&json!([{"kind": "call", "tool": {"bare": "say"},
        "arguments": [{"bare": "C:\\"}, {"bare": "x"}]}]));
    refused(&joined, at, "backslash");
}

#[test]
fn bad_documents_say_where() {
    refused(&json!([]), "", "a program is an object, not a list");
    refused(&json!({}), "", "`praxis` is missing");
    refused(
        &json!({"praxis": 2, "statements": []}),
        "/praxis",
        "the version is 2",
    );
    refused(
        &json!({"praxis": 1, "statements": [], "a/b~": 1}),
        "/a~1b~0",
        "no field `a/b~`",
    );
    refused(
        &json!({"praxis": 1, "statements": {}}),
        "/statements",
        "a list, not an object",
    );
    let one = |statement: Value| program(&json!([statement]));
    let at = "/statements/0";
    refused(&one(json!("CALL x")), at, "a statement is an object");
    refused(
        &one(json!({"kind": "cal"})),
        "/statements/0/kind",
        "did you mean `call`?",
    );
    refused(
        &one(json!({"kind": 5})),
        "/statements/0/kind",
        "a text, not 5",
    );
    refused(&one(json!({"kind": "call"})), at, "`tool` is missing");
    refused(
        &one(json!({"kind": "call", "tool": "ping"})),
        "/statements/0/tool",
        "a word is an object",
    );
    refused(
        &one(json!({"kind": "call", "tool": {"bear": "ping"}})),
        "/statements/0/tool/bear",
        "did you mean `bare`?",
    );
    refused(
        &one(json!({"kind": "call", "tool": {"bare": "a", "text": "b"}})),
        "/statements/0/tool",
        "one of the fields",
    );
    refused(
        &one(json!({"kind": "call", "tool": {"bare": 5}})),
        "/statements/0/tool/bare",
        "a text, not 5",
    );
    refused(
        &one(json!({"kind": "call", "tool": {"bare": "x"}, "argument": []})),
        "/statements/0/argument",
        "did you mean `arguments`?",
    );
    refused(
        &one(json!({"kind": "call", "bind": "a b", "tool": {"bare": "x"}})),
        "/statements/0/bind",
        "cannot be a name",
    );
    refused(
        &one(json!({"kind": "let", "name": "x = CALL y\nLET z", "value": {"bare": "1"}})),
        "/statements/0/name",
        "cannot be a name",
    );
    refused(
        &one(json!({"kind": "input", "name": "true"})),
        "/statements/0/name",
        "cannot be a name",
    );
    refused(
        &one(json!({"kind": "let", "name": "x", "value": {"bare": "CALL"}})),
        at,
        "CALL has no tool",
    );
    refused(
        &one(json!({"kind": "comment", "text": "a\nCALL x"})),
        "/statements/0/text",
        "one line",
    );
    refused(
        &one(json!({"kind": "comment", "text": "a  "})),
        at,
        "read as another",
    );
    for condition in ["", " a", "a # b", "a\nCALL x", "'a", "a  "] {
        refused(
            &one(json!({"kind": "if", "condition": condition, "body": []})),
            "/statements/0/condition",
            "one line",
        );
    }
    refused(
        &one(json!({"kind": "parallel", "body": [{"kind": "comment", "text": "a"}]})),
        "/statements/0/body",
        "no steps",
    );
    refused(
        &one(
            json!({"kind": "if", "condition": "a", "body": [], "clauses": [{"kind": "catch", "body": []}]}),
        ),
        "/statements/0/clauses/0/kind",
        "elif, else",
    );
    refused(
        &one(
            json!({"kind": "if", "condition": "a", "body": [], "clauses": [{"kind": "else", "body": []}, {"kind": "else", "body": []}]}),
        ),
        "/statements/0/clauses/1",
        "a second ELSE",
    );
    refused(
        &one(
            json!({"kind": "call", "tool": {"bare": "x"}, "arguments": [{"option": {"name": "a", "value": {"option": {"name": "b"}}}}]}),
        ),
        "/statements/0/arguments/0/option/value",
        "no option",
    );
    refused(
        &one(
            json!({"kind": "call", "tool": {"bare": "x"}, "arguments": [{"option": {"name": "a"}}, {"option": {"name": "a"}}]}),
        ),
        at,
        "given twice",
    );
    let not_json = Program::from_json("{\"praxis\": 1,").expect_err("it is cut");
    assert!(
        not_json
            .to_string()
            .contains("the document: it is not JSON: EOF"),
        "{not_json}"
    );
    assert!(Program::from_json("{} {}").is_err());
}

#[test]
fn depth_is_limited_and_not_less_than_that_of_programs() {
    let deep = |levels: usize| {
        let text = format!(
            "{}CALL ping\n{}",
            "SEQUENCE\n".repeat(levels),
            "END_SEQUENCE\n".repeat(levels)
        );
        serde_json::to_string(&Program::of(&parse(&text)).map_err(|found| found.len())).unwrap()
    };
    let document = serde_json::from_str::<Value>(&deep(3)).unwrap()["Ok"].to_string();
    assert!(Program::from_json(&document).is_ok());
    let text = format!(
        "{}CALL ping\n{}",
        "SEQUENCE\n".repeat(128),
        "END_SEQUENCE\n".repeat(128)
    );
    assert!(holds(&text), "128 levels");
    let nested = |levels: usize| {
        let open = "{\"kind\":\"sequence\",\"body\":[".repeat(levels);
        let close = "]}".repeat(levels);
        format!("{{\"praxis\":1,\"statements\":[{open}{{\"kind\":\"return\"}}{close}]}}")
    };
    assert!(
        Program::from_json(&nested(128))
            .unwrap()
            .to_source()
            .is_ok()
    );
    let error = Program::from_json(&nested(130)).expect_err("it is too deep");
    assert!(
        error.pointer().starts_with("/statements/0/body/0"),
        "{error}"
    );
    for levels in [10_000, 1_000_000] {
        let error = Program::from_json(&nested(levels)).expect_err("it is too deep");
        assert!(
            error.message().contains("nested deeper than 272 levels"),
            "{error}"
        );
    }
    assert!(Program::from_json(&"[".repeat(1_000_000)).is_err());
    // A program built by hand is limited too.
    let mut statement = Statement::Return { value: None };
    for _ in 0..500 {
        statement = Statement::Sequence {
            body: vec![statement],
        };
    }
    let program = Program {
        praxis: 1,
        statements: vec![statement],
    };
    assert!(
        program
            .to_source()
            .expect_err("it is too deep")
            .message()
            .contains("128")
    );
}

#[cfg(feature = "schema")]
#[test]
fn the_schema_is_what_is_read() {
    let schema = praxis_dsl::json::schema();
    let variants = |name: &str| {
        schema["$defs"][name]["oneOf"]
            .as_array()
            .expect(name)
            .clone()
    };
    let sample = |name: &str, kind: &str| match (name, kind) {
        ("words" | "arguments" | "body" | "clauses", _) => json!([]),
        ("parallel", _) => json!(true),
        ("name", "workflow" | "task" | "agent") | ("tool" | "value" | "default" | "items", _) => {
            json!({"bare": "x"})
        }
        _ => json!("x"),
    };
    let mut kinds = 0;
    for (definition, wrap) in [
        (
            "Statement",
            (|inner| program(&json!([inner]))) as fn(Value) -> Value,
        ),
        ("Clause", |inner| {
            let block = if inner["kind"] == "catch" {
                json!({"kind": "try", "body": [], "clauses": [inner]})
            } else {
                json!({"kind": "if", "condition": "x", "body": [], "clauses": [inner]})
            };
            program(&json!([block]))
        }),
    ] {
        for variant in variants(definition) {
            let kind = variant["properties"]["kind"]["const"]
                .as_str()
                .expect("a kind");
            let names: Vec<&String> = variant["properties"]
                .as_object()
                .expect("fields")
                .keys()
                .collect();
            let mut whole = json!({});
            for name in &names {
                whole[name.as_str()] = if *name == "kind" {
                    json!(kind)
                } else {
                    sample(name, kind)
                };
            }
            assert!(Program::from_value(&wrap(whole.clone())).is_ok(), "{whole}");
            for name in names {
                let mut without = whole.clone();
                without.as_object_mut().expect("an object").remove(name);
                let required = variant["required"]
                    .as_array()
                    .expect("a list")
                    .contains(&json!(name));
                if name != "kind" {
                    assert_eq!(
                        Program::from_value(&wrap(without.clone())).is_err(),
                        required,
                        "{without}"
                    );
                }
            }
            assert_eq!(variant["additionalProperties"], false, "{kind}");
            whole["surplus"] = json!(1);
            assert!(Program::from_value(&wrap(whole)).is_err(), "{kind}");
            kinds += 1;
        }
    }
    assert_eq!(kinds, 16);
    assert_eq!(variants("Word").len(), 8);
}

fn texts() -> BoxedStrategy<String> {
    prop_oneof![
        "[a-z]{1,6}",
        any::<String>(),
        "[ a'\"\\\\$#{}=\n\r\t@-]{0,8}",
        prop::sample::select(vec![
            "CALL".to_owned(),
            "END_FOR".to_owned(),
            "$x".to_owned(),
            "x.y[0]".to_owned(),
            "size(x) > 0".to_owned()
        ]),
    ]
    .boxed()
}

fn forms_of_words() -> BoxedStrategy<Word> {
    let plain = prop_oneof![
        texts().prop_map(Word::Bare),
        texts().prop_map(Word::Text),
        texts().prop_map(Word::Literal),
        texts().prop_map(Word::Reference),
        texts().prop_map(Word::Expression),
        prop::collection::vec(
            prop_oneof![
                texts().prop_map(Piece::Text),
                texts().prop_map(Piece::Expression)
            ],
            0..4
        )
        .prop_map(Word::Template),
    ];
    let options = (texts(), prop::option::of(plain.clone()), any::<bool>()).prop_map(
        |(name, value, step)| {
            let option = Assignment {
                name,
                value: value.map(Box::new),
            };
            if step {
                Word::Step(option)
            } else {
                Word::Option(option)
            }
        },
    );
    prop_oneof![3 => plain, 1 => options].boxed()
}

fn statements() -> BoxedStrategy<Statement> {
    let words = || prop::collection::vec(forms_of_words(), 0..3);
    let leaf = prop_oneof![
        texts().prop_map(|text| Statement::Comment { text }),
        (forms_of_words(), words()).prop_map(|(name, words)| Statement::Workflow { name, words }),
        (texts(), prop::option::of(forms_of_words()))
            .prop_map(|(name, default)| Statement::Input { name, default }),
        (prop::option::of("[a-z]{1,4}"), forms_of_words(), words()).prop_map(
            |(bind, tool, arguments)| Statement::Call {
                bind,
                tool,
                arguments
            }
        ),
        ("[a-z]{1,4}", forms_of_words()).prop_map(|(name, value)| Statement::Let { name, value }),
        prop::option::of(forms_of_words()).prop_map(|value| Statement::Return { value }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let body = || prop::collection::vec(inner.clone(), 0..3);
        prop_oneof![
            (prop::collection::vec(forms_of_words(), 0..2), body())
                .prop_map(|(words, body)| Statement::Parallel { words, body }),
            body().prop_map(|body| Statement::Sequence { body }),
            (texts(), body(), body()).prop_map(|(condition, body, other)| Statement::If {
                condition,
                body,
                clauses: vec![Clause::Else { body: other }]
            }),
            (any::<bool>(), "[a-z]{1,3}", forms_of_words(), body()).prop_map(
                |(parallel, variable, items, body)| {
                    Statement::For {
                        parallel,
                        variable,
                        items,
                        words: Vec::new(),
                        body,
                    }
                }
            ),
            (body(), prop::option::of("[a-z]{1,3}"), body()).prop_map(|(body, name, other)| {
                Statement::Try {
                    body,
                    clauses: vec![Clause::Catch { name, body: other }],
                }
            }),
        ]
    })
    .boxed()
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
    fn valid_programs_have_a_form(seed in any::<u64>()) {
        let mut random = Random(seed);
        prop_assert!(holds(&untidy(&mut random)));
    }

    /// What is written is read again as exactly the same, whatever the words hold.
    #[test]
    fn documents_come_back(statements in prop::collection::vec(statements(), 0..4)) {
        let form = Program { praxis: 1, statements };
        if let Ok(source) = form.to_source() {
            let again = Program::of(&parse(&source));
            prop_assert_eq!(again.as_ref(), Ok(&form));
        }
        let document = serde_json::to_string(&form).expect("it is JSON");
        prop_assert_eq!(Program::from_json(&document), Ok(form));
    }

    #[test]
    fn every_word_can_be_tried(word in forms_of_words()) {
        let text = serde_json::to_value(&word).expect("it is JSON");
        let document = program(&json!([{"kind": "return", "value": text}]));
        let form = Program::from_value(&document).expect("it is a program");
        match form.to_source() {
            Ok(source) => prop_assert_eq!(source.lines().count(), 1),
            Err(error) => prop_assert!(error.pointer().starts_with("/statements/0"), "{}", error),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn programs_with_a_mistake_are_answered(seed in any::<u64>()) {
        for source in mutants(seed) {
            holds(&source);
        }
    }
}
