//! `praxis cache`, and the cache that `praxis run` remembers in.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use praxis_cache::{
    DiskError, DiskErrorKind, DiskStore, Entry, FileVersions, KeyRef, LayeredStore, Pattern,
    QuickStore, RunId, Store, ToolCache, WallClock,
};
use serde_json::{Value, json};

use crate::arguments::{Cache, CacheCommand, State};
use crate::exit::{Exit, Stop};
use crate::output;

/// What memory holds of the results at most.
const MEMORY_ENTRIES: u64 = 10_000;
const MEMORY_BYTES: u64 = 64 << 20;

/// What the results on disk weigh at most.
const DISK_BYTES: u64 = 256 << 20;

fn file(folder: &Path) -> PathBuf {
    folder.join("cache.redb")
}

/// The cache of a run, and its part on disk; memory alone, with a warning, where the disk cannot be had.
pub(crate) fn open(state: &State) -> (ToolCache, Option<DiskStore>) {
    let memory = QuickStore::new(MEMORY_ENTRIES, MEMORY_BYTES);
    let cache = ToolCache::builder()
        .max_bytes(MEMORY_BYTES)
        .clock(WallClock::default());
    let opened = state.folder().map_err(|stop| stop.message);
    let opened = opened.and_then(|folder| {
        DiskStore::open(file(&folder), DISK_BYTES, |text| tracing::warn!("{text}"))
            .map_err(|error| error.to_string())
    });
    match opened {
        Ok(disk) => {
            let layered = LayeredStore::new(memory, disk.clone());
            (cache.store(layered).build(), Some(disk))
        }
        Err(why) => {
            tracing::warn!("{why}; results are remembered in this run only");
            (cache.store(memory).build(), None)
        }
    }
}

pub(crate) fn cache(arguments: &Cache) -> Result<Exit, Stop> {
    match &arguments.command {
        CacheCommand::Stats { state, json } => stats(state, *json),
        CacheCommand::Clear { category, state } => clear(category.as_deref(), state),
        CacheCommand::Explain { key, root, state } => explain(key, root, state),
    }
}

/// The store that is there already; none where nothing was ever remembered.
fn existing(state: &State) -> Result<(PathBuf, Option<DiskStore>), Stop> {
    let path = file(&state.folder()?);
    if !path.exists() {
        return Ok((path, None));
    }
    let disk = DiskStore::open(&path, DISK_BYTES, |text| tracing::warn!("{text}"));
    Ok((path, Some(disk.map_err(refusal)?)))
}

fn refusal(error: DiskError) -> Stop {
    let mut stop = Stop::new(Exit::Missing, error.to_string());
    stop.help = match error.kind() {
        DiskErrorKind::InUse => Some("try again when the other run is done".to_owned()),
        DiskErrorKind::Newer => Some("use the newer praxis, or another `--state DIR`".to_owned()),
        _ => Some(
            "`--state DIR` names another folder; deleting it loses no more than time".to_owned(),
        ),
    };
    stop
}

#[derive(Default)]
struct Kept {
    entries: u64,
    bytes: u64,
}

fn stats(state: &State, as_json: bool) -> Result<Exit, Stop> {
    let (path, disk) = existing(state)?;
    let mut categories: BTreeMap<String, Kept> = BTreeMap::new();
    if let Some(disk) = &disk {
        disk.retain(&mut |entry: &Entry| {
            let kept = categories.entry(entry.key().tool().to_owned()).or_default();
            kept.entries += 1;
            kept.bytes += entry.weight_bytes();
            true
        });
    }
    let entries: u64 = categories.values().map(|kept| kept.entries).sum();
    let bytes: u64 = categories.values().map(|kept| kept.bytes).sum();
    let file_bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
    if as_json {
        let categories: BTreeMap<&String, Value> = categories
            .iter()
            .map(|(tool, kept)| {
                (
                    tool,
                    json!({ "entries": kept.entries, "bytes": kept.bytes }),
                )
            })
            .collect();
        output::json(&json!({
            "path": path.display().to_string(),
            "entries": entries,
            "bytes": bytes,
            "file_bytes": file_bytes,
            "max_bytes": DISK_BYTES,
            "categories": categories,
        }))?;
        return Ok(Exit::Done);
    }
    let mut text = format!(
        "{}, {bytes} bytes, in {} ({file_bytes} bytes)\n",
        output::counted(entries, "result"),
        path.display()
    );
    for (tool, kept) in &categories {
        let _ = writeln!(
            text,
            "  {tool}: {}, {} bytes",
            output::counted(kept.entries, "result"),
            kept.bytes
        );
    }
    output::text(&text)?;
    Ok(Exit::Done)
}

fn clear(category: Option<&str>, state: &State) -> Result<Exit, Stop> {
    let (_, disk) = existing(state)?;
    let wanted = category.map(Pattern::new);
    let mut gone = 0_u64;
    if let Some(disk) = disk {
        disk.retain(&mut |entry| {
            let kept = wanted
                .as_ref()
                .is_some_and(|wanted| !wanted.matches(entry.key().tool()));
            gone += u64::from(!kept);
            kept
        });
        disk.settle();
    }
    output::text(&format!("forgot {}\n", output::counted(gone, "result")))?;
    Ok(Exit::Done)
}

/// The id of a run as `praxis runs list` shows it, from the number that the cache keeps for it.
fn run_id(run: RunId) -> String {
    let number = run.number();
    format!("{:012x}-{:08x}", number >> 32, number & 0xffff_ffff)
}

fn explain(wanted: &str, root: &Path, state: &State) -> Result<Exit, Stop> {
    let root = super::run::root(root)?;
    let (_, disk) = existing(state)?;
    let told = disk.map_or_else(Vec::new, |disk| {
        let cache = ToolCache::builder().clock(WallClock::default());
        let cache = cache.store(disk).build();
        let (pattern, digits) = (Pattern::new(wanted), wanted.to_lowercase());
        let matches = |key: KeyRef<'_>| {
            pattern.matches(key.tool()) || key.id().to_string().starts_with(&digits)
        };
        cache.explain_all(matches, &FileVersions::new(&root))
    });
    if told.is_empty() {
        let mut stop = Stop::new(
            Exit::Missing,
            format!("nothing is remembered under `{wanted}`"),
        );
        stop.help = Some(
            "give a tool's name or the beginning of a key; `praxis cache stats` lists the tools"
                .to_owned(),
        );
        return Err(stop);
    }
    for explanation in &told {
        let run = run_id(explanation.run);
        output::text(&explanation.naming_run(&run).to_string())?;
    }
    Ok(Exit::Done)
}
