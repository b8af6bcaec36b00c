use std::path::Path;

use praxis_cache::{MemoryVersions, NoVersions, Policy, Resource, RunId, ToolCache};
use proptest::prelude::*;
use serde_json::json;

use crate::{find, key, put};

fn check_path(path: &str, expect: &str) {
    assert_eq!(Resource::path(path).to_string(), expect, "{path:?}");
}

#[test]
fn paths_are_normalised() {
    check_path("./a//b/../c", "a/c");
    check_path("a/b/", "a/b");
    check_path("", ".");
    check_path("a/..", ".");
    check_path("../a", "everything");
    check_path("a/../../b", "everything");
    check_path("/etc/passwd", "everything");
    check_path("...", "...");
    check_path("a\0b/é", "a\0b/é");
    check_path(&"a/".repeat(5_000), "everything");
}

#[test]
fn absolute_paths_under_the_root_become_relative() {
    let within = |path: &str| Resource::within(Path::new("/data/./space"), Path::new(path));
    assert_eq!(within("/data/space/a/./b"), Resource::path("a/b"));
    assert_eq!(within("a/b"), Resource::path("a/b"));
    assert_eq!(within("/data/space"), Resource::root());
    assert_eq!(within("/data/spaceship"), Resource::everything());
    assert_eq!(within("/data/space/../x"), Resource::everything());
}

proptest! {
    #[test]
    fn paths_overlap_by_segments(one in "[ab]{1,2}(/[ab]{1,2}){0,3}|", two in "[ab]{1,2}(/[ab]{1,2}){0,3}|") {
        let (one, two) = (Resource::path(&one), Resource::path(&two));
        let prefix = one.segments().zip(two.segments()).all(|(a, b)| a == b);
        prop_assert_eq!(one.overlaps(&two), prefix);
        prop_assert_eq!(two.overlaps(&one), prefix);
        prop_assert!(one.overlaps(&Resource::everything()) && Resource::everything().overlaps(&two));
    }

    #[test]
    fn a_write_drops_exactly_what_overlaps(
        reads in prop::collection::vec("[ab-]{1,2}(/[ab0]{1,2}){0,3}|/", 1..20),
        write in "[ab-]{1,2}(/[ab0]{1,2}){0,3}|/",
    ) {
        let cache = ToolCache::default();
        let versions = MemoryVersions::default();
        let run = RunId::unique();
        for (number, read) in reads.iter().enumerate() {
            let policy = Policy::read(run, [Resource::path(read)]);
            put(&cache, &key(&number.to_string()), &policy, &versions, 1);
        }
        cache.wrote(&Resource::path(&write));
        for (number, read) in reads.iter().enumerate() {
            let found = find(&cache, &key(&number.to_string()), &Policy::pure(run), &versions);
            let overlaps = Resource::path(read).overlaps(&Resource::path(&write));
            prop_assert_eq!(found.is_none(), overlaps, "{} and {}", read, &write);
        }
    }
}

#[test]
fn a_changed_version_is_a_miss() {
    let cache = ToolCache::default();
    let versions = MemoryVersions::default();
    let policy = Policy::read(
        RunId::unique(),
        [Resource::path("a/b"), Resource::path("c")],
    );
    put(&cache, &key("a"), &policy, &versions, 1);
    versions.touch(&Resource::path("d"));
    let later = Policy::pure(RunId::unique());
    assert_eq!(find(&cache, &key("a"), &later, &versions), Some(1));
    versions.touch(&Resource::path("a"));
    assert_eq!(find(&cache, &key("a"), &later, &versions), None);
    let stats = cache.stats();
    assert_eq!((stats.invalidated, stats.entries), (1, 0));
}

#[test]
fn a_change_during_the_run_is_not_stored() {
    let cache = ToolCache::default();
    let versions = MemoryVersions::default();
    let policy = Policy::read(RunId::unique(), [Resource::path("a")]);
    let fill = cache.begin(&key("a"), &policy, &versions);
    versions.touch(&Resource::path("a"));
    fill.store(json!(1));
    assert_eq!(cache.stats().stores, 0);
}

#[test]
fn without_versions_a_result_holds_within_its_run() {
    let cache = ToolCache::default();
    let (run, other) = (RunId::unique(), RunId::named("other"));
    let policy = Policy::read(run, [Resource::path("a")]);
    put(&cache, &key("a"), &policy, &NoVersions, 1);
    assert_eq!(
        find(&cache, &key("a"), &Policy::pure(other), &NoVersions),
        None
    );
    assert_eq!(find(&cache, &key("a"), &policy, &NoVersions), Some(1));
    cache.external(other);
    assert_eq!(find(&cache, &key("a"), &policy, &NoVersions), Some(1));
    cache.external(run);
    assert_eq!(find(&cache, &key("a"), &policy, &NoVersions), None);
}

#[test]
fn an_external_step_leaves_what_has_versions() {
    let cache = ToolCache::default();
    let run = RunId::unique();
    let versions = MemoryVersions::default();
    put(
        &cache,
        &key("read"),
        &Policy::read(run, [Resource::path("a")]),
        &versions,
        1,
    );
    put(&cache, &key("pure"), &Policy::pure(run), &versions, 2);
    cache.external(run);
    assert_eq!(
        find(&cache, &key("read"), &Policy::pure(run), &versions),
        Some(1)
    );
    assert_eq!(
        find(&cache, &key("pure"), &Policy::pure(run), &versions),
        Some(2)
    );
}

#[test]
fn effects_during_the_run_are_not_stored() {
    let cache = ToolCache::default();
    let run = RunId::unique();
    let policy = Policy::read(run, [Resource::path("a/b")]);
    for effect in [
        &(|| cache.wrote(&Resource::path("a"))) as &dyn Fn(),
        &|| cache.wrote(&Resource::everything()),
        &|| cache.external(run),
    ] {
        let fill = cache.begin(&key("a"), &policy, &NoVersions);
        effect();
        fill.store(json!(1));
        assert_eq!(find(&cache, &key("a"), &policy, &NoVersions), None);
    }
    let fill = cache.begin(&key("a"), &policy, &NoVersions);
    cache.wrote(&Resource::path("a/c"));
    fill.store(json!(1));
    assert_eq!(find(&cache, &key("a"), &policy, &NoVersions), Some(1));
}

#[test]
fn reads_that_are_not_named_are_of_everything() {
    let cache = ToolCache::default();
    let policy = Policy::read(RunId::unique(), []);
    put(&cache, &key("a"), &policy, &NoVersions, 1);
    assert_eq!(find(&cache, &key("a"), &policy, &NoVersions), Some(1));
    cache.wrote(&Resource::path("anything"));
    assert_eq!(find(&cache, &key("a"), &policy, &NoVersions), None);
}
