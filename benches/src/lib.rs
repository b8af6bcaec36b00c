//! Benchmarks of Praxis; see `benches/` and `cargo xtask bench`.

pub mod calls;
pub mod steps;
