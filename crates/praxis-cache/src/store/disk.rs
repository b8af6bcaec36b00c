//! Entries in a file.

mod file;
mod record;
mod unsynced;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use self::file::{Batch, Failure, File};
use super::Store;
use crate::{Entry, KeyId};

/// What waits to be written may weigh this much; what comes on top is not written.
const MOST_WAITING_BYTES: u64 = 64 << 20;

/// A store in a file, on `redb`, that outlives the process.
///
/// - Writing is done by a thread of its own: an insert costs a place in a list, and [`settle`](Store::settle) waits until all is on disk.
///   A process that is killed loses what was inserted in the last moments; the file stays whole.
///   The disk is not waited for: if the whole system crashes, the file may be damaged.
/// - The records weigh at most `max_bytes` together, the oldest going first. The file is larger by the free pages that the database keeps.
/// - One process has the file at a time.
/// - A file of an older version is begun anew.
/// - A damaged file is set aside under another name and a new one begun; a damaged record is dropped. The caller's `warn` is told once.
/// - When reading or writing fails, for a full disk or any other reason, the store holds nothing from then on, and `warn` is told once.
/// - What holds within one run only, values nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH) levels, and that there was no answer, are not written.
///
/// Times are those of the cache's clock, so that cache needs one that goes on across processes: [`WallClock`](crate::WallClock).
/// Clones share the store; the last one to go waits for the writing.
#[derive(Clone)]
pub struct DiskStore {
    shared: Arc<Closing>,
}

/// Joins the writer when the last handle goes.
struct Closing {
    inner: Arc<Inner>,
    writer: Option<JoinHandle<()>>,
}

struct Inner {
    file: File,
    path: PathBuf,
    max_bytes: u64,
    warn: Box<dyn Fn(&str) + Send + Sync>,
    failed: AtomicBool,
    queue: Mutex<Queue>,
    /// Tells the writer that there is work, and whoever waits that it is done.
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Changes,
    /// What the writer is at.
    writing: Changes,
    closing: bool,
}

#[derive(Default)]
struct Changes {
    clear: bool,
    entries: HashMap<KeyId, Option<Arc<Entry>>>,
    bytes: u64,
}

