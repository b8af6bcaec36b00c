//! Which definitions of tools somebody has approved.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::McpTool;
use super::definition::differences;
use crate::{Error, ErrorKind};

const VERSION: u32 = 1;

const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// What is done with a tool that nobody has approved yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApprovalPolicy {
    /// Its first definition is approved when it is first called: the operator has named the server.
    #[default]
    FirstUse,
    /// It is refused until somebody approves it.
    Explicit,
}

/// How a tool stands to what was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Approval {
    /// This very definition is approved.
    Approved,
    /// Nobody has approved any definition of it.
    Unknown,
    /// Another definition was approved; these are the paths that differ.
    Changed(Vec<String>),
}

/// The definitions of tools that were approved, in a file if they are to outlive the process.
///
/// A definition is the tool's name, title, description, schemas and annotations, each to the letter:
/// a description that a model reads is as good a place for mischief as a schema.
#[derive(Debug)]
pub struct Approvals {
    path: Option<PathBuf>,
    policy: ApprovalPolicy,
    known: Mutex<BTreeMap<String, Value>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    tools: BTreeMap<String, Value>,
}

impl Approvals {
    /// Approvals that end with the process.
    pub fn in_memory(policy: ApprovalPolicy) -> Self {
        Self {
            path: None,
            policy,
            known: Mutex::default(),
        }
    }

    /// The approvals of a file; one that is not there is empty.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where it cannot be read, [`ErrorKind::InvalidContract`] where it is no such file:
    /// a damaged one is never taken for an empty one.
    pub fn load(path: &Path, policy: ApprovalPolicy) -> Result<Self, Error> {
        Ok(Self {
            known: Mutex::new(read(path)?),
            path: Some(path.to_owned()),
            policy,
        })
    }

    /// How the tool stands to what was approved.
    pub fn check(&self, tool: &McpTool) -> Approval {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&tool.key()) {
            None => Approval::Unknown,
            Some(approved) if *approved == *tool.definition => Approval::Approved,
            Some(approved) => Approval::Changed(differences(approved, &tool.definition)),
        }
    }

    /// Approves the tool as it is defined now.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the file cannot be written; then nothing is approved.
    pub fn approve(&self, tool: &McpTool) -> Result<(), Error> {
        self.change(|known| {
            known.insert(tool.key(), (*tool.definition).clone());
        })
    }

    /// Takes back what was approved of a tool, named `server/tool`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the file cannot be written.
    pub fn revoke(&self, key: &str) -> Result<(), Error> {
        self.change(|known| {
            known.remove(key);
        })
    }

    /// Lets the tool be called, or says why not.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] for one that is not approved, or was with another definition;
    /// those of [`approve`](Self::approve) where the first use approves it.
    pub fn admit(&self, tool: &McpTool) -> Result<(), Error> {
        let key = tool.key();
        match self.check(tool) {
            Approval::Approved => Ok(()),
            Approval::Unknown if self.policy == ApprovalPolicy::FirstUse => self.approve(tool),
            Approval::Unknown => Err(Error::new(
                ErrorKind::Denied,
                format!("MCP tool `{key}` is not approved"),
            )
            .with_help("look at its description and its schema, and approve it")),
            Approval::Changed(paths) => Err(changed(&key, "it was approved", &paths)),
        }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Value>)) -> Result<(), Error> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = &self.path else {
            change(&mut known);
            return Ok(());
        };
        let failed = |source: io::Error| {
            let message = format!("cannot keep the approval in {}: {source}", path.display());
            Error::new(ErrorKind::Io, message).with_source(source)
        };
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        // Another process may have approved something since the file was read.
        let lock = private(&path.with_extension("lock")).map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
        let mut tools = read(path)?;
        change(&mut tools);
        let stored = Stored {
            version: VERSION,
            tools,
        };
        let text = serde_json::to_vec_pretty(&stored).expect("JSON has only text keys");
        let fresh = path.with_extension("fresh");
        let written = private(&fresh).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        written
            .and_then(|()| fs::rename(&fresh, path))
            .map_err(failed)?;
        *known = stored.tools;
        Ok(())
    }
}

/// The refusal of a tool that is not what it was.
pub(super) fn changed(key: &str, since: &str, paths: &[String]) -> Error {
    Error::new(
        ErrorKind::Denied,
        format!(
            "MCP tool `{key}` has changed since {since}: {}",
            paths.join(", ")
        ),
    )
    .with_help("look at what it is now (`praxis tools show`), and approve it again: `praxis tools approve NAME --mcp FILE`")
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn read(path: &Path) -> Result<BTreeMap<String, Value>, Error> {
    let mut text = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text));
    match read {
        Ok(_) => {}
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => {
            let error = Error::new(ErrorKind::Io, format!("cannot be read: {source}"));
            return Err(error.with_file(path).with_source(source));
        }
    }
    let invalid = |message: String| {
        Error::new(ErrorKind::InvalidContract, message)
            .with_file(path)
            .with_help("put the file back, or delete it to approve all tools anew")
    };
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(invalid(format!(
            "these approvals are larger than {MAX_FILE_BYTES} bytes"
        )));
    }
    let stored: Stored = serde_json::from_slice(&text)
        .map_err(|error| invalid(format!("these are no approvals: {error}")))?;
    if stored.version != VERSION {
        return Err(invalid(format!(
            "these approvals are of version {}, and this Praxis reads {VERSION}",
            stored.version
        )));
    }
    Ok(stored.tools)
}
