use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use praxis_exec::local::{LocalConfig, LocalEngine};
use praxis_exec::{
    Error, ErrorKind, ExecutionEngine, Output, Parameter, ParameterKind, Request, ToolContract,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::local::{assert_gone, engine, processes_with};
use crate::{call, folder, object, write, write_program};

fn shell(script: &str) -> ToolContract {
    ToolContract::new("tool").command(["sh", "-c", script])
}

async fn run(contract: &ToolContract, arguments: Value) -> Result<Output, Error> {
    let root = folder();
    call(&engine(LEVEL), contract, root.path(), arguments).await
}

/// A word that no other test's processes have.
fn unique(name: &str) -> String {
    format!("praxis-test-{name}-{LEVEL}-{}", std::process::id())
}

#[tokio::test]
async fn arguments_arrive_on_three_ways() {
    let contract = shell("printf '%s|%s|' \"$who\" \"$WHO\"; cat; printf '|%s' \"$1\"")
        .parameter(Parameter::text("who"))
        .parameter(Parameter::new("list", ParameterKind::Array));
    let mut contract = contract;
    contract
        .command
        .extend(["sh".to_owned(), "--for={who}{list}".to_owned()]);
    let output = run(&contract, json!({"who": "Ada", "list": [1]}))
        .await
        .unwrap();
    assert_eq!(
        output.value,
        json!("Ada|Ada|{\"list\":[1],\"who\":\"Ada\"}|--for=Ada[1]")
    );
    assert_eq!(output.exit_code, Some(0));
}

#[tokio::test]
async fn arguments_are_never_code() {
    let contract = ToolContract::new("t")
        .parameter(Parameter::text("x"))
        .parameter(Parameter::new("y", ParameterKind::Text))
        .command(["printf", "%s\\n", "{x}", "a{x}b", "{y}", "<{y}>"]);
    for text in [
        "; rm -rf /",
        "$(id)",
        "`id`",
        "{y}",
        "{root}",
        "-n",
        "a b\n\"'",
        "*",
    ] {
        let output = run(&contract, json!({"x": text})).await.unwrap();
        assert_eq!(output.value, json!(format!("{text}\na{text}b\n<>")));
    }
    let mut script = ToolContract::new("t")
        .parameter(Parameter::text("x"))
        .command(["printf %s \"$x\""]);
    script.shell = true;
    let output = run(&script, json!({"x": "$(id); `id`"})).await.unwrap();
    assert_eq!(output.value, json!("$(id); `id`"));
}

#[tokio::test]
async fn the_environment_is_cleared() {
    // CARGO_PKG_NAME is set for every test, so that its absence shows the clearing.
    assert!(std::env::var("CARGO_PKG_NAME").is_ok());
    let mut contract = ToolContract::new("t")
        .parameter(Parameter::text("path"))
        .command(["env"]);
    contract.env = vec![("FIXED".to_owned(), "yes".to_owned())];
    contract.env_passthrough = vec!["CARGO_PKG_VERSION".to_owned()];
    let output = run(&contract, json!({"path": "/evil"})).await.unwrap();
    let printed = output.value.as_str().unwrap().to_owned();
    let names: Vec<&str> = printed
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    assert!(
        names.contains(&"CARGO_PKG_VERSION")
            && names.contains(&"path")
            && names.contains(&"PRAXIS_CALL_ID")
    );
    assert!(
        !names.contains(&"CARGO_PKG_NAME") && !names.contains(&"HOME"),
        "{names:?}"
    );
    let path = printed
        .lines()
        .find(|line| line.starts_with("PATH="))
        .unwrap();
    assert_ne!(path, "PATH=/evil");
    assert!(printed.contains("FIXED=yes\n"));
}

#[tokio::test]
async fn it_starts_in_the_root_and_finds_its_folder() {
    let (root, tool) = (folder(), folder());
    write_program(
        &tool.path().join("run.sh"),
        "#!/bin/sh\npwd; echo \"$1\"; echo \"$PRAXIS_CONTRACT_DIR\"\n",
    );
    write(
        tool.path(),
        "contract.yaml",
        "name: t\ncommand: [./run.sh, '{contract_dir}:{root}']\n",
    );
    let contract = ToolContract::load(&tool.path().join("contract.yaml")).unwrap();
    let output = call(&engine(LEVEL), &contract, root.path(), json!({}))
        .await
        .unwrap();
    let (root, tool) = (root.path().display(), tool.path().display());
    assert_eq!(
        output.value,
        json!(format!("{root}\n{tool}:{root}\n{tool}"))
    );
}

#[tokio::test]
async fn failures_carry_the_code_and_the_words() {
    let error = run(
        &shell("echo started; printf 'bad \\033[31mthing\\n' >&2; exit 3"),
        json!({}),
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert_eq!(error.exit_code(), Some(3));
    assert_eq!(
        error.to_string(),
        "tool `tool`: exited with code 3: bad \\u{1b}[31mthing"
    );
    assert_eq!(error.stderr(), "bad \\u{1b}[31mthing\n");
    assert!(error.is_retryable());
    let error = run(&shell("kill -9 $$"), json!({})).await.unwrap_err();
    assert_eq!(error.to_string(), "tool `tool`: was killed by signal 9");
}

#[tokio::test]
async fn programs_that_cannot_be_started() {
    let dir = folder();
    write(dir.path(), "plain", "no program");
    write_program(&dir.path().join("script"), "#!/no/such/interpreter\n");
    write_program(&dir.path().join("garbage"), "\x01\x02");
    let check = async |program: &str, kind: ErrorKind, words: &str| {
        let mut contract = ToolContract::new("t").command([program]);
        contract.dir = Some(dir.path().to_owned());
        let error = run(&contract, json!({})).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{program}: {error}");
        assert!(error.to_string().contains(words), "{program}: {error}");
        assert!(!error.is_retryable());
    };
    check("no-such-program", ErrorKind::NotFound, "in PATH (").await;
    check("./none", ErrorKind::NotFound, "there is no program").await;
    check("./plain", ErrorKind::Denied, "may not be executed").await;
    check("./script", ErrorKind::NotFound, "interpreter").await;
    check(
        "./garbage",
        ErrorKind::NotFound,
        "no program of this machine",
    )
    .await;
    check("/", ErrorKind::NotFound, "is no file").await;
    let error = run(&ToolContract::new("t"), json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidContract);
    let contract = ToolContract::new("t").command(["true"]);
    let error = call(
        &engine(LEVEL),
        &contract,
        Path::new("/no/such/root"),
        json!({}),
    )
    .await
    .unwrap_err();
    assert!(
        error.to_string().contains("workspace root /no/such/root"),
        "{error}"
    );
}

#[tokio::test]
async fn output_of_a_gigabyte_is_stopped() {
    let word = unique("flood");
    let contract = shell(&format!("yes {word} | head -c 1000000000"));
    let error = run(&contract, json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutputTooLarge);
    assert_eq!(
        error.message(),
        "printed more than 16777216 bytes and was killed"
    );
    assert_gone(&word).await;
}

#[tokio::test]
async fn endless_complaints_keep_their_end() {
    let contract =
        shell("i=0; while [ $i -lt 30000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1");
    let error = run(&contract, json!({})).await.unwrap_err();
    assert!(error.stderr().len() <= 64 * 1024 + 8);
    assert!(error.stderr().ends_with("line 29999\n"));
}

#[tokio::test]
async fn output_that_is_no_text_is_shown_as_far_as_it_is() {
    let output = run(&shell("printf 'a\\377b\\n'"), json!({})).await.unwrap();
    assert_eq!(output.value, json!("a\u{fffd}b"));
}

#[tokio::test]
async fn large_input_need_not_be_read() {
    let mut contract = ToolContract::new("t")
        .parameter(Parameter::text("text"))
        .command(["echo", "done"]);
    contract.argument_bytes = 8 * 1024 * 1024;
    let text = "x".repeat(4_000_000);
    let output = run(&contract, json!({"text": text})).await.unwrap();
    assert_eq!(output.value, json!("done"));
    contract.command = ["wc", "-c"].map(str::to_owned).to_vec();
    let output = run(&contract, json!({"text": text})).await.unwrap();
    assert_eq!(
        output.value,
        json!((text.len() + r#"{"text":""}"#.len()).to_string())
    );
    contract.command = vec![
        "sh".into(),
        "-c".into(),
        "echo \"$PRAXIS_STDIN_ONLY:$text\"".into(),
    ];
    let output = run(&contract, json!({"text": text})).await.unwrap();
    assert_eq!(output.value, json!("text:"));
    contract.command = vec!["echo".into(), "{text}".into()];
    let error = run(&contract, json!({"text": text})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArguments);
    assert!(
        error.message().contains("longer than a word may be"),
        "{error}"
    );
}

/// Leaves processes behind in every way that a script can: in the background, in a session of their own
/// without a parent, deaf to SIGTERM.
fn litter(word: &str, end: &str) -> ToolContract {
    let script = format!(
        "sh -c 'trap \"\" TERM HUP; while :; do sleep 5; done' {word}-a & \
         (setsid sh -c 'trap \"\" TERM HUP; (while :; do sleep 5; done) & while :; do sleep 5; done' {word}-b \
             </dev/null >/dev/null 2>&1 &) ; \
         sleep 0.2; {end}"
    );
    shell(&script)
}

#[tokio::test]
async fn a_timeout_kills_the_whole_tree() {
    let word = unique("timeout");
    let contract = litter(&word, "trap '' TERM; while :; do sleep 5; done");
    let arguments = object(json!({}));
    let root = folder();
    let request =
        Request::new(&contract, &arguments, root.path()).with_timeout(Duration::from_millis(600));
    let engine = engine(LEVEL);
    let error = engine.execute(request).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(processes_with(&word), [""; 0]);
}

#[tokio::test]
async fn a_dropped_call_kills_the_whole_tree() {
    let word = unique("drop");
    let contract = litter(&word, "while :; do sleep 5; done");
    let running = run(&contract, json!({}));
    let alight = async {
        while processes_with(&format!("{word}-b")).len() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        outcome = running => panic!("{outcome:?}"),
        () = alight => {}
    }
    assert_gone(&word).await;
}

#[tokio::test]
async fn what_a_tool_leaves_behind_is_killed() {
    let word = unique("leftover");
    let output = run(&litter(&word, "echo done"), json!({})).await.unwrap();
    assert_eq!(output.value, json!("done"));
    assert_eq!(processes_with(&word), [""; 0]);
}

#[tokio::test]
async fn a_program_may_end_at_sigterm_by_itself() {
    let root = folder();
    let contract = shell("trap 'echo bye >&2; exit 0' TERM; while :; do sleep 0.05; done");
    let arguments = object(json!({}));
    let mut config = LocalConfig::default();
    config.level = Some(LEVEL);
    config.kill_grace = Duration::from_secs(60);
    let engine = LocalEngine::new(config);
    // On a busy machine it may not listen yet when its time is up; then it gets more.
    for milliseconds in [300, 1200, 4800, 19200] {
        let limit = Duration::from_millis(milliseconds);
        let request = Request::new(&contract, &arguments, root.path()).with_timeout(limit);
        let error = engine.execute(request).await.unwrap_err();
        assert!(error.is_timeout());
        if error.stderr().ends_with("bye\n") {
            return;
        }
    }
    panic!("it is not asked to end");
}

#[tokio::test]
async fn a_program_being_written_is_waited_for() {
    let dir = folder();
    write(dir.path(), "run.sh", "#!/bin/sh\necho ran\n");
    let path = dir.path().join("run.sh");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let mut contract = ToolContract::new("t").command(["./run.sh"]);
    contract.dir = Some(dir.path().to_owned());
    let closing = async {
        tokio::time::sleep(Duration::from_millis(40)).await;
        drop(writer);
    };
    let (output, ()) = tokio::join!(run(&contract, json!({})), closing);
    assert_eq!(output.unwrap().value, json!("ran"));
}

#[test]
fn configuration_is_plain() {
    let config: LocalConfig =
        serde_json::from_value(json!({"timeout": "2m", "kill_grace": 0.1})).unwrap();
    assert_eq!(config.timeout, Duration::from_secs(120));
    assert_eq!(config.kill_grace, Duration::from_millis(100));
    let text = serde_json::to_value(&config).unwrap();
    assert_eq!(serde_json::from_value::<LocalConfig>(text).unwrap(), config);
    assert!(serde_json::from_value::<LocalConfig>(json!({"timout": 1})).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_text_arrives_as_one_word(text in "[^\0]{0,60}") {
        let contract = ToolContract::new("t").parameter(Parameter::text("x")).command(["printf", "%s%s", "{x}", "<{x}>"]);
        let mut contract = contract;
        contract.output = praxis_exec::OutputFormat::Text;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let output = runtime.block_on(run(&contract, json!({"x": text}))).unwrap();
        prop_assert_eq!(output.value, json!(format!("{text}<{text}>")));
    }
}
