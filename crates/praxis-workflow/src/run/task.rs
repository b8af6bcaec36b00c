//! The task of one step: its attempts, their time limit, and the waits between them.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::Instant;

use crate::executor::{StepCall, StepError, StepExecutor, StepOutput};
use crate::retry::Backoff;

/// How a step's task ended.
#[derive(Debug)]
pub(super) struct TaskEnd {
    pub(super) result: Result<StepOutput, StepError>,
    pub(super) attempts: u32,
    pub(super) duration: Duration,
}

impl TaskEnd {
    pub(super) fn panicked(error: JoinError) -> Self {
        let message = match error.try_into_panic() {
            Ok(payload) => payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "a panic without a message".to_owned()),
            Err(error) => error.to_string(),
        };
        let error = StepError::new("panic", format!("the step panicked: {message}"));
        Self {
            result: Err(error),
            attempts: 1,
            duration: Duration::ZERO,
        }
    }
}

pub(super) async fn run(
    executor: Arc<dyn StepExecutor>,
    mut call: StepCall,
    retries: u32,
    backoff: Backoff,
) -> TaskEnd {
    let started = Instant::now();
    let mut attempt = 1;
    loop {
        call.attempt = attempt;
        let timeout = call.timeout;
        let again = (attempt <= retries).then(|| call.clone());
        let work = executor.execute(call);
        let result = match timeout {
            None => work.await,
            Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
                let message = format!("no answer within {limit:?}; `@timeout` can allow more");
                Err(StepError::new("timeout", message).retryable(true))
            }),
        };
        match (result, again) {
            (Err(error), Some(next)) if error.is_retryable() => {
                tracing::debug!(step = %next.step, attempt, error = %error, "another attempt follows");
                tokio::time::sleep(backoff.wait(attempt)).await;
                call = next;
                attempt += 1;
            }
            (result, _) => {
                return TaskEnd {
                    result,
                    attempts: attempt,
                    duration: started.elapsed(),
                };
            }
        }
    }
}
