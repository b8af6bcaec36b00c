use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// What a tool may use at most. `None` is no limit of the contract's own; an engine may have a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Limits {
    /// Processor time per wall time, in cores: `0.5` is half of one core.
    pub cpu: Option<f64>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Number of processes and threads.
    pub pids: Option<u32>,
    /// Wall time.
    #[serde(serialize_with = "seconds")]
    pub timeout: Option<Duration>,
    /// Size of the result in bytes.
    pub output_bytes: Option<u64>,
    /// `Some(false)` cuts the tool off from the network; `Some(true)` says that it needs it.
    pub network: Option<bool>,
    /// `Some(true)` forbids the tool to write to its root file system.
    pub read_only: Option<bool>,
}

impl Limits {
    /// These limits, with `other`'s where these have none.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            cpu: self.cpu.or(other.cpu),
            memory_bytes: self.memory_bytes.or(other.memory_bytes),
            pids: self.pids.or(other.pids),
            timeout: self.timeout.or(other.timeout),
            output_bytes: self.output_bytes.or(other.output_bytes),
            network: self.network.or(other.network),
            read_only: self.read_only.or(other.read_only),
        }
    }

    /// The limits that are set and restrict something.
    pub fn demanded(&self) -> impl Iterator<Item = Limit> {
        [
            (Limit::Cpu, self.cpu.is_some()),
            (Limit::Memory, self.memory_bytes.is_some()),
            (Limit::Pids, self.pids.is_some()),
            (Limit::Timeout, self.timeout.is_some()),
            (Limit::OutputBytes, self.output_bytes.is_some()),
            (Limit::Network, self.network == Some(false)),
            (Limit::ReadOnly, self.read_only == Some(true)),
        ]
        .into_iter()
        .filter_map(|(limit, set)| set.then_some(limit))
    }
}

fn seconds<S: serde::Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    value.map(|duration| duration.as_secs_f64()).serialize(to)
}

/// The name of one limit, as contracts, capabilities and `--accept-unsupported` spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::cpu`].
    Cpu,
    /// [`Limits::memory_bytes`].
    Memory,
    /// [`Limits::pids`].
    Pids,
    /// [`Limits::timeout`].
    Timeout,
    /// [`Limits::output_bytes`].
    OutputBytes,
    /// [`Limits::network`], when it is `false`.
    Network,
    /// [`Limits::read_only`], when it is `true`.
    ReadOnly,
    /// The contract's mounts: the tool sees those folders at other paths than the host does.
    Mounts,
}

impl Limit {
    /// Every limit, in the order of this page.
    pub const ALL: [Self; 8] = [
        Self::Cpu,
        Self::Memory,
        Self::Pids,
        Self::Timeout,
        Self::OutputBytes,
        Self::Network,
        Self::ReadOnly,
        Self::Mounts,
    ];

    /// The name that contracts use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Timeout => "timeout",
            Self::OutputBytes => "output_bytes",
            Self::Network => "network",
            Self::ReadOnly => "read_only",
            Self::Mounts => "mounts",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Limit {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|limit| limit.as_str() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::as_str).join(", ");
                Error::new(
                    ErrorKind::InvalidArguments,
                    format!("no limit is called `{name}`; the limits are {names}"),
                )
            })
    }
}
