//! `praxis run`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use praxis_agent::{Agent, Loaded, Toolbox, load};
use praxis_cache::Store;
use praxis_workflow::{
    Elided, Error, ErrorKind, Failure, Plan, PlannedCall, Run, RunId, RunOptions, RunReport,
    RunStatus, StepReport, StepStatus,
};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::arguments::{self, State};
use crate::durations;
use crate::exit::{Exit, Stop};
use crate::output;
use crate::progress::Progress;

/// How many steps the report shows to people; `--json` has them all.
const SHOWN_STEPS: usize = 60;

pub(crate) fn run(arguments: &arguments::Run) -> Result<Exit, Stop> {
    let root = root(&arguments.place.root)?;
    let tools = Arc::new(super::placed_toolbox(
        &arguments.place.folders,
        arguments.place.allow_network,
        &arguments.place.engines,
        Some(&root),
        &arguments.state,
    )?);
    let mut loaded = load(&arguments.file, &tools)?;
    for diagnostic in &loaded.diagnostics {
        output::note(&loaded.render(diagnostic, output::colour_errors()));
    }
    let Some(plan) = &mut loaded.plan else {
        return Ok(Exit::Mistake);
    };
    plan.prioritise(&durations::read(&arguments.state));
    needs(&loaded, &tools)?;
    let mut inputs = Map::new();
    for (name, value) in &arguments.params {
        if inputs.insert(name.clone(), value.clone()).is_some() {
            return Err(Stop::new(
                Exit::Mistake,
                format!("the input `{name}` is given twice"),
            ));
        }
    }
    let mut options = RunOptions {
        timeout: arguments.timeout,
        optimize: !arguments.no_optimize,
        ..RunOptions::default()
    };
    options.jobs = arguments.jobs.unwrap_or(options.jobs);
    // Whoever allows a tool more than a run holds by itself means it.
    let calls = loaded.plan.iter().flat_map(Plan::described_calls);
    let allowed = calls.filter_map(|call| {
        let bytes = tools.find(call.tool)?.contract().limits.output_bytes?;
        Some(usize::try_from(bytes).unwrap_or(usize::MAX))
    });
    options.result_bytes = allowed.fold(options.result_bytes, usize::max);
    let Some(session) = Session::begin(&loaded, &tools)? else {
        return Ok(Exit::Interrupted);
    };
    let id = RunId::generate();
    let journal = super::journal::begin(&id, arguments, &loaded, &tools, &root, &inputs, &options);
    let keeper = super::keeper::start(&id, &loaded, &tools);
    let agent = Agent::new(tools, &root);
    let remember = !arguments.no_cache;
    let exit = execute(
        session,
        &loaded,
        agent,
        &arguments.state,
        remember,
        arguments.json,
        |run| {
            let run = run.named(id).inputs(inputs).options(options);
            match journal {
                Some(journal) => run.journal(journal),
                None => run,
            }
        },
    );
    drop(keeper);
    exit
}

/// Runs a plan that was checked, and prints the report. `remember` says whether results are kept in
/// the state folder and taken from there; `begin` completes the run.
pub(super) fn execute<'a>(
    session: Session,
    loaded: &'a Loaded,
    agent: Agent,
    state: &State,
    remember: bool,
    json: bool,
    begin: impl FnOnce(Run<'a>) -> Run<'a>,
) -> Result<Exit, Stop> {
    let Some(plan) = &loaded.plan else {
        return Ok(Exit::Mistake);
    };
    let (agent, disk) = if remember {
        let (cache, disk) = super::cache::open(state);
        (agent.with_cache(cache), disk)
    } else {
        (agent.without_cache(), None)
    };
    let progress = Progress::new();
    let tools = Arc::clone(agent.tools());
    let run = begin(Run::new(plan, Arc::new(agent.foreseeing(plan))));
    let resumable = run.is_journaled();
    let Session {
        runtime,
        interrupted,
    } = session;
    let report = runtime.block_on(watched(run, &progress).execute_until(interrupted));
    drop(progress);
    let concluded = report.map_err(refusal).and_then(|report| {
        durations::learn(state, &report);
        conclude(&report, loaded, json, resumable)
    });
    runtime.block_on(tools.shut_down());
    // A blocking tool that was cancelled must not hold the exit.
    runtime.shutdown_background();
    // Such a tool may hold the agent, and so the store, until the end.
    if let Some(disk) = disk {
        disk.settle();
    }
    concluded
}

/// The same run, seen through a shorter life.
fn watched<'a, 'b: 'a>(run: Run<'b>, progress: &'a Progress) -> Run<'a> {
    run.observer(progress)
}

