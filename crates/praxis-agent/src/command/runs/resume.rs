//! Going on with a run, and going through one again.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use praxis_agent::{Agent, Loaded, Toolbox, load_text};
use praxis_workflow::{
    History, Journal, NoopExecutor, Run, RunId, RunJournal, RunStart, RunState, UnknownStep,
};

use crate::arguments::{Folders, State};
use crate::command::journal::{self, Context};
use crate::command::{keeper, placed_toolbox, run as command};
use crate::exit::{Exit, Stop};
use crate::output;

use super::refusal;

/// What the user insists on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Insisted {
    pub(super) changes: bool,
    pub(super) unknown: bool,
}

/// A run's program and tools, as they were if nothing has changed.
struct Rebuilt {
    start: RunStart,
    context: Context,
    loaded: Loaded,
    tools: Toolbox,
}

pub(super) fn resume(
    store: &dyn Journal,
    run: &RunId,
    insisted: Insisted,
    state: &State,
    json: bool,
) -> Result<Exit, Stop> {
    let (writing, history) = RunJournal::resume(store, run).map_err(refusal)?;
    // A tool that outlived its run could still act between what is looked at here and the step's
    // next attempt.
    praxis_exec::local::kill_left_behind(run.as_str());
    let rebuilt = rebuild(run, &history, insisted.changes, state)?;
    if let Some(damage) = &history.damage
        && !insisted.unknown
    {
        let message = format!(
            "the journal of run {run} is damaged, and what was lost may have been done: {damage}"
        );
        let mut stop = Stop::new(Exit::Failed, message);
        stop.help =
            Some("`--rerun-unknown` goes on with what is whole and runs the rest again".to_owned());
        return Err(stop);
    }
    let unknown: Vec<UnknownStep> = (history.unknown().into_iter())
        .filter(|step| !is_idempotent(&rebuilt.tools, &step.about.tool))
        .collect();
    if !unknown.is_empty() && !insisted.unknown {
        return Err(refuse_unknown(run, &unknown));
    }
    let Rebuilt {
        start,
        context,
        loaded,
        tools,
    } = rebuilt;
    command::needs(&loaded, &tools)?;
    let Some(session) = command::Session::begin(&loaded, &tools)? else {
        return Ok(Exit::Interrupted);
    };
    let root = command::root(&context.root)?;
    let keeper = keeper::start(run, &loaded, &tools);
    let agent = Agent::new(Arc::new(tools), &root);
    let remember = !context.no_cache;
    let exit = command::execute(session, &loaded, agent, state, remember, json, |run| {
        run.inputs(start.inputs)
            .options(start.options)
            .resume(writing, &history)
    });
    drop(keeper);
    exit
}

pub(super) fn replay(
    store: &dyn Journal,
    run: &RunId,
    accept_changes: bool,
    state: &State,
    json: bool,
) -> Result<Exit, Stop> {
    let history = store.read(run).map_err(refusal)?;
    if !matches!(history.state(), RunState::Ended(_)) {
        let mut message = format!("run {run} is not over: it is {}", history.state().as_str());
        if let Some(damage) = &history.damage {
            let _ = write!(message, ", and its journal is damaged: {damage}");
        }
        let mut stop = Stop::new(Exit::Mistake, message);
        let mut help = format!("`praxis runs show {run}` tells what it did");
        if history.state() != RunState::Abandoned {
            let _ = write!(help, ", `praxis runs resume {run}` goes on");
        }
        stop.help = Some(help);
        return Err(stop);
    }
    let rebuilt = rebuild(run, &history, accept_changes, state)?;
    let Some(plan) = &rebuilt.loaded.plan else {
        return Ok(Exit::Mistake);
    };
    let replay = Run::new(plan, Arc::new(NoopExecutor))
        .inputs(rebuilt.start.inputs)
        .options(rebuilt.start.options)
        .replay(run, &history);
    let report = command::runtime()?.block_on(replay.execute());
    let report = report.map_err(|error| match &history.damage {
        Some(damage) => Stop::new(
            Exit::Failed,
            format!("the journal of run {run} is damaged: {damage}"),
        ),
        None => command::refusal(error),
    })?;
    command::conclude(&report, &rebuilt.loaded, json, false)
}

