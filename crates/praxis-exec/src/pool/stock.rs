//! Which containers are kept warm, and who gets the next one. Knows nothing of containers themselves.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{PoolConfig, Statistics};
use crate::{Error, ErrorKind};

/// In this time a stock forgets half of what was asked of it.
const HALF_LIFE: Duration = Duration::from_secs(60);

/// How much must have been asked of a stock lately for containers to be kept for it unasked.
const FREQUENT: f64 = 2.0;

const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// What a container is good for.
pub(super) trait Kind {
    /// Whether containers of this kind can serve calls of that.
    fn fits(&self, other: &Self) -> bool;

    fn reuse(&self) -> bool;

    /// The memory that a container may use at most.
    fn memory_bytes(&self) -> u64;

    /// How many are configured to be warm at all times.
    fn configured(&self, config: &PoolConfig) -> usize;
}

/// The number of a stock; it is never given out again.
pub(super) type Id = u64;

/// Who waits for a container gets it, or the reason that there is none.
type Waiter<S> = oneshot::Sender<Result<S, Error>>;

/// All stocks.
pub(super) struct Stocks<K, S> {
    stocks: Vec<Stock<K, S>>,
    config: Arc<PoolConfig>,
    next: Id,
    draining: bool,
    pub(super) statistics: Statistics,
}

/// The containers of one kind.
struct Stock<K, S> {
    id: Id,
    kind: Arc<K>,
    /// The one used last is at the end.
    idle: Vec<Idle<S>>,
    waiting: VecDeque<Waiter<S>>,
    /// Being started, or looked at; each goes to who waits, or becomes idle.
    coming: usize,
    busy: usize,
    /// Calls that were announced and have not come yet.
    foreseen: usize,
    /// Whether the last call was not announced. While all are, nothing has to be learned from them.
    surprised: bool,
    demand: Demand,
    backoff: Backoff,
}

struct Idle<S> {
    slot: S,
    since: Instant,
    seen_well: Instant,
}

/// How a call gets its container.
pub(super) enum Taken<S> {
    Now(Id, S),
    Later(Id, oneshot::Receiver<Result<S, Error>>),
}

/// What is to be done for the stocks.
pub(super) struct Plan<K, S> {
    pub(super) start: Vec<(Id, Arc<K>)>,
    pub(super) close: Vec<S>,
}

impl<K: Kind, S> Stocks<K, S> {
    pub(super) fn new(config: Arc<PoolConfig>) -> Self {
        Self {
            stocks: Vec::new(),
            config,
            next: 0,
            draining: false,
            statistics: Statistics::default(),
        }
    }

    /// The stock of a kind, which is there from now on.
    pub(super) fn of(&mut self, kind: K, now: Instant) -> Id {
        if let Some(stock) = self.stocks.iter().find(|stock| stock.kind.fits(&kind)) {
            return stock.id;
        }
        self.next += 1;
        self.stocks.push(Stock {
            id: self.next,
            kind: Arc::new(kind),
            idle: Vec::new(),
            waiting: VecDeque::new(),
            coming: 0,
            busy: 0,
            foreseen: 0,
            surprised: false,
            demand: Demand::new(now),
            backoff: Backoff::default(),
        });
        self.next
    }

    /// One call of this kind is about to come.
    pub(super) fn foresee(&mut self, kind: K, now: Instant) {
        if self.draining {
            return;
        }
        let id = self.of(kind, now);
        if let Some(stock) = self.stock(id) {
            stock.foreseen += 1;
            stock.demand.touch(now);
        }
    }

