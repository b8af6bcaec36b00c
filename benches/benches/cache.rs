//! The tool-result cache, against a bare `moka` look-up in the same run.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use praxis_cache::{
    CacheKeyBuilder, Entry, FileVersions, KeyId, MapStore, MokaStore, NoVersions, Policy,
    QuickStore, Resource, RunId, Store, ToolCache,
};
use serde_json::{Map, Value, json};

/// About 200 bytes as JSON.
fn arguments() -> Map<String, Value> {
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

fn answer() -> Value {
    json!({"matches": 12, "lines": [1, 5, 9], "text": "x".repeat(1000)})
}

fn filled(keys: &CacheKeyBuilder, policy: &Policy, versions: &FileVersions) -> ToolCache {
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

fn tool_call(criterion: &mut Criterion) {
    let arguments = arguments();
    let keys = CacheKeyBuilder::new("search_files")
        .contract(&[7; 32])
        .tenant("acme")
        .variables(&[9; 16]);
    let run = RunId::unique();
    let no_files = FileVersions::new("/");
    let cache = filled(&keys, &Policy::pure(run), &no_files);
    let key = keys.key(&arguments).expect("small arguments");

    let mut group = criterion.benchmark_group("cache");
    bare_moka(&mut group, key.id(), &key.as_ref().bytes().to_vec());

    group.bench_function("key/borrowed", |bencher| {
        bencher.iter(|| {
            let id = keys.with_key(black_box(&arguments), |key| key.id());
            assert_eq!(id.expect("small arguments"), key.id());
        });
    });
    group.bench_function("key/owned", |bencher| {
        bencher.iter(|| keys.key(black_box(&arguments)).expect("small arguments"));
    });
    group.bench_function("lookup/prebuilt_key", |bencher| {
        bencher.iter(|| {
            cache
                .lookup(black_box(key.as_ref()), run, &NoVersions)
                .expect("a hit")
        });
    });
    group.bench_function("tool_call/pure", |bencher| {
        bencher.iter(|| {
            let hit = keys.with_key(black_box(&arguments), |key| {
                cache.lookup(key, run, &NoVersions)
            });
            let hit = hit.expect("small arguments").expect("a hit");
            assert!(hit.value.is_object());
        });
    });
    group.finish();
    assert_eq!(cache.stats().misses, 0);
}

fn bare_moka(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    id: KeyId,
    bytes: &Vec<u8>,
) {
    let value = Arc::new(answer());
    let by_id = moka::sync::Cache::<u128, Arc<Value>>::new(10_000);
    let by_bytes = moka::sync::Cache::<Vec<u8>, Arc<Value>>::new(10_000);
    for number in 0..1_000_u128 {
        by_id.insert(number, Arc::clone(&value));
        by_bytes.insert(
            [number.to_le_bytes().as_slice(), bytes].concat(),
            Arc::clone(&value),
        );
    }
    by_id.insert(id.0, Arc::clone(&value));
    by_bytes.insert(bytes.clone(), value);
    group.bench_function("moka_get/u128_key", |bencher| {
        bencher.iter(|| by_id.get(black_box(&id.0)).expect("a hit"));
    });
    group.bench_function("moka_get/bytes_key", |bencher| {
        bencher.iter(|| by_bytes.get(black_box(bytes)).expect("a hit"));
    });
}

fn read_entry(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for number in 0..100 {
        std::fs::write(folder.path().join(format!("{number}.txt")), "text").expect("a file");
    }
    let versions = FileVersions::new(folder.path());
    std::thread::sleep(std::time::Duration::from_millis(50));
    let keys = CacheKeyBuilder::new("read_file").contract(&[7; 32]);
    let arguments = arguments();
    let run = RunId::unique();

    let mut group = criterion.benchmark_group("cache");
    for (name, read) in [
        ("file", Resource::path("0.txt")),
        ("folder_of_100", Resource::root()),
    ] {
        let cache = filled(&keys, &Policy::read(run, [read]), &versions);
        group.bench_function(format!("tool_call/read_{name}"), |bencher| {
            bencher.iter(|| {
                let hit = keys.with_key(black_box(&arguments), |key| {
                    cache.lookup(key, run, &versions)
                });
                hit.expect("small arguments").expect("a hit")
            });
        });
    }
    group.finish();
}

fn stores(criterion: &mut Criterion) {
    let keys = CacheKeyBuilder::new("search_files");
    let key = keys.key(&arguments()).expect("small arguments");
    let entry = Arc::new(Entry::new(key.clone(), Arc::new(answer())));
    let moka = MokaStore::new(10_000, 64 << 20);
    let boxed: Box<dyn Store> = Box::new(moka.clone());
    let quick: Box<dyn Store> = Box::new(QuickStore::new(10_000, 64 << 20));
    let map: Box<dyn Store> = Box::<MapStore>::default();
    moka.insert(key.id(), Arc::clone(&entry));
    map.insert(key.id(), Arc::clone(&entry));
    quick.insert(key.id(), entry);

    let mut group = criterion.benchmark_group("cache");
    group.bench_function("store_get/moka_static", |bencher| {
        bencher.iter(|| moka.get(black_box(key.id())).expect("a hit"));
    });
    group.bench_function("store_get/moka_dyn", |bencher| {
        bencher.iter(|| boxed.get(black_box(key.id())).expect("a hit"));
    });
    group.bench_function("store_get/quick_dyn", |bencher| {
        bencher.iter(|| quick.get(black_box(key.id())).expect("a hit"));
    });
    group.bench_function("store_get/map_dyn", |bencher| {
        bencher.iter(|| map.get(black_box(key.id())).expect("a hit"));
    });
    group.finish();
}

/// Both get a store that is full of other keys, work that is done at once, and one poll of it.
fn miss(criterion: &mut Criterion) {
    let cache = ToolCache::default();
    let moka = moka::sync::Cache::<u128, Arc<Value>>::new(10_000);
    let moka_future = moka::future::Cache::<u128, Arc<Value>>::new(10_000);
    let policy = Policy::pure(RunId::unique());
    let keys = CacheKeyBuilder::new("search_files");
    let mut number = 0_u64;
    let mut next = || {
        number += 1;
        let mut arguments = Map::new();
        arguments.insert("number".into(), json!(number));
        keys.key(&arguments).expect("small arguments")
    };

    let mut group = criterion.benchmark_group("cache");
    group.bench_function("miss/get_or_run", |bencher| {
        bencher.iter_batched(
            &mut next,
            |key| {
                let work = || async { Ok::<_, ()>(Value::Null) };
                let outcome = at_once(cache.get_or_run(&key, &policy, &NoVersions, work));
                assert!(!outcome.expect("no failure").cached);
            },
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("miss/moka_get_with_sync", |bencher| {
        bencher.iter_batched(
            &mut next,
            |key| moka.get_with(key.id().0, || Arc::new(Value::Null)),
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("miss/moka_get_with", |bencher| {
        bencher.iter_batched(
            &mut next,
            |key| at_once(moka_future.get_with(key.id().0, async { Arc::new(Value::Null) })),
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// The output of a future that never waits.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("nothing was there to wait for"),
    }
}

/// Stores new keys in a full cache of each size: what it lets go must not cost more where there is more.
fn set(criterion: &mut Criterion) {
    let policy = Policy::pure(RunId::unique());
    let keys = CacheKeyBuilder::new("search_files");
    let mut group = criterion.benchmark_group("cache");
    for capacity in [100_u64, 10_000] {
        let cache = ToolCache::builder().max_entries(capacity).build();
        let mut number = 0_u64;
        let mut next = || {
            number += 1;
            let mut arguments = Map::new();
            arguments.insert("number".into(), json!(number));
            keys.key(&arguments).expect("small arguments")
        };
        for _ in 0..2 * capacity {
            cache
                .begin(&next(), &policy, &NoVersions)
                .store(Value::Null);
        }
        group.bench_function(format!("set/full_{capacity}"), |bencher| {
            bencher.iter_batched(
                &mut next,
                |key| cache.begin(&key, &policy, &NoVersions).store(Value::Null),
                criterion::BatchSize::SmallInput,
            );
        });
        assert!(cache.stats().entries <= capacity);
    }
    group.finish();
}

criterion_group!(benches, tool_call, read_entry, stores, miss, set);
criterion_main!(benches);
