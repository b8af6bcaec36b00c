use std::path::Path;
use std::time::{Duration, Instant};

use praxis_exec::{ErrorKind, ParameterKind, Schema, ToolContract};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::object;

fn contract(schema: Value) -> ToolContract {
    ToolContract::new("t").with_schema(schema).unwrap()
}

fn read(text: &str) -> ToolContract {
    ToolContract::from_yaml(text, Path::new("/tools/x")).unwrap()
}

/// The message of a refused call without the tool's name, or the bound arguments.
fn bind(contract: &ToolContract, arguments: Value) -> Result<Value, String> {
    let bound = contract.bind(object(arguments));
    bound.map(Value::Object).map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::InvalidArguments);
        assert_eq!(error.tool(), Some("t"), "{error}");
        error.message().to_owned()
    })
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
            "code": {"type": "string", "pattern": "^[a-z]+$"},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2, "uniqueItems": true},
            "options": {
                "type": "object",
                "properties": {"retries": {"type": "integer", "minimum": 1}, "mode": {"enum": ["a", "b"]}},
                "required": ["retries"],
                "additionalProperties": false
            },
            "id": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}]},
            "where": {"type": "string", "format": "ipv4"}
        },
        "required": ["count"]
    })
}

#[test]
fn constraints_hold_and_their_breach_is_named() {
    let contract = contract(schema());
    let check = |arguments: Value, expect: &str| {
        assert_eq!(
            bind(&contract, arguments.clone()),
            Err(expect.to_owned()),
            "{arguments}"
        );
    };
    check(
        json!({"count": 0}),
        "argument `count` is 0; it must be at least 1",
    );
    check(
        json!({"count": "10"}),
        "argument `count` is 10; it must be at most 9",
    );
    check(json!({}), "argument `count` (integer) is missing");
    check(
        json!({"count": 1, "code": "A1"}),
        "argument `code` is \"A1\"; it must match \"^[a-z]+$\"",
    );
    check(
        json!({"count": 1, "tags": ["x", 5]}),
        "argument `tags[1]` is 5; it must be text",
    );
    check(
        json!({"count": 1, "tags": ["x", "x"]}),
        "argument `tags` is [\"x\",\"x\"]; its items must differ from each other",
    );
    check(
        json!({"count": 1, "options": {"retries": 0}}),
        "argument `options.retries` is 0; it must be at least 1",
    );
    check(
        json!({"count": 1, "options": {}}),
        "argument `options.retries` is missing",
    );
    check(
        json!({"count": 1, "options": {"retries": 1, "extra": 2}}),
        "argument `options` is {\"extra\":2,\"retries\":1}; it may not have extra",
    );
    check(
        json!({"count": 1, "options": {"retries": 1, "mode": "c"}}),
        "argument `options.mode` is \"c\"; it must be one of [\"a\",\"b\"]",
    );
    check(
        json!({"count": 1, "id": "long"}),
        "argument `id` is \"long\"; it fits none of the forms that are accepted (`anyOf`)",
    );
    check(
        json!({"count": 1, "where": "here"}),
        "argument `where` is \"here\"; it must be of the format `ipv4`",
    );
    check(
        json!({"count": 1, "cout": 1}),
        "there is no parameter \"cout\"; did you mean `count`? (the parameters are count, code, id, options, tags, where)",
    );
    let good = json!({"count": 3, "code": "ab", "tags": ["x"], "options": {"retries": 2, "mode": "a"}, "id": 12345, "where": "127.0.0.1"});
    assert_eq!(bind(&contract, good.clone()), Ok(good));
}

#[test]
fn both_dialects_may_restrict_one_parameter() {
    let texts = [
        "name: t\nparams:\n  - {name: n, type: int, minimum: 1, required: 'true'}\n  - {name: s, type: str, pattern: '^a'}\n",
        "name: t\nparameters:\n  n: {type: int, minimum: 1, required: true}\n  s: {type: text, pattern: '^a'}\n",
        "name: t\nparameters:\n  type: object\n  properties:\n    n: {type: int, minimum: 1}\n    s: {type: str, pattern: '^a'}\n  required: [n]\n",
        "name: t\ninput_schema:\n  type: object\n  properties:\n    n: {type: integer, minimum: 1}\n    s: {type: string, pattern: '^a'}\n  required: [n]\n",
    ];
    for text in texts {
        let contract = read(text);
        assert!(
            contract.warnings.is_empty(),
            "{text}{:?}",
            contract.warnings
        );
        assert_eq!(
            bind(&contract, json!({"n": "2", "s": "ab"})),
            Ok(json!({"n": 2, "s": "ab"}))
        );
        assert_eq!(
            bind(&contract, json!({"n": 0})).unwrap_err(),
            "argument `n` is 0; it must be at least 1"
        );
        assert_eq!(
            bind(&contract, json!({"n": 1, "s": "b"})).unwrap_err(),
            "argument `s` is \"b\"; it must match \"^a\""
        );
        assert!(
            bind(&contract, json!({"s": "a"}))
                .unwrap_err()
                .contains("`n`"),
            "{text}"
        );
    }
}