    /// Takes a container for a call; those that are no good any more are given to `close`.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] where the pool is being shut down.
    pub(super) fn take(
        &mut self,
        kind: K,
        now: Instant,
        is_good: impl Fn(&S) -> bool,
        close: &mut Vec<S>,
    ) -> Result<Taken<S>, Error> {
        if self.draining {
            return Err(shut_down());
        }
        let id = self.of(kind, now);
        let stock = self.stocks.iter_mut().find(|stock| stock.id == id);
        let stock = stock.expect("it was looked up just before");
        stock.busy += 1;
        stock.surprised = stock.foreseen == 0;
        stock.foreseen = stock.foreseen.saturating_sub(1);
        stock.demand.note(now, stock.busy);
        while let Some(idle) = stock.idle.pop() {
            if is_good(&idle.slot) {
                self.statistics.hits += 1;
                return Ok(Taken::Now(id, idle.slot));
            }
            self.statistics.failed += 1;
            close.push(idle.slot);
        }
        self.statistics.misses += 1;
        let (send, receive) = oneshot::channel();
        stock.waiting.push_back(send);
        Ok(Taken::Later(id, receive))
    }

    /// A call is over, and its container with it, or it may be used again. Gives back one that nobody wants.
    pub(super) fn give_back(&mut self, id: Id, slot: Option<S>, now: Instant) -> Option<S> {
        let draining = self.draining;
        let stock = self.stock(id)?;
        stock.busy = stock.busy.saturating_sub(1);
        match slot {
            Some(slot) if !draining => stock.offer(slot, now),
            other => other,
        }
    }

    /// A container is there, or could not be had. Gives back one that nobody wants.
    pub(super) fn arrived(&mut self, id: Id, outcome: Result<S, Error>, now: Instant) -> Option<S> {
        let draining = self.draining;
        let stock = self.stock(id)?;
        stock.coming = stock.coming.saturating_sub(1);
        match outcome {
            Ok(slot) => {
                stock.backoff = Backoff::default();
                if draining {
                    return Some(slot);
                }
                stock.offer(slot, now)
            }
            Err(error) => {
                stock.backoff.fail(now);
                if let Some(waiter) = stock.next_waiter() {
                    let _ = waiter.send(Err(error));
                } else if !draining {
                    tracing::warn!(%error, help = error.help(), "cannot keep a container warm");
                }
                None
            }
        }
    }

    /// A container that was taken away to be looked at is no good.
    pub(super) fn turned_out_bad(&mut self, id: Id) {
        self.statistics.failed += 1;
        if let Some(stock) = self.stock(id) {
            stock.coming = stock.coming.saturating_sub(1);
        }
    }

    /// Takes away the idle containers that were not seen to be well for a while; each has to arrive again.
    pub(super) fn unseen(&mut self, now: Instant) -> Vec<(Id, S)> {
        let interval = self.config.health_interval;
        let mut found = Vec::new();
        for stock in &mut self.stocks {
            let old = |idle: &mut Idle<S>| now.duration_since(idle.seen_well) >= interval;
            let taken: Vec<_> = stock.idle.extract_if(.., old).collect();
            stock.coming += taken.len();
            found.extend(taken.into_iter().map(|idle| (stock.id, idle.slot)));
        }
        found
    }

