//! The database of one run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use serde_json::Value;

use crate::journal::{History, JournalError, JournalErrorKind, Record};

use super::Retention;
use super::row::{self, Stored};

/// The version of the schema, in the database's `user_version`.
const VERSION: i64 = 1;

const PAGE_BYTES: u64 = 4096;

const SCHEMA: &str = "
BEGIN;
CREATE TABLE IF NOT EXISTS record (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    value TEXT,
    content BLOB,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS content (
    digest BLOB PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
PRAGMA user_version = 1;
COMMIT;
";

/// A database open for appending.
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    count: u64,
    durable: bool,
    max_value_bytes: u64,
}

impl Database {
    pub(super) fn open(path: &Path, retention: &Retention) -> Result<Self, JournalError> {
        let failed = |error| failed(path, error);
        let connection = Connection::open(path).map_err(failed)?;
        let version = prepare(&connection).map_err(failed)?;
        if version > VERSION {
            return Err(newer(path, version));
        }
        // Until the world is changed, nothing is lost with the machine that a new run does not
        // give again, so that a run which only reads never waits for the disk.
        connection
            .execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL;")
            .map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        let pages = (retention.max_run_bytes / PAGE_BYTES).max(16);
        connection
            .execute_batch(&format!("PRAGMA max_page_count = {pages};"))
            .map_err(failed)?;
        let next = connection
            .query_row(
                "SELECT coalesce(max(number) + 1, 0) FROM record",
                [],
                |row| row.get::<_, i64>(0),
            )
            .map_err(failed)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            count: next as u64,
            durable: false,
            max_value_bytes: retention.max_value_bytes,
        })
    }

    /// How many records there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn append(&mut self, records: &[Record], durable: bool) -> Result<(), JournalError> {
        self.write(records, durable)
            .map_err(|error| failed(&self.path, error))
    }

    fn write(&mut self, records: &[Record], durable: bool) -> rusqlite::Result<()> {
        if durable != self.durable {
            let mode = if durable { "FULL" } else { "NORMAL" };
            self.connection
                .execute_batch(&format!("PRAGMA synchronous = {mode};"))?;
            self.durable = durable;
        }
        let transaction = self.connection.transaction()?;
        {
            let mut insert =
                transaction.prepare("INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for (number, record) in (self.count..).zip(records) {
                let row = row::encode(number, record, self.max_value_bytes)
                    .ok_or(rusqlite::Error::InvalidQuery)?;
                let (value, content) = match &row.value {
                    None => (None, None),
                    Some(Stored::Inline(text)) => (Some(text), None),
                    Some(Stored::Content { digest, text }) => {
                        transaction.execute(
                            "INSERT OR IGNORE INTO content VALUES (?1, ?2)",
                            params![digest.as_slice(), text],
                        )?;
                        (None, Some(digest.as_slice()))
                    }
                };
                insert.execute(params![
                    number as i64,
                    record.at_ms as i64,
                    row.body,
                    value,
                    content,
                    row.checksum
                ])?;
            }
        }
        transaction.commit()?;
        self.count += records.len() as u64;
        Ok(())
    }

    /// Brings what was written before it mattered onto stable storage.
    pub(super) fn settle(&self) -> Result<(), JournalError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
            .map_err(|error| failed(&self.path, error))
    }
}

/// Gives the version of the schema that is there, 0 for none.
fn prepare(connection: &Connection) -> rusqlite::Result<i64> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// What is read of the results of steps.
pub(super) enum Results<'a> {
    All,
    /// Nothing, and nothing is known of damage to them.
    None,
    /// What this makes of each.
    Kept(&'a mut dyn FnMut(&Value) -> Value),
}

/// Reads all that is whole.
pub(super) fn read(path: &Path, mut results: Results<'_>) -> Result<History, JournalError> {
    let mut history = History::default();
    match read_into(path, &mut results, &mut history) {
        Ok(version) if version > VERSION => Err(newer(path, version)),
        Ok(_) => Ok(history),
        Err(error) => match (error.sqlite_error_code(), &error) {
            (Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase), _)
            | (_, rusqlite::Error::InvalidColumnType(..)) => {
                history.damage = Some(format!("the database is damaged ({error})"));
                Ok(history)
            }
            _ => Err(failed(path, error)),
        },
    }
}

