//! Servers: how they are configured, what they are given, why one cannot be used, and that nothing of one is left.

use std::path::Path;
use std::time::Duration;

use praxis_exec::ErrorKind;
use praxis_exec::mcp::{McpConfig, McpServerConfig, McpTransport};
use serde_json::json;

use super::{Http, call, connect, engine, stdio};
use crate::folder;
use crate::local::{assert_gone, processes_with};

#[tokio::test]
async fn servers_that_cannot_be_used_say_why() {
    let state = folder();
    let fails = async |config: &McpServerConfig, kind: ErrorKind, words: &str| {
        let error = connect(config).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(
            error.to_string().starts_with("MCP server `test`: "),
            "{error}"
        );
        error
    };
    fails(
        &McpServerConfig::stdio("no-such-program", [""; 0]),
        ErrorKind::NotFound,
        "cannot start `no-such-program`",
    )
    .await;
    let error = fails(
        &stdio(state.path(), "chatter"),
        ErrorKind::Unavailable,
        "before it answered `initialize`",
    )
    .await;
    assert!(error.stderr().contains("that is not MCP"), "{error:?}");
    let mut mute = stdio(state.path(), "mute");
    mute.start_timeout = Duration::from_secs(2);
    fails(
        &mute,
        ErrorKind::Timeout,
        "did not start and list its tools within 2s",
    )
    .await;
    fails(
        &McpServerConfig::http("http://127.0.0.1:9/mcp"),
        ErrorKind::Unavailable,
        "cannot be reached",
    )
    .await;
    let http = Http::start("").await;
    let mut config = http.config.clone();
    if let McpTransport::Http { headers, .. } = &mut config.transport {
        headers.insert("Authorization".to_owned(), "Bearer wrong".to_owned());
    }
    fails(&config, ErrorKind::Unavailable, "403").await;
    let mut config = stdio(state.path(), "");
    if let McpTransport::Stdio { args, .. } = &mut config.transport {
        args.push("${secret:TOKEN}".to_owned());
    }
    fails(
        &config,
        ErrorKind::InvalidContract,
        "where every user of the machine can see it",
    )
    .await;
    let mut config = stdio(state.path(), "");
    if let McpTransport::Stdio { env, .. } = &mut config.transport {
        env.insert("A".to_owned(), "${NO_SUCH_VARIABLE_ANYWHERE}".to_owned());
    }
    fails(
        &config,
        ErrorKind::NotFound,
        "NO_SUCH_VARIABLE_ANYWHERE, which is not set",
    )
    .await;
}

#[tokio::test]
async fn a_server_gets_its_variables_and_no_others() {
    let state = folder();
    let mut config = stdio(state.path(), "");
    if let McpTransport::Stdio { env, .. } = &mut config.transport {
        env.insert(
            "FIXED".to_owned(),
            "yes-${NO_SUCH_VARIABLE_ANYWHERE:-${unset}".to_owned(),
        );
        env.insert("TOKEN".to_owned(), "${secret:TOKEN}".to_owned());
    }
    let engine = engine(&config).await;
    // CARGO_PKG_NAME is set for every test, so that its absence shows the clearing.
    assert!(std::env::var("CARGO_PKG_NAME").is_ok());
    for (name, value) in [
        ("CARGO_PKG_NAME", "unset"),
        ("TOKEN", "[secret]"),
        ("FIXED", "yes-${unset"),
    ] {
        let output = call(&engine, "environment", json!({"name": name}))
            .await
            .unwrap();
        assert_eq!(output.value, json!(value), "{name}");
    }
}

#[tokio::test]
async fn nothing_of_a_server_outlives_it() {
    let state = folder();
    let word = format!("praxis-mcp-{}", std::process::id());
    let mut config = stdio(state.path(), "stubborn");
    if let McpTransport::Stdio { env, .. } = &mut config.transport {
        env.insert("WORD".to_owned(), word.clone());
    }
    let server = connect(&config).await.unwrap();
    assert!(
        processes_with(&word).len() >= 2,
        "the server and its child run"
    );
    drop(server);
    assert_gone(&word).await;
}

#[test]
fn configuration_is_read_as_other_tools_write_it() {
    let config = McpConfig::from_json(
        r#"{"mcpServers": {
            "files": {"command": "npx", "args": ["-y", "files"], "env": {"A": "b"}, "cwd": "/tmp", "timeout": 5, "autoApprove": ["x"]},
            "web": {"type": "http", "url": "https://example.com/mcp", "headers": {"X": "y"}, "startTimeout": "2m", "trustAnnotations": true},
            "off": {"command": "x", "disabled": true}
        }}"#,
    )
    .unwrap();
    assert_eq!(config.servers.keys().collect::<Vec<_>>(), ["files", "web"]);
    assert_eq!(config.servers["files"].timeout, Duration::from_secs(5));
    assert_eq!(
        config.servers["web"].start_timeout,
        Duration::from_secs(120)
    );
    assert!(config.servers["web"].trust_annotations && !config.servers["files"].trust_annotations);
    assert_eq!(
        config.warnings,
        ["server `files`: unknown key `autoApprove` is ignored"]
    );
    let check = |text: &str, expect: &str| {
        let error = McpConfig::from_json(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidContract);
        assert!(error.to_string().contains(expect), "{text}: {error}");
    };
    check("{", "1:1: not valid JSON");
    check("[]", "it has no map `mcpServers`");
    check(
        r#"{"mcpServers": {"a b": {}}}"#,
        "server name \"a b\" is not a name",
    );
    check(r#"{"mcpServers": {"a": 5}}"#, "server `a` must be a map");
    check(
        r#"{"mcpServers": {"a": {}}}"#,
        "server `a` needs either `command` (a program) or `url` (an address)",
    );
    check(
        r#"{"mcpServers": {"a": {"command": "x", "url": "http://x"}}}"#,
        "needs either",
    );
    check(
        r#"{"mcpServers": {"a": {"type": "sse", "url": "http://x"}}}"#,
        "MCP has given up",
    );
    check(
        r#"{"mcpServers": {"a": {"type": "ws", "url": "http://x"}}}"#,
        "`type: ws`; it is stdio or http",
    );
    check(
        r#"{"mcpServers": {"a": {"url": "file:///x"}}}"#,
        "neither http nor https",
    );
    check(
        r#"{"mcpServers": {"a": {"command": "x", "args": "y"}}}"#,
        "`args` \"y\"; it is a list of texts",
    );
    check(
        r#"{"mcpServers": {"a": {"command": "x", "env": {"K": 5}}}}"#,
        "`env` that is no map of texts",
    );
    check(
        r#"{"mcpServers": {"a": {"command": "x", "timeout": "soon"}}}"#,
        "`timeout` \"soon\"; it is a duration",
    );
    let missing = McpConfig::load(Path::new("/no/such/mcp.json")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}