    /// Takes away the idle containers that nobody asked for in a long time, and forgets what stocks are empty for good.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<S> {
        let config = Arc::clone(&self.config);
        let mut closed = Vec::new();
        for stock in &mut self.stocks {
            let configured = stock.kind.configured(&config);
            let recent = now.duration_since(stock.demand.at) < config.idle;
            let keep = if recent {
                stock.wanted(now, &config)
            } else {
                stock.foreseen = 0;
                configured
            };
            while stock.idle.len() > keep
                && stock
                    .idle
                    .first()
                    .is_some_and(|oldest| now.duration_since(oldest.since) >= config.idle)
            {
                closed.push(stock.idle.remove(0).slot);
                self.statistics.expired += 1;
            }
        }
        self.stocks.retain(|stock| {
            let empty = stock.idle.is_empty() && stock.waiting.is_empty();
            let unused = stock.busy == 0 && stock.coming == 0;
            let old = now.duration_since(stock.demand.at) >= config.idle;
            !(empty && unused && old && stock.kind.configured(&config) == 0)
        });
        closed
    }

    /// What must be started for those who wait, and what should be started before somebody does.
    pub(super) fn plan(&mut self, now: Instant) -> Plan<K, S> {
        let mut plan = Plan {
            start: Vec::new(),
            close: Vec::new(),
        };
        if self.draining {
            return plan;
        }
        for stock in &mut self.stocks {
            stock.waiting.retain(|waiter| !waiter.is_closed());
            while stock.coming < stock.waiting.len() {
                stock.coming += 1;
                plan.start.push((stock.id, Arc::clone(&stock.kind)));
            }
        }
        let mut order: Vec<usize> = (0..self.stocks.len()).collect();
        let rank = |stock: &Stock<K, S>| {
            let configured = stock.kind.configured(&self.config);
            (stock.idle.len() >= configured, -stock.demand.level(now))
        };
        order.sort_by(|one, other| {
            let (one, other) = (rank(&self.stocks[*one]), rank(&self.stocks[*other]));
            one.0.cmp(&other.0).then(one.1.total_cmp(&other.1))
        });
        for index in order {
            while self.stocks[index].lacks(now, &self.config)
                && self.make_room(index, now, &mut plan.close)
            {
                let stock = &mut self.stocks[index];
                stock.coming += 1;
                plan.start.push((stock.id, Arc::clone(&stock.kind)));
            }
        }
        plan
    }

    /// Whether one more may be started ahead for this stock, closing an idle one of a stock that is asked for less.
    fn make_room(&mut self, index: usize, now: Instant, close: &mut Vec<S>) -> bool {
        let config = Arc::clone(&self.config);
        let coming: usize = self.stocks.iter().map(Stock::coming_ahead).sum();
        if coming >= config.starts_at_once {
            return false;
        }
        let level = self.stocks[index].level(now, &config);
        let memory = self.stocks[index].kind.memory_bytes();
        loop {
            let kept: usize = self.stocks.iter().map(Stock::kept).sum();
            let bytes: u64 = self.stocks.iter().map(Stock::kept_bytes).sum();
            if kept < config.slots && bytes.saturating_add(memory) <= config.memory_bytes {
                return true;
            }
            let others = self.stocks.iter_mut().enumerate();
            let victim = others
                .filter(|(other, stock)| *other != index && !stock.idle.is_empty())
                .map(|(_, stock)| (stock.level(now, &config), stock))
                .filter(|(other, _)| *other < level)
                .min_by(|(one, _), (other, _)| one.total_cmp(other));
            let Some((_, victim)) = victim else {
                return false;
            };
            close.push(victim.idle.remove(0).slot);
            self.statistics.expired += 1;
        }
    }

    /// Lets nobody have a container any more, and gives back the idle ones.
    pub(super) fn drain(&mut self) -> Vec<S> {
        self.draining = true;
        let mut idle = Vec::new();
        for stock in &mut self.stocks {
            idle.extend(stock.idle.drain(..).map(|idle| idle.slot));
            for waiter in stock.waiting.drain(..) {
                let _ = waiter.send(Err(shut_down()));
            }
        }
        idle
    }

    /// Whether nothing is under way.
    pub(super) fn is_still(&self) -> bool {
        self.stocks
            .iter()
            .all(|stock| stock.coming == 0 && stock.busy == 0)
    }

    /// The statistics with what is there now.
    pub(super) fn snapshot(&self) -> Statistics {
        let sum = |part: fn(&Stock<K, S>) -> usize| self.stocks.iter().map(part).sum();
        Statistics {
            idle: sum(|stock| stock.idle.len()),
            busy: sum(|stock| stock.busy),
            coming: sum(|stock| stock.coming),
            ..self.statistics.clone()
        }
    }

    fn stock(&mut self, id: Id) -> Option<&mut Stock<K, S>> {
        self.stocks.iter_mut().find(|stock| stock.id == id)
    }
}

