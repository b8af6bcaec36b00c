//! The test suite that every [`ExecutionEngine`] runs, so that one can stand for another.
//!
//! An engine's tests implement [`Subject`], which says how to get tools of known behaviour for it,
//! and await [`check`]. A breach panics with what was expected.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::{
    Error, ErrorKind, ExecutionEngine, Limit, Limits, Mount, Output, Request, Secrets, ToolContract,
};

/// How long anything that should happen soon may take on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// How a tool of the suite behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behaviour {
    /// Takes one parameter `value` of type `any` and answers with the object of its arguments.
    Echo,
    /// Answers with the text `[not json`, whatever its arguments.
    Text,
    /// Fails with the words `told to fail`; a program does so on standard error, with exit code 3.
    Fail,
    /// Takes one text parameter `beacon`, a file's absolute path, and never ends:
    /// at least every 50 ms it adds a byte to that file.
    Beacon,
    /// Answers with several megabytes of text, or with text without end.
    Flood,
    /// Is not there: the contract names a program, image or function that does not exist.
    Missing,
}

/// An engine under test.
pub trait Subject: Sync {
    /// The engine.
    fn engine(&self) -> &dyn ExecutionEngine;

    /// The contract of a tool that behaves so on this engine, under any name.
    fn contract(&self, behaviour: Behaviour) -> ToolContract;

    /// A folder that tests may write to; it is the workspace root of every call.
    fn root(&self) -> &Path;

    /// How long a tool may take to start where that counts towards its time limit, at most some seconds.
    fn startup(&self) -> Duration {
        Duration::ZERO
    }
}

/// Runs the whole suite. Needs a multi-threaded tokio runtime with time.
///
/// # Panics
/// Where the engine breaks its trait's contract.
pub async fn check(subject: &dyn Subject) {
    arguments_arrive_unchanged(subject).await;
    text_stays_text(subject).await;
    failures_say_what_and_where(subject).await;
    what_is_not_there_is_not_found(subject).await;
    limits_hold_or_are_refused(subject).await;
    output_is_bounded(subject).await;
    time_is_bounded(subject).await;
    dropping_ends_the_run(subject).await;
    calls_are_independent(subject).await;
    secrets_are_kept(subject).await;
    pointers_forward(subject).await;
}

async fn arguments_arrive_unchanged(subject: &dyn Subject) {
    let values = [
        json!("plain"),
        json!("; rm -rf / $(id) `id` ${HOME} {root} {value} \\ ' \" \n\t é 漢"),
        json!("-rf"),
        json!(""),
        json!(42),
        json!(1.5),
        json!(true),
        json!([1, "two", null]),
        json!({"a": {"b": []}}),
    ];
    for value in values {
        let output = call(subject, Behaviour::Echo, json!({"value": value})).await;
        let output = output.expect("echo succeeds");
        assert_eq!(
            output.value,
            json!({"value": value}),
            "an argument arrives as it was given"
        );
    }
}

async fn text_stays_text(subject: &dyn Subject) {
    let output = call(subject, Behaviour::Text, json!({})).await;
    let output = output.expect("the text tool succeeds");
    assert_eq!(output.value, json!("[not json"), "what is no JSON is text");
}

async fn failures_say_what_and_where(subject: &dyn Subject) {
    let contract = subject.contract(Behaviour::Fail);
    let error = run(subject, &contract, json!({}), |request| request).await;
    let error = error.expect_err("a tool that fails is an error");
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(
        error.to_string().contains("told to fail"),
        "the tool's words are in {error}"
    );
    assert_eq!(error.tool(), Some(contract.name.as_str()));
    assert_eq!(error.engine(), Some(subject.engine().name()));
    assert!(!error.is_timeout());
    assert!(matches!(error.exit_code(), None | Some(3)), "{error:?}");
}

