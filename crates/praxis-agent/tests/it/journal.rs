//! Runs that survive: journals, resuming, replaying, and what is refused.

mod trouble;

use std::collections::BTreeMap;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::shell::{Place, Ran};

/// A step that shows how often it was done: it adds a line to a file.
const APPEND: &str = "\
effects: write
writes: [file]
parameters: [{name: file}, {name: line}]
";
const APPEND_SCRIPT: &str = "echo \"$line\" >> \"$file\"; echo \"$line\"";

/// The same, with a contract that calls it safe to be done again.
const SET: &str = "\
effects: write
idempotent: true
writes: [file]
parameters: [{name: file}, {name: line}]
";
const SET_SCRIPT: &str = "echo \"$line\" > \"$file\"; echo \"$line\"";

fn place() -> Place {
    let place = Place::new(&[("w.praxis", "")]);
    place.tool("append", APPEND, APPEND_SCRIPT);
    place.tool("set", SET, SET_SCRIPT);
    place
}

fn run(place: &Place, more: &[&str]) -> Ran {
    let arguments = [
        "run", "w.praxis", "--tools", "tools", "--state", "state", "--json",
    ];
    place.praxis(&[&arguments[..], more].concat())
}

fn runs(place: &Place, arguments: &[&str]) -> Ran {
    place.praxis(&[&["runs"], arguments, &["--state", "state"]].concat())
}

fn killed_at(place: &Place, write: u32, when: &str, arguments: &[&str]) -> Option<i32> {
    place
        .command(arguments)
        .env(
            "PRAXIS_TEST_KILL_AT_JOURNAL_WRITE",
            format!("{write}:{when}"),
        )
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .code()
}

/// Everything but the times.
fn timeless(mut report: Value) -> Value {
    for time in ["makespan_ms", "critical_path_ms", "work_ms"] {
        report["timing"][time] = Value::Null;
    }
    for step in report["steps"].as_array_mut().unwrap() {
        step["timing"]["started_ms"] = Value::Null;
        step["timing"]["duration_ms"] = Value::Null;
    }
    report
}

/// Thirty steps: those that add a line to one file wait for each other, others run beside them.
fn thirty_steps(tool: &str) -> String {
    let mut program = String::from("LET words = CALL word_count --text \"a b c\"\n");
    for step in 0..12 {
        program.push_str(&format!(
            "CALL {tool} out/one.txt \"line {step} of ${{words.words}}\"\n"
        ));
    }
    program.push_str("PARALLEL\n");
    for child in 0..5 {
        program.push_str(&format!("  CALL {tool} out/p{child}.txt {child}\n"));
    }
    program.push_str("END_PARALLEL\nFOR n IN [1,2,3,4]\n");
    program.push_str("  LET twice = CALL calculator \"${n} * 2\"\n");
    program.push_str(&format!("  CALL {tool} out/rounds.txt $twice\nEND_FOR\n"));
    program.push_str("LET back = CALL read_file out/rounds.txt\n");
    // Not how many rounds there are in the file: a step of unknown outcome may be done twice.
    program.push_str("LET last = CALL word_count --text \"${size(back) > 0}\"\n");
    program.push_str(&format!("CALL {tool} out/end.txt $last.words\n"));
    program.push_str("TRY\n  CALL read_file nowhere.txt\nCATCH err\n");
    program.push_str(&format!(
        "  CALL {tool} out/caught.txt $err.kind\nEND_TRY\nRETURN $last.words\n"
    ));
    program
}

fn files(place: &Place) -> BTreeMap<String, String> {
    std::fs::read_dir(place.path().join("out"))
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| {
                    let name = entry.file_name().into_string().unwrap();
                    (name, std::fs::read_to_string(entry.path()).unwrap())
                })
                .collect()
        })
        .unwrap_or_default()
}

fn lines(files: &BTreeMap<String, String>) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for (file, text) in files {
        for line in text.lines() {
            *counts.entry((file.clone(), line.to_owned())).or_default() += 1;
        }
    }
    counts
}

