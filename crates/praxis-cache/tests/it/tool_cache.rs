use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use praxis_cache::{
    CacheKeyBuilder, CacheService, Clock, Entry, ErrorKind, KeyId, ManualClock, MapStore,
    MemoryVersions, NoVersions, Pattern, Policy, Resource, RunId, Store, ToolCache,
};
use serde_json::json;

use crate::{find, key, ok, put};

#[test]
fn a_hit_shares_the_value() {
    let cache = ToolCache::default();
    let policy = Policy::pure(RunId::unique());
    let stored = cache
        .begin(&key("a"), &policy, &NoVersions)
        .store(json!([1, 2]));
    let hit = cache
        .lookup(key("a").as_ref(), RunId::unique(), &NoVersions)
        .unwrap();
    assert!(Arc::ptr_eq(hit.value(), &stored));
    assert_eq!(hit.run(), policy.run());
    assert_eq!(find(&cache, &key("b"), &policy, &NoVersions), None);
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.stores), (1, 1, 1));
    assert_eq!(stats.entries, 1);
}

#[test]
fn ttl_of_the_cache_and_of_the_policy() {
    let clock = Arc::new(ManualClock::default());
    let cache = ToolCache::builder().clock(Arc::clone(&clock)).build();
    let usual = Policy::pure(RunId::unique());
    let short = usual.clone().ttl(Duration::from_secs(1));
    let huge = usual.clone().ttl(Duration::MAX);
    let none = usual.clone().ttl(Duration::ZERO);
    for (name, policy) in [
        ("usual", &usual),
        ("short", &short),
        ("huge", &huge),
        ("none", &none),
    ] {
        put(&cache, &key(name), policy, &NoVersions, 1);
    }
    let found = |name| find(&cache, &key(name), &usual, &NoVersions).is_some();
    assert_eq!(
        ["usual", "short", "huge", "none"].map(found),
        [true, true, true, false]
    );
    clock.advance(Duration::from_secs(1) - Duration::from_nanos(1));
    assert!(found("short"));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(
        ["usual", "short", "huge", "none"].map(found),
        [true, false, true, false]
    );
    clock.advance(Duration::from_secs(299));
    assert_eq!(
        ["usual", "short", "huge", "none"].map(found),
        [false, false, true, false]
    );
    let stats = cache.stats();
    assert_eq!((stats.expired, stats.entries, stats.evictions), (2, 1, 0));
}

/// A clock that is set by hand, backwards too.
#[derive(Clone, Default)]
struct Watch(Arc<AtomicU64>);

impl Clock for Watch {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn a_clock_that_goes_backwards_costs_a_miss() {
    let watch = Watch::default();
    let cache = ToolCache::builder().clock(watch.clone()).build();
    let policy = Policy::pure(RunId::unique());
    let at = |seconds| watch.0.store(seconds, Ordering::SeqCst);
    let found = || find(&cache, &key("a"), &policy, &NoVersions).is_some();
    at(1_000);
    put(&cache, &key("a"), &policy, &NoVersions, 1);
    at(999);
    assert!(found(), "a second is forgiven");
    at(998);
    assert!(!found());
    at(1_000);
    assert!(!found(), "it was dropped");
    let service = CacheService::with_clock(1 << 20, Duration::from_secs(300), watch.clone());
    service.set("a", "k", String::new());
    at(100);
    assert!(service.get("a", "k").is_none());
}

#[test]
fn numbers_that_json_cannot_hold_are_refused() {
    let tool = CacheKeyBuilder::new("zoom");
    assert_eq!(tool.float(-0.5).unwrap(), json!(-0.5));
    for (number, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let error = tool.float(number).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFinite);
        let text = error.to_string();
        assert!(
            text.contains("`zoom`") && text.contains("JSON"),
            "{name}: {text}"
        );
    }
}

#[tokio::test]
async fn nothing_is_kept_without_room_or_time() {
    let policy = Policy::pure(RunId::unique());
    let never = Policy::never(RunId::unique());
    let caches = [
        (ToolCache::builder().max_entries(0).build(), &policy),
        (ToolCache::builder().max_bytes(0).build(), &policy),
        (ToolCache::builder().ttl(Duration::ZERO).build(), &policy),
        (ToolCache::default(), &never),
    ];
    for (cache, policy) in &caches {
        for _ in 0..2 {
            let outcome = cache
                .get_or_run(&key("a"), policy, &NoVersions, || ok(json!(1)))
                .await
                .unwrap();
            assert!(!outcome.cached);
        }
        assert_eq!(cache.stats().stores, 0, "{cache:?}");
    }
}

#[test]
fn entries_are_bounded() {
    let cache = ToolCache::builder().max_entries(100).build();
    let policy = Policy::pure(RunId::unique());
    for number in 0..1_000 {
        put(
            &cache,
            &key(&number.to_string()),
            &policy,
            &NoVersions,
            number,
        );
    }
    cache.stats();
    let kept = (0..1_000).filter(|number| {
        find(&cache, &key(&number.to_string()), &policy, &NoVersions) == Some(*number)
    });
    let kept = kept.count();
    assert!((50..=100).contains(&kept), "{kept} entries kept");
}

