//! Tool contracts, and the engines that run tools within limits.
//!
//! A tool is described by a [`ToolContract`]: its parameters, its effects, its limits.
//! An [`ExecutionEngine`] runs it: [`NativeEngine`] calls a Rust function,
//! `local::LocalEngine` (feature `local`) starts a process without a shell,
//! `docker::DockerEngine` (feature `docker`) makes a container for each call,
//! `dagger::DaggerEngine` (feature `dagger`) has a Dagger session do it,
//! `mcp::McpEngine` (feature `mcp`) calls the tools of MCP servers.
//! The feature `builtin` adds tools for files and text, `http` adds `http_fetch`,
//! and `conformance` the test suite that every engine runs.
//!
//! ```
//! use praxis_exec::{Effects, Error, ExecutionEngine, NativeEngine, Parameter, Request, ToolContract};
//! use serde_json::{Map, json};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let contract = ToolContract::new("greet")
//!     .parameter(Parameter::text("name"))
//!     .effects(Effects::pure());
//! let mut engine = NativeEngine::new();
//! engine.register(contract.clone(), |call| async move {
//!     Ok(json!(format!("hello {}", call.text("name")?)))
//! })?;
//!
//! let arguments = contract.bind(Map::from_iter([("name".to_owned(), json!("Ada"))]))?;
//! let request = Request::new(&contract, &arguments, ".".as_ref());
//! let output = engine.execute(request).await?;
//! assert_eq!(output.value, "hello Ada");
//!
//! let error = contract.bind(Map::new()).unwrap_err();
//! assert_eq!(error.to_string(), "tool `greet`: argument `name` (text) is missing");
//! # Ok(())
//! # }
//! ```

#[cfg(all(any(feature = "local", feature = "docker"), unix))]
#[cfg_attr(
    not(any(feature = "local", feature = "pool", test)),
    expect(
        dead_code,
        reason = "a daemon's streams are pushed, only pipes are read"
    )
)]
mod capture;
mod choose;
mod contract;
#[cfg(all(any(feature = "local", feature = "docker"), unix))]
mod ending;
mod engine;
mod error;
mod limits;
mod measure;
#[cfg(any(feature = "docker", feature = "sandbox"))]
mod mounts;
mod native;
mod schema;
mod secret;
#[cfg(any(feature = "mcp", feature = "dagger"))]
mod web;

#[cfg(all(feature = "docker", unix))]
mod container;

#[cfg(feature = "builtin")]
pub mod builtin;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(all(feature = "dagger", unix))]
pub mod dagger;
#[cfg(all(feature = "docker", unix))]
pub mod docker;
#[cfg(all(feature = "conformance", unix))]
pub mod escape;
#[cfg(all(feature = "local", unix))]
pub mod doctor;
#[cfg(all(feature = "local", unix))]
pub mod local;
#[cfg(all(feature = "mcp", unix))]
pub mod mcp;
#[cfg(all(feature = "pool", unix))]
pub mod pool;
#[cfg(all(feature = "worker", unix))]
pub mod worker;

pub use choose::{Candidate, Choice, choose};
pub use contract::{
    ArgumentVariables, CachePolicy, ContractDigest, ContractFolder, DEFAULT_ARGUMENT_BYTES,
    EffectClass, Effects, MAX_ARGUMENT_BYTES, MAX_ARGUMENT_DEPTH, MAX_CONTRACT_BYTES, Mount,
    OutputFormat, Parameter, ParameterKind, ProgramVersion, ToolContract,
};
pub use engine::{
    BoxFuture, CallId, Capabilities, ExecutionEngine, Isolation, NoopEngine, Output, Request,
};
pub use error::{Error, ErrorKind};
pub use limits::{Limit, Limits};
pub use measure::{Measured, idle_function, idle_program, measure};
pub use native::{Invocation, NativeEngine};
pub use schema::{MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, MAX_SCHEMA_PATTERNS, Schema};
pub use secret::{SECRET_VARIABLE_PREFIX, SECRETS_FOLDER_VARIABLE, SecretVariables, Secrets};
