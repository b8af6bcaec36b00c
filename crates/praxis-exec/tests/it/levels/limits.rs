//! Limits that cgroups hold a tool to.

use std::path::Path;
use std::time::{Duration, Instant};

use praxis_exec::{Error, ErrorKind, ExecutionEngine, Limit, Limits, Output, ToolContract};

use super::{GUARDED, run, shell, unique};
use crate::folder;
use crate::local::{engine, processes_with};

fn limited(script: &str, limits: impl FnOnce(&mut Limits)) -> ToolContract {
    let mut contract = shell(script);
    limits(&mut contract.limits);
    contract
}

/// Runs the tool on both levels where the machine holds tools to this limit, and sees it refused elsewhere.
async fn metered(limit: Limit, contract: &ToolContract, check: impl Fn(Result<Output, Error>)) {
    for level in GUARDED {
        let engine = engine(level);
        let root = folder();
        let outcome = run(&engine, contract, root.path()).await;
        if engine.capabilities().enforces(limit) {
            check(outcome);
        } else {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::UnsupportedLimit);
        }
    }
}

#[tokio::test]
async fn memory_has_its_limit() {
    let hog = "head -c 300000000 /dev/zero | tail -c 290000000 | wc -c";
    for end in ["", "; exit 0", "; exit 5"] {
        let contract = limited(&format!("{hog}{end}"), |limits| {
            limits.memory_bytes = Some(64 * 1024 * 1024);
        });
        metered(Limit::Memory, &contract, |outcome| {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
            assert!(error.to_string().contains("67108864 bytes"), "{error}");
        })
        .await;
    }
    let killed = limited("kill -9 $$", |limits| {
        limits.memory_bytes = Some(64 * 1024 * 1024);
    });
    metered(Limit::Memory, &killed, |outcome| {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Failed);
    })
    .await;
}

#[tokio::test]
async fn processes_have_their_limit() {
    let word = unique("bomb");
    let script = format!("bomb() {{ bomb | bomb & }}; bomb; sleep 60 # {word}");
    let contract = limited(&script, |limits| {
        limits.pids = Some(24);
        limits.timeout = Some(Duration::from_secs(2));
    });
    metered(Limit::Pids, &contract, |outcome| {
        let error = outcome.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Failed),
            "{error}"
        );
        assert_eq!(processes_with(&word), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_limited_tool_is_in_a_cgroup_that_goes_with_it() {
    let contract = limited("cat /proc/self/cgroup", |limits| limits.cpu = Some(0.5));
    metered(Limit::Cpu, &contract, |outcome| {
        let said = outcome.unwrap().value.as_str().unwrap().to_owned();
        let name = format!("praxis-{}-", std::process::id());
        assert!(said.contains(&name), "{said}");
        let group = said.lines().find(|line| line.contains(&name)).unwrap();
        let path = group.rsplit(':').next().unwrap();
        for mount in [
            "/sys/fs/cgroup/cpu",
            "/sys/fs/cgroup/cpu,cpuacct",
            "/sys/fs/cgroup",
        ] {
            let folder = format!("{mount}{path}");
            // Its last member is dying when the call ends.
            let end = Instant::now() + Duration::from_secs(60);
            while Path::new(&folder).exists() && Instant::now() < end {
                std::thread::yield_now();
            }
            assert!(!Path::new(&folder).exists(), "{folder}");
        }
    })
    .await;
}
