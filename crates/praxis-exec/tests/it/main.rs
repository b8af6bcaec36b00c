//! The tests of praxis-exec, in one program.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bind;
mod builtin;
mod conformance;
mod containers;
mod contract;
mod dagger;
mod docker;
mod engine;
mod escape;
mod levels;
mod local;
mod mcp;
mod pool;
mod schema;
mod secret;

use std::fs;
use std::path::Path;

use praxis_exec::{Error, ExecutionEngine, Output, Request, ToolContract};
use serde_json::{Map, Value};

/// The entries of a JSON object.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(entries) => entries,
        other => panic!("{other} is no object"),
    }
}

/// Binds the arguments and runs the tool.
async fn call(
    engine: &dyn ExecutionEngine,
    contract: &ToolContract,
    root: &Path,
    arguments: Value,
) -> Result<Output, Error> {
    let arguments = contract.bind(object(arguments))?;
    engine
        .execute(Request::new(contract, &arguments, root))
        .await
}

/// A folder that goes away with its guard.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn write(root: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}
