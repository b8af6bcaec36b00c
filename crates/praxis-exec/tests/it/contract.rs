use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use praxis_exec::{
    EffectClass, ErrorKind, Isolation, Mount, OutputFormat, ParameterKind, ToolContract,
};
use proptest::prelude::*;
use serde_json::json;

use crate::{folder, write};

fn read(text: &str) -> ToolContract {
    ToolContract::from_yaml(text, Path::new("/tools/x")).unwrap()
}

fn refused(text: &str) -> String {
    let error = ToolContract::from_yaml(text, Path::new("/tools/x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidContract);
    error.to_string()
}

const CAMEL: &str = r#"
name: "text_stats"
description: "Counts what a text is made of"
engine: "dagger"
params:
  - name: "input_file"
    type: "string"
    description: "Path of the text"
    required: "true"
  - name: "verbose"
    type: "bool"
    required: "false"
    default: "false"
engineSpec:
  image: "python:3.11-slim"
  command: ["python", "/shared/tools/text_stats/main.py"]
  mounts:
    ./shared: /shared
    ./tools: /shared/tools
  env_passthrough: ["INPUT_FILE", "input_file", "API_KEY"]
"#;

const SNAKE: &str = r#"
name: convert
description: Converts a table
engine: local
parameters:
  source: {type: str, required: true}
  rows: {type: int, default: 10, description: how many}
  mode: {type: string, enum: [fast, slow], default: fast}
  options: dict
engine_spec:
  command: 'python3 {contract_dir}/main.py "a b" {source}'
  timeout: 5s
  memory: 512m
  cpu: 500m
  network: none
  read_only: true
  mounts:
    - ./data:/data:ro
    - {source: ./out, target: /out}
  env: {MODE: plain, LEVEL: 3}
limits:
  pids: 16
  output_bytes: 1Mi
effects: read
reads: [source]
cache: {ttl: 300s}
output: text
version: 2
colour: red
"#;

#[test]
fn the_camel_case_dialect_loads() {
    let contract = read(CAMEL);
    assert_eq!(
        (contract.name.as_str(), contract.engine.as_str()),
        ("text_stats", "dagger")
    );
    assert_eq!(contract.parameters.len(), 2);
    assert!(contract.parameters[0].required && !contract.parameters[1].required);
    assert_eq!(contract.parameters[1].kind, ParameterKind::Boolean);
    assert_eq!(contract.parameters[1].default, Some(json!(false)));
    assert_eq!(contract.image.as_deref(), Some("python:3.11-slim"));
    assert_eq!(
        contract.command,
        ["python", "/shared/tools/text_stats/main.py"]
    );
    let mounts: Vec<(&str, &str)> = contract
        .mounts
        .iter()
        .map(|Mount { source, target, .. }| (source.as_str(), target.as_str()))
        .collect();
    assert_eq!(
        mounts,
        [("./shared", "/shared"), ("./tools", "/shared/tools")]
    );
    assert_eq!(contract.effects.class, EffectClass::External);
    assert_eq!(contract.host_variables().collect::<Vec<_>>(), ["API_KEY"]);
    assert!(contract.warnings.is_empty(), "{:?}", contract.warnings);
}

#[test]
fn the_snake_case_dialect_loads() {
    let contract = read(SNAKE);
    assert_eq!(
        contract.command,
        ["python3", "{contract_dir}/main.py", "a b", "{source}"]
    );
    assert_eq!(contract.parameters[1].kind, ParameterKind::Integer);
    assert_eq!(
        contract.parameters[2].choices,
        [json!("fast"), json!("slow")]
    );
    assert_eq!(contract.parameters[3].kind, ParameterKind::Object);
    let limits = &contract.limits;
    assert_eq!(limits.timeout, Some(Duration::from_secs(5)));
    assert_eq!(
        (limits.memory_bytes, limits.cpu),
        (Some(512 << 20), Some(0.5))
    );
    assert_eq!(
        (limits.pids, limits.output_bytes),
        (Some(16), Some(1 << 20))
    );
    assert_eq!(
        (limits.network, limits.read_only),
        (Some(false), Some(true))
    );
    assert!(contract.mounts[0].read_only && !contract.mounts[1].read_only);
    assert_eq!(
        contract.env,
        [
            ("MODE".to_owned(), "plain".to_owned()),
            ("LEVEL".to_owned(), "3".to_owned())
        ]
    );
    assert_eq!(contract.effects.class, EffectClass::Read);
    assert_eq!(contract.effects.reads, ["source"]);
    assert_eq!(contract.cache.ttl, Some(Duration::from_secs(300)));
    assert_eq!(contract.output, OutputFormat::Text);
    assert_eq!(
        contract.warnings,
        ["line 29: unknown key `colour` is ignored"]
    );
}

#[test]
fn parameters_may_be_a_json_schema() {
    let contract = read(
        "name: t\nparameters:\n  type: object\n  properties:\n    a: {type: integer}\n    b: {type: array}\n  required: [b]\n",
    );
    assert!(!contract.parameters[0].required && contract.parameters[1].required);
}

#[test]
fn the_least_isolation_is_read_wherever_it_stands() {
    let check = |lines: &str, expect: Isolation| {
        assert_eq!(read(&format!("name: t\n{lines}")).isolation, expect);
    };
    check("", Isolation::None);
    check("isolation: Sandbox", Isolation::Sandbox);
    check("engine_spec: {isolation: container}", Isolation::Container);
    assert_eq!(
        refused("name: t\nisolation: jail"),
        "2:12: no isolation is called `jail`; from the least on there are none, process, sandbox, container"
    );
}

#[test]
fn errors_name_the_place_and_what_would_be_accepted() {
    let check = |text: &str, expect: &str| assert_eq!(refused(text), expect, "{text}");
    check("name: [", "1:7: not valid YAML: unclosed bracket '['");
    check(
        "- a",
        "1:1: a contract is a map of keys such as `name`, `parameters` and `command`",
    );
    check("description: x", "the contract has no `name`");
    check(
        "name: 'a b'",
        "1:7: tool name \"a b\" is not a name; it starts with a letter or `_` and goes on with letters, digits, `_`, `-` or `.`, at most 128",
    );
    check(
        "name: t\nparams:\n  - name: a\n    type: colour\n",
        "4:11: `colour` is not a type; the types are text, integer, number, boolean, array, object, any",
    );
    check(
        "name: t\nparams: []\nparameters: []\n",
        "3:1: `parameters` and `params` mean the same; keep one",
    );
    check(
        "name: t\ntimeout: soon\n",
        "2:10: `timeout` is `soon`; it must be a duration such as 200ms, 5s or 2m",
    );
    check(
        "name: t\nlimits: {memory: lots}\n",
        "2:18: `memory` is `lots`; it must be a size such as 1024, 512m or 1Gi",
    );
    check(
        "name: t\neffects: harmless\n",
        "2:10: effects are `harmless`; they are pure, read, write or external",
    );
    check(
        "name: t\neffects: read\nreads: [file]\n",
        "tool `t`: effects name parameter `file`, which is not declared; the parameters are none",
    );
    check(
        "name: t\nparams: [{name: f}]\neffects: pure\nreads: [f]\n",
        "tool `t`: effects are `pure`, yet resource `f` is declared as touched",
    );
    check(
        "name: t\nparams: [{name: n, type: int, default: x}]\n",
        "2:40: the default of parameter `n` is \"x\", not an integer",
    );
    check(
        "name: t\ncommand: \"echo 'a\"\n",
        "2:10: `command` has an unclosed quote; close it or write the command as a list",
    );
    check(
        "name: t\ncommand: [echo, '{who}']\n",
        "tool `t`: `command` has the placeholder {who}, but no parameter is called so; there are {contract_dir}, {root} and the parameters (none)",
    );
    check(
        "name: t\nparams: [{name: who}]\nshell: true\ncommand: echo {who}\n",
        "tool `t`: `command` puts {who} into a shell script, where its text would be run as code",
    );
    check(
        "name: t\nparams: [{name: LD_PRELOAD}]\n",
        "tool `t`: parameter `LD_PRELOAD` would set the environment variable LD_PRELOAD, which decides how programs run",
    );
}

#[test]
fn aliases_cannot_explode() {
    let mut bomb = "name: t\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    let started = Instant::now();
    assert!(refused(&bomb).contains("budget"), "{}", refused(&bomb));
    assert!(started.elapsed() < Duration::from_secs(60));
    refused(&format!("name: {}", "[".repeat(100_000)));
    refused(&format!("name: t\nparams: {}", "- ".repeat(50_000)));
}

#[test]
fn files_are_bounded_and_named() {
    let dir = folder();
    write(dir.path(), "b/contract.yaml", "name: b\n");
    write(dir.path(), "a/contract.yml", "name: a\n");
    write(dir.path(), "c/contract.yaml", "name: c\ntimeout: x\n");
    write(dir.path(), "d/contract.yaml", vec![b'#'; 300 * 1024]);
    write(dir.path(), "e/contract.yaml", "name: a\n");
    write(dir.path(), "f/contract.yaml", b"name: \xff\n");
    write(dir.path(), "g/readme.md", "no tool\n");
    let loaded = ToolContract::load_folder(dir.path()).unwrap();
    let names: Vec<&str> = loaded
        .contracts
        .iter()
        .map(|contract| contract.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        loaded.contracts[0].dir.as_deref(),
        Some(dir.path().join("a").as_path())
    );
    let errors: Vec<String> = loaded
        .errors
        .iter()
        .map(|error| {
            error
                .to_string()
                .replace(&dir.path().display().to_string(), "DIR")
        })
        .collect();
    assert_eq!(
        errors,
        [
            "DIR/c/contract.yaml:2:10: `timeout` is `x`; it must be a duration such as 200ms, 5s or 2m",
            "DIR/d/contract.yaml: the contract is larger than 262144 bytes",
            "DIR/e/contract.yaml: tool `a`: another tool of that name is in DIR/a; rename one",
            "DIR/f/contract.yaml: not UTF-8 at byte 6",
        ]
    );
    let error = ToolContract::load_folder(&dir.path().join("none")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn the_digest_follows_the_program() {
    let dir = folder();
    write(dir.path(), "contract.yaml", "name: t\ncommand: [./run]\n");
    write(dir.path(), "run", "one");
    write(dir.path(), "lib/part", "part");
    let load = || ToolContract::load(&dir.path().join("contract.yaml")).unwrap();
    let contract = load();
    let (digest, version) = (
        contract.digest().unwrap(),
        contract.program_version().unwrap(),
    );
    assert_eq!(load().digest().unwrap(), digest);
    assert_eq!(contract.program_version().unwrap(), version);
    write(dir.path(), "__pycache__/run.pyc", "made by running");
    assert_eq!(contract.digest().unwrap(), digest);
    assert_eq!(contract.program_version().unwrap(), version);
    write(dir.path(), "lib/part", "trap");
    assert_ne!(contract.digest().unwrap(), digest);
    assert_ne!(contract.program_version().unwrap(), version);
    write(dir.path(), "lib/part", "part");
    assert_eq!(contract.digest().unwrap(), digest);
    fs::rename(dir.path().join("run"), dir.path().join("walk")).unwrap();
    assert_ne!(contract.digest().unwrap(), digest);
    let big = fs::File::create(dir.path().join("data")).unwrap();
    big.set_len(65 * 1024 * 1024).unwrap();
    assert!(
        contract
            .digest()
            .unwrap_err()
            .to_string()
            .contains("more than 64 MiB")
    );
}

#[test]
fn what_programs_print_is_read_as_declared() {
    let check = |format: OutputFormat, printed: &[u8], expect: Option<serde_json::Value>| {
        assert_eq!(format.read(printed).ok(), expect, "{printed:?}");
    };
    check(OutputFormat::Auto, b" {\"a\": 1}\n", Some(json!({"a": 1})));
    check(OutputFormat::Auto, b"[1]", Some(json!([1])));
    check(OutputFormat::Auto, b"5\n", Some(json!("5")));
    check(OutputFormat::Auto, b"{broken\n\n", Some(json!("{broken\n")));
    check(OutputFormat::Auto, b"\xff\r\n", Some(json!("\u{fffd}")));
    check(OutputFormat::Auto, b"", Some(json!("")));
    check(
        OutputFormat::Text,
        b"{\"a\": 1}\n",
        Some(json!("{\"a\": 1}")),
    );
    check(OutputFormat::Json, b"5\n", Some(json!(5)));
    check(OutputFormat::Json, b"nothing", None);
}

proptest! {
    #[test]
    fn no_text_panics(text in "(name: t\n)?[a-z:{}\\[\\]&*!|>'\" \n-]{0,80}") {
        let _ = ToolContract::from_yaml(&text, Path::new("/"));
    }

    #[test]
    fn any_value_under_any_key_is_an_answer(
        key in prop::sample::select(vec![
            "params", "parameters", "engineSpec", "limits", "effects", "output", "cache", "mounts", "env",
            "command", "timeout", "memory", "cpu", "reads", "args", "resources",
        ]),
        value in prop::sample::select(vec![
            "", "5", "text", "[1, {a: b}]", "{name: x}", "{type: object, properties: 5}", "[[]]", "-1", "1e400",
            "{ttl: }", "{class: [x]}", "'{'", "[{name: a, enum: 5}]", "{a: {type: int, default: {}}}", "99999999999d",
        ]),
    ) {
        let _ = ToolContract::from_yaml(&format!("name: t\n{key}: {value}\n"), Path::new("/"));
    }
}
