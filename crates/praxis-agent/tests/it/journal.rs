//! Runs that survive: journals, resuming, replaying, and what is refused.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
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

#[test]
fn a_folder_that_cannot_be_written_is_said_once_and_fails_nothing() {
    let place = place();
    place.write("w.praxis", b"CALL append a.txt 1\n");
    place.write("state/runs", b"no folder");
    let ran = run(&place, &["--no-cache"]).exits(0);
    assert_eq!(
        ran.stderr.matches("cannot be resumed").count(),
        1,
        "{ran:?}"
    );
    assert_eq!(place.read("a.txt"), "1\n");
    let ran = run(&place, &["--no-cache", "--no-journal"]).exits(0);
    assert_eq!(ran.stderr, "");
    std::fs::remove_file(place.path().join("state/runs")).unwrap();
    std::fs::create_dir(place.path().join("state/runs")).unwrap();
    let folder = place.path().join("state/runs");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o500)).unwrap();
    // Root writes where it may not, so that for it nothing fails here.
    if !rustix::process::geteuid().is_root() {
        let ran = run(&place, &["--no-cache"]).exits(0);
        assert_eq!(
            ran.stderr.matches("cannot be resumed").count(),
            1,
            "{ran:?}"
        );
    }
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// A file system of so many bytes, if the system lets this process mount one.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(path: std::path::PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "praxis-test"])
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

#[test]
fn a_disk_that_is_full_costs_the_journal_and_nothing_else() {
    let place = place();
    let Some(_small) = Small::mount(place.path().join("state"), "size=256k") else {
        eprintln!("skipped: this process may not mount a file system");
        return;
    };
    place.tool(
        "much",
        "effects: read\nparameters: [{name: n}]\n",
        "head -c 20000 /dev/zero | tr '\\0' x",
    );
    let mut program = String::new();
    for step in 0..20 {
        program.push_str(&format!(
            "CALL append out.txt {step}\nLET m{step} = CALL much {step}\n"
        ));
    }
    place.write("w.praxis", program.as_bytes());
    let ran = run(&place, &["--no-cache"]).exits(0);
    assert_eq!(
        ran.stderr.matches("cannot be resumed").count(),
        1,
        "{ran:?}"
    );
    assert!(ran.stderr.contains("full"), "{ran:?}");
    assert_eq!(place.read("out.txt").lines().count(), 20);
    let listed = runs(&place, &["list", "--json"]).exits(0).json();
    assert_eq!(listed["runs"][0]["status"], "abandoned", "{listed:#}");
    assert_eq!(listed["runs"][0]["damage"], Value::Null, "{listed:#}");
    runs(&place, &["resume", "latest", "--rerun-unknown"])
        .exits(2)
        .says(&["lost its journal"]);
}

#[test]
fn a_limit_of_file_sizes_costs_what_would_be_remembered_and_nothing_else() {
    let place = place();
    place.write("w.praxis", b"CALL append out.txt 1\nRETURN \"done\"\n");
    let praxis = env!("CARGO_BIN_EXE_praxis");
    // 8 blocks of 512 bytes or of 1,024, as the shell counts.
    let script = format!("ulimit -f 8; exec {praxis} run w.praxis --tools tools --state state");
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(place.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("done\n"));
    assert!(told.contains("remembered in this run only"), "{told}");
    assert_eq!(place.read("out.txt"), "1\n");
}

