use std::process::Command;

fn check(arguments: &[&str], expect: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_praxis-worker"))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains(expect), "{said}");
}

#[test]
fn what_cannot_be_done_is_said_and_nothing_is_done() {
    check(&[], "it is started by Praxis");
    check(&["dance"], "there is no mode `dance`");
    check(
        &["serve"],
        "usage: praxis-worker serve SOCKET UID GID [FOLDER]...",
    );
    check(
        &["serve", "/no/socket", "1", "1"],
        "only as the first process of a container",
    );
}
