//! `praxis engines`: what runs tools here, what it enforces and what it costs, as measured.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::Permissions;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use praxis_agent::Toolbox;
use praxis_exec::local::{Level, LocalConfig, LocalEngine};
use praxis_exec::{
    Capabilities, Error, ErrorKind, ExecutionEngine, Limit, Measured, ToolContract, idle_function,
    idle_program, measure, worker,
};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::arguments::Engines;
use crate::exit::{Exit, Stop};
use crate::{output, overheads};

/// How many calls run at once when their memory is looked at.
const AT_ONCE: usize = 4;

/// One engine, as `--json` has it.
#[derive(Serialize)]
struct Row {
    engine: String,
    /// For which tools it is the right one.
    purpose: &'static str,
    capabilities: Capabilities,
    /// What its calls cost; nothing where it is not there.
    measured: Option<Measured>,
    /// Why it cannot be used on this machine; nothing where it can.
    missing: Option<String>,
}

pub(crate) fn engines(arguments: &Engines) -> Result<Exit, Stop> {
    let tools = super::with_engines(
        &arguments.folders,
        false,
        &arguments.choice,
        None,
        &arguments.state,
    )?;
    let runtime = super::run::runtime()?;
    let interrupted = super::run::interrupted(&runtime);
    let rows = runtime.block_on(async {
        let rows = tokio::select! {
            rows = rows(&tools, arguments) => Some(rows),
            () = interrupted => None,
        };
        tools.shut_down().await;
        rows
    });
    let Some(rows) = rows else {
        return Ok(Exit::Interrupted);
    };
    let rows = rows?;
    end(runtime);
    let measured: BTreeMap<String, Duration> = rows
        .iter()
        .filter_map(|row| {
            let call = row.measured.as_ref()?.call_ms / 1e3;
            Some((row.engine.clone(), Duration::from_secs_f64(call)))
        })
        .collect();
    if let Err(stop) = overheads::keep(&arguments.state, &measured) {
        tracing::warn!("{}; `auto` goes on without", stop.message);
    }
    if arguments.json {
        output::json(&serde_json::json!({ "engines": rows }))?;
    } else {
        output::text(&text(&rows))?;
    }
    Ok(Exit::Done)
}

/// A blocking call that hangs must not hold the exit.
fn end(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_secs(5));
}

async fn rows(tools: &Toolbox, arguments: &Engines) -> Result<Vec<Row>, Stop> {
    let folder = tempfile::tempdir().map_err(|error| {
        Stop::new(
            Exit::Missing,
            format!("cannot make a folder for the tool that engines are measured with: {error}"),
        )
    })?;
    let program = worker::install(folder.path()).and_then(|_| open_to_all(folder.path()));
    let mut rows = Vec::new();
    for subject in subjects(tools) {
        output::note(&format!("measuring {} …\n", subject.name));
        let tool = match (subject.function, program.as_ref()) {
            (Some(function), _) => Ok(function),
            (None, Ok(())) => idle(&*subject.engine, folder.path(), subject.reuse),
            (None, Err(error)) => Err(error.to_string()),
        };
        let found = match tool {
            Ok(tool) => measured(&subject.engine, tool, arguments.calls.into()).await,
            Err(why) => Err(why),
        };
        let (measured, missing) = match found {
            Ok(measured) => (Some(measured), None),
            Err(why) => (None, Some(why)),
        };
        rows.push(Row {
            purpose: purpose(&subject.name),
            engine: subject.name,
            capabilities: subject.engine.capabilities(),
            measured,
            missing,
        });
    }
    Ok(rows)
}

/// An engine, in one of the ways in which it runs tools.
struct Subject {
    name: String,
    engine: Arc<dyn ExecutionEngine>,
    /// The tool, where it is a function.
    function: Option<ToolContract>,
    /// Whether the tool lets its container be used again.
    reuse: bool,
}

