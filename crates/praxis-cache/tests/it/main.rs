//! Integration tests of `praxis-cache`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod disk;
mod disk_failures;
mod effects;
mod files;
mod keys;
mod model;
mod renewal;
mod service;
mod single_flight;
mod stores;
mod tool_cache;

use std::future::{Ready, ready};

use praxis_cache::{CacheKey, CacheKeyBuilder, Policy, ToolCache, Versions};
use serde_json::{Value, json};

fn key(name: &str) -> CacheKey {
    let arguments = json!({ "name": name });
    CacheKeyBuilder::new("tool")
        .key(arguments.as_object().unwrap())
        .unwrap()
}

fn ok(value: Value) -> Ready<Result<Value, String>> {
    ready(Ok(value))
}

/// Stores `value` as a call under `policy` would.
fn put(cache: &ToolCache, key: &CacheKey, policy: &Policy, versions: &dyn Versions, value: i64) {
    cache.begin(key, policy, versions).store(json!(value));
}

fn find(
    cache: &ToolCache,
    key: &CacheKey,
    policy: &Policy,
    versions: &dyn Versions,
) -> Option<i64> {
    let hit = cache.lookup(key.as_ref(), policy.run(), versions)?;
    Some(hit.value().as_i64().unwrap())
}
