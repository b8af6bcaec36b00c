//! Workflows that do what they say.

use serde_json::{Value, json};

use crate::shell::{Place, without_measurements};

#[test]
fn the_report_has_the_documented_fields_and_nothing_else_is_printed() {
    let place = Place::new(&[("a.txt", "one two")]);
    let report = place
        .run("WORKFLOW w\nLET t = CALL read_file a.txt\nLET n = CALL word_count --text $t\nRETURN $n.words\n", &["--json"])
        .exits(0)
        .json();
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        keys(&report),
        "error output run_id status steps timing workflow"
    );
    assert_eq!(
        keys(&report["steps"][0]),
        "agent attempts error id line status timing tool"
    );
    assert_eq!(
        keys(&report["steps"][0]["timing"]),
        "cached duration_ms engine started_ms"
    );
    assert_eq!(
        keys(&report["timing"]),
        "cache critical_path_ms makespan_ms work_ms"
    );
    assert_eq!(report["timing"]["cache"], json!({ "hits": 0, "misses": 2 }));
    assert_eq!(report["workflow"], "w");
    assert_eq!(report["status"], "succeeded");
    assert_eq!(report["output"], 2);
    assert_eq!(report["error"], Value::Null);
    assert_eq!(report["steps"][1]["line"], 3);
    assert_eq!(report["steps"][1]["timing"]["engine"], "native");
}

#[test]
fn steps_overlap_unless_told_not_to() {
    let place = Place::new(&[]);
    place.tool(
        "nap",
        "effects: pure\nparameters: [{name: n}]\n",
        "sleep 0.4; echo $n",
    );
    let program =
        "LET a = CALL nap 1\nLET b = CALL nap 2\nLET c = CALL nap 3\nRETURN \"${a}${b}${c}\"\n";
    let run = |more: &[&str]| {
        let arguments: Vec<&str> = ["--tools", "tools", "--json"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        place.run(program, &arguments).exits(0).json()
    };
    let (both, one) = (run(&["--no-cache"]), run(&["--no-cache", "--no-optimize"]));
    assert_eq!(both["output"], "123");
    assert_eq!(one["output"], "123");
    let ratio = |report: &Value| {
        report["timing"]["work_ms"].as_f64().unwrap()
            / report["timing"]["makespan_ms"].as_f64().unwrap()
    };
    assert!(ratio(&both) > 1.5, "three naps should overlap: {both:#}");
    assert!(ratio(&one) <= 1.01, "one by one they should not: {one:#}");
}

#[test]
fn both_modes_report_the_same_but_for_timings() {
    let place = Place::new(&[("in/a.txt", "a b"), ("in/b.txt", "c")]);
    let program = "\
LET files = CALL list_files in
FOR f IN $files
  LET t = CALL read_file $f
  LET n = CALL word_count --text $t
  CALL write_file \"out/${f}\" \"${n.words}\"
END_FOR
IF size(files) == 2
  CALL copy_file out/in/a.txt copied.txt
ELSE
  CALL delete_file in/a.txt
END_IF
LET gone = CALL read_file nowhere.txt
CALL write_file never.txt no
";
    let stripped = |mode: &[&str]| {
        let arguments: Vec<&str> = ["--json"].iter().chain(mode).copied().collect();
        without_measurements(place.run(program, &arguments).exits(1).json())
    };
    let (optimised, in_order) = (stripped(&[]), stripped(&["--no-optimize"]));
    assert_eq!(optimised, in_order);
    assert_eq!(in_order["error"]["line"], 12);
    assert_eq!(place.read("copied.txt"), "2");
    assert!(!place.path().join("never.txt").exists());
    assert_eq!(
        in_order["steps"].as_array().unwrap().last().unwrap()["status"],
        "skipped"
    );
}

#[test]
fn a_read_is_remembered_until_somebody_writes() {
    let place = Place::new(&[("a.txt", "old")]);
    std::thread::sleep(std::time::Duration::from_millis(50));
    let program = "\
LET one = CALL read_file a.txt
LET two = CALL read_file a.txt @after=s1
CALL write_file a.txt new
LET three = CALL read_file a.txt
RETURN \"${one} ${two} ${three}\"
";
    let report = place.run(program, &["--json"]).exits(0).json();
    assert_eq!(report["output"], "old old new");
    let cached: Vec<&Value> = report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["timing"]["cached"])
        .collect();
    assert_eq!(cached, [false, true, false, false]);
    std::fs::write(place.path().join("a.txt"), "old").unwrap();
    let report = place
        .run(program, &["--json", "--no-cache"])
        .exits(0)
        .json();
    assert_eq!(report["timing"]["cache"], json!({ "hits": 0, "misses": 0 }));
}

