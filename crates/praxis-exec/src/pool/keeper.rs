//! Containers on their way in and out of a pool, and what is done for it in the background.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::JoinHandle;

use super::PoolConfig;
use super::link::Link;
use super::report::{Statistics, containers};
use super::slot::{Kind, Slot};
use super::stock::{self, Id, Stocks, Taken};
use crate::docker::{Client, DockerEngine};
use crate::{CallId, Error, ErrorKind};

/// The label that the containers of a pool have, with a value of the pool's own.
const POOL_LABEL: &str = "io.praxis.pool";

/// How long a warm container may take to show that it is well.
const ANSWER: Duration = Duration::from_secs(5);

/// How long containers may take to go when the pool is drained.
const FAREWELL: Duration = Duration::from_secs(60);

/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(20);

/// A pool, as its engine, its calls and its background work share it.
pub(super) struct Shared {
    pub(super) config: Arc<PoolConfig>,
    pub(super) cold: DockerEngine,
    stocks: Mutex<Stocks<Kind, Slot>>,
    places: Semaphore,
    keeper: Mutex<Option<Keeper>>,
    images: Mutex<HashMap<String, Image>>,
    /// Whether the pool is shut down, for those who start containers.
    closed: watch::Sender<bool>,
    name: String,
    /// The label and its value.
    label: String,
    made: Instant,
}

/// The task that works in the background, and where it does.
struct Keeper {
    runtime: Handle,
    task: JoinHandle<()>,
}

/// What an image's name was seen to mean.
#[derive(Default)]
struct Image {
    id: Option<String>,
    /// Counts the changes.
    version: u64,
}

impl stock::Kind for Kind {
    fn fits(&self, other: &Self) -> bool {
        self == other
    }

    fn reuse(&self) -> bool {
        self.reuse
    }

    fn memory_bytes(&self) -> u64 {
        self.spec.memory_bytes
    }

    fn configured(&self, config: &PoolConfig) -> usize {
        config.warm.get(&self.tool).copied().unwrap_or(0)
    }
}

