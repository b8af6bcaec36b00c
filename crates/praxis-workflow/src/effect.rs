//! What a tool does to the world, and which parts of it.
//!
//! The scheduler reorders steps only as far as their effects allow, so this vocabulary decides
//! what may overlap. A tool that is not known counts as [`EffectClass::External`].

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How far a step reaches beyond its own arguments, from nothing to anything.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum EffectClass {
    /// Same arguments, same answer, nothing touched.
    Pure,
    /// Reads named resources.
    Read,
    /// Changes named resources.
    Write,
    /// Anything may happen: a barrier among effects.
    #[default]
    External,
}

impl EffectClass {
    /// Whether a step of this class must wait until everything before it has succeeded.
    pub fn changes_the_world(self) -> bool {
        matches!(self, Self::Write | Self::External)
    }
}

/// The effects that a tool declares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolEffects {
    /// The class.
    pub class: EffectClass,
    /// The parameters that name what is read. None for a reading tool means everything.
    pub reads: Vec<ResourceParameter>,
    /// The parameters that name what is written. None for a writing tool means everything.
    pub writes: Vec<ResourceParameter>,
    /// Whether it succeeds for all arguments that its contract accepts. A pure tool that cannot fail
    /// need not run where nobody uses its result.
    pub total: bool,
}

impl ToolEffects {
    /// Nothing is touched.
    pub fn pure() -> Self {
        Self {
            class: EffectClass::Pure,
            ..Self::default()
        }
    }

    /// Reads what the parameters name.
    pub fn reads(parameters: &[&str]) -> Self {
        Self {
            class: EffectClass::Read,
            reads: parameters
                .iter()
                .map(|name| ResourceParameter::new(name))
                .collect(),
            ..Self::default()
        }
    }

    /// Writes what the parameters name.
    pub fn writes(parameters: &[&str]) -> Self {
        Self {
            class: EffectClass::Write,
            writes: parameters
                .iter()
                .map(|name| ResourceParameter::new(name))
                .collect(),
            ..Self::default()
        }
    }

    /// The same of a tool that succeeds for all arguments that its contract accepts.
    #[must_use]
    pub fn total(mut self) -> Self {
        self.total = true;
        self
    }

    /// Anything may happen.
    pub fn external() -> Self {
        Self::default()
    }
}

/// A parameter whose value names a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceParameter {
    /// The parameter.
    pub name: String,
    /// The resource when the argument is absent; without one, an absent argument means everything.
    pub default: Option<String>,
}

impl ResourceParameter {
    /// A parameter without a default.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            default: None,
        }
    }
}

/// Says what each tool does to the world.
///
/// Implementors answer from memory: the lowering asks once for each call in the program.
/// `None` means that the tool is not known, which counts as external.
pub trait EffectCatalog: Send + Sync {
    /// The effects of `tool`.
    fn effects(&self, tool: &str) -> Option<ToolEffects>;
}

impl<T: EffectCatalog + ?Sized> EffectCatalog for &T {
    fn effects(&self, tool: &str) -> Option<ToolEffects> {
        (**self).effects(tool)
    }
}

impl<T: EffectCatalog + ?Sized> EffectCatalog for Box<T> {
    fn effects(&self, tool: &str) -> Option<ToolEffects> {
        (**self).effects(tool)
    }
}

impl<T: EffectCatalog + ?Sized> EffectCatalog for Arc<T> {
    fn effects(&self, tool: &str) -> Option<ToolEffects> {
        (**self).effects(tool)
    }
}

impl EffectCatalog for HashMap<String, ToolEffects> {
    fn effects(&self, tool: &str) -> Option<ToolEffects> {
        self.get(tool).cloned()
    }
}

/// The catalog that knows no tool: every step is external, so nothing overlaps.
#[derive(Debug, Clone, Copy, Default)]
pub struct EverythingExternal;

impl EffectCatalog for EverythingExternal {
    fn effects(&self, _tool: &str) -> Option<ToolEffects> {
        None
    }
}

/// A resource as a normalised path; two overlap when one is a prefix of the other by segments.
///
/// A path that leaves its root, and an absolute one, may name anything: it is the whole space.
/// Aliases that the text does not show (symbolic and hard links) are not seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourcePath(Box<str>);

impl ResourcePath {
    /// The whole space, which overlaps with everything.
    pub fn everything() -> Self {
        Self(Box::from(""))
    }

