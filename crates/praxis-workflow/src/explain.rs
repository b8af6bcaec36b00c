//! What a run of a plan would do: which steps overlap, what waits for what and why, and how long it
//! may take.

mod draw;
mod steps;
mod text;
mod together;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::cost::{CostModel, unseen};
use crate::graph::{self, Estimate, Graph, GraphKind, Overlap};
use crate::pass::Change;
use crate::plan::{Plan, Slot};

/// The form of the document.
const VERSION: u32 = 1;

/// An explanation of a plan: a document that serialises, and that prints as text, Mermaid or DOT.
///
/// The field names are stable. All durations are predictions in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The form of this document: 1.
    pub version: u32,
    /// The program's `WORKFLOW` name.
    pub workflow: Option<String>,
    /// How many steps may run at once.
    pub jobs: usize,
    /// The calls in program order.
    pub steps: Vec<ExplainedStep>,
    /// The blocks in program order.
    pub blocks: Vec<ExplainedBlock>,
    /// Ids of calls that may run at the same time, by the number of calls on the longest way to them;
    /// of the branches of an `IF`, one runs.
    pub groups: Vec<Vec<String>>,
    /// What the passes noted.
    pub changes: Vec<Change>,
    /// The waits that were found, and those that remain when what others imply is taken away.
    pub edges: EdgeCounts,
    /// How long it may take.
    pub prediction: Predicted,
}

/// A call.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedStep {
    /// The step's id.
    pub id: String,
    /// The line of its `CALL`.
    pub line: u32,
    /// Its tool.
    pub tool: String,
    /// `pure`, `read`, `write` or `external`.
    pub effects: &'static str,
    /// What it reads, where the source tells; `None` stands for what is known only when it runs.
    pub reads: Vec<Option<String>>,
    /// What it writes, likewise.
    pub writes: Vec<Option<String>>,
    /// The block that it stands in, as an index into the blocks.
    pub block: Option<usize>,
    /// Of an `IF`'s branches, the one that it stands in, from 0; null in other blocks.
    pub branch: Option<u32>,
    /// `runs`; `never` where no run comes to it; `merged` and `unused` where its tool is not called.
    pub fate: &'static str,
    /// Its group; null for a step that never runs.
    pub group: Option<u32>,
    /// What it waits for; empty if it starts at once.
    pub waits_for: Vec<Wait>,
    /// How many more waits there are than are listed.
    pub more_waits: usize,
    /// How long one call is expected to take.
    pub expected_ms: f64,
    /// Whether that was learned from earlier runs.
    pub learned: bool,
    /// Whether it stands on the critical path.
    pub critical: bool,
}

/// A block: `IF`, `FOR`, `PARALLEL FOR`, `PARALLEL` or `TRY`.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedBlock {
    /// Its first word.
    pub kind: &'static str,
    /// Its line.
    pub line: u32,
    /// The block that it stands in, as an index into the blocks.
    pub block: Option<usize>,
    /// Of an `IF`'s branches, the one that it stands in, from 0; null in other blocks.
    pub branch: Option<u32>,
    /// What it waits for.
    pub waits_for: Vec<Wait>,
    /// How many more waits there are than are listed.
    pub more_waits: usize,
    /// Of a loop: how many rounds, and how they overlap.
    pub rounds: Option<ExplainedRounds>,
}

/// The rounds of a loop.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedRounds {
    /// How many; a guess where the source does not tell.
    pub count: usize,
    /// Whether the source tells.
    pub known: bool,
    /// How they overlap, in words.
    pub overlap: String,
}

/// One thing that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The line of what is waited for.
    pub line: u32,
    /// The step's id; null for a block.
    pub id: Option<String>,
    /// `data`, `read`, `change`, `after`, `inside` or `return`.
    pub because: &'static str,
    /// The name that is used.
    pub name: Option<String>,
    /// The resource that is read.
    pub resource: Option<String>,
    /// The whole in words.
    pub text: String,
}

/// How many waits there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EdgeCounts {
    /// Found in the program.
    pub found: usize,
    /// Left after the transitive reduction.
    pub kept: usize,
}

