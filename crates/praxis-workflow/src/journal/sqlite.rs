//! A journal in a folder: an SQLite database for each run.
//!
//! `ID.journal` is the database, with write-ahead logging. `ID.open` stands beside it while the run
//! may be taken up again: whoever writes has it locked, and it holds how many records are known to
//! be on stable storage, so that a lost tail is noticed.

mod database;
mod row;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::executor::RunId;
use crate::report::RunStatus;

use self::database::{Database, Results};
use super::{Event, History, Journal, JournalError, JournalErrorKind, Record, RunLog};

/// How much a [`SqliteJournal`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many runs at most: when one begins, the oldest go.
    pub max_runs: usize,
    /// So many bytes at most when a run begins, the oldest runs going first.
    pub max_bytes: u64,
    /// A run's journal is full at so many bytes, and the run goes on without it.
    pub max_run_bytes: u64,
    /// A result that is larger as JSON is not kept.
    pub max_value_bytes: u64,
}

impl Default for Retention {
    /// 200 runs of 1 GiB together and 512 MiB each, with results of 16 MiB.
    fn default() -> Self {
        Self {
            max_runs: 200,
            max_bytes: 1 << 30,
            max_run_bytes: 512 << 20,
            max_value_bytes: 16 << 20,
        }
    }
}

/// A journal in a folder, that outlives the process.
///
/// - Each run has a database of its own, so that a damaged one takes no other with it and what is
///   old goes by removing files.
/// - Every record has a number and a checksum. What was changed or lost since is told as
///   [`History::damage`], and what is whole is given.
/// - The folder is made for its owner alone: results stand in it as they are.
#[derive(Debug, Clone)]
pub struct SqliteJournal {
    folder: PathBuf,
    retention: Retention,
}

impl SqliteJournal {
    /// The journal in `folder`, which is made when a run begins.
    pub fn new(folder: impl Into<PathBuf>, retention: Retention) -> Self {
        Self {
            folder: folder.into(),
            retention,
        }
    }

    fn path(&self, run: &RunId) -> PathBuf {
        self.folder.join(format!("{run}.journal"))
    }

    fn marker(&self, run: &RunId) -> PathBuf {
        self.folder.join(format!("{run}.open"))
    }

    /// Removes the oldest runs until there is room for one more.
    fn make_room(&self) -> Result<(), JournalError> {
        let mut runs = Vec::new();
        for run in self.runs()? {
            let bytes = fs::metadata(self.path(&run)).map_or(0, |file| file.len());
            runs.push((run, bytes));
        }
        let mut count = runs.len();
        let mut bytes: u64 = runs.iter().map(|(_, bytes)| bytes).sum();
        for (run, size) in runs {
            if count < self.retention.max_runs && bytes <= self.retention.max_bytes {
                break;
            }
            // One that is in use stays; the next older one goes in its place.
            if self.remove(&run).is_ok() {
                count -= 1;
                bytes -= size;
            }
        }
        Ok(())
    }

    fn history(&self, run: &RunId, results: Results<'_>) -> Result<History, JournalError> {
        let path = self.path(run);
        if !path.exists() {
            return Err(JournalError::not_found(run).at(&self.folder));
        }
        let marker = File::open(self.marker(run)).ok();
        let in_use = marker.as_ref().is_some_and(|marker| {
            matches!(marker.try_lock_shared(), Err(TryLockError::WouldBlock))
        });
        // Asked for before the records are: what is written meanwhile only makes them more.
        let durable = marker.as_ref().map_or(0, durable_count);
        let mut history = database::read(&path, results)?;
        history.in_use = in_use;
        history.abandoned = marker.is_none();
        if in_use && history.records.is_empty() {
            // It is being begun.
            history.damage = None;
        }
        if history.damage.is_none() && (history.records.len() as u64) < durable {
            history.damage = Some(format!(
                "the last {} of {durable} records are lost",
                durable - history.records.len() as u64
            ));
        }
        Ok(history)
    }

    fn unusable(&self, message: &str, error: io::Error) -> JournalError {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => JournalErrorKind::Full,
            _ => JournalErrorKind::Unusable,
        };
        JournalError::new(kind, message)
            .at(&self.folder)
            .caused_by(error)
    }
}

