//! What a call costs on an engine of this machine: measured by making calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use crate::{
    CallId, Effects, Error, ExecutionEngine, NativeEngine, Parameter, ParameterKind, Request,
    ToolContract,
};

/// The parameter of the tool that [`measure`] calls: for how many milliseconds it does nothing.
const PAUSE: &str = "ms";

/// How long calls go on after the last of them has started, for their memory to be looked at.
const MEMORY_LOOK: Duration = Duration::from_millis(500);

/// What [`measure`] found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measured {
    /// The first call of a tool that does nothing, in milliseconds: what is started for it is in it.
    pub first_call_ms: f64,
    /// The median of the calls after it, in milliseconds.
    pub call_ms: f64,
    /// The slowest of them, in milliseconds.
    pub slowest_call_ms: f64,
    /// How many there were.
    pub calls: usize,
    /// How much less memory the whole machine had per call that was running, in bytes; other programs' doings are in it.
    /// Nothing where the system does not tell.
    pub memory_bytes: Option<u64>,
}

/// A tool that does nothing for a time, as a program: `command` gets the milliseconds as its last word.
pub fn idle_program<W: Into<String>>(command: impl IntoIterator<Item = W>) -> ToolContract {
    let mut words: Vec<String> = command.into_iter().map(Into::into).collect();
    words.push(format!("{{{PAUSE}}}"));
    idle().command(words)
}

/// A tool that does nothing for a time, as a Rust function, and an engine that has it.
pub fn idle_function() -> (NativeEngine, ToolContract) {
    let mut engine = NativeEngine::new();
    let registered = engine.register(idle(), |call| async move {
        let pause = call.argument(PAUSE).and_then(Value::as_u64).unwrap_or(0);
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(Value::Null)
    });
    registered.expect("the contract is sound and the engine is empty");
    (engine, idle())
}

fn idle() -> ToolContract {
    ToolContract::new("idle")
        .describe("Does nothing for a time.")
        .parameter(Parameter::new(PAUSE, ParameterKind::Integer).required())
        .effects(Effects::pure())
}

/// Calls a tool that does nothing, `calls` times after a first time, one after the other,
/// and then `at_once` at once to see what they take in memory.
///
/// `tool` is one of [`idle_program`] or [`idle_function`], with what the engine needs of it, such as an image.
///
/// # Errors
/// The engine is not there, or a call failed.
pub async fn measure(
    engine: &Arc<dyn ExecutionEngine>,
    tool: &Arc<ToolContract>,
    calls: usize,
    at_once: usize,
) -> Result<Measured, Error> {
    engine.prepare(tool).await?;
    let first_call = timed(&**engine, tool, Duration::ZERO).await?;
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls.max(1) {
        times.push(timed(&**engine, tool, Duration::ZERO).await?);
    }
    times.sort_unstable();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let median = times[times.len() / 2];
    Ok(Measured {
        first_call_ms: milliseconds(first_call),
        call_ms: milliseconds(median),
        slowest_call_ms: milliseconds(times[times.len() - 1]),
        calls: times.len(),
        memory_bytes: memory(engine, tool, at_once, median).await?,
    })
}

async fn timed(
    engine: &dyn ExecutionEngine,
    tool: &ToolContract,
    pause: Duration,
) -> Result<Duration, Error> {
    let pause = Value::from(pause.as_millis() as u64);
    let arguments = Map::from_iter([(PAUSE.to_owned(), pause)]);
    let root = std::env::temp_dir();
    let request = Request::new(tool, &arguments, &root).with_call_id(CallId::unique());
    let started = Instant::now();
    engine.execute(request).await?;
    Ok(started.elapsed())
}

async fn memory(
    engine: &Arc<dyn ExecutionEngine>,
    tool: &Arc<ToolContract>,
    at_once: usize,
    call: Duration,
) -> Result<Option<u64>, Error> {
    let Some(before) = available_memory() else {
        return Ok(None);
    };
    let at_once = at_once.max(1);
    // They may well start one after the other, and one that has ended tells nothing.
    let start = call * at_once as u32 * 2;
    let pause = start + 2 * MEMORY_LOOK;
    let mut together = JoinSet::new();
    for _ in 0..at_once {
        let (engine, tool) = (Arc::clone(engine), Arc::clone(tool));
        together.spawn(async move { timed(&*engine, &tool, pause).await });
    }
    tokio::time::sleep(start + MEMORY_LOOK).await;
    let during = available_memory();
    while let Some(ended) = together.join_next().await {
        ended.expect("a call neither panics nor is aborted")?;
    }
    Ok(during.map(|during| before.saturating_sub(during) / at_once as u64))
}

/// What the system could still hand out, in bytes.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_function_is_measured() {
        let (engine, tool) = idle_function();
        let engine: Arc<dyn ExecutionEngine> = Arc::new(engine);
        let found = measure(&engine, &Arc::new(tool), 9, 2).await.unwrap();
        assert_eq!(found.calls, 9);
        assert!(found.call_ms > 0.0 && found.call_ms <= found.slowest_call_ms);
        let other = Arc::new(ToolContract::new("other"));
        let error = measure(&engine, &other, 1, 1).await.unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::NotFound);
    }
}
