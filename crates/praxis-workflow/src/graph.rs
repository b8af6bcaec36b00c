//! The program as one graph of calls and blocks: what waits for what, as far as the source tells.
//!
//! The scheduler finds out while it runs, with values at hand; this is its rule with those values
//! alone that stand in the source, so it may show a wait that a run turns out not to need, and a
//! round of a loop stands for all of them.
//! Nodes stand in program order, so every edge leads from a lower number to a higher one.

mod build;
mod reduce;
mod predict;

use std::collections::HashMap;

use serde_json::Value;

use crate::effect::ResourcePath;
use crate::plan::{Plan, Slot, StepIndex};

pub(crate) use build::{ASSUMED_ROUNDS, known};
pub(crate) use predict::{Estimate, Prediction, predict};

/// An index into [`Graph::nodes`].
pub(crate) type NodeId = u32;

#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<GraphNode>,
    /// The node of each call; none for one that no run comes to.
    pub(crate) calls: Vec<Option<NodeId>>,
    /// How many edges there were before the reduction.
    pub(crate) edges_found: usize,
}

#[derive(Debug)]
pub(crate) struct GraphNode {
    pub(crate) kind: GraphKind,
    pub(crate) line: u32,
    /// What it waits for.
    pub(crate) edges: Vec<Edge>,
    /// The block's opening that it stands in.
    pub(crate) inside: Option<NodeId>,
    /// Of an `IF`'s branches, the one that it stands in, from 0.
    pub(crate) branch: u32,
    /// How often it runs for each time that the program runs, as far as it is known.
    pub(crate) times: f64,
    /// Whether a usual run comes here: not a handler, nor the cheaper branch.
    pub(crate) usual: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum GraphKind {
    Call(StepIndex),
    /// `LET` of a value, `RETURN`.
    Plain(&'static str),
    Open(&'static str),
    /// The end of the block that was opened there.
    Close(NodeId, Option<Rounds>),
    /// Everything before a position.
    All,
}

/// How the rounds of a loop lie to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rounds {
    /// How many; a guess where the source does not tell.
    pub(crate) count: usize,
    pub(crate) known: bool,
    pub(crate) overlap: Overlap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// So many at once.
    UpTo(usize),
    /// From their first change of the world on, one after the other.
    UntilTheyWrite,
    /// One after the other, since a round may end the run.
    None,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edge {
    pub(crate) from: NodeId,
    pub(crate) because: Because,
}

/// Why one node waits for another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Because {
    /// It uses what the other binds.
    Uses(Slot),
    /// It reads what the other writes; `None` where the resource is known only when it runs.
    Reads(Option<ResourcePath>),
    /// It changes the world, so all before it must have succeeded.
    Changes,
    /// `@after`.
    After,
    /// It stands in a block that the other opens.
    Inside,
    /// The other may end the run.
    Returns,
    /// It is part of the block or of all that stand before.
    Part,
}

impl Graph {
    /// The graph of a plan, without edges that others imply, where the program's inputs have these
    /// values.
    pub(crate) fn of(plan: &Plan, inputs: &HashMap<Slot, Value>) -> Self {
        let mut graph = build::build(plan, inputs);
        reduce::reduce(&mut graph);
        graph
    }
}
