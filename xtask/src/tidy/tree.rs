//! The files that git tracks or would track.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// Every file by its path from the root, with `/` between the parts.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// `None` where the content is not text.
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads what git knows in `root`, or the whole folder but for `target` where there is no git.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        let listed = listed_by_git(root).map_or_else(|| walked(root), Ok)?;
        for path in listed {
            let full = root.join(&path);
            // A tracked file may have been deleted in the work tree; a link may lead to a folder.
            if !full.is_file() {
                continue;
            }
            let bytes = std::fs::read(&full).with_context(|| format!("could not read {path}"))?;
            tree.files.insert(path, String::from_utf8(bytes).ok());
        }
        Ok(tree)
    }

    /// The content of a file that is text.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// All files that are text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// All files that are text and end so, such as `.rs`.
    pub(super) fn texts_ending(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(move |(path, _)| path.ends_with(end))
    }

    /// Whether there is a file or a folder of this path; the empty path is the root.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.keys().any(|file| file.starts_with(&folder))
    }

    /// A tree that exists only in memory.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self {
            files: files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned())))
                .collect(),
        }
    }
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let listed = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<String> = listed.split_terminator('\0').map(str::to_owned).collect();
    // A copy without its history can lie inside another repository that ignores it.
    (!paths.is_empty()).then_some(paths)
}

fn walked(root: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("could not list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("could not list {}", folder.display()))?;
            let path = entry.path();
            if entry.file_name() == "target" || entry.file_name() == ".git" {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if let Ok(relative) = path.strip_prefix(root) {
                paths.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_and_a_plain_walk_both_find_this_file() {
        let root = crate::workspace::root();
        let this = "xtask/src/tidy/tree.rs".to_owned();
        let walked = walked(&root).expect("the workspace can be listed");
        assert!(walked.contains(&this));
        assert!(!walked.iter().any(|path| path.starts_with("target/")));
        if let Some(listed) = listed_by_git(&root) {
            assert!(listed.contains(&this));
        }
    }

    #[test]
    fn a_folder_is_there_if_a_file_is_in_it() {
        let tree = Tree::of(&[("docs/a.md", "")]);
        for there in ["", "docs", "docs/", "docs/a.md"] {
            assert!(tree.has(there), "{there}");
        }
        for missing in ["doc", "docs/b.md", "a.md"] {
            assert!(!tree.has(missing), "{missing}");
        }
    }
}
