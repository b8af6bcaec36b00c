//! The parts of Praxis joined: a [`Toolbox`] of contracts and engines, and the [`Agent`] that runs
//! workflow steps through the cache on the engine that fits.
//!
//! The program `praxis` is a thin shell around this library.
//!
//! ```
//! use std::sync::Arc;
//!
//! use praxis_agent::{Agent, Toolbox};
//! use praxis_dsl::{check, parse};
//! use praxis_workflow::{Run, lower};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tools = Arc::new(Toolbox::with_builtins(false)?);
//! let tree = parse("LET sum = CALL calculator --expression \"6 * 7\"\nRETURN $sum\n");
//! let program = check(&tree, &*tools).program.ok_or("the program has errors")?;
//! let plan = lower(&program, &*tools)?;
//! let agent = Arc::new(Agent::new(tools, ".".as_ref()));
//! let report = Run::new(&plan, agent).execute().await?;
//! assert_eq!(report.output, 42);
//! # Ok(())
//! # }
//! ```

pub mod lsp;

mod agent;
mod placement;
mod program;
mod toolbox;

pub use agent::Agent;
pub use placement::{LOCAL, LOCAL_SANDBOX, POOL, POOL_REUSED, Placed, Placement};
pub use program::{Loaded, Problem, load, load_text, read};
pub use toolbox::{Tool, Toolbox};
