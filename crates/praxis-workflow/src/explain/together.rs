//! Which steps may run at the same time, of the branches of an `IF` one.

use std::collections::HashMap;

use super::{ExplainedStep, Explanation};

/// The branches that a step stands in, outermost first: the block of each `IF`, and which branch.
type Branches = Vec<(usize, u32)>;

/// After so many parts of one group, the rest of it is left out.
const MOST_PARTS: usize = 64;

/// The explanation's groups with those parted that hold steps of several branches of an `IF`.
/// A step outside of those branches is in each part; groups of one step are left out.
pub(super) fn together(explanation: &Explanation) -> Vec<Vec<&str>> {
    let steps: HashMap<&str, &ExplainedStep> = explanation
        .steps
        .iter()
        .map(|step| (step.id.as_str(), step))
        .collect();
    let mut groups = Vec::new();
    for group in explanation.groups.iter().filter(|group| group.len() > 1) {
        let members: Vec<(&str, Branches)> = group
            .iter()
            .map(|id| (id.as_str(), branches(explanation, steps[id.as_str()])))
            .collect();
        let mut deepest: Vec<usize> = (0..members.len()).collect();
        deepest.sort_by_key(|&member| std::cmp::Reverse(members[member].1.len()));
        let mut shown = vec![false; members.len()];
        let mut parts = 0;
        for seed in deepest {
            if shown[seed] || parts == MOST_PARTS {
                continue;
            }
            parts += 1;
            let mut taken: HashMap<usize, u32> = members[seed].1.iter().copied().collect();
            let mut part = Vec::new();
            // What no part has shown goes first, so that few parts show all.
            for again in [false, true] {
                for (member, (_, branches)) in members.iter().enumerate() {
                    let fits = |(block, branch): &(usize, u32)| {
                        taken.get(block).is_none_or(|other| other == branch)
                    };
                    if shown[member] == again && branches.iter().all(fits) {
                        taken.extend(branches.iter().copied());
                        part.push(member);
                    }
                }
            }
            part.sort_unstable();
            for &member in &part {
                shown[member] = true;
            }
            if part.len() > 1 {
                groups.push(part.into_iter().map(|member| members[member].0).collect());
            }
        }
    }
    groups
}

fn branches(explanation: &Explanation, step: &ExplainedStep) -> Branches {
    let mut found = Vec::new();
    let (mut block, mut branch) = (step.block, step.branch);
    while let Some(index) = block {
        found.extend(branch.map(|branch| (index, branch)));
        let around = &explanation.blocks[index];
        (block, branch) = (around.block, around.branch);
    }
    found.reverse();
    found
}
