//! What a call of a program costs on each way to run it, against starting `/bin/true` with no isolation at all.
//!
//! Needs a container engine, and the image that `cargo xtask docker up` makes.

#![expect(
    clippy::print_stderr,
    reason = "what is measured without Criterion is told too"
)]

use std::future::Future;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptions, StartContainerOptions, WaitContainerOptions,
};
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::{StreamExt, stream};
use praxis_exec::docker::{Client, DockerConfig};
use praxis_exec::local::LocalEngine;
use praxis_exec::pool::{PoolConfig, PoolEngine};
use praxis_exec::{Effects, ExecutionEngine, NativeEngine, OutputFormat, Request, ToolContract};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::runtime::Runtime;

const IMAGE: &str = "praxis/tools:local";

/// A tool that does nothing, in a container that may be used again or not.
fn nothing(reuse: bool) -> ToolContract {
    let mut contract = ToolContract::new("nothing").command(["/bin/true"]);
    contract.output = OutputFormat::Text;
    contract.reuse = reuse;
    contract
}

fn config() -> PoolConfig {
    let mut config = PoolConfig::default();
    config.docker.image = Some(IMAGE.to_owned());
    config
}

struct Caller<E> {
    engine: E,
    contract: ToolContract,
    root: TempDir,
}

impl<E: ExecutionEngine> Caller<E> {
    fn new(engine: E, contract: ToolContract) -> Self {
        let root = tempfile::tempdir().expect("a folder can be made");
        Self {
            engine,
            contract,
            root,
        }
    }

    async fn call(&self) {
        let arguments = Map::new();
        let request = Request::new(&self.contract, &arguments, self.root.path());
        let output = self.engine.execute(request).await;
        assert_eq!(output.expect("it does nothing").value, "");
    }
}

async fn spawn() {
    let mut command = Command::new("/bin/true");
    let output = command.env_clear().stdin(Stdio::piped()).output().await;
    assert!(output.expect("there is a /bin/true").status.success());
}

/// The daemon that the pool uses, spoken to directly.
async fn docker() -> Docker {
    let client = Client::connect(&DockerConfig::default()).await;
    let client = client.expect("there is a container engine");
    let path = client.address().trim_start_matches("unix://");
    let docker = Docker::connect_with_unix(path, 60, bollard::API_DEFAULT_VERSION);
    let docker = docker.expect("it has a socket");
    docker.negotiate_version().await.expect("it answers")
}

async fn create(docker: &Docker, command: &[&str]) -> String {
    let body = ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        entrypoint: Some(command.iter().map(ToString::to_string).collect()),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let created = docker
        .create_container(None::<CreateContainerOptions>, body)
        .await;
    let id = created.expect("the image is there").id;
    let started = docker
        .start_container(&id, None::<StartContainerOptions>)
        .await;
    started.expect("it starts");
    id
}

async fn remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptions {
        force: true,
        ..RemoveContainerOptions::default()
    };
    docker
        .remove_container(id, Some(options))
        .await
        .expect("it is there");
}

async fn cold(docker: &Docker) {
    let id = create(docker, &["/bin/true"]).await;
    let mut ends = docker.wait_container(&id, None::<WaitContainerOptions>);
    let end = ends
        .next()
        .await
        .expect("it ends")
        .expect("it does nothing");
    assert_eq!(end.status_code, 0);
    remove(docker, &id).await;
}

