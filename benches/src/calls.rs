//! A call of a tool as an agent makes it, and caches that remember it.

use std::sync::Arc;

use praxis_cache::{CacheKeyBuilder, KeyId, Policy, ToolCache, Versions};
use serde_json::{Map, Value, json};

/// About 200 bytes as JSON.
///
/// # Panics
///
/// Never: what is written below is an object of that size.
pub fn arguments() -> Map<String, Value> {
    let value = json!({
        "path": "docs/architecture/overview.md",
        "pattern": "fn [a-z_]+\\(",
        "encoding": "utf-8",
        "limit": 250,
        "threshold": 0.75,
        "recursive": true,
        "exclude": ["target", "node_modules"],
        "options": {"context": 3, "case": null, "multiline": false},
    });
    assert!((190..=230).contains(&value.to_string().len()));
    match value {
        Value::Object(map) => map,
        _ => unreachable!("an object was written above"),
    }
}

/// An answer of about 1 KB.
pub fn answer() -> Value {
    json!({"matches": 12, "lines": [1, 5, 9], "text": "x".repeat(1000)})
}

/// A cache of 1,000 calls, the one with [`arguments`] among them.
///
/// # Panics
///
/// Never: the arguments are small, and there is room for all.
pub fn filled(keys: &CacheKeyBuilder, policy: &Policy, versions: &dyn Versions) -> ToolCache {
    let cache = ToolCache::default();
    for number in 0..1_000 {
        let mut other = arguments();
        other.insert("limit".into(), json!(number));
        let key = keys.key(&other).expect("small arguments");
        cache.begin(&key, policy, versions).store(answer());
    }
    assert_eq!(cache.stats().stores, 1_000);
    cache
}

/// The keys of the tool.
pub fn keys() -> CacheKeyBuilder {
    CacheKeyBuilder::new("search_files")
        .contract(&[7; 32])
        .tenant("acme")
        .variables(&[9; 16])
}

/// A bare `moka` with 1,000 entries and one more of this id.
pub fn moka_by_id(id: KeyId) -> moka::sync::Cache<u128, Arc<Value>> {
    let value = Arc::new(answer());
    let moka = moka::sync::Cache::new(10_000);
    for number in (0..1_000).chain([id.0]) {
        moka.insert(number, Arc::clone(&value));
    }
    moka
}
