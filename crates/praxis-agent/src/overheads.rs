//! What a call costs on each engine of this machine: `engines.json` in the state folder.
//!
//! `praxis engines` writes it. Deleting it loses nothing that measuring again does not bring back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::arguments::State;
use crate::exit::{Exit, Stop};

pub(crate) use praxis_agent::{LOCAL, POOL, POOL_REUSED};

const FILE: &str = "engines.json";
/// Larger files are not ours.
const MOST_BYTES: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Measured {
    /// In milliseconds, by the names that `Placement::overheads` has.
    overhead_ms: BTreeMap<String, f64>,
}

/// What was measured; nothing where there is no state folder or no readable file.
pub(crate) fn read(state: &State) -> BTreeMap<String, Duration> {
    let read = |folder: &Path| -> Option<Measured> {
        let mut text = String::new();
        let file = File::open(folder.join(FILE)).ok()?;
        file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
        let measured = serde_json::from_str(&text);
        measured
            .inspect_err(|error| tracing::warn!("{FILE} in the state folder is not read: {error}"))
            .ok()
    };
    let measured = state.folder().ok().and_then(|folder| read(&folder));
    let overheads = measured.into_iter().flat_map(|known| known.overhead_ms);
    overheads
        .filter_map(|(engine, ms)| {
            let overhead = Duration::try_from_secs_f64(ms / 1000.0).ok()?;
            Some((engine, overhead))
        })
        .collect()
}

/// Keeps what was measured, in place of what is there.
pub(crate) fn keep(state: &State, overheads: &BTreeMap<String, Duration>) -> Result<(), Stop> {
    let folder = state.folder()?;
    let path = folder.join(FILE);
    let measured = Measured {
        overhead_ms: overheads
            .iter()
            .map(|(engine, overhead)| (engine.clone(), overhead.as_secs_f64() * 1e3))
            .collect(),
    };
    let text = serde_json::to_vec_pretty(&measured);
    let text = text.map_err(|error| Stop::new(Exit::Failed, error.to_string()))?;
    let temporary = folder.join(format!("engines.{}.tmp", std::process::id()));
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&temporary, text))
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(|error| {
            Stop::new(
                Exit::Missing,
                format!(
                    "cannot keep what was measured in {}: {error}",
                    path.display()
                ),
            )
        })
}
