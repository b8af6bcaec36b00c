//! The tables of the store's file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
};

use super::record;
use super::unsynced::Unsynced;
use crate::{Entry, KeyId};

/// The layout of the tables and records; one that is higher is left to the version that wrote it.
const FORMAT: u64 = 2;

/// Number in the order of writing, and record.
const ENTRIES: TableDefinition<'_, u128, (u64, &[u8])> = TableDefinition::new("entries");
/// The oldest first, with the bytes that it takes.
const ORDER: TableDefinition<'_, u64, (u128, u64)> = TableDefinition::new("order");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// What a record takes apart from its own bytes: its rows and their share of pages.
const ROW_BYTES: u64 = 128;

#[derive(Debug)]
pub(super) struct File {
    database: Database,
}

/// Why a file cannot be used.
#[derive(Debug)]
pub(super) enum Failure {
    InUse,
    Newer,
    Older,
    Damaged,
    Io(Box<dyn std::error::Error + Send + Sync>),
}

/// What is to be done to the file, in one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) clear: bool,
    /// An entry is written, nothing removes.
    pub(super) changes: Vec<(KeyId, Option<Arc<Entry>>)>,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        guarded(|| {
            let mut builder = Database::builder();
            let builder = builder.set_cache_size(4 << 20);
            let file = Self {
                database: builder.create_with_backend(Unsynced::open(path)?)?,
            };
            file.begin()?;
            Ok(file)
        })
    }

    /// Makes the tables where there are none, and looks at the format.
    fn begin(&self) -> Result<(), Failure> {
        let found = {
            let read = self.database.begin_read()?;
            match read.open_table(META) {
                Ok(meta) => meta.get("format")?.map(|format| format.value()),
                Err(redb::TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            }
        };
        match found {
            Some(FORMAT) => return Ok(()),
            Some(format) if format > FORMAT => return Err(Failure::Newer),
            Some(_) => return Err(Failure::Older),
            None => {}
        }
        let write = self.database.begin_write()?;
        write.open_table(ENTRIES)?;
        write.open_table(ORDER)?;
        write.open_table(META)?.insert("format", FORMAT)?;
        write.commit()?;
        Ok(())
    }

    /// The entry under `id`; a damaged record is an error of its own.
    pub(super) fn get(&self, id: KeyId) -> Result<Option<Entry>, Failure> {
        guarded(|| {
            let read = self.database.begin_read()?;
            let found = read.open_table(ENTRIES)?.get(id.0)?;
            found
                .map(|row| record::read(row.value().1).ok_or(Failure::Damaged))
                .transpose()
        })
    }

    /// Shows every entry that can be read; gives the ids of those that `keep` says false to, and of damaged ones.
    pub(super) fn select(
        &self,
        keep: &mut dyn FnMut(&Entry) -> bool,
    ) -> Result<Vec<KeyId>, Failure> {
        guarded(|| {
            let read = self.database.begin_read()?;
            let mut unwanted = Vec::new();
            for row in read.open_table(ENTRIES)?.iter()? {
                let (id, row) = row?;
                if !record::read(row.value().1).is_some_and(|entry| keep(&entry)) {
                    unwanted.push(KeyId(id.value()));
                }
            }
            Ok(unwanted)
        })
    }

    pub(super) fn bytes(&self) -> Result<u64, Failure> {
        guarded(|| {
            let read = self.database.begin_read()?;
            let bytes = read.open_table(META)?.get("bytes")?;
            Ok(bytes.map_or(0, |bytes| bytes.value()))
        })
    }

    /// Carries `batch` out, then lets the oldest go until `max_bytes` hold.
    pub(super) fn apply(&self, batch: &Batch, max_bytes: u64) -> Result<(), Failure> {
        guarded(|| {
            let mut write = self.database.begin_write()?;
            // So that a file whose process was killed opens as fast as any.
            write.set_quick_repair(true);
            if batch.clear {
                write.delete_table(ENTRIES)?;
                write.delete_table(ORDER)?;
                write.open_table(META)?.insert("bytes", 0)?;
            }
            {
                let mut entries = write.open_table(ENTRIES)?;
                let mut order = write.open_table(ORDER)?;
                let mut meta = write.open_table(META)?;
                let mut bytes = meta.get("bytes")?.map_or(0, |bytes| bytes.value());
                let mut next = order.last()?.map_or(0, |(number, _)| number.value() + 1);
                for (id, entry) in &batch.changes {
                    let earlier = entries.remove(id.0)?.map(|row| row.value().0);
                    if let Some(number) = earlier
                        && let Some(row) = order.remove(number)?
                    {
                        bytes -= row.value().1.min(bytes);
                    }
                    let Some(record) = entry.as_ref().and_then(|entry| record::write(entry)) else {
                        continue;
                    };
                    let size = record.len() as u64 + ROW_BYTES;
                    if size <= max_bytes {
                        entries.insert(id.0, (next, record.as_slice()))?;
                        order.insert(next, (id.0, size))?;
                        bytes += size;
                        next += 1;
                    }
                }
                while bytes > max_bytes {
                    let Some((_, row)) = order.pop_first()? else {
                        break;
                    };
                    let (id, size) = row.value();
                    entries.remove(id)?;
                    bytes -= size.min(bytes);
                }
                meta.insert("bytes", bytes)?;
            }
            write.commit()?;
            Ok(())
        })
    }
}

/// Runs `body`; a panic of the database, which it allows itself over a damaged file, is damage.
fn guarded<R>(body: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Failure::Damaged))
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::InUse,
            DatabaseError::UpgradeRequired(_) | DatabaseError::RepairAborted => Self::Damaged,
            DatabaseError::Storage(error) => error.into(),
            other => Self::Io(other.into()),
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        use std::io::ErrorKind::{InvalidData, UnexpectedEof};
        match error {
            StorageError::Corrupted(_) => Self::Damaged,
            StorageError::Io(error) if matches!(error.kind(), InvalidData | UnexpectedEof) => {
                Self::Damaged
            }
            other => Self::Io(other.into()),
        }
    }
}

impl From<redb::TableError> for Failure {
    fn from(error: redb::TableError) -> Self {
        match error {
            redb::TableError::Storage(error) => error.into(),
            // Tables of other types, or none, are not this store's.
            _ => Self::Damaged,
        }
    }
}

impl From<redb::TransactionError> for Failure {
    fn from(error: redb::TransactionError) -> Self {
        match error {
            redb::TransactionError::Storage(error) => error.into(),
            other => Self::Io(other.into()),
        }
    }
}

impl From<redb::CommitError> for Failure {
    fn from(error: redb::CommitError) -> Self {
        match error {
            redb::CommitError::Storage(error) => error.into(),
            other => Self::Io(other.into()),
        }
    }
}
