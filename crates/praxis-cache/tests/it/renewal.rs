//! Answers that say that there is none, and answers that are renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use praxis_cache::{
    Answer, ManualClock, MemoryVersions, NoVersions, Outcome, Policy, Resource, RunId, Sweeper,
    ToolCache,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::{find, key, ok};

const SECOND: Duration = Duration::from_secs(1);

fn cache() -> (Arc<ToolCache>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let cache = ToolCache::builder()
        .ttl(10 * SECOND)
        .clock(Arc::clone(&clock));
    (Arc::new(cache.build()), clock)
}

fn pure() -> Policy {
    Policy::pure(RunId::named(""))
}

async fn ask(cache: &ToolCache, policy: &Policy, answer: Answer) -> Outcome {
    let work = async || Ok::<_, String>(answer);
    let outcome = cache.get_or_run(&key("a"), policy, &NoVersions, work).await;
    outcome.unwrap()
}

#[tokio::test]
async fn that_there_is_no_answer_is_remembered_on_request() {
    let (cache, clock) = cache();
    let none = || Answer::Negative(json!("no such file"));
    for policy in [pure(), pure().negative_ttl(Duration::ZERO)] {
        let outcome = ask(&cache, &policy, none()).await;
        assert!(outcome.negative && !outcome.cached);
        assert_eq!(cache.stats().stores, 0);
    }
    let policy = pure().negative_ttl(SECOND);
    assert!(!ask(&cache, &policy, none()).await.cached);
    let outcome = ask(&cache, &policy, json!(1).into()).await;
    assert!(outcome.cached && outcome.negative);
    assert_eq!(*outcome.value, "no such file");
    clock.advance(SECOND);
    let outcome = ask(&cache, &policy, json!(1).into()).await;
    assert!(!outcome.cached && !outcome.negative);
    assert!(ask(&cache, &policy, none()).await.cached);
}

#[tokio::test]
async fn no_answer_is_shared_with_those_who_wait_only_if_it_is_remembered() {
    for (policy, expect) in [(pure(), 2), (pure().negative_ttl(SECOND), 1)] {
        let (cache, _) = cache();
        let loads = AtomicUsize::new(0);
        let call = async || {
            let work = async || {
                loads.fetch_add(1, Ordering::SeqCst);
                yield_now().await;
                Ok::<_, String>(Answer::Negative(Value::Null))
            };
            let outcome = cache
                .get_or_run(&key("a"), &policy, &NoVersions, work)
                .await;
            assert!(outcome.unwrap().negative);
        };
        tokio::join!(call(), call());
        assert_eq!(loads.load(Ordering::SeqCst), expect);
    }
}