impl Shared {
    pub(super) fn new(config: PoolConfig, cold: DockerEngine) -> Self {
        let config = Arc::new(config);
        let name = CallId::unique().as_str().to_owned();
        Self {
            stocks: Mutex::new(Stocks::new(Arc::clone(&config))),
            places: Semaphore::new(config.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            keeper: Mutex::new(None),
            images: Mutex::new(HashMap::new()),
            closed: watch::Sender::new(false),
            label: format!("{POOL_LABEL}={name}"),
            name,
            made: Instant::now(),
            config,
            cold,
        }
    }

    pub(super) async fn client(&self) -> Result<&Client, Error> {
        self.cold.client().await
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn statistics(&self) -> Statistics {
        let mut statistics = self.stocks().snapshot();
        statistics.uptime = self.made.elapsed();
        statistics
    }

    /// Counts how often the image of this name was seen to become another.
    pub(super) fn image_version(&self, name: &str) -> u64 {
        let mut images = lock(&self.images);
        if let Some(image) = images.get(name) {
            return image.version;
        }
        images.entry(name.to_owned()).or_default().version
    }

    /// Waits until fewer calls run than may.
    pub(super) async fn place(&self) -> Result<SemaphorePermit<'_>, Error> {
        let wait = self.config.wait;
        match tokio::time::timeout(wait, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(Error::new(ErrorKind::Cancelled, "the pool is shut down")),
            Err(_) => Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "it waited {wait:?} for one of {} calls to end",
                    self.config.concurrency
                ),
            )
            .with_help("raise `concurrency` or `wait` of the pool, or call fewer tools at once")),
        }
    }

    /// Takes a container for a call, and waits for one if none is ready.
    pub(super) async fn take(self: &Arc<Self>, kind: Kind) -> Result<Lease, Error> {
        self.keep();
        let asked = Instant::now();
        let mut close = Vec::new();
        let taken = self.stocks().take(
            self.own(kind),
            asked,
            |slot| slot.link.is_quiet(),
            &mut close,
        )?;
        let (id, coming) = match taken {
            Taken::Now(id, slot) => (id, Ok(slot)),
            Taken::Later(id, coming) => (id, Err(coming)),
        };
        let mut lease = Lease {
            shared: Arc::clone(self),
            id,
            slot: None,
        };
        drop(close);
        self.work();
        match coming {
            Ok(slot) => lease.slot = Some(slot),
            Err(coming) => {
                let wait = self.config.wait;
                let came = tokio::time::timeout(wait, coming).await;
                let waited = asked.elapsed();
                {
                    let statistics = &mut self.stocks().statistics;
                    statistics.waited += waited;
                    statistics.longest_wait = statistics.longest_wait.max(waited);
                }
                let came = came.map_err(|_| {
                    Error::new(
                        ErrorKind::Unavailable,
                        format!("no container was ready within {wait:?}"),
                    )
                    .with_help("raise `wait` of the pool, or see what keeps the container engine: `docker info`")
                })?;
                lease.slot = Some(came.map_err(|_| stopped())??);
            }
        }
        Ok(lease)
    }

    /// Has a container ready for a call that is about to come.
    pub(super) fn foresee(self: &Arc<Self>, kind: Kind) {
        self.keep();
        self.stocks().foresee(self.own(kind), Instant::now());
        self.work();
    }

    /// The same as containers of this pool have it.
    fn own(&self, mut kind: Kind) -> Kind {
        let pool = (POOL_LABEL.to_owned(), self.name.clone());
        kind.spec.labels.push(pool);
        kind
    }

    /// Starts what the stocks lack, and closes what they have too much.
    fn work(self: &Arc<Self>) {
        let plan = self.stocks().plan(Instant::now());
        drop(plan.close);
        let runtime = lock(&self.keeper)
            .as_ref()
            .map(|keeper| keeper.runtime.clone());
        for (id, kind) in plan.start {
            let coming = Coming::new(self, id);
            // Without a runtime, or on one that is shut down, it is dropped and says that it will not come.
            if let Some(runtime) = &runtime {
                runtime.spawn(coming.start(kind));
            }
        }
    }

    /// Has the background work going on the runtime of the caller, unless it is going.
    fn keep(self: &Arc<Self>) {
        let mut keeper = lock(&self.keeper);
        if keeper
            .as_ref()
            .is_some_and(|keeper| !keeper.task.is_finished())
        {
            return;
        }
        let runtime = Handle::current();
        let task = runtime.spawn(keep(Arc::downgrade(self), self.config.health_interval));
        *keeper = Some(Keeper { runtime, task });
    }

    /// Looks after the containers that are there.
    async fn tend(self: &Arc<Self>) {
        let now = Instant::now();
        let (expired, looked_at) = {
            let mut stocks = self.stocks();
            (stocks.expired(now), stocks.unseen(now))
        };
        drop(expired);
        let looks = looked_at.into_iter().map(|(id, mut slot)| {
            let coming = Coming::new(self, id);
            async move {
                match slot.is_well(ANSWER).await {
                    Ok(()) => coming.settle(Some(Ok(slot))),
                    Err(why) => {
                        tracing::info!(container = slot.name(), %why, "a warm container is not well");
                        coming.settle(None);
                    }
                }
            }
        });
        futures_util::future::join_all(looks).await;
        self.look_at_images().await;
        self.work();
    }

    /// Notices images whose names mean others now; containers of the old ones are not used for further calls.
    async fn look_at_images(&self) {
        let names: Vec<String> = lock(&self.images).keys().cloned().collect();
        let Ok(client) = self.client().await else {
            return;
        };
        for name in names {
            let inspect = client.docker().inspect_image(&name);
            let Ok(found) = client.call("looking at an image", inspect).await else {
                continue;
            };
            if let Some(image) = lock(&self.images).get_mut(&name)
                && image.id != found.id
            {
                image.version += u64::from(image.id.is_some());
                image.id = found.id;
            }
        }
    }

    /// Ready when the pool is shut down.
    fn given_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closed = self.closed.subscribe();
        async move {
            // A pool that is not there any more is shut down too.
            let _ = closed.wait_for(|closed| *closed).await;
        }
    }

    /// Gives no more containers away, and gives back those that nobody uses.
    fn refuse(&self) -> Vec<Slot> {
        let idle = self.stocks().drain();
        self.closed.send_replace(true);
        idle
    }

    /// Closes what nobody uses or waits for.
    pub(super) fn close(&self) {
        drop(self.refuse());
        if let Some(keeper) = lock(&self.keeper).take() {
            keeper.task.abort();
        }
    }

    pub(super) async fn drain(self: &Arc<Self>) -> Result<(), Error> {
        let idle = self.refuse();
        let Some(client) = self.cold.connected() else {
            return Ok(());
        };
        futures_util::future::join_all(idle.into_iter().map(Slot::close)).await;
        let since = Instant::now();
        loop {
            let left = containers(client, &self.label).await?.len();
            let still = self.stocks().is_still();
            if still && left == 0 {
                return Ok(());
            }
            if still && since.elapsed() > FAREWELL {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("{left} containers of the pool are still there after {FAREWELL:?}"),
                )
                .with_help(format!(
                    "remove them: docker ps -aq --filter label={}",
                    self.label
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn stocks(&self) -> MutexGuard<'_, Stocks<Kind, Slot>> {
        lock(&self.stocks)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pool")
            .field("config", &self.config)
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stopped() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        "the container that it waited for will not come: the runtime that starts it is gone",
    )
}

async fn keep(shared: Weak<Shared>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.tend().await;
    }
}

/// A container on its way to a stock. Dropped, it tells the stock what has become of it.
struct Coming {
    shared: Arc<Shared>,
    id: Id,
    /// None for a container that was there and is no good.
    outcome: Option<Result<Slot, Error>>,
}

impl Coming {
    fn new(shared: &Arc<Shared>, id: Id) -> Self {
        Self {
            shared: Arc::clone(shared),
            id,
            outcome: Some(Err(stopped())),
        }
    }

    fn settle(mut self, outcome: Option<Result<Slot, Error>>) {
        self.outcome = outcome;
    }

    async fn start(self, kind: Arc<Kind>) {
        let started = Instant::now();
        let outcome = match self.shared.client().await {
            Ok(client) => Slot::start(client, &kind, self.shared.given_up()).await,
            Err(error) => Err(error),
        };
        {
            let statistics = &mut self.shared.stocks().statistics;
            match &outcome {
                Ok(_) => {
                    statistics.created += 1;
                    statistics.starting += started.elapsed();
                }
                Err(_) => statistics.not_started += 1,
            }
        }
        self.settle(Some(outcome));
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let left = match self.outcome.take() {
            Some(outcome) => self
                .shared
                .stocks()
                .arrived(self.id, outcome, Instant::now()),
            None => {
                self.shared.stocks().turned_out_bad(self.id);
                None
            }
        };
        drop(left);
        self.shared.work();
    }
}

/// A container in use by one call. Dropped, it is closed.
pub(super) struct Lease {
    shared: Arc<Shared>,
    id: Id,
    slot: Option<Slot>,
}

impl Lease {
    pub(super) fn link(&mut self) -> &mut Link {
        let slot = self.slot.as_mut();
        &mut slot
            .expect("a lease that was given away has a container")
            .link
    }

    /// Gives back a container in which nothing was started.
    pub(super) fn give_back(mut self) {
        self.release(true);
    }

    /// The container is no good.
    pub(super) fn discard(mut self) {
        self.shared.stocks().statistics.failed += 1;
        self.release(false);
    }

    /// The call is over, and its container may be used again or not, although its contract would allow it.
    pub(super) fn end(mut self, reuse: bool, clean: bool) {
        self.shared.stocks().statistics.discarded += u64::from(reuse && !clean);
        self.release(reuse && clean);
    }

    fn release(&mut self, again: bool) {
        let slot = self.slot.take();
        let (kept, closed) = match again {
            true => (slot, None),
            false => (None, slot),
        };
        let left = self
            .shared
            .stocks()
            .give_back(self.id, kept, Instant::now());
        drop((left, closed));
        self.id = Id::MAX;
        self.shared.work();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.id != Id::MAX {
            self.release(false);
        }
    }
}
