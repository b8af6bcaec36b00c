//! The thread that writes a run's journal, many records at a time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::sync::watch;

use crate::executor::RunId;
use crate::report::RunStatus;

use super::record::{Event, Outcome, Record, RunStart};
use super::{History, Journal, JournalError, JournalErrorKind, RunLog, RunState};

/// How long records that nobody waits for may gather before they are written.
const LINGER: Duration = Duration::from_millis(5);

/// So many records are written without waiting for more.
const BATCH: usize = 512;

/// While more than this waits to be written, no further step is dispatched.
const MOST_WAITING: usize = 8_192;
const MOST_WAITING_BYTES: usize = 64 << 20;

/// The journal of one run, being written.
///
/// Records are handed to a thread of its own, which writes those that have gathered as one
/// transaction. When writing fails, that is logged once as a warning, the journal is marked as
/// abandoned, and the run goes on without it.
pub struct RunJournal {
    run: RunId,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
    progress: watch::Sender<Progress>,
}

#[derive(Default)]
struct Queue {
    records: Vec<Record>,
    bytes: usize,
    /// How many records there ever were.
    count: u64,
    urgent: bool,
    durable: bool,
    closed: bool,
    lost: bool,
}

/// How far the writing is.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    written: u64,
    durable: u64,
    lost: bool,
}

/// How soon a record has to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Haste {
    /// With others that gather.
    Lazy,
    /// At once.
    Soon,
    /// At once, and onto stable storage.
    Durable,
}

/// What a step waits for before it is dispatched.
pub(crate) struct Ticket {
    progress: watch::Receiver<Progress>,
    number: u64,
    durable: bool,
}

impl Ticket {
    /// Ready once the record is written as it has to be, or never will be.
    pub(crate) async fn wait(mut self) {
        let done = |progress: &Progress| {
            let reached = if self.durable {
                progress.durable
            } else {
                progress.written
            };
            progress.lost || reached >= self.number
        };
        // The sender goes with the thread, and then there is nothing to wait for.
        let _ = self.progress.wait_for(done).await;
    }
}

impl RunJournal {
    /// Begins the journal of a run.
    ///
    /// # Errors
    ///
    /// As [`Journal::open`] and [`RunLog::append`].
    pub fn begin(journal: &dyn Journal, run: RunId, start: RunStart) -> Result<Self, JournalError> {
        let mut log = journal.open(&run)?;
        log.append(&[record(Event::Started(start))], false)?;
        Self::over(run, log)
    }

    /// Opens the journal of a run that is not over, to go on with it, and tells what it has done.
    /// Nothing is written before the run goes on.
    ///
    /// # Errors
    ///
    /// As [`Journal::open`] and [`Journal::read`];
    /// [`JournalErrorKind::Over`] for a run that is over, or went on without its journal.
    pub fn resume(journal: &dyn Journal, run: &RunId) -> Result<(Self, History), JournalError> {
        // Asked for first, since opening makes what is not there.
        let over = |history: &History| match history.state() {
            RunState::Interrupted | RunState::Running | RunState::Ended(RunStatus::Cancelled) => {
                Ok(())
            }
            RunState::Abandoned => Err(match &history.damage {
                Some(damage) => format!(
                    "the journal of run {run} is damaged, so nobody knows how far it came: {damage}"
                ),
                None => format!(
                    "run {run} lost its journal and went on without it, so nobody knows how far it came"
                ),
            }),
            RunState::Ended(_) => Err(format!(
                "run {run} is over: it {}",
                history.state().as_str()
            )),
        };
        let over = |history: &History| {
            over(history).map_err(|message| JournalError::new(JournalErrorKind::Over, message))
        };
        over(&journal.read(run)?)?;
        let log = journal.open(run)?;
        let mut history = journal.read(run)?;
        history.in_use = false;
        over(&history)?;
        Ok((Self::over(run.clone(), log)?, history))
    }

