use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use praxis_cache::{FileVersions, Policy, Resource, RunId, ToolCache, Version, Versions};
use serde_json::json;

use crate::key;

/// A folder that is read through a cache.
struct Workspace {
    folder: tempfile::TempDir,
    versions: FileVersions,
    cache: ToolCache,
    run: RunId,
}

impl Workspace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/file"), "one").unwrap();
        Self {
            versions: FileVersions::new(folder.path()),
            folder,
            cache: ToolCache::default(),
            run: RunId::unique(),
        }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    /// Waits until the file system would show a further change.
    fn settle(&self, path: &str) {
        let start = Instant::now();
        while self.versions.version(&Resource::path(path)) == Version::Unsettled {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{path} never settles"
            );
            std::thread::yield_now();
        }
    }

    /// What a tool that lists and reads all below `path` says, and whether the cache said it.
    fn read(&self, path: &str) -> (String, bool) {
        let key = key(path);
        if let Some(hit) = self.cache.lookup(key.as_ref(), self.run, &self.versions) {
            return (hit.value().as_str().unwrap().to_owned(), true);
        }
        let policy = Policy::read(self.run, [Resource::path(path)]);
        let fill = self.cache.begin(&key, &policy, &self.versions);
        let text = contents(&self.path(path));
        fill.store(json!(text));
        (text, false)
    }

    /// Reads until the cache answers, edits, and expects the truth from then on.
    fn check(&self, path: &str, edit: impl FnOnce()) {
        self.settle(path);
        // What was read before may have settled in time to be remembered.
        self.cache.clear();
        assert!(!self.read(path).1);
        assert!(self.read(path).1, "{path} is remembered");
        edit();
        let expect = contents(&self.path(path));
        assert_eq!(self.read(path), (expect.clone(), false));
        assert_eq!(self.read(path).0, expect);
    }
}

fn contents(path: &Path) -> String {
    let Ok(found) = fs::metadata(path) else {
        return "absent".into();
    };
    if !found.is_dir() {
        return fs::read_to_string(path).unwrap();
    }
    let entries = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    let show = |path: &std::path::PathBuf| format!("{}={};", path.display(), contents(path));
    entries.iter().map(show).collect()
}

#[test]
fn an_edit_is_seen() {
    let space = Workspace::new();
    space.check("a/file", || space.write("a/file", "two, and longer"));
    space.check("a/file", || space.write("a/file", ""));
}

#[test]
fn an_edit_of_the_same_size_in_the_same_second_is_seen() {
    let space = Workspace::new();
    space.check("a/file", || space.write("a/file", "two"));
}

#[test]
fn an_edit_that_restores_the_modification_time_is_seen() {
    let space = Workspace::new();
    space.check("a/file", || {
        let before = fs::metadata(space.path("a/file"))
            .unwrap()
            .modified()
            .unwrap();
        space.write("a/file", "two");
        let file = File::options()
            .write(true)
            .open(space.path("a/file"))
            .unwrap();
        file.set_times(FileTimes::new().set_modified(before))
            .unwrap();
    });
}

#[test]
fn edits_faster_than_the_file_system_counts_are_seen() {
    let space = Workspace::new();
    for round in 0..2_000 {
        let text = format!("{round:06}");
        space.write("a/file", &text);
        assert_eq!(space.read("a/file").0, text);
        assert_eq!(space.read("a").0, contents(&space.path("a")));
    }
}

#[test]
fn what_changed_just_now_is_not_remembered() {
    let space = Workspace::new();
    let versions = FileVersions::new(space.folder.path()).granularity(Duration::from_secs(60));
    assert_eq!(
        versions.version(&Resource::path("a/file")),
        Version::Unsettled
    );
    assert_eq!(versions.version(&Resource::root()), Version::Unsettled);
}

#[test]
fn a_replacement_by_rename_is_seen() {
    let space = Workspace::new();
    let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    let old = File::options()
        .write(true)
        .open(space.path("a/file"))
        .unwrap();
    old.set_times(times).unwrap();
    space.write("other", "two");
    let new = File::options()
        .write(true)
        .open(space.path("other"))
        .unwrap();
    new.set_times(times).unwrap();
    space.check("a/file", || {
        fs::rename(space.path("other"), space.path("a/file")).unwrap();
    });
}

#[test]
fn coming_and_going_are_seen() {
    let space = Workspace::new();
    space.check("a/file", || fs::remove_file(space.path("a/file")).unwrap());
    space.check("a/file", || space.write("a/file", "back"));
    space.check("a/none", || space.write("a/none", ""));
    space.check("b/c/d", || {
        fs::create_dir_all(space.path("b/c")).unwrap();
        space.write("b/c/d", "deep");
    });
    space.check("a", || fs::remove_dir_all(space.path("a")).unwrap());
}

#[test]
fn a_file_that_came_and_went_during_the_run_is_seen() {
    let space = Workspace::new();
    space.settle("a/none");
    let policy = Policy::read(space.run, [Resource::path("a/none")]);
    let fill = space.cache.begin(&key("a/none"), &policy, &space.versions);
    space.write("a/none", "for a moment");
    let text = contents(&space.path("a/none"));
    fs::remove_file(space.path("a/none")).unwrap();
    fill.store(json!(text));
    assert_eq!(space.read("a/none").0, "absent");
}

#[test]
fn a_folder_shows_what_is_below_it() {
    let space = Workspace::new();
    space.check("a", || space.write("a/new", ""));
    space.check("a", || space.write("a/new", "x"));
    space.check("a", || {
        fs::rename(space.path("a/new"), space.path("a/newer")).unwrap();
    });
    space.check("a", || fs::create_dir_all(space.path("a/b/c")).unwrap());
    space.check(".", || space.write("a/b/c/deep", "deep"));
    space.check("a", || space.write("a/b/c/deep", "deeq"));
    space.check("a", || fs::remove_file(space.path("a/b/c/deep")).unwrap());
}

#[test]
fn a_folder_beyond_the_limit_has_no_version() {
    let space = Workspace::new();
    for number in 0..9 {
        space.write(&format!("a/{number}"), "");
    }
    space.settle("a");
    let at_most = |entries| {
        let versions = space.versions.clone().max_entries(entries);
        versions.version(&Resource::path("a"))
    };
    assert!(matches!(at_most(10), Version::At(_)));
    assert_eq!(at_most(9), Version::Unversioned);
    assert_eq!(
        space.versions.version(&Resource::everything()),
        Version::Unversioned
    );
}

#[cfg(unix)]
#[test]
fn links_show_what_they_lead_to() {
    use std::os::unix::fs::symlink;
    let space = Workspace::new();
    space.write("other", "two");
    symlink("a/file", space.path("link")).unwrap();
    space.check("link", || space.write("a/file", "new"));
    space.check("link", || {
        fs::remove_file(space.path("link")).unwrap();
        symlink("other", space.path("link")).unwrap();
    });
    space.check(".", || space.write("other", "2wo"));
    symlink("a", space.path("folder")).unwrap();
    space.settle("a/file");
    assert_eq!(
        space.versions.version(&Resource::path("folder")),
        Version::Unversioned
    );
    assert_eq!(
        space.versions.version(&Resource::root()),
        Version::Unversioned
    );
    space.check("folder/file", || space.write("a/file", "six"));
}
