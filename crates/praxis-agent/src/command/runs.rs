//! `praxis runs`: what the journals tell, and going on from them.

mod diff;
mod resume;
mod show;

use praxis_workflow::{Journal, JournalError, JournalErrorKind, RunId};

use crate::arguments::{Runs, RunsCommand};
use crate::exit::{Exit, Stop};

/// How many matching ids a refusal lists.
const SHOWN_MATCHES: usize = 5;

pub(crate) fn runs(arguments: &Runs) -> Result<Exit, Stop> {
    match &arguments.command {
        RunsCommand::List { state, json } => show::list(&super::journal::existing(state)?, *json),
        RunsCommand::Show { id, state, json } => {
            let journal = super::journal::existing(state)?;
            show::show(&journal, &find(&journal, id)?, *json)
        }
        RunsCommand::Resume {
            id,
            insist,
            rerun_unknown,
            state,
            json,
        } => {
            let journal = super::journal::existing(state)?;
            let run = find(&journal, id)?;
            let insisted = resume::Insisted {
                changes: insist.accept_changes,
                unknown: *rerun_unknown,
            };
            resume::resume(&journal, &run, insisted, state, *json)
        }
        RunsCommand::Replay {
            id,
            insist,
            state,
            json,
        } => {
            let journal = super::journal::existing(state)?;
            let run = find(&journal, id)?;
            resume::replay(&journal, &run, insist.accept_changes, state, *json)
        }
        RunsCommand::Diff {
            one,
            other,
            state,
            json,
        } => {
            let journal = super::journal::existing(state)?;
            let (one, other) = (find(&journal, one)?, find(&journal, other)?);
            diff::diff(&journal, &one, &other, *json)
        }
    }
}

/// The run of an id, of the beginning of one, or the latest.
fn find(journal: &dyn Journal, wanted: &str) -> Result<RunId, Stop> {
    let mut runs = journal.runs().map_err(refusal)?;
    if wanted == "latest"
        && let Some(latest) = runs.pop()
    {
        return Ok(latest);
    }
    let (mut found, others): (Vec<RunId>, Vec<RunId>) = runs
        .into_iter()
        .partition(|run| run.as_str().starts_with(wanted));
    let help = "`praxis runs list` shows the runs that are there";
    if found.len() > 1 {
        let shown: Vec<&str> = (found.iter().rev().take(SHOWN_MATCHES))
            .map(RunId::as_str)
            .collect();
        let message = format!(
            "{} runs begin with `{wanted}`, such as {}",
            found.len(),
            shown.join(", ")
        );
        let mut stop = Stop::new(Exit::Mistake, message);
        stop.help = Some("give more of the id".to_owned());
        return Err(stop);
    }
    found.pop().ok_or_else(|| {
        let mut stop = Stop::new(Exit::Missing, format!("there is no run `{wanted}`"));
        let near = others
            .iter()
            .map(|run| {
                (
                    strsim::normalized_damerau_levenshtein(wanted, run.as_str()),
                    run,
                )
            })
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .filter(|(similarity, _)| *similarity >= 0.8);
        stop.help = Some(match near {
            Some((_, run)) => format!("did you mean {run}? {help}"),
            None => help.to_owned(),
        });
        stop
    })
}

fn refusal(error: JournalError) -> Stop {
    let (exit, help) = match error.kind() {
        JournalErrorKind::InUse => (
            Exit::Missing,
            Some("wait until that process is done, or end it"),
        ),
        JournalErrorKind::Over => (
            Exit::Mistake,
            Some(
                "`praxis run` begins anew; `praxis runs replay` gives the report of a run that is over",
            ),
        ),
        JournalErrorKind::Newer => (Exit::Missing, Some("use the newer praxis")),
        _ => (Exit::Missing, None),
    };
    Stop {
        exit,
        message: error.to_string(),
        help: help.map(str::to_owned),
    }
}
