//! The program as one types it.

use std::process::{Command, Output};

fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(arguments)
        .output()
        .expect("cargo built the program for this test")
}

fn check(arguments: &[&str], code: i32, expected: &str) {
    let output = xtask(arguments);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{said}");
    assert!(said.contains(expected), "{arguments:?}\n{said}");
}

#[test]
fn help_names_every_command() {
    for command in ["test", "docker", "tidy", "ci", "bench"] {
        check(&["help"], 0, &format!("\n  {command} "));
    }
    check(&[], 0, "Usage: cargo xtask");
    check(&["--help"], 0, "Usage: cargo xtask");
}

#[test]
fn a_mistyped_name_is_answered_with_the_one_that_was_meant() {
    check(&["tset"], 2, "did you mean `test`?");
    check(&["frobnicate"], 2, "known: test, docker, tidy, ci, bench");
    check(&["ci", "clipy"], 2, "did you mean `clippy`?");
    check(&["tidy", "layer"], 2, "did you mean `layers`?");
    check(&["docker", "upp"], 2, "did you mean `up`?");
    check(&["bench", "--sve"], 2, "did you mean `--save`?");
}

#[test]
fn one_check_can_be_run_by_itself() {
    check(&["tidy", "file-names"], 0, "tidy: 1 checks, 0 errors");
}
