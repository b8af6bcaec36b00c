//! Types: what certainly fails is refused, and nothing else.

use std::collections::HashMap;

use praxis_dsl::{Catalog, Code, Expression, ParameterKind, ToolSignature, check, parse};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::writer::Random;

const KINDS: [(&str, ParameterKind); 7] = [
    ("text", ParameterKind::Text),
    ("integer", ParameterKind::Integer),
    ("number", ParameterKind::Number),
    ("boolean", ParameterKind::Boolean),
    ("array", ParameterKind::Array),
    ("object", ParameterKind::Object),
    ("any", ParameterKind::Any),
];

/// Values of a kind, of which some let each operation go well that can.
fn values(kind: ParameterKind) -> Vec<Value> {
    let whole = vec![json!(1), json!(0), json!(-7), json!(u64::MAX)];
    match kind {
        ParameterKind::Text => vec![json!("1"), json!(""), json!("true"), json!("a b")],
        ParameterKind::Integer => whole,
        ParameterKind::Number => [whole, vec![json!(1.0), json!(-0.5)]].concat(),
        ParameterKind::Boolean => vec![json!(true), json!(false)],
        ParameterKind::Array => vec![json!([1, 2]), json!([]), json!(["a", [true], null])],
        ParameterKind::Object => vec![json!({"a": 1, "1": 2}), json!({}), json!({"a": {"a": []}})],
        ParameterKind::Any => [
            vec![Value::Null],
            KINDS[..6]
                .iter()
                .flat_map(|(_, kind)| values(*kind))
                .collect(),
        ]
        .concat(),
    }
}

fn tools() -> Catalog {
    KINDS
        .iter()
        .map(|(name, kind)| ToolSignature::new(*name).gives(*kind))
        .collect()
}

/// The diagnostics of a program, in which a tool of each kind is called by the kind's name.
fn found(source: &str) -> String {
    let found = check(&parse(source), &tools()).diagnostics;
    let lines: Vec<String> = found
        .iter()
        .map(|row| format!("{} {}", row.code, row.span.text(source)))
        .collect();
    lines.join("\n")
}

/// The messages of a program.
fn messages(source: &str) -> Vec<String> {
    let found = check(&parse(source), &tools()).diagnostics;
    found.into_iter().map(|found| found.message).collect()
}

#[track_caller]
fn refused(source: &str, span: &str) {
    assert_eq!(found(source), format!("P0012 {span}"), "{source}");
}

#[track_caller]
fn accepted(source: &str) {
    assert_eq!(found(source), "", "{source}");
}

#[test]
fn what_certainly_fails_is_refused() {
    refused(
        "LET n = CALL integer\nIF n + \"a\" == 1\nENDIF",
        "n + \"a\" == 1",
    );
    refused("IF size(3) > 1\nENDIF", "size(3) > 1");
    refused("LET n = CALL integer\nIF n\nENDIF", "n");
    refused(
        "LET n = CALL integer\nIF true\nELIF size([n])\nENDIF",
        "size([n])",
    );
    refused("LET t = CALL text\nIF t.size > 1\nENDIF", "t.size > 1");
    refused("LET t = CALL text\nRETURN $t.size", "$t.size");
    refused("LET t = CALL text\nRETURN \"${t[0]}\"", "t[0]");
    refused("LET t = CALL text\nRETURN \"a ${ t * 2 } b\"", "t * 2");
    refused("LET xs = CALL array\nRETURN $xs.first", "$xs.first");
    refused("LET o = CALL object\nRETURN $o[0]", "$o[0]");
    refused("LET n = 3\nRETURN ${n + 0.5}", "n + 0.5");
    refused("LET n = 0.5\nLET m = ${n * 2.0}\nRETURN ${m + 1}", "m + 1");
    refused("LET t = \"a ${1 + 1}\"\nRETURN ${t - 1}", "t - 1");
    refused("FOR n IN [1,2]\nLET m = ${n + 'a'}\nEND_FOR", "n + 'a'");
    refused(
        "LET xs = ${[1, 2].map(x, string(x))}\nFOR x IN $xs\nLET y = ${x / 2}\nEND_FOR",
        "x / 2",
    );
    refused("LET n = CALL integer\nFOR x IN $n\nEND_FOR", "$n");
    refused(
        "LET o = '{\"a\": 1}'\nFOR x IN ${o.a + 1}\nEND_FOR",
        "${o.a + 1}",
    );
    refused(
        "FOR n IN [1]\nLET m = $n\nEND_FOR\nRETURN ${m > 1}",
        "m > 1",
    );
    refused(
        "IF true\nLET x = 1\nELSE\nLET x = 2\nENDIF\nRETURN ${x + 'a'}",
        "x + 'a'",
    );
    refused(
        "TRY\nLET x = 1\nCATCH\nLET x = 2.5\nEND_TRY\nRETURN ${x + 'a'}",
        "x + 'a'",
    );
    // One mistake gives one error.
    refused(
        "LET x = ${1 + 'a'}\nIF x > 1\nENDIF\nRETURN ${x * 2}",
        "1 + 'a'",
    );
    assert_eq!(
        found("LET x = 99999999999999999999\nRETURN ${x + 1}"),
        "P0010 99999999999999999999"
    );
}

