//! An explanation as a picture: Mermaid and Graphviz.

use std::collections::HashMap;
use std::fmt::Write;

use super::text::shown_up_to;
use super::{Explanation, Wait};

/// How many steps and blocks are drawn; a larger picture helps nobody.
const MOST_DRAWN: usize = 500;
/// Longer labels are cut.
const LONGEST: usize = 60;

/// Something that is drawn, by what waits name it.
struct Drawn<'e> {
    name: String,
    label: String,
    waits: &'e [Wait],
    is_block: bool,
    critical: bool,
}

/// What is drawn, by the line and the id that waits give it.
type Names<'e> = HashMap<(u32, Option<&'e str>), String>;

fn drawn(explanation: &Explanation) -> (Vec<Drawn<'_>>, Names<'_>) {
    let mut all = Vec::new();
    let mut names = HashMap::new();
    for (index, block) in explanation.blocks.iter().enumerate().take(MOST_DRAWN) {
        let name = format!("b{index}");
        names
            .entry((block.line, None))
            .or_insert_with(|| name.clone());
        all.push(Drawn {
            name,
            label: format!("line {}: {}", block.line, block.kind),
            waits: &block.waits_for,
            is_block: true,
            critical: false,
        });
    }
    for (index, step) in explanation.steps.iter().enumerate() {
        if step.fate == "never" || all.len() >= MOST_DRAWN {
            continue;
        }
        let name = format!("n{index}");
        names.insert((step.line, Some(step.id.as_str())), name.clone());
        let fate = match step.fate {
            "runs" => String::new(),
            fate => format!(" ({fate})"),
        };
        all.push(Drawn {
            name,
            label: format!("line {}: {} {}{fate}", step.line, step.id, step.tool),
            waits: &step.waits_for,
            is_block: false,
            critical: step.critical,
        });
    }
    (all, names)
}

fn left_out(explanation: &Explanation, drawn: usize) -> usize {
    let steps = explanation.steps.iter().filter(|step| step.fate != "never");
    (explanation.blocks.len() + steps.count()).saturating_sub(drawn)
}

fn because(wait: &Wait) -> String {
    match (&wait.name, &wait.resource) {
        (Some(name), _) => format!("${name}"),
        (None, Some(resource)) => resource.clone(),
        _ => wait.because.to_owned(),
    }
}

pub(super) fn mermaid(explanation: &Explanation) -> String {
    let (all, names) = drawn(explanation);
    let mut out = String::from("flowchart TD\n");
    for one in &all {
        let label = in_mermaid(&one.label);
        let (open, close) = if one.is_block {
            ("{{", "}}")
        } else {
            ("[", "]")
        };
        let _ = writeln!(out, "  {}{open}\"{label}\"{close}", one.name);
    }
    for one in &all {
        for wait in one.waits {
            let Some(from) = names.get(&(wait.line, wait.id.as_deref())) else {
                continue;
            };
            let arrow = if wait.because == "data" {
                "-->"
            } else {
                "-.->"
            };
            let label = in_mermaid(&because(wait));
            let _ = writeln!(out, "  {from} {arrow}|\"{label}\"| {}", one.name);
        }
    }
    let critical: Vec<&str> = all
        .iter()
        .filter(|one| one.critical)
        .map(|one| one.name.as_str())
        .collect();
    if !critical.is_empty() {
        let _ = writeln!(out, "  classDef critical stroke-width:3px");
        let _ = writeln!(out, "  class {} critical", critical.join(","));
    }
    match left_out(explanation, all.len()) {
        0 => {}
        more => {
            let _ = writeln!(out, "  more[\"… and {more} more\"]");
        }
    }
    out
}

pub(super) fn dot(explanation: &Explanation) -> String {
    let (all, names) = drawn(explanation);
    let mut out = String::from("digraph workflow {\n  node [shape=box];\n");
    for one in &all {
        let mut look = String::new();
        if one.is_block {
            look.push_str(", shape=hexagon");
        }
        if one.critical {
            look.push_str(", penwidth=3");
        }
        let _ = writeln!(
            out,
            "  {} [label=\"{}\"{look}];",
            one.name,
            in_dot(&one.label)
        );
    }
    for one in &all {
        for wait in one.waits {
            let Some(from) = names.get(&(wait.line, wait.id.as_deref())) else {
                continue;
            };
            let style = if wait.because == "data" {
                "solid"
            } else {
                "dashed"
            };
            let label = in_dot(&because(wait));
            let _ = writeln!(
                out,
                "  {from} -> {} [label=\"{label}\", style={style}];",
                one.name
            );
        }
    }
    match left_out(explanation, all.len()) {
        0 => {}
        more => {
            let _ = writeln!(
                out,
                "  more [label=\"… and {more} more\", shape=plaintext];"
            );
        }
    }
    out.push_str("}\n");
    out
}

/// Text for a quoted Mermaid label, where entities stand between `#` and `;`.
fn in_mermaid(text: &str) -> String {
    let mut out = String::new();
    for letter in shown_up_to(text, LONGEST).chars() {
        match letter {
            '"' => out.push_str("#quot;"),
            '#' | '<' | '>' | '&' | '`' | '\\' => {
                let _ = write!(out, "#{};", letter as u32);
            }
            letter => out.push(letter),
        }
    }
    out
}

/// Text for a quoted DOT label.
fn in_dot(text: &str) -> String {
    let mut out = String::new();
    for letter in shown_up_to(text, LONGEST).chars() {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}
