//! Tools of MCP servers in workflows, with the server that praxis-exec is tested with.

use serde_json::json;

use crate::shell::Place;

fn place() -> Place {
    let place = Place::new(&[]);
    let server = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../praxis-exec/tests/it/mcp_server.py"
    );
    let folder = place.path().to_str().unwrap();
    let servers = json!({ "mcpServers": { "s": {
        "command": "python3", "args": ["-I", server, "--state", folder],
    } } });
    place.write("mcp.json", servers.to_string().as_bytes());
    place
}

#[test]
fn tools_of_servers_are_called_until_they_change() {
    let place = place();
    let program = "LET a = CALL s_pinned --value 3\nRETURN $a.value\n";
    let run = || place.run(program, &["--mcp", "mcp.json", "--json"]);
    let report = run().exits(0).json();
    assert_eq!(report["output"], 3);
    assert_eq!(report["steps"][0]["timing"]["engine"], "mcp");
    let shown = place.praxis(&["tools", "show", "s_limited", "--mcp", "mcp.json"]);
    assert!(
        shown
            .exits(0)
            .stdout
            .contains("--count (integer, required)")
    );
    // A schema holds before anything is sent.
    place
        .run("CALL s_limited --count 9\n", &["--mcp", "mcp.json"])
        .exits(1)
        .says(&["s_limited", "count", "9", "3"]);

    place.write("changed", b"");
    run().exits(1).says(&[
        "MCP tool `s/pinned` has changed since it was approved: description",
        "praxis tools approve",
    ]);
    let approve = |name| place.praxis(&["tools", "approve", name, "--mcp", "mcp.json"]);
    approve("s_nothing")
        .exits(3)
        .says(&["no server in mcp.json has a tool `s_nothing`", "s_pinned"]);
    assert_eq!(
        approve("s_pinned").exits(0).stdout,
        "s_pinned: approved as it is now\n"
    );
    run().exits(0);
}

#[test]
fn servers_that_cannot_be_used_are_told_before_anything_runs() {
    let place = Place::new(&[]);
    place
        .run("", &["--mcp", "mcp.json"])
        .exits(3)
        .says(&["mcp.json", "cannot be read"]);
    place.write(
        "mcp.json",
        b"{\"mcpServers\": {\"s\": {\"command\": \"no-such-server\"}}}",
    );
    place
        .run("", &["--mcp", "mcp.json"])
        .exits(3)
        .says(&["no-such-server"]);
    place.write("mcp.json", b"{\"mcpServers\": {\"s\": {}}}");
    place
        .run("", &["--mcp", "mcp.json"])
        .exits(2)
        .says(&["mcp.json"]);
}
