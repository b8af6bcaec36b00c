//! Which level a call has, and what becomes of it on machines that have less.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use praxis_exec::local::{Level, LocalEngine};
use praxis_exec::{ErrorKind, ExecutionEngine, Isolation, Limit, Request, ToolContract, doctor};
use serde_json::{Map, json};

use super::{run, shell};
use crate::local::engine;
use crate::{folder, write_program};

/// Where the tests are those of root, the same is tried as someone who has no rights at all.
#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_has_the_sandbox() {
    const NOBODY: u32 = 4242;
    if !is_root() {
        return;
    }
    let place = folder();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("it");
    let this = fs::read(std::env::current_exe().unwrap()).unwrap();
    write_program(&program, this);
    let tests = [
        "levels::there_is_no_way_out_of_the_sandbox",
        "levels::the_kernel_is_not_asked_for_much",
        "levels::the_network_is_there_for_who_asks_for_it",
        "levels::a_workspace_is_written_to_by_who_writes",
        "levels::mounts_are_where_the_contract_says",
        "levels::lifetimes::nothing_that_a_tool_starts_outlives_its_call",
        "conformance::the_local_engine_conforms",
        "conformance::the_local_engine_conforms_on_level_sandbox",
    ];
    let output = Command::new(&program)
        .arg("--exact")
        .args(tests)
        .env("TMPDIR", "/tmp")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaints}");
    assert!(said.contains(&format!("{} passed", tests.len())), "{said}");
}

const REFUSED: &str = "PRAXIS_TEST_REFUSED";

/// The part of a Praxis on a machine without user namespaces; without the variable it is on this one.
#[tokio::test(flavor = "multi_thread")]
async fn is_refused_the_sandbox() {
    if std::env::var_os(REFUSED).is_none() {
        return;
    }
    let root = folder();
    let mut contract = shell("echo well");
    let error = run(&engine(Level::Sandbox), &contract, root.path()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedLimit, "{error}");
    assert_eq!(
        error.message(),
        "the level `sandbox` is not available: cannot make a user namespace: No space left on device (os error 28)"
    );
    let help = error.help().unwrap();
    assert!(help.contains("user.max_user_namespaces"), "{help}");

    let automatic = LocalEngine::default();
    assert_eq!(automatic.capabilities().isolation, Isolation::Process);
    let output = run(&automatic, &contract, root.path()).await.unwrap();
    assert_eq!(output.value, json!("well"));
    contract.limits.network = Some(false);
    let error = run(&automatic, &contract, root.path()).await.unwrap_err();
    assert!(
        error.to_string().contains("cannot enforce network"),
        "{error}"
    );
    let help = error.help().unwrap();
    assert!(help.contains("user.max_user_namespaces"), "{help}");
    let arguments = Map::new();
    let request = Request::new(&contract, &arguments, root.path()).accepting(&[Limit::Network]);
    let output = automatic.execute(request).await.unwrap();
    assert_eq!(output.value, json!("well"));

    let report = doctor::examine();
    let available = report.levels.iter().map(|level| level.available);
    assert_eq!(available.collect::<Vec<_>>(), [true, true, false]);
    let names = ["user namespace", "mount namespace", "seccomp"];
    let works = |name: &str| {
        report
            .findings
            .iter()
            .any(|found| found.name == name && found.works)
    };
    assert_eq!(names.map(works), [false, true, true], "{report}");
}

#[tokio::test]
async fn a_machine_without_user_namespaces_says_so() {
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", forbid, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "levels::machine::is_refused_the_sandbox",
            "--nocapture",
        ])
        .env(REFUSED, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[tokio::test]
async fn a_level_is_chosen_by_what_is_asked_for() {
    let level = "grep -c '^NoNewPrivs:.1' /proc/self/status; test -e /proc/self/root/sys/kernel && echo outside; true";
    let root = folder();
    let engine = LocalEngine::default();
    let check = async |contract: &ToolContract, expect: &str| {
        let output = run(&engine, contract, root.path()).await.unwrap();
        assert_eq!(output.value, json!(expect));
    };
    let mut contract = shell(level);
    check(&contract, "1\noutside").await;
    contract.isolation = Isolation::Process;
    check(&contract, "1\noutside").await;
    contract.isolation = Isolation::Sandbox;
    check(&contract, "1").await;
    contract.isolation = Isolation::None;
    contract.limits.network = Some(false);
    check(&contract, "1").await;
    contract.isolation = Isolation::Container;
    let error = run(&engine, &contract, root.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedLimit);
    assert!(error.to_string().contains("`container`"), "{error}");
    contract.isolation = Isolation::Sandbox;
    contract.limits.network = None;
    let error = run(
        &crate::local::engine(Level::Process),
        &contract,
        root.path(),
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedLimit);
    assert!(error.help().is_some(), "{error}");
    assert_eq!(engine.capabilities().isolation, Isolation::Sandbox);
}

#[test]
fn the_doctor_has_tried_it() {
    let report = doctor::examine();
    let levels: Vec<(Level, bool)> = report
        .levels
        .iter()
        .map(|level| (level.level, level.available))
        .collect();
    assert_eq!(levels, Level::ALL.map(|level| (level, true)));
    let finding = |name: &str| {
        report
            .findings
            .iter()
            .find(|finding| finding.name == name)
            .unwrap()
    };
    assert!(finding("user namespace").works);
    assert!(finding("seccomp").works);
    let text = report.to_string();
    assert!(
        text.contains("level sandbox: available, enforces "),
        "{text}"
    );
    serde_json::to_string(&report).unwrap();
}
