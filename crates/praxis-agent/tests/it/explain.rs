//! `praxis explain`, and the durations that it and `praxis run` learn from.

use serde_json::{Value, json};

use crate::shell::Place;

const PROGRAM: &str = "\
INPUT dir
LET a = CALL read_file a.txt
LET n = CALL word_count --text $a
LET m = CALL word_count --text $a
CALL write_file \"${dir}/n.txt\" \"${n.words} ${m.words}\"
";

fn place() -> Place {
    let place = Place::new(&[("a.txt", "one two")]);
    place.write("p.praxis", PROGRAM.as_bytes());
    place
}

#[test]
fn a_plan_is_explained_in_every_form() {
    let place = place();
    let explain = |more: &[&str]| {
        let arguments: Vec<&str> = ["explain", "p.praxis"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        place.praxis(&arguments)
    };
    let text = explain(&["--param", "dir=out"]).exits(0).stdout;
    for expected in [
        "line 2  s1 read_file (reads a.txt)",
        "uses $a of line 2",
        "merge, line 4: `s3` is not run: `s2` on line 3",
        "waits for all before it, that is line 4: it writes out/n.txt",
        "critical path: s1 → s2 → s4",
        "write_file: native, a function of this program; remembered: no",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(
        explain(&[])
            .exits(0)
            .stdout
            .contains("writes what is known only when it runs")
    );
    let document = explain(&["--json"]).exits(0).json();
    assert_eq!(document["version"], 1);
    assert_eq!(document["steps"][2]["fate"], "merged");
    assert_eq!(document["steps"][1]["engine"], "native");
    assert_eq!(
        document["steps"][0]["remembered"],
        "until what it read changes"
    );
    assert_eq!(document["steps"][3]["writes"], json!([null]));
    assert!(
        explain(&["--mermaid"])
            .exits(0)
            .stdout
            .starts_with("flowchart TD\n")
    );
    assert!(
        explain(&["--dot"])
            .exits(0)
            .stdout
            .starts_with("digraph workflow {\n")
    );
    explain(&["--param", "nope=1"])
        .exits(2)
        .says(&["no input `nope`", "its inputs are: dir"]);
    explain(&["--jobs", "0"])
        .exits(2)
        .says(&["at least 1 step"]);
    explain(&["--dot", "--json"]).exits(2);
    place.praxis(&["explain", "none.praxis"]).exits(3);
    place.write("bad.praxis", b"CALL read_file $nobody\n");
    place
        .praxis(&["explain", "bad.praxis"])
        .exits(2)
        .says(&["P0401"]);
}

fn learned(place: &Place) -> Value {
    let arguments = ["explain", "p.praxis", "--json", "--state", "state"];
    place.praxis(&arguments).exits(0).json()["steps"][0]["learned"].clone()
}

#[test]
fn durations_are_learned_from_run_to_run() {
    let place = place();
    let run = || {
        let arguments = [
            "run",
            "p.praxis",
            "--param",
            "dir=out",
            "--no-cache",
            "--state",
            "state",
        ];
        place.praxis(&arguments).exits(0)
    };
    assert_eq!(learned(&place), false);
    run();
    assert_eq!(learned(&place), true);
    place.write("state/durations.json", b"{ no json");
    run().says(&["durations.damaged.json"]);
    assert_eq!(learned(&place), true);
    assert_eq!(place.read("state/durations.damaged.json"), "{ no json");
    // Runs at the same time lose nothing of each other.
    let count = || {
        let kept: Value = serde_json::from_str(&place.read("state/durations.json")).unwrap();
        kept["tools"]["read_file"]["count"].as_u64().unwrap()
    };
    let before = count();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(run);
        }
    });
    assert_eq!(count(), before + 4);
}
