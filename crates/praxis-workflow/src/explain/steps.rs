//! Calls and blocks with what they wait for, in the source's terms.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::effect::{EffectClass, ResourceParameter, ResourcePath};
use crate::graph::{Because, Estimate, Graph, GraphKind, NodeId, Prediction, known};
use crate::plan::{Plan, Slot, StepSpec};

use super::{
    ExplainedBlock, ExplainedRounds, ExplainedStep, Wait, overlap_in_words, rounded, word,
};

/// How many waits of one step are listed.
const MOST_WAITS: usize = 32;
/// How many nodes are looked at for them.
const MOST_LOOKS: usize = 256;

pub(super) fn describe(
    plan: &Plan,
    graph: &Graph,
    inputs: &HashMap<Slot, Value>,
    estimates: &[Estimate],
    prediction: &Prediction,
) -> (Vec<ExplainedStep>, Vec<ExplainedBlock>) {
    let teller = Teller {
        plan,
        graph,
        inputs,
    };
    let mut rounds = HashMap::new();
    for node in &graph.nodes {
        if let GraphKind::Close(open, Some(lie)) = node.kind {
            rounds.insert(open, lie);
        }
    }
    let mut indices = HashMap::new();
    let mut blocks = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        let GraphKind::Open(kind) = node.kind else {
            continue;
        };
        indices.insert(id as NodeId, blocks.len());
        let (waits_for, more_waits) = teller.waits(id as NodeId, None);
        blocks.push(ExplainedBlock {
            kind,
            line: node.line,
            block: node.inside.and_then(|open| indices.get(&open).copied()),
            branch: branch(graph, id as NodeId),
            waits_for,
            more_waits,
            rounds: rounds.get(&(id as NodeId)).map(|lie| ExplainedRounds {
                count: lie.count,
                known: lie.known,
                overlap: overlap_in_words(lie.overlap),
            }),
        });
    }
    let critical: HashSet<u32> = prediction.path.iter().copied().collect();
    let steps = plan.steps.iter().enumerate().map(|(index, step)| {
        let node = graph.calls[index];
        let (waits_for, more_waits) =
            node.map_or((Vec::new(), 0), |node| teller.waits(node, Some(step)));
        let inside = node.and_then(|node| graph.nodes[node as usize].inside);
        ExplainedStep {
            id: step.id.to_string(),
            line: step.location.line,
            tool: step.tool.to_string(),
            effects: effects(step.class),
            reads: teller.resources(
                step,
                step.class == EffectClass::Read || !step.reads.is_empty(),
                &step.reads,
            ),
            writes: teller.resources(step, step.class == EffectClass::Write, &step.writes),
            block: inside.and_then(|open| indices.get(&open).copied()),
            branch: node.and_then(|node| branch(graph, node)),
            fate: match node {
                None => "never",
                Some(_) if step.twin.is_some() => "merged",
                Some(_) if step.unused => "unused",
                Some(_) => "runs",
            },
            group: node.map(|_| prediction.wave[index]),
            waits_for,
            more_waits,
            expected_ms: rounded(estimates[index].ms),
            learned: estimates[index].learned,
            critical: critical.contains(&(index as u32)),
        }
    });
    (steps.collect(), blocks)
}

/// Which branch of an `IF` a node stands in.
fn branch(graph: &Graph, node: NodeId) -> Option<u32> {
    let node = &graph.nodes[node as usize];
    let open = &graph.nodes[node.inside? as usize];
    (open.kind == GraphKind::Open("IF")).then_some(node.branch)
}

fn effects(class: EffectClass) -> &'static str {
    match class {
        EffectClass::Pure => "pure",
        EffectClass::Read => "read",
        EffectClass::Write => "write",
        EffectClass::External => "external",
    }
}

struct Teller<'p> {
    plan: &'p Plan,
    graph: &'p Graph,
    inputs: &'p HashMap<Slot, Value>,
}

