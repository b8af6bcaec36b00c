use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use praxis_cache::{MemoryVersions, NoVersions, Policy, Resource, RunId, ToolCache};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::{key, ok};

async fn stampede(tasks: usize) {
    let cache = Arc::new(ToolCache::default());
    let loads = Arc::new(AtomicUsize::new(0));
    let run = RunId::unique();
    let all: Vec<_> = (0..tasks)
        .map(|_| {
            let (cache, loads) = (Arc::clone(&cache), Arc::clone(&loads));
            tokio::spawn(async move {
                let work = async || {
                    loads.fetch_add(1, Ordering::SeqCst);
                    yield_now().await;
                    Ok::<_, String>(json!(7))
                };
                let policy = Policy::pure(run);
                cache
                    .get_or_run(&key("a"), &policy, &NoVersions, work)
                    .await
            })
        })
        .collect();
    let mut cached = 0;
    for task in all {
        let outcome = task.await.unwrap().unwrap();
        assert_eq!(*outcome.value, json!(7));
        cached += usize::from(outcome.cached);
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    assert_eq!(cached, tasks - 1);
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses), (tasks as u64 - 1, 1));
}

#[tokio::test]
async fn a_stampede_makes_one_load() {
    stampede(10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stampede_on_threads_makes_one_load() {
    stampede(10_000).await;
}

#[tokio::test]
async fn the_successor_of_a_cancelled_leader_works() {
    let cache = Arc::new(ToolCache::default());
    let policy = Policy::pure(RunId::unique());
    let spawn = |hangs: bool| {
        let (cache, policy) = (Arc::clone(&cache), policy.clone());
        tokio::spawn(async move {
            let work = async || {
                if hangs {
                    pending::<()>().await;
                }
                Ok::<_, String>(json!(1))
            };
            cache
                .get_or_run(&key("a"), &policy, &NoVersions, work)
                .await
        })
    };
    let leader = spawn(true);
    yield_now().await;
    let (first, second, third) = (spawn(true), spawn(false), spawn(false));
    yield_now().await;
    leader.abort();
    leader.await.unwrap_err();
    // The first in line hangs as well; cancelling it moves the lead to the second.
    yield_now().await;
    assert!(!second.is_finished());
    first.abort();
    assert!(!second.await.unwrap().unwrap().cached);
    assert!(third.await.unwrap().unwrap().cached);
}

#[tokio::test]
async fn a_successor_that_is_cancelled_before_it_starts_passes_the_lead_on() {
    let cache = Arc::new(ToolCache::default());
    let policy = Policy::pure(RunId::unique());
    let (go, gone) = oneshot::channel::<()>();
    let spawn = |gone: Option<oneshot::Receiver<()>>| {
        let (cache, policy) = (Arc::clone(&cache), policy.clone());
        tokio::spawn(async move {
            let work = async || match gone {
                Some(gone) => Err(gone.await.is_err()),
                None => Ok(json!(1)),
            };
            cache
                .get_or_run(&key("a"), &policy, &NoVersions, work)
                .await
        })
    };
    let leader = spawn(Some(gone));
    yield_now().await;
    let (first, second) = (spawn(None), spawn(None));
    yield_now().await;
    go.send(()).unwrap();
    // The leader's failure wakes the first, which is cancelled before it is polled.
    assert!(leader.await.unwrap().is_err());
    first.abort();
    let outcome = tokio::time::timeout(std::time::Duration::from_secs(10), second).await;
    assert_eq!(*outcome.unwrap().unwrap().unwrap().value, json!(1));
}

#[tokio::test]
async fn a_failure_reaches_its_own_caller_only() {
    let cache = Arc::new(ToolCache::default());
    let policy = Policy::pure(RunId::unique());
    let loads = Arc::new(AtomicUsize::new(0));
    let all: Vec<_> = (0..100)
        .map(|_| {
            let (cache, policy, loads) = (Arc::clone(&cache), policy.clone(), Arc::clone(&loads));
            tokio::spawn(async move {
                let work = async || {
                    let number = loads.fetch_add(1, Ordering::SeqCst);
                    yield_now().await;
                    if number < 3 {
                        Err(number)
                    } else {
                        Ok(json!(number))
                    }
                };
                cache
                    .get_or_run(&key("a"), &policy, &NoVersions, work)
                    .await
            })
        })
        .collect();
    let mut failures = Vec::new();
    for task in all {
        match task.await.unwrap() {
            Ok(outcome) => assert_eq!(*outcome.value, json!(3)),
            Err(number) => failures.push(number),
        }
    }
    assert_eq!(failures, [0, 1, 2]);
    assert_eq!(loads.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_panicking_leader_is_succeeded() {
    let cache = Arc::new(ToolCache::default());
    let policy = Policy::pure(RunId::unique());
    let leader = tokio::spawn({
        let (cache, policy) = (Arc::clone(&cache), policy.clone());
        async move {
            let work = async || -> Result<serde_json::Value, String> {
                yield_now().await;
                panic!("on purpose")
            };
            cache
                .get_or_run(&key("a"), &policy, &NoVersions, work)
                .await
        }
    });
    yield_now().await;
    let outcome = cache
        .get_or_run(&key("a"), &policy, &NoVersions, || ok(json!(1)))
        .await
        .unwrap();
    assert!(!outcome.cached);
    assert!(leader.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn a_write_during_the_run_keeps_its_answer_from_those_who_wait() {
    let cache = Arc::new(ToolCache::default());
    let versions = Arc::new(MemoryVersions::default());
    let policy = Policy::read(RunId::unique(), [Resource::path("a")]);
    let (go, gone) = oneshot::channel::<()>();
    let leader = tokio::spawn({
        let (cache, versions, policy) = (cache.clone(), versions.clone(), policy.clone());
        async move {
            let work = async || gone.await.map(|()| json!("before"));
            cache.get_or_run(&key("a"), &policy, &versions, work).await
        }
    });
    yield_now().await;
    cache.wrote(&Resource::path("a"));
    let waiter = tokio::spawn({
        let (cache, versions, policy) = (cache.clone(), versions.clone(), policy.clone());
        async move {
            cache
                .get_or_run(&key("a"), &policy, &versions, || ok(json!("after")))
                .await
        }
    });
    yield_now().await;
    go.send(()).unwrap();
    assert_eq!(*leader.await.unwrap().unwrap().value, json!("before"));
    assert_eq!(*waiter.await.unwrap().unwrap().value, json!("after"));
    let hit = cache
        .lookup(key("a").as_ref(), policy.run(), &versions)
        .unwrap();
    assert_eq!(**hit.value(), json!("after"));
}

#[tokio::test]
async fn runs_do_not_share_what_has_no_version() {
    let cache = Arc::new(ToolCache::default());
    let work = |name: &'static str| {
        async move || {
            yield_now().await;
            Ok::<_, String>(json!(name))
        }
    };
    let (one, two) = (RunId::unique(), RunId::unique());
    let read = |run| Policy::read(run, [Resource::path("a")]);
    let (key, one, two) = (key("a"), read(one), read(two));
    let (first, second) = tokio::join!(
        cache.get_or_run(&key, &one, &NoVersions, work("one")),
        cache.get_or_run(&key, &two, &NoVersions, work("two")),
    );
    assert_eq!(*first.unwrap().value, json!("one"));
    assert_eq!(*second.unwrap().value, json!("two"));
}