#[test]
fn an_edited_program_of_a_tool_is_a_miss() {
    let place = Place::new(&[]);
    place.tool("answer", "effects: pure\n", "echo 1");
    place.tool(
        "edit",
        "effects: external\n",
        "echo 'echo 2' > tools/answer/tool.sh",
    );
    let program = "LET a = CALL answer\nLET b = CALL answer @after=s1\nCALL edit\nLET c = CALL answer @after=s3\nRETURN \"${a}${b}${c}\"\n";
    let report = place
        .run(program, &["--json", "--tools", "tools"])
        .exits(0)
        .json();
    assert_eq!(report["output"], "112");
    assert_eq!(report["timing"]["cache"]["hits"], 1);
}

#[test]
fn inputs_are_given_by_name() {
    let place = Place::new(&[]);
    let program = "INPUT who\nINPUT n = 2\nRETURN \"${who} ${n}\"\n";
    assert_eq!(
        place
            .run(program, &["--param", "who=x"])
            .exits(0)
            .stdout
            .lines()
            .last(),
        Some("x 2")
    );
    assert_eq!(
        place
            .run(program, &["--param", "who=x", "--param", "n=3"])
            .exits(0)
            .stdout
            .lines()
            .last(),
        Some("x 3")
    );
    place.run(program, &[]).exits(2).says(&["`who`", "--param"]);
    place
        .run(program, &["--param", "who=x", "--param", "m=3"])
        .exits(2)
        .says(&["`m`", "who, n"]);
    place
        .run(program, &["--param", "who"])
        .exits(2)
        .says(&["`=`"]);
}

#[test]
fn retries_and_timeouts_hold() {
    let place = Place::new(&[]);
    place.tool(
        "third",
        "effects: external\n",
        "echo x >> tries; test $(wc -l < tries) -ge 3",
    );
    let report = place
        .run("CALL third @retries=5\n", &["--json", "--tools", "tools"])
        .exits(0)
        .json();
    assert_eq!(report["steps"][0]["attempts"], 3);
    place.tool("hang", "effects: external\n", "sleep 600");
    let report = place
        .run(
            "CALL hang @timeout=300ms\n",
            &["--json", "--tools", "tools"],
        )
        .exits(1)
        .json();
    assert_eq!(report["error"]["kind"], "timeout");
    let report = place
        .run(
            "CALL hang\n",
            &["--json", "--tools", "tools", "--timeout", "300ms"],
        )
        .exits(1)
        .json();
    assert_eq!(
        (&report["error"]["kind"], &report["steps"][0]["status"]),
        (&json!("timeout"), &json!("cancelled"))
    );
}

#[test]
fn a_try_catches_and_return_ends() {
    let place = Place::new(&[("a.txt", "x")]);
    let program = "\
TRY
  LET t = CALL read_file nowhere.txt
CATCH err
  LET t = CALL read_file a.txt
  CALL write_file log.txt \"${err.kind} on line ${err.line}\"
END_TRY
IF t == 'x'
  RETURN $t
END_IF
CALL write_file never.txt no
";
    let report = place.run(program, &["--json"]).exits(0).json();
    assert_eq!(report["output"], "x");
    assert_eq!(place.read("log.txt"), "failed on line 2");
    assert!(!place.path().join("never.txt").exists());
}

#[test]
fn a_pipe_gets_plain_lines() {
    let place = Place::new(&[("a.txt", "x")]);
    let ran = place.run("CALL read_file a.txt\n", &[]).exits(0);
    assert!(
        !ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'),
        "{ran:?}"
    );
    assert!(
        ran.stdout.contains("read_file") && ran.stdout.contains("succeeded"),
        "{ran:?}"
    );
    let ran = place
        .run("CALL read_file a.txt\n", &["-v", "--log-format", "json"])
        .exits(0);
    assert!(
        ran.stderr
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{ran:?}"
    );
}

#[test]
fn two_names_of_one_file_are_one_resource() {
    let place = Place::new(&[("real/a", "old"), ("real/deep/b", "old")]);
    std::os::unix::fs::symlink("real", place.path().join("link")).unwrap();
    let program = "\
CALL write_file link/a new
LET t = CALL read_file real/a
CALL write_file real/deep/b new
LET u = CALL read_file link/deep/b
RETURN \"${t} ${u}\"
";
    for _ in 0..5 {
        for name in ["real/a", "real/deep/b"] {
            place.write(name, b"old");
        }
        assert_eq!(
            place.run(program, &["--json"]).exits(0).json()["output"],
            "new new"
        );
    }
}

#[test]
fn the_first_in_program_order_counts_as_the_one_that_computed() {
    let place = Place::new(&[]);
    let program = "FOR n IN [1,2,3]\n  LET a = CALL calculator 1+1\nEND_FOR\n";
    for mode in [
        &["--json", "--state", "one"][..],
        &["--json", "--state", "two", "--no-optimize"],
    ] {
        let report = place.run(program, mode).exits(0).json();
        let steps = report["steps"].as_array().unwrap();
        let cached: Vec<&Value> = steps.iter().map(|step| &step["timing"]["cached"]).collect();
        assert_eq!(cached, [false, true, true], "{report:#}");
        assert_eq!(
            (&steps[0]["timing"]["engine"], &steps[1]["timing"]["engine"]),
            (&json!("native"), &Value::Null)
        );
    }
}
