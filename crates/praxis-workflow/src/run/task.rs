//! The tasks that run steps: a few workers for all of them, and how their ends come back.
//!
//! A task of its own for each step would cost an allocation, a place in the runtime's list and a
//! wake-up, most of what a short step takes. So a worker takes one step after the other from a
//! queue, and more are called only while something is queued: each that comes for a step calls
//! the next, so that a step which waits, computes or blocks never holds up the others, and steps
//! that are done at once are done by as few tasks as keep up with them.
//!
//! Where the executor says that a step is prompt, the driver polls it itself, and only one that
//! has to wait goes to a worker.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

use crate::executor::{StepCall, StepError, StepExecutor, StepOutput};
use crate::plan::StepSpec;
use crate::retry::Backoff;

use crate::journal::writer::Ticket;

use super::attempts::{self, Attempted, Caught, Place, attempts};
use super::habit::Habit;
use super::state::Key;

/// How long a worker goes on with steps that are done at once before it lets other tasks run.
const TURN: Duration = Duration::from_micros(50);

/// The steps that run, and those whose end has not been taken yet. Dropping it cancels what runs.
pub(super) struct Tasks {
    running: Slab<Running>,
    pool: Arc<Pool>,
    /// Steps that [`Tasks::flush`] hands to the workers.
    starting: Vec<Work>,
    /// Ends that were taken from the pool and not handed out yet.
    taken: VecDeque<(usize, Option<TaskEnd>)>,
    /// By the numbers of the tools.
    habits: Vec<Habit>,
    /// Where the driver polls a step that is likely to be done at once.
    place: Option<Pin<Box<dyn Place>>>,
}

/// A step that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) key: Key,
    /// Its row in the report, should it outlive its entry.
    pub(super) row: Option<u32>,
    /// The number of its tool.
    tool: u32,
    /// The group that waits for it to end after it was cancelled.
    pub(super) drain: Option<Key>,
}

/// What became of a step that was started.
pub(super) enum Started {
    /// The number that [`Tasks::cancel`] takes.
    Running(usize),
    /// It was prompt, and done at once.
    Done(TaskEnd),
}

/// How a step ended.
#[derive(Debug)]
pub(super) struct TaskEnd {
    pub(super) result: Result<StepOutput, StepError>,
    pub(super) attempts: u32,
    /// How long it took, over all attempts.
    pub(super) duration: Duration,
    /// When its first attempt began, unless a journal tells.
    pub(super) started: Option<Instant>,
}

