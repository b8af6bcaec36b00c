//! The escape suite: on every engine that claims to stop something, and on one that stops nothing.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use praxis_exec::escape::{Attack, Target, Verdict, run};
use praxis_exec::local::{Level, LocalEngine};
use praxis_exec::{
    BoxFuture, Capabilities, Error, ErrorKind, ExecutionEngine, Isolation, Limit, Output, Request,
    ToolContract,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// The attacks that a process without walls around it cannot be kept from.
const BEYOND_A_PROCESS: [Attack; 8] = [
    Attack::ParentFolder,
    Attack::Symlink,
    Attack::ProcRoot,
    Attack::OwnContract,
    Attack::Device,
    Attack::Network,
    Attack::MetadataAddress,
    Attack::HostSecret,
];

/// Asserts that nothing escapes from an engine that claims to stop all but `beyond`.
pub(crate) async fn holds(target: &dyn Target) {
    let report = run(target).await;
    assert!(report.escapes().is_empty(), "{report}");
    let stopped = |(_, verdict): &&(Attack, Verdict)| matches!(verdict, Verdict::Stopped(_));
    let claimed = Attack::ALL
        .iter()
        .filter(|attack| target.claims(**attack))
        .count();
    assert!(
        report.verdicts.iter().filter(stopped).count() >= claimed,
        "{report}"
    );
}

/// A process engine sees the paths of the machine as they are.
pub(crate) fn without_mounts(mut contract: ToolContract) -> ToolContract {
    contract.mounts.clear();
    contract
}

struct Local {
    engine: LocalEngine,
    level: Level,
    folder: TempDir,
}

impl Target for Local {
    fn engine(&self) -> &dyn ExecutionEngine {
        &self.engine
    }

    fn claims(&self, attack: Attack) -> bool {
        let enforces = |limit| self.engine.capabilities().enforces(limit);
        match attack {
            Attack::ForkBomb => enforces(Limit::Pids),
            Attack::MemoryHog => enforces(Limit::Memory),
            Attack::DoubleFork => self.level > Level::None,
            attack => self.level == Level::Sandbox || !BEYOND_A_PROCESS.contains(&attack),
        }
    }

    fn adapt(&self, contract: ToolContract) -> ToolContract {
        without_mounts(contract)
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}

async fn local_holds(engine: LocalEngine, level: Level) {
    let folder = crate::folder();
    let target = Local {
        engine,
        level,
        folder,
    };
    holds(&target).await;
}

/// A tool that asks for limits that only the sandbox has is there, without anybody having said so.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_local_engine_claims_to_stop_is_stopped() {
    local_holds(LocalEngine::default(), Level::Sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_level_claims_to_stop_is_stopped() {
    for level in Level::ALL {
        local_holds(crate::local::engine(level), level).await;
    }
}

/// An engine with every mistake that the suite looks for.
///
/// It gives tools this process's environment and all that it may do, mangles arguments, waits for ever,
/// keeps what was printed however long it is, forgets what still runs, and repeats what a tool says as it is.
struct Careless {
    folder: TempDir,
}

impl Careless {
    async fn run(&self, request: &Request<'_>) -> Result<Output, Error> {
        let started = Instant::now();
        let dir = request.contract.dir.clone().unwrap();
        let mut arguments = request.arguments.clone();
        if let Some(Value::String(value)) = arguments.get_mut("value") {
            *value = value
                .chars()
                .take(1000)
                .filter(|c| !"-\0".contains(*c))
                .collect();
        }
        let words = request
            .contract
            .expand_command(&arguments, request.root, &dir)?;
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .env("PRAXIS_ROOT", request.root)
            .env("PRAXIS_CONTRACT_DIR", &dir)
            .current_dir(request.root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = serde_json::to_vec(&arguments).unwrap();
        child.stdin.take().unwrap().write_all(&input).await.unwrap();
        let (mut printed, mut said) = (Vec::new(), Vec::new());
        let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        // A process that was left behind may hold them; somebody who is careless waits for it.
        let _ = tokio::join!(
            stdout.read_to_end(&mut printed),
            stderr.read_to_end(&mut said)
        );
        let status = child.wait().await.unwrap();
        if !status.success() {
            let said = String::from_utf8_lossy(&said).into_owned();
            return Err(Error::new(ErrorKind::Failed, said));
        }
        let text = String::from_utf8(printed).unwrap_or_default();
        let value = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Output::new(value, started))
    }
}

impl ExecutionEngine for Careless {
    fn name(&self) -> &str {
        "careless"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new("careless", Isolation::None, &Limit::ALL)
    }

    fn execute<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        Box::pin(async move {
            // A patient suite would wait half a minute for each call that never ends, whatever the machine's pace.
            let endless = [Attack::Fifo, Attack::ForkBomb, Attack::IgnoredSignals];
            let endless = endless
                .iter()
                .any(|attack| request.arguments["attack"] == attack.as_str());
            let patience = Duration::from_secs(if endless { 3 } else { 25 });
            let outcome = tokio::time::timeout(patience, self.run(&request)).await;
            outcome.unwrap_or_else(|_| Err(Error::new(ErrorKind::Cancelled, "it never ends")))
        })
    }
}

impl Target for Careless {
    fn engine(&self) -> &dyn ExecutionEngine {
        self
    }

    fn claims(&self, _: Attack) -> bool {
        true
    }

    fn adapt(&self, contract: ToolContract) -> ToolContract {
        without_mounts(contract)
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_escapes_from_an_engine_that_stops_nothing() {
    let folder = crate::folder();
    let report = run(&Careless { folder }).await;
    for (attack, verdict) in &report.verdicts {
        // Whether the machine itself may do these two is not for an engine to decide.
        let open = match attack {
            Attack::MetadataAddress => has_a_route(),
            Attack::Device => is_root(),
            _ => true,
        };
        let escaped = matches!(verdict, Verdict::Escaped(_));
        assert_eq!(escaped, open, "{attack}\n{report}");
    }
}

fn has_a_route() -> bool {
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    table
        .lines()
        .any(|line| line.split_whitespace().nth(1) == Some("00000000"))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}
