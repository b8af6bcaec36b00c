//! The passes and the explanation, on programs as people write them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use praxis_workflow::{Elided, Explanation, LearnedCosts, Run, RunOptions, RunReport, StepStatus};
use serde_json::{Map, Value, json};

use crate::behaviour::{paused, plan};
use crate::world::World;

fn explain(program: &str) -> Explanation {
    plan(program).unwrap().explain(&Map::new(), &(), 4)
}

/// What the passes say, each with its line.
fn changes(program: &str) -> Vec<String> {
    let explanation = explain(program);
    explanation
        .changes
        .iter()
        .map(|change| format!("{} {}: {}", change.pass.as_str(), change.line, change.text))
        .collect()
}

#[test]
fn passes_say_what_they_note_and_why() {
    let check = |program: &str, expect: &[&str]| {
        let found = changes(program);
        assert_eq!(found.len(), expect.len(), "{program}{found:#?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.contains(expect), "{found}\n{expect}");
        }
    };
    check(
        "IF 1 == 2\n  CALL write --path a\nELSE\n  CALL read --path b\nENDIF\n",
        &["constant 1: never holds: `1 == 2`"],
    );
    check(
        "LET c = 3\nLET d = $c\nIF d > 2\n  CALL read --path b\nELIF c == 1\n  CALL external\nENDIF\n",
        &["constant 3: the condition on line 3 always holds: `d > 2`"],
    );
    check(
        "FOR x IN []\n  CALL write --path $x\nEND_FOR\n",
        &["constant 1: the list of this FOR is empty"],
    );
    check(
        "LET a = CALL compute --arg 1\nLET b = CALL compute --arg 1\nCALL write --path p --arg \"${a}${b}\"\n",
        &["merge 2: `s2` is not run: `s1` on line 1 has called compute with the same arguments"],
    );
    // Results of merged steps are one value, so what is computed from them is merged too.
    check(
        "LET a = CALL compute --arg 1\nLET b = CALL compute --arg 1\nIF a == b\n  CALL compute --arg $a\n  CALL compute --arg $b\nENDIF\n",
        &["merge 2", "merge 5"],
    );
    // Not across a change of the world, also of the round before.
    check(
        "CALL compute --arg 1\nCALL write --path a\nCALL compute --arg 1\nFOR x IN [1,2]\n  CALL compute --arg 1\n  CALL external\nEND_FOR\n",
        &[],
    );
    // Not in a block beside, with another tool, with a limit of its own, nor against `@cache=off`.
    check(
        "IF 1 == 1\n  CALL compute --arg 1\nENDIF\nCALL compute --arg 1\nCALL read --path a\nCALL read --path a\nCALL compute --arg 1 @timeout=1s\nCALL compute --arg 1 @cache=off\nCALL compute --arg 1.0\n",
        &["constant 1"],
    );
    check(
        "CALL count --arg 1\nLET x = CALL count --arg 2\nRETURN $x\n",
        &["unused 1: `s1` is not run: nobody uses its result"],
    );
}

fn run(program: &str, optimize: bool) -> (RunReport, Vec<String>) {
    let plan = plan(program).unwrap();
    let world = World::remembering(3);
    let executor: Arc<World> = Arc::clone(&world);
    let options = RunOptions {
        optimize,
        ..RunOptions::default()
    };
    let report = paused(Run::new(&plan, executor).options(options).execute()).unwrap();
    let calls = world.calls.lock().unwrap().clone();
    (report, calls)
}

#[test]
fn what_is_left_out_reads_as_if_it_had_run() {
    let program = "LET a = CALL compute --arg 1\nLET b = CALL compute --arg 1\nCALL count --arg 3\nFOR x IN [1,2]\n  LET c = CALL compute --arg 1\nEND_FOR\nRETURN \"${a} ${b} ${c}\"\n";
    let (found, calls) = run(program, true);
    let (expected, all) = run(program, false);
    assert_eq!(calls, ["s1"]);
    assert_eq!(all.len(), 5);
    assert_eq!(found.output, expected.output);
    let merged = Elided::Merged {
        with: "s1".to_owned(),
    };
    let elided: Vec<Option<Elided>> = found
        .steps
        .iter()
        .map(|step| step.timing.elided.clone())
        .collect();
    let (twin, unused) = (Some(merged), Some(Elided::Unused));
    assert_eq!(elided, [None, twin.clone(), unused, twin.clone(), twin]);
    for (found, expected) in found.steps.iter().zip(&expected.steps) {
        assert_eq!(found.status, expected.status);
        if found.timing.elided != Some(Elided::Unused) {
            assert_eq!(
                (found.timing.cached, found.attempts),
                (expected.timing.cached, expected.attempts)
            );
        }
    }
    // A call that may fail is run, though nobody uses its result.
    let (report, calls) = run("CALL count --arg 1 --fail before\n", true);
    assert_eq!(calls, ["s1"]);
    assert_eq!(report.steps[0].status, StepStatus::Failed);
}

