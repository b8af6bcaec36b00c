//! Containers that are killed, a daemon that goes away, and Praxis itself that does.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::KillContainerOptions;
use praxis_exec::docker::Client;
use praxis_exec::pool::PoolEngine;
use praxis_exec::{ErrorKind, ExecutionEngine, Request, ToolContract};
use serde_json::{Map, json};

use super::{answer, config, reusable, run};
use crate::containers::{lasting, script, workspace};
use crate::docker::cleanup::{ALONE, CALLS, alone, gone, resident_bytes, settled};
use crate::docker::proxy::Proxy;

fn named(name: &str, text: &str) -> ToolContract {
    let mut contract = reusable(script(text));
    contract.name = name.to_owned();
    contract
}

/// Kills the containers of a pool, as somebody outside of it does.
async fn kill_all(engine: &PoolEngine) -> usize {
    let usage = engine.resource_usage().await.unwrap();
    let client = Client::connect(&config().docker).await.unwrap();
    let path = client.address().trim_start_matches("unix://");
    let docker = Docker::connect_with_unix(path, 30, bollard::API_DEFAULT_VERSION).unwrap();
    for container in &usage {
        let kill = docker.kill_container(&container.container, None::<KillContainerOptions>);
        kill.await.unwrap();
    }
    usage.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_was_killed_between_calls_is_not_noticed_by_the_next() {
    let engine = PoolEngine::new(config());
    let contract = named("killed-idle", "echo fine");
    for round in 0..3 {
        assert_eq!(answer(&engine, &contract).await, "fine");
        assert_eq!(engine.statistics().failed, round);
        assert!(kill_all(&engine).await > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_killed_in_the_middle_is_an_error_and_the_pool_recovers() {
    let engine = PoolEngine::new(config());
    let root = workspace();
    let mut contract = lasting("touch /w/running").mount(".", "/w");
    contract.name = "killed-busy".to_owned();
    let running = crate::call(&engine, &contract, root.path(), json!({}));
    let kill = async {
        while !root.path().join("running").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(kill_all(&engine).await, 1);
    };
    let (outcome, _) = tokio::join!(running, kill);
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let said =
        "tool `killed-busy`: its container has ended while the tool ran, so its result is lost";
    assert_eq!(error.to_string(), said);
    assert!(error.help().unwrap().contains("a part of its work"));
    assert_eq!(
        answer(&engine, &named("killed-busy", "echo back")).await,
        "back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_background_finds_and_replaces_what_died() {
    let mut config = config();
    config.warm = [("watched".to_owned(), 1)].into();
    config.health_interval = Duration::from_millis(100);
    let engine = PoolEngine::new(config);
    let contract = named("watched", "echo fine");
    assert_eq!(answer(&engine, &contract).await, "fine");
    let before = engine.statistics();
    kill_all(&engine).await;
    let started = Instant::now();
    loop {
        let now = engine.statistics();
        if now.created > before.created && now.idle == 1 {
            assert_eq!((now.failed, now.misses), (1, before.misses));
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{now:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_daemon_a_pool_serves_from_what_is_warm() {
    let mut proxy = Proxy::start().await;
    let mut config = config();
    config.docker.host = Some(proxy.address());
    let engine = PoolEngine::new(config);
    let warm = named("cut-warm", "echo warm");
    assert_eq!(answer(&engine, &warm).await, "warm");
    proxy.cut().await;
    for _ in 0..3 {
        assert_eq!(answer(&engine, &warm).await, "warm");
    }
    let other = named("cut-cold", "echo cold");
    let error = run(&engine, &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable());
    proxy.mend();
    assert_eq!(answer(&engine, &other).await, "cold");
    engine.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_leaves_nothing() {
    let engine = PoolEngine::new(config());
    let contract = named("pool-dropped", "sleep 100");
    let root = workspace();
    let arguments = Map::new();
    for step in 0..12 {
        let call = engine.execute(Request::new(&contract, &arguments, root.path()));
        let outcome = tokio::time::timeout(Duration::from_millis(40 * step), call).await;
        assert!(outcome.is_err(), "the tool sleeps");
    }
    let statistics = engine.statistics();
    assert_eq!(statistics.busy, 0, "{statistics:?}");
    drop(engine);
    let client = Client::connect(&config().docker).await.unwrap();
    gone(&client, "pool-dropped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_praxis_had_warm_and_running_is_gone_at_once() {
    let name = "pool::trouble::what_a_killed_praxis_had_warm_and_running_is_gone_at_once";
    if std::env::var_os(ALONE).is_some() {
        let engine = PoolEngine::new(config());
        let root = workspace();
        let idle = named("pool-orphan", "echo idle");
        crate::call(&engine, &idle, root.path(), json!({}))
            .await
            .unwrap();
        let mut busy = lasting("(trap '' TERM; setsid sleep 3600 &); touch /w/alight");
        busy.name = "pool-orphan".to_owned();
        let busy = busy.mount(".", "/w");
        let running = crate::call(&engine, &busy, root.path(), json!({}));
        let alight = async {
            while !root.path().join("alight").exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            for container in engine.resource_usage().await.unwrap() {
                println!("has {}", container.container);
            }
            println!("alight");
            std::future::pending::<()>().await;
        };
        tokio::select! { outcome = running => panic!("{outcome:?}"), () = alight => {} }
    }
    let mut child = alone(name).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines
        .map(Result::unwrap)
        .take_while(|line| line != "alight")
        .collect();
    let containers: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_once("has "))
        .map(|(_, name)| name)
        .collect();
    assert_eq!(containers.len(), 2, "{lines:?}");
    // It was there before, so it does not remove what dead processes have left.
    let client = Client::connect(&config().docker).await.unwrap();
    for container in &containers {
        assert!(client.exists(container).await.unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let started = Instant::now();
    for container in &containers {
        while client.exists(container).await.unwrap() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{container} is left"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Files, threads, children and containers are where they were after many calls; `PRAXIS_LEAK_CALLS` sets how many.
#[test]
fn many_calls_leave_everything_where_it_was() {
    let name = "pool::trouble::many_calls_leave_everything_where_it_was";
    if std::env::var_os(ALONE).is_none() {
        let status = alone(name).status().unwrap();
        assert!(status.success(), "{status}");
        return;
    }
    let calls: usize = std::env::var(CALLS).map_or(100, |calls| calls.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut config = config();
        config.warm = [("pool-leak".to_owned(), 4)].into();
        let engine = PoolEngine::new(config);
        let contract = named("pool-leak", "echo '{}'; echo x >&2");
        let root = workspace();
        let round = async || {
            let call = || crate::call(&engine, &contract, root.path(), json!({}));
            let (a, b, c, d) = tokio::join!(call(), call(), call(), call());
            for outcome in [a, b, c, d] {
                outcome.unwrap();
            }
        };
        for _ in 0..10 {
            round().await;
        }
        let before = usage(&engine).await;
        let memory = resident_bytes();
        for _ in 0..calls / 4 {
            round().await;
        }
        settled(&before, async || usage(&engine).await).await;
        let grown = resident_bytes().saturating_sub(memory);
        assert!(grown < 4 << 20, "{grown} bytes more after {calls} calls");
        engine.drain().await.unwrap();
    });
}

/// Open files, threads, children, containers, and processes in these.
async fn usage(engine: &PoolEngine) -> [u64; 5] {
    let entries = |path: &str| std::fs::read_dir(path).unwrap().count() as u64;
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
    let containers = engine.resource_usage().await.unwrap();
    [
        entries("/proc/self/fd"),
        entries("/proc/self/task"),
        children.split_whitespace().count() as u64,
        containers.len() as u64,
        containers.iter().map(|container| container.pids).sum(),
    ]
}
