use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use praxis_exec::{
    ErrorKind, ExecutionEngine, NativeEngine, NoopEngine, Parameter, Request, ToolContract,
};
use serde_json::{Map, Value, json};

use crate::{call, folder};

#[tokio::test]
async fn panics_are_errors_of_their_call() {
    let mut engine = NativeEngine::new();
    engine
        .register(ToolContract::new("a"), |_| async {
            panic!("in the future")
        })
        .unwrap();
    engine
        .register(ToolContract::new("b"), |call| {
            assert!(call.arguments().len() > 3, "before the future");
            async { Ok(Value::Null) }
        })
        .unwrap();
    engine
        .register_blocking(ToolContract::new("c"), |_| panic!("in a {}", "thread"))
        .unwrap();
    engine
        .register(ToolContract::new("d"), |_| async { Ok(json!(1)) })
        .unwrap();
    let root = folder();
    for (name, words) in [
        ("a", "in the future"),
        ("b", "before the future"),
        ("c", "in a thread"),
    ] {
        let error = call(&engine, &ToolContract::new(name), root.path(), json!({}))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.is_retryable());
    }
    let output = call(&engine, &ToolContract::new("d"), root.path(), json!({})).await;
    assert_eq!(output.unwrap().value, json!(1));
}

#[tokio::test]
async fn a_blocking_function_is_told_that_its_time_is_up() {
    let mut engine = NativeEngine::new();
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    engine
        .register_blocking(ToolContract::new("spin"), move |call| {
            while !call.is_cancelled() {
                std::thread::yield_now();
            }
            tell.store(true, Ordering::Relaxed);
            Ok(Value::Null)
        })
        .unwrap();
    let (contract, arguments, root) = (ToolContract::new("spin"), Map::new(), folder());
    let request = Request::new(&contract, &arguments, root.path());
    let error = engine
        .execute(request.with_timeout(Duration::from_millis(20)))
        .await
        .unwrap_err();
    assert!(error.is_timeout() && error.is_retryable());
    while !told.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
}

#[test]
fn contracts_are_checked_when_registered() {
    let mut engine = NativeEngine::new();
    engine
        .register(ToolContract::new("a"), |_| async { Ok(Value::Null) })
        .unwrap();
    let error = engine
        .register(ToolContract::new("a"), |_| async { Ok(Value::Null) })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "tool `a`: a tool of that name is registered already"
    );
    let twice = ToolContract::new("b")
        .parameter(Parameter::text("x"))
        .parameter(Parameter::text("x"));
    let error = engine
        .register_blocking(twice, |_| Ok(Value::Null))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "tool `b`: parameter `x` is declared twice"
    );
}

#[tokio::test]
async fn the_noop_engine_answers_null() {
    let output = call(
        &NoopEngine,
        &ToolContract::new("x"),
        "/".as_ref(),
        json!({}),
    )
    .await;
    assert_eq!(output.unwrap().value, Value::Null);
}