fn rebuild(
    run: &RunId,
    history: &History,
    accept_changes: bool,
    state: &State,
) -> Result<Rebuilt, Stop> {
    let lost = || {
        let damage = history.damage.as_deref().unwrap_or("it has no beginning");
        let message = format!("the journal of run {run} does not tell what was run: {damage}");
        Stop::new(Exit::Failed, message)
    };
    let start = history.start().ok_or_else(lost)?.clone();
    let context: Context = serde_json::from_value(start.context.clone()).map_err(|_| lost())?;
    let folders = Folders {
        tools: context.tools.clone(),
        mcp: context.mcp.clone(),
    };
    let tools = placed_toolbox(
        &folders,
        context.allow_network,
        &context.engines,
        Some(&context.root),
        state,
    )?;
    let loaded = load_text(context.program.clone(), start.source.clone(), &tools);
    let mut changes = changed_tools(&context, &loaded, &tools)?;
    if context.program != "-"
        && let Ok(text) = std::fs::read(Path::new(&context.program))
        && text != start.source.as_bytes()
    {
        changes.push(format!("the program {}", context.program));
    }
    if !changes.is_empty() && !accept_changes {
        let message = format!("changed since run {run}: {}", changes.join(", "));
        let mut stop = Stop::new(Exit::Failed, message);
        stop.help = Some(
            "`--accept-changes` uses the program as it was run, with the tools as they are"
                .to_owned(),
        );
        return Err(stop);
    }
    for diagnostic in loaded.diagnostics.iter().filter(|found| found.is_error()) {
        output::note(&loaded.render(diagnostic, output::colour_errors()));
    }
    if loaded.plan.is_none() {
        let message = format!("the program of run {run} does not fit the tools any more");
        return Err(Stop::new(Exit::Mistake, message));
    }
    Ok(Rebuilt {
        start,
        context,
        loaded,
        tools,
    })
}

fn changed_tools(context: &Context, loaded: &Loaded, tools: &Toolbox) -> Result<Vec<String>, Stop> {
    let present = journal::digests(loaded, tools)?;
    let changed = context
        .digests
        .iter()
        .filter(|(tool, digest)| match present.get(*tool) {
            Some(present) => present != *digest,
            // A program that cannot be checked calls nothing; what is missing is said by the check.
            None => tools.find(tool).is_none(),
        });
    Ok(changed.map(|(tool, _)| format!("tool `{tool}`")).collect())
}

fn is_idempotent(tools: &Toolbox, tool: &str) -> bool {
    tools
        .find(tool)
        .is_some_and(|tool| tool.contract().effects.idempotent)
}

fn refuse_unknown(run: &RunId, unknown: &[UnknownStep]) -> Stop {
    let many = if unknown.len() == 1 {
        "a step"
    } else {
        "some steps"
    };
    let mut message = format!("run {run} stopped where the outcome of {many} is not known");
    for step in unknown {
        let about = &step.about;
        let end = if step.succeeded {
            "succeeded, and its result was too large to be kept"
        } else {
            "was begun, and nothing is known of its end"
        };
        let _ = write!(
            message,
            "\n  | step {} on line {}: `{}`, which changes {}, {end}",
            about.step,
            about.line,
            about.tool,
            resources(&about.writes)
        );
    }
    let mut stop = Stop::new(Exit::Failed, message);
    stop.help = Some(
        "look what was done; `--rerun-unknown` runs such steps again, and `idempotent: true` in the tool's contract says that this is always safe".to_owned(),
    );
    stop
}

/// What a step writes, for people.
pub(super) fn resources(writes: &[String]) -> String {
    if writes.is_empty() || writes.iter().any(String::is_empty) {
        return "anything".to_owned();
    }
    writes.join(", ")
}
