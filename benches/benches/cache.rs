//! The tool-result cache, against a bare `moka` look-up in the same run.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use praxis_benches::calls::{self, answer, arguments, filled};
use praxis_cache::{
    CacheKey, CacheKeyBuilder, CacheService, DiskStore, Entry, FileVersions, KeyId, MapStore,
    MokaStore, NoVersions, Policy, QuickStore, Resource, RunId, Store, ToolCache, WallClock,
};
use serde_json::{Map, Value, json};

fn tool_call(criterion: &mut Criterion) {
    let arguments = arguments();
    let keys = calls::keys();
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
            assert!(hit.value().is_object());
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
    let by_id = calls::moka_by_id(id);
    let by_bytes = moka::sync::Cache::<Vec<u8>, Arc<Value>>::new(10_000);
    for number in 0..1_000_u128 {
        by_bytes.insert(
            [number.to_le_bytes().as_slice(), bytes].concat(),
            Arc::clone(&value),
        );
    }
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
    std::thread::sleep(Duration::from_millis(50));
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

/// A key that was not there before, each time.
fn numbered(keys: &CacheKeyBuilder) -> impl FnMut() -> CacheKey + '_ {
    let mut number = 0_u64;
    move || {
        number += 1;
        let arguments = Map::from_iter([("number".to_owned(), json!(number))]);
        keys.key(&arguments).expect("small arguments")
    }
}

/// Both get a store that is full of other keys, work that is done at once, and one poll of it.
fn miss(criterion: &mut Criterion) {
    let cache = ToolCache::default();
    let moka = moka::sync::Cache::<u128, Arc<Value>>::new(10_000);
    let moka_future = moka::future::Cache::<u128, Arc<Value>>::new(10_000);
    let policy = Policy::pure(RunId::unique());
    let keys = CacheKeyBuilder::new("search_files");
    let mut next = numbered(&keys);

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
        let mut next = numbered(&keys);
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

/// A value of 1 KiB, read back from a file and proved fresh at each look; nothing of it is kept in memory.
fn disk(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("cache.redb");
    let store = DiskStore::open(path, 64 << 20, |text| panic!("{text}")).expect("a new store");
    let cache = ToolCache::builder()
        .clock(WallClock::default())
        .store(store.clone())
        .build();
    let keys = CacheKeyBuilder::new("search_files");
    let policy = Policy::pure(RunId::unique());
    let key = |number: usize| {
        let mut arguments = Map::new();
        arguments.insert("number".into(), json!(number));
        keys.key(&arguments).expect("small arguments")
    };
    for number in 0..1_000 {
        cache
            .begin(&key(number), &policy, &NoVersions)
            .store(answer());
    }
    store.settle();
    let all: Vec<_> = (0..1_000).map(key).collect();
    let mut next = all.iter().cycle();
    criterion.bench_function("cache/disk_hit/1_kib", |bencher| {
        bencher.iter(|| {
            let key = next.next().expect("it goes round");
            cache
                .lookup(key.as_ref(), policy.run(), &NoVersions)
                .expect("a hit")
        });
    });
}

/// Look-ups and stores at 90 to 10 on keys of Zipf 0.99, on one thread and on two; an iteration is one call on each.
fn threads(criterion: &mut Criterion) {
    const KEYS: u32 = 10_000;
    const TRACE: usize = 1 << 16;
    let builder = CacheKeyBuilder::new("search_files");
    let key = |number: u32| {
        let arguments = Map::from_iter([("number".to_owned(), json!(number))]);
        builder.key(&arguments).expect("small arguments")
    };
    let keys: Vec<CacheKey> = (0..KEYS).map(key).collect();
    let policy = Policy::pure(RunId::unique());
    let praxis = ToolCache::builder()
        .max_entries(2 * u64::from(KEYS))
        .build();
    let moka = moka::sync::Cache::<u128, Arc<Value>>::new(2 * u64::from(KEYS));
    let quick = quick_cache::sync::Cache::<u128, Arc<Value>>::new(2 * KEYS as usize);
    let value = Arc::new(Value::Null);
    for key in &keys {
        praxis.begin(key, &policy, &NoVersions).store(Value::Null);
        moka.insert(key.id().0, Arc::clone(&value));
        quick.insert(key.id().0, Arc::clone(&value));
    }
    let mut zipf = Zipf::new(KEYS, 0.99);
    let mut trace = |seed| -> Vec<(usize, bool)> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..TRACE)
            .map(|_| (zipf.next(&mut random) as usize, random.f64() < 0.1))
            .collect()
    };
    let traces = [trace(1), trace(2)];
    let call_praxis = |key: usize, sets: bool| {
        if sets {
            praxis
                .begin(&keys[key], &policy, &NoVersions)
                .store(Value::Null);
        } else {
            let hit = praxis.lookup(keys[key].as_ref(), policy.run(), &NoVersions);
            assert!(hit.is_some());
        }
    };
    let call_moka = |key: usize, sets: bool| {
        if sets {
            moka.insert(keys[key].id().0, Arc::clone(&value));
        } else {
            assert!(moka.get(&keys[key].id().0).is_some());
        }
    };
    let call_quick = |key: usize, sets: bool| {
        if sets {
            quick.insert(keys[key].id().0, Arc::clone(&value));
        } else {
            assert!(quick.get(&keys[key].id().0).is_some());
        }
    };
    let calls: [(&str, &Call<'_>); 3] = [
        ("praxis", &call_praxis),
        ("moka", &call_moka),
        ("quick_cache", &call_quick),
    ];
    let mut group = criterion.benchmark_group("cache");
    for (name, call) in calls {
        for threads in [1, 2] {
            group.throughput(criterion::Throughput::Elements(threads as u64));
            group.bench_function(format!("threads_{threads}/{name}"), |bencher| {
                bencher.iter_custom(|iterations| together(&traces[..threads], iterations, call));
            });
        }
    }
    group.finish();
}

