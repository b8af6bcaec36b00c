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
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

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

/// Writes a file that may be executed, by another process.
///
/// What is open for writing here is so in each child that another test starts at this moment,
/// and for as long nobody may execute it.
fn write_program(path: &Path, content: impl AsRef<[u8]>) {
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = writer.stdin.take().unwrap();
    stdin.write_all(content.as_ref()).unwrap();
    drop(stdin);
    assert!(writer.wait().unwrap().success());
}
