//! Fixes mend programs, and never make them worse.

use praxis_dsl::{check, fix, parse};
use proptest::prelude::*;

use crate::mutations::mutants;
use crate::{catalog, found};

fn errors(source: &str) -> usize {
    let found = check(&parse(source), &catalog()).diagnostics;
    found.iter().filter(|found| found.is_error()).count()
}

#[track_caller]
fn mends(source: &str, expected: &str) {
    assert_eq!(fix(source, &catalog()).source, expected, "{source}");
    assert_eq!(found(expected), "", "{expected}");
}

#[track_caller]
fn stays(source: &str) {
    let fixed = fix(source, &catalog());
    assert_eq!((fixed.source.as_str(), fixed.changes.len()), (source, 0));
}

#[test]
fn what_is_certain_is_mended() {
    mends("CAL ping", "CALL ping");
    mends("ping\nread_file x", "CALL ping\nCALL read_file x");
    mends(
        "CALL raed_file a --encodng x @timout=5s",
        "CALL read_file a --encoding x @timeout=5s",
    );
    mends(
        "PARALLEL --limt 2\nCALL ping\nEND PARALLEL",
        "PARALLEL --limit 2\nCALL ping\nEND_PARALLEL",
    );
    mends(
        "PARALEL\nCALL ping\nEND_FOR",
        "PARALLEL\nCALL ping\nEND_PARALLEL",
    );
    mends("LET x=5\nCALL probe $x", "LET x = 5\nCALL probe $x");
    mends("LET x= 5\nCALL probe $x", "LET x = 5\nCALL probe $x");
    mends("INPUT x=5\nCALL probe $x", "INPUT x = 5\nCALL probe $x");
    mends(
        "INPUT n\nIF n = 3 and not (n <> 4)\nENDIF",
        "INPUT n\nIF n == 3 && ! (n != 4)\nENDIF",
    );
    mends(
        "INPUT n\nCALL say \"${n = 'a = b'}\"",
        "INPUT n\nCALL say \"${n == 'a = b'}\"",
    );
    mends(
        "LET n = 1\nCALL say out/$n.txt",
        "LET n = 1\nCALL say \"out/${n}.txt\"",
    );
    mends(
        "LET n = 1\nCALL say $n-$n/$m",
        "LET n = 1\nCALL say \"${n}-${n}/$m\"",
    );
    mends(
        "LET n = 1\nCALL say out/${n}.txt",
        "LET n = 1\nCALL say \"out/${n}.txt\"",
    );
    mends(
        "LET $name = 1\nCALL say \"$name\"",
        "LET name = 1\nCALL say \"${name}\"",
    );
    mends(
        "INPUT xs\nFRO x IN xs\nCALL sya $x\nEND_FRO",
        "INPUT xs\nFOR x IN $xs\nCALL say $x\nEND_FOR",
    );
    mends("CALL typed --mode fats", "CALL typed --mode fast");
    // What is hidden by one mistake is mended in the next round.
    mends(
        "LTE x = CALL raed_file a\nCALL probe $x",
        "LET x = CALL read_file a\nCALL probe $x",
    );
}

#[test]
fn what_is_not_certain_stays() {
    stays("CALL ping");
    stays("IF true\nCALL ping");
    stays("CALL read_file");
    stays("CALL http_get x");
    // Two names are as near.
    stays("LET part_a = 1\nLET part_b = 2\nCALL probe $part_c");
}

#[test]
fn changes_say_what_and_where() {
    let fixed = fix("CALL ping\n  CAL raed_file é\n", &catalog());
    let changes: Vec<_> = fixed
        .changes
        .iter()
        .map(|change| {
            let place = change.location;
            format!(
                "{} {}:{} {} {}",
                change.code, place.line, place.column, change.before, change.after
            )
        })
        .collect();
    assert_eq!(
        changes,
        ["P0101 2:3 CAL CALL", "P0201 2:7 raed_file read_file"]
    );
}

#[test]
fn many_mistakes_are_mended() {
    let source = "CAL ping\n".repeat(3_000);
    assert_eq!(fix(&source, &catalog()).source, "CALL ping\n".repeat(3_000));
}

fn holds(source: &str) {
    let fixed = fix(source, &catalog());
    assert!(
        errors(&fixed.source) <= errors(source),
        "{source:?}\n{:?}",
        fixed.source
    );
    let again = fix(&fixed.source, &catalog());
    assert_eq!(again.source, fixed.source, "{source:?}");
    assert_eq!(
        fixed.changes.is_empty(),
        fixed.source == source,
        "{source:?}"
    );
}

proptest! {
    #[test]
    fn pieces_of_programs_never_get_worse(source in crate::properties::programs()) {
        holds(&source);
    }

    #[test]
    fn texts_never_get_worse(source in any::<String>()) {
        holds(&source);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn programs_with_a_mistake_never_get_worse(seed in any::<u64>()) {
        for source in mutants(seed) {
            holds(&source);
        }
    }
}