/// What a run leaves.
struct Left {
    output: Value,
    files: BTreeMap<String, String>,
}

/// Kills the run at one write of its journal, goes on, and compares what is left with a run that
/// was let be. Gives whether there was such a write.
fn survives(tool: &str, write: u32, when: &str, expected: &Left) -> bool {
    let place = place();
    place.write("w.praxis", thirty_steps(tool).as_bytes());
    place.write("out/.keep", b"");
    let arguments = [
        "run", "w.praxis", "--tools", "tools", "--state", "state", "--jobs", "4",
    ];
    if killed_at(&place, write, when, &arguments).is_some() {
        return false;
    }
    let at = format!("{tool}, killed {when} write {write}");
    if runs(&place, &["list", "--json"]).exits(0).json()["runs"] == json!([]) {
        return true;
    }
    let shown = runs(&place, &["show", "latest", "--json"]).exits(0).json();
    if shown["status"] == "succeeded" {
        assert_eq!(files(&place), expected.files, "{at}");
        return true;
    }
    let Some(start) = shown["source"].as_str() else {
        // Killed before the first record: nothing was begun.
        assert_eq!(lines(&files(&place)).len(), 0, "{at}");
        return true;
    };
    assert!(start.contains("CALL"));
    let unknown = shown["unknown"].as_array().unwrap().len();
    let ran = runs(&place, &["resume", "latest", "--json"]);
    if tool == "set" {
        assert_eq!(ran.exits(0).json()["output"], expected.output, "{at}");
        assert_eq!(files(&place), expected.files, "{at}");
        return true;
    }
    let ran = if unknown == 0 {
        ran
    } else {
        ran.exits(1).says(&["not known", "`append`", "out/"]);
        assert!(unknown <= 5, "{at}: no more than were in flight: {shown:#}");
        runs(&place, &["resume", "latest", "--json", "--rerun-unknown"])
    };
    assert_eq!(ran.exits(0).json()["output"], expected.output, "{at}");
    let (found, expected) = (lines(&files(&place)), lines(&expected.files));
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>(),
        "{at}: something is lost or too much"
    );
    let twice = found.values().filter(|count| **count > 1).count();
    assert!(
        twice <= unknown,
        "{at}: {twice} effects twice, {unknown} unknown"
    );
    assert!(found.values().all(|count| *count <= 2), "{at}: {found:?}");
    true
}

/// Every write of the journal by default on a release of confidence; every third on each test run.
fn kill_everywhere(tool: &str, first: u32) {
    let place = place();
    place.write("w.praxis", thirty_steps(tool).as_bytes());
    place.write("out/.keep", b"");
    let report = run(&place, &["--jobs", "4"]).exits(0).json();
    assert_eq!(report["steps"].as_array().unwrap().len(), 31);
    let expected = Left {
        output: report["output"].clone(),
        files: files(&place),
    };
    let stride = if std::env::var_os("PRAXIS_KILL_EVERYWHERE").is_some() {
        1
    } else {
        5
    };
    let mut write = first;
    for when in ["before", "after"].iter().cycle() {
        if !survives(tool, write, when, &expected) {
            break;
        }
        if *when == "after" || stride > 1 {
            write += stride;
        }
    }
    assert!(write > 15, "the journal is written many times: {write}");
}

#[test]
fn a_run_that_is_killed_at_any_write_of_its_journal_does_each_effect_once() {
    kill_everywhere("append", 1);
}

#[test]
fn idempotent_steps_need_no_decision_after_a_kill() {
    kill_everywhere("set", 3);
}