async fn exec(docker: &Docker, id: &str) {
    let options = CreateExecOptions {
        cmd: Some(vec!["/bin/true"]),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let created = docker
        .create_exec(id, options)
        .await
        .expect("the container runs");
    match docker
        .start_exec(&created.id, None)
        .await
        .expect("it starts")
    {
        StartExecResults::Attached { mut output, .. } => while output.next().await.is_some() {},
        StartExecResults::Detached => panic!("it was to be attached"),
    }
    let end = docker.inspect_exec(&created.id).await.expect("it is known");
    assert_eq!(end.exit_code, Some(0));
}

fn runtime() -> Runtime {
    Runtime::new().expect("threads can be started")
}

fn calls(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("exec");
    let pool = Caller::new(PoolEngine::new(config()), nothing(true));
    group.bench_function("pool_reused", |bench| {
        bench.iter(|| runtime.block_on(pool.call()));
    });
    group.bench_function("spawn", |bench| bench.iter(|| runtime.block_on(spawn())));
    let local = Caller::new(LocalEngine::default(), nothing(false));
    group.bench_function("local", |bench| {
        bench.iter(|| runtime.block_on(local.call()));
    });
    group.sample_size(20);
    let docker = runtime.block_on(docker());
    let warm = runtime.block_on(create(&docker, &["sleep", "100000"]));
    group.bench_function("docker_exec", |bench| {
        bench.iter(|| runtime.block_on(exec(&docker, &warm)));
    });
    runtime.block_on(remove(&docker, &warm));
    group.sample_size(10);
    group.bench_function("docker_run", |bench| {
        bench.iter(|| runtime.block_on(cold(&docker)));
    });
    group.finish();
    runtime
        .block_on(pool.engine.drain())
        .expect("its containers go");
}

/// What an engine adds to a function of this process.
fn native(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime needs nothing");
    let contract = ToolContract::new("nothing").effects(Effects::pure());
    let mut engine = NativeEngine::new();
    let registered = engine.register(contract.clone(), |_| async { Ok(json!("")) });
    registered.expect("the contract is in order");
    let native = Caller::new(engine, contract);
    let mut group = criterion.benchmark_group("exec");
    group.bench_function("native", |bench| {
        bench.iter(|| runtime.block_on(native.call()));
    });
    let function = || -> std::pin::Pin<Box<dyn Future<Output = Value> + Send>> {
        Box::pin(async { json!("") })
    };
    group.bench_function("function", |bench| {
        bench.iter(|| assert_eq!(runtime.block_on(function()), ""));
    });
    group.finish();
}

/// Containers that serve one call each, called faster than they can be started.
fn fresh_under_load(_: &mut Criterion) {
    const CALLS: usize = 200;
    const AT_ONCE: usize = 4;
    const WARM: usize = 8;
    if skipped() {
        return;
    }
    let runtime = runtime();
    let mut config = config();
    config.warm = [("nothing".to_owned(), WARM)].into();
    let pool = Caller::new(PoolEngine::new(config), nothing(false));
    let (mut took, elapsed, before) = runtime.block_on(async {
        let arguments = Map::new();
        let request = Request::new(&pool.contract, &arguments, pool.root.path());
        pool.engine.warm(&request).await.expect("containers start");
        while pool.engine.statistics().idle < WARM {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before = pool.engine.statistics();
        let started = Instant::now();
        let calls = stream::iter(0..CALLS).map(|_| async {
            let started = Instant::now();
            pool.call().await;
            started.elapsed()
        });
        let took: Vec<Duration> = calls.buffer_unordered(AT_ONCE).collect().await;
        (took, started.elapsed(), before)
    });
    let after = pool.engine.statistics();
    took.sort_unstable();
    let hits = after.hits - before.hits;
    let created = after.created - before.created;
    eprintln!(
        "fresh, {CALLS} calls, {AT_ONCE} at once, {WARM} warm: p50 {:?}, p99 {:?}, hits {:.0} %, \
         {:.1} containers a second, a start takes {:?}",
        took[CALLS / 2],
        took[CALLS * 99 / 100],
        100.0 * hits as f64 / CALLS as f64,
        created as f64 / elapsed.as_secs_f64(),
        after.starting / u32::try_from(after.created).unwrap_or(u32::MAX),
    );
    runtime
        .block_on(pool.engine.drain())
        .expect("its containers go");
}

/// A thousand calls leave files, processes and containers where they were.
fn nothing_grows(_: &mut Criterion) {
    const CALLS: usize = 1000;
    if skipped() {
        return;
    }
    let runtime = runtime();
    let pool = Caller::new(PoolEngine::new(config()), nothing(true));
    let (before, after) = runtime.block_on(async {
        for _ in 0..20 {
            pool.call().await;
        }
        let before = usage(&pool.engine).await;
        for _ in 0..CALLS {
            pool.call().await;
        }
        (before, usage(&pool.engine).await)
    });
    eprintln!("before {CALLS} calls: {before:?}\nafter {CALLS} calls: {after:?}");
    let same = |usage: &Usage| {
        (
            usage.files,
            usage.threads,
            usage.containers,
            usage.processes,
        )
    };
    assert_eq!(same(&after), same(&before));
    runtime
        .block_on(pool.engine.drain())
        .expect("its containers go");
}

#[derive(Debug)]
struct Usage {
    files: usize,
    threads: usize,
    containers: usize,
    /// In the containers.
    processes: u64,
    #[expect(dead_code, reason = "it is shown")]
    container_bytes: u64,
    #[expect(dead_code, reason = "it is shown")]
    own_kilobytes: u64,
}

async fn usage(engine: &PoolEngine) -> Usage {
    let entries = |path: &str| std::fs::read_dir(path).map_or(0, Iterator::count);
    let containers = engine.resource_usage().await.expect("the daemon answers");
    // Connections are closed by tasks of their own.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
    Usage {
        files: entries("/proc/self/fd"),
        threads: entries("/proc/self/task"),
        containers: containers.len(),
        processes: containers.iter().map(|one| one.pids).sum(),
        container_bytes: containers.iter().map(|one| one.memory_bytes).sum(),
        own_kilobytes: resident.unwrap_or(0),
    }
}

/// Whether only some benches were asked for, by name, or Criterion only tests that they run.
fn skipped() -> bool {
    let mut words = std::env::args().skip(1);
    words.any(|word| word == "--test" || word == "--list" || word.starts_with("exec/"))
}

criterion_group!(benches, calls, native, fresh_under_load, nothing_grows);
criterion_main!(benches);
