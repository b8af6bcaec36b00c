//! Programs that are wrong: a clear error with its place, and exit code 2.

use std::time::Instant;

use crate::shell::Place;

/// Checks a program that has exactly one error: its code, line and column, and what the help says.
#[track_caller]
fn refused(program: &str, code: &str, at: (u64, u64), help: &str) {
    let place = Place::new(&[]);
    let report = place
        .feed(program.as_bytes(), &["check", "-", "--json"])
        .exits(2)
        .json();
    let diagnostics = report["files"][0]["diagnostics"].as_array().unwrap();
    let errors: Vec<_> = diagnostics
        .iter()
        .filter(|row| row["severity"] == "error")
        .collect();
    assert_eq!(errors.len(), 1, "{report:#}");
    let row = errors[0];
    assert_eq!(row["code"], code, "{row:#}");
    assert_eq!(
        (
            row["line"].as_u64().unwrap(),
            row["column"].as_u64().unwrap()
        ),
        at,
        "{row:#}"
    );
    let said = format!(
        "{} {}",
        row["message"].as_str().unwrap(),
        row["help"].as_str().unwrap_or_default()
    );
    assert!(said.contains(help), "{help:?} is not in {said:?}");
    let ran = place.run(program, &[]).exits(2).says(&[code, "<stdin>"]);
    assert_eq!(ran.stdout, "");
}

#[test]
fn each_mistake_has_its_place_and_a_way_out() {
    refused("CALL raed_file a.txt\n", "P0201", (1, 6), "read_file");
    refused("CALL read_file\n", "P0204", (1, 6), "filename");
    refused("CALL read_file a b c\n", "P0205", (1, 20), "encoding");
    refused(
        "CALL keyword_extract --text x --limit many\n",
        "P0206",
        (1, 39),
        "integer",
    );
    refused(
        "CALL read_file a --encodnig utf-8\n",
        "P0202",
        (1, 18),
        "encoding",
    );
    refused(
        "LET text = CALL read_file a\nRETURN $txet\n",
        "P0401",
        (2, 8),
        "text",
    );
    refused("LET a = 1\nLET a = 2\n", "P0402", (2, 5), "a");
    refused(
        "PARALLEL\n  CALL read_file a\n",
        "P0102",
        (1, 1),
        "END_PARALLEL",
    );
    refused(
        "IF 1 == 1\n  CALL read_file a\nEND_FOR\n",
        "P0104",
        (3, 1),
        "END",
    );
    refused("END_IF\n", "P0103", (1, 1), "END_IF");
    refused("CALL read_file \"a\n", "P0004", (1, 16), "quote");
    refused(
        "IF size( > 0\n  CALL read_file a\nEND_IF\n",
        "P0008",
        (1, 10),
        "CEL",
    );
    refused(
        "CALL read_file a @after=b @id=a\nCALL read_file b @after=a @id=b\n",
        "P0306",
        (1, 1),
        "`a` (line 1)",
    );
    refused("CALL read_file a @after=s1\n", "P0306", (1, 1), "itself");
    let race = "PARALLEL\n  CALL write_file a x\n  CALL write_file ./a y\nEND_PARALLEL\n";
    refused(race, "P0307", (3, 3), "line 2");
}

#[test]
fn what_is_no_program_is_said() {
    let place = Place::new(&[]);
    place.write("binary.praxis", &[0x7f, b'E', b'L', b'F', 0, 0xff, 0xfe]);
    place
        .praxis(&["run", "binary.praxis"])
        .exits(2)
        .says(&["binary"]);
    let row = place
        .praxis(&["check", "--json", "binary.praxis"])
        .exits(2)
        .json();
    assert_eq!(row["files"][0]["diagnostics"][0]["code"], "P0002");
    place.write("latin.praxis", b"CALL read_file caf\xe9\n");
    place
        .praxis(&["check", "latin.praxis"])
        .exits(2)
        .says(&["line 1, column 19"]);
    place
        .praxis(&["run", "nowhere.praxis"])
        .exits(3)
        .says(&["nowhere.praxis"]);
    place.praxis(&["check", "nowhere.praxis"]).exits(3);
    place.praxis(&["run", "."]).exits(3);
    place
        .run("CALL read_file a\n", &["--root", "nowhere"])
        .exits(3)
        .says(&["nowhere"]);
    place
        .run("CALL read_file a\n", &["--tools", "nowhere"])
        .exits(3)
        .says(&["nowhere"]);
    place.praxis(&["run"]).exits(2);
    place.praxis(&["fly"]).exits(2);
    place
        .run("", &["--jobs", "0"])
        .exits(2)
        .says(&["at least 1"]);
    place.run("", &["--timeout", "soon"]).exits(2).says(&["5s"]);
    place
        .run("AGENT far\nCALL read_file a\n", &[])
        .exits(3)
        .says(&["far", ":2"]);
    place
        .run("CALL read_file a @engine=warp\n", &[])
        .exits(3)
        .says(&["warp", "native", ":1"]);
    place
        .run("CALL read_file a @engine=docker\n", &[])
        .exits(3)
        .says(&[
            "asks for engine `docker`, and `pool` in its place needs a command, and the contract has none",
            ":1",
        ]);
}

#[test]
fn large_programs_are_read_in_good_time() {
    let place = Place::new(&[]);
    let line = format!("CALL calculator {}\n", "1+".repeat(5_000_000));
    let begun = Instant::now();
    place.feed(line.as_bytes(), &["check", "-"]);
    let many: String = (0..100_000)
        .map(|n| format!("LET v{n} = CALL calculator {n}+1\n"))
        .collect();
    place.feed(many.as_bytes(), &["check", "-"]).exits(0);
    // Far above what it takes, far below what anything quadratic would.
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    let deep = "IF 1 == 1\n".repeat(10_000);
    place.feed(deep.as_bytes(), &["check", "-"]).exits(2);
}

#[test]
fn paths_stay_below_the_root() {
    let place = Place::new(&[("root/in.txt", "inside"), ("secret.txt", "outside")]);
    std::os::unix::fs::symlink("../secret.txt", place.path().join("root/link.txt")).unwrap();
    std::os::unix::fs::symlink("..", place.path().join("root/up")).unwrap();
    let absolute = place.path().join("secret.txt");
    for path in [
        "../secret.txt",
        absolute.to_str().unwrap(),
        "link.txt",
        "up/secret.txt",
        "/proc/self/root/etc/passwd",
    ] {
        for call in [
            format!("CALL read_file {path}"),
            format!("CALL write_file {path} x"),
            format!("CALL copy_file in.txt {path}"),
        ] {
            let report = place
                .run(&call, &["--root", "root", "--json"])
                .exits(1)
                .json();
            // A write through a link inside the root may replace the link itself, never what it leads to.
            assert_eq!(report["error"]["kind"], "denied", "{call}: {report:#}");
        }
    }
    assert_eq!(place.read("secret.txt"), "outside");
}