async fn what_is_not_there_is_not_found(subject: &dyn Subject) {
    let error = call(subject, Behaviour::Missing, json!({})).await;
    let error = error.expect_err("a tool that is not there is an error");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(!error.is_retryable(), "another try does not bring it there");
}

async fn limits_hold_or_are_refused(subject: &dyn Subject) {
    let capabilities = subject.engine().capabilities();
    const ALL: &[Limit] = &Limit::ALL;
    for accepted in ALL.chunks(1) {
        let limit = accepted[0];
        let mut contract = subject.contract(Behaviour::Echo);
        demand(limit, &mut contract);
        if !capabilities.enforces(limit) {
            let error = run(subject, &contract, json!({"value": 1}), |request| request).await;
            let error = error.expect_err("a limit that cannot be enforced is refused");
            assert_eq!(error.kind(), ErrorKind::UnsupportedLimit, "{error}");
            assert!(
                error.to_string().contains(limit.as_str()),
                "the limit is named in {error}"
            );
            assert!(
                error.to_string().contains(subject.engine().name()),
                "the engine is named in {error}"
            );
            assert!(error.help().is_some(), "there is a way out");
        }
        let output = run(subject, &contract, json!({"value": 1}), |request| {
            request.accepting(accepted)
        });
        output
            .await
            .expect("with the limit enforced or waived, the call succeeds");
    }
}

fn demand(limit: Limit, contract: &mut ToolContract) {
    let limits = &mut contract.limits;
    match limit {
        Limit::Cpu => limits.cpu = Some(1.0),
        Limit::Memory => limits.memory_bytes = Some(512 * 1024 * 1024),
        Limit::Pids => limits.pids = Some(64),
        Limit::Timeout => limits.timeout = Some(SOON),
        Limit::OutputBytes => limits.output_bytes = Some(64 * 1024),
        Limit::Network => limits.network = Some(false),
        Limit::ReadOnly => limits.read_only = Some(true),
        Limit::Mounts => contract.mounts.push(Mount {
            source: ".".to_owned(),
            target: "/praxis-conformance".to_owned(),
            read_only: true,
        }),
    }
}

async fn output_is_bounded(subject: &dyn Subject) {
    let contract = subject.contract(Behaviour::Flood);
    let limits = Limits {
        output_bytes: Some(64 * 1024),
        ..Limits::default()
    };
    let error = run(subject, &contract, json!({}), |request| {
        request.with_limits(limits)
    })
    .await;
    let error = error.expect_err("more output than is allowed is an error");
    assert_eq!(error.kind(), ErrorKind::OutputTooLarge, "{error}");
    assert!(
        error.to_string().contains("65536"),
        "the limit is named in {error}"
    );
}

async fn time_is_bounded(subject: &dyn Subject) {
    let beacon = subject.root().join("beacon-timeout");
    let contract = subject.contract(Behaviour::Beacon);
    // On a busy machine the tool may have done nothing yet when its time is up; then it gets more.
    for seconds in [1, 2, 4, 8, 16] {
        let limit = Duration::from_secs(seconds) + subject.startup();
        let running = run(subject, &contract, json!({"beacon": beacon}), |request| {
            request.with_timeout(limit)
        });
        let ended = tokio::time::timeout(limit + SOON, running).await;
        let error = ended
            .expect("the call ends soon after its limit")
            .expect_err("a tool that never ends runs out of time");
        assert!(error.is_timeout(), "{error}");
        assert_silent(&beacon).await;
        if size(&beacon) > 0 {
            return;
        }
    }
    panic!("the tool never ran");
}

async fn dropping_ends_the_run(subject: &dyn Subject) {
    let beacon = subject.root().join("beacon-drop");
    let contract = subject.contract(Behaviour::Beacon);
    let running = run(subject, &contract, json!({"beacon": beacon}), |request| {
        request
    });
    let alight = async {
        while size(&beacon) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        outcome = running => panic!("the beacon ended by itself: {outcome:?}"),
        () = alight => {}
        () = tokio::time::sleep(SOON) => panic!("the beacon never ran"),
    }
    assert_silent(&beacon).await;
}

