//! Attacks of a hostile tool and of hostile arguments, one list for every engine.
//!
//! Where [`conformance`](crate::conformance) asks whether an engine does what it owes,
//! this asks whether a tool can get out of what the engine claims to hold it to.
//! An engine's tests implement [`Target`], await [`run`], and assert that [`Report::escapes`] is empty.
//! What got out is found by looking from outside wherever that is possible: a planted secret in the answer,
//! a file that has changed, a listener that was reached, a process that still runs.
//!
//! The tools are Python programs, so Python must be where the engine's tools run.

mod attack;
mod stage;

use std::fmt;
use std::path::Path;
use std::time::Duration;

pub use self::attack::Attack;
use self::stage::Stage;
use crate::{ExecutionEngine, ToolContract};

/// How long one attack may take before it counts as one that the engine cannot end.
const PATIENCE: Duration = Duration::from_secs(30);

/// An engine under attack.
pub trait Target: Sync {
    /// The engine.
    fn engine(&self) -> &dyn ExecutionEngine;

    /// Whether the engine claims to stop this attack; the others are made too, and reported as not claimed.
    fn claims(&self, attack: Attack) -> bool;

    /// Makes a contract run on this engine: the image, what else it needs.
    ///
    /// It has a folder, a command that starts with `python3`, and a mount of the workspace root to
    /// `/workspace`, which an engine that leaves paths as they are takes out again.
    fn adapt(&self, contract: ToolContract) -> ToolContract;

    /// An empty folder of the host, for the workspace and the secrets around it.
    fn folder(&self) -> &Path;
}

/// How one attack ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The engine held, and how.
    Stopped(String),
    /// It did not although it claims to, and what got out.
    Escaped(String),
    /// It did not, and does not claim to.
    NotClaimed(String),
}

/// How all attacks ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The engine's name.
    pub engine: String,
    /// Each attack with its end, in the order of [`Attack::ALL`].
    pub verdicts: Vec<(Attack, Verdict)>,
}

impl Report {
    /// The attacks that got through although the engine claims to stop them.
    pub fn escapes(&self) -> Vec<(Attack, &str)> {
        let escaped = self
            .verdicts
            .iter()
            .filter_map(|(attack, verdict)| match verdict {
                Verdict::Escaped(what) => Some((*attack, what.as_str())),
                _ => None,
            });
        escaped.collect()
    }

    /// How this attack ended.
    pub fn verdict(&self, attack: Attack) -> Option<&Verdict> {
        let found = self.verdicts.iter().find(|(made, _)| *made == attack);
        found.map(|(_, verdict)| verdict)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "engine `{}`:", self.engine)?;
        for (attack, verdict) in &self.verdicts {
            let (word, why) = match verdict {
                Verdict::Stopped(why) => ("stopped", why),
                Verdict::Escaped(why) => ("ESCAPED", why),
                Verdict::NotClaimed(why) => ("not claimed", why),
            };
            writeln!(formatter, "  {:<18} {word}: {why}", attack.as_str())?;
        }
        Ok(())
    }
}

/// Makes every attack, one after the other. Needs a multi-threaded tokio runtime with time.
///
/// # Panics
/// Where the stage cannot be set: a folder cannot be written, no port can be had.
pub async fn run(target: &dyn Target) -> Report {
    let mut verdicts = Vec::new();
    for attack in Attack::ALL {
        let stage = Stage::set(target.folder(), attack);
        let outcome = match tokio::time::timeout(PATIENCE, stage.attack(target)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("the call does not end within {PATIENCE:?}")),
        };
        stage.clear();
        let verdict = match outcome {
            Ok(how) => Verdict::Stopped(how),
            Err(what) if target.claims(attack) => Verdict::Escaped(what),
            Err(what) => Verdict::NotClaimed(what),
        };
        verdicts.push((attack, verdict));
    }
    Report {
        engine: target.engine().name().to_owned(),
        verdicts,
    }
}
