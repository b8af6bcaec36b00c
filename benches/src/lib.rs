//! Benchmarks of Praxis; see `benches/` and `cargo xtask bench`.

pub mod steps;
