//! The container engine, against the daemon that is there.

pub(crate) mod cleanup;
pub(crate) mod proxy;
mod trouble;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use praxis_exec::conformance::{Behaviour, Subject, check};
use praxis_exec::docker::{DockerConfig, DockerEngine};
use praxis_exec::escape::{Attack, Target};
use praxis_exec::{
    Error, ErrorKind, ExecutionEngine, Limits, Mount, Output, Parameter, ToolContract,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::containers::{HOG_BYTES, IMAGE, hogs, script, workspace};

fn config() -> DockerConfig {
    let mut config = DockerConfig::default();
    config.image = Some(IMAGE.to_owned());
    config
}

fn engine() -> DockerEngine {
    DockerEngine::new(config())
}

async fn run(contract: &ToolContract) -> Result<Output, Error> {
    let root = workspace();
    crate::call(&engine(), contract, root.path(), json!({})).await
}

async fn answer(contract: &ToolContract) -> Value {
    run(contract).await.unwrap().value
}

struct Docker {
    engine: DockerEngine,
    root: TempDir,
}

impl Subject for Docker {
    fn engine(&self) -> &dyn ExecutionEngine {
        &self.engine
    }

    fn contract(&self, behaviour: Behaviour) -> ToolContract {
        let contract = crate::conformance::program(behaviour);
        crate::containers::seen_by_the_host(contract, behaviour, self.root())
    }

    fn root(&self) -> &Path {
        self.root.path()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_docker_engine_conforms() {
    let subject = Docker {
        engine: engine(),
        root: workspace(),
    };
    check(&subject).await;
}

impl Target for Docker {
    fn engine(&self) -> &dyn ExecutionEngine {
        &self.engine
    }

    fn claims(&self, _: Attack) -> bool {
        true
    }

    fn adapt(&self, contract: ToolContract) -> ToolContract {
        contract
    }

    fn folder(&self) -> &Path {
        self.root.path()
    }
}

async fn nothing_escapes(image: &str) {
    let mut config = config();
    config.image = Some(image.to_owned());
    let target = Docker {
        engine: DockerEngine::new(config),
        root: workspace(),
    };
    crate::escape::holds(&target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_escapes_from_a_container() {
    nothing_escapes(IMAGE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_escapes_from_a_container_with_the_programs_of_this_machine() {
    nothing_escapes("host").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_has_nothing_that_its_contract_does_not_give() {
    let own = fs::metadata("/proc/self").unwrap().uid();
    let user = if own == 0 { 65534 } else { own }.to_string();
    let looks = [
        ("id -u", user.as_str()),
        ("touch /x 2>/dev/null || echo read-only", "read-only"),
        ("pwd; touch a /tmp/b && echo written", "/work\nwritten"),
        ("ls /sys/class/net", "lo"),
        ("grep -vc Iface /proc/net/route || true", "0"),
        ("grep CapBnd /proc/self/status", "CapBnd:\t0000000000000000"),
        ("grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1"),
        ("grep Seccomp: /proc/self/status", "Seccomp:\t2"),
        ("ulimit -c", "0"),
        ("ls /praxis 2>/dev/null || echo none", "none"),
    ];
    for (look, expect) in looks {
        let seen = answer(&script(look)).await;
        assert_eq!(seen, expect, "{look}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_the_contracts() {
    let mut contract = script("env").parameter(Parameter::text("city"));
    contract.env = vec![("FIXED".to_owned(), "a=b c".to_owned())];
    contract.env_passthrough = vec!["CARGO_PKG_NAME".to_owned(), "CITY".to_owned()];
    let root = workspace();
    let arguments = json!({"city": "Ulm\nPATH=/evil"});
    let output = crate::call(&engine(), &contract, root.path(), arguments).await;
    let seen = output.unwrap().value;
    let seen = seen.as_str().unwrap();
    for line in [
        "FIXED=a=b c",
        "CARGO_PKG_NAME=praxis-exec",
        "CITY=Ulm",
        "city=Ulm",
        "HOME=/work",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} in {seen}");
    }
    for name in ["CARGO_MANIFEST_DIR=", "USER=", "PRAXIS_ROOT="] {
        assert!(
            !seen.lines().any(|line| line.starts_with(name)),
            "{name} in {seen}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_of_this_machine_run_in_a_container_without_an_image() {
    let mut contract = script(
        "ls -d /root /home /etc/passwd /var 2>/dev/null; touch /usr/x 2>/dev/null || echo ok",
    );
    contract.image = Some("host".to_owned());
    assert_eq!(answer(&contract).await, "ok");
    let mut contract = ToolContract::new("t").command(["python3", "-c", "print(6 * 7)"]);
    contract.image = Some("host".to_owned());
    assert_eq!(answer(&contract).await, "42");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_reach_a_container_and_are_concealed() {
    let mut contract = script("echo \"<$API_KEY>\"; echo \"warn $API_KEY\" >&2; exit 1");
    contract.secrets = vec!["API_KEY".to_owned()];
    let (root, arguments) = (workspace(), serde_json::Map::new());
    let secrets = praxis_exec::Secrets::none().with("API_KEY", "s3cret-value");
    let request = praxis_exec::Request::new(&contract, &arguments, root.path());
    let error = engine()
        .execute(request.with_secrets(&secrets))
        .await
        .unwrap_err();
    assert_eq!(error.message(), "exited with code 1: warn [secret]");
    assert_eq!(error.stderr(), "warn [secret]\n");
}

/// A tool as recorded contracts have it: a program in a folder that a mount puts elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_contract_runs_unchanged() {
    let root = workspace();
    let program = "import os, json\nprint(json.dumps({'greeting': 'hello ' + os.environ['NAME'], 'cwd': os.getcwd()}))";
    crate::write(root.path(), "tools/x/main.py", program);
    crate::write(
        root.path(),
        "tools/x/contract.yaml",
        "name: x\nparams:\n  - name: name\n    type: str\n    required: \"true\"\nengine: docker\nengineSpec:\n  \
         image: praxis/tools:local\n  command: python3 /shared/tools/x/main.py\n  mounts: {./tools: /shared/tools}\n",
    );
    let contract = ToolContract::load(&root.path().join("tools/x/contract.yaml")).unwrap();
    let engine = DockerEngine::default();
    let output = crate::call(&engine, &contract, root.path(), json!({"name": "Ada"})).await;
    let expect = json!({"greeting": "hello Ada", "cwd": "/work"});
    assert_eq!(output.unwrap().value, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contracts_folder_and_the_root_have_places_inside() {
    let root = workspace();
    crate::write(
        root.path(),
        "tools/x/run.sh",
        "echo \"$PRAXIS_ROOT $PRAXIS_CONTRACT_DIR $(pwd) $*\"",
    );
    let mut contract = ToolContract::new("x").command(["sh", "{contract_dir}/run.sh", "{root}/a"]);
    contract.dir = Some(root.path().join("tools/x"));
    let error = crate::call(&engine(), &contract, root.path(), json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidContract);
    assert!(error.help().unwrap().contains("mounts"), "{error:?}");
    let contract = contract.mount(".", "/workspace");
    let output = crate::call(&engine(), &contract, root.path(), json!({})).await;
    let expect = "/workspace /praxis/tool /workspace /workspace/a";
    assert_eq!(output.unwrap().value, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_is_writable_or_not_as_it_says() {
    let root = workspace();
    let mut contract =
        script("touch /a/x && echo a; touch /b/x 2>/dev/null || echo no b").mount(".", "/a");
    contract.mounts.push(contract.mounts[0].clone());
    let mount: &mut Mount = &mut contract.mounts[1];
    mount.target = "/b".to_owned();
    mount.read_only = true;
    let output = crate::call(&engine(), &contract, root.path(), json!({})).await;
    assert_eq!(output.unwrap().value, "a\nno b");
    assert!(root.path().join("x").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_is_told_from_a_kill_and_from_an_exit_code() {
    let cases = [
        (
            "sh -c 'kill -9 $$'; exit $?".to_owned(),
            ErrorKind::Failed,
            "signal 9",
        ),
        ("exit 137".to_owned(), ErrorKind::Failed, "code 137"),
        ("exit 7".to_owned(), ErrorKind::Failed, "code 7"),
    ];
    let check = async |(text, kind, words): &(String, ErrorKind, &str)| {
        let mut contract = script(text);
        contract.limits.memory_bytes = Some(HOG_BYTES);
        let error = run(&contract).await.expect_err(text);
        assert_eq!(error.kind(), *kind, "{text}: {error}");
        assert!(error.to_string().contains(words), "{text}: {error}");
    };
    for case in hogs().iter().chain(&cases) {
        check(case).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_the_kernels() {
    let mut contract = script(
        "cd /sys/fs/cgroup; for f in memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes memory.max \
         pids/pids.max pids.max cpu/cpu.cfs_quota_us cpu.max; do test -f $f && echo $f $(cat $f); done; exit 0",
    );
    contract.limits = Limits::default();
    contract.limits.memory_bytes = Some(100 << 20);
    contract.limits.pids = Some(33);
    contract.limits.cpu = Some(0.5);
    let seen = answer(&contract).await;
    let seen = seen.as_str().unwrap();
    let holds = |value: &str| seen.split_whitespace().any(|word| word == value);
    for value in ["104857600", "33", "50000"] {
        assert!(holds(value), "{value} in {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_error_and_the_exit_code_come_along() {
    let output = run(&script("echo '{\"a\": 1}'; printf 'a\\033[31mred' >&2"))
        .await
        .unwrap();
    assert_eq!(output.value, json!({"a": 1}));
    assert_eq!(output.stderr, "a\\u{1b}[31mred");
    assert_eq!(output.exit_code, Some(0));
    let error = run(&script("echo why >&2; exit 4")).await.unwrap_err();
    assert_eq!(error.exit_code(), Some(4));
    assert!(
        error.to_string().ends_with("exited with code 4: why"),
        "{error}"
    );
}
