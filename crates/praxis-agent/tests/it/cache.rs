//! What is remembered from run to run.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::shell::{Place, without_measurements};

const PROGRAM: &str = "LET t = CALL read_file a.txt\nLET n = CALL word_count --text $t\nRETURN \"${n.words == 0 ? '' : t}\"\n";

/// A file that changed just now is not remembered yet.
fn settle() {
    std::thread::sleep(Duration::from_millis(60));
}

fn run(place: &Place, program: &str, more: &[&str]) -> Value {
    let arguments = [&["--json", "--state", "state"], more].concat();
    place.run(program, &arguments).exits(0).json()
}

fn hits(report: &Value) -> &Value {
    &report["timing"]["cache"]["hits"]
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
    let (steps, _) = PROGRAM.split_once("RETURN").unwrap();
    place.write(
        "hang.praxis",
        format!("LET u = CALL word_count \"a b\"\n{steps}CALL hang\n").as_bytes(),
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
fn what_is_remembered_stands_in_the_state_folder_unless_told() {
    let place = Place::new(&[("a.txt", "one")]);
    settle();
    let run = |more: &[&str]| {
        let arguments = [&["--json"], more].concat();
        place.run(PROGRAM, &arguments).exits(0).json()
    };
    assert_eq!(*hits(&run(&["--no-cache"])), 0);
    let cache = place.state().join("praxis/cache.redb");
    assert!(!cache.exists(), "it was told not to");
    assert_eq!((hits(&run(&[])), hits(&run(&[]))), (&json!(0), &json!(2)));
    assert!(place.state().join("praxis/cache.redb").exists());
    assert_eq!(*hits(&run(&["--state", "another"])), 0);
    let stats = place.praxis(&["cache", "stats", "--json"]).exits(0).json();
    assert_eq!(stats["entries"], 2);
    let home = || {
        let mut command = place.command(&["cache", "stats", "--json"]);
        command.env_remove("XDG_STATE_HOME");
        command
    };
    let told = home().env("HOME", "/nowhere").output().unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["path"], "/nowhere/.local/state/praxis/cache.redb");
    let refused = home().output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--state"));
}

#[test]
fn without_a_place_for_state_a_run_says_so_once_and_goes_on() {
    let place = Place::new(&[("a.txt", "one")]);
    let program = place.write("p.praxis", PROGRAM.as_bytes());
    let check = |variables: &[(&str, &str)], expect: &str| {
        let mut command = place.command(&["run", program.to_str().unwrap()]);
        command.env_remove("XDG_STATE_HOME");
        command.envs(variables.iter().copied());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains(expect) && said.lines().count() == 1, "{said}");
    };
    check(&[], "HOME");
    check(&[("HOME", "here"), ("XDG_STATE_HOME", "there")], "HOME");
    // A folder that not even root can write to.
    if cfg!(target_os = "linux") {
        check(&[("XDG_STATE_HOME", "/sys")], "/sys/praxis");
    }
}

/// The report is of what happened; whether it was remembered is a measurement.
#[test]
fn cold_and_warm_runs_report_the_same_but_for_measurements() {
    let place = Place::new(&[("a.txt", "one"), ("b.txt", "two words")]);
    place.tool("answer", "effects: pure\n", "echo 42");
    let program = "\
LET files = CALL list_files . --pattern *.txt
LET a = CALL answer
FOR f IN $files
  LET t = CALL read_file $f
  LET n = CALL word_count --text $t
END_FOR
LET again = CALL read_file a.txt
LET gone = CALL read_file nowhere.txt
CALL word_count --text never
";
    settle();
    let run = |more: &[&str]| {
        let arguments = [&["--json", "--tools", "tools"], more].concat();
        let report = place.run(program, &arguments).exits(1).json();
        (
            hits(&report).as_u64().unwrap(),
            without_measurements(report),
        )
    };
    let (cold_hits, cold) = run(&[]);
    let (warm_hits, warm) = run(&[]);
    assert!(warm_hits > cold_hits + 3, "{cold_hits}, then {warm_hits}");
    assert_eq!(warm, cold);
    for mode in [
        &["--no-optimize"][..],
        &["--no-cache"],
        &["--no-cache", "--no-optimize"],
        &["--state", "another", "--no-optimize"],
        &["--jobs", "1"],
    ] {
        assert_eq!(run(mode).1, cold, "{mode:?}");
    }
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
    let ran = run(&place, PROGRAM, &[]);
    let stats = cache(&["stats", "--json"]).exits(0).json();
    assert_eq!(stats["entries"], 2);
    assert_eq!(stats["categories"]["read_file"]["entries"], 1);
    assert!(
        cache(&["stats"])
            .exits(0)
            .stdout
            .contains("word_count: 1 result,")
    );
    let told = cache(&["explain", "read_file"]).exits(0).stdout;
    assert!(told.contains("read a.txt, unchanged"), "{told}");
    let run = format!("by run {},", ran["run_id"].as_str().unwrap());
    assert!(told.contains(&run), "{told}");
    let by_key = cache(&["explain", &told[..12]]).exits(0).stdout;
    assert!(by_key.contains("read a.txt, unchanged"), "{by_key}");
    place.write("a.txt", b"two");
    let told = cache(&["explain", "read_file"]).exits(0).stdout;
    assert!(told.contains("a.txt changed"), "{told}");
    cache(&["explain", "nothing"]).exits(3).says(&["`nothing`"]);
    let told = cache(&["explain", "w*count"]).exits(0).stdout;
    assert!(told.contains("word_count {"), "{told}");
    let cleared = cache(&["clear", "--category", "read_*"]).exits(0).stdout;
    assert_eq!(cleared, "forgot 1 result\n");
    assert_eq!(cache(&["stats", "--json"]).exits(0).json()["entries"], 1);
    cache(&["clear"]).exits(0);
    assert_eq!(cache(&["stats", "--json"]).exits(0).json()["entries"], 0);
}