impl Teller<'_> {
    fn resources(
        &self,
        step: &StepSpec,
        any: bool,
        parameters: &[ResourceParameter],
    ) -> Vec<Option<String>> {
        if !any {
            return Vec::new();
        }
        let value = |operand: &_| known(self.plan, self.inputs, operand);
        let paths = step.resources(parameters, &value, &ResourcePath::parse);
        let certain = parameters.iter().all(|parameter| {
            step.arguments
                .iter()
                .find(|(name, _)| *name == parameter.name)
                .is_none_or(|(_, operand)| value(operand).is_some())
        });
        let text = |path: &ResourcePath| match path.as_str() {
            "" if certain => Some("everything".to_owned()),
            "" => None,
            path => Some(path.to_owned()),
        };
        paths.iter().map(text).collect()
    }

    /// What a node waits for, with gates and ends of blocks told as what they stand for.
    fn waits(&self, node: NodeId, step: Option<&StepSpec>) -> (Vec<Wait>, usize) {
        let mut waits: Vec<Wait> = Vec::new();
        let mut more = 0;
        for edge in &self.graph.nodes[node as usize].edges {
            let mut sources = Vec::new();
            more += self.expand(edge.from, &mut sources);
            for source in sources {
                let Some(wait) = self.wait(source, &edge.because, step) else {
                    continue;
                };
                if waits.len() >= MOST_WAITS {
                    more += 1;
                } else if !waits.contains(&wait) {
                    waits.push(wait);
                }
            }
        }
        waits.sort_by_key(|wait| wait.line);
        (waits, more)
    }

    /// The nodes that a gate stands for; gives how many were not looked at.
    fn expand(&self, from: NodeId, into: &mut Vec<NodeId>) -> usize {
        let mut open = vec![from];
        let mut looks = 0;
        while let Some(id) = open.pop() {
            let node = &self.graph.nodes[id as usize];
            looks += 1;
            match node.kind {
                GraphKind::All if looks <= MOST_LOOKS => {
                    open.extend(node.edges.iter().map(|edge| edge.from));
                }
                _ if looks <= MOST_LOOKS => into.push(id),
                _ => {}
            }
        }
        looks.saturating_sub(MOST_LOOKS)
    }

    fn wait(&self, source: NodeId, because: &Because, step: Option<&StepSpec>) -> Option<Wait> {
        let (node, ended) = match self.graph.nodes[source as usize].kind {
            GraphKind::Close(open, _) => (&self.graph.nodes[open as usize], true),
            _ => (&self.graph.nodes[source as usize], false),
        };
        let (id, at) = match node.kind {
            GraphKind::Call(step) => {
                let id = self.plan.step(step).id.to_string();
                (Some(id), format!("line {}", node.line))
            }
            kind => (None, format!("the {} on line {}", word(kind), node.line)),
        };
        let (name, resource) = match because {
            Because::Uses(slot) => {
                let name = self.plan.names.text(*slot);
                ((!name.starts_with('\0')).then(|| name.to_owned()), None)
            }
            Because::Reads(path) => (None, path.as_ref().map(|path| path.as_str().to_owned())),
            _ => (None, None),
        };
        let (kind, text) = match because {
            Because::Uses(_) => {
                let taken = step.and_then(|step| step.twin);
                match &name {
                    _ if taken.is_some_and(|twin| {
                        id.as_deref() == Some(&*self.plan.step(twin.step).id)
                    }) =>
                    {
                        ("data", format!("takes over the result of {at}"))
                    }
                    Some(name) => ("data", format!("uses ${name} of {at}")),
                    None => ("data", format!("uses the result of {at}")),
                }
            }
            Because::Reads(Some(path)) => (
                "read",
                format!("reads {}, which {at} writes", path.as_str()),
            ),
            Because::Reads(None) => (
                "read",
                format!("what it reads is known only when it runs, and {at} writes"),
            ),
            Because::Changes => ("change", format!("{at} must have succeeded")),
            Because::After => ("after", format!("@after {at}")),
            Because::Inside if ended => return None,
            Because::Inside => ("inside", inside(word(node.kind), node.line)),
            Because::Returns => ("return", format!("{at} may end the run")),
            Because::Part => ("after", format!("{at} has failed")),
        };
        Some(Wait {
            line: node.line,
            id,
            because: kind,
            name,
            resource,
            text,
        })
    }
}

fn inside(word: &str, line: u32) -> String {
    match word {
        "IF" => format!("the IF on line {line} is decided"),
        "FOR" | "PARALLEL FOR" => format!("the round of the {word} on line {line} has begun"),
        "CATCH" => format!("the TRY on line {line} has failed"),
        word => format!("the {word} on line {line} has begun"),
    }
}
