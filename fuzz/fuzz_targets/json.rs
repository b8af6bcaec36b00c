//! The body is shared with the tests of the crate.

#![no_main]

#[expect(dead_code, reason = "each target runs one of the bodies")]
#[path = "../bodies/dsl.rs"]
mod dsl;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dsl::json(bytes));