/// Looks the key of a number up, or sets it.
type Call<'a> = dyn Fn(usize, bool) + Sync + 'a;

/// How long it takes until each trace, on a thread of its own, has made so many calls.
fn together(traces: &[Vec<(usize, bool)>], iterations: u64, call: &Call<'_>) -> Duration {
    let start = Barrier::new(traces.len() + 1);
    std::thread::scope(|scope| {
        let running: Vec<_> = traces
            .iter()
            .map(|trace| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let calls = trace.iter().cycle().take(iterations as usize);
                    calls.for_each(|(key, sets)| call(*key, *sets));
                })
            })
            .collect();
        start.wait();
        let began = Instant::now();
        for thread in running {
            thread.join().expect("no call fails");
        }
        began.elapsed()
    })
}

fn service(criterion: &mut Criterion) {
    let service = CacheService::new(64 << 20, Duration::from_secs(300));
    service.set("validation", "a key of some length", answer());
    criterion.bench_function("cache/service/hit", |bencher| {
        bencher.iter(|| {
            service
                .get("validation", black_box("a key of some length"))
                .expect("a hit")
        });
    });
}

/// Prints the hit ratios on seeded traces: time does not matter to them, so nothing is measured.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn hit_ratios(_: &mut Criterion) {
    const CAPACITY: u64 = 1_000;
    const LENGTH: usize = 200_000;
    let mut random = fastrand::Rng::with_seed(7);
    let mut zipf = Zipf::new(20_000, 0.99);
    let zipf_trace: Vec<u64> = (0..LENGTH).map(|_| zipf.next(&mut random)).collect();
    let wonders = |at: usize, id: u64, random: &mut fastrand::Rng| {
        if random.f64() < 0.3 {
            1 << 40 | at as u64
        } else {
            id
        }
    };
    let mixed = zipf_trace.iter().enumerate();
    let mixed = mixed
        .map(|(at, id)| wonders(at, *id, &mut random))
        .collect();
    let looped = (0..LENGTH as u64)
        .map(|at| at % (CAPACITY * 3 / 2))
        .collect();
    // Every 20,000 calls another session, with favourites of its own.
    let sessions = zipf_trace.iter().enumerate();
    let sessions = sessions
        .map(|(at, id)| id + (at as u64 / 20_000) * 5_000)
        .collect();
    let traces: [(&str, Vec<u64>); 4] = [
        ("Zipf 0.99", zipf_trace),
        ("with 30 % one-hit wonders", mixed),
        ("loop over 1.5 x capacity", looped),
        ("shifting sessions", sessions),
    ];
    println!("hit ratio in percent      praxis   moka  quick    lru");
    for (name, trace) in &traces {
        let quick = QuickStore::new(CAPACITY, 64 << 20);
        let moka = moka::sync::Cache::<u64, ()>::new(CAPACITY);
        let bare = quick_cache::sync::Cache::<u64, ()>::new(CAPACITY as usize);
        let size = std::num::NonZero::new(CAPACITY as usize).expect("not zero");
        let mut lru = lru::LruCache::<u64, ()>::new(size);
        let value = Arc::new(Value::Null);
        let entry = |id: u64| {
            let key = CacheKeyBuilder::new("t")
                .contract(&id.to_le_bytes())
                .key(&Map::new());
            let key = key.expect("small arguments");
            (key.id(), Arc::new(Entry::new(key, Arc::clone(&value))))
        };
        let mut hits = [0_usize; 4];
        for &id in trace {
            let (key, kept) = entry(id);
            match quick.get(key) {
                Some(_) => hits[0] += 1,
                None => quick.insert(key, kept),
            }
            match moka.get(&id) {
                Some(()) => hits[1] += 1,
                None => moka.insert(id, ()),
            }
            match bare.get(&id) {
                Some(()) => hits[2] += 1,
                None => bare.insert(id, ()),
            }
            match lru.get(&id) {
                Some(()) => hits[3] += 1,
                None => {
                    lru.put(id, ());
                }
            }
        }
        let percent = hits.map(|hits| hits as f64 * 100.0 / trace.len() as f64);
        println!(
            "{name:25} {:6.1} {:6.1} {:6.1} {:6.1}",
            percent[0], percent[1], percent[2], percent[3]
        );
        let best = percent.into_iter().fold(0.0, f64::max);
        let close = best - percent[0] <= 1.0;
        assert!(close || name.starts_with("loop"), "{name}: {percent:?}");
    }
}

/// Ranks by their cumulated probability.
struct Zipf {
    cumulated: Vec<f64>,
}

impl Zipf {
    fn new(ranks: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=ranks).map(|rank| f64::from(rank).powf(-exponent));
        let cumulated = weights.map(|weight| {
            sum += weight;
            sum
        });
        Self {
            cumulated: cumulated.collect(),
        }
    }

    fn next(&mut self, random: &mut fastrand::Rng) -> u64 {
        let whole = self.cumulated.last().copied().unwrap_or(1.0);
        let at = random.f64() * whole;
        self.cumulated.partition_point(|sum| *sum < at) as u64
    }
}

criterion_group!(
    benches, tool_call, read_entry, stores, miss, set, threads, disk, service, hit_ratios
);
criterion_main!(benches);
