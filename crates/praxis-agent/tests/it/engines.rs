//! Which engine runs a tool, what engines cost, and what the operator has to say.

use serde_json::Value;

use crate::shell::Place;

const TOOL: &str = "name: hello\neffects: pure\ncommand: [echo, hello]\n";

fn place(contract: &str) -> Place {
    let place = Place::new(&[]);
    place.write("tools/hello/contract.yaml", contract.as_bytes());
    place.write("p.praxis", b"LET a = CALL hello\nRETURN $a\n");
    place
}

fn explained(place: &Place, more: &[&str]) -> Value {
    let arguments: Vec<&str> = ["explain", "p.praxis", "--tools", "tools", "--json"]
        .iter()
        .chain(more)
        .copied()
        .collect();
    place.praxis(&arguments).exits(0).json()["steps"][0].clone()
}

#[test]
fn engines_are_measured_and_what_they_cost_is_kept() {
    let place = place(TOOL);
    let document = place
        .praxis(&["engines", "--calls", "3", "--json"])
        .exits(0)
        .json();
    let rows = document["engines"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["engine"] == name).unwrap();
    for name in ["native", "local", "docker"] {
        let measured = &row(name)["measured"];
        assert!(
            measured["call_ms"].as_f64().unwrap() > 0.0,
            "{name}: {measured}"
        );
        assert_eq!(measured["calls"], 3);
    }
    assert_eq!(row("local")["capabilities"]["isolation"], "process");
    let text = place.praxis(&["engines", "--calls", "1"]).exits(0).stdout;
    assert!(text.starts_with("engine"), "{text}");
    let step = explained(&place, &[]);
    assert_eq!(step["engine"], "local");
    place.praxis(&["engines", "--calls", "0"]).exits(2);
}

#[test]
fn the_doctor_says_what_was_tried() {
    let place = Place::new(&[]);
    let report = place.praxis(&["doctor", "--json"]).exits(0).json();
    let levels = report["levels"].as_array().unwrap();
    let names: Vec<&str> = levels
        .iter()
        .map(|level| level["level"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["none", "process", "sandbox"]);
    assert_eq!(levels[0]["available"], true);
    let findings = report["findings"].as_array().unwrap();
    let finding = |name: &str| {
        findings
            .iter()
            .find(|finding| finding["name"] == name)
            .unwrap()
    };
    assert_eq!(finding("worker")["works"], true);
    assert_eq!(finding("container engine")["works"], true);
    let mut nowhere = place.command(&["doctor"]);
    let output = nowhere
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains(
            "container engine: no (there is no container engine: no socket at /nowhere/docker.sock"
        ),
        "{text}"
    );
}

#[test]
fn what_the_operator_says_comes_first() {
    let place = place(TOOL);
    let step = explained(&place, &["--isolation", "container"]);
    assert_eq!(step["engine"], "pool");
    assert_eq!(
        step["engine_reason"],
        "the least isolated of 2 that are safe enough"
    );
    let passed_over = &step["engines_passed_over"][0];
    assert_eq!(passed_over["engine"], "local");
    assert_eq!(
        passed_over["reason"],
        "isolates by sandbox, and container is asked for"
    );
    let isolated = [
        "run",
        "p.praxis",
        "--tools",
        "tools",
        "--isolation",
        "container",
        "--json",
    ];
    let done = place.praxis(&isolated).exits(0).json();
    assert_eq!(done["output"], "hello");
    assert_eq!(done["steps"][0]["timing"]["engine"], "pool");

    let named = self::place(&format!("{TOOL}engine: dagger\n"));
    let run = |more: &[&str]| {
        let arguments: Vec<&str> = ["run", "p.praxis", "--tools", "tools"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        named.praxis(&arguments)
    };
    let done = run(&["--instead", "dagger=local", "--json"])
        .exits(0)
        .json();
    assert_eq!(done["output"], "hello");
    assert_eq!(done["steps"][0]["timing"]["engine"], "local");
    let step = explained(&named, &["--instead", "dagger=local"]);
    assert_eq!(
        step["engine_reason"],
        "in place of `dagger`, named by the contract"
    );
    for asked in ["dagger", "docker"] {
        run(&["--instead", &format!("{asked}=nowhere")])
            .exits(3)
            .says(&["has no engine `nowhere`; it has ", "pool"]);
    }
    run(&["--instead", "dagger=local", "--isolation", "container"])
        .exits(3)
        .says(&["asks for engine `dagger`, and `local` in its place isolates by"]);
    run(&["--isolation", "jail"])
        .exits(2)
        .says(&["none, process, sandbox, container"]);
    // A built-in function is this program itself.
    named
        .praxis(&[
            "tools",
            "call",
            "calculator",
            "expression=6*7",
            "--isolation",
            "container",
        ])
        .exits(0);
}
