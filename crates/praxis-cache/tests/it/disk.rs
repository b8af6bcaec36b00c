use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use praxis_cache::store::conformance;
use praxis_cache::{
    CacheKeyBuilder, DiskErrorKind, DiskStore, Freshness, LayeredStore, MemoryVersions, NoVersions,
    Policy, QuickStore, Resource, RunId, Store, ToolCache, WallClock,
};
use serde_json::{Map, Value, json};

use crate::{find, key, put};

struct Disk {
    folder: tempfile::TempDir,
    said: Arc<Mutex<Vec<String>>>,
}

impl Disk {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            said: Arc::default(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state/cache.redb")
    }

    fn store(&self, max_bytes: u64) -> DiskStore {
        let said = Arc::clone(&self.said);
        DiskStore::open(self.path(), max_bytes, move |text| {
            said.lock().push(text.to_owned());
        })
        .unwrap()
    }

    fn refused(&self) -> DiskErrorKind {
        DiskStore::open(self.path(), 1, |_| {}).unwrap_err().kind()
    }

    fn cache(&self) -> ToolCache {
        let store = LayeredStore::new(QuickStore::new(100, 1 << 20), self.store(16 << 20));
        ToolCache::builder()
            .clock(WallClock::default())
            .store(store)
            .build()
    }
}

#[test]
fn disk_stores_conform() {
    conformance::check(&Disk::new().store(16 << 20));
    let disk = Disk::new();
    let layered = LayeredStore::new(QuickStore::new(1_000, 16 << 20), disk.store(16 << 20));
    conformance::check(&layered);
    assert!(disk.said.lock().is_empty());
}

