//! A journal in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::executor::RunId;

use super::{History, Journal, JournalError, Record, RunLog};

/// A journal that lives as long as its last clone; nothing bounds it but [`Journal::remove`].
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal {
    runs: Arc<Mutex<BTreeMap<RunId, History>>>,
}

impl MemoryJournal {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<RunId, History>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    fn open(&self, run: &RunId) -> Result<Box<dyn RunLog>, JournalError> {
        let mut runs = self.runs();
        let history = runs.entry(run.clone()).or_default();
        if history.in_use {
            return Err(JournalError::in_use(run));
        }
        history.in_use = true;
        Ok(Box::new(MemoryLog {
            journal: self.clone(),
            run: run.clone(),
        }))
    }

    fn read(&self, run: &RunId) -> Result<History, JournalError> {
        let found = self.runs().get(run).cloned();
        found.ok_or_else(|| JournalError::not_found(run))
    }

    fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        Ok(self.runs().keys().cloned().collect())
    }

    fn remove(&self, run: &RunId) -> Result<(), JournalError> {
        let mut runs = self.runs();
        match runs.get(run) {
            None => Err(JournalError::not_found(run)),
            Some(history) if history.in_use => Err(JournalError::in_use(run)),
            Some(_) => {
                runs.remove(run);
                Ok(())
            }
        }
    }
}

struct MemoryLog {
    journal: MemoryJournal,
    run: RunId,
}

impl MemoryLog {
    fn change(&self, change: impl FnOnce(&mut History)) {
        if let Some(history) = self.journal.runs().get_mut(&self.run) {
            change(history);
        }
    }
}

impl RunLog for MemoryLog {
    fn append(&mut self, records: &[Record], _durable: bool) -> Result<(), JournalError> {
        self.change(|history| history.records.extend_from_slice(records));
        Ok(())
    }

    fn abandon(&mut self) {
        self.change(|history| history.abandoned = true);
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        self.change(|history| history.in_use = false);
    }
}