/// Opens a database for reading, and gives the version of its schema.
fn connect(path: &Path) -> rusqlite::Result<(Connection, i64)> {
    let open = |name: &Path, flags| -> rusqlite::Result<(Connection, i64)> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(name, flags)?;
        let version = prepare(&connection)?;
        Ok((connection, version))
    };
    let writable = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    // What a dead process left in the write-ahead log can only be read by one who may write beside
    // it; on a medium that is read-only there is nobody else, so it can be read as it is.
    match writable {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) => {
            let text = path.to_string_lossy().replace('%', "%25");
            let text = text.replace('?', "%3f").replace('#', "%23");
            let uri = format!("file:{text}?immutable=1");
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            open(Path::new(&uri), flags)
        }
        opened => opened,
    }
}

/// Gives the version of the schema; of one that is newer, nothing is read.
fn read_into(
    path: &Path,
    results: &mut Results<'_>,
    history: &mut History,
) -> rusqlite::Result<i64> {
    let with_results = !matches!(results, Results::None);
    let (connection, version) = connect(path)?;
    if version > VERSION {
        return Ok(version);
    }
    // The schema is made at one go with its version, before anything else.
    if version == 0 {
        history.damage = Some("it is empty".to_owned());
        return Ok(version);
    }
    let last: Option<i64> =
        connection.query_row("SELECT max(number) FROM record", [], |row| row.get(0))?;
    let Some(last) = last else { return Ok(version) };
    let mut lost = Vec::new();
    let mut next = 0;
    // A damaged page ends a scan with an error; the rows behind it are looked for one by one.
    while next <= last {
        let from = next;
        let scan = scan(
            &connection,
            (from, last),
            with_results,
            &mut |number, record| {
                lost.extend(next..number);
                match record {
                    Some(mut record) => {
                        if let Results::Kept(keep) = results {
                            record.keep(keep);
                        }
                        history.records.push(record);
                    }
                    None => lost.push(number),
                }
                next = number + 1;
            },
        );
        match scan {
            Ok(()) => {
                lost.extend(next..=last);
                break;
            }
            Err(_) => {
                lost.push(next);
                next += 1;
            }
        }
    }
    if let Some(first) = lost.first() {
        history.damage = Some(format!(
            "{} of {} records are lost, the first of them number {first}",
            lost.len(),
            last + 1
        ));
    }
    Ok(version)
}

fn scan(
    connection: &Connection,
    (from, to): (i64, i64),
    results: bool,
    found: &mut dyn FnMut(i64, Option<Record>),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "SELECT number, at_ms, body, CASE WHEN ?3 THEN record.value END, record.content, checksum,
                content.value
         FROM record LEFT JOIN content ON ?3 AND content.digest = record.content
         WHERE number BETWEEN ?1 AND ?2 ORDER BY number",
    )?;
    let mut rows = statement.query(params![from, to, results])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        found(number, whole(row, number, results).ok().flatten());
    }
    Ok(())
}

/// The record of a row, if it is what was written.
fn whole(row: &rusqlite::Row<'_>, number: i64, results: bool) -> rusqlite::Result<Option<Record>> {
    let at_ms = row.get::<_, i64>(1)? as u64;
    let body: String = row.get(2)?;
    if !results {
        return Ok(row::decode(at_ms, &body, Some("null")));
    }
    let inline: Option<String> = row.get(3)?;
    let digest: Option<Vec<u8>> = row.get(4)?;
    let checksum: i64 = row.get(5)?;
    let content: Option<String> = row.get(6)?;
    let stored = match (&inline, &digest) {
        (Some(text), _) => text.as_bytes(),
        (None, Some(digest)) => digest,
        (None, None) => &[],
    };
    if row::checksum(number as u64, at_ms, &body, stored) != checksum {
        return Ok(None);
    }
    if let Some(digest) = &digest {
        let text = content.as_deref().unwrap_or_default();
        if blake3::hash(text.as_bytes()).as_bytes() != digest.as_slice() {
            return Ok(None);
        }
    }
    let value = inline.or(content);
    Ok(row::decode(at_ms, &body, value.as_deref()))
}

fn newer(path: &Path, version: i64) -> JournalError {
    let message = format!(
        "a newer praxis wrote this journal: its format is {version}, and this one knows {VERSION}"
    );
    JournalError::new(JournalErrorKind::Newer, message).at(path)
}

fn failed(path: &Path, error: rusqlite::Error) -> JournalError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => JournalErrorKind::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => JournalErrorKind::Damaged,
        _ => JournalErrorKind::Unusable,
    };
    JournalError::new(kind, "the journal's file cannot be used")
        .at(path)
        .caused_by(error)
}
