//! What every [`Store`] must do; each engine's tests run [`check`].

use std::sync::Arc;

use serde_json::{Value, json};

use super::Store;
use crate::{CacheKey, CacheKeyBuilder, Entry};

/// Tries out an empty store that has room for a hundred entries of 1 KiB.
///
/// # Panics
///
/// If the store breaks a rule of [`Store`]; the message names the rule.
pub fn check(store: &dyn Store) {
    let (one, two) = (key(1), key(2));
    assert!(store.get(one.id()).is_none(), "an empty store has no entry");
    put(store, &one, 1);
    put(store, &two, 2);
    assert_eq!(value(store, &one), Some(json!(1)), "an entry is found");
    put(store, &one, 3);
    assert_eq!(value(store, &one), Some(json!(3)), "the last insert wins");
    store.settle();
    assert_eq!(value(store, &one), Some(json!(3)), "settling keeps entries");
    store.remove(one.id());
    store.remove(one.id());
    assert_eq!(value(store, &one), None, "a removed entry is gone");
    assert_eq!(value(store, &two), Some(json!(2)), "the other one stays");
    put(store, &one, 5);
    store.retain(&mut |entry| entry.key() == one.as_ref());
    assert_eq!(value(store, &one), Some(json!(5)), "what is retained stays");
    assert_eq!(value(store, &two), None, "what is not retained is gone");
    store.clear();
    assert_eq!(value(store, &one), None, "clearing removes everything");
    put(store, &two, 4);
    assert_eq!(value(store, &two), Some(json!(4)), "a cleared store works");
    check_threads(store);
}

fn check_threads(store: &dyn Store) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for round in 0..100 {
                    let key = key(round % 10);
                    put(store, &key, round % 10);
                    let found = value(store, &key);
                    assert!(
                        found.is_none() || found == Some(json!(round % 10)),
                        "thread {thread} got another key's entry"
                    );
                    if round % 7 == 0 {
                        store.remove(key.id());
                    }
                }
            });
        }
    });
}

fn key(number: u64) -> CacheKey {
    let digest = number.to_le_bytes();
    CacheKeyBuilder::new("conformance")
        .contract(&digest)
        .key(&serde_json::Map::new())
        .expect("no arguments always make a key")
}

fn put(store: &dyn Store, key: &CacheKey, number: u64) {
    let entry = Entry::new(key.clone(), Arc::new(json!(number)));
    store.insert(key.id(), Arc::new(entry));
}

fn value(store: &dyn Store, key: &CacheKey) -> Option<Value> {
    store.get(key.id()).map(|entry| (**entry.value()).clone())
}