#[test]
#[cfg(unix)]
fn nobody_else_reads_what_is_remembered() {
    use std::os::unix::fs::PermissionsExt;
    let disk = Disk::new();
    let store = disk.store(1 << 20);
    let mode = std::fs::metadata(store.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn results_survive_a_restart_to_the_last_bit() {
    let disk = Disk::new();
    let versions = MemoryVersions::default();
    let run = RunId::named("first");
    let value =
        json!({"f": [0.1, -0.0, 1e300, 5e-324, u64::MAX, i64::MIN], "t": "\u{0}é", "n": null});
    let read = Policy::read(run, [Resource::path("a/b"), Resource::path("c")]);
    {
        let cache = disk.cache();
        let fill = cache.begin(&key("pure"), &Policy::pure(run), &NoVersions);
        fill.store(value.clone());
        put(&cache, &key("read"), &read, &versions, 2);
        put(&cache, &key("run only"), &read, &NoVersions, 3);
    }
    let cache = disk.cache();
    let later = RunId::named("later");
    for round in 0..2 {
        let hit = cache.lookup(key("pure").as_ref(), later, &NoVersions);
        let hit = hit.unwrap_or_else(|| panic!("a miss in round {round}"));
        assert_eq!(hit.value().to_string(), value.to_string());
        assert_eq!(hit.run(), run);
    }
    assert_eq!(cache.stats().entries, 1);
    let now = Policy::pure(later);
    assert_eq!(find(&cache, &key("run only"), &now, &NoVersions), None);
    assert_eq!(find(&cache, &key("run only"), &read, &NoVersions), None);
    let told = cache.explain(key("read").id(), &versions).unwrap();
    assert!(told.holds());
    assert_eq!(told.arguments["name"], "read");
    assert_eq!(find(&cache, &key("read"), &now, &versions), Some(2));
    versions.touch(&Resource::path("c"));
    let told = cache.explain(key("read").id(), &versions).unwrap();
    assert_eq!(told.reads[0], (Resource::path("a/b"), Freshness::Same));
    assert_eq!(told.reads[1], (Resource::path("c"), Freshness::Changed));
    assert!(
        !told.holds() && told.to_string().contains("c changed"),
        "{told}"
    );
    assert_eq!(find(&cache, &key("read"), &now, &versions), None);
    drop(cache);
    assert!(disk.cache().explain(key("read").id(), &versions).is_none());
    assert!(disk.said.lock().is_empty());
}

#[test]
fn a_write_forgets_what_is_on_disk_only() {
    let disk = Disk::new();
    let versions = MemoryVersions::default();
    let policy = |path| Policy::read(RunId::named(""), [Resource::path(path)]);
    let paths = ["a", "a/b", "a/b/c", "b", "a-b"];
    {
        let cache = disk.cache();
        for path in paths {
            put(&cache, &key(path), &policy(path), &versions, 1);
        }
    }
    let cache = disk.cache();
    cache.wrote(&Resource::path("a/b"));
    let found = paths.map(|path| find(&cache, &key(path), &policy(path), &versions).is_some());
    assert_eq!(found, [false, false, false, true, true]);
}

#[test]
fn what_is_invalidated_is_gone_from_disk() {
    let disk = Disk::new();
    let policy = Policy::pure(RunId::named(""));
    let other = CacheKeyBuilder::new("other").key(&Map::new()).unwrap();
    let keys = [key("a"), key("b"), other];
    let found = |cache: &ToolCache| {
        [0, 1, 2].map(|n| find(cache, &keys[n], &policy, &NoVersions).is_some())
    };
    let cache = disk.cache();
    for key in &keys {
        put(&cache, key, &policy, &NoVersions, 1);
    }
    drop(cache);
    disk.cache().invalidate_key(keys[0].as_ref());
    assert_eq!(found(&disk.cache()), [false, true, true]);
    disk.cache().invalidate_tool("tool");
    assert_eq!(found(&disk.cache()), [false, false, true]);
    disk.cache().clear();
    assert_eq!(found(&disk.cache()), [false; 3]);
}

#[test]
fn the_records_and_the_file_are_bounded() {
    let disk = Disk::new();
    let store = disk.store(1 << 20);
    let cache = ToolCache::builder()
        .clock(WallClock::default())
        .store(store.clone())
        .build();
    let policy = Policy::pure(RunId::named(""));
    for number in 0..2_000 {
        let fill = cache.begin(&key(&number.to_string()), &policy, &NoVersions);
        fill.store(json!("x".repeat(4_000)));
        if number % 100 == 0 {
            store.settle();
        }
    }
    store.settle();
    assert!(
        (900_000..=1 << 20).contains(&store.bytes()),
        "{}",
        store.bytes()
    );
    let length = disk.path().metadata().unwrap().len();
    assert!(length < 8 << 20, "the file has {length} bytes");
    assert!(find(&cache, &key("0"), &policy, &NoVersions).is_none());
    assert!(
        cache
            .lookup(key("1999").as_ref(), policy.run(), &NoVersions)
            .is_some()
    );
}

#[test]
fn a_damaged_file_is_set_aside() {
    let policy = Policy::pure(RunId::named(""));
    let whole = {
        let disk = Disk::new();
        put(&disk.cache(), &key("a"), &policy, &NoVersions, 1);
        std::fs::read(disk.path()).unwrap()
    };
    let mut scrambled = whole.clone();
    scrambled
        .iter_mut()
        .step_by(7)
        .for_each(|byte| *byte ^= 0xa5);
    for damaged in [
        b"no database at all".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        scrambled,
    ] {
        let disk = Disk::new();
        std::fs::create_dir_all(disk.path().parent().unwrap()).unwrap();
        std::fs::write(disk.path(), &damaged).unwrap();
        let cache = disk.cache();
        assert_eq!(find(&cache, &key("a"), &policy, &NoVersions), None);
        put(&cache, &key("a"), &policy, &NoVersions, 2);
        drop(cache);
        assert_eq!(
            find(&disk.cache(), &key("a"), &policy, &NoVersions),
            Some(2)
        );
        let said = disk.said.lock().join("\n");
        assert!(said.contains("set aside") && !said.contains('\n'), "{said}");
        let aside = disk.path().with_file_name("cache.redb.damaged");
        assert_eq!(std::fs::read(aside).unwrap().len(), damaged.len());
    }
}

/// Every byte of the file is changed in some case; none may give a wrong answer or a panic.
#[test]
fn a_flipped_byte_costs_a_miss_at_most() {
    let policy = Policy::pure(RunId::named(""));
    let disk = Disk::new();
    put(&disk.cache(), &key("a"), &policy, &NoVersions, 1);
    let whole = std::fs::read(disk.path()).unwrap();
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    for at in used.iter().step_by(used.len() / 60) {
        let disk = Disk::new();
        std::fs::create_dir_all(disk.path().parent().unwrap()).unwrap();
        let mut damaged = whole.clone();
        damaged[*at] ^= 0x55;
        std::fs::write(disk.path(), damaged).unwrap();
        let Ok(store) = DiskStore::open(disk.path(), 1 << 20, |_| {}) else {
            continue;
        };
        let cache = ToolCache::builder()
            .clock(WallClock::default())
            .store(store)
            .build();
        let found = find(&cache, &key("a"), &policy, &NoVersions);
        assert!(matches!(found, None | Some(1)), "byte {at}: {found:?}");
    }
}

fn set_format(disk: &Disk, format: u64) {
    let database = redb::Database::open(disk.path()).unwrap();
    let write = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    let mut table = write.open_table(meta).unwrap();
    table.insert("format", format).unwrap();
    drop(table);
    write.commit().unwrap();
}

#[test]
fn a_store_that_cannot_be_opened_says_why() {
    let disk = Disk::new();
    let store = disk.store(1 << 20);
    assert_eq!(disk.refused(), DiskErrorKind::InUse);
    drop(store);
    set_format(&disk, 99);
    assert_eq!(disk.refused(), DiskErrorKind::Newer);
    // And it is left to the version that wrote it.
    assert_eq!(disk.refused(), DiskErrorKind::Newer);
    set_format(&disk, 1);
    assert_eq!(disk.store(1 << 20).bytes(), 0);
    assert!(
        disk.said.lock().is_empty(),
        "an older one is nothing to tell of"
    );
    let disk = Disk::new();
    std::fs::write(disk.folder.path().join("state"), "a file, not a folder").unwrap();
    assert_eq!(disk.refused(), DiskErrorKind::Unusable);
    let disk = Disk::new();
    std::fs::create_dir_all(disk.path()).unwrap();
    assert_eq!(disk.refused(), DiskErrorKind::Unusable);
}

#[test]
fn a_value_that_nests_too_deep_stays_in_memory() {
    let disk = Disk::new();
    let policy = Policy::pure(RunId::named(""));
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = Value::Array(vec![deep]);
    }
    let cache = disk.cache();
    cache.begin(&key("a"), &policy, &NoVersions).store(deep);
    assert!(
        cache
            .lookup(key("a").as_ref(), policy.run(), &NoVersions)
            .is_some()
    );
    drop(cache);
    assert!(
        disk.cache()
            .lookup(key("a").as_ref(), policy.run(), &NoVersions)
            .is_none()
    );
}