#[test]
fn waits_are_told_in_the_source_s_terms() {
    let program = "INPUT dir = \"docs\"\nLET a = CALL read --path $dir\nLET b = CALL read --path other\nCALL write --path \"${dir}/x\" --arg $a\nLET c = CALL read --path docs\nIF c == 1\n  CALL write --path z\nENDIF\nCALL compute --arg $b @after=s1\n";
    let check = |explanation: &Explanation, id: &str, expect: &[&str]| {
        let step = explanation.steps.iter().find(|step| step.id == id).unwrap();
        let found: Vec<&str> = step
            .waits_for
            .iter()
            .map(|wait| wait.text.as_str())
            .collect();
        assert_eq!(found, expect, "{id}");
    };
    let explanation = explain(program);
    check(&explanation, "s1", &[]);
    check(
        &explanation,
        "s3",
        &[
            "line 2 must have succeeded",
            "uses $a of line 2",
            "line 3 must have succeeded",
        ],
    );
    check(&explanation, "s6", &["@after line 2", "uses $b of line 3"]);
    check(&explanation, "s4", &["reads docs, which line 4 writes"]);
    check(
        &explain("CALL write --path a\nCALL read --path b\n"),
        "s2",
        &[],
    );
    let branches = "FOR x IN [1]\n  CALL read --path $x\nEND_FOR\nLET q = CALL read\nIF q == 1\n  CALL write --path a\nELSE\n  CALL write --path b\nENDIF\n";
    for id in ["s3", "s4"] {
        check(
            &explain(branches),
            id,
            &[
                "the FOR on line 1 must have succeeded",
                "line 4 must have succeeded",
                "the IF on line 5 is decided",
            ],
        );
    }
    check(
        &explain("LET p = CALL compute\nCALL write --path a\nCALL read --path $p\n"),
        "s3",
        &["what it reads is known only when it runs, and line 2 writes"],
    );
    let mut groups = explanation.groups;
    groups.sort();
    assert!(
        groups.contains(&vec!["s1".to_owned(), "s2".to_owned()]),
        "{groups:?}"
    );
}

#[test]
fn of_the_branches_of_an_if_one_runs() {
    let check = |program: &str, expect: &str| {
        let text = explain(program).to_text();
        let found = text
            .split_once("What may run at the same time\n")
            .map_or("", |(_, rest)| rest.split("\n\n").next().unwrap());
        assert_eq!(found, expect, "{program}{text}");
    };
    let write =
        "LET q = CALL read\nIF q == 1\n  CALL write --path a\nELSE\n  CALL write --path b\nENDIF\n";
    check(write, "");
    check(
        "LET q = CALL read\nIF q == 1\n  CALL read --path a\n  CALL read --path b\nELSE\n  CALL read --path c\n  CALL read --path d\nENDIF\nCALL compute --arg $q\n",
        "  s2, s3, s6\n  s4, s5, s6",
    );
    check(
        "LET q = CALL read\nIF q == 1\n  IF q == 2\n    CALL read --path a\n  ELSE\n    CALL read --path b\n  ENDIF\n  CALL read --path c\nELSE\n  CALL read --path d\nENDIF\n",
        "  s2, s4\n  s3, s4",
    );
    check("CALL read --path a\nCALL read --path b\n", "  s1, s2");
}

#[test]
fn the_prediction_has_a_bound_and_learns() {
    let program = "LET a = CALL read --path a\nLET b = CALL read --path b\nLET c = CALL compute --arg \"${a}${b}\"\nRETURN $c\n";
    let plan = plan(program).unwrap();
    let mut costs = LearnedCosts::new();
    for _ in 0..20 {
        costs.observe("read", Duration::from_millis(100));
    }
    let explained = plan.explain(&Map::new(), &costs, 2);
    let prediction = &explained.prediction;
    assert!(
        (95.0..112.0).contains(&prediction.critical_path_ms),
        "{prediction:?}"
    );
    assert!(
        (190.0..215.0).contains(&prediction.work_ms),
        "{prediction:?}"
    );
    assert!(prediction.makespan_ms >= prediction.lower_bound_ms);
    assert_eq!(prediction.critical_path.len(), 2);
    assert!(explained.steps[0].learned && !explained.steps[2].learned);
    let alone = plan.explain(&Map::new(), &costs, 1);
    assert!((alone.prediction.makespan_ms - alone.prediction.work_ms).abs() < 0.1);
}