impl Journal for SqliteJournal {
    fn open(&self, run: &RunId) -> Result<Box<dyn RunLog>, JournalError> {
        make_folder(&self.folder)
            .map_err(|error| self.unusable("cannot make the journal's folder", error))?;
        let path = self.path(run);
        let there = path.exists();
        if !there {
            self.make_room()?;
        }
        let mut options = File::options();
        options.read(true).write(true).create(!there);
        let marker = options
            .open(self.marker(run))
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    let message = format!("run {run} is not open");
                    JournalError::new(JournalErrorKind::Over, message).at(&path)
                }
                _ => self.unusable("cannot make a journal", error),
            })?;
        if !lock(&marker) {
            return Err(JournalError::in_use(run));
        }
        let database = Database::open(&path, &self.retention)?;
        Ok(Box::new(SqliteLog {
            database,
            marker: Some(marker),
            marker_path: self.marker(run),
            synced: false,
        }))
    }

    fn read(&self, run: &RunId) -> Result<History, JournalError> {
        self.history(run, Results::All)
    }

    fn outline(&self, run: &RunId) -> Result<History, JournalError> {
        self.history(run, Results::None)
    }

    fn read_keeping(
        &self,
        run: &RunId,
        keep: &mut dyn FnMut(&Value) -> Value,
    ) -> Result<History, JournalError> {
        self.history(run, Results::Kept(keep))
    }

    fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.unusable("cannot read the journal's folder", error)),
        };
        let mut runs: Vec<RunId> = entries
            .flatten()
            .filter_map(|entry| RunId::parse(entry.file_name().to_str()?.strip_suffix(".journal")?))
            .collect();
        runs.sort();
        Ok(runs)
    }

    fn remove(&self, run: &RunId) -> Result<(), JournalError> {
        let path = self.path(run);
        if !path.exists() {
            return Err(JournalError::not_found(run).at(&self.folder));
        }
        let marker = File::open(self.marker(run)).ok();
        if marker.as_ref().is_some_and(|marker| !lock(marker)) {
            return Err(JournalError::in_use(run));
        }
        let beside = |suffix: &str| {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        // The database last: while it is there, so is the run.
        for file in [
            self.marker(run),
            beside("-wal"),
            beside("-shm"),
            path.clone(),
        ] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.unusable("cannot remove a journal", error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

struct SqliteLog {
    database: Database,
    /// Held for its lock; gone when the run is over.
    marker: Option<File>,
    marker_path: PathBuf,
    /// Whether the folder knows of the files on stable storage.
    synced: bool,
}

impl RunLog for SqliteLog {
    fn append(&mut self, records: &[Record], durable: bool) -> Result<(), JournalError> {
        self.database.append(records, durable)?;
        if durable {
            if !self.synced {
                self.database.settle()?;
                sync_folder(&self.marker_path);
                self.synced = true;
            }
            if let Some(marker) = &mut self.marker {
                // A count that is too low is of no harm.
                let _ = marker
                    .rewind()
                    .and_then(|()| write!(marker, "{:020}", self.database.count()));
            }
        }
        let over = records.iter().any(|record| {
            matches!(&record.event, Event::Ended(ending) if ending.status != RunStatus::Cancelled)
        });
        if over {
            self.close();
        }
        Ok(())
    }

    fn abandon(&mut self) {
        self.close();
    }
}

impl SqliteLog {
    /// The run cannot be taken up again. Removing a file works on a full disk too.
    fn close(&mut self) {
        let _ = fs::remove_file(&self.marker_path);
        self.marker = None;
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Locks the file for this process alone. One who reads holds the lock for a moment, so it is asked
/// for a few times.
fn lock(file: &File) -> bool {
    for _ in 0..10 {
        match file.try_lock() {
            Ok(()) => return true,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
            // A file system without locks has no other process that could tell.
            Err(TryLockError::Error(_)) => return true,
        }
    }
    false
}

fn durable_count(mut marker: &File) -> u64 {
    let mut text = String::new();
    match marker.read_to_string(&mut text) {
        Ok(_) => text.trim().parse().unwrap_or(0),
        Err(_) => 0,
    }
}

/// Makes the names of new files outlive a failing machine, where the system can.
fn sync_folder(file: &Path) {
    #[cfg(unix)]
    if let Some(folder) = file.parent()
        && let Ok(folder) = File::open(folder)
    {
        let _ = folder.sync_all();
    }
    #[cfg(not(unix))]
    let _ = file;
}