#[test]
fn a_medium_that_cannot_be_written_can_be_read() {
    let place = place();
    place.write("w.praxis", b"CALL append a.txt 1\n");
    run(&place, &["--no-cache"]).exits(0);
    let Some(_small) = Small::mount(place.path().join("ro"), "size=4m") else {
        eprintln!("skipped: this process may not mount a file system");
        return;
    };
    let state = place.path().join("ro/state");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(place.path().join("state"))
        .arg(&state)
        .status();
    assert!(copied.unwrap().success());
    let remounted = std::process::Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(place.path().join("ro"))
        .status();
    assert!(remounted.unwrap().success());
    let at = ["--state", "ro/state"];
    let listed = place
        .praxis(&[&["runs", "list", "--json"], &at[..]].concat())
        .exits(0)
        .json();
    assert_eq!(listed["runs"][0]["status"], "succeeded");
    let ran = place
        .praxis(
            &[
                &["run", "w.praxis", "--tools", "tools", "--no-cache"],
                &at[..],
            ]
            .concat(),
        )
        .exits(0);
    assert_eq!(
        ran.stderr.matches("cannot be resumed").count(),
        1,
        "{ran:?}"
    );
}

#[test]
fn a_damaged_journal_is_said_and_what_is_whole_is_shown() {
    let place = place();
    let mut program = String::new();
    for step in 0..40 {
        program.push_str(&format!("CALL append out.txt {step}\n"));
    }
    place.write("w.praxis", program.as_bytes());
    let arguments = ["run", "w.praxis", "--tools", "tools", "--state", "state"];
    assert_eq!(killed_at(&place, 30, "after", &arguments), None);
    let done = place.read("out.txt");
    let whole = runs(&place, &["show", "latest", "--json"]).exits(0).json();
    // The one who showed it was the last to have it open, so all is in one file.
    let id = whole["run_id"].as_str().unwrap();
    let path = place.path().join(format!("state/runs/{id}.journal"));
    let mut bytes = std::fs::read(&path).unwrap();
    // The record stands in the file once or more, since pages keep what was moved out of them.
    let record = br#""event":"finished","step":"s13""#;
    let places: Vec<usize> = bytes
        .windows(record.len())
        .enumerate()
        .filter_map(|(at, found)| (found == record).then_some(at))
        .collect();
    assert!(!places.is_empty(), "the 13th step had finished");
    for at in places {
        bytes[at + 1] ^= 0xff;
    }
    std::fs::write(&path, bytes).unwrap();
    let shown = runs(&place, &["show", "latest", "--json"]).exits(0).json();
    let damage = shown["damage"]
        .as_str()
        .unwrap_or_else(|| panic!("{shown:#}"));
    assert!(
        damage.contains("lost") || damage.contains("damaged"),
        "{damage}"
    );
    assert!(shown["steps_finished"].as_u64() > Some(10), "{shown:#}");
    runs(&place, &["resume", "latest"])
        .exits(1)
        .says(&["damaged", "--rerun-unknown"]);
    assert_eq!(place.read("out.txt"), done, "nothing was run");
    assert!(runs(&place, &["list"]).exits(0).stdout.contains("damaged"));
}

#[test]
fn a_journal_that_is_no_more_one_is_called_damaged_wherever_it_is_asked() {
    let garbage = vec![b'x'; 20_000];
    for bytes in [&b""[..], &garbage] {
        let place = place();
        place.write("w.praxis", b"CALL append out.txt 1\n");
        let id = run(&place, &[]).exits(0).json()["run_id"].clone();
        let id = id.as_str().unwrap();
        place.write(&format!("state/runs/{id}.journal"), bytes);
        let shown = runs(&place, &["show", id]).exits(0).stdout;
        assert!(shown.contains("damaged: "), "{shown}");
        let list = runs(&place, &["list"]).exits(0).stdout;
        assert!(
            list.contains("abandoned") && list.contains("damaged"),
            "{list}"
        );
        let diff = runs(&place, &["diff", id, id]).exits(0).stdout;
        assert!(
            diff.contains("damaged: ") && !diff.contains("the runs did the same"),
            "{diff}"
        );
        runs(&place, &["resume", id]).exits(2).says(&["damaged"]);
        let replayed = runs(&place, &["replay", id]).exits(2);
        assert!(
            replayed.stderr.contains("damaged") && !replayed.stderr.contains("goes on"),
            "{replayed:?}"
        );
    }
}
