//! Single flight: of several callers that miss one key, one works and the others wait.

#[cfg(test)]
mod every_order;

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use serde_json::Value;

use crate::id_hasher::IdHasher;
use crate::sync::Mutex;
use crate::{CacheKey, KeyId, RunId};

/// The keys that are being worked on.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    flying: Mutex<Airspace>,
}

type Airspace = HashMap<KeyId, Flying, BuildHasherDefault<IdHasher>>;

#[derive(Debug)]
struct Flying {
    flight: Arc<Flight>,
    seats: usize,
}

#[derive(Debug)]
struct Flight {
    key: CacheKey,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    next_seat: u64,
    waiting: BTreeMap<u64, Waker>,
}

#[derive(Debug, Default)]
enum Phase {
    /// Nobody works: whoever looks next takes the lead.
    #[default]
    Vacant,
    Running,
    Ended(Turn),
}

/// What a caller is to do.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    /// Do the work, and say how it ended.
    Lead,
    /// Take this value.
    Share(Shared),
    /// Do the work without waiting for anyone: this result cannot be shared.
    Alone,
}

/// What one caller found out for all who wait.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) value: Arc<Value>,
    pub(crate) negative: bool,
    /// The run that it holds in, if not in all.
    pub(crate) run: Option<RunId>,
}

impl Flights {
    /// Takes a seat in the flight for `key`; `None` if another key of the same hash is in the air.
    pub(crate) fn join(&self, key: &CacheKey) -> Option<Seat<'_>> {
        let mut flying = self.flying.lock();
        let joined = flying.entry(key.id()).or_insert_with(|| Flying {
            flight: Arc::new(Flight {
                key: key.clone(),
                state: Mutex::default(),
            }),
            seats: 0,
        });
        if joined.flight.key != *key {
            return None;
        }
        joined.seats += 1;
        let flight = Arc::clone(&joined.flight);
        drop(flying);
        let mut state = flight.state.lock();
        let number = state.next_seat;
        state.next_seat += 1;
        drop(state);
        Some(Seat {
            flights: self,
            flight,
            number,
            leads: false,
        })
    }

    fn is_in_air(flying: &Airspace, flight: &Arc<Flight>) -> bool {
        flying
            .get(&flight.key.id())
            .is_some_and(|found| Arc::ptr_eq(&found.flight, flight))
    }
}

/// A caller's place in a flight; leaving it hands an unfinished lead to the next in line.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    flights: &'a Flights,
    flight: Arc<Flight>,
    number: u64,
    leads: bool,
}

impl Seat<'_> {
    /// Waits until there is something to do.
    pub(crate) async fn turn(&mut self) -> Turn {
        poll_fn(|context| self.poll_turn(context)).await
    }

    /// Takes the lead if nobody works, without waiting.
    pub(crate) fn take_lead(&mut self) -> bool {
        let mut state = self.flight.state.lock();
        let vacant = matches!(state.phase, Phase::Vacant);
        if vacant {
            state.phase = Phase::Running;
            self.leads = true;
        }
        vacant
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        let mut state = self.flight.state.lock();
        match &state.phase {
            Phase::Vacant => {
                state.phase = Phase::Running;
                state.waiting.remove(&self.number);
                self.leads = true;
                Poll::Ready(Turn::Lead)
            }
            Phase::Ended(turn) => Poll::Ready(turn.clone()),
            Phase::Running => {
                state.waiting.insert(self.number, context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Ends the flight and tells all who wait in it what to do.
    pub(crate) fn end(mut self, turn: Turn) {
        self.leads = false;
        let mut flying = self.flights.flying.lock();
        if Flights::is_in_air(&flying, &self.flight) {
            flying.remove(&self.flight.key.id());
        }
        drop(flying);
        let mut state = self.flight.state.lock();
        state.phase = Phase::Ended(turn);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(Waker::wake);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.flight.state.lock();
        let waited = state.waiting.remove(&self.number).is_some();
        if self.leads {
            state.phase = Phase::Vacant;
        }
        // One that was woken to take the lead and leaves instead must pass the wake on.
        let vacant = matches!(state.phase, Phase::Vacant);
        let next = if vacant && !waited {
            state.waiting.pop_first()
        } else {
            None
        };
        drop(state);
        let mut flying = self.flights.flying.lock();
        if Flights::is_in_air(&flying, &self.flight)
            && let Some(flown) = flying.get_mut(&self.flight.key.id())
        {
            flown.seats -= 1;
            if flown.seats == 0 {
                flying.remove(&self.flight.key.id());
            }
        }
        drop(flying);
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }
}
