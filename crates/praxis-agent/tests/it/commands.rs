//! The other commands.

use serde_json::{Value, json};

use crate::shell::Place;

#[test]
fn tools_are_listed_shown_and_called() {
    let place = Place::new(&[("a.txt", "x y")]);
    let tools = place.praxis(&["tools", "list", "--json"]).exits(0).json();
    let names: Vec<&str> = tools["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    for name in [
        "read_file",
        "write_file",
        "list_files",
        "list_directory",
        "delete_file",
        "copy_file",
        "move_file",
        "create_directory",
        "search_files",
        "word_count",
        "keyword_extract",
        "text_summarize",
        "json_format",
        "json_query",
        "template",
        "calculator",
        "system_info",
        "http_fetch",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let shown = place.praxis(&["tools", "show", "read_file"]).exits(0);
    assert!(
        shown.stdout.contains("filename") && shown.stdout.contains("read"),
        "{shown:?}"
    );
    assert_eq!(
        place
            .praxis(&["tools", "show", "read_file", "--json"])
            .exits(0)
            .json()["name"],
        "read_file"
    );
    assert_eq!(
        place
            .praxis(&["tools", "call", "read_file", "filename=a.txt"])
            .exits(0)
            .stdout,
        "x y\n"
    );
    let called = place
        .praxis(&["tools", "call", "calculator", "expression=6*7", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        called,
        json!({ "tool": "calculator", "status": "succeeded", "value": 42, "error": null })
    );
    place
        .praxis(&["tools", "show", "raed_file"])
        .exits(3)
        .says(&["read_file"]);
    place
        .praxis(&["tools", "call", "read_file"])
        .exits(2)
        .says(&["filename"]);
    let failed = place
        .praxis(&[
            "tools",
            "call",
            "read_file",
            "filename=nowhere.txt",
            "--json",
        ])
        .exits(1)
        .json();
    assert_eq!(
        (&failed["status"], &failed["value"]),
        (&json!("failed"), &Value::Null)
    );
    place
        .praxis(&["tools", "call", "http_fetch", "url=http://127.0.0.1:9/"])
        .exits(1)
        .says(&["--allow-network"]);
}

#[test]
fn the_compatibility_forms_are_printed() {
    let place = Place::new(&[]);
    let tree = place
        .feed(b"call ping_host Alpha", &["ast", "--compat", "-"])
        .exits(0)
        .json();
    assert_eq!(tree["nodes"][0]["args"], json!({ "arg0": "Alpha" }));
    let tokens = place
        .feed(b"call ping_host Alpha", &["tokens", "--compat", "-"])
        .exits(0)
        .json();
    assert_eq!(tokens[0]["value"], "CALL");
    place
        .feed(b"PARALLEL\nEND_PARALLEL", &["ast", "--compat", "-"])
        .exits(2)
        .says(&["P0107"]);
    let version = place.praxis(&["--version"]).exits(0);
    assert_eq!(
        version.stdout,
        concat!("praxis ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_check_of_several_files_is_one_document() {
    let place = Place::new(&[
        ("good.praxis", "CALL read_file a\n"),
        ("bad.praxis", "CALL\n"),
    ]);
    let report = place
        .praxis(&["check", "good.praxis", "bad.praxis", "--json"])
        .exits(2)
        .json();
    assert_eq!(
        report["files"][0],
        json!({ "path": "good.praxis", "diagnostics": [] })
    );
    let row = &report["files"][1]["diagnostics"][0];
    let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "code",
            "column",
            "end_column",
            "end_line",
            "help",
            "line",
            "message",
            "severity"
        ]
    );
    let text = place
        .praxis(&["check", "good.praxis", "bad.praxis"])
        .exits(2);
    assert_eq!(text.stdout, "good.praxis: ok\nbad.praxis: 1 error\n");
}
