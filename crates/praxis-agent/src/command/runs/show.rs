//! What the journals tell.

use std::fmt::Write;

use praxis_workflow::{Announcement, Finish, History, Journal, Outcome, RunId, RunStart, RunState};
use serde_json::{Value, json};

use crate::command::journal::Context;
use crate::exit::{Exit, Stop};
use crate::output;

use super::refusal;

pub(super) fn list(store: &dyn Journal, as_json: bool) -> Result<Exit, Stop> {
    let mut runs = store.runs().map_err(refusal)?;
    runs.reverse();
    let mut documents = Vec::new();
    let mut text = String::new();
    for run in &runs {
        let history = match store.outline(run) {
            Ok(history) => history,
            Err(error) => {
                tracing::warn!("run {run}: {error}");
                continue;
            }
        };
        let summary = summary(run, &history);
        let damaged = if history.damage.is_some() {
            ", damaged"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "{run}  {}  {:11}  {:>4} {:5}  {}{damaged}",
            time(run.began_ms()),
            history.state().as_str(),
            summary["steps_finished"],
            if summary["steps_finished"] == 1 {
                "step"
            } else {
                "steps"
            },
            name(&history)
        );
        documents.push(summary);
    }
    if as_json {
        output::json(&json!({ "runs": documents }))?;
    } else {
        output::text(&text)?;
    }
    Ok(Exit::Done)
}

pub(super) fn show(store: &dyn Journal, run: &RunId, as_json: bool) -> Result<Exit, Stop> {
    let history = if as_json {
        store.read(run)
    } else {
        // Results are looked at for damage, and not shown.
        store.read_keeping(run, &mut |_| Value::Null)
    };
    let history = history.map_err(refusal)?;
    let unknown = history.unknown();
    if as_json {
        let mut document = summary(run, &history);
        let finished = history.finished();
        document["steps"] = (finished.iter())
            .map(|(about, finish)| step(about, finish))
            .collect();
        document["unknown"] = (unknown.iter())
            .map(|step| announced(&step.about))
            .collect();
        if let Some(start) = history.start() {
            document["inputs"] = json!(start.inputs);
            document["source"] = json!(start.source);
        }
        if let Some(ending) = history.ending() {
            document["output"] = ending.output.clone();
            document["error"] = json!(ending.error);
        }
        output::json(&document)?;
        return Ok(Exit::Done);
    }
    let mut text = format!(
        "run {run}: {} ({}), begun {}\n",
        name(&history),
        history.state().as_str(),
        time(run.began_ms())
    );
    if let Some(damage) = &history.damage {
        let _ = writeln!(text, "  damaged: {damage}");
    }
    for (about, finish) in history.finished() {
        let end = match &finish.outcome {
            Outcome::Failed { kind, message } => format!("failed: {kind}: {message}"),
            _ => "ok".to_owned(),
        };
        let _ = writeln!(
            text,
            "  {}  {}  line {}, {:.1} ms  {end}",
            about.step,
            about.tool,
            about.line,
            finish.duration_us as f64 / 1000.0
        );
    }
    for step in &unknown {
        let _ = writeln!(
            text,
            "  {}  {}  line {}  outcome not known; changes {}",
            step.about.step,
            step.about.tool,
            step.about.line,
            super::resume::resources(&step.about.writes)
        );
    }
    if matches!(history.state(), RunState::Interrupted)
        || history.state() == RunState::Ended(praxis_workflow::RunStatus::Cancelled)
    {
        let _ = writeln!(text, "`praxis runs resume {run}` goes on");
    }
    output::text(&text)?;
    Ok(Exit::Done)
}

fn summary(run: &RunId, history: &History) -> Value {
    let context = history.start().map(context).unwrap_or_default();
    json!({
        "run_id": run.as_str(),
        "began": time(run.began_ms()),
        "status": history.state().as_str(),
        "workflow": history.start().and_then(|start| start.workflow.as_deref()),
        "program": context.program,
        "root": context.root,
        "praxis": context.praxis,
        "steps_finished": history.finished().len(),
        "damage": history.damage,
    })
}

fn context(start: &RunStart) -> Context {
    serde_json::from_value(start.context.clone()).unwrap_or_default()
}

fn name(history: &History) -> String {
    let Some(start) = history.start() else {
        return "unknown".to_owned();
    };
    let program = context(start).program;
    match &start.workflow {
        Some(workflow) => format!("{workflow} ({program})"),
        None => program,
    }
}

fn announced(about: &Announcement) -> Value {
    json!({
        "id": about.step,
        "line": about.line,
        "tool": about.tool,
        "arguments": about.arguments,
        "effects": about.effects,
        "writes": about.writes,
    })
}

fn step(about: &Announcement, finish: &Finish) -> Value {
    let mut document = announced(about);
    document["attempts"] = json!(finish.attempts);
    document["cache"] = json!(finish.cache);
    document["engine"] = json!(finish.engine);
    document["duration_ms"] = json!(finish.duration_us as f64 / 1000.0);
    document["outcome"] = json!(finish.outcome);
    if let Outcome::Value(value) = &finish.outcome {
        document["outcome"] = json!({ "value": &**value });
    }
    document
}

/// A time as text, in UTC; the date by the algorithm of Howard Hinnant (`civil_from_days`).
fn time(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_dates() {
        let check = |milliseconds, expect: &str| assert_eq!(time(milliseconds), expect);
        check(0, "1970-01-01T00:00:00Z");
        check(951_827_696_789, "2000-02-29T12:34:56Z");
        check(1_735_689_599_000, "2024-12-31T23:59:59Z");
        check(4_102_444_800_000, "2100-01-01T00:00:00Z");
    }
}
