//! Ctrl-C: what runs is killed, what was done is told.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::shell::Place;

fn interrupted(signal: Signal) {
    let place = Place::new(&[]);
    place.tool("hang", "", "touch started; exec sleep 7009.5");
    place.write(
        "w.praxis",
        b"LET a = CALL word_count --text x\nCALL hang\nCALL write_file never.txt no\n",
    );
    let mut command = place.command(&["run", "w.praxis", "--tools", "tools", "--json"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(20);
    while !place.path().join("started").exists() {
        assert!(Instant::now() < limit, "the tool never started");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["status"], "cancelled");
    let statuses: Vec<&Value> = report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["status"])
        .collect();
    assert_eq!(statuses, ["succeeded", "cancelled", "skipped"]);
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let left = processes
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains("7009.5"));
    assert!(!left, "the tool outlived the run");
    assert!(!place.path().join("never.txt").exists());
}

/// Whether this process, and so each that it runs, was told to ignore the hang-up.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    mask & 1 != 0
}

#[test]
fn ctrl_c_and_termination_cancel_the_run() {
    interrupted(Signal::INT);
    interrupted(Signal::TERM);
    if hangup_is_ignored() {
        eprintln!("SIGHUP is ignored here, as under nohup, and stays so in what is run: not tried");
    } else {
        interrupted(Signal::HUP);
    }
}
