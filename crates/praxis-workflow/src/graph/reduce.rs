//! Transitive reduction: an edge that the others imply is taken away.
//!
//! A directed graph without circles has one reduction (A. V. Aho, M. R. Garey, J. D. Ullman, *The
//! Transitive Reduction of a Directed Graph*, 1972). For each node, what it waits for is searched
//! backwards from its latest predecessor on; memory stays linear, and the search of one node ends after
//! [`MOST_VISITS`] nodes, past which its remaining edges are kept.

use std::collections::HashSet;

use super::{Because, Edge, Graph, GraphKind, NodeId};

const MOST_VISITS: usize = 4096;

pub(super) fn reduce(graph: &mut Graph) {
    let mut seen = vec![0u32; graph.nodes.len()];
    for id in 0..graph.nodes.len() {
        let sources = sources(graph, id);
        let Some(&earliest) = sources.first() else {
            continue;
        };
        if sources.len() < 2 {
            continue;
        }
        let stamp = id as u32 + 1;
        let mut open: Vec<NodeId> = Vec::new();
        let mut implied = Vec::new();
        let mut visits = 0;
        for &source in sources.iter().rev() {
            if seen[source as usize] == stamp {
                implied.push(source);
                continue;
            }
            seen[source as usize] = stamp;
            open.push(source);
            while let Some(at) = open.pop() {
                for edge in &graph.nodes[at as usize].edges {
                    let from = edge.from;
                    if from >= earliest && seen[from as usize] != stamp {
                        seen[from as usize] = stamp;
                        open.push(from);
                        visits += 1;
                    }
                }
                if visits > MOST_VISITS {
                    break;
                }
            }
            open.clear();
            if visits > MOST_VISITS {
                break;
            }
        }
        let mut edges = std::mem::take(&mut graph.nodes[id].edges);
        let told = gathered(graph, &edges);
        edges.retain(|edge| {
            let is_told = matches!(edge.because, Because::Uses(_)) && told.contains(&edge.from);
            is_told || !implied.contains(&edge.from)
        });
        graph.nodes[id].edges = edges;
    }
}

/// What stands for all before is read as what it gathers, so the use of a name of one of those is worth
/// telling.
fn gathered(graph: &Graph, edges: &[Edge]) -> HashSet<NodeId> {
    edges
        .iter()
        .map(|edge| &graph.nodes[edge.from as usize])
        .filter(|node| node.kind == GraphKind::All && node.edges.len() <= MOST_VISITS)
        .flat_map(|gate| gate.edges.iter().map(|edge| edge.from))
        .collect()
}

fn sources(graph: &Graph, id: usize) -> Vec<NodeId> {
    let mut sources: Vec<NodeId> = graph.nodes[id].edges.iter().map(|edge| edge.from).collect();
    sources.sort_unstable();
    sources.dedup();
    sources
}

#[cfg(test)]
mod tests {
    use petgraph::algo::tred::{
        dag_to_toposorted_adjacency_list, dag_transitive_reduction_closure,
    };
    use petgraph::graph::{DiGraph, NodeIndex};
    use petgraph::visit::IntoNeighbors;
    use proptest::prelude::*;

    use super::*;
    use crate::graph::GraphNode;

    fn graph(count: usize, edges: &[(u32, u32)]) -> Graph {
        let nodes = (0..count as u32).map(|id| GraphNode {
            kind: GraphKind::Plain("LET"),
            line: id,
            edges: edges
                .iter()
                .filter(|edge| edge.1 == id)
                .map(|edge| Edge {
                    from: edge.0,
                    because: Because::After,
                })
                .collect(),
            inside: None,
            branch: 0,
            times: 1.0,
            usual: true,
        });
        Graph {
            nodes: nodes.collect(),
            calls: Vec::new(),
            edges_found: edges.len(),
        }
    }

    proptest! {
        #[test]
        fn it_is_the_reduction_that_petgraph_gives(
            pairs in prop::collection::btree_set((0u32..14, 0u32..14), 0..60),
        ) {
            let edges: Vec<(u32, u32)> = pairs.into_iter().filter(|(a, b)| a < b).collect();
            let mut ours = graph(14, &edges);
            reduce(&mut ours);
            let mut theirs: DiGraph<(), ()> = DiGraph::new();
            for _ in 0..14 {
                theirs.add_node(());
            }
            for (from, to) in &edges {
                theirs.add_edge(NodeIndex::new(*from as usize), NodeIndex::new(*to as usize), ());
            }
            let order: Vec<NodeIndex> = (0..14).map(NodeIndex::new).collect();
            let (list, _) = dag_to_toposorted_adjacency_list::<_, u32>(&theirs, &order);
            let (reduced, _) = dag_transitive_reduction_closure(&list);
            let mut expected: Vec<(u32, u32)> = Vec::new();
            for from in 0..14u32 {
                expected.extend(reduced.neighbors(from).map(|to| (from, to)));
            }
            let mut found: Vec<(u32, u32)> = Vec::new();
            for (to, node) in ours.nodes.iter().enumerate() {
                found.extend(node.edges.iter().map(|edge| (edge.from, to as u32)));
            }
            expected.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
