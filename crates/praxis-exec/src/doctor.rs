//! What this machine can do to keep tools from it, found out by doing it.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::local::{self, Level, LocalConfig, LocalEngine};
use crate::{ExecutionEngine, Limit};

/// What [`examine`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The levels of the local engine, the least first.
    pub levels: Vec<LevelReport>,
    /// What the levels are made of, each thing with how it went.
    pub findings: Vec<Finding>,
}

/// Whether tools can be run on a level of the local engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LevelReport {
    /// The level.
    pub level: Level,
    /// Whether it is available.
    pub available: bool,
    /// The limits that it holds tools to; empty where it is not available.
    pub limits: Vec<Limit>,
    /// Why it is not available.
    pub why_not: Option<String>,
    /// What can be done about it.
    pub help: Option<String>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What was tried, such as `user namespace` or `cgroup memory`.
    pub name: String,
    /// Whether it works.
    pub works: bool,
    /// More about it: a version, a folder, or why it does not work.
    pub detail: String,
}

impl Finding {
    /// A finding of this name; `Err` says why it does not work.
    pub fn new(name: impl Into<String>, outcome: Result<String, String>) -> Self {
        let (works, detail) = match outcome {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        Self {
            name: name.into(),
            works,
            detail,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for level in &self.levels {
            let name = level.level.as_str();
            match &level.why_not {
                None => {
                    let limits: Vec<&str> =
                        level.limits.iter().map(|limit| limit.as_str()).collect();
                    writeln!(
                        formatter,
                        "level {name}: available, enforces {}",
                        limits.join(", ")
                    )?;
                }
                Some(why) => {
                    writeln!(formatter, "level {name}: {why}")?;
                    if let Some(help) = &level.help {
                        writeln!(formatter, "  help: {help}")?;
                    }
                }
            }
        }
        for finding in &self.findings {
            let works = if finding.works { "yes" } else { "no" };
            writeln!(formatter, "{}: {works} ({})", finding.name, finding.detail)?;
        }
        Ok(())
    }
}

/// Tries out what this machine has for keeping tools from it. Takes some tens of milliseconds.
///
/// What engines of containers need is not looked for; a program that has them adds findings of its own.
pub fn examine() -> Report {
    let mut findings = local::probe();
    findings.push(bubblewrap());
    Report {
        levels: Level::ALL.into_iter().map(level).collect(),
        findings,
    }
}

fn level(level: Level) -> LevelReport {
    let config = LocalConfig {
        level: Some(level),
        ..LocalConfig::default()
    };
    let engine = LocalEngine::new(config);
    let available = engine.available(level);
    LevelReport {
        level,
        available: available.is_ok(),
        limits: match &available {
            Ok(()) => engine.capabilities().limits,
            Err(_) => Vec::new(),
        },
        why_not: available
            .as_ref()
            .err()
            .map(|error| error.message().to_owned()),
        help: available
            .err()
            .and_then(|error| error.help().map(str::to_owned)),
    }
}

/// Whether `bwrap` can make a sandbox; this engine needs none, but a tool may.
fn bubblewrap() -> Finding {
    let tried = Command::new("bwrap")
        .args(["--unshare-all", "--ro-bind", "/", "/", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let outcome = match tried {
        Ok(output) if output.status.success() => Ok("it made a sandbox".to_owned()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err("not installed; the level `sandbox` does without it".to_owned())
        }
        Err(error) => Err(error.to_string()),
    };
    Finding::new("bwrap", outcome)
}

/// A finding about a socket that a daemon should answer on, for those who know daemons.
pub fn socket(name: &str, path: &Path) -> Finding {
    let outcome = match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Ok(format!("{} answers", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    };
    Finding::new(name, outcome)
}
