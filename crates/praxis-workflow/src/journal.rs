//! The port through which a run leaves an append-only journal, and takes it up again.
//!
//! A journal is a sequence of [`Record`]s for each run. What a step does to the world is announced
//! *before* the step is dispatched, and the announcement is on stable storage by then; a result
//! follows when the step is done. So after the process has died at any moment, each step is either
//! done with a known result, not begun, or *unknown*: announced, with nothing known of its end.

pub(crate) mod record;
pub(crate) mod history;
mod memory;
pub(crate) mod writer;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::executor::RunId;

pub use history::{History, RunState, UnknownStep};
pub use memory::MemoryJournal;
pub use record::{Announcement, ArgumentsDigest, Ending, Event, Finish, Outcome, Record, RunStart};
#[cfg(feature = "sqlite")]
pub use sqlite::{Retention, SqliteJournal};
pub use writer::RunJournal;

/// Keeps the journals of runs.
///
/// What implementors owe: records come back as they were appended and in that order, a part that
/// was lost is told as [`History::damage`], and one log at a time is open for a run, also among
/// processes where the storage is shared. Calls may block; the scheduler makes them on a thread of
/// their own.
pub trait Journal: Send + Sync {
    /// Opens the log of a run for appending, and makes it where there is none.
    ///
    /// # Errors
    ///
    /// [`JournalErrorKind::InUse`] while another log of the run is open.
    fn open(&self, run: &RunId) -> Result<Box<dyn RunLog>, JournalError>;

    /// All that is known of a run. Another may be writing it at the same time.
    ///
    /// # Errors
    ///
    /// [`JournalErrorKind::NotFound`] for a run that was never opened here.
    fn read(&self, run: &RunId) -> Result<History, JournalError>;

    /// As [`Journal::read`], where the results of steps are of no interest: they may be any value,
    /// and damage to them may go unseen.
    ///
    /// # Errors
    ///
    /// As [`Journal::read`].
    fn outline(&self, run: &RunId) -> Result<History, JournalError> {
        self.read(run)
    }

    /// As [`Journal::read`], with what `keep` makes of each result in its place, so that a journal
    /// on disk has one result in memory at a time.
    ///
    /// # Errors
    ///
    /// As [`Journal::read`].
    fn read_keeping(
        &self,
        run: &RunId,
        keep: &mut dyn FnMut(&Value) -> Value,
    ) -> Result<History, JournalError> {
        let mut history = self.read(run)?;
        for record in &mut history.records {
            record.keep(keep);
        }
        Ok(history)
    }

    /// The runs, the oldest first.
    ///
    /// # Errors
    ///
    /// A storage that cannot be read.
    fn runs(&self) -> Result<Vec<RunId>, JournalError>;

    /// Forgets a run.
    ///
    /// # Errors
    ///
    /// [`JournalErrorKind::InUse`] while its log is open, [`JournalErrorKind::NotFound`] for none.
    fn remove(&self, run: &RunId) -> Result<(), JournalError>;
}

/// One run's journal, open for appending. Dropping it lets others open it.
pub trait RunLog: Send {
    /// Adds records at the end: all of them, or none and an error.
    ///
    /// With `durable`, these and all before are on stable storage when it returns; without, they
    /// outlive the process, and a failing machine may take them.
    ///
    /// # Errors
    ///
    /// Whatever the storage fails with. The scheduler appends no more after that.
    fn append(&mut self, records: &[Record], durable: bool) -> Result<(), JournalError>;

    /// Marks the journal as not telling all, after an append has failed and the run goes on without:
    /// it must not be taken up again.
    fn abandon(&mut self);
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Journal + ?Sized> Journal for $pointer {
            fn open(&self, run: &RunId) -> Result<Box<dyn RunLog>, JournalError> {
                (**self).open(run)
            }

            fn read(&self, run: &RunId) -> Result<History, JournalError> {
                (**self).read(run)
            }

            fn outline(&self, run: &RunId) -> Result<History, JournalError> {
                (**self).outline(run)
            }

            fn read_keeping(
                &self,
                run: &RunId,
                keep: &mut dyn FnMut(&Value) -> Value,
            ) -> Result<History, JournalError> {
                (**self).read_keeping(run, keep)
            }

            fn runs(&self) -> Result<Vec<RunId>, JournalError> {
                (**self).runs()
            }

            fn remove(&self, run: &RunId) -> Result<(), JournalError> {
                (**self).remove(run)
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);

/// The journal that keeps nothing.
impl Journal for () {
    fn open(&self, _run: &RunId) -> Result<Box<dyn RunLog>, JournalError> {
        Ok(Box::new(()))
    }

    fn read(&self, run: &RunId) -> Result<History, JournalError> {
        Err(JournalError::not_found(run))
    }

    fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        Ok(Vec::new())
    }

    fn remove(&self, run: &RunId) -> Result<(), JournalError> {
        Err(JournalError::not_found(run))
    }
}

/// The log that keeps nothing.
impl RunLog for () {
    fn append(&mut self, _records: &[Record], _durable: bool) -> Result<(), JournalError> {
        Ok(())
    }

    fn abandon(&mut self) {}
}

/// Why a journal cannot be opened, read or written.
#[derive(Debug)]
pub struct JournalError {
    kind: JournalErrorKind,
    message: String,
    path: Option<PathBuf>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kinds of [`JournalError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalErrorKind {
    /// There is no such run.
    NotFound,
    /// Another has the run's log open.
    InUse,
    /// The run cannot be taken up again: it is over, or went on without its journal.
    Over,
    /// The storage has no room: the disk is full, or the journal's own limit is reached.
    Full,
    /// What is stored is not what was written.
    Damaged,
    /// A newer version of this crate wrote it.
    Newer,
    /// The storage cannot be read or written.
    Unusable,
}

impl JournalError {
    /// An error of a kind; the message is a lowercase fragment that names what failed.
    pub fn new(kind: JournalErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            path: None,
            source: None,
        }
    }

    /// There is no such run.
    pub fn not_found(run: &RunId) -> Self {
        Self::new(JournalErrorKind::NotFound, format!("there is no run {run}"))
    }

    /// Another has the run's log open.
    pub fn in_use(run: &RunId) -> Self {
        let message = format!("run {run} is in use by another process");
        Self::new(JournalErrorKind::InUse, message)
    }

    /// Names the file or folder.
    #[must_use]
    pub fn at(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Keeps the error underneath.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind it is.
    pub fn kind(&self) -> JournalErrorKind {
        self.kind
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(path) = &self.path {
            write!(f, " ({})", path.display())?;
        }
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}
