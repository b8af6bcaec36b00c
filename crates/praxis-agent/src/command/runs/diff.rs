//! Where two runs part.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use praxis_cache::KeyId;
use praxis_workflow::{Announcement, Finish, History, Journal, Outcome, RunId};
use serde_json::{Value, json};

use crate::exit::{Exit, Stop};
use crate::output;

use super::refusal;

/// How much of a value is shown.
const SHOWN_CHARACTERS: usize = 120;

/// A difference, in the order in which one causes the next.
struct Difference {
    what: &'static str,
    one: String,
    other: String,
}

pub(super) fn diff(
    store: &dyn Journal,
    one: &RunId,
    other: &RunId,
    as_json: bool,
) -> Result<Exit, Stop> {
    // Of each result only what tells it from others is kept, however large it is.
    let read = |run| store.read_keeping(run, &mut told).map_err(refusal);
    let (left, right) = (read(one)?, read(other)?);
    let before = beginnings(&left, &right);
    let (first, count) = steps(&left, &right);
    if as_json {
        let shown = |found: &Difference| json!({ "what": found.what, "one": found.one, "other": found.other });
        let first = first.as_ref().map(|(about, found)| {
            json!({ "step": about.step, "line": about.line, "tool": about.tool, "difference": shown(found) })
        });
        let before: Vec<Value> = before.iter().map(shown).collect();
        output::json(&json!({
            "one": one.as_str(),
            "other": other.as_str(),
            "start": before,
            "first": first,
            "differing_steps": count,
            "damage": { "one": left.damage, "other": right.damage },
        }))?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    let mut whole = true;
    for (run, history) in [(one, &left), (other, &right)] {
        if let Some(damage) = &history.damage {
            let _ = writeln!(text, "the journal of run {run} is damaged: {damage}");
            whole = false;
        }
    }
    for found in &before {
        let _ = writeln!(text, "{}: {} | {}", found.what, found.one, found.other);
    }
    match &first {
        None if before.is_empty() && whole => text.push_str("the runs did the same\n"),
        None => text.push_str("every step that both tell of did the same\n"),
        Some((about, found)) => {
            let _ = writeln!(
                text,
                "first at step {} on line {} (`{}`): {}\n  {one}: {}\n  {other}: {}",
                about.step, about.line, about.tool, found.what, found.one, found.other
            );
            if count > 1 {
                let _ = writeln!(text, "{count} steps differ");
            }
        }
    }
    output::text(&text)?;
    Ok(Exit::Done)
}

fn beginnings(left: &History, right: &History) -> Vec<Difference> {
    let (Some(left), Some(right)) = (left.start(), right.start()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if left.source != right.source {
        let (mut one, mut other) = (left.source.lines(), right.source.lines());
        let mut line = 1;
        let (one, other) = loop {
            match (one.next(), other.next()) {
                (None, None) => break (None, None),
                (one, other) if one != other => break (one, other),
                _ => line += 1,
            }
        };
        let shown = |text: Option<&str>| match text {
            Some(text) => format!("line {line}: {}", text.trim()),
            None => format!("ends before line {line}"),
        };
        found.push(Difference {
            what: "the programs differ",
            one: shown(one),
            other: shown(other),
        });
    }
    if left.inputs != right.inputs {
        found.push(Difference {
            what: "the inputs differ",
            one: short(&json!(left.inputs)),
            other: short(&json!(right.inputs)),
        });
    }
    found
}

/// The first step in program order that differs, and how many do.
fn steps<'a>(
    left: &'a History,
    right: &'a History,
) -> (Option<(&'a Announcement, Difference)>, usize) {
    type Pair<'a> = [Option<(&'a Announcement, &'a Finish)>; 2];
    // The way to a step sorts it where it stands in the program.
    let mut steps: BTreeMap<(&[u32], &str), Pair<'a>> = BTreeMap::new();
    for (side, history) in [left, right].into_iter().enumerate() {
        for (about, finish) in history.finished() {
            steps.entry((&about.way, &about.step)).or_default()[side] = Some((about, finish));
        }
    }
    let (one, other) = (values(left), values(right));
    let mut first = None;
    let mut count = 0;
    for pair in steps.values() {
        let found = match pair {
            [Some(left), Some(right)] => compare(*left, *right, &one, &other),
            [Some(_), None] => only_one("ended", "did not"),
            [None, Some(_)] => only_one("did not", "ended"),
            [None, None] => None,
        };
        let about = pair.iter().flatten().map(|(about, _)| *about).next();
        if let (Some(found), Some(about)) = (found, about) {
            count += 1;
            first.get_or_insert((about, found));
        }
    }
    (first, count)
}

fn only_one(one: &str, other: &str) -> Option<Difference> {
    Some(Difference {
        what: "only one run came to its end",
        one: one.to_owned(),
        other: other.to_owned(),
    })
}

/// The results that stand in a journal, by step.
fn values(history: &History) -> BTreeMap<&str, &Arc<Value>> {
    let finished = history.finished().into_iter();
    finished
        .filter_map(|(about, finish)| match &finish.outcome {
            Outcome::Value(value) => Some((&*about.step, value)),
            _ => None,
        })
        .collect()
}

fn compare(
    (left, left_end): (&Announcement, &Finish),
    (right, right_end): (&Announcement, &Finish),
    one: &BTreeMap<&str, &Arc<Value>>,
    other: &BTreeMap<&str, &Arc<Value>>,
) -> Option<Difference> {
    let difference = |what, one: String, other: String| Some(Difference { what, one, other });
    if left.tool != right.tool {
        return difference("other tools", left.tool.to_string(), right.tool.to_string());
    }
    if left.arguments != right.arguments {
        let digest = |about: &Announcement| format!("digest {}", about.arguments);
        return difference("other arguments", digest(left), digest(right));
    }
    match (end(left_end, one), end(right_end, other)) {
        (End::Value(left), End::Value(right)) if left != right => {
            difference("other results", shown(left), shown(right))
        }
        (End::Failed(left), End::Failed(right)) if left != right => {
            difference("other failures", left, right)
        }
        (left @ End::Failed(_), right @ End::Value(_))
        | (left @ End::Value(_), right @ End::Failed(_)) => {
            difference("only one succeeded", left.text(), right.text())
        }
        _ => None,
    }
}

enum End<'a> {
    Value(&'a Value),
    Failed(String),
    NotKept,
}

impl End<'_> {
    fn text(&self) -> String {
        match self {
            Self::Value(value) => shown(value),
            Self::Failed(message) => message.clone(),
            Self::NotKept => "a result that was not kept".to_owned(),
        }
    }
}

fn end<'a>(finish: &'a Finish, values: &BTreeMap<&str, &'a Arc<Value>>) -> End<'a> {
    match &finish.outcome {
        Outcome::Value(value) => End::Value(value),
        Outcome::SameAs(step) => values
            .get(&**step)
            .map_or(End::NotKept, |value| End::Value(value)),
        Outcome::Failed { kind, message } => End::Failed(format!("{kind}: {message}")),
        Outcome::NotKept => End::NotKept,
    }
}

/// What tells a result from others, and what is shown of it.
fn told(value: &Value) -> Value {
    let digest = KeyId::of_content(&[value.to_string().as_bytes()]);
    json!([digest.to_string(), short(value)])
}

/// What is shown of a result that was [`told`].
fn shown(told: &Value) -> String {
    told[1].as_str().unwrap_or_default().to_owned()
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
