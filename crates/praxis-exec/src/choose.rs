//! Which engine runs a tool: the cheapest of those that are safe enough.

use std::time::Duration;

use crate::{Error, ErrorKind, ExecutionEngine, Isolation, Limit, Request, ToolContract};

/// An engine that may be chosen.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// The engine.
    pub engine: &'a dyn ExecutionEngine,
    /// What a call costs on top of the tool's own work, as measured on this machine.
    pub overhead: Option<Duration>,
}

impl<'a> Candidate<'a> {
    /// An engine whose overhead was not measured.
    pub fn new(engine: &'a dyn ExecutionEngine) -> Self {
        Self {
            engine,
            overhead: None,
        }
    }

    /// Sets what a call costs on top of the tool's own work.
    #[must_use]
    pub fn with_overhead(mut self, overhead: Duration) -> Self {
        self.overhead = Some(overhead);
        self
    }
}

/// What [`choose`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// The place of the chosen engine among the candidates.
    pub index: usize,
    /// Why it was chosen, as a phrase that follows its name: `the cheapest (1.2 ms) of 2 that are safe enough`.
    pub why: String,
    /// The other engines, each with what speaks against it as such a phrase, in the order of the candidates.
    pub passed_over: Vec<(String, String)>,
}

/// Chooses the engine for a tool.
///
/// An engine is safe enough if it could run the tool ([`ExecutionEngine::suits`]), keeps it as far from the machine as the
/// contract and `floor` ask, in a container if it names an image, and enforces each limit of the contract that is not in `accept`.
/// Of those the one with the least measured overhead is chosen; one without a measurement comes after those with one,
/// less isolation before more, and the earlier candidate before the later.
///
/// # Errors
/// [`ErrorKind::UnsupportedLimit`] where some engine could run the tool, but not within its limits or isolation;
/// [`ErrorKind::NotFound`] where none could run it at all. The message says of each engine what it lacks.
pub fn choose(
    contract: &ToolContract,
    candidates: &[Candidate<'_>],
    floor: Isolation,
    accept: &[Limit],
) -> Result<Choice, Error> {
    let mut floor = floor.max(contract.isolation);
    if contract.image.is_some() {
        // What was written for a container must not run on the host unasked.
        floor = floor.max(Isolation::Container);
    }
    let mut fit = Vec::new();
    let mut passed_over = Vec::new();
    let mut some_suits = false;
    for (index, candidate) in candidates.iter().enumerate() {
        match obstacle(contract, candidate.engine, floor, accept) {
            None => fit.push(index),
            Some(obstacle) => {
                some_suits |= obstacle.suits;
                passed_over.push((index, obstacle.what));
            }
        }
    }
    let rank = |index: &usize| {
        let candidate = &candidates[*index];
        let isolation = candidate.engine.capabilities().isolation;
        (
            candidate.overhead.is_none(),
            candidate.overhead,
            isolation,
            *index,
        )
    };
    let Some(best) = fit.iter().copied().min_by_key(rank) else {
        return Err(none(contract, candidates, &passed_over, some_suits));
    };
    for index in fit.iter().copied().filter(|index| *index != best) {
        let would = match candidates[index].overhead {
            Some(overhead) => format!("would do, at {} a call", shown(overhead)),
            None => "would do, but its cost was not measured".to_owned(),
        };
        passed_over.push((index, would));
    }
    passed_over.sort_by_key(|(index, _)| *index);
    let why = match (fit.len(), candidates[best].overhead) {
        (1, _) => "the only one that is safe enough".to_owned(),
        (many, Some(overhead)) => format!(
            "the cheapest ({} a call) of {many} that are safe enough",
            shown(overhead)
        ),
        (many, None) => format!("the least isolated of {many} that are safe enough"),
    };
    let named = |(index, what): (usize, String)| {
        let name: &str = candidates[index].engine.name();
        (name.to_owned(), what)
    };
    Ok(Choice {
        index: best,
        why,
        passed_over: passed_over.into_iter().map(named).collect(),
    })
}

struct Obstacle {
    /// Whether the engine could run the tool if it were safe enough.
    suits: bool,
    what: String,
}

fn obstacle(
    contract: &ToolContract,
    engine: &dyn ExecutionEngine,
    floor: Isolation,
    accept: &[Limit],
) -> Option<Obstacle> {
    if let Err(what) = engine.suits(contract) {
        return Some(Obstacle { suits: false, what });
    }
    let capabilities = engine.capabilities();
    let mut lacks: Vec<&str> = Vec::new();
    let isolation = capabilities.isolation < floor;
    let arguments = serde_json::Map::new();
    let request = Request::new(contract, &arguments, "".as_ref()).accepting(accept);
    lacks.extend(capabilities.missing(&request).map(Limit::as_str));
    let what = match (isolation, lacks.is_empty()) {
        (false, true) => return None,
        (true, true) => format!(
            "isolates by {}, and {floor} is asked for",
            capabilities.isolation
        ),
        (false, false) => format!("cannot enforce {}", lacks.join(", ")),
        (true, false) => format!(
            "isolates by {}, where {floor} is asked for, and cannot enforce {}",
            capabilities.isolation,
            lacks.join(", ")
        ),
    };
    Some(Obstacle { suits: true, what })
}

fn none(
    contract: &ToolContract,
    candidates: &[Candidate<'_>],
    passed_over: &[(usize, String)],
    some_suits: bool,
) -> Error {
    let reasons: Vec<String> = passed_over
        .iter()
        .map(|(index, what)| format!("`{}` {what}", candidates[*index].engine.name()))
        .collect();
    let (kind, help) = if some_suits {
        (
            ErrorKind::UnsupportedLimit,
            "add an engine that can, lower what the contract asks for, or accept by name to run without a limit",
        )
    } else {
        (
            ErrorKind::NotFound,
            "name another engine in the contract or at the step",
        )
    };
    let reasons = if reasons.is_empty() {
        "there is no engine at all".to_owned()
    } else {
        reasons.join("; ")
    };
    Error::new(kind, format!("no engine at hand may run it: {reasons}"))
        .with_tool(&contract.name)
        .with_help(help)
}

/// Microseconds or milliseconds, whichever reads better.
fn shown(overhead: Duration) -> String {
    let micros = overhead.as_secs_f64() * 1e6;
    if micros < 1000.0 {
        format!("{micros:.0} µs")
    } else {
        format!("{:.1} ms", micros / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BoxFuture, Capabilities, Output};

    struct Engine(&'static str, Isolation, &'static [Limit], bool);

    impl ExecutionEngine for Engine {
        fn name(&self) -> &str {
            self.0
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities::new(self.0, self.1, self.2)
        }

        fn suits(&self, _: &ToolContract) -> Result<(), String> {
            if self.3 {
                Ok(())
            } else {
                Err("runs nothing".to_owned())
            }
        }

        fn execute<'a>(&'a self, _: Request<'a>) -> BoxFuture<'a, Result<Output, Error>> {
            Box::pin(async { unreachable!("choosing runs nothing") })
        }
    }

    const PROCESS: Engine = Engine("process", Isolation::Process, &[Limit::Timeout], true);
    const SANDBOX: Engine = Engine("sandbox", Isolation::Sandbox, &Limit::ALL, true);
    const CONTAINER: Engine = Engine("container", Isolation::Container, &Limit::ALL, true);

    fn check(contract: &ToolContract, floor: Isolation, expect: &str) {
        let candidates = [
            Candidate::new(&CONTAINER).with_overhead(Duration::from_micros(800)),
            Candidate::new(&PROCESS).with_overhead(Duration::from_micros(700)),
            Candidate::new(&SANDBOX).with_overhead(Duration::from_micros(2500)),
        ];
        let found = choose(contract, &candidates, floor, &[]).unwrap();
        let name = candidates[found.index].engine.name();
        assert_eq!(format!("{name}: {}", found.why), expect);
        assert_eq!(found.passed_over.len(), 2);
    }

    #[test]
    fn the_cheapest_that_is_safe_enough_is_chosen() {
        let mut contract = ToolContract::new("t");
        check(
            &contract,
            Isolation::None,
            "process: the cheapest (700 µs a call) of 3 that are safe enough",
        );
        // A warm container may well be cheaper than a sandbox that is made for the call.
        check(
            &contract,
            Isolation::Sandbox,
            "container: the cheapest (800 µs a call) of 2 that are safe enough",
        );
        contract.isolation = Isolation::Container;
        check(
            &contract,
            Isolation::None,
            "container: the only one that is safe enough",
        );
        contract.isolation = Isolation::None;
        contract.limits.pids = Some(5);
        check(
            &contract,
            Isolation::None,
            "container: the cheapest (800 µs a call) of 2 that are safe enough",
        );
    }

    #[test]
    fn without_measurements_less_isolation_is_taken_to_be_cheaper() {
        let candidates = [
            Candidate::new(&CONTAINER),
            Candidate::new(&SANDBOX),
            Candidate::new(&PROCESS),
        ];
        let contract = ToolContract::new("t");
        let found = choose(&contract, &candidates, Isolation::None, &[]).unwrap();
        assert_eq!(found.index, 2);
        assert_eq!(found.why, "the least isolated of 3 that are safe enough");
    }

    #[test]
    fn where_none_may_run_it_each_engine_says_why() {
        let other = Engine("other", Isolation::None, &[], false);
        let candidates = [Candidate::new(&PROCESS), Candidate::new(&other)];
        let mut contract = ToolContract::new("t");
        contract.limits.memory_bytes = Some(1);
        let check = |accept: &[Limit], floor: Isolation, kind: ErrorKind, expect: &str| {
            let error = choose(&contract, &candidates, floor, accept).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert_eq!(error.message(), expect);
        };
        check(
            &[],
            Isolation::None,
            ErrorKind::UnsupportedLimit,
            "no engine at hand may run it: `process` cannot enforce memory; `other` runs nothing",
        );
        check(
            &[Limit::Memory],
            Isolation::Sandbox,
            ErrorKind::UnsupportedLimit,
            "no engine at hand may run it: `process` isolates by process, and sandbox is asked for; \
             `other` runs nothing",
        );
        let error = choose(&contract, &candidates[1..], Isolation::None, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(choose(&contract, &candidates, Isolation::None, &[Limit::Memory]).is_ok());
    }
}
