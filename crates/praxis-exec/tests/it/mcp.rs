//! Tools of MCP servers, against a server in Python that behaves as it is told.

mod servers;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use praxis_exec::conformance::{Behaviour, Subject, check};
use praxis_exec::mcp::{
    Approval, ApprovalPolicy, Approvals, McpEngine, McpServer, McpServerConfig, McpTransport,
};
use praxis_exec::{
    EffectClass, Error, ErrorKind, ExecutionEngine, Output, ParameterKind, Request, Secrets,
    ToolContract,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{folder, object, write};

const TOKEN: &str = "tok3n-of-the-test";

fn script() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mcp_server.py").to_owned()
}

/// A server that is a program; `state` is the folder that changes its mind.
fn stdio(state: &Path, mode: &str) -> McpServerConfig {
    let state = state.display().to_string();
    McpServerConfig::stdio(
        "python3",
        [
            "-I".to_owned(),
            script(),
            "--state".to_owned(),
            state,
            "--mode".to_owned(),
            mode.to_owned(),
        ],
    )
}

fn memory() -> Arc<Approvals> {
    Arc::new(Approvals::in_memory(ApprovalPolicy::FirstUse))
}

async fn connect(config: &McpServerConfig) -> Result<McpServer, Error> {
    McpServer::connect(
        "test",
        config,
        &Secrets::none().with("TOKEN", TOKEN),
        memory(),
    )
    .await
}

async fn engine(config: &McpServerConfig) -> McpEngine {
    let mut engine = McpEngine::new();
    engine.add(connect(config).await.unwrap()).unwrap();
    engine
}

fn contract(engine: &McpEngine, name: &str) -> Arc<ToolContract> {
    let name = format!("test_{name}");
    let found = engine.contracts().find(|contract| contract.name == name);
    Arc::clone(found.unwrap_or_else(|| panic!("no {name}")))
}

async fn call(engine: &McpEngine, name: &str, arguments: Value) -> Result<Output, Error> {
    let contract = contract(engine, name);
    let root = folder();
    let arguments = contract.bind(object(arguments))?;
    let request =
        Request::new(&contract, &arguments, root.path()).with_timeout(Duration::from_secs(60));
    engine.execute(request).await
}

/// A server at an address of its own; dropped, it ends.
struct Http {
    child: Child,
    folder: TempDir,
    config: McpServerConfig,
}

