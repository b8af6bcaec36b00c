//! Nothing is left behind, however a call or Praxis itself ends.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use praxis_exec::docker::{Client, DockerEngine};
use praxis_exec::{ExecutionEngine, Request, ToolContract};
use serde_json::{Map, json};

use super::{config, engine};
use crate::containers::{lasting, script, workspace};

/// Set in a process that runs one test alone, as the count of files or a kill -9 needs it.
pub(crate) const ALONE: &str = "PRAXIS_TEST_ALONE";

/// How many calls the leak test makes.
pub(crate) const CALLS: &str = "PRAXIS_LEAK_CALLS";

fn named(name: &str, text: &str) -> ToolContract {
    let mut contract = script(text);
    contract.name = name.to_owned();
    contract
}

async fn count(client: &Client, tool: &str) -> usize {
    let containers = client.containers().await.unwrap();
    containers
        .iter()
        .filter(|container| container.tool == tool)
        .count()
}

/// Waits until no container of this tool is left.
pub(crate) async fn gone(client: &Client, tool: &str) {
    let started = Instant::now();
    while count(client, tool).await > 0 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "a container of {tool} is left"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A process that runs the named test of this program with [`ALONE`] set.
pub(crate) fn alone(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([test, "--exact", "--nocapture"])
        .env(ALONE, "1");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_call_returns_its_container_is_gone() {
    let engine = engine();
    let client = engine.client().await.unwrap();
    let root = workspace();
    let check = async |name: &str, text: &str, fits: bool| {
        let mut contract = named(name, text);
        contract.limits.timeout = (name == "ends-late").then_some(Duration::from_secs(2));
        contract.limits.output_bytes = Some(10_000);
        contract.limits.memory_bytes = Some(64 << 20);
        let outcome = crate::call(&engine, &contract, root.path(), json!({})).await;
        assert_eq!(outcome.is_ok(), fits, "{text}: {outcome:?}");
        assert_eq!(count(client, name).await, 0, "{text}");
    };
    tokio::join!(
        check("ends-well", "true", true),
        check("ends-ill", "exit 3", false),
        check("ends-late", "trap '' TERM; sleep 100", false),
        check("ends-large", "yes", false),
        check(
            "ends-hungry",
            "python3 -c 'x = bytearray(400 << 20)'",
            false
        ),
        check("ends-nowhere", "exec /no/such/program", false),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_at_any_moment_leaves_nothing() {
    let engine = engine();
    let client = engine.client().await.unwrap();
    let root = workspace();
    let contract = named("dropped", "sleep 100");
    let arguments = Map::new();
    for step in 0..24 {
        let call = engine.execute(Request::new(&contract, &arguments, root.path()));
        let outcome = tokio::time::timeout(Duration::from_millis(20 * step), call).await;
        assert!(outcome.is_err(), "the tool sleeps");
    }
    gone(client, "dropped").await;
}

#[test]
fn a_runtime_that_is_shut_down_in_the_middle_leaves_nothing() {
    for pause in [5, 100, 600] {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let call = async {
            let root = workspace();
            let contract = named("shut-down", "sleep 100");
            crate::call(&engine(), &contract, root.path(), json!({})).await
        };
        runtime.spawn(call);
        std::thread::sleep(Duration::from_millis(pause));
        runtime.shutdown_timeout(Duration::from_secs(20));
    }
    // The last owner of each connection has waited, so there is nothing left to wait for.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let left = runtime.block_on(async {
        let client = Client::connect(&config()).await.unwrap();
        count(&client, "shut-down").await
    });
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_praxis_leaves_is_removed_at_the_next_start() {
    let name = "docker::cleanup::what_a_killed_praxis_leaves_is_removed_at_the_next_start";
    if std::env::var_os(ALONE).is_some() {
        let root = workspace();
        let mut contract = lasting("echo alight > /w/alight").mount(".", "/w");
        contract.name = "orphan".to_owned();
        let call = async { crate::call(&engine(), &contract, root.path(), json!({})).await };
        let alight = async {
            while !root.path().join("alight").exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let client = Client::connect(&config()).await.unwrap();
            let own = client.containers().await.unwrap();
            println!("alight {}", own[0].name);
            std::future::pending::<()>().await;
        };
        tokio::select! { outcome = call => panic!("{outcome:?}"), () = alight => {} }
    }
    let mut child = alone(name).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut stdout = child.stdout.take().unwrap();
    while !said.contains("alight") || !said.ends_with('\n') {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it ended early: {said}");
        said.push(char::from(byte[0]));
    }
    // Where tests run one at a time, the name of the test stands before it in the same line.
    let (_, container) = said.trim_end().rsplit_once("alight ").unwrap();
    let before = Client::connect(&config()).await.unwrap();
    assert!(
        before.exists(container).await.unwrap(),
        "its owner lives, so it stays"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    let _after = Client::connect(&config()).await.unwrap();
    let started = Instant::now();
    while before.exists(container).await.unwrap() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{container} is left"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Files, threads, processes, containers and memory are where they were after many calls; `PRAXIS_LEAK_CALLS` sets how many.
#[test]
fn many_calls_leave_everything_where_it_was() {
    let name = "docker::cleanup::many_calls_leave_everything_where_it_was";
    if std::env::var_os(ALONE).is_none() {
        let output = alone(name).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", output.status);
        return;
    }
    let calls = std::env::var(CALLS).map_or(24, |calls| calls.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let engine = engine();
        let root = workspace();
        let contract = named("leak", "echo '{}'; echo x >&2");
        let round = async || {
            let call = || crate::call(&engine, &contract, root.path(), json!({}));
            let (a, b, c, d) = tokio::join!(call(), call(), call(), call());
            for outcome in [a, b, c, d] {
                outcome.unwrap();
            }
        };
        round().await;
        let (before, memory) = (usage(&engine).await, resident_bytes());
        for _ in 0..calls / 4 {
            round().await;
        }
        settled(&before, async || usage(&engine).await).await;
        // An allocator keeps some of what it got; what leaks with each call is more than this.
        let grown = resident_bytes().saturating_sub(memory);
        assert!(grown < 8 << 20, "{grown} bytes more after {calls} calls");
    });
}

/// Memory of this process.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kilobytes * 1024
}

/// Waits until nothing of what is used is more than it was before.
///
/// Connections are closed by tasks of their own, which get to it when they get to it.
pub(crate) async fn settled<N: PartialOrd + std::fmt::Debug, const COUNT: usize>(
    before: &[N; COUNT],
    used: impl AsyncFn() -> [N; COUNT],
) {
    let started = Instant::now();
    loop {
        let now = used().await;
        if now.iter().zip(before).all(|(now, before)| now <= before) {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{now:?} of {before:?} are in use"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Open files, threads, children, and containers of this process.
async fn usage(engine: &DockerEngine) -> [usize; 4] {
    let entries = |path: &str| std::fs::read_dir(path).unwrap().count();
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
    let containers = engine.client().await.unwrap().containers().await.unwrap();
    [
        entries("/proc/self/fd"),
        entries("/proc/self/task"),
        children.split_whitespace().count(),
        containers.len(),
    ]
}