/// Why a disk store cannot be opened.
#[derive(Debug)]
pub struct DiskError {
    kind: DiskErrorKind,
    path: PathBuf,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kinds of [`DiskError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskErrorKind {
    /// Another process has the store.
    InUse,
    /// A newer version of this crate wrote the store; it is left as it is.
    Newer,
    /// The file cannot be made, read or written, or was damaged and cannot be set aside.
    Unusable,
}

impl DiskStore {
    /// Opens the store at `path`, and makes it with the folders above it where there is none.
    ///
    /// `warn` is told, in a sentence, of what a user should know and the cache can live with.
    ///
    /// # Errors
    ///
    /// See [`DiskErrorKind`]; a cache in memory does in place of it.
    pub fn open(
        path: impl Into<PathBuf>,
        max_bytes: u64,
        warn: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, DiskError> {
        let path = path.into();
        let file = open(&path, &warn).map_err(|failure| DiskError::new(failure, &path))?;
        let inner = Arc::new(Inner {
            file,
            path: path.clone(),
            max_bytes,
            warn: Box::new(warn),
            failed: AtomicBool::new(false),
            queue: Mutex::default(),
            changed: Condvar::new(),
        });
        let writer = std::thread::Builder::new().name("praxis-cache".to_owned());
        let writer = writer.spawn({
            let inner = Arc::clone(&inner);
            move || inner.write_until_closed()
        });
        let writer = writer.map_err(|error| DiskError::new(Failure::Io(error.into()), &path))?;
        Ok(Self {
            shared: Arc::new(Closing {
                inner,
                writer: Some(writer),
            }),
        })
    }

    /// How many bytes the records weigh that are on disk.
    pub fn bytes(&self) -> u64 {
        let inner = &self.shared.inner;
        inner.attempt(|| inner.file.bytes()).unwrap_or(0)
    }

    /// The store's file.
    pub fn path(&self) -> &Path {
        &self.shared.inner.path
    }
}

fn open(path: &Path, warn: &dyn Fn(&str)) -> Result<File, Failure> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Failure::Io(error.into()))?;
    }
    match File::open(path) {
        Err(Failure::Damaged) => {
            let aside = set_aside(path).map_err(|error| Failure::Io(error.into()))?;
            warn(&format!(
                "the cache file {} is damaged; it was set aside as {} and a new one begun",
                path.display(),
                aside.display()
            ));
            File::open(path)
        }
        Err(Failure::Older) => {
            std::fs::remove_file(path).map_err(|error| Failure::Io(error.into()))?;
            File::open(path)
        }
        opened => opened,
    }
}

/// One damaged file is kept, the latest, so that they do not pile up.
fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".damaged");
    let aside = path.with_file_name(name);
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

impl Inner {
    /// Nothing if it fails, and from then on.
    fn attempt<R>(&self, body: impl FnOnce() -> Result<R, Failure>) -> Option<R> {
        if self.failed.load(Ordering::Acquire) {
            return None;
        }
        let failure = match body() {
            Ok(result) => return Some(result),
            Err(failure) => failure,
        };
        if !self.failed.swap(true, Ordering::AcqRel) {
            if matches!(failure, Failure::Damaged) {
                // The next process then begins a new one; if it cannot be moved, that one finds the damage again.
                let _ = set_aside(&self.path);
            }
            let mut message = DiskError::new(failure, &self.path).to_string();
            message.push_str("; nothing is kept there from here on");
            (self.warn)(&message);
        }
        None
    }

    fn enqueue(&self, id: KeyId, entry: Option<Arc<Entry>>) {
        if self.failed.load(Ordering::Acquire) {
            return;
        }
        let mut queue = self.queue.lock();
        let weight = entry.as_ref().map_or(0, |entry| entry.weight_bytes());
        let room = queue.waiting.bytes + weight <= MOST_WAITING_BYTES;
        queue.waiting.bytes += if room { weight } else { 0 };
        queue.waiting.entries.insert(id, entry.filter(|_| room));
        drop(queue);
        self.changed.notify_all();
    }

    fn write_until_closed(&self) {
        let mut queue = self.queue.lock();
        loop {
            while queue.waiting.is_empty() && !queue.closing {
                self.changed.wait(&mut queue);
            }
            if queue.waiting.is_empty() {
                return;
            }
            queue.writing = std::mem::take(&mut queue.waiting);
            let changes = queue.writing.entries.iter();
            let batch = Batch {
                clear: queue.writing.clear,
                changes: changes.map(|(id, entry)| (*id, entry.clone())).collect(),
            };
            drop(queue);
            self.attempt(|| self.file.apply(&batch, self.max_bytes));
            drop(batch);
            queue = self.queue.lock();
            queue.writing = Changes::default();
            self.changed.notify_all();
        }
    }
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.clear
    }
}

impl Queue {
    /// What is not on disk yet: an entry, or that there is none; `None` if the disk knows.
    fn find(&self, id: KeyId) -> Option<Option<Arc<Entry>>> {
        for changes in [&self.waiting, &self.writing] {
            if let Some(entry) = changes.entries.get(&id) {
                return Some(entry.clone());
            }
            if changes.clear {
                return Some(None);
            }
        }
        None
    }
}

impl Store for DiskStore {
    fn get(&self, id: KeyId) -> Option<Arc<Entry>> {
        let inner = &self.shared.inner;
        if let Some(waiting) = inner.queue.lock().find(id) {
            return waiting;
        }
        let found = inner.attempt(|| match inner.file.get(id) {
            Err(Failure::Damaged) => {
                inner.enqueue(id, None);
                Ok(None)
            }
            found => found,
        });
        found.flatten().map(Arc::new)
    }

    fn insert(&self, id: KeyId, entry: Arc<Entry>) {
        self.shared.inner.enqueue(id, Some(entry));
    }

    fn remove(&self, id: KeyId) {
        self.shared.inner.enqueue(id, None);
    }

    fn clear(&self) {
        let mut queue = self.shared.inner.queue.lock();
        queue.waiting = Changes {
            clear: true,
            ..Changes::default()
        };
        drop(queue);
        self.shared.inner.changed.notify_all();
    }

    fn retain(&self, keep: &mut dyn FnMut(&Entry) -> bool) {
        // What waits goes to disk first, so that there is one place to look at.
        self.settle();
        let inner = &self.shared.inner;
        let unwanted = inner.attempt(|| inner.file.select(keep));
        for id in unwanted.into_iter().flatten() {
            inner.enqueue(id, None);
        }
    }

    fn settle(&self) {
        let inner = &self.shared.inner;
        let mut queue = inner.queue.lock();
        while !(queue.waiting.is_empty() && queue.writing.is_empty()) {
            inner.changed.wait(&mut queue);
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.inner.queue.lock().closing = true;
        self.inner.changed.notify_all();
        if let Some(writer) = self.writer.take() {
            // The writer guards itself against panics; one more would have nothing left to lose.
            let _ = writer.join();
        }
    }
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

impl DiskError {
    fn new(failure: Failure, path: &Path) -> Self {
        let (kind, source) = match failure {
            Failure::InUse => (DiskErrorKind::InUse, None),
            Failure::Newer => (DiskErrorKind::Newer, None),
            Failure::Older | Failure::Damaged => (DiskErrorKind::Unusable, None),
            Failure::Io(source) => (DiskErrorKind::Unusable, Some(source)),
        };
        Self {
            kind,
            path: path.to_owned(),
            source,
        }
    }

    /// The kind of the error.
    pub fn kind(&self) -> DiskErrorKind {
        self.kind
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match (self.kind, &self.source) {
            (DiskErrorKind::InUse, _) => {
                write!(f, "the cache file {path} is in use by another process")
            }
            (DiskErrorKind::Newer, _) => {
                write!(f, "the cache file {path} is of a newer version")
            }
            (DiskErrorKind::Unusable, None) => write!(f, "the cache file {path} is damaged"),
            (DiskErrorKind::Unusable, Some(source)) => {
                write!(f, "the cache file {path} cannot be used: {source}")
            }
        }
    }
}

impl std::error::Error for DiskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}
