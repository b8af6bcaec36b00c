use praxis_cache::{CacheKeyBuilder, ErrorKind, KeyRef, MAX_DEPTH, MAX_KEY_BYTES};
use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

fn canonical(arguments: Value) -> String {
    let back = CacheKeyBuilder::new("")
        .with_key(&map(arguments), |key| key.arguments().unwrap())
        .unwrap();
    Value::Object(back).to_string()
}

fn check(arguments: &str, expect: &str) {
    assert_eq!(canonical(serde_json::from_str(arguments).unwrap()), expect);
}

#[test]
fn canonical_json() {
    check("{}", "{}");
    check(r#"{"b":1,"a":[],"":{}}"#, r#"{"":{},"a":[],"b":1}"#);
    check(
        r#"{"a":[1,1.0,-0.0,0.0,0,-1]}"#,
        r#"{"a":[1,1.0,-0.0,0.0,0,-1]}"#,
    );
    check(
        r#"{"a":[null,true,false,"null"]}"#,
        r#"{"a":[null,true,false,"null"]}"#,
    );
    check(
        r#"{"a":[18446744073709551615,-9223372036854775808]}"#,
        r#"{"a":[18446744073709551615,-9223372036854775808]}"#,
    );
    check(
        r#"{"a":[1e16,0.1,1e-7,1E300]}"#,
        &json!({"a": [1e16, 0.1, 1e-7, 1e300]}).to_string(),
    );
    check(
        r#"{"a":"\"\\\/\b\f\n\r\t\u0000\u001f\u007f\u00e9"}"#,
        "{\"a\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}\u{e9}\"}",
    );
}

#[test]
fn text_is_not_normalised() {
    assert_ne!(
        canonical(json!({"a": "\u{e9}"})),
        canonical(json!({"a": "e\u{301}"}))
    );
}

#[test]
fn keys_are_the_same_in_every_version() {
    let key = CacheKeyBuilder::new("read_file")
        .contract(&[1, 2, 3])
        .tenant("acme")
        .variables(b"v")
        .key(&map(
            json!({"path": "a.txt", "n": [1, 2.5, null, true], "o": {"z": "\n", "y": "é"}}),
        ))
        .unwrap();
    let text: String = key.as_ref().bytes().escape_ascii().to_string();
    assert_eq!(
        text,
        r#"\x03\t\x00\x00\x00read_file\x03\x00\x00\x00\x01\x02\x03\x01\x04\x00\x00\x00acme\x01\x00\x00\x00v\x93qn\x840\x01\x00\x00\x00\x00\x00\x00\x00P\x00\x00\x00\x00\x00\x00\x04@\x00 qo\x92qyr\xc3\xa9qzq\ntpathua.txt"#
    );
    assert_eq!(key.id().to_string(), "7670ad33aecd1cdb2433a2565b4db511");
    assert_eq!(key.as_ref().tenant(), Some("acme"));
    assert_eq!(key.tool(), "read_file");
    let back = KeyRef::from_bytes(key.as_ref().bytes()).unwrap();
    assert_eq!(back.to_key(), key);
}

#[test]
fn every_length_reads_back() {
    for length in (0..40).chain(250..260).chain([1_000, 2_000, 70_000]) {
        let text: String = ('a'..='z').cycle().take(length).collect();
        let arguments = json!({
            "text": text,
            "items": vec![Value::Null; length],
            "nested": { &text: -1 },
        });
        let arguments = map(arguments);
        let key = CacheKeyBuilder::new("tool").key(&arguments).unwrap();
        assert_eq!(key.as_ref().arguments(), Some(arguments), "{length}");
    }
}

#[test]
fn bytes_that_are_no_key_are_refused() {
    for bytes in [
        &b""[..],
        b"\x01",
        b"\x01\0\0\0\0",
        b"\x03\xff\xff\xff\xffabc",
        b"\x03\x01\0\0\0\xff",
    ] {
        assert!(KeyRef::from_bytes(bytes).is_none(), "{bytes:?}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| {
        let mut value = json!({});
        for level in 1..levels {
            value = if level % 2 == 0 {
                Value::Array(vec![value])
            } else {
                Value::Object(Map::from_iter([("a".to_owned(), value)]))
            };
        }
        Map::from_iter([("a".to_owned(), value)])
    };
    let keys = CacheKeyBuilder::new("deep");
    keys.key(&nested(MAX_DEPTH - 1)).unwrap();
    for levels in [MAX_DEPTH, 10_000] {
        let arguments = nested(levels);
        let error = keys.key(&arguments).unwrap_err();
        // Dropping it would overflow the stack, in `serde_json` itself.
        std::mem::forget(arguments);
        assert_eq!(error.kind(), ErrorKind::TooDeep);
        assert!(error.to_string().contains("`deep`"), "{error}");
    }
}

#[test]
fn length_is_bounded() {
    let keys = CacheKeyBuilder::new("long\0tool");
    let with = |length: usize| keys.key(&map(json!({ "a": "x".repeat(length) })));
    assert_eq!(with(1 << 20).unwrap().tool(), "long\0tool");
    assert_eq!(with(MAX_KEY_BYTES).unwrap_err().kind(), ErrorKind::TooLong);
    let long = CacheKeyBuilder::new("t").contract(&vec![0; MAX_KEY_BYTES]);
    assert_eq!(
        long.key(&Map::new()).unwrap_err().kind(),
        ErrorKind::TooLong
    );
    let zeros = map(json!({ "a": vec![0; MAX_KEY_BYTES / 2] }));
    assert_eq!(keys.key(&zeros).unwrap_err().kind(), ErrorKind::TooLong);
}

#[test]
fn a_key_may_be_built_while_another_is_lent() {
    let keys = CacheKeyBuilder::new("tool");
    let (one, two) = (map(json!({"a": 1})), map(json!({"a": 2})));
    let inner = keys.with_key(&one, |outer| {
        let inner = keys.key(&two).unwrap();
        assert_eq!(outer.to_key(), keys.key(&one).unwrap());
        inner
    });
    assert_eq!(inner.unwrap(), keys.key(&two).unwrap());
}

/// The naive model: a value as a tree in which equality is what the key promises.
#[derive(Debug, PartialEq)]
enum Model {
    Null,
    Bool(bool),
    Integer(i128),
    Float(u64),
    Text(String),
    List(Vec<Model>),
    Object(std::collections::BTreeMap<String, Model>),
}

fn model(value: &Value) -> Model {
    let number = |number: &Number| match (number.as_u64(), number.as_i64()) {
        (Some(n), _) => Model::Integer(n.into()),
        (_, Some(n)) => Model::Integer(n.into()),
        _ => Model::Float(number.as_f64().unwrap().to_bits()),
    };
    match value {
        Value::Null => Model::Null,
        Value::Bool(b) => Model::Bool(*b),
        Value::Number(n) => number(n),
        Value::String(text) => Model::Text(text.clone()),
        Value::Array(items) => Model::List(items.iter().map(model).collect()),
        Value::Object(map) => {
            Model::Object(map.iter().map(|(k, v)| (k.clone(), model(v))).collect())
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab\"\\\\\n,:{}\\[\\]\0]{0,3}",
        "\\PC{0,12}",
        "[a-c]{0,20}\"?"
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..3_i64).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop_oneof![Just(0.0), Just(-0.0), Just(1.0), any::<f64>()].prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn arguments() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(("[ab]{0,2}", value()), 0..3)
        .prop_map(|members| members.into_iter().collect())
}

type Parts = (String, Vec<u8>, Option<String>, Vec<u8>, Map<String, Value>);

fn parts() -> impl Strategy<Value = Parts> {
    (
        "[ab\0]{0,2}",
        prop::collection::vec(0..3_u8, 0..2),
        prop::option::of("[ab]{0,2}"),
        prop::collection::vec(0..3_u8, 0..2),
        arguments(),
    )
}

fn build((tool, contract, tenant, variables, arguments): &Parts) -> praxis_cache::CacheKey {
    let mut keys = CacheKeyBuilder::new(tool)
        .contract(contract)
        .variables(variables);
    if let Some(tenant) = tenant {
        keys = keys.tenant(tenant);
    }
    keys.key(arguments).unwrap()
}

/// Two sets of parts that share some of them, so that equal and nearly equal keys come up.
fn pairs() -> impl Strategy<Value = (Parts, Parts)> {
    (parts(), parts(), 0..64_u8).prop_map(|(one, mut two, same)| {
        if same & 1 == 0 {
            two.0 = one.0.clone();
        }
        if same & 2 == 0 {
            two.1 = one.1.clone();
        }
        if same & 4 == 0 {
            two.2 = one.2.clone();
        }
        if same & 8 == 0 {
            two.3 = one.3.clone();
        }
        if same & 48 != 48 {
            two.4 = one.4.clone();
        }
        (one, two)
    })
}

proptest! {
    #[test]
    fn keys_are_equal_exactly_if_their_parts_are((one, two) in pairs()) {
        let args = |parts: &Parts| model(&Value::Object(parts.4.clone()));
        let same = (&one.0, &one.1, &one.2, &one.3) == (&two.0, &two.1, &two.2, &two.3) && args(&one) == args(&two);
        let (key_one, key_two) = (build(&one), build(&two));
        prop_assert_eq!(key_one == key_two, same);
        prop_assert_eq!(key_one.id() == key_two.id(), same);
        prop_assert_eq!(key_one.tool(), one.0);
    }

    #[test]
    fn canonical_arguments_read_back_the_same(arguments in arguments()) {
        let back = CacheKeyBuilder::new("").with_key(&arguments, |key| key.arguments()).unwrap();
        let back = model(&Value::Object(back.unwrap()));
        prop_assert_eq!(back, model(&Value::Object(arguments)));
    }

    #[test]
    fn bytes_from_outside_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let bytes = [b"\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", bytes.as_slice()].concat();
        if let Some(key) = KeyRef::from_bytes(&bytes) {
            let _ = (key.arguments(), key.tenant());
        }
    }

    #[test]
    fn order_does_not_matter(members in prop::collection::btree_map("\\PC{0,4}", value(), 0..8)) {
        let forth: Map<String, Value> = members.clone().into_iter().collect();
        let back: Map<String, Value> = members.into_iter().rev().collect();
        let keys = CacheKeyBuilder::new("tool");
        prop_assert_eq!(keys.key(&forth).unwrap(), keys.key(&back).unwrap());
    }
}
