//! An explanation for people.

use std::fmt::Write;

use super::together::together;
use super::{ExplainedStep, Explanation, Wait};

/// How many steps, groups and changes are shown; the JSON document has them all.
const SHOWN_STEPS: usize = 200;
const SHOWN_GROUPS: usize = 40;
const SHOWN_IN_A_ROW: usize = 12;
/// Longer words are cut.
const LONGEST: usize = 80;

pub(super) fn text(explanation: &Explanation) -> String {
    let mut out = String::new();
    write(explanation, &mut out).expect("a string takes text");
    out
}

fn write(explanation: &Explanation, out: &mut String) -> std::fmt::Result {
    let Explanation { steps, jobs, .. } = explanation;
    let name = explanation.workflow.as_deref().unwrap_or("workflow");
    let at_once = counted(*jobs, "step");
    writeln!(
        out,
        "{}: {}, at most {at_once} at once",
        shown(name),
        counted(steps.len(), "call")
    )?;
    writeln!(out, "\nSteps")?;
    for step in steps.iter().take(SHOWN_STEPS) {
        write_step(explanation, step, out)?;
    }
    more(steps.len(), SHOWN_STEPS, "steps", out)?;
    let together = together(explanation);
    if !together.is_empty() {
        writeln!(out, "\nWhat may run at the same time")?;
        for group in together.iter().take(SHOWN_GROUPS) {
            writeln!(out, "  {}", row(group.iter().copied(), group.len()))?;
        }
        more(together.len(), SHOWN_GROUPS, "groups", out)?;
    }
    let loops: Vec<_> = explanation
        .blocks
        .iter()
        .filter_map(|block| Some((block, block.rounds.as_ref()?)))
        .collect();
    if !loops.is_empty() {
        writeln!(out, "\nLoops")?;
        for (block, rounds) in loops.iter().take(SHOWN_GROUPS) {
            let count = if rounds.known {
                counted(rounds.count, "round")
            } else {
                format!(
                    "as many rounds as the list has when it runs ({} for the prediction)",
                    rounds.count
                )
            };
            writeln!(out, "  line {}: {count}, {}", block.line, rounds.overlap)?;
        }
        more(loops.len(), SHOWN_GROUPS, "loops", out)?;
    }
    writeln!(out, "\nPasses")?;
    for change in explanation.changes.iter().take(SHOWN_GROUPS) {
        let (pass, text) = (change.pass.as_str(), shown_up_to(&change.text, 4 * LONGEST));
        writeln!(out, "  {pass}, line {}: {text}", change.line)?;
    }
    more(explanation.changes.len(), SHOWN_GROUPS, "changes", out)?;
    if explanation.changes.is_empty() {
        writeln!(out, "  constant, merge, unused: nothing to change")?;
    }
    let edges = explanation.edges;
    writeln!(
        out,
        "  reduction: {} found, {} of them implied by others",
        counted(edges.found, "wait"),
        edges.found - edges.kept
    )?;
    write_prediction(explanation, out)
}

