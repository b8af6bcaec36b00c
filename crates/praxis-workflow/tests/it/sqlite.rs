//! The journal in a folder: its contract, and what damage does to it.

use std::fs;
use std::path::{Path, PathBuf};

use praxis_workflow::{
    Event, History, Journal, JournalErrorKind, Outcome, Record, Retention, RunId, RunJournal,
    RunStart, RunState, SqliteJournal, conformance,
};
use proptest::prelude::*;
use serde_json::{Value, json};

struct Place {
    folder: tempfile::TempDir,
    journal: SqliteJournal,
}

impl Place {
    fn with(retention: Retention) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = SqliteJournal::new(folder.path().join("runs"), retention);
        Self { folder, journal }
    }

    fn new() -> Self {
        Self::with(Retention::default())
    }

    fn file(&self, run: &RunId, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("runs/{run}{suffix}"))
    }
}

#[test]
fn the_journal_in_a_folder_keeps_the_contract() {
    conformance::check(&Place::new().journal);
}

fn started() -> Record {
    Record {
        at_ms: 1,
        event: Event::Started(RunStart::default()),
    }
}

/// A run of so many records, each on stable storage, as a process that died leaves it: with its
/// write-ahead log, if `wal`.
fn left_behind(place: &Place, records: usize, wal: bool) -> RunId {
    let run = RunId::generate();
    let mut log = place.journal.open(&run).unwrap();
    let batch: Vec<Record> = (0..records)
        .map(|_| conformance::records()[1].clone())
        .collect();
    log.append(&[started()], true).unwrap();
    for record in batch.chunks(7) {
        log.append(record, true).unwrap();
    }
    if wal {
        let copies: Vec<(PathBuf, Vec<u8>)> = [".journal", ".journal-wal", ".open"]
            .iter()
            .map(|suffix| place.file(&run, suffix))
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        drop(log);
        for (path, bytes) in copies {
            fs::write(path, bytes).unwrap();
        }
    }
    run
}

fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn is_prefix_or_gap(history: &History, whole: usize) {
    assert!(history.damage.is_some(), "the damage is not seen");
    assert!(history.records.len() < whole, "{:?}", history.damage);
}

#[test]
fn every_flipped_byte_is_harmless_or_seen() {
    let place = Place::new();
    for wal in [false, true] {
        let run = left_behind(&place, 300, wal);
        let whole = place.journal.read(&run).unwrap();
        assert_eq!((whole.records.len(), &whole.damage), (301, &None));
        let run = left_behind(&place, 300, wal);
        let suffix = if wal { ".journal-wal" } else { ".journal" };
        let path = place.file(&run, suffix);
        let files: Vec<(PathBuf, Vec<u8>)> = [".journal", ".journal-wal", ".open"]
            .iter()
            .map(|suffix| place.file(&run, suffix))
            .filter_map(|path| Some((path.clone(), fs::read(path).ok()?)))
            .collect();
        let length = fs::metadata(&path).unwrap().len() as usize;
        assert!(length > 40_000, "{length}");
        for at in (0..length).step_by(length / 97) {
            for (path, bytes) in &files {
                fs::write(path, bytes).unwrap();
            }
            damage(&path, |bytes| bytes[at] ^= 0x41);
            // An error names the file; what is read is whole, or said not to be.
            if let Ok(history) = place.journal.read(&run)
                && history.damage.is_none()
            {
                assert_eq!(history.records, whole.records, "byte {at} of {suffix}");
            }
        }
    }
}

#[test]
fn a_file_that_was_cut_short_keeps_what_is_whole() {
    let place = Place::new();
    for wal in [false, true] {
        let run = left_behind(&place, 300, wal);
        let suffix = if wal { ".journal-wal" } else { ".journal" };
        damage(&place.file(&run, suffix), |bytes| {
            bytes.truncate(bytes.len() / 2);
        });
        is_prefix_or_gap(&place.journal.read(&run).unwrap(), 301);
        damage(&place.file(&run, ".journal"), |bytes| bytes.truncate(10));
        is_prefix_or_gap(&place.journal.read(&run).unwrap(), 301);
    }
}