#[test]
fn a_run_killed_in_a_step_leaves_no_process_and_is_resumed_when_the_user_insists() {
    let place = place();
    place.tool(
        "hang",
        APPEND,
        "echo begun >> \"$file\"; if [ ! -e go ]; then sleep 7011.5; fi; echo done >> \"$file\"",
    );
    place.write(
        "w.praxis",
        b"CALL append out.txt first\nCALL hang out.txt x\nCALL append out.txt last\n",
    );
    let mut child = place
        .command(&["run", "w.praxis", "--tools", "tools", "--state", "state"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let text = || std::fs::read_to_string(place.path().join("out.txt")).unwrap_or_default();
    while !text().contains("begun") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // While it runs nobody else may have it.
    runs(&place, &["resume", "latest"])
        .exits(3)
        .says(&["in use"]);
    assert_eq!(
        runs(&place, &["list", "--json"]).exits(0).json()["runs"][0]["status"],
        "running"
    );
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    let left = || {
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .any(|line| String::from_utf8_lossy(&line).contains("7011.5"))
    };
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while left() {
        assert!(
            std::time::Instant::now() < limit,
            "the tool outlived the run"
        );
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(
        runs(&place, &["list", "--json"]).exits(0).json()["runs"][0]["status"],
        "interrupted"
    );
    runs(&place, &["resume", "latest"]).exits(1).says(&[
        "s2",
        "line 2",
        "`hang`",
        "out.txt",
        "--rerun-unknown",
    ]);
    assert_eq!(text(), "first\nbegun\n");
    place.write("go", b"");
    let report = runs(&place, &["resume", "latest", "--rerun-unknown", "--json"])
        .exits(0)
        .json();
    assert_eq!(report["status"], "succeeded");
    assert_eq!(text(), "first\nbegun\nbegun\ndone\nlast\n");
    let replayed = runs(&place, &["replay", "latest", "--json"])
        .exits(0)
        .json();
    assert_eq!(timeless(replayed), timeless(report));
    runs(&place, &["resume", "latest"])
        .exits(2)
        .says(&["over", "succeeded"]);
}

#[test]
fn a_replay_gives_the_report_and_runs_nothing() {
    let place = place();
    place.write("w.praxis", thirty_steps("append").as_bytes());
    place.write("out/.keep", b"");
    let report = run(&place, &[]).exits(0).json();
    let before = files(&place);
    let id = report["run_id"].as_str().unwrap();
    // A prefix is enough.
    let replayed = runs(&place, &["replay", &id[..id.len() - 1], "--json"])
        .exits(0)
        .json();
    assert_eq!(timeless(replayed), timeless(report.clone()));
    assert_eq!(files(&place), before);
    // Steps that were answered from the cache replay as such.
    let again = run(&place, &[]).exits(0).json();
    assert_ne!(again["timing"]["cache"]["hits"], 0);
    let replayed = runs(&place, &["replay", "latest", "--json"])
        .exits(0)
        .json();
    assert_eq!(timeless(replayed), timeless(again));
    // A failed run is replayed with its failure and its exit code.
    place.write(
        "w.praxis",
        b"CALL append out/x 1\nCALL read_file nowhere.txt\nCALL append out/x 2\n",
    );
    let failed = run(&place, &[]).exits(1).json();
    let replayed = runs(&place, &["replay", "latest", "--json"])
        .exits(1)
        .json();
    assert_eq!(timeless(replayed), timeless(failed));
}

#[test]
fn what_changed_since_is_refused() {
    let place = place();
    place.write("w.praxis", b"CALL append a.txt 1\nCALL append b.txt 2\n");
    // After the first step's announcement.
    assert_eq!(
        killed_at(
            &place,
            3,
            "after",
            &["run", "w.praxis", "--tools", "tools", "--state", "state"]
        ),
        None
    );
    let resume = |more: &[&str]| {
        runs(
            &place,
            &[&["resume", "latest", "--rerun-unknown"], more].concat(),
        )
    };
    place.write("w.praxis", b"CALL append a.txt 1\nCALL append c.txt 2\n");
    resume(&[])
        .exits(1)
        .says(&["the program", "w.praxis", "--accept-changes"]);
    place.write("w.praxis", b"CALL append a.txt 1\nCALL append b.txt 2\n");
    place.write(
        "tools/append/tool.sh",
        format!("{APPEND_SCRIPT}\n# other").as_bytes(),
    );
    resume(&[])
        .exits(1)
        .says(&["tool `append`", "--accept-changes"]);
    resume(&["--accept-changes"]).exits(0);
    assert_eq!(place.read("b.txt"), "2\n");
}

#[test]
fn an_interrupted_run_says_how_to_go_on() {
    let place = place();
    place.tool(
        "hang",
        APPEND,
        "touch started; if [ ! -e go ]; then sleep 7012.5; fi",
    );
    place.write(
        "w.praxis",
        b"CALL append a.txt 1\nCALL hang b.txt x\nCALL append c.txt 3\n",
    );
    let child = place
        .command(&["run", "w.praxis", "--tools", "tools", "--state", "state"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !place.path().join("started").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stderr).contains("praxis runs resume "));
    runs(&place, &["resume", "latest"])
        .exits(1)
        .says(&["`hang`"]);
    place.write("go", b"");
    let report = runs(&place, &["resume", "latest", "--json", "--rerun-unknown"])
        .exits(0)
        .json();
    assert_eq!(place.read("a.txt"), "1\n");
    assert_eq!(place.read("c.txt"), "3\n");
    let replayed = runs(&place, &["replay", "latest", "--json"])
        .exits(0)
        .json();
    assert_eq!(timeless(replayed), timeless(report));
}

#[test]
fn ids_that_name_no_run_are_refused() {
    let place = place();
    runs(&place, &["show", "latest"])
        .exits(3)
        .says(&["`latest`", "runs list"]);
    place.write("w.praxis", b"CALL append a.txt 1\n");
    let first = run(&place, &[]).exits(0).json();
    run(&place, &[]).exits(0);
    let id = first["run_id"].as_str().unwrap();
    runs(&place, &["show", "0"])
        .exits(2)
        .says(&["2 runs begin with `0`", "more of the id"]);
    let wrong = format!("{}zz", &id[..id.len() - 2]);
    runs(&place, &["show", &wrong])
        .exits(3)
        .says(&["there is no run", "did you mean"]);
    runs(&place, &["replay", "../../etc/passwd"])
        .exits(3)
        .says(&["there is no run"]);
    let listed = runs(&place, &["list"]).exits(0).stdout;
    assert_eq!(listed.lines().count(), 2);
    assert!(
        listed.contains("succeeded") && listed.contains("w.praxis"),
        "{listed}"
    );
    let shown = runs(&place, &["show", id]).exits(0).stdout;
    assert!(
        shown.contains("append") && shown.contains("line 1"),
        "{shown}"
    );
}

#[test]
fn the_first_step_that_differs_is_named() {
    let place = Place::new(&[("a.txt", "one two")]);
    place.write(
        "w.praxis",
        b"INPUT n = 1\nLET t = CALL read_file a.txt\nLET w = CALL word_count --text $t\nRETURN $w.words\n",
    );
    let run = |more: &[&str]| {
        let arguments = [
            &[
                "run",
                "w.praxis",
                "--state",
                "state",
                "--json",
                "--no-cache",
            ],
            more,
        ]
        .concat();
        place.praxis(&arguments).exits(0).json()["run_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (one, same) = (run(&[]), run(&[]));
    let diff = |other: &str| {
        place
            .praxis(&["runs", "diff", &one, other, "--json", "--state", "state"])
            .exits(0)
            .json()
    };
    assert_eq!(diff(&same)["first"], Value::Null);
    place.write("a.txt", b"one two three");
    let other = run(&["--param", "n=2"]);
    let found = diff(&other);
    assert_eq!(found["first"]["line"], 2);
    assert_eq!(found["first"]["tool"], "read_file");
    assert_eq!(found["first"]["difference"]["what"], "other results");
    assert_eq!(found["differing_steps"], 2);
    assert_eq!(found["start"][0]["what"], "the inputs differ");
    let text = runs(&place, &["diff", &one, &other]).exits(0).stdout;
    assert!(
        text.contains("line 2") && text.contains("one two three"),
        "{text}"
    );
}
