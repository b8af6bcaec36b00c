//! A process that outlives a killed run for a moment, to end the tools that the run left behind.
//!
//! A run that ends kills its tools itself. One that is killed cannot, and the system gives no safe
//! way to have it done: so a second process of this program waits at a pipe that closes when the
//! run's process is gone, however it went.

use std::io::Read;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};

use praxis_agent::{Loaded, Toolbox};
use praxis_workflow::RunId;

use crate::exit::{Exit, Stop};

/// Waits for the end of standard input and kills what the run's tools are by then.
pub(crate) fn keep(run: &str) -> Result<Exit, Stop> {
    let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
    praxis_exec::local::kill_left_behind(run);
    Ok(Exit::Done)
}

/// Starts a keeper for a run, if any of its tools is a process; dropping what it gives lets it end.
pub(crate) fn start(run: &RunId, loaded: &Loaded, tools: &Toolbox) -> Option<ChildStdin> {
    let plan = loaded.plan.as_ref()?;
    let starts_processes = plan.described_calls().any(|call| {
        tools
            .find(call.tool)
            .and_then(|tool| tools.engine(tool, call.engine).ok())
            .is_some_and(|engine| engine.name() == "local")
    });
    if !starts_processes {
        return None;
    }
    let mut command = Command::new(std::env::current_exe().ok()?);
    command
        .args(["__keeper", run.as_str()])
        .current_dir(Path::new("/"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Ctrl-C and a terminal that closes reach the run; the keeper goes when the run has gone.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    match command.spawn() {
        Ok(mut keeper) => keeper.stdin.take(),
        Err(error) => {
            tracing::debug!(%error, "no keeper: if this process is killed, its tools stay");
            None
        }
    }
}
