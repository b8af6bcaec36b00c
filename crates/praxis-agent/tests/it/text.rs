//! Commands that work on the text of programs: `fmt`, `check --fix`, `explain-error`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use praxis_dsl::Code;
use serde_json::json;

use crate::shell::Place;

const UNTIDY: &str = "call  read_file a\n\n\n  if 1 > 2\ncall read_file b # two\nend_if\n";
const TIDY: &str = "CALL read_file a\n\nIF 1 > 2\n  CALL read_file b  # two\nENDIF\n";

#[test]
fn files_are_laid_out_in_place() {
    let place = Place::new(&[("a.praxis", UNTIDY), ("b.praxis", TIDY)]);
    let path = place.path().join("a.praxis");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("a.praxis", place.path().join("link.praxis")).unwrap();
    let before = fs::metadata(place.path().join("b.praxis")).unwrap();

    let checked = place
        .praxis(&["fmt", "--check", "link.praxis", "b.praxis"])
        .exits(1);
    let checked = checked.says(&[
        "link.praxis: not formatted",
        "-call  read_file a",
        "+CALL read_file a",
    ]);
    assert!(!checked.stderr.contains("b.praxis"), "{}", checked.stderr);
    assert_eq!(place.read("a.praxis"), UNTIDY);

    let ran = place.praxis(&["fmt", "link.praxis", "b.praxis"]).exits(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    assert_eq!(place.read("a.praxis"), TIDY);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert!(
        fs::symlink_metadata(place.path().join("link.praxis"))
            .unwrap()
            .is_symlink()
    );
    // A file that is right already is not written.
    let after = fs::metadata(place.path().join("b.praxis")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    place
        .praxis(&["fmt", "--check", "a.praxis", "b.praxis"])
        .exits(0);
    assert_eq!(
        fs::read_dir(place.path()).unwrap().count(),
        3,
        "nothing is left behind"
    );

    assert_eq!(
        place.feed(UNTIDY.as_bytes(), &["fmt", "-"]).exits(0).stdout,
        TIDY
    );
    place
        .feed(UNTIDY.as_bytes(), &["fmt", "--check", "-"])
        .exits(1)
        .says(&["<stdin>: not formatted"]);
}

#[test]
fn what_cannot_be_laid_out_stays() {
    let place = Place::new(&[
        ("open.praxis", "if true\ncall  x\n"),
        ("kept.praxis", UNTIDY),
    ]);
    place.write("latin.praxis", b"call \xe9\n");
    let ran = place
        .praxis(&["fmt", "open.praxis", "kept.praxis"])
        .exits(2);
    ran.says(&["error[P0102]", "open.praxis:1:1"]);
    assert_eq!(place.read("open.praxis"), "if true\ncall  x\n");
    assert_eq!(place.read("kept.praxis"), TIDY, "the others are laid out");
    place
        .praxis(&["fmt", "latin.praxis"])
        .exits(2)
        .says(&["P0001"]);
    place
        .praxis(&["fmt", "nowhere.praxis"])
        .exits(3)
        .says(&["nowhere.praxis"]);
    place.praxis(&["fmt"]).exits(2);
    let locked = place.write("locked.praxis", UNTIDY.as_bytes());
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o444)).unwrap();
    place
        .praxis(&["fmt", "locked.praxis"])
        .exits(3)
        .says(&["cannot write locked.praxis"]);
    assert_eq!(place.read("locked.praxis"), UNTIDY);
}

#[test]
fn a_long_difference_is_cut() {
    let place = Place::new(&[]);
    let many = "call  x\n".repeat(50_000);
    let ran = place
        .feed(many.as_bytes(), &["fmt", "--check", "-"])
        .exits(1);
    let ran = ran.says(&["more lines"]);
    assert!(ran.stderr.lines().count() < 30, "{}", ran.stderr);
}