    /// Normalises `text`: `.` and empty segments go, `..` takes its parent with it.
    pub fn parse(text: &str) -> Self {
        if text.starts_with('/') {
            return Self::everything();
        }
        let mut segments: Vec<&str> = Vec::new();
        for segment in text.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    if segments.pop().is_none() {
                        return Self::everything();
                    }
                }
                name => segments.push(name),
            }
        }
        Self(segments.join("/").into_boxed_str())
    }

    /// The normalised text; empty for the whole space.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a change of one can be seen through the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        fn covers(outer: &str, inner: &str) -> bool {
            outer.is_empty()
                || inner
                    .strip_prefix(outer)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        covers(&self.0, &other.0) || covers(&other.0, &self.0)
    }

    /// The path's proper prefixes, from the whole space down.
    fn ancestors(&self) -> impl Iterator<Item = &str> {
        let text: &str = &self.0;
        let root = (!text.is_empty()).then_some("");
        root.into_iter()
            .chain(text.match_indices('/').map(|(end, _)| &text[..end]))
    }
}

/// Which position in program order last wrote a resource, by path prefix.
///
/// Recording and asking cost one table access for each segment of the path.
#[derive(Debug, Default)]
pub(crate) struct WriteIndex {
    nodes: HashMap<Box<str>, Positions>,
}

#[derive(Debug, Default)]
struct Positions {
    /// Writes of exactly this path, ascending.
    at: Vec<u32>,
    /// Writes of this path or of one below it, ascending.
    within: Vec<u32>,
}

impl WriteIndex {
    /// Notes a write at `position`, which must not be below one that was noted before.
    pub(crate) fn record(&mut self, path: &ResourcePath, position: u32) {
        for ancestor in path.ancestors() {
            push_last(&mut self.node(ancestor).within, position);
        }
        let node = self.node(path.as_str());
        push_last(&mut node.within, position);
        push_last(&mut node.at, position);
    }

    /// The last write before `position` that overlaps with `path`.
    pub(crate) fn last_before(&self, path: &ResourcePath, position: u32) -> Option<u32> {
        let within = self
            .nodes
            .get(path.as_str())
            .and_then(|node| below(&node.within, position));
        path.ancestors()
            .filter_map(|ancestor| {
                self.nodes
                    .get(ancestor)
                    .and_then(|node| below(&node.at, position))
            })
            .chain(within)
            .max()
    }

    fn node(&mut self, path: &str) -> &mut Positions {
        if !self.nodes.contains_key(path) {
            self.nodes.insert(Box::from(path), Positions::default());
        }
        self.nodes
            .get_mut(path)
            .expect("inserted above when it was absent")
    }
}

fn push_last(positions: &mut Vec<u32>, position: u32) {
    if positions.last() != Some(&position) {
        positions.push(position);
    }
}

fn below(positions: &[u32], bound: u32) -> Option<u32> {
    let count = positions.partition_point(|&position| position < bound);
    count.checked_sub(1).map(|last| positions[last])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_normalised() {
        let check = |input: &str, expect: &str| {
            assert_eq!(ResourcePath::parse(input).as_str(), expect, "{input}");
        };
        check("a/b", "a/b");
        check("./a//b/", "a/b");
        check("a/../b", "b");
        check(".", "");
        check("../b", "");
        check("/etc", "");
        check("a/../../b", "");
    }

    #[test]
    fn overlap_is_by_segment() {
        let overlap = |a: &str, b: &str| ResourcePath::parse(a).overlaps(&ResourcePath::parse(b));
        assert!(overlap("out", "out/a.txt"));
        assert!(overlap("out/a.txt", "out"));
        assert!(overlap("x", "."));
        assert!(!overlap("out", "output"));
        assert!(!overlap("out/a", "out/b"));
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_a_scan(
            writes in prop::collection::vec("[ab](/[ab]){0,2}|\\.", 0..12),
            read in "[ab](/[ab]){0,3}|\\.",
            position in 0u32..14,
        ) {
            let mut index = WriteIndex::default();
            let writes: Vec<ResourcePath> = writes.iter().map(|text| ResourcePath::parse(text)).collect();
            for (at, path) in writes.iter().enumerate() {
                index.record(path, at as u32);
            }
            let read = ResourcePath::parse(&read);
            let scan = writes.iter().enumerate().map(|(at, path)| (at as u32, path))
                .filter(|(at, path)| *at < position && path.overlaps(&read))
                .map(|(at, _)| at).max();
            prop_assert_eq!(index.last_before(&read, position), scan);
        }
    }
}
