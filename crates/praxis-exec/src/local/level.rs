use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ALWAYS, LocalEngine, NAME, stages};
use crate::{Capabilities, Error, ErrorKind, Isolation, Limit, Request};

/// How far the local engine keeps a tool from the machine, the least first.
///
/// | level | what a tool cannot do | a tool's processes are found by |
/// | --- | --- | --- |
/// | `none` | see the environment of Praxis | process group, ancestry, a mark in the environment |
/// | `process` | gain rights, dump core, exceed cgroup limits | ancestry, which no process can leave |
/// | `sandbox` | see files, processes and networks that it was not given; ask the kernel for much beyond the usual | process namespace |
///
/// `process` and `sandbox` need Linux, the feature `sandbox` of this crate and a build with the worker;
/// `sandbox` also needs user namespaces for the user who runs Praxis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Level {
    /// A process with the rights of the user.
    None,
    /// A process that can gain no rights, in a session of its own, that does not outlive Praxis.
    Process,
    /// A process in namespaces of its own, with Landlock, a system call filter and no capabilities.
    Sandbox,
}

impl Level {
    /// Every level, the least first.
    pub const ALL: [Self; 3] = [Self::None, Self::Process, Self::Sandbox];

    /// The name that configurations use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Process => "process",
            Self::Sandbox => "sandbox",
        }
    }

    /// What contracts and other engines call it.
    pub fn isolation(self) -> Isolation {
        match self {
            Self::None | Self::Process => Isolation::Process,
            Self::Sandbox => Isolation::Sandbox,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|level| level.as_str() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Error::new(
                ErrorKind::InvalidArguments,
                format!("no level is called `{name}`; from the least on there are {names}"),
            )
        })
    }
}

impl LocalEngine {
    /// The level that a call has.
    pub(super) fn level(&self, request: &Request<'_>) -> Result<Level, Error> {
        let isolation = request.contract.isolation;
        if let Some(level) = self.config.level {
            if isolation > level.isolation() {
                return Err(too_little(isolation, &format!("the level `{level}`")).with_help(
                    "leave the engine's `level` out, so that contracts choose it, or take another engine",
                ));
            }
            self.admit(level, request)?;
            return self.available(level).map(|()| level);
        }
        if isolation > Isolation::Sandbox {
            return Err(too_little(isolation, "at most the level `sandbox`")
                .with_help("take an engine of containers, or lower the contract's `isolation`"));
        }
        if isolation == Isolation::Sandbox {
            self.stages.available(Level::Sandbox)?;
            self.admit(Level::Sandbox, request)?;
            return Ok(Level::Sandbox);
        }
        let start = match self.stages.available(Level::Process) {
            Ok(()) => Level::Process,
            // What the machine is only short of for a moment lowers no level.
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(_) => Level::None,
        };
        // A limit is done without only where no level has it.
        if self.lacks_nothing(start, request) {
            return Ok(start);
        }
        match self.stages.available(Level::Sandbox) {
            Ok(()) => self.admit(Level::Sandbox, request).map(|()| Level::Sandbox),
            Err(why) => match self.admit(start, request) {
                // The sandbox might give what is asked for; then why there is none is what helps.
                Err(refused) if self.would_do(request) => {
                    Err(refused.with_help(match why.help() {
                        Some(help) => format!("{}; {help}", why.message()),
                        None => why.message().to_owned(),
                    }))
                }
                outcome => outcome.map(|()| start),
            },
        }
    }

    /// Whether a tool can see a folder of the machine.
    pub(super) fn shows(&self, level: Level, folder: &Path) -> bool {
        let visible = self.config.visible.iter().map(PathBuf::as_path);
        let mut shown = stages::PROGRAMS.iter().map(Path::new).chain(visible);
        level != Level::Sandbox || shown.any(|shown| folder.starts_with(shown))
    }

    /// The highest level that calls can have.
    pub(super) fn highest(&self) -> Level {
        if let Some(level) = self.config.level {
            return level;
        }
        [Level::Sandbox, Level::Process]
            .into_iter()
            .find(|level| self.stages.available(*level).is_ok())
            .unwrap_or(Level::None)
    }

    /// The limits that a level holds a tool to on this machine.
    pub(super) fn enforced(&self, level: Level) -> Vec<Limit> {
        let mut limits = Vec::new();
        if level >= Level::Process {
            limits.extend(self.stages.metered());
        }
        limits.extend(ALWAYS);
        if level == Level::Sandbox {
            limits.extend([Limit::Network, Limit::ReadOnly, Limit::Mounts]);
        }
        limits
    }

    fn admit(&self, level: Level, request: &Request<'_>) -> Result<(), Error> {
        match self.lacks_nothing(level, request) {
            true => Ok(()),
            false => {
                let limits = self.enforced(level);
                Capabilities::new(NAME, level.isolation(), &limits).admit(request)
            }
        }
    }

    /// Whether a level has all that is asked for, waived or not.
    fn lacks_nothing(&self, level: Level, request: &Request<'_>) -> bool {
        let request = request.clone().accepting(&[]);
        let lacks = |limits: &[Limit]| {
            let has = Capabilities::new(NAME, level.isolation(), limits);
            has.missing(&request).next().is_some()
        };
        // Most contracts have no limit beyond these, and need not look what the machine can do.
        !lacks(&ALWAYS) || !lacks(&self.enforced(level))
    }

    fn would_do(&self, request: &Request<'_>) -> bool {
        let limits = self.enforced(Level::Sandbox);
        let sandbox = Capabilities::new(NAME, Isolation::Sandbox, &limits);
        sandbox.missing(request).next().is_none()
    }
}

fn too_little(asked: Isolation, has: &str) -> Error {
    Error::new(
        ErrorKind::UnsupportedLimit,
        format!("the contract asks for the isolation `{asked}`, and the engine has {has}"),
    )
}