#[test]
fn the_longest_way_goes_first() {
    // One job: without costs the chain of two goes first, with them the long step.
    let program =
        "LET a = CALL compute --arg 1\nLET b = CALL compute --arg $a\nLET c = CALL read --path x\n";
    let order = |costs: &dyn praxis_workflow::CostModel| {
        let mut plan = plan(program).unwrap();
        plan.prioritise(costs);
        let world = World::new(1);
        let executor: Arc<World> = Arc::clone(&world);
        let options = RunOptions {
            jobs: 1,
            ..RunOptions::default()
        };
        paused(Run::new(&plan, executor).options(options).execute()).unwrap();
        world.calls.lock().unwrap().clone()
    };
    let lasts = |compute: u64, read: u64| {
        HashMap::from([
            ("compute".to_owned(), Duration::from_millis(compute)),
            ("read".to_owned(), Duration::from_millis(read)),
        ])
    };
    assert_eq!(order(&lasts(10, 5)), ["s1", "s2", "s3"]);
    assert_eq!(order(&lasts(10, 15)), ["s1", "s3", "s2"]);
    assert_eq!(order(&lasts(10, 500)), ["s3", "s1", "s2"]);
}

/// Reads the parts of DOT that we write: `digraph ID { statement; … }`, with attributes in brackets.
fn assert_is_dot(text: &str) {
    let body = text.strip_prefix("digraph workflow {\n").unwrap();
    let body = body.strip_suffix("}\n").unwrap();
    for line in body.lines() {
        let mut quoted = false;
        let mut escaped = false;
        let mut depth = 0;
        for letter in line.chars() {
            assert!(!letter.is_control(), "{line}");
            match letter {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '[' if !quoted => depth += 1,
                ']' if !quoted => depth -= 1,
                letter if !quoted => {
                    assert!(
                        letter.is_ascii_alphanumeric() || " =,->;_".contains(letter),
                        "{line}"
                    );
                }
                _ => {}
            }
        }
        assert!(!quoted && depth == 0 && line.ends_with(';'), "{line}");
    }
}

#[test]
fn pictures_are_valid_whatever_the_labels_hold() {
    let program = "LET a = CALL read --path \"x \\\"]\\\\ \\n <b> #; `ü`\"\nCALL write --path \"x \\\"]\\\\ \\n <b> #; `ü`\"\nLET c = CALL read --path \"x \\\"]\\\\ \\n <b> #; `ü`\"\nFOR x IN [1]\n  CALL write --path f --arg $a\nEND_FOR\n";
    let explanation = explain(program);
    assert_is_dot(&explanation.to_dot());
    let mermaid = explanation.to_mermaid();
    for line in mermaid.lines().skip(1) {
        assert!(line.starts_with("  "), "{line}");
        assert!(
            line.matches('"').count() % 2 == 0 && !line.contains(['<', '`', '\\']),
            "{line}"
        );
    }
    assert!(mermaid.contains("#quot;]"), "{mermaid}");
    assert!(!explanation.to_text().contains('\u{7}'));
}

#[test]
fn large_programs_are_explained_in_bounds() {
    let mut program = String::new();
    for n in 0..10_000 {
        match n % 100 {
            99 => program.push_str(&format!("CALL write --path out/{n}\n")),
            50 => program.push_str(&format!("IF 1 == {n}\n  CALL write --path a\nENDIF\nIF v0 == {n}\n  CALL write --path b{n}\nENDIF\n")),
            _ => program.push_str(&format!("LET v{n} = CALL read --path f{n}\n")),
        }
    }
    let explanation = explain(&program);
    assert_eq!(explanation.steps.len(), 10_100);
    assert!(explanation.to_text().len() < 60_000);
    assert!(explanation.to_mermaid().len() < 400_000);
    assert_is_dot(&explanation.to_dot());
    assert!(serde_json::to_string(&explanation).unwrap().len() < 20_000_000);
}

#[test]
fn the_document_has_the_documented_fields() {
    let document = serde_json::to_value(explain(
        "LET a = CALL compute --arg 1\nLET b = CALL compute --arg 1\nFOR x IN $a\n  CALL write --path $x\nEND_FOR\n",
    ))
    .unwrap();
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&document),
        [
            "blocks",
            "changes",
            "edges",
            "groups",
            "jobs",
            "prediction",
            "steps",
            "version",
            "workflow"
        ]
    );
    assert_eq!(document["steps"][1]["fate"], "merged");
    assert_eq!(document["steps"][2]["writes"], json!([null]));
    assert_eq!(document["blocks"][0]["rounds"]["known"], false);
    assert_eq!(document["changes"][0]["pass"], "merge");
}