#[test]
fn programs_become_json_and_come_back() {
    let place = Place::new(&[("a.praxis", UNTIDY)]);
    let form = place.praxis(&["fmt", "--to-json", "a.praxis"]).exits(0);
    assert_eq!(
        form.json()["statements"][0]["tool"],
        json!({"bare": "read_file"})
    );
    let again = place
        .feed(form.stdout.as_bytes(), &["fmt", "--from-json", "-"])
        .exits(0);
    let expected = "CALL read_file a\nIF 1 > 2\n  # two\n  CALL read_file b\nENDIF\n";
    assert_eq!(again.stdout, expected);
    let schema = place.praxis(&["fmt", "--schema"]).exits(0).json();
    assert_eq!(schema["title"], "Program");

    let evil = json!({"praxis": 1, "statements": [
        {"kind": "return", "value": {"bare": "1\nCALL delete_file a"}}]});
    let refused = place
        .feed(evil.to_string().as_bytes(), &["fmt", "--from-json", "-"])
        .exits(2);
    refused.says(&["<stdin>: /statements/0/value: it is not one word"]);
    place
        .feed(b"{", &["fmt", "--from-json", "-"])
        .exits(2)
        .says(&["it is not JSON"]);
    let deep = "[".repeat(10_000);
    place
        .feed(deep.as_bytes(), &["fmt", "--from-json", "-"])
        .exits(2)
        .says(&["nested deeper"]);
    place
        .feed(b"CALL", &["fmt", "--to-json", "-"])
        .exits(2)
        .says(&["P0109"]);
    place
        .praxis(&["fmt", "--to-json", "--from-json", "a.praxis"])
        .exits(2);
    place.praxis(&["fmt", "--schema", "a.praxis"]).exits(2);
}

#[test]
fn certain_mistakes_are_mended() {
    let place = Place::new(&[
        ("a.praxis", "CAL raed_file a.txt\nIF 1 = 2\nEND_FI\n"),
        ("b.praxis", "CALL read_file\n"),
    ]);
    let ran = place
        .praxis(&["check", "--fix", "a.praxis"])
        .exits(0)
        .says(&[
            "a.praxis:1:1: `CAL` is now `CALL` [P0101]",
            "a.praxis:1:5: `raed_file` is now `read_file` [P0201]",
            "`1 = 2` is now `1 == 2` [P0008]",
        ]);
    assert_eq!(ran.stdout, "a.praxis: ok\n");
    assert_eq!(
        place.read("a.praxis"),
        "CALL read_file a.txt\nIF 1 == 2\nEND_IF\n"
    );
    // What is not certain is said, as without the option.
    place
        .praxis(&["check", "--fix", "b.praxis"])
        .exits(2)
        .says(&["P0204"]);
    assert_eq!(place.read("b.praxis"), "CALL read_file\n");
    place
        .feed(b"CAL x", &["check", "--fix", "-"])
        .exits(2)
        .says(&["cannot be mended in place"]);
    place.praxis(&["check", "--fix", "nowhere.praxis"]).exits(3);
}

#[test]
fn every_code_is_explained() {
    let place = Place::new(&[]);
    let listed = place.praxis(&["explain-error"]).exits(0).stdout;
    assert_eq!(listed.lines().count(), Code::ALL.len());
    for (id, part) in [
        (
            "P0012",
            "wrong:\n\n    LET count = 3\n    RETURN ${\"count: \" + count}\n",
        ),
        ("p0102", "right:\n\n    PARALLEL\n"),
        ("P0003", "size limit"),
        ("P0006", "CALL read<U+200B>_file"),
    ] {
        let text = place.praxis(&["explain-error", id]).exits(0).stdout;
        assert!(
            text.starts_with(&id.to_uppercase()) && text.contains(part),
            "{text}"
        );
    }
    place
        .praxis(&["explain-error", "P01022"])
        .exits(2)
        .says(&["did you mean P0102?"]);
    place
        .praxis(&["explain-error", "nonsense"])
        .exits(2)
        .says(&["all are listed"]);
}

/// The examples are checked with the built-in tools too, and those that need the order of steps.
#[test]
fn examples_of_codes_are_what_they_say() {
    let place = Place::new(&[]);
    let mut names = Vec::new();
    for code in Code::ALL {
        let Some((wrong, right)) = code.examples() else {
            continue;
        };
        if wrong.contains("\\x") {
            continue;
        }
        for (what, text) in [("wrong", wrong), ("right", right)] {
            let name = format!("{}-{what}.praxis", code.id());
            place.write(&name, text.as_bytes());
            names.push(name);
        }
    }
    let arguments: Vec<&str> = ["check", "--json"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let report = place.praxis(&arguments).exits(2).json();
    for file in report["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let codes: Vec<&str> = file["diagnostics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["code"].as_str().unwrap())
            .collect();
        let expected = match path.strip_suffix("-wrong.praxis") {
            Some(code) => vec![code],
            None => vec![],
        };
        assert_eq!(codes, expected, "{path}");
    }
}
