//! Expressions: what they can do, what they refuse, and that none exhausts the machine.

use praxis_dsl::Expression;
use serde_json::{Value, json};

fn lookup(name: &str) -> Option<Value> {
    let values = json!({
        "n": 5, "f": 2.5, "big": u64::MAX, "t": "report.md", "yes": true, "none": null,
        "xs": [1, 2, 3], "o": {"a": {"b": [10, 20]}, "name": "x"},
    });
    values.get(name).cloned()
}

fn evaluate(source: &str) -> Result<Value, String> {
    let expression = Expression::compile(source).map_err(|error| error.to_string())?;
    expression
        .evaluate(&lookup)
        .map_err(|error| error.to_string())
}

#[test]
fn expressions_have_values() {
    let check =
        |source: &str, expected: Value| assert_eq!(evaluate(source), Ok(expected), "{source}");
    check("size(xs) > 0", json!(true));
    check("$n + 1", json!(6));
    check("$o.a.b[0] + $n", json!(15));
    check("'$n' + t", json!("$nreport.md"));
    check(
        "t.contains('port') && t.startsWith('r') && t.endsWith('.md')",
        json!(true),
    );
    check("t.matches('^[a-z]+[.]md$')", json!(true));
    check("xs.map(x, x * 2)", json!([2, 4, 6]));
    check("xs.filter(x, x > 1)", json!([2, 3]));
    check("xs.exists(x, x == 2) && xs.all(x, x > 0)", json!(true));
    check("has(o.name) && !has(o.other)", json!(true));
    check("2 in xs", json!(true));
    check("'name' in o", json!(true));
    check("n > 3 ? 'many' : 'few'", json!("many"));
    check("f * 2.0", json!(5.0));
    check("big", json!(u64::MAX));
    check("none == null", json!(true));
    check("{'a': n, 'b': [t]}", json!({"a": 5, "b": ["report.md"]}));
    check("xs + [4]", json!([1, 2, 3, 4]));
    check("string(n) + t", json!("5report.md"));
    check("n == 5.0", json!(true));
    check("xs.map(x, xs.filter(y, y > x))", json!([[2, 3], [3], []]));
}

#[test]
fn expressions_name_what_they_need() {
    let names = |source: &str| {
        Expression::compile(source)
            .unwrap_or_else(|error| panic!("{source}: {error}"))
            .names()
            .to_vec()
    };
    assert_eq!(names("a.b + $c[d] + size(e) + a.f"), ["a", "c", "d", "e"]);
    assert_eq!(names("xs.map(x, x + y)"), ["xs", "y"]);
    assert_eq!(names("xs.exists(x, x) && x"), ["xs", "x"]);
    assert_eq!(names("'a' + \"$b\""), Vec::<String>::new());
}

#[test]
fn errors_name_the_value() {
    let check = |source: &str, part: &str| {
        let error = evaluate(source).expect_err(source);
        assert!(error.contains(part), "{source}: {error}");
    };
    check("missing + 1", "`missing` has no value");
    check("o.nothing", "no key `nothing`");
    check("xs[7]", "out of range");
    check("n + t", "does not go with int and string");
    check("n / 0", "division by zero");
    check("1 +", "end");
    check("n n", "n");
    check("", "empty");
    check("sise(xs)", "did you mean `size`");
    check("Foo{a: 1}", "not a value");
    check("b'bytes'", "not JSON");
    let condition = Expression::compile("t")
        .expect("it compiles")
        .condition(&lookup);
    assert_eq!(
        condition.expect_err("text is no condition").to_string(),
        "the condition `t` is the text \"report.md\", not true or false"
    );
}

#[test]
fn syntax_errors_point_at_their_place() {
    let offset = |source: &str| Expression::compile(source).expect_err(source).offset;
    assert_eq!(offset("n n"), Some(2));
    assert_eq!(offset("(n"), Some(2));
    assert_eq!(offset("'é' + 'ü' n"), Some(12));
    assert_eq!(offset("$n + $$n"), Some(5));
}

