//! What an entry costs in memory beyond its key and value, counted by the allocator.
//!
//! A bench of its own, because the counting allocator slows down everything that allocates.
//! It counts the bytes that were asked for, so the allocator's own rounding is missing, for all alike.

use std::sync::Arc;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use praxis_cache::{CacheKey, CacheKeyBuilder, NoVersions, Policy, RunId, ToolCache};
use serde_json::{Map, Value, json};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// How many entries each cache may hold; it is given twice as many, so that it is full.
const CAPACITY: usize = 10_000;

/// What `fill` leaves allocated for each entry, apart from the value.
///
/// `fill` gives the cache and how many entries it holds.
fn overhead<C>(keys: &[CacheKey], fill: impl FnOnce(&[CacheKey]) -> (C, u64)) -> f64 {
    let value = {
        let before = ALLOCATOR.current_usage();
        let _value = Arc::new(Value::Null);
        ALLOCATOR.current_usage() - before
    };
    let before = ALLOCATOR.current_usage();
    let (cache, entries) = fill(keys);
    assert!(entries > CAPACITY as u64 / 2, "{entries} entries");
    let grown = ALLOCATOR.current_usage() - before;
    drop(cache);
    grown as f64 / entries as f64 - value as f64
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn main() {
    let builder = CacheKeyBuilder::new("search_files");
    let key = |number: usize| {
        let arguments = Map::from_iter([("number".to_owned(), json!(number))]);
        builder.key(&arguments).expect("small arguments")
    };
    let keys: Vec<CacheKey> = (0..2 * CAPACITY).map(key).collect();
    let ttl = Duration::from_secs(300);

    // All hold the same keys, with the bytes that prove a hit; those are allocated already.
    let praxis = overhead(&keys, |keys| {
        let cache = ToolCache::builder()
            .max_entries(CAPACITY as u64)
            .ttl(ttl)
            .build();
        let policy = Policy::pure(RunId::unique());
        for key in keys {
            cache.begin(key, &policy, &NoVersions).store(Value::Null);
        }
        let entries = cache.stats().entries;
        (cache, entries)
    });
    let moka = overhead(&keys, |keys| {
        let cache = moka::sync::Cache::<CacheKey, Arc<Value>>::builder()
            .max_capacity(CAPACITY as u64)
            .time_to_live(ttl)
            .weigher(|_, _| 1)
            .build();
        for key in keys {
            cache.insert(key.clone(), Arc::new(Value::Null));
        }
        cache.run_pending_tasks();
        let entries = cache.entry_count();
        (cache, entries)
    });
    let quick = overhead(&keys, |keys| {
        let cache = quick_cache::sync::Cache::new(CAPACITY);
        for key in keys {
            cache.insert(key.clone(), Arc::new(Value::Null));
        }
        let entries = cache.len() as u64;
        (cache, entries)
    });
    println!("bytes per entry beyond key and value, in a full cache of {CAPACITY}");
    println!("  praxis, with TTL, weight, run and counts   {praxis:6.1}");
    println!("  moka, with TTL and weigher                 {moka:6.1}");
    println!("  quick_cache, with neither                  {quick:6.1}");
    let ratio = praxis / moka;
    println!("  praxis / moka                              {ratio:6.3}   wanted: 0.5 at most");
    assert!(ratio <= 0.5, "an entry costs more than half of moka's");
}