fn subjects(tools: &Toolbox) -> Vec<Subject> {
    let mut subjects = Vec::new();
    let mut add = |name: &str, engine: Arc<dyn ExecutionEngine>, function, reuse| {
        subjects.push(Subject {
            name: name.to_owned(),
            engine,
            function,
            reuse,
        });
    };
    for engine in tools.engines() {
        match engine.name() {
            "native" => {
                let (native, tool) = idle_function();
                add("native", Arc::new(native), Some(tool), false);
            }
            "local" => {
                for level in Level::ALL {
                    let mut config = LocalConfig::default();
                    config.level = Some(level);
                    let name = match level {
                        Level::Process => overheads::LOCAL.to_owned(),
                        other => format!("{}:{other}", overheads::LOCAL),
                    };
                    add(&name, Arc::new(LocalEngine::new(config)), None, false);
                }
            }
            "pool" => {
                add(overheads::POOL, Arc::clone(engine), None, false);
                add(overheads::POOL_REUSED, Arc::clone(engine), None, true);
            }
            name => add(name, Arc::clone(engine), None, false),
        }
    }
    subjects
}

/// Makes a folder readable for tools that are another user.
fn open_to_all(folder: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let opened = std::fs::set_permissions(folder, Permissions::from_mode(0o755));
    opened.map_err(|source| {
        Error::new(ErrorKind::Io, format!("{}: {source}", folder.display())).with_source(source)
    })
}

async fn measured(
    engine: &Arc<dyn ExecutionEngine>,
    tool: ToolContract,
    calls: usize,
) -> Result<Measured, String> {
    measure(engine, &Arc::new(tool), calls, AT_ONCE)
        .await
        .map_err(|error| output::one_line(&error))
}

/// The same program on every engine: one that does nothing, in any image.
fn idle(engine: &dyn ExecutionEngine, folder: &Path, reuse: bool) -> Result<ToolContract, String> {
    let mut tool = idle_program(["{contract_dir}/praxis-worker", "idle"]);
    tool.dir = Some(folder.to_owned());
    tool.reuse = reuse;
    let unfit = |why| format!("there is no program that it could be measured with: it {why}");
    engine.suits(&tool).map_err(unfit)?;
    Ok(tool)
}

fn purpose(engine: &str) -> &'static str {
    match engine {
        "native" => "functions of this program, which are trusted",
        "local:none" => "programs that are trusted, where the system offers no more",
        "local" => "programs that are trusted",
        "local:sandbox" => "programs of this machine that are not trusted",
        "pool" => "programs in containers",
        "pool:reused" => "the same, where the contract says `reuse: true`",
        "docker" => "programs in containers on another machine",
        "dagger" => "pipelines of a Dagger session that is there",
        "mcp" => "tools of MCP servers",
        _ => "",
    }
}

fn text(rows: &[Row]) -> String {
    let mut table = vec![
        [
            "engine",
            "isolation",
            "a call",
            "the first",
            "memory",
            "enforces",
            "for",
        ]
        .map(str::to_owned),
    ];
    for row in rows {
        let enforces: Vec<&str> = row
            .capabilities
            .limits
            .iter()
            .map(|limit| limit.as_str())
            .collect();
        let enforces = if enforces.len() == Limit::ALL.len() {
            "all limits".to_owned()
        } else {
            enforces.join(" ")
        };
        let (call, first, memory) = match &row.measured {
            Some(measured) => (
                time(measured.call_ms),
                time(measured.first_call_ms),
                measured.memory_bytes.map_or("?".to_owned(), size),
            ),
            None => ("-".to_owned(), "-".to_owned(), "-".to_owned()),
        };
        table.push([
            row.engine.clone(),
            row.capabilities.isolation.to_string(),
            call,
            first,
            memory,
            enforces,
            row.purpose.to_owned(),
        ]);
    }
    let mut text = String::new();
    for row in &table {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = table.iter().map(|row| row[column].chars().count()).max();
            let _ = write!(line, "{cell:width$}  ", width = width.unwrap_or(0));
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for row in rows {
        if let Some(missing) = &row.missing {
            let _ = writeln!(text, "{}: not at hand: {missing}", row.engine);
        }
    }
    text
}

fn time(ms: f64) -> String {
    if ms < 1.0 {
        format!("{:.1} µs", ms * 1e3)
    } else {
        format!("{ms:.1} ms")
    }
}

fn size(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