#[test]
fn what_may_go_well_is_accepted() {
    accepted("LET a = CALL any\nIF a + 1 > 2 && a.b[0].c\nENDIF\nFOR x IN $a.b\nEND_FOR");
    accepted("INPUT n = 3\nRETURN ${n + 'a'}");
    accepted("LET n = CALL number\nRETURN ${n + 1 == n || n + 0.5 > 0}");
    accepted(
        "LET t = CALL text\nRETURN ${type(t) == int && t + 1 > 2}"
            .replace("type(t) == int", "t == 'a'")
            .as_str(),
    );
    accepted("LET t = CALL text\nIF t == 1 || 3 || t == 'a'\nENDIF");
    accepted("LET xs = CALL array\nRETURN ${xs.map(x, x + 'a' + 1)}");
    accepted("LET o = CALL object\nRETURN ${o.map(k, k + '!') + ['x']}");
    accepted("LET xs = []\nFOR x IN $xs\nLET y = ${x + 1}\nEND_FOR");
    accepted("IF true\nLET x = 1\nELSE\nLET x = 'a'\nENDIF\nRETURN ${x + 'a'}");
    accepted("LET t = CALL text\nRETURN ${true ? 1 : t - 1}");
    accepted("TRY\nCALL text\nCATCH e\nRETURN ${e.message + e}\nEND_TRY");
    accepted("LET xs = ${[1, 2].filter(x, x > 1)}\nFOR x IN $xs\nLET y = ${x / 2}\nEND_FOR");
}

/// A round that failed leaves null in the lists.
#[test]
fn failed_rounds_are_null() {
    let check = |option: &str, expected: &str| {
        let program = format!(
            "FOR x IN [1]{option}\nLET y = CALL text\nEND_FOR\nFOR z IN $y\nLET u = ${{z + 1}}\nEND_FOR"
        );
        assert_eq!(messages(&program), [expected], "{program}");
    };
    check("", "`+` does not go with text and an integer");
    check(
        " @on_error=continue",
        "`+` does not go with null or text and an integer",
    );
}

#[test]
fn messages_name_the_kinds() {
    let check = |source: &str, expected: &str| assert_eq!(messages(source), [expected], "{source}");
    check(
        "LET n = CALL integer\nRETURN ${n + 'a'}",
        "`+` does not go with an integer and text",
    );
    check(
        "LET n = CALL number\nIF n\nENDIF",
        "the condition is an integer or a float, not true or false",
    );
    check(
        "LET t = CALL text\nRETURN $t.a[0]",
        "`$t` is text, so it has no `.a`",
    );
    check(
        "LET t = '{\"a\": 1}'\nRETURN $t.a[0]",
        "`$t.a` is an integer, so it has no `[0]`",
    );
    check(
        "LET t = CALL text\nFOR x IN $t\nEND_FOR",
        "FOR goes over a list, and this is text",
    );
    check(
        "RETURN ${1 in 'abc'}",
        "`in` does not go with an integer and text",
    );
}

