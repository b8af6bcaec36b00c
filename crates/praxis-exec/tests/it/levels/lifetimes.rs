//! What a tool starts ends with its call, and with Praxis.

use std::process::{Command, Stdio};
use std::time::Duration;

use praxis_exec::ToolContract;
use praxis_exec::local::Level;

use super::{GUARDED, run, shell, unique};
use crate::folder;
use crate::local::{assert_gone, engine, processes_with};

/// Leaves a process behind that has its own session and no parent, environment or ear for SIGTERM.
fn daemon(word: &str, end: &str) -> ToolContract {
    shell(&format!(
        "(setsid env -i /bin/sh -c 'trap \"\" TERM HUP; echo up > up; while :; do /bin/sleep 1; done' {word} \
         </dev/null >/dev/null 2>&1 &); while ! test -e up; do sleep 0.01; done; {end}"
    ))
}

#[tokio::test]
async fn nothing_that_a_tool_starts_outlives_its_call() {
    for level in GUARDED {
        for (end, fails) in [("echo done", false), ("exit 3", true), ("sleep 60", true)] {
            let root = folder();
            let word = unique(&format!("daemon-{level}-{}", end.len()));
            let mut contract = daemon(&word, end);
            contract.limits.timeout = end.starts_with("sleep").then_some(Duration::from_secs(3));
            let outcome = run(&engine(level), &contract, root.path()).await;
            assert_eq!(outcome.is_err(), fails, "{outcome:?}");
            assert_eq!(processes_with(&word), [""; 0], "{level} {end}");
        }
        let root = folder();
        let word = unique(&format!("dropped-{level}"));
        let contract = daemon(&word, "sleep 60");
        let engine = engine(level);
        let up = async {
            while !root.path().join("up").exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            outcome = run(&engine, &contract, root.path()) => panic!("{outcome:?}"),
            () = up => {}
        }
        assert_gone(&word).await;
    }
}

#[tokio::test]
async fn without_a_level_one_can_get_away() {
    let root = folder();
    let word = unique("daemon-none");
    run(
        &engine(Level::None),
        &daemon(&word, "echo done"),
        root.path(),
    )
    .await
    .unwrap();
    let left = processes_with(&word);
    for pid in &left {
        let _ = Command::new("kill").args(["-9", pid]).status();
    }
    assert!(!left.is_empty());
}

const HOLD: &str = "PRAXIS_TEST_HOLD";

/// The part of a Praxis that is killed; without the variable there is nothing to hold.
#[tokio::test]
async fn holds_a_tool() {
    let Ok(held) = std::env::var(HOLD) else {
        return;
    };
    let (level, word) = held.split_once(' ').unwrap();
    let root = folder();
    let contract = daemon(
        word,
        &format!("exec sh -c 'while :; do sleep 1; done' {word}"),
    );
    let outcome = run(&engine(level.parse().unwrap()), &contract, root.path()).await;
    panic!("{outcome:?}");
}

#[tokio::test]
async fn tools_die_with_praxis() {
    for level in GUARDED {
        let word = unique(&format!("orphan-{level}"));
        let mut praxis = this_test("levels::lifetimes::holds_a_tool")
            .env(HOLD, format!("{level} {word}"))
            .spawn()
            .unwrap();
        let own = praxis.id().to_string();
        loop {
            let held = processes_with(&word);
            if held.iter().filter(|pid| **pid != own).count() >= 2 {
                break;
            }
            assert!(
                praxis.try_wait().unwrap().is_none(),
                "it has ended by itself"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        praxis.kill().unwrap();
        praxis.wait().unwrap();
        assert_gone(&word).await;
    }
}

fn this_test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
