use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::{Entry, KeyId, Resource, RunId, Version, Versions};

/// Why a remembered answer is safe to give, or is not; from [`ToolCache::explain`](crate::ToolCache::explain).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The key's hash.
    pub key: KeyId,
    /// The tool that answered.
    pub tool: String,
    /// The tenant that the answer belongs to.
    pub tenant: Option<String>,
    /// The arguments of the call.
    pub arguments: Map<String, Value>,
    /// How long ago it was stored.
    pub age: Duration,
    /// How long it will be held at most from now on; zero if that has passed.
    pub expires_in: Duration,
    /// The run that stored it.
    pub run: RunId,
    /// Whether it says that there is [no answer](crate::Answer::Negative).
    pub negative: bool,
    /// About how many calls it answered since it came into memory.
    pub accesses: u32,
    /// Its approximate size in memory.
    pub weight_bytes: u64,
    /// What it was read from; a write to any of it forgets the answer.
    pub reads: Vec<(Resource, Freshness)>,
}

/// Whether a resource is as it was when the answer was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// It has the same version.
    Same,
    /// It changed.
    Changed,
    /// It has no version: the answer holds within its run only.
    WithinRun,
}

impl Explanation {
    pub(crate) fn of(entry: &Entry, now: Duration, versions: &dyn Versions) -> Self {
        let key = entry.key();
        let freshness = |(resource, version): (&Resource, Version)| {
            let freshness = match version {
                Version::At(_) if versions.version(resource) == version => Freshness::Same,
                Version::Unversioned => Freshness::WithinRun,
                Version::At(_) | Version::Unsettled => Freshness::Changed,
            };
            (resource.clone(), freshness)
        };
        Self {
            key: key.id(),
            tool: key.tool().to_owned(),
            tenant: key.tenant().map(str::to_owned),
            arguments: key.arguments().unwrap_or_default(),
            age: now.saturating_sub(entry.stored_at()),
            expires_in: entry.expires_at().saturating_sub(now),
            run: entry.run(),
            negative: entry.is_negative(),
            accesses: entry.accesses(),
            weight_bytes: entry.weight_bytes(),
            reads: entry.reads().map(freshness).collect(),
        }
    }

    /// Whether the next equal call would be answered from memory, whichever run makes it.
    pub fn holds(&self) -> bool {
        let same = |(_, freshness): &(Resource, Freshness)| *freshness == Freshness::Same;
        !self.expires_in.is_zero() && self.reads.iter().all(same)
    }

    /// The explanation with the caller's own name for the [run](Self::run) that stored the answer.
    pub fn naming_run<'a>(&'a self, run: &'a dyn fmt::Display) -> impl fmt::Display + 'a {
        Named { told: self, run }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.naming_run(&self.run).fmt(f)
    }
}

struct Named<'a> {
    told: &'a Explanation,
    run: &'a dyn fmt::Display,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { told, run } = self;
        let arguments = serde_json::to_string(&told.arguments).unwrap_or_default();
        writeln!(f, "{} {} {arguments}", told.key, told.tool)?;
        if let Some(tenant) = &told.tenant {
            writeln!(f, "  tenant: {tenant}")?;
        }
        let seconds = Duration::as_secs;
        writeln!(
            f,
            "  stored {} s ago by run {}, {} bytes, {} hits since it is in memory",
            seconds(&told.age),
            run,
            told.weight_bytes,
            told.accesses
        )?;
        if told.expires_in.is_zero() {
            writeln!(f, "  not given any more: its time has passed")?;
        } else {
            writeln!(f, "  expires in {} s", seconds(&told.expires_in))?;
        }
        if told.negative {
            writeln!(f, "  says that there is no answer")?;
        }
        for (resource, freshness) in &told.reads {
            match freshness {
                Freshness::Same => writeln!(
                    f,
                    "  read {resource}, unchanged; a write there forgets this answer"
                )?,
                Freshness::Changed => writeln!(
                    f,
                    "  not given any more: {resource} changed since it was read"
                )?,
                Freshness::WithinRun => writeln!(
                    f,
                    "  read {resource}, which has no version: given within its run only"
                )?,
            }
        }
        if told.reads.is_empty() {
            writeln!(
                f,
                "  read nothing; another contract, program, host variable or argument makes another key"
            )?;
        }
        Ok(())
    }
}
