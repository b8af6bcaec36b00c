//! Random interleavings against a world of files whose truth is known: never a stale answer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use praxis_cache::{
    ManualClock, MapStore, Policy, Resource, RunId, Stamp, ToolCache, Version, Versions,
};
use proptest::prelude::*;
use serde_json::json;

use crate::key;

const PATHS: [&str; 6] = ["a", "a/b", "a/b/c", "a/d", "ab", "e"];

/// Paths with a content number each; those under `e` have no versions.
#[derive(Default)]
struct World(Mutex<BTreeMap<Resource, u64>>);

impl World {
    fn edit(&self, path: &Resource) {
        *self.0.lock().entry(path.clone()).or_default() += 1;
    }

    /// What a reader of `path` gets.
    fn truth(&self, path: &Resource) -> u64 {
        let world = self.0.lock();
        world
            .iter()
            .filter(|(other, _)| other.overlaps(path))
            .map(|(_, n)| n)
            .sum()
    }
}

impl Versions for World {
    fn version(&self, resource: &Resource) -> Version {
        if resource.as_path() == Some("e") {
            return Version::Unversioned;
        }
        Version::At(Stamp::of(&self.truth(resource).to_le_bytes()))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Begin {
        path: usize,
        run: usize,
    },
    /// The tool reads its resource.
    Work {
        fill: usize,
    },
    Finish {
        fill: usize,
    },
    Look {
        path: usize,
        run: usize,
    },
    /// A step of a run writes, and the cache is told.
    Write {
        path: usize,
    },
    /// Somebody edits what has versions, and nobody is told.
    Edit {
        path: usize,
    },
    /// A step of a run does what it likes; for what has no version, in its own run only.
    External {
        run: usize,
    },
    Pass {
        seconds: u64,
    },
    Invalidate {
        path: usize,
    },
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let (path, run) = (0..PATHS.len(), 0..2_usize);
    prop_oneof![
        4 => (path.clone(), run.clone()).prop_map(|(path, run)| Step::Begin { path, run }),
        4 => (0..4_usize).prop_map(|fill| Step::Work { fill }),
        4 => (0..4_usize).prop_map(|fill| Step::Finish { fill }),
        6 => (path.clone(), run.clone()).prop_map(|(path, run)| Step::Look { path, run }),
        2 => path.clone().prop_map(|path| Step::Write { path }),
        2 => path.clone().prop_map(|path| Step::Edit { path }),
        1 => run.prop_map(|run| Step::External { run }),
        1 => (0..200_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => path.prop_map(|path| Step::Invalidate { path }),
        1 => Just(Step::Clear),
    ]
}

fn check(cache: &ToolCache, clock: &ManualClock, steps: &[Step]) -> Result<usize, TestCaseError> {
    let world = World::default();
    let runs = [RunId::unique(), RunId::unique()];
    let fills = RefCell::new(Vec::new());
    let mut hits = 0;
    let at = |path: usize| Resource::path(PATHS[path]);
    for step in steps {
        match *step {
            Step::Begin { path, run } => {
                let policy = Policy::read(runs[run], [at(path)]);
                let fill = cache.begin(&key(PATHS[path]), &policy, &world);
                fills.borrow_mut().push((fill, path, None));
            }
            Step::Work { fill } => {
                if let Some((_, path, work)) = fills.borrow_mut().get_mut(fill) {
                    *work = Some(world.truth(&at(*path)));
                }
            }
            Step::Finish { fill } => {
                let mut fills = fills.borrow_mut();
                if fill < fills.len() {
                    let (fill, path, work) = fills.swap_remove(fill);
                    fill.store(json!(work.unwrap_or_else(|| world.truth(&at(path)))));
                }
            }
            Step::Look { path, run } => {
                let found = cache.lookup(key(PATHS[path]).as_ref(), runs[run], &world);
                if let Some(hit) = found {
                    hits += 1;
                    prop_assert_eq!(&**hit.value(), &json!(world.truth(&at(path))));
                    prop_assert!(hit.age() < Duration::from_secs(300));
                    prop_assert!(PATHS[path] != "e" || hit.run() == runs[run]);
                }
            }
            Step::Write { path } => {
                world.edit(&at(path));
                cache.wrote(&at(path));
            }
            Step::Edit { path } if PATHS[path] != "e" => world.edit(&at(path)),
            Step::Edit { .. } => {}
            Step::External { run } => {
                world.edit(&Resource::path("a/d"));
                cache.external(runs[run]);
            }
            Step::Pass { seconds } => clock.advance(Duration::from_secs(seconds)),
            Step::Invalidate { path } => {
                cache.invalidate_key(key(PATHS[path]).as_ref());
                let found = cache.lookup(key(PATHS[path]).as_ref(), runs[0], &world);
                prop_assert!(found.is_none());
            }
            Step::Clear => {
                cache.clear();
                prop_assert_eq!(cache.stats().entries, 0);
            }
        }
    }
    Ok(hits)
}

#[test]
fn never_a_stale_answer() {
    let hits = RefCell::new(0);
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(
            &(prop::collection::vec(step(), 0..300), any::<bool>()),
            |(steps, map)| {
                let clock = Arc::new(ManualClock::default());
                let cache = ToolCache::builder().clock(Arc::clone(&clock));
                let cache = if map {
                    cache.store(MapStore::default())
                } else {
                    cache
                };
                *hits.borrow_mut() += check(&cache.build(), &clock, &steps)?;
                Ok(())
            },
        )
        .unwrap();
    assert!(
        *hits.borrow() > 100,
        "only {} hits: the model proves little",
        hits.borrow()
    );
}
