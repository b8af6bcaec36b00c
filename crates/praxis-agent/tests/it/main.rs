//! The program `praxis`, tried as a stranger would: by its command line.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bad_input;
mod bad_tools;
mod cache;
mod commands;
mod containers;
mod examples;
mod engines;
mod explain;
mod interrupt;
mod journal;
mod lsp;
mod lsp_client;
mod lsp_session;
mod mcp;
mod runs;
mod shell;
mod text;