impl Http {
    async fn start(mode: &str) -> Self {
        let folder = folder();
        let port = folder.path().join("port");
        let mut child = Command::new("python3");
        child
            .args(["-I", &script(), "--mode", mode, "--state"])
            .arg(folder.path())
            .arg("--http")
            .arg(&port);
        let child = child
            .env("TOKEN", TOKEN)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while !port.exists() {
            assert!(Instant::now() < until, "the server does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let port = fs::read_to_string(port).unwrap();
        let mut config = McpServerConfig::http(format!("http://127.0.0.1:{port}/mcp"));
        if let McpTransport::Http { headers, .. } = &mut config.transport {
            headers.insert(
                "Authorization".to_owned(),
                "Bearer ${secret:TOKEN}".to_owned(),
            );
        }
        Self {
            child,
            folder,
            config,
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Mcp {
    engine: McpEngine,
    root: TempDir,
}

impl Subject for Mcp {
    fn engine(&self) -> &dyn ExecutionEngine {
        &self.engine
    }

    fn contract(&self, behaviour: Behaviour) -> ToolContract {
        let name = match behaviour {
            Behaviour::Echo => "echo",
            Behaviour::Text => "text",
            Behaviour::Fail => "fail",
            Behaviour::Beacon => "beacon",
            Behaviour::Flood => "flood",
            _ => return ToolContract::new("test_missing"),
        };
        let mut contract = (*contract(&self.engine, name)).clone();
        contract.name = format!("test_{name}");
        contract
    }

    fn root(&self) -> &Path {
        self.root.path()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_conforms_over_stdio() {
    let root = folder();
    let subject = Mcp {
        engine: engine(&stdio(root.path(), "")).await,
        root,
    };
    check(&subject).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_conforms_over_http() {
    let server = Http::start("").await;
    let subject = Mcp {
        engine: engine(&server.config).await,
        root: folder(),
    };
    check(&subject).await;
}

#[tokio::test]
async fn tools_become_contracts_and_their_claims_are_not_believed() {
    let state = folder();
    let mut config = stdio(state.path(), "");
    let server = connect(&config).await.unwrap();
    let refused: Vec<String> = server.refused().iter().map(Error::to_string).collect();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused[0].starts_with(
        "tool \"regex\" of MCP server `test`: its JSON Schema is refused at `/properties/x/pattern`"
    ));
    assert!(
        refused[1].starts_with(
            "tool \"named\" of MCP server `test`: parameter name \"a b\" is not a name"
        )
    );
    assert!(
        refused[2].contains("refers to `http://127.0.0.1:9/schema.json`"),
        "{}",
        refused[2]
    );
    let mut engine = McpEngine::new();
    engine.add(server).unwrap();
    let limited = contract(&engine, "limited");
    assert_eq!(limited.parameters[0].kind, ParameterKind::Integer);
    assert_eq!(
        (limited.engine.as_str(), limited.address.as_deref()),
        ("mcp", Some("mcp:test/limited"))
    );
    assert_eq!(
        limited.schema.as_ref().unwrap().value()["properties"]["count"]["minimum"],
        json!(1)
    );
    let error = call(&engine, "limited", json!({"count": 4}))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "tool `test_limited`: argument `count` is 4; it must be at most 3"
    );
    for name in ["read_me_", "again", "echo"] {
        assert_eq!(
            contract(&engine, name).effects.class,
            EffectClass::External,
            "{name}"
        );
        assert!(!contract(&engine, name).effects.idempotent, "{name}");
    }
    assert_eq!(
        call(&engine, "read_me_", json!({})).await.unwrap().value,
        json!("called")
    );
    config.trust_annotations = true;
    let engine = self::engine(&config).await;
    assert_eq!(
        contract(&engine, "read_me_").effects.class,
        EffectClass::Read
    );
    assert_eq!(
        contract(&engine, "again").effects.class,
        EffectClass::External
    );
    assert!(contract(&engine, "again").effects.idempotent);
}

#[tokio::test]
async fn answers_are_values() {
    let state = folder();
    let engine = engine(&stdio(state.path(), "")).await;
    let value = |name: &'static str| {
        let engine = &engine;
        async move { call(engine, name, json!({})).await.unwrap().value }
    };
    assert_eq!(
        value("picture").await,
        json!([{"type": "image", "data": "AA==", "mimeType": "image/png"}])
    );
    assert_eq!(value("text").await, json!("[not json"));
    assert_eq!(value("arguments").await[0], json!("--state"));
    let error = call(&engine, "fail", json!({})).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "tool `test_fail`: reported a failure: told to fail"
    );
    assert_eq!(error.stderr(), "told to fail\nand why");
}

#[tokio::test]
async fn a_tool_that_changes_after_its_approval_is_refused() {
    let (state, kept) = (folder(), folder());
    let file = kept.path().join("deep/approvals.json");
    let config = stdio(state.path(), "");
    let secrets = Secrets::none();
    let connect = async |policy| {
        let approvals = Arc::new(Approvals::load(&file, policy).unwrap());
        let server = McpServer::connect("test", &config, &secrets, Arc::clone(&approvals))
            .await
            .unwrap();
        let tools = server.tools().to_vec();
        let mut engine = McpEngine::new();
        engine.add(server).unwrap();
        (
            engine,
            approvals,
            tools
                .into_iter()
                .find(|tool| tool.name == "pinned")
                .unwrap(),
        )
    };
    let (engine, approvals, tool) = connect(ApprovalPolicy::Explicit).await;
    let error = call(&engine, "pinned", json!({"value": 1}))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Denied, "MCP tool `test/pinned` is not approved")
    );
    assert_eq!(approvals.check(&tool), Approval::Unknown);
    approvals.approve(&tool).unwrap();
    assert_eq!(
        call(&engine, "pinned", json!({"value": 1}))
            .await
            .unwrap()
            .value,
        json!({"value": 1})
    );

    // The server changes it and says so: this engine has listed it otherwise.
    write(state.path(), "changed", "");
    call(&engine, "fail", json!({})).await.unwrap_err();
    let (fresh, approvals, tool) = connect(ApprovalPolicy::FirstUse).await;
    let paths = "description, inputSchema.properties.value.type (added)";
    for refused in [
        call(&fresh, "pinned", json!({"value": 1}))
            .await
            .unwrap_err(),
        call(&fresh, "pinned", json!({"value": 2}))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Denied);
        assert_eq!(
            refused.message(),
            format!("MCP tool `test/pinned` has changed since it was approved: {paths}")
        );
        assert!(refused.help().unwrap().contains("approve it again"));
    }
    // Other tools of the server go on, and are pinned by their first use.
    assert!(call(&fresh, "echo", json!({"value": 1})).await.is_ok());
    approvals.approve(&tool).unwrap();
    assert!(call(&fresh, "pinned", json!({"value": 1})).await.is_ok());
    approvals.revoke("test/pinned").unwrap();
    assert_eq!(approvals.check(&tool), Approval::Unknown);

    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("test/echo") && !text.contains("test/pinned"),
        "{text}"
    );
    write(kept.path(), "deep/approvals.json", &text[..text.len() / 2]);
    let error = Approvals::load(&file, ApprovalPolicy::FirstUse).unwrap_err();
    assert!(
        error.to_string().contains("these are no approvals"),
        "{error}"
    );
    write(
        kept.path(),
        "deep/approvals.json",
        "{\"version\": 9, \"tools\": {}}",
    );
    let error = Approvals::load(&file, ApprovalPolicy::FirstUse).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("of version 9, and this Praxis reads 1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_tool_that_changes_while_connected_is_refused() {
    let state = folder();
    let engine = engine(&stdio(state.path(), "")).await;
    assert!(call(&engine, "pinned", json!({"value": "x"})).await.is_ok());
    write(state.path(), "changed", "");
    write(state.path(), "gone", "");
    // This call makes the server say that its tools have changed.
    assert!(call(&engine, "text", json!({})).await.is_ok());
    let error = call(&engine, "pinned", json!({"value": "x"}))
        .await
        .unwrap_err();
    assert!(
        error
            .message()
            .starts_with("MCP tool `test/pinned` has changed since it was listed: description"),
        "{error}"
    );
    let error = call(&engine, "fleeting", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.message(),
        "MCP server `test` has no tool `fleeting` any more"
    );
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_for_the_next_call() {
    let state = folder();
    let mut config = stdio(state.path(), "");
    if let McpTransport::Stdio { env, .. } = &mut config.transport {
        env.insert("TOKEN".to_owned(), "${secret:TOKEN}".to_owned());
    }
    let engine = engine(&config).await;
    for _ in 0..2 {
        let error = call(&engine, "die", json!({})).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert_eq!(
            error.message(),
            "MCP server `test`: the connection ended before the answer; its process ended (exit status: 7)"
        );
        assert_eq!(error.exit_code(), Some(7));
        assert!(error.is_retryable());
        assert!(
            error.stderr().ends_with("cannot go on: [secret]\n"),
            "{}",
            error.stderr()
        );
        assert!(call(&engine, "echo", json!({"value": 1})).await.is_ok());
    }
    // What it was approved as holds for the one that is started again.
    write(state.path(), "changed", "");
    assert!(call(&engine, "die", json!({})).await.is_err());
    let error = call(&engine, "pinned", json!({"value": 1}))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

#[tokio::test]
async fn a_server_that_says_too_much_is_stopped() {
    let state = folder();
    let engine = engine(&stdio(state.path(), "")).await;
    let error = call(&engine, "huge", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutputTooLarge, "{error}");
    assert!(
        error
            .message()
            .contains("sent a message of more than 16777216 bytes"),
        "{error}"
    );
    assert!(call(&engine, "echo", json!({"value": 1})).await.is_ok());
    let server = Http::start("").await;
    let engine = self::engine(&server.config).await;
    let error = call(&engine, "huge", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("16777216"), "{error}");
    assert!(call(&engine, "echo", json!({"value": 1})).await.is_ok());
    for (mode, words) in [
        ("pages", "never ends: it comes to the same page again"),
        ("crowd", "has more than 1000"),
    ] {
        let error = connect(&stdio(state.path(), mode)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutputTooLarge);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_tool_that_never_answers_runs_out_of_time_and_is_told() {
    let state = folder();
    let http = Http::start("").await;
    for (config, state) in [
        (stdio(state.path(), ""), state.path()),
        (http.config.clone(), http.folder.path()),
    ] {
        let engine = engine(&config).await;
        let contract = contract(&engine, "never");
        let arguments = object(json!({}));
        let request =
            Request::new(&contract, &arguments, state).with_timeout(Duration::from_millis(300));
        let error = engine.execute(request).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        let until = Instant::now() + Duration::from_secs(60);
        while !state.join("cancelled").exists() {
            assert!(Instant::now() < until, "the server was not told");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(call(&engine, "echo", json!({"value": 1})).await.is_ok());
    }
}
