use std::path::Path;

use praxis_exec::local::LocalEngine;
use praxis_exec::{
    Error, ErrorKind, ExecutionEngine, NativeEngine, Output, Parameter, Request, Secrets,
    ToolContract,
};
use serde_json::{Map, Value, json};

use crate::{folder, write};

const VALUE: &str = "s3cr\"t-value";

fn shell(script: &str, secrets: &[&str]) -> ToolContract {
    let mut contract = ToolContract::new("t").command(["sh", "-c", script]);
    contract.secrets = secrets.iter().map(|&name| name.to_owned()).collect();
    contract
}

async fn run(contract: &ToolContract, secrets: &Secrets) -> Result<Output, Error> {
    let (root, arguments) = (folder(), Map::new());
    let request = Request::new(contract, &arguments, root.path()).with_secrets(secrets);
    LocalEngine::default().execute(request).await
}

#[tokio::test]
async fn a_secret_reaches_its_tool_and_only_as_a_variable() {
    let secrets = Secrets::none()
        .with("API_KEY", VALUE)
        .with("OTHER", "not asked for");
    let script = "printf '%s' \"$API_KEY\" | wc -c; env | grep -c OTHER; env | grep -c '^API_KEY='";
    let output = run(&shell(script, &["API_KEY"]), &secrets).await.unwrap();
    assert_eq!(output.value, json!(format!("{}\n0\n1", VALUE.len())));
    // Without being named in the contract it does not.
    let output = run(&shell("env | grep -c API_KEY; true", &[]), &secrets)
        .await
        .unwrap();
    assert_eq!(output.value, json!("0"));
}

#[tokio::test]
async fn nothing_that_leaves_the_engine_shows_it() {
    let secrets = Secrets::none()
        .with("API_KEY", VALUE)
        .with("PIN", "12345678");
    let names = ["API_KEY", "PIN"];
    let output = run(
        &shell("echo \"<$API_KEY>\"; echo \"warn $API_KEY\" >&2", &names),
        &secrets,
    )
    .await
    .unwrap();
    assert_eq!(output.value, json!("<[secret]>"));
    assert_eq!(output.stderr, "warn [secret]\n");
    let encoded = serde_json::to_string(VALUE).unwrap();
    let script = format!("cat <<'E'\n{{\"a\": [{encoded}], {encoded}: 1, \"n\": 12345678}}\nE\n");
    let output = run(&shell(&script, &names), &secrets).await.unwrap();
    assert_eq!(
        output.value,
        json!({"a": ["[secret]"], "[secret]": 1, "n": "[secret]"})
    );
    let error = run(
        &shell("echo \"bad key $API_KEY\" >&2; exit 1", &names),
        &secrets,
    )
    .await
    .unwrap_err();
    assert_eq!(error.message(), "exited with code 1: bad key [secret]");
    let script = "printf '%0290d%s\\n' 0 \"$API_KEY\" >&2; exit 1";
    let cut = run(&shell(script, &names), &secrets).await.unwrap_err();
    assert!(cut.message().ends_with("0[secret]"), "{cut}");
    let script = "printf \"$API_KEY%065527d\" 0 >&2; exit 1";
    let tail = run(&shell(script, &names), &secrets).await.unwrap_err();
    assert!(
        tail.stderr().starts_with("…[secret]0"),
        "{}",
        &tail.stderr()[..20]
    );
    let mut contract = shell("echo \"$API_KEY\"", &names);
    contract.output = praxis_exec::OutputFormat::Json;
    let refused = run(&contract, &secrets).await.unwrap_err();
    for error in [error, cut, tail, refused] {
        let shown = format!(
            "{error} {error:?} {:?} {} {secrets:?}",
            error.help(),
            error.stderr()
        );
        assert!(!shown.contains("s3cr"), "{shown}");
    }
    let arguments = Map::new();
    let request = Request::new(&contract, &arguments, Path::new("/")).with_secrets(&secrets);
    let shown = format!("{request:?} {:?}", request.secret_variables().unwrap());
    assert!(
        shown.contains("API_KEY") && !shown.contains("s3cr"),
        "{shown}"
    );
    assert_eq!(
        contract.digest().unwrap(),
        contract.clone().digest().unwrap()
    );
    let said = serde_json::to_value(&contract).unwrap();
    assert_eq!(said["secrets"], json!(["API_KEY", "PIN"]));
}

