//! Single flight in every order that threads can take, by `loom`: the real code, with loom's lock in it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc as Plain;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;
use serde_json::{Map, json};

use super::{Flights, Shared, Turn};
use crate::{CacheKey, CacheKeyBuilder};

/// Up to this many times a thread is stopped where it could go on; what more orders would show is not known to exist.
const PREEMPTIONS: usize = 3;

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(body);
}

fn key() -> CacheKey {
    CacheKeyBuilder::new("tool")
        .key(&Map::new())
        .expect("no arguments always make a key")
}

fn answer() -> Turn {
    Turn::Share(Shared {
        value: Plain::new(json!(7)),
        negative: false,
        run: None,
    })
}

/// Works, and says so, if it is this caller's turn; how the flight ends is up to `end`.
fn call(flights: &Flights, loads: &AtomicUsize, end: impl FnOnce(super::Seat<'_>)) {
    let mut seat = flights.join(&key()).expect("one key");
    match block_on(seat.turn()) {
        Turn::Lead => {
            loads.fetch_add(1, Ordering::Relaxed);
            end(seat);
        }
        Turn::Share(shared) => assert_eq!(*shared.value, json!(7)),
        Turn::Alone => panic!("nobody said so"),
    }
}

#[test]
fn nobody_waits_for_ever_and_nobody_works_beside_another() {
    model(|| {
        let flights = Arc::new(Flights::default());
        let loads = Plain::new(AtomicUsize::new(0));
        let other = thread::spawn({
            let (flights, loads) = (Arc::clone(&flights), Plain::clone(&loads));
            move || call(&flights, &loads, |seat| seat.end(answer()))
        });
        call(&flights, &loads, |seat| seat.end(answer()));
        other.join().expect("it ends");
        // One after the other makes two flights, since only the cache knows what has landed.
        assert!((1..=2).contains(&loads.load(Ordering::Relaxed)));
        assert!(flights.flying.lock().is_empty(), "a flight is left");
    });
}

#[test]
fn a_leader_that_leaves_is_succeeded() {
    model(|| {
        let flights = Arc::new(Flights::default());
        let loads = Plain::new(AtomicUsize::new(0));
        let other = thread::spawn({
            let (flights, loads) = (Arc::clone(&flights), Plain::clone(&loads));
            move || call(&flights, &loads, |seat| seat.end(answer()))
        });
        call(&flights, &loads, |seat| drop(seat));
        other.join().expect("whoever waits is woken");
        assert!(flights.flying.lock().is_empty(), "a flight is left");
    });
}

#[test]
fn one_that_leaves_while_it_waits_passes_the_lead_on() {
    model(|| {
        let flights = Arc::new(Flights::default());
        let loads = Plain::new(AtomicUsize::new(0));
        let mut leader = flights.join(&key()).expect("one key");
        assert!(leader.take_lead());
        // It asked once, with a waker that wakes nobody, and goes away at any moment.
        let impatient = thread::spawn({
            let flights = Arc::clone(&flights);
            move || {
                let mut seat = flights.join(&key()).expect("one key");
                let polled = {
                    let mut context = Context::from_waker(Waker::noop());
                    pin!(seat.turn()).poll(&mut context)
                };
                if let Poll::Ready(Turn::Lead) = polled {
                    seat.end(answer());
                }
            }
        });
        let patient = thread::spawn({
            let (flights, loads) = (Arc::clone(&flights), Plain::clone(&loads));
            move || call(&flights, &loads, |seat| seat.end(answer()))
        });
        drop(leader);
        impatient.join().expect("it ends");
        patient.join().expect("whoever waits is woken");
        assert!(flights.flying.lock().is_empty(), "a flight is left");
    });
}
