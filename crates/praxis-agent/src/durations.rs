//! How long tools take, learned from run to run: `durations.json` in the state folder.
//!
//! Deleting the file loses history and nothing else. It is replaced as a whole, under a lock, from what
//! it holds at that moment and what this run has seen, so that two programs lose nothing of each other.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use praxis_workflow::{LearnedCosts, RunReport};

use crate::arguments::State;

const FILE: &str = "durations.json";
/// Larger files are not ours.
const MOST_BYTES: u64 = 16 << 20;

/// What was learned so far; nothing where there is no state folder or no readable file.
pub(crate) fn read(state: &State) -> LearnedCosts {
    let Ok(folder) = state.folder() else {
        return LearnedCosts::new();
    };
    load(&folder).unwrap_or_else(|problem| {
        // The end of a run sets a damaged file aside and says so.
        tracing::debug!("{problem}");
        LearnedCosts::new()
    })
}

/// Learns from a report. Whatever is in the way costs the history, with a warning, and not the run.
pub(crate) fn learn(state: &State, report: &RunReport) {
    let Ok(folder) = state.folder() else {
        return;
    };
    if let Err(error) = learn_in(&folder, report) {
        // A folder that cannot be used is told of by the cache.
        tracing::info!("durations are not kept in {}: {error}", folder.display());
    }
}

fn learn_in(folder: &Path, report: &RunReport) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("durations.lock"))?;
    lock.lock()?;
    let path = folder.join(FILE);
    let mut costs = match load(folder) {
        Ok(costs) => costs,
        Err(problem) => {
            let aside = folder.join("durations.damaged.json");
            fs::rename(&path, &aside)?;
            tracing::warn!("{problem}; it is set aside as {}", aside.display());
            LearnedCosts::new()
        }
    };
    costs.learn(report);
    let temporary = folder.join(format!("durations.{}.tmp", std::process::id()));
    let replaced = write(&temporary, &costs.to_json()).and_then(|()| fs::rename(&temporary, &path));
    if replaced.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

fn load(folder: &Path) -> Result<LearnedCosts, String> {
    let path = folder.join(FILE);
    let problem = |what: String| format!("the learned durations in {}: {what}", path.display());
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LearnedCosts::new()),
        Err(error) => return Err(problem(error.to_string())),
    };
    let mut text = String::new();
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| problem(error.to_string()))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(problem(format!("it has more than {MOST_BYTES} bytes")));
    }
    LearnedCosts::from_json(&text).map_err(|error| problem(error.to_string()))
}