fn write_step(
    explanation: &Explanation,
    step: &ExplainedStep,
    out: &mut String,
) -> std::fmt::Result {
    write!(
        out,
        "  line {}  {} {}",
        step.line,
        step.id,
        shown(&step.tool)
    )?;
    let mut effects = Vec::new();
    for (verb, resources) in [("reads", &step.reads), ("writes", &step.writes)] {
        if !resources.is_empty() {
            let words = resources.iter().map(|resource| match resource {
                Some(path) => shown(path),
                None => "what is known only when it runs".to_owned(),
            });
            let words: Vec<String> = words.take(SHOWN_IN_A_ROW).collect();
            effects.push(format!("{verb} {}", words.join(", ")));
        }
    }
    if effects.is_empty() {
        effects.push(step.effects.to_owned());
    }
    write!(out, " ({})", effects.join("; "))?;
    if let Some(block) = step.block {
        let block = &explanation.blocks[block];
        let of = if block.rounds.is_some() {
            "each round of"
        } else {
            "in"
        };
        write!(out, ", {of} the {} on line {}", block.kind, block.line)?;
    }
    let learned = if step.learned { "learned" } else { "assumed" };
    match step.fate {
        "runs" => write!(out, ", {} ms {learned}", step.expected_ms)?,
        "never" => write!(out, ", never runs")?,
        fate => write!(out, ", {fate}: its tool is not called")?,
    }
    writeln!(out, "{}", if step.critical { ", critical" } else { "" })?;
    let changes: Vec<&Wait> = step
        .waits_for
        .iter()
        .filter(|wait| wait.because == "change")
        .collect();
    for wait in step
        .waits_for
        .iter()
        .filter(|wait| wait.because != "change")
    {
        writeln!(out, "      {}", shown_up_to(&wait.text, 2 * LONGEST))?;
    }
    if !changes.is_empty() {
        let lines = changes.iter().map(|wait| match &wait.id {
            Some(_) => format!("line {}", wait.line),
            None => format!("the block on line {}", wait.line),
        });
        let lines: Vec<String> = lines.collect();
        let what = effect(step);
        let lines = row(lines.iter().map(String::as_str), lines.len());
        writeln!(
            out,
            "      waits for all before it, that is {lines}: it {what}"
        )?;
    }
    if step.more_waits > 0 {
        writeln!(out, "      and {} more", step.more_waits)?;
    }
    if step.waits_for.is_empty() && step.fate != "never" {
        writeln!(out, "      starts at once")?;
    }
    Ok(())
}

fn effect(step: &ExplainedStep) -> String {
    match step.writes.first() {
        Some(Some(path)) => format!("writes {}", shown(path)),
        Some(None) => "writes what is known only when it runs".to_owned(),
        None => "may do anything".to_owned(),
    }
}

fn write_prediction(explanation: &Explanation, out: &mut String) -> std::fmt::Result {
    let prediction = &explanation.prediction;
    let jobs = explanation.jobs;
    writeln!(out, "\nPrediction")?;
    writeln!(
        out,
        "  {:.1} ms with {}; one by one {:.1} ms",
        prediction.makespan_ms,
        counted(jobs, "job"),
        prediction.work_ms
    )?;
    writeln!(
        out,
        "  no order beats {:.1} ms: the critical path takes {:.1} ms, and all work divided among the jobs {:.1} ms",
        prediction.lower_bound_ms,
        prediction.critical_path_ms,
        prediction.work_ms / jobs.max(1) as f64
    )?;
    let path = &prediction.critical_path;
    if !path.is_empty() {
        let shown: Vec<&str> = path
            .iter()
            .take(2 * SHOWN_IN_A_ROW)
            .map(String::as_str)
            .collect();
        let rest = path.len() - shown.len();
        let rest = if rest > 0 {
            format!(", and {rest} more")
        } else {
            String::new()
        };
        writeln!(out, "  critical path: {}{rest}", shown.join(" → "))?;
    }
    Ok(())
}

fn more(all: usize, most: usize, what: &str, out: &mut String) -> std::fmt::Result {
    if all > most {
        writeln!(
            out,
            "  … and {} more {what}; `--json` lists them all",
            all - most
        )?;
    }
    Ok(())
}

fn row<'a>(words: impl Iterator<Item = &'a str>, count: usize) -> String {
    let shown: Vec<&str> = words.take(SHOWN_IN_A_ROW).collect();
    let rest = count - shown.len();
    let mut text = shown.join(", ");
    if rest > 0 {
        let _ = write!(text, " and {rest} more");
    }
    text
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn shown(text: &str) -> String {
    shown_up_to(text, LONGEST)
}

/// A text on one line, cut, without what would move the cursor.
pub(super) fn shown_up_to(text: &str, most: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(most)
        .map(|letter| {
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}
