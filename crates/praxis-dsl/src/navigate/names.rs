use std::collections::HashMap;

use crate::catalog::ToolCatalog;
use crate::check::{Trace, check_traced};
use crate::expression::kinds::Kinds;
use crate::source::Span;
use crate::tree::Tree;

/// Every word of a program that binds or uses a name, as the checker resolves them.
///
/// What stands in a line that the checker cannot make sense of is not looked at.
#[derive(Debug, Clone, Default)]
pub struct Names {
    occurrences: Vec<Occurrence>,
    /// By its number, the place of each binding and how it is spelt there.
    bindings: Vec<Span>,
    /// Pairs of bindings that mean one name after the branches they stand in.
    links: Vec<(usize, usize)>,
    /// By the number of a binding, the least number of those that mean the same name.
    groups: Vec<usize>,
}

/// A word that binds or uses a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// The name.
    pub name: String,
    /// Where it stands, without a `$`.
    pub span: Span,
    /// Whether the name is bound here, rather than used.
    pub binds: bool,
    /// The number of its binding; none where a name is used that is not bound there.
    binding: Option<usize>,
    /// How many links this place can see.
    links: usize,
    kinds: Kinds,
}

impl Occurrence {
    /// What its value can be, such as `an integer` or `text or null`, where that is known.
    pub fn value(&self) -> Option<String> {
        (self.kinds != Kinds::JSON).then(|| self.kinds.to_string())
    }

    /// Whether it is bound, at least on some ways through the program.
    pub fn is_bound(&self) -> bool {
        self.binding.is_some()
    }
}

impl Names {
    /// Resolves the names of `tree`, whose tools are those of `catalog`.
    pub fn of(tree: &Tree, catalog: &dyn ToolCatalog) -> Self {
        let (_, trace) = check_traced(tree, catalog, Some(Trace::default()));
        let trace = trace.unwrap_or_default();
        let source = tree.source();
        let mut numbers = HashMap::new();
        let mut first: HashMap<&str, usize> = HashMap::new();
        let mut names = Self::default();
        for (name, span, kinds) in &trace.bindings {
            let number = names.bindings.len();
            numbers.insert(*span, number);
            first.entry(name).or_insert(number);
            let span = spelt(name, *span, source);
            names.bindings.push(span);
            names.occurrences.push(Occurrence {
                name: name.clone(),
                span,
                binds: true,
                binding: Some(number),
                links: 0,
                kinds: *kinds,
            });
        }
        for used in &trace.uses {
            let binding = used.binding.and_then(|span| numbers.get(&span).copied());
            // Where a block is left open it is not known what is bound, so the checker guesses.
            let guess = || first.get(used.name.as_str()).copied();
            names.occurrences.push(Occurrence {
                name: used.name.clone(),
                span: spelt(&used.name, used.span, source),
                binds: false,
                binding: binding.or_else(|| tree.unbalanced.then(guess).flatten()),
                links: used.links,
                kinds: used.kinds,
            });
        }
        names.occurrences.sort_by_key(|occurrence| occurrence.span);
        names.occurrences.dedup();
        // Every link is between bindings that were noted; one that is not would join nothing.
        let numbered = |(one, other)| Some((*numbers.get(&one)?, *numbers.get(&other)?));
        let links = trace.links.into_iter();
        names.links = links.map(|pair| numbered(pair).unwrap_or((0, 0))).collect();
        names.groups = groups(names.bindings.len(), &names.links);
        names
    }

    /// The bindings and uses in source order.
    pub fn occurrences(&self) -> &[Occurrence] {
        &self.occurrences
    }

    /// The name that stands at the byte `offset`, or right before it.
    pub fn at(&self, offset: u32) -> Option<&Occurrence> {
        let after = self
            .occurrences
            .partition_point(|occurrence| occurrence.span.start <= offset);
        self.occurrences[..after]
            .last()
            .filter(|occurrence| offset <= occurrence.span.end)
    }

    /// Where what `occurrence` stands for is bound, in source order: several places where
    /// branches before it bind the same name, none where it is not bound.
    pub fn definitions(&self, occurrence: &Occurrence) -> Vec<Span> {
        let Some(binding) = occurrence.binding else {
            return Vec::new();
        };
        let groups = groups(self.bindings.len(), &self.links[..occurrence.links]);
        self.members(&groups, binding)
    }

    /// Every place that binds or uses what `occurrence` stands for, in source order; of a name
    /// that is not bound, its uses.
    pub fn same(&self, occurrence: &Occurrence) -> Vec<&Occurrence> {
        let group = occurrence.binding.map(|binding| self.groups[binding]);
        let same = |other: &&Occurrence| match (group, other.binding) {
            (Some(group), Some(binding)) => self.groups[binding] == group,
            (None, None) => other.name == occurrence.name,
            _ => false,
        };
        self.occurrences.iter().filter(same).collect()
    }

    fn members(&self, groups: &[usize], binding: usize) -> Vec<Span> {
        let members = (0..groups.len()).filter(|&other| groups[other] == groups[binding]);
        let mut spans: Vec<Span> = members.map(|member| self.bindings[member]).collect();
        spans.sort_unstable();
        spans.dedup();
        spans
    }
}

/// For each of `count` numbers, the least one that `links` join it with.
fn groups(count: usize, links: &[(usize, usize)]) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..count).collect();
    let root = |parents: &mut [usize], mut at: usize| {
        while parents[at] != at {
            parents[at] = parents[parents[at]];
            at = parents[at];
        }
        at
    };
    for &(one, other) in links {
        let (one, other) = (root(&mut parents, one), root(&mut parents, other));
        parents[one.max(other)] = one.min(other);
    }
    (0..count).map(|at| root(&mut parents, at)).collect()
}

/// Where `name` is spelt in the word at `span`, which may have quotes or a value around it.
fn spelt(name: &str, span: Span, source: &str) -> Span {
    let at = span.text(source).find(name).unwrap_or_default();
    let start = span.start as usize + at;
    Span::new(start, (start + name.len()).min(span.end as usize))
}

/// The names that can be used at the byte `offset`, each with the word that binds it, in the
/// order in which they were bound.
///
/// In the middle of a line these are the names that were bound before the line.
pub fn visible_names(tree: &Tree, catalog: &dyn ToolCatalog, offset: u32) -> Vec<(String, Span)> {
    let source = tree.source().as_bytes();
    let before = &source[..(offset as usize).min(source.len())];
    // Blanks at the end of a line belong to its statement.
    let blanks = before
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b' ' | b'\t'));
    let place = before.len() - blanks.count();
    let trace = Trace {
        probe: Some(Span::new(0, place).end),
        ..Trace::default()
    };
    let (_, trace) = check_traced(tree, catalog, Some(trace));
    let mut visible = trace.unwrap_or_default().visible;
    for (name, span) in &mut visible {
        *span = spelt(name, *span, tree.source());
    }
    visible
}
