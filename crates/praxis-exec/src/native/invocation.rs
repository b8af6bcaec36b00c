use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};

use crate::{CallId, Error, ErrorKind, Request};

/// What a Rust function is called with.
#[derive(Clone, Debug)]
pub struct Invocation {
    arguments: Map<String, Value>,
    root: PathBuf,
    call_id: CallId,
    cancelled: Arc<AtomicBool>,
}

impl Invocation {
    pub(super) fn new(request: &Request<'_>) -> Self {
        Self {
            arguments: request.arguments.clone(),
            root: request.root.to_owned(),
            call_id: request.call_id.clone(),
            cancelled: Arc::default(),
        }
    }

    pub(super) fn cancel_on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(Arc::clone(&self.cancelled))
    }

    /// The arguments.
    pub fn arguments(&self) -> &Map<String, Value> {
        &self.arguments
    }

    /// The workspace root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The name of the call.
    pub fn call_id(&self) -> &CallId {
        &self.call_id
    }

    /// Whether nobody waits for the result any more; a function that takes long looks here now and then.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// An argument, if the call has it.
    pub fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments.get(name)
    }

    /// Takes an argument out, so that a large one need not be copied.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.arguments.remove(name)
    }

    /// A text argument.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArguments`] where the call has none; a required parameter always has one.
    pub fn text(&self, name: &str) -> Result<&str, Error> {
        self.find(name, Value::as_str)
    }

    /// An integer argument.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArguments`] where the call has none.
    pub fn integer(&self, name: &str) -> Result<i64, Error> {
        self.find(name, Value::as_i64)
    }

    /// A boolean argument.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArguments`] where the call has none.
    pub fn boolean(&self, name: &str) -> Result<bool, Error> {
        self.find(name, Value::as_bool)
    }

    fn find<'a, T>(
        &'a self,
        name: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<T, Error> {
        self.arguments.get(name).and_then(read).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArguments,
                format!("argument `{name}` is missing or not of its declared type"),
            )
        })
    }
}

/// Tells the function that its caller has gone.
pub(super) struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