#[test]
fn bytes_are_bounded() {
    let cache = ToolCache::builder().max_bytes(1 << 20).build();
    let policy = Policy::pure(RunId::unique());
    let text = |bytes| json!("x".repeat(bytes));
    for number in 0..200 {
        let fill = cache.begin(&key(&number.to_string()), &policy, &NoVersions);
        fill.store(text(50_000));
    }
    cache.stats();
    let found = |name: &str| cache.lookup(key(name).as_ref(), policy.run(), &NoVersions);
    let kept = (0..200)
        .filter(|number| found(&number.to_string()).is_some())
        .count();
    assert!(
        (10..=20).contains(&kept),
        "{kept} entries of 50 KB kept in 1 MiB"
    );
    cache
        .begin(&key("large"), &policy, &NoVersions)
        .store(text(2 << 20));
    assert!(found("large").is_none());
    assert_eq!(cache.stats().stores, 200);
}

#[test]
fn forgetting_on_request() {
    let cache = ToolCache::default();
    let policy = Policy::pure(RunId::unique());
    let other = CacheKeyBuilder::new("other")
        .key(&serde_json::Map::new())
        .unwrap();
    let refill = || {
        for key in [&key("a"), &key("b"), &other] {
            put(&cache, key, &policy, &NoVersions, 1);
        }
    };
    let found = || {
        [&key("a"), &key("b"), &other].map(|key| find(&cache, key, &policy, &NoVersions).is_some())
    };
    refill();
    cache.invalidate_key(key("a").as_ref());
    assert_eq!(found(), [false, true, true]);
    refill();
    cache.invalidate_tool("tool");
    assert_eq!(found(), [false, false, true]);
    refill();
    assert_eq!(
        cache.invalidate_matching(|key| key.text() == r#"tool {"name":"b"}"#),
        1
    );
    assert_eq!(found(), [true, false, true]);
    refill();
    let pattern = Pattern::new("t*l");
    assert_eq!(
        cache.invalidate_matching(|key| pattern.matches(key.tool())),
        2
    );
    assert_eq!(found(), [false, false, true]);
    refill();
    cache.clear();
    assert_eq!(found(), [false, false, false]);
    let stats = cache.stats();
    assert_eq!((stats.invalidated, stats.entries, stats.bytes), (9, 0, 0));
    refill();
    assert_eq!(found(), [true, true, true]);
    // Those that were stored over are neither invalidated nor evicted.
    assert_eq!(cache.stats().evictions, 0);
}

#[test]
fn what_is_forgotten_during_a_run_is_not_stored() {
    let cache = ToolCache::default();
    let run = RunId::unique();
    let policy = Policy::pure(run);
    let key = key("a");
    for forget in [
        &(|| cache.invalidate_key(key.as_ref())) as &dyn Fn(),
        &|| cache.invalidate_tool("tool"),
        &|| {
            cache.invalidate_matching(|key| key.tool() == "tool");
        },
        &|| cache.clear(),
        &|| (0..5_000).for_each(|_| cache.invalidate_tool("another")),
    ] {
        for policy in [&policy, &Policy::read(run, [Resource::path("a")])] {
            let fill = cache.begin(&key, policy, &NoVersions);
            forget();
            fill.store(json!(1));
            assert_eq!(find(&cache, &key, policy, &NoVersions), None);
        }
    }
}

#[test]
fn what_is_forgotten_of_others_during_a_run_does_not_matter() {
    let cache = ToolCache::default();
    let run = RunId::unique();
    let key = key("a");
    for policy in [Policy::pure(run), Policy::read(run, [Resource::path("a")])] {
        let fill = cache.begin(&key, &policy, &NoVersions);
        for other in 0..100 {
            cache.invalidate_key(crate::key(&other.to_string()).as_ref());
            cache.invalidate_tool("another");
            cache.wrote(&Resource::path("b"));
        }
        fill.store(json!(1));
        assert!(find(&cache, &key, &policy, &NoVersions).is_some());
        cache.clear();
    }
}

#[test]
fn calls_by_tool_and_arguments() {
    let cache = ToolCache::default();
    let tool = CacheKeyBuilder::new("tool");
    let (acme, other) = (tool.clone().tenant("acme"), tool.clone().tenant("other"));
    let arguments = json!({"name": "a"}).as_object().cloned().unwrap();
    let get = |tool: &CacheKeyBuilder| {
        let hit = cache.get(tool, &arguments).unwrap()?;
        Some((hit.value().as_i64().unwrap(), hit.accesses()))
    };
    assert_eq!(get(&tool), None);
    cache.set(&tool, &arguments, json!(1)).unwrap();
    cache.set(&acme, &arguments, json!(2)).unwrap();
    assert_eq!((get(&tool), get(&acme)), (Some((1, 1)), Some((2, 1))));
    assert_eq!((get(&other), get(&acme)), (None, Some((2, 2))));
    let gone = cache.invalidate_matching(|key| key.tenant() == Some("acme"));
    assert_eq!((gone, get(&acme), get(&tool)), (1, None, Some((1, 2))));
    cache.invalidate(&tool, &arguments).unwrap();
    assert_eq!(get(&tool), None);
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    let deep = serde_json::Map::from_iter([("a".to_owned(), deep)]);
    let refused = cache.set(&tool, &deep, json!(1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooDeep);
    assert_eq!(
        cache.get(&tool, &deep).unwrap_err().kind(),
        ErrorKind::TooDeep
    );
    assert_eq!(
        cache.invalidate(&tool, &deep).unwrap_err().kind(),
        ErrorKind::TooDeep
    );
}

#[test]
fn a_look_without_versions_neither_gives_nor_drops_what_has_one() {
    let cache = ToolCache::default();
    let versions = MemoryVersions::default();
    let policy = Policy::read(RunId::unique(), [Resource::path("a")]);
    put(&cache, &key("a"), &policy, &versions, 1);
    let arguments = json!({"name": "a"}).as_object().cloned().unwrap();
    let hit = cache.get(&CacheKeyBuilder::new("tool"), &arguments);
    assert!(hit.unwrap().is_none());
    assert_eq!(find(&cache, &key("a"), &policy, &versions), Some(1));
}

#[test]
fn patterns() {
    let check = |pattern: &str, name: &str, expect: bool| {
        let found = Pattern::new(pattern).matches(name);
        assert_eq!(found, expect, "{pattern:?} on {name:?}");
    };
    for (pattern, name) in [
        ("", ""),
        ("*", ""),
        ("*", "abc"),
        ("a*", "a"),
        ("*c", "abc"),
        ("a*c", "abcbc"),
        ("a?c", "aéc"),
        ("**a**", "bab"),
        ("*ab*ab", "abxabab"),
        ("read_file", "read_file"),
        ("a*b*c", "a--b--b--c"),
    ] {
        check(pattern, name, true);
    }
    for (pattern, name) in [
        ("", "a"),
        ("?", ""),
        ("a", "ab"),
        ("a*c", "ab"),
        ("*a", "ab"),
        ("a?c", "ac"),
        ("read", "read_file"),
        ("*ab*ab", "ab"),
        ("A", "a"),
    ] {
        check(pattern, name, false);
    }
    check(&"*a".repeat(2_000), &"a".repeat(1_999), false);
}

/// A store in which all keys have one place.
#[derive(Default)]
struct Collide(MapStore);

impl Store for Collide {
    fn get(&self, _: KeyId) -> Option<Arc<Entry>> {
        self.0.get(KeyId(0))
    }
    fn insert(&self, _: KeyId, entry: Arc<Entry>) {
        self.0.insert(KeyId(0), entry);
    }
    fn remove(&self, _: KeyId) {
        self.0.remove(KeyId(0));
    }
    fn clear(&self) {
        self.0.clear();
    }
    fn retain(&self, keep: &mut dyn FnMut(&Entry) -> bool) {
        self.0.retain(keep);
    }
}

#[test]
fn colliding_hashes_are_told_apart() {
    let cache = ToolCache::builder().store(Collide::default()).build();
    let policy = Policy::pure(RunId::unique());
    put(&cache, &key("a"), &policy, &NoVersions, 1);
    assert_eq!(find(&cache, &key("b"), &policy, &NoVersions), None);
    assert_eq!(find(&cache, &key("a"), &policy, &NoVersions), Some(1));
}

#[test]
fn deep_results_are_kept() {
    let cache = ToolCache::default();
    let mut value = json!(1);
    for _ in 0..1_000 {
        value = serde_json::Value::Array(vec![value]);
    }
    let policy = Policy::pure(RunId::unique());
    cache.begin(&key("a"), &policy, &NoVersions).store(value);
    assert_eq!(cache.stats().stores, 1);
}

#[test]
fn keys_that_share_a_place_in_the_store_are_never_mistaken() {
    let mut seen = std::collections::HashMap::new();
    let (first, second) = (0..)
        .find_map(|number: u32| {
            let key = key(&number.to_string());
            let earlier = seen.insert(key.id().0 as u32, number)?;
            Some((super::key(&earlier.to_string()), key))
        })
        .expect("numbers go on until two share 32 bits");
    let cache = ToolCache::default();
    let policy = Policy::pure(RunId::unique());
    put(&cache, &first, &policy, &NoVersions, 1);
    put(&cache, &second, &policy, &NoVersions, 2);
    assert_eq!(find(&cache, &first, &policy, &NoVersions), None);
    let by_id = |id| cache.get_by_key(id, policy.run(), &NoVersions);
    assert!(by_id(first.id()).is_none());
    assert!(cache.explain(first.id(), &NoVersions).is_none());
    assert_eq!(**by_id(second.id()).unwrap().value(), json!(2));
    assert_eq!(cache.stats().entries, 1);
}
