//! The checked program: what a runner gets.

use std::time::Duration;

use praxis_dsl::checked::{NodeKind, Operand};
use serde_json::{Value, json};

use crate::checked;

fn program(source: &str) -> praxis_dsl::checked::CheckedProgram {
    let checked = checked(source);
    let diagnostics = checked.diagnostics;
    checked
        .program
        .unwrap_or_else(|| panic!("{source}: {diagnostics:#?}"))
}

/// The arguments of the last statement, resolved with a few values.
fn arguments(source: &str) -> Value {
    let program = program(source);
    let Some(NodeKind::Call(call)) = program.body.last().map(|node| &node.kind) else {
        panic!("no call: {source}");
    };
    let values = json!({"n": 5, "t": "text", "o": {"list": [1, 2, 3], "key": null}});
    let lookup = |name: &str| values.get(name).cloned();
    call.arguments
        .iter()
        .map(|(name, operand)| (name.clone(), operand.resolve(&lookup).expect("it resolves")))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn arguments_have_names_and_types() {
    let inputs = "INPUT n\nINPUT t\nINPUT o\n";
    let check = |call: &str, expected: Value| {
        assert_eq!(
            arguments(&format!("{inputs}CALL {call}")),
            expected,
            "{call}"
        );
    };
    check("read_file 42", json!({"filename": "42"}));
    check(
        "read_file 007 --encoding true",
        json!({"filename": "007", "encoding": "true"}),
    );
    check(
        "typed --count \"5\" --ratio 1 --flag",
        json!({"count": 5, "ratio": 1, "flag": true}),
    );
    check(
        "typed --items '[1, 2]' --fields {}",
        json!({"items": [1, 2], "fields": {}}),
    );
    check(
        "typed --value 5 --mode fast",
        json!({"value": 5, "mode": "fast"}),
    );
    check("probe \"5\"", json!({"v": "5"}));
    check("probe $n", json!({"v": 5}));
    check("probe $o.list[-1]", json!({"v": 3}));
    check("probe ${n*2+size(o.list)}", json!({"v": 13}));
    check("probe ${ n * 2 + size( o.list ) }", json!({"v": 13}));
    check(
        "probe ${{'a b': n, \"c\": {'}': t}}}",
        json!({"v": {"a b": 5, "c": {"}": "text"}}}),
    );
    check(
        "probe --v ${ 'it\\'s ' + t } @id=x",
        json!({"v": "it's text"}),
    );
    check("probe --v=${ n > 3 && t != 'a b' }", json!({"v": true}));
    check(
        "say sum: ${n + 1} of ${ t }",
        json!({"text": "sum: 6 of text"}),
    );
    check("probe \"${n}\"", json!({"v": "5"}));
    check(
        "probe --v=\"${t} and ${o.list}\"",
        json!({"v": "text and [1,2,3]"}),
    );
    check("say a  $n \"${t}!\" b", json!({"text": "a 5 text! b"}));
    check("say $o", json!({"text": {"list": [1, 2, 3], "key": null}}));
    check("say 42", json!({"text": "42"}));
    check("say $ $n. $5 C:\\x", json!({"text": "$ $n. $5 C:\\x"}));
    check(
        "open_tool 1 2 --x y",
        json!({"first": 1, "arg1": 2, "x": "y"}),
    );
    check("probe \"${\\\"a\\\" + t}\"", json!({"v": "atext"}));
    check("probe \"${'}' + \"{\"}\"", json!({"v": "}{"}));
}

#[test]
fn a_whole_program() {
    let source = include_str!("../fixtures/report.praxis");
    let program = program(source);
    assert_eq!(program.name.as_deref(), Some("corpus_report"));
    assert_eq!(
        program.metadata,
        json!({"version": 1.0})
            .as_object()
            .cloned()
            .expect("an object")
    );
    assert_eq!(program.inputs.len(), 1);
    assert_eq!(program.inputs[0].default, Some(json!("docs")));
    let kinds: Vec<_> = program
        .body
        .iter()
        .map(|node| match &node.kind {
            NodeKind::Call(call) => format!("{} {}", call.id, call.tool),
            NodeKind::For(each) => format!("for {} of {} nodes", each.variable, each.body.len()),
            NodeKind::If {
                branches,
                otherwise,
            } => {
                format!("if {} else {}", branches.len(), otherwise.len())
            }
            NodeKind::Return(Some(Operand::Reference(reference))) => {
                format!("return {}", reference.name)
            }
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "s1 list_files",
            "for file of 2 nodes",
            "if 1 else 1",
            "return stats"
        ]
    );
    let NodeKind::For(each) = &program.body[1].kind else {
        panic!("a loop")
    };
    let NodeKind::Call(stats) = &each.body[1].kind else {
        panic!("a call")
    };
    assert_eq!(stats.options.timeout, Some(Duration::from_secs(5)));
    assert_eq!(stats.bind.as_deref(), Some("stats"));
    assert_eq!(
        (each.body[1].location.line, each.body[1].location.column),
        (7, 3)
    );
}

#[test]
fn labels_agents_and_options() {
    let program = program(
        "TASK \"first things\"\nCALL ping @id=a @retries=3 @cache=off @engine=local\n\
         SEQUENCE\nAGENT helper\nCALL ping\nCALL ping @agent=other\nEND_SEQUENCE\n\
         TASK second\nCALL ping @after=a,s2 @timeout=1.5m",
    );
    let NodeKind::Call(first) = &program.body[0].kind else {
        panic!("a call")
    };
    assert_eq!(
        (first.id.as_str(), first.label.as_deref()),
        ("a", Some("first things"))
    );
    assert_eq!(first.options.retries, Some(3));
    assert_eq!(first.options.cache, Some(false));
    assert_eq!(first.options.engine.as_deref(), Some("local"));
    let NodeKind::Sequence(inner) = &program.body[1].kind else {
        panic!("a sequence")
    };
    let agents: Vec<_> = inner
        .iter()
        .map(|node| match &node.kind {
            NodeKind::Call(call) => call.agent.as_deref(),
            _ => None,
        })
        .collect();
    assert_eq!(agents, [Some("helper"), Some("other")]);
    let NodeKind::Call(last) = &program.body[2].kind else {
        panic!("a call")
    };
    assert_eq!(
        (last.label.as_deref(), last.agent.as_deref()),
        (Some("second"), None)
    );
    assert_eq!(last.options.after, ["a", "s2"]);
    assert_eq!(last.options.timeout, Some(Duration::from_secs(90)));
}

#[test]
fn operands_say_what_is_missing() {
    let program = program("INPUT o\nCALL probe $o.a.b\nCALL probe $o[0]\nCALL probe $o.list[9]");
    let lookup = |name: &str| (name == "o").then(|| json!({"a": "text", "list": [1]}));
    let errors: Vec<String> = program
        .body
        .iter()
        .map(|node| match &node.kind {
            NodeKind::Call(call) => call.arguments[0]
                .1
                .resolve(&lookup)
                .expect_err("it fails")
                .to_string(),
            _ => String::new(),
        })
        .collect();
    assert_eq!(
        errors,
        [
            "`$o.a` is the text \"text\", so it has no key `b`",
            "`$o` is the object {\"a\":\"text\",\"list\":[1]}, so it has no [0]",
            "`$o.list` has 1 items, and [9] is none of them",
        ]
    );
    let NodeKind::Call(call) = &program.body[0].kind else {
        panic!("a call")
    };
    assert_eq!(call.arguments[0].1.names().collect::<Vec<_>>(), ["o"]);
    let error = call.arguments[0]
        .1
        .resolve(&|_| Some(json!({"b": 1})))
        .expect_err("no key");
    assert_eq!(error.to_string(), "`$o` has no key `a`; its keys are b");
    assert_eq!(
        call.arguments[0]
            .1
            .resolve(&|_| None)
            .expect_err("no value")
            .to_string(),
        "`o` has no value"
    );
}