/// Every shape that nests or chains, at a size.
fn shapes(size: usize) -> Vec<String> {
    vec![
        vec!["n"; size].join("+"),
        vec!["n==1"; size].join("&&"),
        vec!["n==1"; size].join("||"),
        vec!["n"; size].join("=="),
        format!("{}yes", "!".repeat(size)),
        format!("{}n", "-".repeat(size)),
        format!("o{}", ".a".repeat(size)),
        format!("xs{}", "[0]".repeat(size)),
        format!("{}n", "yes?n:".repeat(size)),
        format!("{}n{}", "(".repeat(size), ")".repeat(size)),
        format!("{}n{}", "[".repeat(size), "]".repeat(size)),
        format!("{}n{}", "size(".repeat(size), ")".repeat(size)),
        format!("{}n{}", "{'a':".repeat(size), "}".repeat(size)),
        format!("{}n{}", "xs.map(x,".repeat(size), ")".repeat(size)),
        format!("xs{}", ".map(x,[x,x])".repeat(size)),
        format!("[{}]", vec!["n"; size].join(",")),
        format!("{}n{}", "n+(".repeat(size), ")".repeat(size)),
        "(".repeat(size),
        "[".repeat(size),
        "'".repeat(size),
        "?".repeat(size),
        format!("{}n", "yes?[".repeat(size)),
    ]
}

/// Two MiB is what a thread of a server has; unoptimised builds take the most of it.
#[test]
fn no_expression_overflows_the_stack() {
    let run = || {
        for size in (1..70).chain([100, 128, 200, 255, 256, 257, 500, 1000, 5000]) {
            for source in shapes(size) {
                if let Ok(expression) = Expression::compile(&source) {
                    let _ = expression.evaluate(&lookup);
                }
            }
        }
    };
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(run)
        .expect("a thread")
        .join()
        .expect("no overflow");
}

#[test]
fn what_is_too_large_is_refused() {
    let refused = |source: &str| Expression::compile(source).expect_err(source);
    for source in shapes(1000) {
        let error = refused(&source);
        let wrong = source.starts_with(['\'', '?']);
        assert!(error.too_complex || wrong, "{source:.40}: {error}");
    }
    assert!(refused(&format!("'{}'", "a".repeat(5000))).too_complex);
    let nested = "xs.map(x, xs.map(y, xs.map(z, 1)))";
    assert!(refused(nested).too_complex);
}

#[test]
fn evaluation_is_bounded() {
    let numbers: Value = (0..3000).collect();
    let text = Value::String("x".repeat(9 << 20));
    let fails = |source: &str, value: &Value| {
        let expression = Expression::compile(source).unwrap();
        expression
            .evaluate(&|_| Some(value.clone()))
            .unwrap_err()
            .to_string()
    };
    let error = fails("a.map(x, a.map(y, x * y))", &numbers);
    assert!(error.contains("1000000 rounds"), "{error}");
    let error = fails("a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a", &text);
    assert!(error.contains("134217728"), "{error}");
    let error = fails(
        "[1,2,3,4].map(x, [1,2,3,4].map(y, a + a)).size() + a.size()",
        &text,
    );
    assert!(error.contains("rounds"), "{error}");
    let expression =
        Expression::compile("a.filter(x, x % 2 == 0).map(x, x + size(a)).size()").unwrap();
    assert_eq!(
        expression.evaluate(&|_| Some(numbers.clone())).unwrap(),
        1500
    );
}

#[test]
fn the_keys_of_a_map_come_in_order() {
    let map = serde_json::json!({ "d": 4, "a": 1, "c": 3, "b": 2 });
    let value = |source: &str| {
        let expression = Expression::compile(source).unwrap();
        expression.evaluate(&|_| Some(map.clone())).unwrap()
    };
    for _ in 0..20 {
        assert_eq!(
            value("m.map(k, k)"),
            serde_json::json!(["a", "b", "c", "d"])
        );
        assert_eq!(
            value("m.map(k, m[k] > 1, m[k])"),
            serde_json::json!([2, 3, 4])
        );
        assert_eq!(value("m.filter(k, k < 'c')"), serde_json::json!(["a", "b"]));
    }
    assert_eq!(value("m.exists(k, k == 'c') && !m.all(k, m[k] > 1)"), true);
}

#[test]
fn a_text_of_many_texts_is_bounded() {
    let tree = praxis_dsl::parse("LET a = 1\nLET b = \"${a}${a}${a}${a}${a}${a}${a}${a}\"\n");
    let program = praxis_dsl::check(&tree, &praxis_dsl::NoTools)
        .program
        .unwrap();
    let praxis_dsl::checked::NodeKind::Let { value, .. } = &program.body[1].kind else {
        panic!("a LET")
    };
    let text = Value::String("x".repeat(9 << 20));
    let error = value
        .resolve(&|_| Some(text.clone()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("67108864"), "{error}");
}
