//! Which engine a tool runs on: what the operator says, then what the contract says, then what is cheapest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use praxis_exec::{
    Candidate, Error, ErrorKind, ExecutionEngine, Isolation, Limit, ToolContract, choose,
};

/// The engine of processes of this machine.
pub const LOCAL: &str = "local";
/// What a call of it costs in a sandbox.
pub const LOCAL_SANDBOX: &str = "local:sandbox";
/// The engine of warm containers.
pub const POOL: &str = "pool";
/// What a call of it costs where a container is used again.
pub const POOL_REUSED: &str = "pool:reused";

/// What the operator says about the engines that programs run on.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Placement {
    /// How far each program is kept from the machine at least, whatever its contract says.
    /// It does not touch tools that are Rust functions of this program.
    pub floor: Isolation,
    /// Limits that are waived where an engine lacks them.
    pub accept: Vec<Limit>,
    /// What a call costs by the engine's name, as measured on this machine;
    /// [`LOCAL_SANDBOX`] and [`POOL_REUSED`] are what those engines cost where they do more or less.
    pub overheads: BTreeMap<String, Duration>,
    /// The engine that stands in for another, by the other's name.
    pub instead: BTreeMap<String, String>,
}

/// An engine, and why it is the one.
#[derive(Clone)]
#[non_exhaustive]
pub struct Placed<'a> {
    /// The engine.
    pub engine: &'a dyn ExecutionEngine,
    /// Why, as a phrase that follows its name: `named by the contract`.
    pub why: String,
    /// The others, where there was a choice, each with what speaks against it.
    pub passed_over: Vec<(String, String)>,
    pub(crate) index: usize,
}

impl Placement {
    pub(crate) fn place<'a>(
        &self,
        contract: &ToolContract,
        native: bool,
        wanted: Option<&str>,
        engines: &'a [Arc<dyn ExecutionEngine>],
    ) -> Result<Placed<'a>, Error> {
        let wanted = wanted.filter(|name| *name != "auto");
        let asked = wanted.unwrap_or(&contract.engine);
        let name = self.instead.get(asked).map_or(asked, String::as_str);
        if name == "auto" {
            return self.cheapest(contract, engines);
        }
        let by = match wanted {
            Some(_) => "named by the step",
            None if native => "a function of this program",
            None => "named by the contract",
        };
        let why = if name == asked {
            by.to_owned()
        } else {
            format!("in place of `{asked}`, {by}")
        };
        let Some(index) = engines.iter().position(|engine| engine.name() == name) else {
            return Err(missing(name, engines));
        };
        let engine = &*engines[index];
        let asks = if name == asked {
            format!("asks for engine `{name}`, which")
        } else {
            format!("asks for engine `{asked}`, and `{name}` in its place")
        };
        engine.suits(contract).map_err(|what| {
            Error::new(ErrorKind::NotFound, format!("{asks} {what}"))
                .with_help("name another engine in the contract or as `@engine=…` at the step")
        })?;
        let isolation = engine.capabilities().isolation;
        let floor = self.floor.max(contract.isolation);
        if !native && isolation < floor {
            return Err(Error::new(
                ErrorKind::UnsupportedLimit,
                format!("{asks} isolates by {isolation} at most, where {floor} is asked for"),
            )
            .with_help("name an engine that isolates more, or `auto`"));
        }
        Ok(Placed {
            engine,
            why,
            passed_over: Vec::new(),
            index,
        })
    }

    fn overhead(&self, engine: &str, contract: &ToolContract) -> Option<Duration> {
        let name = match engine {
            LOCAL if self.floor.max(contract.isolation) == Isolation::Sandbox => LOCAL_SANDBOX,
            POOL if contract.reuse => POOL_REUSED,
            other => other,
        };
        self.overheads.get(name).copied()
    }

    fn cheapest<'a>(
        &self,
        contract: &ToolContract,
        engines: &'a [Arc<dyn ExecutionEngine>],
    ) -> Result<Placed<'a>, Error> {
        if contract.command.is_empty() && contract.image.is_none() {
            return Err(Error::new(
                ErrorKind::NotFound,
                "its contract has neither a command nor an engine, so nothing can run it",
            )
            .with_help("name another engine in the contract or as `@engine=…` at the step"));
        }
        // The first runs the functions of this program and nothing else.
        let programs = engines.get(1..).unwrap_or_default();
        let candidates: Vec<Candidate<'_>> = programs
            .iter()
            .map(|engine| {
                let candidate = Candidate::new(&**engine);
                match self.overhead(engine.name(), contract) {
                    Some(overhead) => candidate.with_overhead(overhead),
                    None => candidate,
                }
            })
            .collect();
        let choice = choose(contract, &candidates, self.floor, &self.accept)?;
        Ok(Placed {
            engine: &*programs[choice.index],
            why: choice.why,
            passed_over: choice.passed_over,
            index: choice.index + 1,
        })
    }
}

fn missing(name: &str, engines: &[Arc<dyn ExecutionEngine>]) -> Error {
    let have: Vec<&str> = engines.iter().map(|engine| engine.name()).collect();
    Error::new(
        ErrorKind::NotFound,
        format!(
            "needs engine `{name}`, which this program does not have; it has {}",
            have.join(", ")
        ),
    )
    .with_help("name another engine in the contract or as `@engine=…` at the step")
}