impl<K: Kind, S> Stock<K, S> {
    fn next_waiter(&mut self) -> Option<Waiter<S>> {
        while let Some(waiter) = self.waiting.pop_front() {
            if !waiter.is_closed() {
                return Some(waiter);
            }
        }
        None
    }

    /// Gives a container to who waits the longest, or keeps it; gives back what cannot be kept.
    fn offer(&mut self, mut slot: S, now: Instant) -> Option<S> {
        while let Some(waiter) = self.next_waiter() {
            match waiter.send(Ok(slot)) {
                Ok(()) => return None,
                Err(returned) => match returned {
                    Ok(returned) => slot = returned,
                    Err(_) => return None,
                },
            }
        }
        self.idle.push(Idle {
            slot,
            since: now,
            seen_well: now,
        });
        None
    }

    /// How many should be idle or on their way while nobody waits.
    fn wanted(&self, now: Instant, config: &PoolConfig) -> usize {
        let configured = self.kind.configured(config);
        let learned = match self.surprised && self.demand.level(now) >= FREQUENT {
            true => self.demand.at_once(now).min(config.slots_per_tool),
            false => 0,
        };
        // More at once would make the first of them late; each call that comes has the next one started.
        let foreseen = self.foreseen.min(1);
        let wanted = configured.max(learned).max(foreseen);
        match self.kind.reuse() {
            // Those in use come back.
            true => wanted.saturating_sub(self.busy),
            false => wanted,
        }
    }

    fn coming_ahead(&self) -> usize {
        self.coming.saturating_sub(self.waiting.len())
    }

    fn lacks(&self, now: Instant, config: &PoolConfig) -> bool {
        let ready = self.idle.len() + self.coming_ahead();
        ready < self.wanted(now, config) && self.backoff.is_over(now)
    }

    fn kept(&self) -> usize {
        self.idle.len() + self.coming_ahead()
    }

    fn kept_bytes(&self) -> u64 {
        (self.kept() as u64).saturating_mul(self.kind.memory_bytes())
    }

    /// How much a container of this stock is wanted; one that is configured, more than any that is not.
    fn level(&self, now: Instant, config: &PoolConfig) -> f64 {
        match self.kept() <= self.kind.configured(config) && self.kind.configured(config) > 0 {
            true => f64::INFINITY,
            false => self.demand.level(now),
        }
    }
}

pub(super) fn shut_down() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        "the pool of containers is being shut down",
    )
}

/// How often and how many at once a stock is asked for, the recent counting more.
struct Demand {
    level: f64,
    at_once: f64,
    at: Instant,
}

impl Demand {
    fn new(now: Instant) -> Self {
        Self {
            level: 0.0,
            at_once: 0.0,
            at: now,
        }
    }

    fn note(&mut self, now: Instant, busy: usize) {
        self.level = self.level(now) + 1.0;
        self.at_once = self.faded(self.at_once, now).max(busy as f64);
        self.at = now;
    }

    /// The same, as of now.
    fn touch(&mut self, now: Instant) {
        (self.level, self.at_once) = (self.level(now), self.faded(self.at_once, now));
        self.at = now;
    }

    /// How many calls there were, each counting half for every [`HALF_LIFE`] since.
    fn level(&self, now: Instant) -> f64 {
        self.faded(self.level, now)
    }

    /// How many calls there were at once, rounded up.
    fn at_once(&self, now: Instant) -> usize {
        self.faded(self.at_once, now).ceil() as usize
    }

    fn faded(&self, value: f64, now: Instant) -> f64 {
        let lives = now.duration_since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        value * (-lives).exp2()
    }
}

/// When containers may be started ahead again after that has failed.
#[derive(Default)]
struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    fn fail(&mut self, now: Instant) {
        let pause = FIRST_BACKOFF * 2_u32.saturating_pow(self.failures.min(16));
        self.failures += 1;
        self.until = Some(now + pause.min(LONGEST_BACKOFF));
    }

    fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }
}

#[cfg(test)]
mod tests;