/// Prints the report; its status is the exit code.
pub(super) fn conclude(
    report: &RunReport,
    loaded: &Loaded,
    json: bool,
    resumable: bool,
) -> Result<Exit, Stop> {
    if json {
        output::json(report)?;
    } else {
        output::coloured(&text(report))?;
        if report.output != Value::Null {
            output::text(&super::tools::shown(&report.output))?;
        }
    }
    if let Some(failure) = &report.error {
        let cancelled = resumable && report.status == RunStatus::Cancelled;
        let help = cancelled.then(|| format!("`praxis runs resume {}` goes on", report.run_id));
        output::complain(&place(failure, loaded), help.as_deref());
    }
    Ok(match report.status {
        RunStatus::Succeeded => Exit::Done,
        RunStatus::Failed => Exit::Failed,
        RunStatus::Cancelled => Exit::Interrupted,
    })
}

/// What the program asks for and this build does not have is told before anything runs.
pub(super) fn needs(loaded: &Loaded, tools: &Toolbox) -> Result<(), Stop> {
    let Some(plan) = &loaded.plan else {
        return Ok(());
    };
    for call in plan.described_calls() {
        let at = format!("{}:{}", loaded.path, call.line);
        if let Some(agent) = call.agent {
            let message = format!(
                "{at}: the step is sent to agent `{agent}`, and this program reaches no other agents yet"
            );
            let mut stop = Stop::new(Exit::Missing, message);
            stop.help =
                Some("take the AGENT line or the `@agent` option away to run it here".to_owned());
            return Err(stop);
        }
        if let Some(tool) = tools.find(call.tool)
            && let Err(error) = tools.engine(tool, call.engine)
        {
            return Err(absent(error, &call, loaded));
        }
    }
    Ok(())
}

/// What a run runs on: a runtime, and what ends it early.
pub(super) struct Session {
    runtime: Runtime,
    interrupted: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Session {
    /// Starts a runtime, and on it lets the engines look for what they need; `None` if that was interrupted.
    ///
    /// # Errors
    ///
    /// What a step of the plan needs is not there.
    pub(super) fn begin(loaded: &Loaded, tools: &Toolbox) -> Result<Option<Self>, Stop> {
        let runtime = runtime()?;
        let mut interrupted = Box::pin(interrupted(&runtime));
        let ready = runtime.block_on(async {
            tokio::select! {
                prepared = prepare(loaded, tools) => Some(prepared),
                () = &mut interrupted => None,
            }
        });
        let Some(prepared) = ready else {
            return Ok(None);
        };
        prepared?;
        Ok(Some(Self {
            runtime,
            interrupted,
        }))
    }
}

/// Lets the engines look for what they need before anything runs.
async fn prepare(loaded: &Loaded, tools: &Toolbox) -> Result<(), Stop> {
    let mut prepared = BTreeSet::new();
    for call in loaded.plan.iter().flat_map(Plan::described_calls) {
        let Some(tool) = tools.find(call.tool) else {
            continue;
        };
        let engine = tools.engine(tool, call.engine)?;
        if !prepared.insert((call.tool, engine.name())) {
            continue;
        }
        if let Err(error) = engine.prepare(tool.contract()).await {
            return Err(absent(error.with_tool(call.tool), &call, loaded));
        }
    }
    Ok(())
}

/// What a step needs and is not there, with the step's line.
fn absent(error: praxis_exec::Error, call: &PlannedCall<'_>, loaded: &Loaded) -> Stop {
    let stop = Stop::from(error);
    Stop {
        exit: Exit::Missing,
        message: format!("{}:{}: {}", loaded.path, call.line, stop.message),
        help: stop.help,
    }
}

pub(super) fn refusal(error: Error) -> Stop {
    let exit = if error.kind() == ErrorKind::Stalled {
        Exit::Failed
    } else {
        Exit::Mistake
    };
    let missing = error.kind() == ErrorKind::Input;
    let help = missing.then(|| "give a value with `--param NAME=VALUE`".to_owned());
    Stop {
        exit,
        message: error.to_string(),
        help,
    }
}

pub(crate) fn runtime() -> Result<Runtime, Stop> {
    Runtime::new().map_err(|error| {
        Stop::new(
            Exit::Missing,
            format!("cannot start the async runtime: {error}"),
        )
    })
}

/// The root as an absolute path without links, so that what is compared with it is comparable.
pub(crate) fn root(root: &Path) -> Result<PathBuf, Stop> {
    let canonical = root.canonicalize();
    let canonical = canonical.and_then(|path| {
        if path.is_dir() {
            Ok(path)
        } else {
            Err(std::io::Error::from(std::io::ErrorKind::NotADirectory))
        }
    });
    canonical.map_err(|error| {
        Stop::new(
            Exit::Missing,
            format!("the root {} is no folder: {error}", root.display()),
        )
    })
}

/// Ready at the first Ctrl-C, SIGTERM or SIGHUP; a second one ends the program on the spot.
///
/// The signals are listened to from the call on, on a task of their own, so that they are heard
/// even while the caller's task computes.
pub(crate) fn interrupted(runtime: &Runtime) -> impl Future<Output = ()> + Send + use<> {
    let (first, heard) = tokio::sync::oneshot::channel();
    let mut signals = {
        let _context = runtime.enter();
        Signals::listen()
    };
    runtime.spawn(async move {
        signals.next().await;
        let _ = first.send(());
        signals.next().await;
        std::process::exit(Exit::Interrupted as i32);
    });
    async {
        if heard.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The signals that ask the program to end.
#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        // Under nohup the hang-up is ignored on purpose, and stays so.
        let hangup = (!hangup_is_ignored()).then(SignalKind::hangup);
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()]
            .into_iter()
            .chain(hangup);
        Self(kinds.filter_map(|kind| signal(kind).ok()).collect())
    }

