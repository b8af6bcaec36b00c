//! How long a run will take: the critical path, the lower bound, and a simulated schedule.
//!
//! No schedule is shorter than the longest chain, nor than all work divided among the jobs. The
//! prediction is a list schedule with the longest remaining path first (R. L. Graham, *Bounds on
//! Multiprocessing Timing Anomalies*, 1969), which the scheduler follows too.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::effect::EffectClass;
use crate::plan::{Plan, StepIndex};

use super::{Graph, GraphKind, NodeId, Overlap, Rounds};

/// What a call is taken to last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) ms: f64,
    /// Whether it was learned; otherwise it is what the effects suggest.
    pub(crate) learned: bool,
}

/// Milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Prediction {
    pub(crate) makespan: f64,
    pub(crate) lower_bound: f64,
    pub(crate) critical_path: f64,
    pub(crate) work: f64,
    /// The calls on the critical path, in their order.
    pub(crate) path: Vec<StepIndex>,
    /// By call: how many calls stand before it on its longest way from the start.
    pub(crate) wave: Vec<u32>,
}

pub(crate) fn predict(
    plan: &Plan,
    graph: &Graph,
    estimates: &[Estimate],
    jobs: usize,
) -> Prediction {
    let durations = durations(plan, graph, estimates);
    let (finish, longest) = finishes(graph, &durations);
    let critical_path = longest.map_or(0.0, |node| finish[node as usize]);
    let work: f64 = graph
        .nodes
        .iter()
        .filter(|node| node.usual)
        .map(|node| match node.kind {
            GraphKind::Call(step) => call_ms(plan, estimates, step) * node.times,
            _ => 0.0,
        })
        .sum();
    let lower_bound = critical_path.max(work / jobs.max(1) as f64);
    let simulated = simulate(graph, &durations, jobs.max(1));
    Prediction {
        makespan: simulated.max(lower_bound),
        lower_bound,
        critical_path,
        work,
        path: path(graph, &durations, &finish, longest),
        wave: waves(graph),
    }
}

fn call_ms(plan: &Plan, estimates: &[Estimate], step: StepIndex) -> f64 {
    let spec = plan.step(step);
    if spec.twin.is_some() || spec.unused {
        0.0
    } else {
        estimates[step as usize].ms
    }
}

/// Each node's own duration; the rounds of a loop past the first are added to its end.
fn durations(plan: &Plan, graph: &Graph, estimates: &[Estimate]) -> Vec<f64> {
    let count = graph.nodes.len();
    let mut durations = vec![0.0; count];
    let mut finish = vec![0.0f64; count];
    // By loop's opening: when the first step that changes the world may start.
    let mut first_write = vec![f64::INFINITY; count];
    for id in 0..count {
        let node = &graph.nodes[id];
        let start = start(graph, &finish, id);
        durations[id] = match node.kind {
            _ if !node.usual => 0.0,
            GraphKind::Call(step) => {
                if plan.step(step).class >= EffectClass::Write {
                    let mut around = node.inside;
                    while let Some(open) = around {
                        let first = &mut first_write[open as usize];
                        *first = first.min(start);
                        around = graph.nodes[open as usize].inside;
                    }
                }
                call_ms(plan, estimates, step)
            }
            GraphKind::Close(open, Some(rounds)) => {
                let length = start - finish[open as usize];
                let serial = start - first_write[open as usize].min(start);
                more_rounds(rounds, length, serial)
            }
            _ => 0.0,
        };
        finish[id] = start + durations[id];
    }
    durations
}

fn more_rounds(rounds: Rounds, length: f64, serial: f64) -> f64 {
    let more = rounds.count.saturating_sub(1) as f64;
    match rounds.overlap {
        Overlap::None => more * length,
        Overlap::UntilTheyWrite => more * serial,
        Overlap::UpTo(limit) => {
            (rounds.count.div_ceil(limit.max(1)).saturating_sub(1)) as f64 * length
        }
    }
}

fn start(graph: &Graph, finish: &[f64], id: usize) -> f64 {
    let before = graph.nodes[id].edges.iter();
    before
        .map(|edge| finish[edge.from as usize])
        .fold(0.0, f64::max)
}

fn finishes(graph: &Graph, durations: &[f64]) -> (Vec<f64>, Option<NodeId>) {
    let mut finish = vec![0.0f64; graph.nodes.len()];
    let mut longest: Option<NodeId> = None;
    for id in 0..graph.nodes.len() {
        finish[id] = start(graph, &finish, id) + durations[id];
        if longest.is_none_or(|best| finish[id] > finish[best as usize]) {
            longest = Some(id as NodeId);
        }
    }
    (finish, longest)
}

