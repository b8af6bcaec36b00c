//! Resources that a result was read from, and their versions.

use std::fmt;
use std::path::{Component, Path};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

/// Longer paths name no file on any system, and would make an index entry costly.
const LONGEST_PATH_BYTES: usize = 4096;

/// A place that tools read and write: a path in the workspace, or everything at once.
///
/// Paths are relative to the workspace root and normalised by their text alone: `./a//b/../c` is `a/c`.
/// What cannot be placed under the root is [`everything`](Self::everything), which overlaps all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// Segments joined by `/`, empty for the root; `None` for everything.
    path: Option<Box<str>>,
}

impl Resource {
    /// The whole space: a resource that is not known, or lies outside of the workspace.
    ///
    /// It overlaps every resource and never has a version of its own.
    pub fn everything() -> Self {
        Self { path: None }
    }

    /// The workspace root, which overlaps every path but, unlike [`everything`](Self::everything), names a real folder.
    pub fn root() -> Self {
        Self {
            path: Some(Box::default()),
        }
    }

    /// The resource that `path`, relative to the workspace root, names.
    ///
    /// An absolute path, one that climbs above the root and one of more than 4096 bytes give [`everything`](Self::everything).
    pub fn path(path: &str) -> Self {
        if path.len() > LONGEST_PATH_BYTES || path.starts_with('/') || Path::new(path).is_absolute()
        {
            return Self::everything();
        }
        let mut segments: Vec<&str> = Vec::new();
        for segment in path.split(std::path::is_separator) {
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
        Self {
            path: Some(segments.join("/").into()),
        }
    }

    /// The resource that `path` names for a tool that works in `root`.
    ///
    /// Absolute paths under `root` become relative to it; all others are [`everything`](Self::everything).
    pub fn within(root: &Path, path: &Path) -> Self {
        let relative = if path.is_absolute() {
            let lexical = Self::lexical(path);
            let root = Self::lexical(root);
            match lexical.strip_prefix(&root) {
                Ok(relative) => relative.to_path_buf(),
                Err(_) => return Self::everything(),
            }
        } else {
            path.to_path_buf()
        };
        relative.to_str().map_or_else(Self::everything, Self::path)
    }

    fn lexical(path: &Path) -> std::path::PathBuf {
        let mut out = std::path::PathBuf::new();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => {
                    out.pop();
                }
                other => out.push(other),
            }
        }
        out
    }

    /// The normalised path, relative to the root and empty for the root; `None` for everything.
    pub fn as_path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The segments of the path; none for the root and for everything.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path
            .as_deref()
            .unwrap_or_default()
            .split('/')
            .filter(|segment| !segment.is_empty())
    }

    /// Whether a change of one may be a change of the other: they are equal, or one contains the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (Some(one), Some(other)) = (&self.path, &other.path) else {
            return true;
        };
        let (short, long) = if one.len() <= other.len() {
            (one, other)
        } else {
            (other, one)
        };
        short.is_empty()
            || long
                .strip_prefix(&**short)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_deref() {
            None => f.write_str("everything"),
            Some("") => f.write_str("."),
            Some(path) => f.write_str(path),
        }
    }
}

/// A stamp that differs whenever a resource's content may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp(pub(crate) u128);

impl Stamp {
    /// A stamp from whatever identifies the content: an ETag, a revision, the content itself.
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxh3_128(bytes))
    }
}

/// What is known of a resource's version at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The resource is in this state, and any later change will give another stamp.
    At(Stamp),
    /// The resource changed so recently that its next change might not show.
    ///
    /// A result that was read in this state is not remembered.
    Unsettled,
    /// The resource has no versions.
    ///
    /// A result that was read from it is remembered within one run, until something writes to the resource or an external step runs.
    Unversioned,
}

/// Tells the version of a resource; asked before and after each run of a reading tool, and at each hit.
///
/// Implementors owe that two equal stamps mean equal content: when in doubt, answer [`Version::Unsettled`] or [`Version::Unversioned`].
/// The call may block for as long as looking at the resource takes, and must not call the cache.
pub trait Versions: Send + Sync {
    /// The version of `resource` now.
    fn version(&self, resource: &Resource) -> Version;
}

impl<V: Versions + ?Sized> Versions for &V {
    fn version(&self, resource: &Resource) -> Version {
        (**self).version(resource)
    }
}

impl<V: Versions + ?Sized> Versions for Box<V> {
    fn version(&self, resource: &Resource) -> Version {
        (**self).version(resource)
    }
}

impl<V: Versions + ?Sized> Versions for Arc<V> {
    fn version(&self, resource: &Resource) -> Version {
        (**self).version(resource)
    }
}

/// Knows no versions: every read is remembered within its run only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoVersions;

impl Versions for NoVersions {
    fn version(&self, _: &Resource) -> Version {
        Version::Unversioned
    }
}
