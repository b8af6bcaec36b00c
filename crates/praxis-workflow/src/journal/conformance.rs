//! The test suite that every [`Journal`] runs, so that one can stand for another.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::effect::EffectClass;
use crate::executor::{CacheUse, RunId};
use crate::report::{Failure, RunStatus};

use super::{
    Announcement, ArgumentsDigest, Ending, Event, Finish, Journal, JournalErrorKind, Outcome,
    Record, RunStart,
};

/// Runs the whole suite on an empty journal.
///
/// # Panics
///
/// Where the journal breaks its trait's contract.
pub fn check(journal: &dyn Journal) {
    records_come_back_in_order(journal);
    one_log_at_a_time(journal);
    what_is_not_there_is_not_found(journal);
    runs_are_listed_and_removed(journal);
    an_abandoned_journal_says_so(journal);
    one_who_reads_sees_what_is_written(journal);
}

/// Records of every kind, with results of every size.
pub fn records() -> Vec<Record> {
    let about = |step: &str, effects| Announcement {
        step: step.into(),
        way: vec![0, 7, u32::MAX],
        line: 3,
        tool: "write_file".into(),
        arguments: ArgumentsDigest::of(&Arguments::from(serde_json::Map::from_iter([(
            "path".to_owned(),
            json!("a\u{0}\u{1f600}"),
        )]))),
        effects,
        writes: vec!["out/a".to_owned(), String::new()],
        started_us: 12,
    };
    let finish = |step: &str, about, outcome| {
        Event::Finished(Finish {
            step: step.into(),
            about,
            turn: 9,
            attempts: 2,
            duration_us: u64::from(u32::MAX),
            cache: CacheUse::Miss,
            engine: Some("local".into()),
            outcome,
        })
    };
    let value = |value: Value| Outcome::Value(Arc::new(value));
    let large = json!({ "text": "ö".repeat(100_000), "n": 1.5e300 });
    let events = vec![
        Event::Started(RunStart {
            workflow: Some("w".to_owned()),
            source: "CALL x\n".to_owned(),
            inputs: serde_json::Map::from_iter([("n".to_owned(), json!([1, null, -0.5]))]),
            context: json!({ "root": "/" }),
            ..RunStart::default()
        }),
        Event::Announced(about("s1", EffectClass::Write)),
        finish("s1", None, value(Value::Null)),
        finish(
            "s2",
            Some(about("s2", EffectClass::Pure)),
            value(large.clone()),
        ),
        finish(
            "s3[0]",
            Some(about("s3[0]", EffectClass::Read)),
            value(large),
        ),
        finish(
            "s4",
            Some(about("s4", EffectClass::Pure)),
            Outcome::SameAs("s2".into()),
        ),
        finish(
            "s5",
            Some(about("s5", EffectClass::External)),
            Outcome::Failed {
                kind: "timeout".into(),
                message: "no answer\nwithin 5s".to_owned(),
            },
        ),
        finish("s6", Some(about("s6", EffectClass::Pure)), Outcome::NotKept),
        Event::Cancelled(about("s7", EffectClass::Write)),
        Event::Interrupted(about("s8", EffectClass::Read)),
        Event::Resumed,
        Event::Ended(Ending {
            status: RunStatus::Failed,
            output: json!({ "a": [1, 2] }),
            error: Some(Failure {
                kind: "failed".to_owned(),
                message: "no".to_owned(),
                line: Some(1),
                column: None,
            }),
            makespan_us: 1,
        }),
    ];
    let stamped = events.into_iter().enumerate();
    stamped
        .map(|(index, event)| Record {
            at_ms: 1_700_000_000_000 + index as u64,
            event,
        })
        .collect()
}

fn begin() -> Record {
    Record {
        at_ms: 1,
        event: Event::Started(RunStart::default()),
    }
}

