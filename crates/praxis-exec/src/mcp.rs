//! The tools of MCP servers, as contracts and an engine.
//!
//! An [`McpServer`] is a program that Praxis starts, or an address, that speaks the Model Context Protocol.
//! Its tools become contracts; an [`McpEngine`] calls them.
//! What a server says of its tools is taken as a stranger's word: effects are external unless the operator
//! trusts its annotations, arguments are checked here against the tool's schema before they are sent,
//! lists, messages and results are bounded, and a tool whose definition is no longer the one that was
//! [approved](Approvals) is refused.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use praxis_exec::Secrets;
//! use praxis_exec::mcp::{ApprovalPolicy, Approvals, McpConfig, McpEngine, McpServer};
//!
//! # async fn connect() -> Result<(), praxis_exec::Error> {
//! let config = McpConfig::load("mcp.json".as_ref())?;
//! let approvals = Arc::new(Approvals::load("state/mcp-approvals.json".as_ref(), ApprovalPolicy::FirstUse)?);
//! let mut engine = McpEngine::new();
//! for (name, server) in &config.servers {
//!     engine.add(McpServer::connect(name, server, &Secrets::of_host(), Arc::clone(&approvals)).await?)?;
//! }
//! for contract in engine.contracts() {
//!     println!("{}: {}", contract.name, contract.description);
//! }
//! # Ok(())
//! # }
//! ```

mod approvals;
mod config;
mod connection;
mod definition;
mod engine;
mod process;
mod server;

pub use approvals::{Approval, ApprovalPolicy, Approvals};
pub use config::{McpConfig, McpServerConfig, McpTransport};
pub use definition::McpTool;
pub use engine::McpEngine;
pub use server::McpServer;
