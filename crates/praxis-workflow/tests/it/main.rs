//! The scheduler, tried at its boundary.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod behaviour;
mod builder;
mod habits;
mod journal;
mod plans;
mod program;
mod results;
#[cfg(feature = "full")]
mod sqlite;
mod theorem;
mod world;
