//! The examples, as the README runs them but in a folder of their own.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::shell::Place;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A folder with the repository's docs in it.
fn with_docs() -> Place {
    let place = Place::new(&[]);
    for entry in std::fs::read_dir(repository().join("docs"))
        .unwrap()
        .flatten()
    {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".md") {
            place.write(
                &format!("docs/{name}"),
                &std::fs::read(entry.path()).unwrap(),
            );
        }
    }
    // A file written just now is too young to be remembered.
    std::thread::sleep(std::time::Duration::from_millis(100));
    place
}

fn example(name: &str) -> String {
    repository()
        .join("examples")
        .join(name)
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_corpus_report_is_written() {
    let place = with_docs();
    let report = place
        .praxis(&["run", &example("corpus_report.praxis"), "--json"])
        .exits(0)
        .json();
    let steps = report["steps"].as_array().unwrap();
    let ran = steps
        .iter()
        .filter(|step| step["status"] == "succeeded")
        .count();
    assert!(ran >= 20, "{ran} steps ran");
    assert!(
        report["timing"]["cache"]["hits"].as_u64().unwrap() >= 1,
        "{}",
        report["timing"]["cache"]
    );
    let written: Value =
        serde_json::from_str(&place.read("out/corpus_report/report.json")).unwrap();
    let files = written["files"].as_array().unwrap().len();
    assert_eq!(written["stats"].as_array().unwrap().len(), files);
    assert!(
        place
            .read("out/corpus_report/report.md")
            .contains(&format!("{files} files"))
    );
    let empty = Place::new(&[("docs/none.txt", "")]);
    empty
        .praxis(&[
            "run",
            &example("corpus_report.praxis"),
            "--param",
            "dir=nothing",
        ])
        .exits(1);
}

#[test]
fn a_tool_of_ones_own_runs() {
    let place = with_docs();
    let tools = repository().join("examples/tools");
    let report = place
        .praxis(&[
            "run",
            &example("reading_ease.praxis"),
            "--tools",
            tools.to_str().unwrap(),
            "--json",
        ])
        .exits(0)
        .json();
    let rated = report["output"].as_array().unwrap();
    assert!(
        !rated.is_empty() && rated.iter().all(|row| row["words"].as_u64().unwrap() > 0),
        "{report:#}"
    );
    assert!(
        report["steps"]
            .as_array()
            .unwrap()
            .iter()
            .any(|step| step["timing"]["engine"] == "local")
    );
}

#[test]
fn the_examples_have_the_layout_that_fmt_gives() {
    let place = Place::new(&[]);
    let files: Vec<String> = std::fs::read_dir(repository().join("examples"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "praxis"))
        .map(|entry| entry.path().to_str().unwrap().to_owned())
        .collect();
    assert!(!files.is_empty());
    let mut arguments = vec!["fmt", "--check"];
    arguments.extend(files.iter().map(String::as_str));
    place.praxis(&arguments).exits(0);
}
