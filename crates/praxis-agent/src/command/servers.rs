//! The tools of MCP servers: `--mcp FILE`, and `praxis tools approve`.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use praxis_exec::Secrets;
use praxis_exec::mcp::{ApprovalPolicy, Approvals, McpConfig, McpEngine, McpServer};
use tokio::runtime::Runtime;

use crate::arguments::State;
use crate::exit::{Exit, Stop};
use crate::output;

const APPROVALS: &str = "mcp-approvals.json";

/// Starts the servers of a file, or connects to them, and gives an engine with their tools.
///
/// # Errors
///
/// The file, or a server in it, cannot be used; two of them have a tool of one name.
pub(super) fn engine(file: &Path, state: &State) -> Result<McpEngine, Stop> {
    let mut engine = McpEngine::new();
    for server in connect(file, &approvals(state)?)? {
        engine.add(server)?;
    }
    Ok(engine)
}

/// Approves tools as their servers define them at the moment.
///
/// # Errors
///
/// Those of [`engine`], and a tool that no server has.
pub(super) fn approve(tools: &[String], file: &Path, state: &State) -> Result<Exit, Stop> {
    let approvals = approvals(state)?;
    let servers = connect(file, &approvals)?;
    let known = || servers.iter().flat_map(McpServer::tools);
    for name in tools {
        let Some(tool) = known().find(|tool| tool.contract.name == *name) else {
            let names: Vec<&str> = known().map(|tool| tool.contract.name.as_str()).collect();
            let message = format!("no server in {} has a tool `{name}`", file.display());
            let mut stop = Stop::new(Exit::Missing, message);
            stop.help = Some(format!("they have {}", names.join(", ")));
            return Err(stop);
        };
        approvals.approve(tool)?;
        output::text(&format!("{name}: approved as it is now\n"))?;
    }
    Ok(Exit::Done)
}

/// What was approved, in the state folder; a tool is approved by its first call.
fn approvals(state: &State) -> Result<Arc<Approvals>, Stop> {
    let folder = state.folder().ok();
    let usable = folder.filter(|folder| {
        std::fs::create_dir_all(folder)
            .inspect_err(|error| {
                tracing::warn!(
                    "{}: {error}; which MCP tools were approved is forgotten after this run",
                    folder.display()
                );
            })
            .is_ok()
    });
    let policy = ApprovalPolicy::FirstUse;
    let approvals = match usable {
        Some(folder) => Approvals::load(&folder.join(APPROVALS), policy)?,
        None => Approvals::in_memory(policy),
    };
    Ok(Arc::new(approvals))
}

fn connect(file: &Path, approvals: &Arc<Approvals>) -> Result<Vec<McpServer>, Stop> {
    let config = McpConfig::load(file)?;
    for warning in &config.warnings {
        tracing::warn!("{}: {warning}", file.display());
    }
    let runtime = runtime()?;
    let mut servers = Vec::new();
    for (name, server) in &config.servers {
        let connected = runtime.block_on(McpServer::connect(
            name,
            server,
            &Secrets::of_host(),
            Arc::clone(approvals),
        ))?;
        for refused in connected.refused() {
            tracing::warn!("{refused}");
        }
        servers.push(connected);
    }
    Ok(servers)
}

/// Servers are spoken with as long as the program lives, whatever runs on other runtimes meanwhile.
fn runtime() -> Result<&'static Runtime, Stop> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = super::run::runtime()?;
    Ok(RUNTIME.get_or_init(|| runtime))
}