    fn over(run: RunId, log: Box<dyn RunLog>) -> Result<Self, JournalError> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            more: Condvar::new(),
            progress: watch::Sender::default(),
        });
        let writer = Writer {
            run: run.clone(),
            shared: Arc::clone(&shared),
            log,
        };
        let thread = std::thread::Builder::new().name("praxis-journal".to_owned());
        let thread = thread.spawn(move || writer.run()).map_err(|error| {
            let message = "cannot start the journal's thread";
            JournalError::new(JournalErrorKind::Unusable, message).caused_by(error)
        })?;
        Ok(Self {
            run,
            shared,
            thread: Some(thread),
        })
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Hands a record over and gives its number.
    pub(crate) fn push(&self, event: Event, haste: Haste) -> u64 {
        let record = record(event);
        let bytes = weight(&record.event);
        let mut queue = self.shared.queue();
        queue.count += 1;
        let number = queue.count;
        if queue.lost {
            return number;
        }
        let idle = queue.records.is_empty();
        queue.records.push(record);
        queue.bytes += bytes;
        let urges = haste > Haste::Lazy && !queue.urgent;
        queue.urgent |= urges;
        queue.durable |= haste == Haste::Durable;
        let tell = idle || urges || queue.records.len() == BATCH;
        drop(queue);
        if tell {
            self.shared.more.notify_one();
        }
        number
    }

    /// What to wait for until a record of that number is on stable storage.
    pub(crate) fn durable(&self, number: u64) -> Ticket {
        self.ticket(number, true)
    }

    /// What to wait for while more waits to be written than should.
    pub(crate) fn room(&self) -> Option<Ticket> {
        let queue = self.shared.queue();
        let full = queue.records.len() > MOST_WAITING || queue.bytes > MOST_WAITING_BYTES;
        let number = queue.count;
        drop(queue);
        full.then(|| self.ticket(number, false))
    }

    /// What to wait for until all that was handed over is written.
    pub(crate) fn settled(&self, durable: bool) -> Ticket {
        let number = self.shared.queue().count;
        self.ticket(number, durable)
    }

    fn ticket(&self, number: u64, durable: bool) -> Ticket {
        Ticket {
            progress: self.shared.progress.subscribe(),
            number,
            durable,
        }
    }
}

impl Drop for RunJournal {
    /// Writes what waits, and closes the log.
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.more.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer {
    run: RunId,
    shared: Arc<Shared>,
    log: Box<dyn RunLog>,
}

impl Writer {
    fn run(mut self) {
        let mut records = Vec::new();
        loop {
            let mut queue = self.shared.queue();
            while queue.records.is_empty() {
                if queue.closed {
                    return;
                }
                queue = self.wait(queue, None);
            }
            if !queue.urgent && !queue.closed && queue.records.len() < BATCH {
                queue = self.wait(queue, Some(LINGER));
            }
            std::mem::swap(&mut queue.records, &mut records);
            let (durable, count) = (queue.durable, queue.count);
            (queue.urgent, queue.durable, queue.bytes) = (false, false, 0);
            drop(queue);
            if let Err(error) = self.log.append(&records, durable) {
                return self.lose(&error);
            }
            records.clear();
            self.shared.progress.send_modify(|progress| {
                progress.written = count;
                if durable {
                    progress.durable = count;
                }
            });
        }
    }

    fn wait<'a>(
        &self,
        queue: MutexGuard<'a, Queue>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, Queue> {
        match limit {
            None => self
                .shared
                .more
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                self.shared
                    .more
                    .wait_timeout(queue, limit)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        }
    }

    fn lose(&mut self, error: &JournalError) {
        self.log.abandon();
        let mut queue = self.shared.queue();
        queue.lost = true;
        queue.records = Vec::new();
        drop(queue);
        tracing::warn!(
            "the journal of run {} cannot be written, so the run goes on without it and cannot be resumed: {error}",
            self.run
        );
        self.shared
            .progress
            .send_modify(|progress| progress.lost = true);
    }
}

fn record(event: Event) -> Record {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let at_ms = since.unwrap_or_default().as_millis();
    Record {
        at_ms: u64::try_from(at_ms).unwrap_or(u64::MAX),
        event,
    }
}

/// What a record holds in memory, about.
fn weight(event: &Event) -> usize {
    match event {
        Event::Finished(finish) => match &finish.outcome {
            Outcome::Value(value) => 200 + size(value),
            _ => 200,
        },
        _ => 200,
    }
}

/// The bytes of a value, about; guessed from the first items of lists and a few levels of depth.
fn size(value: &Value) -> usize {
    fn at_depth(value: &Value, depth: u32) -> usize {
        if depth == 0 {
            return 64;
        }
        match value {
            Value::String(text) => text.len() + 24,
            // The first items stand for the others: this is asked on the scheduler's own task.
            Value::Array(items) => {
                let first = &items[..items.len().min(8)];
                let sum: usize = first.iter().map(|item| at_depth(item, depth - 1)).sum();
                sum * items.len() / first.len().max(1)
            }
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| key.len() + 48 + at_depth(value, depth - 1))
                .sum(),
            _ => 32,
        }
    }
    at_depth(value, 4)
}