async fn calls_are_independent(subject: &dyn Subject) {
    let contract = &subject.contract(Behaviour::Echo);
    let failing = &subject.contract(Behaviour::Fail);
    let one = |number: usize| async move {
        if number % 4 == 3 {
            let error = run(subject, failing, json!({}), |request| request).await;
            assert_eq!(error.expect_err("it fails").kind(), ErrorKind::Failed);
        } else {
            let arguments = json!({"value": number});
            let output = run(subject, contract, arguments.clone(), |request| request).await;
            assert_eq!(output.expect("echo succeeds").value, arguments);
        }
    };
    tokio::join!(
        one(0),
        one(1),
        one(2),
        one(3),
        one(4),
        one(5),
        one(6),
        one(7)
    );
}

async fn secrets_are_kept(subject: &dyn Subject) {
    const VALUE: &str = "conformance-value";
    let mut contract = subject.contract(Behaviour::Echo);
    contract.secrets = vec!["CONFORMANCE_SECRET".to_owned()];
    let arguments = json!({"value": VALUE});
    let error = run(subject, &contract, arguments.clone(), |mut request| {
        request.secrets = Cow::Owned(Secrets::none());
        request
    })
    .await
    .expect_err("a tool whose secrets nobody supplied does not start");
    assert!(
        matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::InvalidContract
        ),
        "{error}"
    );
    let secrets = Secrets::none().with("CONFORMANCE_SECRET", VALUE);
    let outcome = run(subject, &contract, arguments, |mut request| {
        request.secrets = Cow::Owned(secrets);
        request
    });
    match outcome.await {
        Ok(output) => assert_eq!(
            output.value,
            json!({"value": "[secret]"}),
            "a secret's value is concealed wherever it appears"
        ),
        Err(error) => {
            assert_eq!(
                error.kind(),
                ErrorKind::InvalidContract,
                "an engine that gives no secrets says so: {error}"
            );
            assert!(!error.to_string().contains(VALUE), "{error}");
        }
    }
}

async fn pointers_forward(subject: &dyn Subject) {
    let boxed: Box<dyn ExecutionEngine + '_> = Box::new(subject.engine());
    assert_eq!(boxed.name(), subject.engine().name());
    assert_eq!(boxed.capabilities(), subject.engine().capabilities());
    let contract = subject.contract(Behaviour::Text);
    let arguments = Map::new();
    let output = boxed.execute(Request::new(&contract, &arguments, subject.root()));
    assert_eq!(
        output.await.expect("the text tool succeeds").value,
        json!("[not json")
    );
}

/// A dead tool writes no more; one that is dying may finish.
async fn assert_silent(beacon: &Path) {
    let started = Instant::now();
    loop {
        let before = size(beacon);
        tokio::time::sleep(Duration::from_millis(800)).await;
        if size(beacon) == before {
            return;
        }
        assert!(
            started.elapsed() < SOON,
            "the tool goes on although its call has ended"
        );
    }
}

fn size(beacon: &Path) -> u64 {
    fs::metadata(beacon).map_or(0, |metadata| metadata.len())
}

async fn call(
    subject: &dyn Subject,
    behaviour: Behaviour,
    arguments: Value,
) -> Result<Output, Error> {
    run(
        subject,
        &subject.contract(behaviour),
        arguments,
        |request| request,
    )
    .await
}

async fn run(
    subject: &dyn Subject,
    contract: &ToolContract,
    arguments: Value,
    adjust: impl FnOnce(Request<'_>) -> Request<'_>,
) -> Result<Output, Error> {
    let Value::Object(arguments) = arguments else {
        panic!("the suite gives its arguments as an object");
    };
    let arguments = contract.bind(arguments)?;
    let request = adjust(Request::new(contract, &arguments, subject.root()));
    subject.engine().execute(request).await
}