fn path(
    graph: &Graph,
    durations: &[f64],
    finish: &[f64],
    longest: Option<NodeId>,
) -> Vec<StepIndex> {
    let mut path = Vec::new();
    let mut at = longest;
    while let Some(id) = at {
        let node = &graph.nodes[id as usize];
        if let GraphKind::Call(step) = node.kind
            && durations[id as usize] > 0.0
        {
            path.push(step);
        }
        at = node
            .edges
            .iter()
            .map(|edge| edge.from)
            .max_by(|a, b| finish[*a as usize].total_cmp(&finish[*b as usize]));
    }
    path.reverse();
    path
}

fn waves(graph: &Graph) -> Vec<u32> {
    let mut reached = vec![0u32; graph.nodes.len()];
    let mut waves = vec![0u32; graph.calls.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        let before = node.edges.iter().map(|edge| reached[edge.from as usize]);
        let wave = before.max().unwrap_or(0);
        reached[id] = match node.kind {
            GraphKind::Call(step) => {
                waves[step as usize] = wave;
                wave + 1
            }
            _ => wave,
        };
    }
    waves
}

/// The end of a list schedule, the longest remaining path first.
fn simulate(graph: &Graph, durations: &[f64], jobs: usize) -> f64 {
    let count = graph.nodes.len();
    let mut behind: Vec<Vec<NodeId>> = vec![Vec::new(); count];
    let mut pending = vec![0u32; count];
    for (id, node) in graph.nodes.iter().enumerate() {
        let mut sources: Vec<NodeId> = node.edges.iter().map(|edge| edge.from).collect();
        sources.sort_unstable();
        sources.dedup();
        pending[id] = sources.len() as u32;
        for source in sources {
            behind[source as usize].push(id as NodeId);
        }
    }
    let mut remaining = vec![0.0f64; count];
    for id in (0..count).rev() {
        let after = behind[id].iter().map(|&next| remaining[next as usize]);
        remaining[id] = durations[id] + after.fold(0.0, f64::max);
    }
    let mut schedule = Schedule {
        graph,
        durations,
        remaining,
        behind,
        pending,
        ready: BinaryHeap::new(),
        running: BinaryHeap::new(),
        now: 0,
    };
    let first = (0..count as NodeId).filter(|&id| schedule.pending[id as usize] == 0);
    schedule.release(first.collect());
    let mut free = jobs;
    loop {
        while free > 0
            && let Some((_, Reverse(id))) = schedule.ready.pop()
        {
            free -= 1;
            schedule.begin(id);
        }
        let Some(Reverse((end, id))) = schedule.running.pop() else {
            return schedule.now as f64 / 1e6;
        };
        schedule.now = end;
        free += usize::from(schedule.takes_job(id));
        schedule.ended(id);
    }
}

struct Schedule<'g> {
    graph: &'g Graph,
    durations: &'g [f64],
    remaining: Vec<f64>,
    behind: Vec<Vec<NodeId>>,
    pending: Vec<u32>,
    /// Calls that wait for a job.
    ready: BinaryHeap<(u64, Reverse<NodeId>)>,
    running: BinaryHeap<Reverse<(u64, NodeId)>>,
    /// Nanoseconds.
    now: u64,
}

impl Schedule<'_> {
    fn takes_job(&self, id: NodeId) -> bool {
        matches!(self.graph.nodes[id as usize].kind, GraphKind::Call(_))
            && self.durations[id as usize] > 0.0
    }

    fn begin(&mut self, id: NodeId) {
        let end = self.now + nanoseconds(self.durations[id as usize]);
        self.running.push(Reverse((end, id)));
    }

    /// Sets nodes going that wait for nothing; whatever is no call needs no job.
    fn release(&mut self, mut free: Vec<NodeId>) {
        while let Some(id) = free.pop() {
            if self.takes_job(id) {
                let left = nanoseconds(self.remaining[id as usize]);
                self.ready.push((left, Reverse(id)));
            } else if self.durations[id as usize] > 0.0 {
                self.begin(id);
            } else {
                self.wake(id, &mut free);
            }
        }
    }

    fn ended(&mut self, id: NodeId) {
        let mut free = Vec::new();
        self.wake(id, &mut free);
        self.release(free);
    }

    fn wake(&mut self, id: NodeId, free: &mut Vec<NodeId>) {
        for &next in &self.behind[id as usize] {
            self.pending[next as usize] -= 1;
            if self.pending[next as usize] == 0 {
                free.push(next);
            }
        }
    }
}

fn nanoseconds(ms: f64) -> u64 {
    (ms * 1e6) as u64
}
