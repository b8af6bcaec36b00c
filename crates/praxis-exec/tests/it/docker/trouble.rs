//! What is wrong with a daemon, an image or a mount is said with the way out.

use std::time::Duration;

use praxis_exec::docker::{Client, DockerEngine};
use praxis_exec::{ErrorKind, ExecutionEngine, ToolContract};
use serde_json::json;
use tokio::net::UnixListener;

use super::proxy::Proxy;
use super::{config, engine, run};
use crate::containers::{lasting, no_program, script, workspace};

/// Checks the kind of an error, and that it and its way out hold all of `parts`.
fn check(error: &praxis_exec::Error, kind: ErrorKind, parts: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    let shown = format!("{error}\n{}", error.help().unwrap_or_default());
    for part in parts {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_is_named_with_the_daemon_that_lacks_it() {
    let mut contract = script("true");
    contract.image = Some("praxis/no-such-image:9".to_owned());
    let error = run(&contract).await.unwrap_err();
    let parts = [
        "tool `t`",
        "praxis/no-such-image:9",
        "unix://",
        "docker pull praxis/no-such-image:9",
    ];
    check(&error, ErrorKind::NotFound, &parts);
    assert!(!error.is_retryable());
    let none = DockerEngine::default();
    let root = workspace();
    let error = crate::call(&none, &script("true"), root.path(), json!({})).await;
    check(
        &error.unwrap_err(),
        ErrorKind::InvalidContract,
        &["no `image`", "image: NAME"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_daemon_gives_is_the_contracts_mistake() {
    // The last of these would be other calls to the daemon than they seem.
    let long = "a".repeat(300);
    let names = [
        "Bad Name",
        "Bad",
        &long,
        "a//b",
        "../info?x=1#",
        "a%2f..%2finfo",
        "\u{1b}[31m",
    ];
    for name in names {
        let mut contract = script("true");
        contract.image = Some(name.to_owned());
        let error = run(&contract).await.unwrap_err();
        check(&error, ErrorKind::InvalidContract, &["image", "lower case"]);
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
        let error = engine().prepare(&contract).await.unwrap_err();
        check(&error, ErrorKind::InvalidContract, &["image", "lower case"]);
    }
    let mut contract = script("true");
    contract.limits.memory_bytes = Some(1000);
    let error = run(&contract).await.unwrap_err();
    check(&error, ErrorKind::InvalidContract, &["inimum memory"]);
    let mut contract = script("true");
    contract.limits.cpu = Some(0.0001);
    let error = run(&contract).await.unwrap_err();
    check(&error, ErrorKind::InvalidContract, &["0.0001", "0.01"]);
    // More processors than there are is a limit that holds by itself.
    contract.limits.cpu = Some(10_000.0);
    run(&contract).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_is_named() {
    let contract = ToolContract::new("t").command(["no-such-program"]);
    let error = run(&contract).await.unwrap_err();
    check(&error, ErrorKind::NotFound, &["no-such-program", "image"]);
    let contract = ToolContract::new("t").command(["/etc/passwd"]);
    let error = run(&contract).await.unwrap_err();
    check(&error, ErrorKind::Denied, &["/etc/passwd", "executable"]);
    let tool = no_program();
    let mut contract = ToolContract::new("t").command(["./garbage"]);
    contract.dir = Some(tool.path().to_owned());
    let error = run(&contract).await.unwrap_err();
    check(
        &error,
        ErrorKind::NotFound,
        &["no program of this machine", "processor"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_mount_is_refused() {
    let cases = [
        ("none", "/data", ErrorKind::NotFound, "`none` is not there"),
        (
            "/etc",
            "/data",
            ErrorKind::Denied,
            "outside of the workspace root",
        ),
        (
            "../..",
            "/data",
            ErrorKind::Denied,
            "outside of the workspace root",
        ),
        (".", "/proc/x", ErrorKind::InvalidContract, "/proc"),
        (".", "relative", ErrorKind::InvalidContract, "not absolute"),
    ];
    for (source, target, kind, part) in cases {
        let error = run(&script("true").mount(source, target))
            .await
            .unwrap_err();
        check(&error, kind, &[part]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_daemon_is_told_by_what_is_wrong_with_its_address() {
    let folder = crate::folder();
    let dead = folder.path().join("dead.sock");
    drop(UnixListener::bind(&dead).unwrap());
    let silent = folder.path().join("silent.sock");
    let _silent = UnixListener::bind(&silent).unwrap();
    let missing = folder.path().join("missing.sock");
    let cases = [
        (
            format!("unix://{}", missing.display()),
            "no socket at",
            true,
        ),
        (format!("unix://{}", dead.display()), "nobody listens", true),
        (
            format!("unix://{}", silent.display()),
            "no answer within 200ms",
            true,
        ),
        ("tcp://127.0.0.1:1".to_owned(), "nobody listens", true),
        (
            "unix://".to_owned(),
            "unix:///path and tcp://host:port",
            false,
        ),
        (
            "ftp://host".to_owned(),
            "unix:///path and tcp://host:port",
            false,
        ),
    ];
    for (address, part, retryable) in cases {
        let mut config = config();
        if part.starts_with("no answer") {
            config.call_timeout = Duration::from_millis(200);
        }
        config.host = Some(address.clone());
        let error = Client::connect(&config).await.unwrap_err();
        let place = address.trim_start_matches("unix://");
        check(
            &error,
            ErrorKind::Unavailable,
            &["no container engine", part, place, "`host` of the engine"],
        );
        assert_eq!(error.is_retryable(), retryable, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_dies_in_the_middle_is_an_error_and_the_container_goes_when_it_is_back() {
    let mut proxy = Proxy::start().await;
    let mut config = config();
    config.host = Some(proxy.address());
    let engine = DockerEngine::new(config);
    let root = workspace();
    let mut contract = lasting("touch /w/running").mount(".", "/w");
    contract.name = "cut-off".to_owned();
    let running = crate::call(&engine, &contract, root.path(), json!({}));
    let cut = async {
        while !root.path().join("running").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        proxy.cut().await;
    };
    let (outcome, ()) = tokio::join!(running, cut);
    let error = outcome.unwrap_err();
    check(
        &error,
        ErrorKind::Unavailable,
        &["went away while the tool ran", &proxy.address()],
    );
    let error = crate::call(&engine, &contract, root.path(), json!({})).await;
    check(
        &error.unwrap_err(),
        ErrorKind::Unavailable,
        &["no socket", "docker info"],
    );

    proxy.mend();
    let output = crate::call(&engine, &script("echo back"), root.path(), json!({})).await;
    assert_eq!(output.unwrap().value, "back");
    super::cleanup::gone(engine.client().await.unwrap(), &contract.name).await;
}
