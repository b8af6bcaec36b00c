//! Tools that are always at hand: files below the workspace root, text, JSON, arithmetic.
//!
//! They are Rust functions for the [`NativeEngine`]. Files are reached through the root of each
//! [`Request`](crate::Request) and never beyond it: not through `..`, absolute paths or symlinks.

mod calculator;
mod files;
#[cfg(feature = "http")]
mod http;
mod json;
mod listing;
mod stop_words;
mod system;
mod text;
mod workspace;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, ErrorKind, Invocation, NativeEngine, ToolContract};

/// The arguments of a built-in tool may be as large as the files that it works on, with some room for the rest.
const ARGUMENT_BYTES: u64 = 80 * 1024 * 1024;

/// What the built-in tools may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BuiltinConfig {
    /// Whether `http_fetch` may use the network. Default: no.
    pub allow_network: bool,
    /// The largest file that is read or searched, in bytes. Default: 64 MiB.
    pub file_bytes: u64,
    /// The most entries that a listing returns. Default: 100,000.
    pub list_entries: usize,
    /// The most lines that a search returns. Default: 10,000.
    pub search_matches: usize,
    /// The largest body that `http_fetch` reads, in bytes. Default: 10 MiB.
    pub http_bytes: u64,
    /// How long one `http_fetch` may take, in milliseconds. Default: 30,000.
    pub http_timeout_ms: u64,
}

impl Default for BuiltinConfig {
    fn default() -> Self {
        Self {
            allow_network: false,
            file_bytes: 64 * 1024 * 1024,
            list_entries: 100_000,
            search_matches: 10_000,
            http_bytes: 10 * 1024 * 1024,
            http_timeout_ms: 30_000,
        }
    }
}

impl BuiltinConfig {
    /// How long one `http_fetch` may take.
    pub fn http_timeout(&self) -> Duration {
        Duration::from_millis(self.http_timeout_ms)
    }
}

/// A native engine with all built-in tools.
pub fn engine(config: &BuiltinConfig) -> NativeEngine {
    let mut engine = NativeEngine::new();
    register_all(&mut engine, config)
        .expect("the built-in contracts are right and have different names");
    engine
}

/// Adds all built-in tools to an engine.
///
/// # Errors
/// [`ErrorKind::InvalidContract`] where the engine has a tool of one of their names.
pub fn register_all(engine: &mut NativeEngine, config: &BuiltinConfig) -> Result<(), Error> {
    let mut tools = Tools { engine, config };
    files::register(&mut tools)?;
    listing::register(&mut tools)?;
    text::register(&mut tools)?;
    json::register(&mut tools)?;
    calculator::register(&mut tools)?;
    system::register(&mut tools)?;
    #[cfg(feature = "http")]
    http::register(&mut tools)?;
    Ok(())
}

/// The contracts of all built-in tools, sorted by name.
pub fn contracts() -> Vec<ToolContract> {
    let engine = engine(&BuiltinConfig::default());
    engine
        .contracts()
        .map(|contract| (**contract).clone())
        .collect()
}

struct Tools<'a> {
    engine: &'a mut NativeEngine,
    config: &'a BuiltinConfig,
}

impl Tools<'_> {
    /// Adds a tool that reads files or computes for long.
    fn blocking(
        &mut self,
        mut contract: ToolContract,
        function: impl Fn(Invocation, &BuiltinConfig) -> Result<Value, Error> + Send + Sync + 'static,
    ) -> Result<(), Error> {
        contract.argument_bytes = ARGUMENT_BYTES;
        let config = self.config.clone();
        self.engine
            .register_blocking(contract, move |call| function(call, &config))
    }

    /// Adds a tool that is done in some microseconds.
    fn quick(
        &mut self,
        contract: ToolContract,
        function: impl Fn(&Invocation) -> Result<Value, Error> + Copy + Send + Sync + 'static,
    ) -> Result<(), Error> {
        self.engine
            .register(contract, move |call| async move { function(&call) })
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArguments, message)
}

/// A text argument, taken out so that a large one is not copied.
fn take_text(call: &mut Invocation, name: &str) -> Result<String, Error> {
    match call.take(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(invalid(format!("argument `{name}` is missing"))),
    }
}

/// An integer argument as a count.
fn count(
    call: &Invocation,
    name: &str,
    range: std::ops::RangeInclusive<i64>,
) -> Result<usize, Error> {
    let number = call.integer(name)?;
    if !range.contains(&number) {
        return Err(invalid(format!(
            "argument `{name}` is {number}; it must be from {} to {}",
            range.start(),
            range.end()
        )));
    }
    Ok(usize::try_from(number).unwrap_or(0))
}