    async fn next(&mut self) {
        std::future::poll_fn(|context| {
            let ready = self
                .0
                .iter_mut()
                .any(|signal| signal.poll_recv(context).is_ready());
            if ready {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }
}

/// Whether the program was started with SIGHUP ignored, as far as the system tells.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A failure with its line of source.
fn place(failure: &Failure, loaded: &Loaded) -> String {
    let mut message = failure.message.clone();
    if let Some(line) = failure.line {
        let column = failure.column.unwrap_or(1);
        let text = loaded
            .source
            .lines()
            .nth(line as usize - 1)
            .unwrap_or_default();
        let text: String = text.trim().chars().take(100).map(visible).collect();
        let width = line.to_string().len();
        let _ = write!(
            message,
            "\n{:width$}--> {}:{line}:{column}\n{line} | {text}",
            "", loaded.path
        );
    }
    message
}

fn visible(letter: char) -> char {
    if letter.is_control() {
        '\u{fffd}'
    } else {
        letter
    }
}

/// The report for people.
fn text(report: &RunReport) -> String {
    let colour = output::colour(&stdout().is_terminal());
    let mut text = String::new();
    let shown = &report.steps[..report.steps.len().min(SHOWN_STEPS)];
    let ids = shown
        .iter()
        .map(|step| step.id.chars().count())
        .max()
        .unwrap_or(0);
    let tools = shown
        .iter()
        .map(|step| step.tool.chars().count())
        .max()
        .unwrap_or(0);
    for step in shown {
        let _ = writeln!(
            text,
            "{} {:ids$}  {:tools$}  {}",
            mark(step, colour),
            output::escaped(&step.id),
            output::escaped(&step.tool),
            detail(step)
        );
    }
    if report.steps.len() > shown.len() {
        let _ = writeln!(
            text,
            "… and {} more steps; `--json` lists them all",
            report.steps.len() - shown.len()
        );
    }
    let count = |status| {
        report
            .steps
            .iter()
            .filter(|step| step.status == status)
            .count()
    };
    let mut parts = vec![output::counted(report.steps.len() as u64, "step")];
    for (status, word) in [
        (StepStatus::Failed, "failed"),
        (StepStatus::Skipped, "skipped"),
        (StepStatus::Cancelled, "cancelled"),
    ] {
        if count(status) > 0 {
            parts.push(format!("{} {word}", count(status)));
        }
    }
    if report.timing.cache.hits > 0 {
        parts.push(format!("{} from the cache", report.timing.cache.hits));
    }
    let timing = &report.timing;
    let name = report.workflow.as_deref().unwrap_or("workflow");
    let verb = match report.status {
        RunStatus::Succeeded => "succeeded",
        RunStatus::Failed => "failed",
        RunStatus::Cancelled => "was cancelled",
    };
    let _ = writeln!(
        text,
        "{} {verb}: {} in {:.1} ms (longest chain {:.1} ms, all steps together {:.1} ms)",
        output::escaped(name),
        parts.join(", "),
        timing.makespan_ms,
        timing.critical_path_ms,
        timing.work_ms,
    );
    text
}

fn mark(step: &StepReport, colour: bool) -> String {
    let (mark, code) = match step.status {
        StepStatus::Succeeded => ("ok       ", "32"),
        StepStatus::Failed => ("failed   ", "31"),
        StepStatus::Skipped => ("skipped  ", "90"),
        StepStatus::Cancelled => ("cancelled", "33"),
    };
    if colour {
        format!("\x1b[{code}m{mark}\x1b[0m")
    } else {
        mark.to_owned()
    }
}

fn detail(step: &StepReport) -> String {
    if step.status == StepStatus::Skipped {
        return format!("line {}", step.line);
    }
    let mut detail = format!("line {}, {:.1} ms", step.line, step.timing.duration_ms);
    match &step.timing.elided {
        Some(Elided::Merged { with }) => {
            let _ = write!(detail, ", as {with}");
        }
        Some(_) => detail.push_str(", not needed"),
        None => {}
    }
    if step.timing.cached && step.timing.elided.is_none() {
        detail.push_str(", from the cache");
    }
    if step.attempts > 1 {
        let _ = write!(detail, ", {} attempts", step.attempts);
    }
    detail
}