/// How long a run may take, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Predicted {
    /// With these jobs, the longest remaining path first.
    pub makespan_ms: f64,
    /// What no order of the steps beats: the critical path, or all work divided among the jobs.
    pub lower_bound_ms: f64,
    /// The longest chain of steps that wait for each other.
    pub critical_path_ms: f64,
    /// All steps one by one.
    pub work_ms: f64,
    /// The ids on the critical path.
    pub critical_path: Vec<String>,
    /// How many rounds a loop is taken to have where the source does not tell.
    pub assumed_rounds: usize,
}

impl Plan {
    /// Sets how soon each step goes when more could start than there are jobs: the longest remaining
    /// path first, with durations as `costs` expects them. Without it, paths are counted in calls.
    pub fn prioritise(&mut self, costs: &dyn CostModel) {
        let estimates = estimates(self, costs);
        crate::order::measure_with(self, &|step| {
            (estimates[step as usize].ms * 100.0).clamp(1.0, f64::from(u32::MAX)) as u32
        });
    }

    /// Explains what a run with these inputs and that many jobs would do. An input that is not given
    /// and has no default counts as known only when it runs.
    pub fn explain(
        &self,
        inputs: &Map<String, Value>,
        costs: &dyn CostModel,
        jobs: usize,
    ) -> Explanation {
        let values: HashMap<Slot, Value> = self
            .inputs
            .iter()
            .filter_map(|input| {
                let value = inputs.get(&input.name).or(input.default.as_ref())?;
                Some((input.slot, value.clone()))
            })
            .collect();
        let graph = Graph::of(self, &values);
        let estimates = estimates(self, costs);
        let prediction = graph::predict(self, &graph, &estimates, jobs);
        let kept = graph.nodes.iter().map(|node| node.edges.len()).sum();
        let (steps, blocks) = steps::describe(self, &graph, &values, &estimates, &prediction);
        let mut groups: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for step in &steps {
            if let Some(group) = step.group {
                groups.entry(group).or_default().push(step.id.clone());
            }
        }
        Explanation {
            version: VERSION,
            workflow: self.name.clone(),
            jobs,
            steps,
            blocks,
            groups: groups.into_values().collect(),
            changes: self.changes.clone(),
            edges: EdgeCounts {
                found: graph.edges_found,
                kept,
            },
            prediction: Predicted {
                makespan_ms: rounded(prediction.makespan),
                lower_bound_ms: rounded(prediction.lower_bound),
                critical_path_ms: rounded(prediction.critical_path),
                work_ms: rounded(prediction.work),
                critical_path: prediction
                    .path
                    .iter()
                    .map(|&step| self.step(step).id.to_string())
                    .collect(),
                assumed_rounds: graph::ASSUMED_ROUNDS,
            },
        }
    }
}

impl Explanation {
    /// For people: the program in its own terms, bounded in length.
    pub fn to_text(&self) -> String {
        text::text(self)
    }

    /// A Mermaid flowchart.
    pub fn to_mermaid(&self) -> String {
        draw::mermaid(self)
    }

    /// A Graphviz digraph.
    pub fn to_dot(&self) -> String {
        draw::dot(self)
    }
}

fn estimates(plan: &Plan, costs: &dyn CostModel) -> Vec<Estimate> {
    let mut known: HashMap<&str, Option<Duration>> = HashMap::new();
    plan.steps
        .iter()
        .map(|step| {
            let expected = *known
                .entry(&step.tool)
                .or_insert_with(|| costs.expected(&step.tool));
            let duration = expected.unwrap_or_else(|| unseen(step.class));
            Estimate {
                ms: duration.as_secs_f64() * 1000.0,
                learned: expected.is_some(),
            }
        })
        .collect()
}

fn rounded(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

fn overlap_in_words(overlap: Overlap) -> String {
    match overlap {
        Overlap::UpTo(1) | Overlap::None => "one after the other".to_owned(),
        Overlap::UpTo(limit) => format!("up to {limit} at once"),
        Overlap::UntilTheyWrite => {
            "each waits for the one before it from its first change of the world on".to_owned()
        }
    }
}

fn word(kind: GraphKind) -> &'static str {
    match kind {
        GraphKind::Plain(word) | GraphKind::Open(word) => word,
        GraphKind::Call(_) => "CALL",
        GraphKind::Close(..) | GraphKind::All => "",
    }
}
