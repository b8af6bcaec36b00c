//! Tools that misbehave: bounded, killed with all their children, and named in the error.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::shell::Place;

#[track_caller]
fn fails(place: &Place, program: &str) -> Value {
    let begun = Instant::now();
    let report = place
        .run(program, &["--json", "--tools", "tools"])
        .exits(1)
        .json();
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    report["error"].clone()
}

/// Whether a process with this word on its command line runs.
fn runs(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| {
            String::from_utf8_lossy(&line)
                .split('\0')
                .any(|argument| argument == word)
        })
}

#[test]
fn endless_output_is_cut_off() {
    let place = Place::new(&[]);
    place.tool(
        "flood",
        "limits: {output_bytes: 1000000}\n",
        "exec yes flood",
    );
    let error = fails(&place, "CALL flood\n");
    assert_eq!(error["kind"], "output_too_large");
    assert_eq!(error["line"], 1);
}

#[test]
fn a_tool_that_never_ends_dies_with_its_children() {
    let place = Place::new(&[]);
    let script = "trap '' TERM\nsleep 7007.1 &\n(setsid sleep 7007.2 &)\nsleep 7007.3";
    place.tool("stubborn", "limits: {timeout: 1s}\n", script);
    let error = fails(&place, "CALL stubborn\n");
    assert_eq!(error["kind"], "timeout");
    for word in ["7007.1", "7007.2", "7007.3"] {
        assert!(!runs(word), "{word} is still there");
    }
}

#[test]
fn leftovers_of_a_tool_that_succeeds_are_gone_too() {
    let place = Place::new(&[]);
    place.tool(
        "litter",
        "",
        "sleep 7008.1 & (setsid sleep 7008.2 >/dev/null 2>&1 &)\necho done",
    );
    let report = place
        .run(
            "LET x = CALL litter\nRETURN $x\n",
            &["--json", "--tools", "tools"],
        )
        .exits(0)
        .json();
    assert_eq!(report["output"], "done");
    assert!(!runs("7008.1") && !runs("7008.2"));
}

#[test]
fn exit_codes_and_missing_programs_are_told() {
    let place = Place::new(&[]);
    place.tool("three", "", "echo 'disk on fire' >&2; exit 3");
    let error = fails(&place, "CALL word_count --text x\nCALL three\n");
    assert_eq!(
        (error["kind"].as_str(), error["line"].as_u64()),
        (Some("failed"), Some(2))
    );
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains('3') && message.contains("disk on fire") && message.contains("three"),
        "{message}"
    );
    place.write(
        "tools/gone/contract.yaml",
        b"name: gone\nengine: local\ncommand: [no-such-program-here]\n",
    );
    let error = fails(&place, "CALL gone\n");
    assert_eq!(error["kind"], "not_found");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("no-such-program-here")
    );
}

#[test]
fn contracts_that_are_wrong_name_their_file() {
    let place = Place::new(&[]);
    place.write("tools/bad/contract.yaml", b"name: bad\nparameters: {\n");
    place
        .run("", &["--tools", "tools"])
        .exits(2)
        .says(&["tools/bad/contract.yaml"]);
    place.write(
        "tools/bad/contract.yaml",
        b"name: read_file\ncommand: [true]\n",
    );
    place
        .run("", &["--tools", "tools"])
        .exits(2)
        .says(&["read_file"]);
    place.write(
        "tools/bad/contract.yaml",
        b"name: greedy\nengine: local\ncommand: ['true']\nlimits: {memory: 64m}\n",
    );
    place
        .run(
            "CALL greedy\n",
            &["--tools", "tools", "--isolation", "container"],
        )
        .exits(3)
        .says(&[":1: tool `greedy`", "where container is asked for"]);
    place
        .run("CALL greedy\n", &["--tools", "tools", "--accept", "memory"])
        .exits(0);
    place
        .run(
            "CALL greedy\n",
            &["--tools", "tools", "--accept", "everything"],
        )
        .exits(2)
        .says(&["memory"]);
    place.write(
        "tools/bad/contract.yaml",
        b"name: hasty\ncommand: ['true']\nlimits: {timeout: 0}\n",
    );
    place
        .run("", &["--tools", "tools"])
        .exits(2)
        .says(&["timeout"]);
}

#[test]
fn what_was_written_for_a_container_does_not_run_on_the_host() {
    let place = Place::new(&[]);
    place.write(
        "tools/boxed/contract.yaml",
        b"name: boxed\nengineSpec: {image: 'alpine:3', command: [touch, escaped]}\n",
    );
    place
        .run("CALL boxed\n", &["--tools", "tools"])
        .exits(3)
        .says(&["no image `alpine:3`", ":1"]);
    place
        .praxis(&["tools", "call", "boxed", "--tools", "tools"])
        .exits(3)
        .says(&["no image `alpine:3`"]);
    assert!(!place.path().join("escaped").exists());
    place
        .run("CALL boxed @engine=local\n", &["--tools", "tools"])
        .exits(0);
    assert!(
        place.path().join("escaped").exists(),
        "asked for by name, it may"
    );
}

#[test]
fn the_environment_is_cleared_and_arguments_are_data() {
    let place = Place::new(&[]);
    place.tool(
        "show",
        "parameters: [{name: word}]\noutput: text\n",
        "env; cat",
    );
    let mut command = place.command(&[
        "tools",
        "call",
        "show",
        "word=$(touch pwned); x",
        "--tools",
        "tools",
    ]);
    let output = command.env("PRAXIS_TEST_SECRET", "hush").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("hush"), "{text}");
    assert!(
        text.contains("word=$(touch pwned); x") && text.contains("WORD=$(touch pwned); x"),
        "{text}"
    );
    assert!(text.contains(r#"{"word":"$(touch pwned); x"}"#), "{text}");
    assert!(!place.path().join("pwned").exists());
}
