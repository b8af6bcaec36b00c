//! A step with all its attempts: what a worker or the driver polls.

use std::any::Any;
use std::future::Future;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::Unconstrained;
use tokio::time::{Instant, Sleep};

use crate::executor::{BoxFuture, StepCall, StepError, StepExecutor, StepOutput};
use crate::journal::writer::Ticket;
use crate::retry::Backoff;

/// What came of a step's attempts, how many there were, and when the first began.
pub(super) type Attempted = (Result<StepOutput, StepError>, u32, Instant);

pin_project_lite::pin_project! {
    /// Polls the work and catches its panic.
    pub(super) struct Caught<F> {
        #[pin]
        work: F,
        started: Instant,
    }
}

impl<F> Caught<F> {
    pub(super) fn new(work: F, started: Instant) -> Self {
        Self { work, started }
    }
}

impl<F: Future<Output = Attempted>> Future for Caught<F> {
    type Output = Attempted;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Attempted> {
        let this = self.project();
        catch_unwind(AssertUnwindSafe(|| this.work.poll(context))).unwrap_or_else(|payload| {
            let message = format!("the step panicked: {}", text(&*payload));
            Poll::Ready((Err(StepError::new("panic", message)), 1, *this.started))
        })
    }
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// Runs a step to its end, with all its attempts; the first begins `now`, or with the ticket.
///
/// What few steps need is put on the heap, since this is moved about for each step.
pub(super) async fn attempts(
    executor: impl Deref<Target = dyn StepExecutor>,
    call: StepCall,
    retries: u32,
    backoff: Backoff,
    ticket: Option<Ticket>,
    mut now: Instant,
) -> Attempted {
    if let Some(ticket) = ticket {
        Box::pin(ticket.wait()).await;
        now = Instant::now();
    }
    let started = now;
    let mut attempt = 1;
    let mut next = (retries > 0).then(|| Box::new(call.clone()));
    let mut limited = Limited::begin(&*executor, call, now);
    loop {
        let result = (&mut limited).await;
        match (result, next.take()) {
            (Err(error), Some(mut call)) if error.is_retryable() => {
                tracing::debug!(step = %call.step, attempt, error = %error, "another attempt follows");
                Box::pin(tokio::time::sleep(backoff.wait(attempt))).await;
                attempt += 1;
                call.attempt = attempt;
                next = (attempt <= retries).then(|| call.clone());
                limited = Limited::begin(&*executor, *call, Instant::now());
            }
            (result, _) => return (result, attempt, started),
        }
    }
}

/// One attempt with a deadline. The timer is set only for what has to wait.
struct Limited<'a> {
    work: BoxFuture<'a, Result<StepOutput, StepError>>,
    tool: Arc<str>,
    limit: Option<Duration>,
    deadline: Option<Instant>,
    // Without a budget, so that work which uses it up cannot keep the timer from being seen.
    sleep: Option<Pin<Box<Unconstrained<Sleep>>>>,
}

impl<'a> Limited<'a> {
    fn begin(executor: &'a dyn StepExecutor, call: StepCall, now: Instant) -> Self {
        let (tool, limit) = (Arc::clone(&call.tool), call.timeout);
        Self {
            work: executor.execute(call),
            tool,
            limit,
            deadline: limit.and_then(|limit| now.checked_add(limit)),
            sleep: None,
        }
    }

    fn over(&self) -> StepError {
        let (tool, limit) = (&self.tool, self.limit.unwrap_or_default());
        let message =
            format!("tool `{tool}`: no answer within {limit:?}; `@timeout` can allow more");
        StepError::new("timeout", message).retryable(true)
    }
}

impl Future for Limited<'_> {
    type Output = Result<StepOutput, StepError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(result) = self.work.as_mut().poll(context) {
            return Poll::Ready(result);
        }
        if let Some(deadline) = self.deadline.take() {
            let sleep = tokio::time::sleep_until(deadline);
            self.sleep = Some(Box::pin(tokio::task::unconstrained(sleep)));
        }
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(context).map(|()| Err(self.over())),
            None => Poll::Pending,
        }
    }
}

/// Memory for one step after the other.
pub(super) trait Place: Future<Output = Attempted> + Send {
    /// Puts a step here, whose first attempt begins `now`, in the place of the one before.
    fn begin(self: Pin<&mut Self>, call: StepCall, retries: u32, now: Instant);
}

/// A place for steps of this executor.
pub(super) fn place(executor: Arc<dyn StepExecutor>, backoff: Backoff) -> Pin<Box<dyn Place>> {
    let make = move |call, retries, now| {
        let steps = attempts(Arc::clone(&executor), call, retries, backoff, None, now);
        Caught::new(steps, now)
    };
    Box::pin(Reused { make, step: None })
}

pin_project_lite::pin_project! {
    struct Reused<M, F> {
        make: M,
        #[pin]
        step: Option<F>,
    }
}

impl<M, F> Place for Reused<M, F>
where
    M: Fn(StepCall, u32, Instant) -> F + Send,
    F: Future<Output = Attempted> + Send,
{
    fn begin(self: Pin<&mut Self>, call: StepCall, retries: u32, now: Instant) {
        let mut this = self.project();
        this.step.set(Some((this.make)(call, retries, now)));
    }
}

impl<M, F: Future<Output = Attempted>> Future for Reused<M, F> {
    type Output = Attempted;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Attempted> {
        let mut this = self.project();
        let step = this.step.as_mut().as_pin_mut();
        let end = step
            .expect("a step is put here before it is polled")
            .poll(context);
        if end.is_ready() {
            this.step.set(None);
        }
        end
    }
}