#[test]
fn types_come_from_what_a_schema_plainly_says() {
    let check = |property: Value, kind: ParameterKind| {
        let schema = json!({
            "type": "object",
            "properties": {"x": property},
            "$defs": {"mode": {"type": "string", "enum": ["a", "b"]}},
        });
        assert_eq!(contract(schema).parameters[0].kind, kind, "{property}");
    };
    check(json!({"type": "string"}), ParameterKind::Text);
    check(json!({"type": ["integer", "null"]}), ParameterKind::Integer);
    check(json!({"type": ["integer", "string"]}), ParameterKind::Any);
    check(
        json!({"anyOf": [{"type": "null"}, {"type": "array"}], "default": null}),
        ParameterKind::Array,
    );
    check(json!({"$ref": "#/$defs/mode"}), ParameterKind::Text);
    check(
        json!({"allOf": [{"$ref": "#/$defs/mode"}]}),
        ParameterKind::Text,
    );
    check(json!({"enum": [1, null]}), ParameterKind::Any);
    check(json!({}), ParameterKind::Any);
    check(json!(true), ParameterKind::Any);
}

#[test]
fn the_order_of_what_is_required_is_that_of_positional_words() {
    let contract = contract(json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "z": {"type": "string"}, "m": {"type": "string"}},
        "required": ["z", "m"],
    }));
    let names: Vec<&str> = contract
        .parameters
        .iter()
        .map(|parameter| parameter.name.as_str())
        .collect();
    assert_eq!(names, ["z", "m", "a"]);
    assert_eq!(
        contract.schema.unwrap().value()["required"],
        json!(["z", "m"])
    );
}