fn records_come_back_in_order(journal: &dyn Journal) {
    let run = RunId::generate();
    let records = records();
    let mut log = journal.open(&run).expect("a new run can be opened");
    let (first, rest) = records.split_at(3);
    log.append(first, false).expect("records can be appended");
    log.append(rest, true).expect("records can be appended");
    drop(log);
    let history = journal.read(&run).expect("what was written can be read");
    assert_eq!(history.records, records);
    assert_eq!(history.damage, None);
    assert!(!history.in_use, "the log was dropped");
    let outline = journal.outline(&run).expect("what was written can be read");
    assert_eq!(outline.records.len(), records.len());
    assert_eq!(outline.finished().len(), history.finished().len());
    assert_eq!(outline.state(), history.state());
    let mut results = Vec::new();
    let mut keep = |result: &Value| {
        results.push(result.clone());
        json!(results.len())
    };
    let kept = journal.read_keeping(&run, &mut keep);
    let kept = kept.expect("what was written can be read");
    assert_eq!(kept.damage, history.damage);
    let mut results = results.into_iter();
    for (one, other) in kept.records.iter().zip(&history.records) {
        let mut other = other.clone();
        other.keep(&mut |result| {
            assert_eq!(Some(result), results.next().as_ref());
            Value::Null
        });
        let mut one = one.clone();
        one.keep(&mut |result| {
            assert!(result.is_u64(), "what was made of it stands in its place");
            Value::Null
        });
        assert_eq!(one, other);
    }
    assert_eq!(results.next(), None, "each result was shown once");
    journal.remove(&run).expect("a run can be removed");
}

fn one_log_at_a_time(journal: &dyn Journal) {
    let run = RunId::generate();
    let mut log = journal.open(&run).expect("a new run can be opened");
    log.append(&[begin()], false)
        .expect("records can be appended");
    let refused = journal.open(&run).err().map(|error| error.kind());
    assert_eq!(refused, Some(JournalErrorKind::InUse));
    let refused = journal.remove(&run).err().map(|error| error.kind());
    assert_eq!(refused, Some(JournalErrorKind::InUse));
    assert!(journal.read(&run).expect("it is there").in_use);
    drop(log);
    let mut log = journal.open(&run).expect("it was closed");
    log.append(&[begin()], false)
        .expect("records can be appended");
    drop(log);
    assert_eq!(journal.read(&run).expect("it is there").records.len(), 2);
    journal.remove(&run).expect("a run can be removed");
}

fn what_is_not_there_is_not_found(journal: &dyn Journal) {
    let run = RunId::generate();
    let missing = Some(JournalErrorKind::NotFound);
    assert_eq!(journal.read(&run).err().map(|error| error.kind()), missing);
    assert_eq!(
        journal.remove(&run).err().map(|error| error.kind()),
        missing
    );
}

fn runs_are_listed_and_removed(journal: &dyn Journal) {
    let mut runs: Vec<RunId> = (0..3).map(|_| RunId::generate()).collect();
    for run in &runs {
        let mut log = journal.open(run).expect("a new run can be opened");
        log.append(&[begin()], false)
            .expect("records can be appended");
    }
    runs.sort();
    assert_eq!(journal.runs().expect("runs can be listed"), runs);
    for run in &runs {
        journal.remove(run).expect("a run can be removed");
    }
    assert_eq!(journal.runs().expect("runs can be listed"), []);
}

fn an_abandoned_journal_says_so(journal: &dyn Journal) {
    let run = RunId::generate();
    let mut log = journal.open(&run).expect("a new run can be opened");
    log.append(&[begin()], true)
        .expect("records can be appended");
    log.abandon();
    drop(log);
    assert!(journal.read(&run).expect("it is there").abandoned);
    journal.remove(&run).expect("a run can be removed");
}

fn one_who_reads_sees_what_is_written(journal: &dyn Journal) {
    let run = RunId::generate();
    let mut log = journal.open(&run).expect("a new run can be opened");
    for count in 1..=3 {
        log.append(&[begin()], count == 2)
            .expect("records can be appended");
        let history = journal.read(&run).expect("it is there");
        assert_eq!((history.records.len(), history.damage), (count, None));
    }
    drop(log);
    journal.remove(&run).expect("a run can be removed");
}