/// Each operator on each pair of kinds: what is refused fails with all values, and what fails
/// with all of them is refused.
#[test]
fn the_rules_are_those_of_the_evaluator() {
    let two = [
        "a + b",
        "a - b",
        "a * b",
        "a / b",
        "a % b",
        "a < b",
        "a <= b",
        "a > b",
        "a >= b",
        "a == b",
        "a != b",
        "a in b",
        "a[b]",
        "a && b",
        "a || b",
        "a.contains(b)",
        "a.startsWith(b)",
        "a.endsWith(b)",
        "a.matches(b)",
        "a ? b : b",
        "a.map(x, x)",
        "a.all(x, true)",
        "[a, b]",
        "{'k': a}[b]",
        "[1, 2][b]",
    ];
    let one = [
        "!a",
        "-a",
        "size(a)",
        "a.size()",
        "int(a)",
        "uint(a)",
        "double(a)",
        "string(a)",
        "bool(a)",
        "dyn(a)",
        "a.a",
        "has(a.a)",
        "a.exists(x, true)",
        "a.filter(x, false)",
        "a.exists_one(x, true)",
    ];
    let literals = [
        ("text", "'x'"),
        ("integer", "1"),
        ("number", "0.5"),
        ("boolean", "true"),
        ("array", "[1,2]"),
        ("object", "'{\"a\": 1}'"),
    ];
    let mut refusals = 0;
    for expression in two.into_iter().chain(one) {
        for (left, left_kind) in KINDS {
            for (right, right_kind) in KINDS {
                let source =
                    format!("LET a = CALL {left}\nLET b = CALL {right}\nRETURN ${{{expression}}}");
                let refused = !found(&source).is_empty();
                let compiled = Expression::compile(expression).expect(expression);
                let mut fails = true;
                for a in values(left_kind) {
                    for b in values(right_kind) {
                        let value = compiled.evaluate(&|name| {
                            Some(if name == "a" { a.clone() } else { b.clone() })
                        });
                        fails &= value.is_err();
                    }
                }
                // Which keys an object has is no matter of its kind.
                let of_a_key = fails && ["a[b]", "{'k': a}[b]"].contains(&expression);
                assert!(refused == fails || of_a_key, "{source}: {refused}, {fails}");
                refusals += usize::from(refused);
            }
        }
    }
    assert!(refusals > 500, "{refusals}");
    // A literal has a kind of its own.
    for (_, value) in literals {
        let source = format!("LET a = {value}\nRETURN ${{a == 1 || a.b == 2}}");
        accepted(&source);
    }
}

/// A random expression over the names of [`KINDS`].
fn expression(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.below(5) == 0 {
        return match random.below(3) {
            0 => random
                .pick(&[
                    "1", "0.5", "'a'", "true", "null", "[1, 'a']", "{'a': 1}", "[]",
                ])
                .to_string(),
            _ => random.pick(&KINDS).0.to_owned(),
        };
    }
    let one = expression(random, depth - 1);
    let two = expression(random, depth - 1);
    match random.below(12) {
        0..=3 => {
            let sign = random.pick(&["+", "-", "*", "/", "%", "<", ">=", "==", "!=", "in"]);
            format!("({one} {sign} {two})")
        }
        4 | 5 => format!("({one} {} {two})", random.pick(&["&&", "||"])),
        6 => format!("({one} ? {two} : {})", expression(random, depth - 1)),
        7 => {
            let function = random.pick(&["size", "int", "double", "string", "bool", "!", "-"]);
            format!("{function}({one})")
        }
        8 => format!("[{one}, {two}][{}]", random.pick(&["0", "1", "integer"])),
        9 => format!("{{'a': {one}}}.a"),
        10 => {
            let body = expression(random, depth - 1).replace("integer", "x");
            let function = random.pick(&["map", "filter", "all", "exists"]);
            format!("({one}).{function}(x, {body})")
        }
        _ => format!(
            "({one}).{}({two})",
            random.pick(&["contains", "startsWith", "matches"])
        ),
    }
}

proptest! {
    /// No false alarm: what is refused fails with whatever values of the declared kinds.
    #[test]
    fn what_is_refused_fails(seed in any::<u64>()) {
        let mut random = Random(seed);
        let text = expression(&mut random, 3);
        let Ok(compiled) = Expression::compile(&text) else { return Ok(()) };
        let lets: String = KINDS.iter().map(|(name, _)| format!("LET {name} = CALL {name}\n")).collect();
        let condition = random.below(2) == 0;
        let source = if condition {
            format!("{lets}IF {text}\nENDIF")
        } else {
            format!("{lets}RETURN ${{{text}}}")
        };
        let found = check(&parse(&source), &tools()).diagnostics;
        let refused = found.iter().any(|found| found.code == Code::IllTypedExpression);
        prop_assert!(found.iter().all(|found| found.code == Code::IllTypedExpression || found.code == Code::InvalidExpression), "{text}: {found:#?}");
        if !refused {
            return Ok(());
        }
        for _ in 0..20 {
            let values: HashMap<&str, Value> = KINDS
                .iter()
                .map(|(name, kind)| (*name, random.pick(&values(*kind)).clone()))
                .collect();
            let lookup = |name: &str| values.get(name).cloned();
            let fails = if condition {
                compiled.condition(&lookup).is_err()
            } else {
                compiled.evaluate(&lookup).is_err()
            };
            prop_assert!(fails, "{text} is refused, and goes well with {values:?}: {found:#?}");
        }
    }
}