#[tokio::test]
async fn a_stale_answer_is_given_while_one_renews_it() {
    let (cache, clock) = cache();
    let policy = pure().stale_for(5 * SECOND);
    ask(&cache, &policy, json!(1).into()).await;
    clock.advance(10 * SECOND);
    // A look that cannot renew it does not get it, and leaves it to those who can.
    assert_eq!(find(&cache, &key("a"), &policy, &NoVersions), None);
    let (go, gone) = oneshot::channel::<()>();
    let renewal = tokio::spawn({
        let (cache, policy) = (Arc::clone(&cache), policy.clone());
        async move {
            let work = async || gone.await.map(|()| json!(2));
            cache
                .get_or_run(&key("a"), &policy, &NoVersions, work)
                .await
        }
    });
    yield_now().await;
    for _ in 0..3 {
        let outcome = ask(&cache, &policy, json!("nobody asks").into()).await;
        assert_eq!((&*outcome.value, outcome.cached), (&json!(1), true));
    }
    go.send(()).unwrap();
    assert!(!renewal.await.unwrap().unwrap().cached);
    assert_eq!(find(&cache, &key("a"), &policy, &NoVersions), Some(2));
    clock.advance(15 * SECOND);
    let outcome = ask(&cache, &policy, json!(3).into()).await;
    assert!(!outcome.cached, "it is not given for ever");
    assert_eq!(cache.stats().expired, 1);
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_stale_answer_to_the_others() {
    let (cache, clock) = cache();
    let policy = pure().stale_for(5 * SECOND);
    ask(&cache, &policy, json!(1).into()).await;
    clock.advance(12 * SECOND);
    let fails = || std::future::ready(Err::<Value, _>("no"));
    let outcome = cache
        .get_or_run(&key("a"), &policy, &NoVersions, fails)
        .await;
    assert_eq!(outcome.unwrap_err(), "no");
    let outcome = ask(&cache, &policy, json!(2).into()).await;
    assert_eq!(*outcome.value, json!(2));
}

#[tokio::test]
async fn what_changed_is_not_given_however_stale_is_allowed() {
    let (cache, clock) = cache();
    let versions = MemoryVersions::default();
    let file = Resource::path("a");
    let policy = Policy::read(RunId::named(""), [file.clone()]).stale_for(60 * SECOND);
    let work = |value: i64| move || ok(json!(value));
    let key = key("a");
    let ask = async |value| {
        let outcome = cache.get_or_run(&key, &policy, &versions, work(value));
        outcome.await.unwrap()
    };
    ask(1).await;
    clock.advance(11 * SECOND);
    versions.touch(&file);
    let outcome = ask(2).await;
    assert_eq!((&*outcome.value, outcome.cached), (&json!(2), false));
}

/// The share of calls that renew an answer whose work took a second, at one moment before it expires.
async fn renewed(before: Duration) -> f64 {
    const CALLS: usize = 2_000;
    let mut renewed = 0;
    let (cache, clock) = cache();
    let policy = pure().early_refresh();
    for number in 0..CALLS {
        let key = key(&number.to_string());
        let slow = || {
            clock.advance(SECOND);
            ok(json!(1))
        };
        let outcome = cache.get_or_run(&key, &policy, &NoVersions, slow).await;
        outcome.unwrap();
        clock.advance(10 * SECOND - before);
        let outcome = cache.get_or_run(&key, &policy, &NoVersions, || ok(json!(2)));
        renewed += usize::from(!outcome.await.unwrap().cached);
    }
    renewed as f64 / CALLS as f64
}

#[tokio::test]
async fn an_answer_is_renewed_early_as_often_as_the_paper_says() {
    // The probability is exp(-left / work).
    for (left, expect) in [(1, 0.368), (2, 0.135), (8, 0.0)] {
        let share = renewed(left * SECOND).await;
        assert!((share - expect).abs() < 0.04, "{left} s: {share}");
    }
}

#[tokio::test]
async fn early_renewal_is_only_on_request() {
    let (cache, clock) = cache();
    let slow = || {
        clock.advance(SECOND);
        ok(json!(1))
    };
    let outcome = cache
        .get_or_run(&key("a"), &pure(), &NoVersions, slow)
        .await;
    outcome.unwrap();
    clock.advance(10 * SECOND - Duration::from_nanos(1));
    assert!(ask(&cache, &pure(), json!(2).into()).await.cached);
}

#[test]
fn a_sweeper_drops_what_expired_until_it_is_dropped() {
    let (cache, clock) = cache();
    let (told, tells) = std::sync::mpsc::channel();
    let sweep = move |cache: &ToolCache| {
        let gone = cache.cleanup_expired();
        let _ = told.send(gone);
        gone
    };
    crate::put(&cache, &key("a"), &pure(), &NoVersions, 1);
    clock.advance(10 * SECOND);
    let sweeper = Sweeper::start(&cache, Duration::from_millis(1), sweep).unwrap();
    let wait = Duration::from_secs(20);
    while tells.recv_timeout(wait).unwrap() == 0 {}
    assert_eq!((cache.stats().entries, cache.stats().expired), (0, 1));
    drop(sweeper);
    // Its end dropped the sender.
    while tells.recv_timeout(wait).is_ok() {}
    assert_eq!(Arc::strong_count(&cache), 1);
}

#[test]
fn a_shared_cache_drops_what_expired_by_itself_unless_told_not_to() {
    let clock = Arc::new(ManualClock::default());
    let builder = || {
        let builder = ToolCache::builder().ttl(10 * SECOND);
        builder.clock(Arc::clone(&clock))
    };
    let often = Some(Duration::from_millis(1));
    let swept = builder().background_expiry(often).build_shared();
    let kept = builder().background_expiry(None).build_shared();
    for cache in [&swept, &kept] {
        crate::put(cache, &key("a"), &pure(), &NoVersions, 1);
    }
    clock.advance(10 * SECOND);
    let begun = std::time::Instant::now();
    while swept.stats().entries > 0 {
        assert!(begun.elapsed() < 20 * SECOND, "nothing is dropped");
        std::thread::yield_now();
    }
    assert_eq!((swept.stats().expired, kept.stats().entries), (1, 1));
    assert_eq!(
        Arc::weak_count(&kept),
        0,
        "nobody watches what is switched off"
    );
}

#[test]
fn a_sweeper_ends_with_its_cache() {
    let (cache, _) = cache();
    let (told, tells) = std::sync::mpsc::channel::<()>();
    let sweep = move |_: &ToolCache| {
        let _ = &told;
        0
    };
    let sweeper = Sweeper::start(&cache, Duration::from_millis(1), sweep).unwrap();
    drop(cache);
    let ended = tells.recv_timeout(Duration::from_secs(20));
    assert_eq!(ended, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    drop(sweeper);
}
