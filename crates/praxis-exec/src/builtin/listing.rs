//! Tools that look through folders.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use serde_json::{Value, json};

use super::workspace::{Workspace, shown};
use super::{BuiltinConfig, Tools, invalid};
use crate::{Effects, Error, ErrorKind, Invocation, Parameter, ParameterKind, ToolContract};

/// How much of a line that matches is shown, in characters.
const LINE_SHOWN: usize = 500;

/// How much of a file is looked at to tell text from other content.
const SNIFFED: usize = 8 * 1024;

pub(super) fn register(tools: &mut Tools<'_>) -> Result<(), Error> {
    let directory = || {
        Parameter::text("directory")
            .or(".")
            .describe("path of the folder, relative to the root")
    };
    let pattern = || {
        Parameter::text("pattern").or("*").describe(
            "glob over the file's name, or over its path below the folder if the glob holds a `/`",
        )
    };
    let recursive = |default: bool| {
        Parameter::new("recursive", ParameterKind::Boolean)
            .or(default)
            .describe("look into the folders below too")
    };
    tools.blocking(
        ToolContract::new("list_files")
            .describe("The paths of the files in a folder, relative to the root, sorted.")
            .parameter(directory())
            .parameter(pattern())
            .parameter(recursive(false))
            .effects(Effects::read(&["directory"])),
        list_files,
    )?;
    tools.blocking(
        ToolContract::new("list_directory")
            .describe("The entries of a folder with their types and sizes, sorted by path.")
            .parameter(directory())
            .parameter(pattern())
            .parameter(recursive(false))
            .effects(Effects::read(&["directory"])),
        list_directory,
    )?;
    tools.blocking(
        ToolContract::new("search_files")
            .describe("The lines that contain a text, in the text files of a folder.")
            .parameter(Parameter::text("pattern").describe("the text, taken literally"))
            .parameter(directory())
            .parameter(recursive(true))
            .effects(Effects::read(&["directory"])),
        search_files,
    )
}

fn list_files(call: Invocation, config: &BuiltinConfig) -> Result<Value, Error> {
    let entries = walk(&call, config, &Filter::new(call.text("pattern")?)?)?;
    let files = entries.iter().filter(|entry| entry.kind == "file");
    Ok(files.map(|entry| shown(&entry.path)).collect())
}

fn list_directory(call: Invocation, config: &BuiltinConfig) -> Result<Value, Error> {
    let entries = walk(&call, config, &Filter::new(call.text("pattern")?)?)?;
    let entries = entries.iter().map(|entry| {
        let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
        json!({"name": name, "path": shown(&entry.path), "type": entry.kind, "size": entry.size})
    });
    Ok(entries.collect())
}

fn search_files(call: Invocation, config: &BuiltinConfig) -> Result<Value, Error> {
    let wanted = call.text("pattern")?;
    if wanted.is_empty() {
        return Err(invalid(
            "argument `pattern` is empty; every line would match",
        ));
    }
    let workspace = Workspace::open(call.root())?;
    let mut matches = Vec::new();
    for entry in walk(&call, config, &Filter::all())? {
        if entry.kind != "file" || entry.size > config.file_bytes {
            continue;
        }
        let content = workspace.read(&entry.path, config.file_bytes)?;
        if content[..content.len().min(SNIFFED)].contains(&0) {
            continue;
        }
        let content = String::from_utf8_lossy(&content);
        for (index, line) in content.lines().enumerate() {
            if !line.contains(wanted) {
                continue;
            }
            if matches.len() == config.search_matches {
                return Err(too_many("lines match", config.search_matches));
            }
            let line_shown: String = line.chars().take(LINE_SHOWN).collect();
            matches
                .push(json!({"path": shown(&entry.path), "line": index + 1, "text": line_shown}));
        }
    }
    Ok(Value::Array(matches))
}

struct Entry {
    path: PathBuf,
    kind: &'static str,
    size: u64,
}

/// Everything below the call's directory that the filter accepts, sorted by path.
/// A link to a file counts as a file; a link to a folder is shown but not entered, so that there is no way in circles.
fn walk(call: &Invocation, config: &BuiltinConfig, filter: &Filter) -> Result<Vec<Entry>, Error> {
    let workspace = Workspace::open(call.root())?;
    let start = workspace.path(call.text("directory")?)?;
    let recursive = call.boolean("recursive")? || filter.is_deep();
    let mut found = Vec::new();
    let mut folders = vec![start.clone()];
    while let Some(folder) = folders.pop() {
        let opened = match folder.as_os_str().is_empty() {
            true => workspace.dir().entries(),
            false => workspace.dir().read_dir(&folder),
        };
        for entry in opened.map_err(|error| workspace.error(&folder, error))? {
            if call.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "given up while listing"));
            }
            let entry = entry.map_err(|error| workspace.error(&folder, error))?;
            let path = folder.join(entry.file_name());
            let linked = entry
                .metadata()
                .map_err(|error| workspace.error(&path, error))?;
            let (kind, size) = if linked.is_dir() {
                if recursive {
                    folders.push(path.clone());
                }
                ("directory", 0)
            } else if linked.is_file() {
                ("file", linked.len())
            } else {
                // A link out of the root cannot be followed, and is a link and nothing more.
                match workspace.dir().metadata(&path) {
                    Ok(target) if target.is_file() => ("file", target.len()),
                    _ if linked.is_symlink() => ("symlink", 0),
                    _ => ("other", 0),
                }
            };
            if !filter.accepts(path.strip_prefix(&start).unwrap_or(&path)) {
                continue;
            }
            if found.len() == config.list_entries {
                return Err(too_many("entries match", config.list_entries));
            }
            found.push(Entry { path, kind, size });
        }
    }
    found.sort_unstable_by(|left, right| left.path.cmp(&right.path));
    Ok(found)
}

fn too_many(what: &str, limit: usize) -> Error {
    Error::new(
        ErrorKind::OutputTooLarge,
        format!("more than {limit} {what}"),
    )
    .with_help("narrow the pattern or name a folder further down")
}

struct Filter {
    glob: Option<GlobMatcher>,
    deep: bool,
}

impl Filter {
    fn all() -> Self {
        Self {
            glob: None,
            deep: false,
        }
    }

    fn new(pattern: &str) -> Result<Self, Error> {
        const LONGEST: usize = 1000;
        if pattern == "*" {
            return Ok(Self::all());
        }
        if pattern.len() > LONGEST {
            return Err(invalid(format!(
                "argument `pattern` is longer than {LONGEST} bytes"
            )));
        }
        let glob = GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .map_err(|source| {
                invalid(format!(
                    "argument `pattern` {pattern:?} is no glob: {}",
                    source.kind()
                ))
                .with_source(source)
            })?;
        Ok(Self {
            glob: Some(glob.compile_matcher()),
            deep: pattern.contains('/'),
        })
    }

    /// Whether only a look below can find what the pattern means.
    fn is_deep(&self) -> bool {
        self.deep
    }

    fn accepts(&self, below: &Path) -> bool {
        let Some(glob) = &self.glob else { return true };
        match self.deep {
            true => glob.is_match(below),
            false => below.file_name().is_some_and(|name| glob.is_match(name)),
        }
    }
}
