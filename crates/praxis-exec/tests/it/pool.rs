//! The pool of warm containers, against the daemon that is there.

mod residue;
mod trouble;

use std::path::Path;
use std::time::Duration;

use praxis_exec::conformance::{Behaviour, Subject, check};
use praxis_exec::escape::{Attack, Target};
use praxis_exec::pool::{PoolConfig, PoolEngine};
use praxis_exec::{Error, ErrorKind, ExecutionEngine, Output, Parameter, Secrets, ToolContract};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::containers::{HOG_BYTES, IMAGE, hogs, no_program, script, workspace};

fn config() -> PoolConfig {
    let mut config = PoolConfig::default();
    config.docker.image = Some(IMAGE.to_owned());
    config
}

fn reusable(mut contract: ToolContract) -> ToolContract {
    contract.reuse = true;
    contract
}

async fn run(engine: &PoolEngine, contract: &ToolContract) -> Result<Output, Error> {
    let root = workspace();
    crate::call(engine, contract, root.path(), json!({})).await
}

/// Waits until the pool has so many containers that nobody uses.
async fn idle(engine: &PoolEngine, count: usize) {
    while engine.statistics().idle < count {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn answer(engine: &PoolEngine, contract: &ToolContract) -> Value {
    run(engine, contract).await.unwrap().value
}

struct Pool {
    engine: PoolEngine,
    root: TempDir,
    reuse: bool,
}

impl Pool {
    fn new(reuse: bool) -> Self {
        Self {
            engine: PoolEngine::new(config()),
            root: workspace(),
            reuse,
        }
    }
}

impl Subject for Pool {
    fn engine(&self) -> &dyn ExecutionEngine {
        &self.engine
    }

    fn contract(&self, behaviour: Behaviour) -> ToolContract {
        let mut contract = crate::conformance::program(behaviour);
        contract.reuse = self.reuse;
        crate::containers::seen_by_the_host(contract, behaviour, self.root())
    }

    fn root(&self) -> &Path {
        self.root.path()
    }
}

impl Target for Pool {
    fn engine(&self) -> &dyn ExecutionEngine {
        &self.engine
    }

    fn claims(&self, _: Attack) -> bool {
        true
    }

    fn adapt(&self, mut contract: ToolContract) -> ToolContract {
        contract.reuse = self.reuse;
        contract
    }

    fn folder(&self) -> &Path {
        self.root.path()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_escapes_from_a_fresh_container() {
    crate::escape::holds(&Pool::new(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_escapes_from_a_reused_container() {
    crate::escape::holds(&Pool::new(true)).await;
}

async fn conforms(reuse: bool) {
    let subject = Pool::new(reuse);
    check(&subject).await;
    subject.engine.drain().await.unwrap();
    let statistics = subject.engine.statistics();
    assert_eq!(
        (statistics.busy, statistics.coming, statistics.idle),
        (0, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_containers_conform() {
    conforms(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reused_containers_conform() {
    conforms(true).await;
}

const EARLY_KILLS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_has_nothing_that_its_contract_does_not_give() {
    let looks = [
        ("id -u; id -g; id -G", "65534\n65534\n65534"),
        ("touch /x 2>/dev/null || echo read-only", "read-only"),
        ("pwd; touch a /tmp/b && echo written", "/work\nwritten"),
        ("ls /sys/class/net", "lo"),
        (
            "grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status | grep -vc 0000000000000000",
            "0",
        ),
        ("grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1"),
        ("grep Seccomp: /proc/self/status", "Seccomp:\t2"),
        ("ulimit -c", "0"),
        ("ls /praxis/socket | wc -l", "0"),
        ("cat /proc/1/environ 2>/dev/null || echo denied", "denied"),
        ("ls /proc/1/fd 2>/dev/null | wc -l", "0"),
        ("ls /proc/self/fd | wc -l", "4"),
        ("kill -9 1 2>/dev/null || echo denied", "denied"),
        ("renice -n 5 1 >/dev/null 2>&1 || echo denied", "denied"),
        (
            "echo > /proc/1/oom_score_adj 2>/dev/null || echo denied",
            "denied",
        ),
        (
            "/praxis/worker serve /x 1 1 2>&1",
            "praxis-worker: it serves only as the first process of a container",
        ),
    ];
    let engine = PoolEngine::new(config());
    for (look, expect) in &looks {
        let contract = reusable(script(&format!("{look}; true")));
        assert_eq!(answer(&engine, &contract).await, *expect, "{look}");
    }
    // The worker is the tool's user while it starts the tool, and a tool may be fast.
    let early = reusable(script("kill -9 1 2>/dev/null || echo denied"));
    for _ in 0..EARLY_KILLS {
        assert_eq!(answer(&engine, &early).await, "denied");
    }
    let statistics = engine.statistics();
    assert_eq!(
        (statistics.misses, statistics.discarded),
        (1, 0),
        "one container served all"
    );
    assert_eq!(statistics.hits, (looks.len() + EARLY_KILLS) as u64 - 1);
}

/// The environment is that of a container made for the call, whichever engine makes it.
#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_that_of_a_cold_container() {
    let mut contract = script("env | grep -vE '^(PRAXIS_CALL_ID|PWD|SHLVL)=' | sort");
    contract = contract.parameter(Parameter::text("city"));
    contract.env = vec![("FIXED".to_owned(), "a=b c".to_owned())];
    contract.env_passthrough = vec!["CARGO_PKG_NAME".to_owned()];
    let root = workspace();
    let arguments = json!({"city": "Ulm\nPATH=/evil"});
    let engine = PoolEngine::new(config());
    let warm = crate::call(&engine, &contract, root.path(), arguments.clone()).await;
    let cold = praxis_exec::docker::DockerEngine::new(config().docker);
    let cold = crate::call(&cold, &contract, root.path(), arguments).await;
    let warm = warm.unwrap().value;
    assert!(warm.as_str().unwrap().contains("FIXED=a=b c\n"));
    assert_eq!(warm, cold.unwrap().value);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_tool_ends_is_told() {
    let cases = [
        (
            "kill -9 $$".to_owned(),
            ErrorKind::Failed,
            "killed by signal 9",
        ),
        ("exit 137".to_owned(), ErrorKind::Failed, "code 137"),
        (
            "echo why >&2; exit 7".to_owned(),
            ErrorKind::Failed,
            "code 7: why",
        ),
        (
            "trap 'echo asked >&2; exit' TERM; sleep 60 & wait".to_owned(),
            ErrorKind::Timeout,
            "3s",
        ),
        (
            "trap '' TERM; while :; do sleep 1; done".to_owned(),
            ErrorKind::Timeout,
            "3s",
        ),
        ("yes".to_owned(), ErrorKind::OutputTooLarge, "10000 bytes"),
    ];
    let mut config = config();
    // One that is asked to end may do so in its own time; the other one is killed.
    config.kill_grace = Duration::from_secs(5);
    let engine = PoolEngine::new(config);
    for (text, kind, words) in hogs().iter().chain(&cases) {
        let mut contract = reusable(script(text));
        contract.limits.memory_bytes = Some(HOG_BYTES);
        contract.limits.timeout = (*kind == ErrorKind::Timeout).then_some(Duration::from_secs(3));
        contract.limits.output_bytes = Some(10_000);
        let error = run(&engine, &contract).await.expect_err(text);
        assert_eq!(error.kind(), *kind, "{text}: {error}");
        assert!(error.to_string().contains(words), "{text}: {error}");
        assert_eq!(error.engine(), Some("pool"));
        if text.contains("asked") {
            assert_eq!(error.stderr(), "asked\n");
        }
    }
    let statistics = engine.statistics();
    assert_eq!(
        statistics.discarded, 3,
        "those that did not end by themselves"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_is_told_and_costs_no_container() {
    let cases = [
        (
            vec!["no-such-program"],
            ErrorKind::NotFound,
            "`no-such-program` is not in the image",
        ),
        (
            vec!["/no/such/program"],
            ErrorKind::NotFound,
            "/no/such/program",
        ),
        (
            vec!["/etc/passwd"],
            ErrorKind::Denied,
            "`/etc/passwd` may not be executed",
        ),
        (vec!["/work"], ErrorKind::Denied, "/work"),
        (
            vec!["./garbage"],
            ErrorKind::NotFound,
            "`/praxis/tool/./garbage` is no program of this machine",
        ),
    ];
    let engine = PoolEngine::new(config());
    let tool = no_program();
    for (words, kind, part) in cases {
        let mut contract = ToolContract::new("t").command(words);
        contract.dir = Some(tool.path().to_owned());
        let error = run(&engine, &contract).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.is_retryable());
    }
    let statistics = engine.statistics();
    assert_eq!((statistics.hits, statistics.misses), (4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_of_any_size_arrive() {
    let engine = PoolEngine::new(config());
    let contract = ToolContract::new("t")
        .parameter(Parameter::text("text"))
        .command(["sh", "-c", "wc -c"]);
    let root = workspace();
    for size in [0, 1, 65_524, 65_525, 65_526, 1_000_000] {
        let text = "x".repeat(size);
        let output = crate::call(&engine, &contract, root.path(), json!({"text": text})).await;
        // {"text":""} around it.
        assert_eq!(output.unwrap().value, (size + 11).to_string());
    }
    let deaf = ToolContract::new("t")
        .parameter(Parameter::text("text"))
        .command(["echo", "deaf"]);
    let text = "x".repeat(1_000_000);
    let output = crate::call(&engine, &deaf, root.path(), json!({"text": text})).await;
    assert_eq!(output.unwrap().value, "deaf");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_reach_the_tool_and_nobody_else() {
    let mut contract = script("echo $API_KEY; echo $API_KEY >&2; test ${#API_KEY} = 12 && exit 3");
    contract.secrets = vec!["API_KEY".to_owned()];
    let secrets = Secrets::none().with("API_KEY", "abcdef-12345");
    let engine = PoolEngine::new(config());
    let root = workspace();
    let arguments = Map::new();
    let request = praxis_exec::Request::new(&contract, &arguments, root.path());
    let error = engine
        .execute(request.with_secrets(&secrets))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "tool `t`: exited with code 3: [secret]");
    assert_eq!(error.stderr(), "[secret]\n");
}

/// What is mounted in a folder that is emptied belongs to the host, and stays.
#[tokio::test(flavor = "multi_thread")]
async fn mounts_are_never_emptied() {
    let engine = PoolEngine::new(config());
    let root = workspace();
    crate::write(root.path(), "data/kept", "kept");
    for target in ["/tmp/data", concat!("/work", "/a/b"), "/data"] {
        let contract = reusable(script(
            "cat */data/kept a/b/kept /tmp/data/kept /data/kept 2>/dev/null | head -c 4",
        ));
        let contract = contract.mount("data", target);
        for _ in 0..3 {
            let output = crate::call(&engine, &contract, root.path(), json!({})).await;
            assert_eq!(output.unwrap().value, "kept", "{target}");
        }
        assert!(root.path().join("data/kept").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_tools_are_warm_before_they_are_called() {
    let mut config = config();
    config.warm = [("t".to_owned(), 2)].into();
    let root = workspace();
    config.root = Some(root.path().to_owned());
    let engine = PoolEngine::new(config);
    let contract = script("echo hi");
    engine.prepare(&contract).await.unwrap();
    assert_eq!(engine.statistics().coming, 0, "a look starts nothing");
    engine.foresee(&contract);
    idle(&engine, 2).await;
    let output = crate::call(&engine, &contract, root.path(), json!({})).await;
    assert_eq!(output.unwrap().value, "hi");
    let statistics = engine.statistics();
    assert_eq!((statistics.hits, statistics.misses), (1, 0));
    // It comes to two, with none started in vain.
    idle(&engine, 2).await;
    let usage = engine.resource_usage().await.unwrap();
    assert_eq!(usage.len(), 2, "{usage:?}");
    for one in &usage {
        assert_eq!(
            (one.tool.as_str(), one.memory_limit_bytes),
            ("t", 512 << 20),
            "{one:?}"
        );
        assert!(one.pids >= 1 && one.memory_bytes > 0, "{one:?}");
    }
    engine.drain().await.unwrap();
    assert_eq!(engine.resource_usage().await.unwrap(), []);
    let error = crate::call(&engine, &contract, root.path(), json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let statistics = engine.statistics();
    assert_eq!(
        statistics.created, 3,
        "two, and one for the one that was used"
    );
}

/// A call that was announced finds its container, or waits for the one that is on its way; no other is started.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_foreseen_is_started_once() {
    let root = workspace();
    let mut config = config();
    config.root = Some(root.path().to_owned());
    for reuse in [false, true] {
        let engine = PoolEngine::new(config.clone());
        let mut contract = script("echo hi");
        contract.reuse = reuse;
        engine.prepare(&contract).await.unwrap();
        engine.foresee(&contract);
        assert_eq!(engine.statistics().coming, 1);
        let output = crate::call(&engine, &contract, root.path(), json!({})).await;
        assert_eq!(output.unwrap().value, "hi");
        engine.foresee(&contract);
        idle(&engine, 1).await;
        let output = crate::call(&engine, &contract, root.path(), json!({})).await;
        assert_eq!(output.unwrap().value, "hi");
        engine.drain().await.unwrap();
        let statistics = engine.statistics();
        // The one call waited, the other found its container.
        assert_eq!((statistics.misses, statistics.hits), (1, 1));
        assert_eq!(statistics.created, 1 + u64::from(!reuse));
        assert_eq!(statistics.not_started, 0);
    }
}

/// Whoever ends the pool while a container is on its way finds none there afterwards, and is not told before.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_coming_when_the_pool_ends_is_gone_with_it() {
    let root = workspace();
    let mut config = config();
    config.root = Some(root.path().to_owned());
    let client = praxis_exec::docker::Client::connect(&config.docker)
        .await
        .unwrap();
    for pause in [0, 5, 20, 80, 200, 320] {
        let engine = PoolEngine::with_client(config.clone(), client.clone());
        let mut contract = script("echo hi");
        contract.name = "pool-foreseen".to_owned();
        for _ in 0..3 {
            engine.foresee(&contract);
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
        engine.shut_down().await.unwrap();
        let left = client.containers().await.unwrap();
        assert!(
            left.iter().all(|left| left.tool != contract.name),
            "{left:?}"
        );
        engine.foresee(&contract);
        assert_eq!(engine.statistics().coming, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_without_calls_asks_nobody_anything() {
    let mut config = config();
    config.docker.host = Some("unix:///nowhere/docker.sock".to_owned());
    let engine = PoolEngine::new(config);
    engine.shut_down().await.unwrap();
}
