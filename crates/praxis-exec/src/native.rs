//! The engine of tools that are Rust functions.

mod invocation;

use std::any::Any;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use invocation::Invocation;

use crate::{
    BoxFuture, Capabilities, Error, ErrorKind, ExecutionEngine, Isolation, Limit, Output, Request,
    ToolContract,
};

const NAME: &str = "native";

/// The limits that a function in this process can be held to.
const ENFORCED: [Limit; 2] = [Limit::Timeout, Limit::OutputBytes];

/// Runs tools that are Rust functions of this process.
///
/// A panic of a function is the error [`ErrorKind::Panicked`] of that call and of no other.
/// Time limits are cooperative: at the limit the call returns [`ErrorKind::Timeout`] and
/// [`Invocation::is_cancelled`] turns true. An asynchronous function is dropped at its next `await`;
/// a blocking one goes on in its thread until it looks.
#[derive(Default)]
pub struct NativeEngine {
    tools: BTreeMap<String, Tool>,
}

struct Tool {
    contract: Arc<ToolContract>,
    function: Function,
}

type Answer = Result<Value, Error>;

enum Function {
    Async(Box<dyn Fn(Invocation) -> BoxFuture<'static, Answer> + Send + Sync>),
    Blocking(Arc<dyn Fn(Invocation) -> Answer + Send + Sync>),
}

impl NativeEngine {
    /// An engine without tools.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tool that is an asynchronous function. It must not block its thread;
    /// one that computes for longer than some 10 µs belongs to [`register_blocking`](Self::register_blocking).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidContract`] where the contract is wrong or its name is taken.
    pub fn register<F, R>(&mut self, contract: ToolContract, function: F) -> Result<(), Error>
    where
        F: Fn(Invocation) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, Error>> + Send + 'static,
    {
        let function = move |invocation| Box::pin(function(invocation)) as BoxFuture<'static, _>;
        self.add(contract, Function::Async(Box::new(function)))
    }

    /// Adds a tool that is a plain function, which runs in a thread where it may block.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidContract`] where the contract is wrong or its name is taken.
    pub fn register_blocking<F>(&mut self, contract: ToolContract, function: F) -> Result<(), Error>
    where
        F: Fn(Invocation) -> Result<Value, Error> + Send + Sync + 'static,
    {
        self.add(contract, Function::Blocking(Arc::new(function)))
    }

    /// The contracts of all tools, sorted by name.
    pub fn contracts(&self) -> impl Iterator<Item = &Arc<ToolContract>> {
        self.tools.values().map(|tool| &tool.contract)
    }

    fn add(&mut self, mut contract: ToolContract, function: Function) -> Result<(), Error> {
        contract.check()?;
        if self.tools.contains_key(&contract.name) {
            return Err(contract.invalid("a tool of that name is registered already"));
        }
        if let Some(secret) = contract.secrets.first() {
            return Err(contract.invalid(format!(
                "names the secret `{secret}`, but a Rust function gets no variables; let it take the value when it is made"
            )));
        }
        NAME.clone_into(&mut contract.engine);
        let name = contract.name.clone();
        let contract = Arc::new(contract);
        self.tools.insert(name, Tool { contract, function });
        Ok(())
    }

    async fn run(&self, request: Request<'_>) -> Result<Output, Error> {
        let started = Instant::now();
        self.capabilities().admit(&request)?;
        request.refuse_secrets()?;
        let name = &request.contract.name;
        let Some(tool) = self.tools.get(name) else {
            return Err(Error::new(
                ErrorKind::NotFound,
                "no Rust function is registered under this name",
            ));
        };
        let invocation = Invocation::new(&request);
        let _cancel_on_drop = invocation.cancel_on_drop();
        let answer = limited(request.limits.timeout, tool.function.call(invocation)).await?;
        let value = answer?;
        if let Some(limit) = request.limits.output_bytes
            && !fits(&value, limit)
        {
            return Err(Error::new(
                ErrorKind::OutputTooLarge,
                format!("its result takes more than {limit} bytes"),
            ));
        }
        Ok(Output::new(value, started))
    }
}

impl ExecutionEngine for NativeEngine {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(NAME, Isolation::None, &ENFORCED)
    }

    fn suits(&self, contract: &ToolContract) -> Result<(), String> {
        if self.tools.contains_key(&contract.name) {
            Ok(())
        } else {
            Err("has no Rust function of that name".to_owned())
        }
    }

    fn execute<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        Box::pin(async move {
            let name = &request.contract.name;
            let outcome = self.run(request).await;
            outcome.map_err(|error| error.with_tool(name).with_engine(NAME))
        })
    }
}

impl Function {
    async fn call(&self, invocation: Invocation) -> Answer {
        match self {
            Self::Async(function) => {
                let future = catch_unwind(AssertUnwindSafe(|| function(invocation)));
                let mut future = future.map_err(panicked)?;
                poll_fn(|context| {
                    let future: Pin<&mut _> = future.as_mut();
                    catch_unwind(AssertUnwindSafe(|| future.poll(context)))
                        .unwrap_or_else(|payload| Err(panicked(payload)).into())
                })
                .await
            }
            Self::Blocking(function) => {
                let function = Arc::clone(function);
                let joined = tokio::task::spawn_blocking(move || {
                    // A call that was given up while it waited for a thread need not begin.
                    if invocation.is_cancelled() {
                        return Err(Error::new(ErrorKind::Cancelled, "given up before it began"));
                    }
                    function(invocation)
                })
                .await;
                joined.unwrap_or_else(|error| {
                    Err(match error.try_into_panic() {
                        Ok(payload) => panicked(payload),
                        Err(_) => Error::new(ErrorKind::Cancelled, "the runtime is shutting down"),
                    })
                })
            }
        }
    }
}

async fn limited<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Result<T, Error> {
    let Some(limit) = limit else {
        return Ok(future.await);
    };
    tokio::time::timeout(limit, future).await.map_err(|_| {
        Error::new(
            ErrorKind::Timeout,
            format!("ran longer than its limit of {limit:?}"),
        )
        .with_help("raise `timeout` in the contract, or give the step an @timeout of its own")
    })
}

fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let message = match payload.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(_) => "no message".to_owned(),
        },
    };
    Error::new(ErrorKind::Panicked, format!("panicked: {message}"))
        .with_help("this is a fault of the tool's code, not of the call")
}

/// Whether a value takes at most `limit` bytes as JSON, leaving out escapes.
pub(crate) fn fits(value: &Value, limit: u64) -> bool {
    let mut bytes = 0_u64;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        bytes += match value {
            Value::String(text) => text.len() as u64 + 2,
            Value::Array(items) => {
                open.extend(items);
                items.len() as u64 + 2
            }
            Value::Object(entries) => {
                open.extend(entries.values());
                entries.keys().map(|key| key.len() as u64 + 4).sum::<u64>() + 2
            }
            Value::Null | Value::Bool(_) => 4,
            Value::Number(number) => number.to_string().len() as u64,
        };
        if bytes > limit {
            return false;
        }
    }
    true
}
