use praxis_exec::{ErrorKind, Parameter, ParameterKind, ToolContract};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::object;

fn bind_one(kind: ParameterKind, value: Value) -> Result<Value, String> {
    let contract = ToolContract::new("t").parameter(Parameter::new("x", kind).required());
    contract
        .bind(Map::from_iter([("x".to_owned(), value)]))
        .map(|mut bound| bound.remove("x").unwrap_or(Value::Null))
        .map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::InvalidArguments);
            assert!(!error.is_retryable());
            error.message().to_owned()
        })
}

#[test]
fn arguments_become_what_is_declared_where_nothing_is_lost() {
    use ParameterKind::*;
    let check = |kind, value: Value, expect: Value| {
        assert_eq!(
            bind_one(kind, value.clone()),
            Ok(expect),
            "{kind} from {value}"
        );
    };
    check(Integer, json!("5"), json!(5));
    check(Integer, json!(5.0), json!(5));
    check(Integer, json!(" -7 "), json!(-7));
    check(Integer, json!("18446744073709551615"), json!(u64::MAX));
    check(Number, json!("2.5"), json!(2.5));
    check(Number, json!("5"), json!(5));
    check(Boolean, json!("True"), json!(true));
    check(Text, json!(5), json!("5"));
    check(Text, json!(true), json!("true"));
    check(Text, json!({"a": [1]}), json!("{\"a\":[1]}"));
    check(Text, json!("007"), json!("007"));
    check(Array, json!("[1, 2]"), json!([1, 2]));
    check(Object, json!("{\"a\": 1}"), json!({"a": 1}));
    check(Any, json!("5"), json!("5"));
    check(Any, Value::Null, Value::Null);
}

#[test]
fn what_does_not_fit_is_refused() {
    use ParameterKind::*;
    let check = |kind, value: Value, expect: &str| {
        assert_eq!(bind_one(kind, value), Err(expect.to_owned()));
    };
    check(
        Integer,
        json!("five"),
        "argument `x` is \"five\", not an integer",
    );
    check(Integer, json!(5.5), "argument `x` is 5.5, not an integer");
    check(
        Integer,
        json!("5e300"),
        "argument `x` is \"5e300\", not an integer",
    );
    check(
        Integer,
        json!("007"),
        "argument `x` is \"007\", not an integer",
    );
    check(
        Number,
        json!("NaN"),
        "argument `x` is \"NaN\", not a number",
    );
    check(Boolean, json!(1), "argument `x` is 1, not true or false");
    check(
        Array,
        json!("{}"),
        "argument `x` is \"{}\", not a JSON array",
    );
    check(Object, json!([1]), "argument `x` is [1], not a JSON object");
    check(Text, Value::Null, "argument `x` (text) is missing");
}

#[test]
fn names_defaults_and_choices() {
    let contract = ToolContract::new("t")
        .parameter(Parameter::text("filename").describe("the file"))
        .parameter(Parameter::text("mode").or("fast").one_of(["fast", "slow"]))
        .parameter(Parameter::new("limit", ParameterKind::Integer).one_of([1, 2]));
    let check = |arguments: Value, expect: Result<Value, &str>| {
        let bound = contract.bind(object(arguments)).map(Value::Object);
        let bound = bound.map_err(|error| error.to_string());
        assert_eq!(bound, expect.map_err(str::to_owned));
    };
    check(
        json!({"filename": "a"}),
        Ok(json!({"filename": "a", "mode": "fast"})),
    );
    check(
        json!({"filename": "a", "limit": "2"}),
        Ok(json!({"filename": "a", "mode": "fast", "limit": 2})),
    );
    check(
        json!({"filename": "a", "limit": null}),
        Ok(json!({"filename": "a", "mode": "fast"})),
    );
    check(
        json!({}),
        Err("tool `t`: argument `filename` (text) is missing: the file"),
    );
    check(
        json!({"filenam": "a"}),
        Err(
            "tool `t`: there is no parameter \"filenam\"; did you mean `filename`? (the parameters are filename, mode, limit)",
        ),
    );
    check(
        json!({"filename": "a", "zzz": 1}),
        Err("tool `t`: there is no parameter \"zzz\" (the parameters are filename, mode, limit)"),
    );
    check(
        json!({"filename": "a", "mode": "odd"}),
        Err("tool `t`: argument `mode` is \"odd\"; it must be one of \"fast\", \"slow\""),
    );
}

#[test]
fn size_and_depth_are_bounded() {
    let contract = ToolContract::new("t").parameter(Parameter::new("x", ParameterKind::Any));
    let bind = |value: Value| contract.bind(Map::from_iter([("x".to_owned(), value)]));
    assert!(bind("a".repeat(1024 * 1024 - 2).into()).is_ok());
    let error = bind("a".repeat(1024 * 1024).into()).unwrap_err();
    assert!(
        error.message().contains("more than 1048576 bytes"),
        "{error}"
    );
    let mut deep = Value::Null;
    for _ in 0..200 {
        deep = json!([deep]);
    }
    assert!(
        bind(deep)
            .unwrap_err()
            .message()
            .contains("nests deeper than 128")
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "-?[0-9]{1,20}(\\.[0-9]{1,3})?".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn any_kind() -> impl Strategy<Value = ParameterKind> {
    use ParameterKind::*;
    prop::sample::select(vec![Text, Integer, Number, Boolean, Array, Object, Any])
}

proptest! {
    #[test]
    fn binding_gives_the_declared_type_and_is_stable(kind in any_kind(), value in any_json()) {
        let Ok(bound) = bind_one(kind, value) else { return Ok(()) };
        let fits = match kind {
            ParameterKind::Text => bound.is_string(),
            ParameterKind::Integer => bound.is_i64() || bound.is_u64(),
            ParameterKind::Number => bound.is_number(),
            ParameterKind::Boolean => bound.is_boolean(),
            ParameterKind::Array => bound.is_array(),
            ParameterKind::Object => bound.is_object(),
            ParameterKind::Any => true,
        };
        prop_assert!(fits, "{bound} as {kind}");
        prop_assert_eq!(bind_one(kind, bound.clone()), Ok(bound));
    }

    #[test]
    fn integers_survive_being_text(value: i64) {
        prop_assert_eq!(bind_one(ParameterKind::Integer, value.to_string().into()), Ok(json!(value)));
        prop_assert_eq!(bind_one(ParameterKind::Text, json!(value)), Ok(json!(value.to_string())));
    }
}