#[test]
fn a_schema_is_part_of_the_digest() {
    let digest = |limit: u32| {
        let schema =
            json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": limit}}});
        contract(schema).digest().unwrap()
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn schemas_that_cannot_be_held_are_refused() {
    let check = |schema: Value, words: &str| {
        let error = Schema::new(schema).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidContract);
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().len() < 600, "{error}");
    };
    let of = |property: Value| json!({"type": "object", "properties": {"x": property}});
    check(json!([]), "is a JSON object, not []");
    check(json!({"type": "string"}), "`type: object`, not \"string\"");
    check(of(json!({"type": "colour", "minimum": 1})), "/properties/x");
    check(of(json!({"minimum": "1"})), "/properties/x/minimum");
    check(of(json!({"pattern": "(?=look)"})), "/properties/x/pattern");
    check(of(json!({"pattern": "(a)\\1"})), "/properties/x/pattern");
    check(of(json!({"pattern": "["})), "/properties/x/pattern");
    check(
        of(json!({"$ref": "#/$defs/none"})),
        "refers to `#/$defs/none`, which is not in it",
    );
    for address in [
        "http://127.0.0.1:9/schema.json",
        "https://example.com/x",
        "file:///etc/passwd",
        "other.json",
    ] {
        check(
            of(json!({"$ref": address})),
            "which is not in it; references are a `$ref` of the form `#/…`",
        );
    }
    check(
        json!({"$schema": "http://127.0.0.1:9/meta", "type": "object", "minProperties": 1}),
        "its JSON Schema is refused",
    );
    check(
        of(json!({"enum": ["x".repeat(300_000)]})),
        "more than 262144 bytes",
    );
    let mut deep = json!({"minimum": 1});
    for _ in 0..200 {
        deep = json!({"not": deep});
    }
    check(of(deep), "deeper than 64");
    let many: Vec<Value> = (0..300)
        .map(|number| json!({"pattern": format!("{number}")}))
        .collect();
    check(
        of(json!({"anyOf": many})),
        "more than 64 regular expressions",
    );
    let started = Instant::now();
    check(
        of(json!({"pattern": "((a{1,200}){1,200}){1,200}"})),
        "/properties/x/pattern",
    );
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn recursion_is_followed_as_far_as_the_arguments_go() {
    let tree = contract(json!({
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/node"}},
        "$defs": {"node": {
            "type": "object",
            "properties": {"value": {"type": "integer"}, "left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}},
            "required": ["value"],
        }},
    }));
    let mut good = json!({"value": 1});
    for _ in 0..100 {
        good = json!({"value": 1, "left": good});
    }
    assert!(bind(&tree, json!({"tree": good})).is_ok());
    let bad = json!({"value": 1, "left": {"value": 2, "right": {"value": "x"}}});
    assert_eq!(
        bind(&tree, json!({"tree": bad})).unwrap_err(),
        "argument `tree.left.right.value` is \"x\"; it must be an integer"
    );
}

#[test]
fn schemas_made_to_hang_are_refused_or_do_not() {
    let with = |property: Value, defs: Value| {
        Schema::new(json!({"type": "object", "properties": {"x": property}, "$defs": defs}))
    };
    for node in [
        json!({"$ref": "#/$defs/a"}),
        json!({"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}),
        json!({"not": {"$ref": "#/$defs/a"}}),
    ] {
        let error = with(json!({"$ref": "#/$defs/a"}), json!({"a": node})).unwrap_err();
        assert_eq!(
            error.message(),
            "its JSON Schema refers to itself without going down into the argument"
        );
    }
    // Every definition asks the one before it twice: 2^60 questions if each were put.
    let doubling = |levels: usize, below: bool| {
        let mut defs = json!({"d0": {"type": "integer", "minimum": 5}});
        for level in 1..=levels {
            let before = json!({"$ref": format!("#/$defs/d{}", level - 1)});
            let before = if below {
                json!({"items": before})
            } else {
                before
            };
            defs[format!("d{level}")] = json!({"anyOf": [before, before]});
        }
        with(json!({"$ref": format!("#/$defs/d{levels}")}), defs)
    };
    let error = doubling(60, false).unwrap_err();
    assert_eq!(
        error.message(),
        "its JSON Schema holds one value against more than 1000000 parts of itself"
    );
    let chain = (1..2000).map(|level| {
        (
            format!("d{level}"),
            json!({"$ref": format!("#/$defs/d{}", level - 1)}),
        )
    });
    let mut defs: Value = chain.collect::<serde_json::Map<_, _>>().into();
    defs["d0"] = json!({"minimum": 5});
    let error = with(json!({"$ref": "#/$defs/d1999"}), defs).unwrap_err();
    assert_eq!(
        error.message(),
        "its JSON Schema has more than 256 references in a row"
    );

    // The same, one level of the arguments down at each question, with and without an end.
    let started = Instant::now();
    let twice = json!({"type": "array", "items": {"$ref": "#/$defs/n"}});
    let endless = with(
        json!({"$ref": "#/$defs/n"}),
        json!({"n": {"anyOf": [twice, twice]}}),
    );
    for schema in [doubling(40, true).unwrap(), endless.unwrap()] {
        for levels in [3, 12, 16, 30, 100] {
            let deep = (0..levels).fold(json!(1), |inner, _| json!([inner]));
            let error = schema.validate(object(json!({"x": deep})));
            if let Err(error) = error {
                assert!(error.to_string().len() < 300, "{error}");
            }
        }
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        let error = schema.validate(object(json!({"x": deep}))).unwrap_err();
        assert!(
            error
                .message()
                .starts_with("the arguments nest 101 levels deep"),
            "{error}"
        );
    }
    // What a backtracking engine would try in 2^100000 ways.
    let schema = with(json!({"pattern": "^(a|a)*$"}), json!({})).unwrap();
    let error = schema
        .validate(object(json!({"x": format!("{}b", "a".repeat(100_000))})))
        .unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_schema_panics(
        keyword in prop::sample::select(vec![
            "type", "properties", "required", "items", "$ref", "$defs", "enum", "pattern", "anyOf", "not", "minimum",
            "additionalProperties", "default", "$schema", "$id", "format", "dependentSchemas", "unevaluatedProperties",
        ]),
        value in prop::sample::select(vec![
            "null", "true", "5", "-1e300", "\"\"", "\"#\"", "\"(\"", "[]", "[[]]", "{}", "{\"a\":{}}", "[\"a\",1]", "\"object\"",
        ]),
    ) {
        let value: Value = serde_json::from_str(value).unwrap();
        for schema in [
            json!({"type": "object", keyword: value}),
            json!({"type": "object", "properties": {"x": {keyword: value}}}),
        ] {
            if let Ok(contract) = ToolContract::new("t").with_schema(schema) {
                let _ = contract.bind(object(json!({"x": 1})));
                let _ = contract.bind(object(json!({"x": {"a": [null]}})));
            }
        }
    }
}