#[test]
fn a_flipped_byte_in_the_middle_loses_few_records() {
    let place = Place::new();
    let run = left_behind(&place, 300, false);
    damage(&place.file(&run, ".journal"), |bytes| {
        let middle = bytes.len() / 2;
        for byte in &mut bytes[middle..middle + 4] {
            *byte ^= 0x5a;
        }
    });
    let history = place.journal.read(&run).unwrap();
    is_prefix_or_gap(&history, 301);
    assert!(history.records.len() > 250, "{:?}", history.damage);
}

#[test]
fn a_large_result_stands_once_and_a_huge_one_not_at_all() {
    let place = Place::with(Retention {
        max_value_bytes: 1 << 20,
        ..Retention::default()
    });
    let run = RunId::generate();
    let finished = |text: String| {
        let mut record = conformance::records()[3].clone();
        if let Event::Finished(finish) = &mut record.event {
            finish.outcome = Outcome::Value(json!(text).into());
        }
        record
    };
    let mut log = place.journal.open(&run).unwrap();
    for _ in 0..20 {
        log.append(&[finished("x".repeat(500_000))], true).unwrap();
    }
    log.append(&[finished("x".repeat(2_000_000))], true)
        .unwrap();
    drop(log);
    let history = place.journal.read(&run).unwrap();
    assert_eq!(history.damage, None);
    assert!(fs::metadata(place.file(&run, ".journal")).unwrap().len() < 700_000);
    let Event::Finished(huge) = &history.records[20].event else {
        panic!("{:?}", history.records[20]);
    };
    assert_eq!(huge.outcome, Outcome::NotKept);
}

#[test]
fn the_oldest_runs_go() {
    let place = Place::with(Retention {
        max_runs: 3,
        ..Retention::default()
    });
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(left_behind(&place, 1, false));
        // Ids are ordered by the millisecond.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert_eq!(place.journal.runs().unwrap(), runs[2..]);
    let held = place.journal.open(&runs[2]).unwrap();
    left_behind(&place, 1, false);
    assert!(
        place.journal.runs().unwrap().contains(&runs[2]),
        "it is in use"
    );
    drop(held);
}

#[test]
fn a_journal_that_is_full_takes_no_more_and_stays_whole() {
    let place = Place::with(Retention {
        max_run_bytes: 100_000,
        ..Retention::default()
    });
    let run = RunId::generate();
    let mut log = place.journal.open(&run).unwrap();
    log.append(&[started()], true).unwrap();
    let record = conformance::records()[1].clone();
    let mut taken = 1;
    let error = loop {
        match log.append(&vec![record.clone(); 10], taken % 20 == 1) {
            Ok(()) => taken += 10,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), JournalErrorKind::Full, "{error}");
    log.abandon();
    drop(log);
    let history = place.journal.read(&run).unwrap();
    assert_eq!(
        (history.records.len(), history.damage.clone()),
        (taken, None)
    );
    assert_eq!(history.state(), RunState::Abandoned);
    let refused = RunJournal::resume(&place.journal, &run).err().unwrap();
    assert_eq!(refused.kind(), JournalErrorKind::Over);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        (0_usize..3).prop_map(|times| Value::from("z".repeat(20_000 * times))),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_is_read(
        values in prop::collection::vec((values(), 0_usize..12, any::<bool>(), any::<u32>()), 1..30),
    ) {
        let place = Place::new();
        let run = RunId::generate();
        let mut log = place.journal.open(&run).unwrap();
        let mut expected = Vec::new();
        for (value, kind, durable, at_ms) in values {
            let mut record = conformance::records()[kind].clone();
            record.at_ms = u64::from(at_ms);
            match &mut record.event {
                Event::Finished(finish) => finish.outcome = Outcome::Value(value.into()),
                Event::Started(start) => start.context = value,
                // The end would close the log.
                Event::Ended(_) => record.event = Event::Resumed,
                _ => {}
            }
            log.append(std::slice::from_ref(&record), durable).unwrap();
            expected.push(record);
        }
        drop(log);
        let history = place.journal.read(&run).unwrap();
        prop_assert_eq!(history.records, expected);
        prop_assert_eq!(history.damage, None);
    }
}
