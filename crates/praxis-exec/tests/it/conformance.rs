use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use praxis_exec::conformance::{Behaviour, Subject, check};
use praxis_exec::local::{Level, LocalEngine};
use praxis_exec::{
    Error, ExecutionEngine, Invocation, NativeEngine, Parameter, ParameterKind, ToolContract,
};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Native {
    engine: NativeEngine,
    root: TempDir,
}

fn native_contract(behaviour: Behaviour) -> ToolContract {
    let contract = ToolContract::new(format!("{behaviour:?}"));
    with_parameters(contract, behaviour)
}

fn with_parameters(contract: ToolContract, behaviour: Behaviour) -> ToolContract {
    match behaviour {
        Behaviour::Echo => contract.parameter(Parameter::new("value", ParameterKind::Any)),
        Behaviour::Beacon => contract.parameter(Parameter::text("beacon")),
        _ => contract,
    }
}

async fn beacon(call: Invocation) -> Result<Value, Error> {
    let path = call.text("beacon")?;
    loop {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(b".")).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Native {
    fn new() -> Self {
        let mut engine = NativeEngine::new();
        let contract = native_contract;
        engine
            .register(contract(Behaviour::Echo), |call| async move {
                Ok(Value::Object(call.arguments().clone()))
            })
            .unwrap();
        engine
            .register(contract(Behaviour::Text), |_| async {
                Ok(json!("[not json"))
            })
            .unwrap();
        engine
            .register(contract(Behaviour::Fail), |_| async {
                Err(Error::failed("told to fail"))
            })
            .unwrap();
        engine
            .register(contract(Behaviour::Beacon), beacon)
            .unwrap();
        engine
            .register_blocking(contract(Behaviour::Flood), |_| {
                Ok("x".repeat(4_000_000).into())
            })
            .unwrap();
        Self {
            engine,
            root: crate::folder(),
        }
    }
}

impl Subject for Native {
    fn engine(&self) -> &dyn ExecutionEngine {
        &self.engine
    }

    fn contract(&self, behaviour: Behaviour) -> ToolContract {
        native_contract(behaviour)
    }

    fn root(&self) -> &Path {
        self.root.path()
    }
}

/// A program that behaves so wherever there is a shell with the usual small programs.
pub(crate) fn program(behaviour: Behaviour) -> ToolContract {
    let contract = ToolContract::new(format!("{behaviour:?}"));
    let contract = match behaviour {
        Behaviour::Echo => contract.command(["cat"]),
        Behaviour::Text => contract.command(["printf", "[not json"]),
        Behaviour::Fail => contract.command(["sh", "-c", "echo told to fail >&2; exit 3"]),
        Behaviour::Beacon => contract.command([
            "sh",
            "-c",
            "(trap '' TERM; while :; do printf . >> \"$beacon\"; sleep 0.02; done) & wait",
        ]),
        Behaviour::Flood => contract.command(["yes"]),
        _ => contract.command(["no-such-program-anywhere"]),
    };
    with_parameters(contract, behaviour)
}

struct Local {
    engine: LocalEngine,
    root: TempDir,
}

impl Subject for Local {
    fn engine(&self) -> &dyn ExecutionEngine {
        &self.engine
    }

    fn contract(&self, behaviour: Behaviour) -> ToolContract {
        program(behaviour)
    }

    fn root(&self) -> &Path {
        self.root.path()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_native_engine_conforms() {
    check(&Native::new()).await;
}

async fn check_local(engine: LocalEngine) {
    let root = crate::folder();
    check(&Local { engine, root }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_engine_conforms() {
    check_local(LocalEngine::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_engine_conforms_on_level_none() {
    check_local(crate::local::engine(Level::None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_engine_conforms_on_level_process() {
    check_local(crate::local::engine(Level::Process)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_engine_conforms_on_level_sandbox() {
    check_local(crate::local::engine(Level::Sandbox)).await;
}
