//! The tasks of steps: their attempts, their time limit, and how their ends come back.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::executor::{StepCall, StepError, StepExecutor, StepOutput};
use crate::retry::Backoff;

use super::state::Key;

/// The tasks that run, and those whose end has not been taken yet.
///
/// A task of its own for each step, whose end goes into a list that the driver takes as a whole:
/// one lock and at most one wake-up for all that ended meanwhile. Dropping it aborts what runs.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: Slab<Running>,
    ends: Arc<Ends>,
    /// Ends that were taken from the list and not handed out yet, the first last.
    taken: Vec<(usize, Option<TaskEnd>)>,
}

/// A task that runs a step.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) key: Key,
    handle: AbortHandle,
    /// The group that waits for it to end after it was cancelled.
    pub(super) drain: Option<Key>,
}

#[derive(Debug, Default)]
struct Ends {
    list: Mutex<Vec<(usize, Option<TaskEnd>)>>,
    more: Notify,
}

/// How a step's task ended.
#[derive(Debug)]
pub(super) struct TaskEnd {
    pub(super) result: Result<StepOutput, StepError>,
    pub(super) attempts: u32,
    pub(super) duration: Duration,
}

impl Tasks {
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Starts a step's task and gives the number that [`Tasks::cancel`] takes.
    pub(super) fn spawn(
        &mut self,
        key: Key,
        work: impl Future<Output = TaskEnd> + Send + 'static,
    ) -> usize {
        let slot = self.running.vacant_entry();
        let number = slot.key();
        let report = Report {
            number,
            end: None,
            ends: Arc::clone(&self.ends),
        };
        let task = tokio::spawn(Caught {
            work,
            report,
            started: Instant::now(),
        });
        slot.insert(Running {
            key,
            handle: task.abort_handle(),
            drain: None,
        });
        number
    }

    /// Aborts a task; its end comes back all the same.
    pub(super) fn cancel(&mut self, number: usize, drain: Option<Key>) {
        if let Some(running) = self.running.get_mut(number) {
            running.handle.abort();
            running.drain = drain;
        }
    }

    /// The next end that is there already; a task that was aborted has none of its own.
    pub(super) fn try_next(&mut self) -> Option<(Running, Option<TaskEnd>)> {
        if self.taken.is_empty() {
            let mut list = self
                .ends
                .list
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut *list, &mut self.taken);
            drop(list);
            self.taken.reverse();
        }
        let (number, end) = self.taken.pop()?;
        Some((self.running.remove(number), end))
    }

    /// Waits for an end. Dropping the future loses none.
    pub(super) async fn next(&mut self) -> (Running, Option<TaskEnd>) {
        loop {
            if let Some(end) = self.try_next() {
                return end;
            }
            self.ends.more.notified().await;
        }
    }

    /// Aborts what runs and waits until it has ended.
    pub(super) async fn shutdown(&mut self) {
        self.abort_all();
        while !self.running.is_empty() {
            self.next().await;
        }
    }

    fn abort_all(&self) {
        for (_, running) in &self.running {
            running.handle.abort();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.abort_all();
    }
}

/// Hands a task's end over when the task is dropped, whether it came to an end or was aborted.
struct Report {
    number: usize,
    end: Option<TaskEnd>,
    ends: Arc<Ends>,
}

impl Drop for Report {
    fn drop(&mut self) {
        let mut list = self
            .ends
            .list
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let first = list.is_empty();
        list.push((self.number, self.end.take()));
        drop(list);
        if first {
            self.ends.more.notify_one();
        }
    }
}

pin_project_lite::pin_project! {
    /// Polls the work, catches its panic, and leaves the end in the report.
    ///
    /// A type of its own, since an async block would hold the work twice: as it was given and pinned.
    struct Caught<F> {
        #[pin]
        work: F,
        report: Report,
        started: Instant,
    }
}

impl<F: Future<Output = TaskEnd>> Future for Caught<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let end = match catch_unwind(AssertUnwindSafe(|| this.work.poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(end)) => end,
            Err(payload) => {
                let message = format!("the step panicked: {}", text(&*payload));
                let result = Err(StepError::new("panic", message));
                TaskEnd {
                    result,
                    attempts: 1,
                    duration: this.started.elapsed(),
                }
            }
        };
        this.report.end = Some(end);
        Poll::Ready(())
    }
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// Runs a step to its end, with all its attempts.
pub(super) async fn run(
    executor: Arc<dyn StepExecutor>,
    call: StepCall,
    retries: u32,
    backoff: Backoff,
) -> TaskEnd {
    let started = Instant::now();
    let (result, attempts) = if retries == 0 && call.timeout.is_none() {
        (executor.execute(call).await, 1)
    } else {
        // Boxed, so that the task of a step without them stays small.
        Box::pin(attempts(&*executor, call, retries, backoff)).await
    };
    TaskEnd {
        result,
        attempts,
        duration: started.elapsed(),
    }
}

async fn attempts(
    executor: &dyn StepExecutor,
    mut call: StepCall,
    retries: u32,
    backoff: Backoff,
) -> (Result<StepOutput, StepError>, u32) {
    let tool = Arc::clone(&call.tool);
    let mut attempt = 1;
    loop {
        call.attempt = attempt;
        let timeout = call.timeout;
        let again = (attempt <= retries).then(|| call.clone());
        let work = executor.execute(call);
        let result = match timeout {
            None => work.await,
            Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
                let message =
                    format!("tool `{tool}`: no answer within {limit:?}; `@timeout` can allow more");
                Err(StepError::new("timeout", message).retryable(true))
            }),
        };
        match (result, again) {
            (Err(error), Some(next)) if error.is_retryable() => {
                tracing::debug!(step = %next.step, attempt, error = %error, "another attempt follows");
                tokio::time::sleep(backoff.wait(attempt)).await;
                call = next;
                attempt += 1;
            }
            (result, _) => return (result, attempt),
        }
    }
}