impl Tasks {
    /// For steps that call as many `tools`.
    pub(super) fn new(executor: Arc<dyn StepExecutor>, backoff: Backoff, tools: usize) -> Self {
        Self {
            running: Slab::new(),
            pool: Arc::new(Pool {
                executor,
                backoff,
                state: Mutex::default(),
            }),
            starting: Vec::new(),
            taken: VecDeque::new(),
            habits: vec![Habit::default(); tools],
            place: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Starts a step at `now`. One that is not known to be prompt begins with the next
    /// [`Tasks::flush`], once its ticket is ready.
    pub(super) fn start(
        &mut self,
        (key, row): (Key, Option<u32>),
        call: StepCall,
        step: &StepSpec,
        ticket: Option<Ticket>,
        now: Instant,
    ) -> Started {
        let retries = step.retries;
        let tool = step.tool_number as usize;
        let quick = self.habits[tool].is_quick();
        let stage = if ticket.is_none() && (quick || self.pool.executor.is_prompt(&call)) {
            // What was prepared must not wait for this one, should it not be so prompt after all.
            self.flush();
            let mut place = self.place.take().unwrap_or_else(|| {
                attempts::place(Arc::clone(&self.pool.executor), self.pool.backoff)
            });
            place.as_mut().begin(call, retries, now);
            // The worker that it may go to polls it again, and then it knows whom to wake.
            let first = place.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(attempted) = first {
                self.place = Some(place);
                let end = TaskEnd::new(attempted, Instant::now());
                self.habits[tool].learn(end.duration);
                return Started::Done(end);
            }
            self.habits[tool] = Habit::default();
            Stage::Begun(place)
        } else {
            Stage::Asked(call, retries, ticket)
        };
        let number = self.running.insert(Running {
            key,
            row,
            tool: step.tool_number,
            drain: None,
        });
        self.starting.push(Work { number, stage });
        Started::Running(number)
    }

    /// Hands what was prepared to the workers.
    pub(super) fn flush(&mut self) {
        if self.starting.is_empty() {
            return;
        }
        let mut state = self.pool.lock();
        for work in self.starting.drain(..) {
            if state.steps.len() <= work.number {
                state.steps.resize_with(work.number + 1, || Progress::Begun);
            }
            state.steps[work.number] = Progress::Begun;
            state.queue.push_back(work);
        }
        let call = state.call();
        drop(state);
        self.pool.make(call);
    }

    /// Stops a step; its end comes back all the same, once its future is dropped.
    pub(super) fn cancel(&mut self, number: usize, drain: Option<Key>) {
        let Some(running) = self.running.get_mut(number) else {
            return;
        };
        running.drain = drain;
        if let Some(at) = self.starting.iter().position(|work| work.number == number) {
            self.starting.remove(at);
            self.taken.push_back((number, None));
            return;
        }
        let mut state = self.pool.lock();
        if let Some(at) = state.queue.iter().position(|work| work.number == number) {
            state.queue.remove(at);
            state.ends.push((number, None));
            return;
        }
        let waiting = state.cancel(number);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The next end, or whom to wake for it.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<(Running, Option<TaskEnd>)> {
        if self.taken.is_empty() {
            let mut state = self.pool.lock();
            if state.ends.is_empty() {
                match &mut state.driver {
                    Some(waker) => waker.clone_from(context.waker()),
                    none => *none = Some(context.waker().clone()),
                }
                return Poll::Pending;
            }
        }
        self.try_next().map_or(Poll::Pending, Poll::Ready)
    }

    /// The next end that is there already; a step that was cancelled has none of its own.
    pub(super) fn try_next(&mut self) -> Option<(Running, Option<TaskEnd>)> {
        if self.taken.is_empty() {
            self.taken.extend(self.pool.lock().ends.drain(..));
        }
        let (number, end) = self.taken.pop_front()?;
        let running = self.running.remove(number);
        if let Some(end) = &end {
            self.habits[running.tool as usize].learn(end.duration);
        }
        Some((running, end))
    }

    /// Cancels what runs; the ends come back all the same.
    pub(super) fn close(&mut self) {
        self.taken
            .extend(self.starting.drain(..).map(|work| (work.number, None)));
        let mut state = self.pool.lock();
        state.closed = true;
        let State { queue, ends, .. } = &mut *state;
        ends.extend(queue.drain(..).map(|work| (work.number, None)));
        let mut asleep: Vec<Waker> = state.idle.drain(..).map(|(_, waker)| waker).collect();
        for number in 0..state.steps.len() {
            asleep.extend(state.cancel(number));
        }
        drop(state);
        asleep.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.close();
    }
}

/// A step to be run, with all its attempts.
struct Work {
    number: usize,
    stage: Stage,
}

enum Stage {
    /// With how many retries, and what must be ready before it may begin.
    Asked(StepCall, u32, Option<Ticket>),
    /// It was polled once, and has to wait.
    Begun(Pin<Box<dyn Place>>),
}

/// What the driver and the workers share.
struct Pool {
    executor: Arc<dyn StepExecutor>,
    backoff: Backoff,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Steps that no worker has come for.
    queue: VecDeque<Work>,
    ends: Vec<(usize, Option<TaskEnd>)>,
    /// By the steps' numbers.
    steps: Vec<Progress>,
    /// The driver, while it waits for an end.
    driver: Option<Waker>,
    /// The workers without a step, by their own numbers.
    idle: Vec<(usize, Waker)>,
    /// How many workers there are.
    workers: usize,
    /// Whether a worker was called that has not come yet; when it comes it calls the next.
    called: bool,
    closed: bool,
}

/// How far a step is that a worker came for, or will.
enum Progress {
    Begun,
    /// It waits for something; whom to wake when it is cancelled.
    Waiting(Waker),
    Cancelled,
}

/// What it takes to get another worker.
enum Call {
    Wake(Waker),
    Spawn(usize),
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(self: &Arc<Self>, call: Option<Call>) {
        match call {
            None => {}
            Some(Call::Wake(waker)) => waker.wake(),
            Some(Call::Spawn(number)) => {
                tokio::spawn(worker(Arc::clone(self), number));
            }
        }
    }
}

impl State {
    /// One more worker, if there is something to do and none is on its way.
    fn call(&mut self) -> Option<Call> {
        if self.queue.is_empty() || self.called {
            return None;
        }
        self.called = true;
        Some(match self.idle.pop() {
            Some((_, waker)) => Call::Wake(waker),
            None => {
                self.workers += 1;
                Call::Spawn(self.workers)
            }
        })
    }

    fn cancel(&mut self, number: usize) -> Option<Waker> {
        match std::mem::replace(self.steps.get_mut(number)?, Progress::Cancelled) {
            Progress::Waiting(waker) => Some(waker),
            Progress::Begun | Progress::Cancelled => None,
        }
    }
}

async fn worker(pool: Arc<Pool>, number: usize) {
    let mut seat = Seat {
        pool: &pool,
        number,
        called: true,
        idle: false,
        step: None,
    };
    let mut end = None;
    let mut now = Instant::now();
    let mut turn = now + TURN;
    loop {
        if now > turn {
            // The driver is woken by what is handed in, and runs before this worker goes on.
            seat.hand_in(&mut end);
            rest().await;
            now = Instant::now();
            turn = now + TURN;
        }
        let mut rested = false;
        let work = poll_fn(|context| {
            let next = seat.poll_next(&mut end, context);
            rested |= next.is_pending();
            next
        });
        let Some(work) = work.await else { return };
        if rested {
            now = Instant::now();
            turn = now + TURN;
        }
        let attempted = match work.stage {
            Stage::Asked(call, retries, ticket) => {
                let (executor, backoff) = (&*pool.executor, pool.backoff);
                let step = attempts(executor, call, retries, backoff, ticket, now);
                let step = pin!(Caught::new(step, now));
                seat.finish(work.number, step).await
            }
            Stage::Begun(mut step) => seat.finish(work.number, step.as_mut()).await,
        };
        end = attempted.map(|attempted| {
            now = Instant::now();
            TaskEnd::new(attempted, now)
        });
    }
}

impl TaskEnd {
    fn new((result, attempts, started): Attempted, ended: Instant) -> Self {
        Self {
            result,
            attempts,
            duration: ended - started,
            started: Some(started),
        }
    }
}

/// Lets the other tasks of the runtime's thread run once.
async fn rest() {
    let mut rested = false;
    poll_fn(|context| {
        if std::mem::replace(&mut rested, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A worker's side of the pool.
struct Seat<'a> {
    pool: &'a Arc<Pool>,
    number: usize,
    /// Whether it was called and has not come yet.
    called: bool,
    /// Whether it may stand among the idle.
    idle: bool,
    /// The step that it works on.
    step: Option<usize>,
}

impl Seat<'_> {
    fn hand_in(&mut self, end: &mut Option<TaskEnd>) {
        if let Some(step) = self.step.take() {
            let mut state = self.pool.lock();
            state.ends.push((step, end.take()));
            let driver = state.driver.take();
            drop(state);
            driver.into_iter().for_each(Waker::wake);
        }
    }

    /// Hands in the step that is done and takes the next; none when the run is over.
    fn poll_next(
        &mut self,
        end: &mut Option<TaskEnd>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Work>> {
        let mut state = self.pool.lock();
        let mut driver = None;
        if let Some(step) = self.step.take() {
            state.ends.push((step, end.take()));
            driver = state.driver.take();
        }
        if std::mem::take(&mut self.called) {
            state.called = false;
        }
        if std::mem::take(&mut self.idle) {
            state.idle.retain(|(number, _)| *number != self.number);
        }
        let work = state.queue.pop_front();
        let mut call = None;
        if work.is_some() {
            call = state.call();
        } else if !state.closed {
            state.idle.push((self.number, context.waker().clone()));
            (self.idle, self.called) = (true, true);
        }
        let closed = state.closed;
        drop(state);
        driver.into_iter().for_each(Waker::wake);
        self.pool.make(call);
        self.step = work.as_ref().map(|work| work.number);
        if work.is_none() && !closed {
            return Poll::Pending;
        }
        Poll::Ready(work)
    }

    /// Polls a step to its end; none when it was cancelled. The first poll takes no lock.
    async fn finish<F>(&self, number: usize, mut step: Pin<&mut F>) -> Option<F::Output>
    where
        F: Future + ?Sized,
    {
        let mut first = true;
        poll_fn(|context| {
            let first = std::mem::take(&mut first);
            if !first && self.cancelled(number, context) {
                return Poll::Ready(None);
            }
            match step.as_mut().poll(context) {
                Poll::Ready(end) => Poll::Ready(Some(end)),
                Poll::Pending if first && self.cancelled(number, context) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Whether the step was cancelled; if not, this worker is woken when it is.
    fn cancelled(&self, number: usize, context: &mut Context<'_>) -> bool {
        let mut state = self.pool.lock();
        match &mut state.steps[number] {
            Progress::Cancelled => return true,
            Progress::Waiting(waker) => waker.clone_from(context.waker()),
            begun @ Progress::Begun => *begun = Progress::Waiting(context.waker().clone()),
        }
        let call = state.call();
        drop(state);
        self.pool.make(call);
        false
    }
}

impl Drop for Seat<'_> {
    /// Where the runtime drops the worker, the driver must not wait for its step.
    fn drop(&mut self) {
        self.hand_in(&mut None);
    }
}
