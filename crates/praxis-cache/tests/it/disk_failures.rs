//! What a disk does to a cache: each a miss and one warning, never a failure.
//!
//! The limits and the kill are real ones: the test binary starts itself again, to run one test as a child.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use praxis_cache::{
    DiskErrorKind, DiskStore, LayeredStore, NoVersions, Policy, QuickStore, RunId, Store,
    ToolCache, WallClock,
};
use serde_json::{Value, json};

use crate::{find, key, put};

/// Where a child is told what to work on; tests that are children do nothing without it.
const FOLDER: &str = "PRAXIS_CACHE_TEST_FOLDER";

/// `before` is a line of shell that prepares the process.
fn child(test: &str, folder: &Path, before: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("{before}; exec \"$0\" --exact --nocapture disk_failures::{test}");
    command
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder)
        .stdin(Stdio::null());
    command
}

fn pure() -> Policy {
    Policy::pure(RunId::named(""))
}

fn cache(store: impl Store + 'static) -> ToolCache {
    let cache = ToolCache::builder().clock(WallClock::default());
    cache.store(store).build()
}

fn store_large(cache: &ToolCache, number: usize) {
    let fill = cache.begin(&key(&number.to_string()), &pure(), &NoVersions);
    fill.store(json!("x".repeat(20_000)));
}

fn holds(cache: &ToolCache, number: usize) -> bool {
    let hit = cache.lookup(key(&number.to_string()).as_ref(), pure().run(), &NoVersions);
    hit.is_some_and(|hit| hit.value().as_str().unwrap().len() == 20_000)
}

#[test]
#[cfg(unix)]
fn a_full_disk_is_said_once_and_memory_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // The signal that would end the process is ignored, so that writing fails as on a full disk.
    let limited = "trap '' XFSZ; ulimit -f 4096";
    let ran = child("fill_the_disk", folder.path(), limited)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{ran:?}");
    assert!(said.contains("filled"), "the child tests nothing: {said}");
    // And what is left opens without a limit.
    let said = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&said);
    let warn = move |text: &str| seen.lock().push(text.to_owned());
    let store = DiskStore::open(folder.path().join("cache"), 64 << 20, warn).unwrap();
    let cache = cache(store.clone());
    store_large(&cache, 1_000);
    store.settle();
    assert!(holds(&cache, 1_000));
    assert!(said.lock().len() <= 1, "{said:?}");
}

#[test]
fn fill_the_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let said = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&said);
    let warn = move |text: &str| seen.lock().push(text.to_owned());
    let disk = DiskStore::open(Path::new(&folder).join("cache"), 64 << 20, warn).unwrap();
    let memory = QuickStore::new(10_000, 64 << 20);
    let cache = cache(LayeredStore::new(memory, disk.clone()));
    for number in 0..400 {
        store_large(&cache, number);
        disk.settle();
    }
    assert!(holds(&cache, 399), "memory goes on");
    assert_eq!(disk.bytes(), 0, "the disk is given up");
    let said = said.lock();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("nothing is kept there"), "{said:?}");
    println!("filled");
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_cannot_be_written_is_an_error_of_opening() {
    // Not even root writes there.
    let refused = DiskStore::open("/sys/praxis/cache", 1 << 20, |_| {}).unwrap_err();
    assert_eq!(refused.kind(), DiskErrorKind::Unusable);
    assert!(
        refused.to_string().contains("/sys/praxis/cache"),
        "{refused}"
    );
}

#[test]
#[cfg(unix)]
fn a_killed_process_leaves_what_was_settled() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = child("store_until_killed", folder.path(), ":")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let settled =
        |line: std::io::Result<String>| line.unwrap().strip_prefix("settled ")?.parse().ok();
    let settled: usize = lines.by_ref().filter_map(settled).nth(4).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let store = DiskStore::open(folder.path().join("cache"), 64 << 20, |text| {
        panic!("{text}")
    });
    let cache = cache(store.unwrap());
    let lost = (0..=settled).find(|number| !holds(&cache, *number));
    assert_eq!(lost, None, "of {settled}");
    put(&cache, &key("more"), &pure(), &NoVersions, 1);
    assert_eq!(find(&cache, &key("more"), &pure(), &NoVersions), Some(1));
}

#[test]
fn store_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let path = Path::new(&folder).join("cache");
    let store = DiskStore::open(path, 64 << 20, |text| panic!("{text}")).unwrap();
    let cache = cache(store.clone());
    for number in 0.. {
        store_large(&cache, number);
        if number % 10 == 9 {
            store.settle();
            println!("\nsettled {number}");
        }
    }
}

#[test]
fn another_process_on_the_file_is_told_apart_from_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let first = DiskStore::open(&path, 1 << 20, |_| {}).unwrap();
    let mut second = child("open_the_same", folder.path(), ":");
    let ran = second.output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    assert!(
        String::from_utf8_lossy(&ran.stdout).contains("in use"),
        "{ran:?}"
    );
    drop(first);
    let ran = second.output().unwrap();
    assert!(
        String::from_utf8_lossy(&ran.stdout).contains("opened"),
        "{ran:?}"
    );
}

#[test]
fn open_the_same() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    match DiskStore::open(Path::new(&folder).join("cache"), 1 << 20, |_| {}) {
        Ok(_) => println!("opened"),
        Err(error) => println!("{error}"),
    }
}

#[test]
fn a_value_is_read_back_to_the_last_bit_of_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let mut random = 7_u64;
    let numbers: Vec<Value> = (0..1_000)
        .map(|_| {
            // Of any exponent, by a step of Knuth's linear congruence.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            json!(f64::from_bits(random))
        })
        .collect();
    let store = DiskStore::open(path, 1 << 20, |_| {}).unwrap();
    let cache = cache(store.clone());
    let fill = cache.begin(&key("a"), &pure(), &NoVersions);
    let stored = fill.store(json!(numbers));
    store.settle();
    let hit = cache.lookup(key("a").as_ref(), pure().run(), &NoVersions);
    let bits = |value: &Value| -> Vec<Option<u64>> {
        let numbers = value.as_array().unwrap().iter();
        numbers
            .map(|number| number.as_f64().map(f64::to_bits))
            .collect()
    };
    assert_eq!(bits(hit.unwrap().value()), bits(&stored));
}