#[tokio::test]
async fn secrets_come_from_where_the_operator_put_them() {
    let files = folder();
    write(files.path(), "FROM_FILE", "value of the file\n");
    write(files.path(), "SHORT", "abc");
    write(files.path(), "LONG", "x".repeat(100_000));
    write(files.path(), "BINARY", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9");
    write(files.path(), "FOLDER/inside", "");
    let secrets = Secrets::none().in_folder(files.path()).from_variables();
    let output = run(
        &shell("printf %s \"$FROM_FILE\" | wc -c", &["FROM_FILE"]),
        &secrets,
    )
    .await
    .unwrap();
    assert_eq!(output.value, json!("17"));
    let check = async |name: &str, kind: ErrorKind, words: &str| {
        let error = run(&shell("true", &[name]), &secrets).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.tool(), Some("t"));
        error
    };
    let missing = check(
        "NONE",
        ErrorKind::NotFound,
        "needs the secret `NONE`, which nobody has supplied",
    )
    .await;
    let help = missing.help().unwrap();
    assert!(
        help.contains("PRAXIS_SECRET_NONE") && help.contains("/NONE"),
        "{help}"
    );
    check("SHORT", ErrorKind::InvalidArguments, "fewer than 6 bytes").await;
    check("LONG", ErrorKind::InvalidArguments, "more than 65536 bytes").await;
    check("BINARY", ErrorKind::Io, "cannot read secret `BINARY`").await;
    check("FOLDER", ErrorKind::Io, "it is no file").await;
    // A variable of the host that the operator did not mean for tools is not one.
    assert!(std::env::var("CARGO_PKG_NAME").is_ok());
    check("CARGO_PKG_NAME", ErrorKind::NotFound, "nobody has supplied").await;
}

#[test]
fn contracts_name_secrets_and_nothing_else_gets_there() {
    let read = |text: &str| ToolContract::from_yaml(&format!("name: t\n{text}"), Path::new("/"));
    assert_eq!(read("secrets: [API_KEY]\n").unwrap().secrets, ["API_KEY"]);
    assert_eq!(
        read("engine_spec: {secrets: API_KEY}\n").unwrap().secrets,
        ["API_KEY"]
    );
    let check = |text: &str, expect: &str| {
        let error = read(text).unwrap_err();
        assert!(error.to_string().contains(expect), "{text}: {error}");
    };
    check(
        "secrets: [a-b]\n",
        "\"a-b\" is no name of an environment variable",
    );
    check("secrets: [A, A]\n", "secret `A` is named twice");
    check(
        "secrets: [PATH]\n",
        "secret `PATH` is a variable that decides how programs run",
    );
    check("secrets: [LD_PRELOAD]\n", "decides how programs run");
    check(
        "secrets: [KEY]\nenv: {KEY: x}\n",
        "secret `KEY` is a fixed variable",
    );
    check(
        "secrets: [KEY]\nenv_passthrough: [KEY]\n",
        "secret `KEY` is under `env_passthrough` too",
    );
    check(
        "secrets: [KEY]\nparams: [{name: key}]\n",
        "secret `KEY` is a parameter too, and a caller must not override it",
    );
    check(
        "env_passthrough: [PRAXIS_SECRET_KEY]\n",
        "PRAXIS_SECRET_KEY, which holds secrets",
    );
    check(
        "env_passthrough: [PRAXIS_SECRETS]\n",
        "PRAXIS_SECRETS, which holds secrets",
    );
    check(
        "secrets: [KEY]\ncommand: [echo, '{KEY}']\n",
        "placeholder {KEY}",
    );
    let mut contract = ToolContract::new("t");
    contract.secrets = vec!["KEY".to_owned()];
    let refused = NativeEngine::new()
        .register(contract, |_| async { Ok(Value::Null) })
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("a Rust function gets no variables"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_caller_never_sets_a_variable_of_the_host() {
    // CARGO_PKG_NAME is set for every test.
    let mut contract = ToolContract::new("t")
        .parameter(Parameter::text("x"))
        .command([
            "sh",
            "-c",
            "printf '%s|%s' \"$CARGO_PKG_NAME\" \"${CARGO_PKG_VERSION-unset}\"",
        ]);
    contract.env_passthrough = vec!["CARGO_PKG_NAME".to_owned()];
    let root = folder();
    let output = crate::call(
        &LocalEngine::default(),
        &contract,
        root.path(),
        json!({"x": "CARGO_PKG_NAME=evil"}),
    )
    .await;
    assert_eq!(output.unwrap().value, json!("praxis-exec|unset"));
    let refused = contract
        .bind(crate::object(json!({"x": "", "CARGO_PKG_NAME": "evil"})))
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArguments);
    // A parameter of that name is an argument, and the host's variable is not passed beside it.
    let contract = contract.parameter(Parameter::text("cargo_pkg_name"));
    assert_eq!(contract.host_variables().count(), 0);
}
