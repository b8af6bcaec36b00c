use std::sync::Arc;
use std::time::Duration;

use praxis_cache::{CacheService, Category, KeyId, ManualClock};
use serde_json::json;

const TTL: Duration = Duration::from_secs(10);

fn service(max_bytes: u64) -> (CacheService<String>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let service = CacheService::with_clock(max_bytes, TTL, Arc::clone(&clock));
    (service, clock)
}

#[test]
fn categories_are_apart() {
    let (service, _) = service(1 << 20);
    service.set("a", "k", "one".to_owned());
    service.set("b", "k", "two".to_owned());
    service.set("a", "k", "three".to_owned());
    assert_eq!(*service.get("a", "k").unwrap(), "three");
    assert_eq!(*service.get("b", "k").unwrap(), "two");
    assert!(service.get("ab", "k").is_none() && service.get("a", "kk").is_none());
    assert!(service.delete("b", "k") && !service.delete("b", "k"));
    service.clear("a");
    assert!(service.get("a", "k").is_none());
    let (a, b, all) = (
        service.category_stats("a"),
        service.category_stats("b"),
        service.stats(),
    );
    assert_eq!(
        (a.hits, a.misses, a.sets, a.clears, a.entries),
        (1, 2, 2, 1, 0)
    );
    assert_eq!(
        (b.hits, b.misses, b.sets, b.deletes, b.bytes),
        (1, 0, 1, 1, 0)
    );
    assert_eq!(
        (all.hits, all.misses, all.sets, all.evictions),
        (2, 3, 3, 0)
    );
    assert_eq!(service.categories(), ["a", "ab", "b"]);
    assert_eq!(service.category_stats("never").hits, 0);
}

#[test]
fn each_entry_has_its_time() {
    let (service, clock) = service(1 << 20);
    service.set("a", "usual", String::new());
    service.set_for("a", "short", String::new(), Duration::from_secs(1));
    service.set_for("a", "huge", String::new(), Duration::MAX);
    service.set("a", "zero", String::new());
    service.set_for("a", "zero", "newer".to_owned(), Duration::ZERO);
    let found = || ["usual", "short", "huge", "zero"].map(|key| service.get("a", key).is_some());
    assert_eq!(found(), [true, true, true, false]);
    clock.advance(Duration::from_secs(1));
    assert_eq!(found(), [true, false, true, false]);
    clock.advance(TTL);
    assert_eq!(service.cleanup_expired(), 1);
    assert_eq!(found(), [false, false, true, false]);
    let stats = service.stats();
    assert_eq!((stats.expired, stats.entries, stats.evictions), (2, 1, 0));
}

#[test]
fn bytes_are_bounded() {
    let (service, _) = service(100_000);
    for number in 0..1_000 {
        service.set("a", &number.to_string(), "x".repeat(1_000));
    }
    let stats = service.stats();
    assert!((70_000..=100_000).contains(&stats.bytes), "{stats:?}");
    assert_eq!(stats.entries + stats.evictions, 1_000);
    service.set("a", "large", "x".repeat(200_000));
    service.set("a", "999", "x".repeat(200_000));
    assert!(service.get("a", "large").is_none() && service.get("a", "999").is_none());
    let none = CacheService::<String>::new(0, TTL);
    none.set("a", "k", String::new());
    assert!(none.get("a", "k").is_none());
}

#[test]
fn keys_may_be_of_any_text() {
    let (service, _) = service(8 << 20);
    for key in ["", "a\0b", &"k".repeat(1 << 20)] {
        service.set("a\0", key, key.to_owned());
        assert_eq!(*service.get("a\0", key).unwrap(), key);
    }
    assert!(service.get("a", "\0").is_none());
}

#[test]
fn keys_of_content_tell_its_parts_apart() {
    let key = |parts: &[&str]| {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        KeyId::of_content(&parts)
    };
    assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
    assert_ne!(key(&["ab", ""]), key(&["a", "b"]));
    assert_ne!(key(&["ab"]), key(&["a", "b"]));
    assert_ne!(key(&["aaaa"]), key(&["aaab"]));
}

#[test]
fn what_is_remembered_is_found_by_its_content() {
    const CONTEXT: Category = Category::new("context", Duration::from_secs(600));
    let (service, clock) = service(1 << 20);
    let fill = |template: &str, name: &str| {
        let content = [template.as_bytes(), name.as_bytes()];
        let filled = || template.replace("{}", name);
        service.remember(CONTEXT, &content, filled)
    };
    assert_eq!(*fill("Hi {}", "Ada"), "Hi Ada");
    // Of the same lengths, so a key from those would be the first one's.
    assert_eq!(*fill("Yo {}", "Ada"), "Yo Ada");
    assert_eq!(*fill("Hi {}", "Bob"), "Hi Bob");
    assert_eq!(*fill("Hi {}A", "da"), "Hi daA");
    let first = fill("Hi {}", "Ada");
    assert!(Arc::ptr_eq(&first, &fill("Hi {}", "Ada")));
    clock.advance(CONTEXT.ttl() - Duration::from_nanos(1));
    assert!(Arc::ptr_eq(&first, &fill("Hi {}", "Ada")));
    clock.advance(Duration::from_nanos(1));
    assert!(!Arc::ptr_eq(&first, &fill("Hi {}", "Ada")));
    let stats = service.category_stats(CONTEXT.name());
    assert_eq!((stats.hits, stats.misses, stats.expired), (3, 5, 1));
    assert_eq!(Category::VALIDATION.ttl(), Duration::from_secs(300));
    assert_eq!(Category::TEMPLATE.ttl(), Duration::from_secs(600));
}

#[test]
fn json_can_be_kept() {
    let service = CacheService::new(1 << 20, TTL);
    let value = service.get_or_set("a", "k", || json!({"a": [1, 2]}));
    let again = service.get_or_set("a", "k", || panic!("it is there"));
    assert!(Arc::ptr_eq(&value, &again));
    assert!(service.stats().bytes > 200);
}
