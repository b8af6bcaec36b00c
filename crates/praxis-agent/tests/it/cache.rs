//! What is remembered from run to run.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::shell::{Place, Ran};

const PROGRAM: &str =
    "LET t = CALL read_file a.txt\nLET n = CALL word_count --text $t\nRETURN $t\n";

/// A file that changed just now is not remembered yet.
fn settle() {
    std::thread::sleep(Duration::from_millis(60));
}

fn run(place: &Place, program: &str, more: &[&str]) -> Value {
    let arguments = [&["--json", "--state", "state"], more].concat();
    place.run(program, &arguments).exits(0).json()
}

fn hits(report: &Value) -> &Value {
    &report["cache"]["hits"]
}

#[test]
fn results_survive_until_what_they_read_changes() {
    let place = Place::new(&[("a.txt", "one")]);
    settle();
    assert_eq!(*hits(&run(&place, PROGRAM, &[])), 0);
    assert_eq!(*hits(&run(&place, PROGRAM, &[])), 2);
    assert_eq!(*hits(&run(&place, PROGRAM, &["--no-cache"])), 0);
    // Of the same size, so that only the times tell.
    place.write("a.txt", b"two");
    settle();
    let report = run(&place, PROGRAM, &[]);
    assert_eq!(
        (hits(&report), &report["output"]),
        (&json!(0), &json!("two"))
    );
    std::fs::remove_file(place.path().join("a.txt")).unwrap();
    place
        .run(PROGRAM, &["--state", "state"])
        .exits(1)
        .says(&["a.txt"]);
}

#[test]
fn another_root_is_another_world() {
    let place = Place::new(&[("x/a.txt", "one"), ("y/a.txt", "two")]);
    settle();
    for (root, expect) in [("x", "one"), ("y", "two"), ("x", "one"), ("y", "two")] {
        assert_eq!(run(&place, PROGRAM, &["--root", root])["output"], expect);
    }
}

#[test]
fn an_edited_program_is_a_miss_in_the_next_run() {
    let place = Place::new(&[]);
    let answer = || {
        run(
            &place,
            "LET a = CALL answer\nRETURN $a\n",
            &["--tools", "tools"],
        )
    };
    place.tool("answer", "effects: pure\n", "echo 1");
    assert_eq!(*hits(&answer()), 0);
    assert_eq!(*hits(&answer()), 1);
    place.tool("answer", "effects: pure\n", "echo 2");
    let report = answer();
    assert_eq!((hits(&report), &report["output"]), (&json!(0), &json!("2")));
}

#[test]
fn a_killed_run_leaves_a_cache_that_works() {
    let place = Place::new(&[("a.txt", "one")]);
    place.tool("hang", "effects: external\n", "touch started; sleep 600");
    settle();
    run(&place, PROGRAM, &[]);
    place.write(
        "hang.praxis",
        format!("LET u = CALL word_count \"a b\"\n{PROGRAM}CALL hang\n")
            .replace("RETURN $t\n", "")
            .as_bytes(),
    );
    let mut child = place
        .command(&["run", "hang.praxis", "--tools", "tools", "--state", "state"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !place.path().join("started").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // While it runs, the others do without its file and say so once.
    let ran = place.run(PROGRAM, &["--state", "state"]).exits(0);
    assert_eq!(ran.stderr.matches("in use").count(), 1, "{ran:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let ran = place.run(PROGRAM, &["--json", "--state", "state"]).exits(0);
    assert_eq!(*hits(&ran.json()), 2);
    assert_eq!(ran.stderr, "");
}

#[test]
fn a_state_that_cannot_be_used_is_said_once_and_fails_nothing() {
    let place = Place::new(&[
        ("a.txt", "one"),
        ("file", "no folder"),
        ("broken/cache.redb", "no database"),
    ]);
    let check = |state: &str, expect: &str| {
        let ran = place.run(PROGRAM, &["--state", state]).exits(0);
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        ran.says(&[expect]);
    };
    check("file", "cannot be used");
    check("broken", "set aside");
    place
        .praxis(&["cache", "stats", "--state", "file"])
        .exits(0);
    let ran = place.run(PROGRAM, &["--state", "broken"]).exits(0);
    assert_eq!(ran.stderr, "");
}

#[test]
fn nothing_outlives_a_run_that_was_given_no_folder() {
    let place = Place::new(&[("a.txt", "one")]);
    settle();
    for _ in 0..2 {
        let report = place.run(PROGRAM, &["--json"]).exits(0).json();
        assert_eq!(report["cache"]["hits"], 0, "{report:#}");
    }
    let ran: Ran = place.praxis(&["cache", "stats"]).exits(2);
    ran.says(&["--state"]);
}

#[test]
fn the_cache_is_shown_explained_and_cleared() {
    let place = Place::new(&[("a.txt", "one")]);
    settle();
    let cache = |arguments: &[&str]| {
        let arguments = [&["cache"], arguments, &["--state", "state"]].concat();
        place.praxis(&arguments)
    };
    assert_eq!(cache(&["stats", "--json"]).exits(0).json()["entries"], 0);
    run(&place, PROGRAM, &[]);
    let stats = cache(&["stats", "--json"]).exits(0).json();
    assert_eq!(stats["entries"], 2);
    assert_eq!(stats["categories"]["read_file"]["entries"], 1);
    assert!(
        cache(&["stats"])
            .exits(0)
            .stdout
            .contains("word_count: 1 results")
    );
    let told = cache(&["explain", "read_file"]).exits(0).stdout;
    assert!(told.contains("read a.txt, unchanged"), "{told}");
    let by_key = cache(&["explain", &told[..12]]).exits(0).stdout;
    assert!(by_key.contains("read a.txt, unchanged"), "{by_key}");
    place.write("a.txt", b"two");
    let told = cache(&["explain", "read_file"]).exits(0).stdout;
    assert!(told.contains("a.txt changed"), "{told}");
    cache(&["explain", "nothing"]).exits(3).says(&["`nothing`"]);
    let cleared = cache(&["clear", "--category", "read_file"]).exits(0).stdout;
    assert_eq!(cleared, "forgot 1 results\n");
    assert_eq!(cache(&["stats", "--json"]).exits(0).json()["entries"], 1);
    cache(&["clear"]).exits(0);
    assert_eq!(cache(&["stats", "--json"]).exits(0).json()["entries"], 0);
}
