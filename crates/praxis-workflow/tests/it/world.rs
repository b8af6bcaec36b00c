//! A modelled world: files as a map, and tools of every effect class that touch it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use praxis_workflow::{
    Arguments, BoxFuture, CacheUse, StepCall, StepError, StepExecutor, StepOutput, ToolEffects,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// What the tools of [`World`] declare.
pub(crate) fn effects() -> HashMap<String, ToolEffects> {
    HashMap::from([
        ("compute".to_owned(), ToolEffects::pure()),
        ("count".to_owned(), ToolEffects::pure().total()),
        ("read".to_owned(), ToolEffects::reads(&["path"])),
        ("write".to_owned(), ToolEffects::writes(&["path"])),
        (
            "copy".to_owned(),
            ToolEffects {
                reads: ToolEffects::reads(&["from"]).reads,
                ..ToolEffects::writes(&["path"])
            },
        ),
        ("external".to_owned(), ToolEffects::external()),
    ])
}

/// Files, and how long each call takes.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) files: Mutex<BTreeMap<String, i64>>,
    /// Durations in milliseconds by a hash of step and attempt; seeded for each run.
    pub(crate) seed: u64,
    pub(crate) most_at_once: Mutex<(usize, usize)>,
    pub(crate) calls: Mutex<Vec<String>>,
    /// The steps that changed a file, each time that they did.
    pub(crate) acts: Mutex<Vec<String>>,
    /// What the files were after each change.
    pub(crate) history: Mutex<Vec<BTreeMap<String, i64>>>,
    /// Whether results are remembered.
    pub(crate) remembers: bool,
    /// By the path that is read, if one is, and the whole call.
    remembered: Mutex<HashMap<(String, String), Remembered>>,
}

/// A result that is there, or being computed.
type Remembered = Arc<OnceCell<Arc<Value>>>;

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            seed,
            ..Self::default()
        })
    }

    /// A world whose answers are remembered until what they depend on is written.
    pub(crate) fn remembering(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            seed,
            remembers: true,
            ..Self::default()
        })
    }

    /// The place of a call's answer in the memory, if it may be remembered.
    fn memory(&self, call: &StepCall) -> Option<Remembered> {
        let may = self.remembers
            && matches!(&*call.tool, "compute" | "count" | "read")
            && !call.arguments.contains_key("fail");
        let path = call.arguments.get("path").and_then(Value::as_str);
        let key = || {
            let path = path.unwrap_or_default().to_owned();
            (path, format!("{} {:?}", call.tool, call.arguments))
        };
        may.then(|| {
            let mut remembered = self.remembered.lock().unwrap();
            Arc::clone(remembered.entry(key()).or_default())
        })
    }

    fn pause(&self, call: &StepCall, half: u8) -> Duration {
        let mut hasher = DefaultHasher::new();
        if let Some(given) = call.arguments.get("ms").and_then(Value::as_u64) {
            return Duration::from_millis(if half == 0 { given } else { 0 });
        }
        (self.seed, &*call.step, call.attempt, half).hash(&mut hasher);
        Duration::from_millis(hasher.finish() % 20)
    }

    fn act(&self, call: &StepCall) -> Value {
        let path = call
            .arguments
            .get("path")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let mut hasher = DefaultHasher::new();
        let mut arguments: Vec<_> = call
            .arguments
            .iter()
            .filter(|(name, _)| name.starts_with("arg"))
            .collect();
        arguments.sort_by_key(|(name, _)| *name);
        (&*call.tool, format!("{arguments:?}")).hash(&mut hasher);
        let mixed = (hasher.finish() % 1000) as i64;
        let touched = path.clone();
        let mut files = self.files.lock().unwrap();
        if matches!(&*call.tool, "write" | "copy" | "external") {
            self.acts.lock().unwrap().push(call.step.to_string());
        }
        let changes = matches!(&*call.tool, "write" | "copy" | "external");
        let answer = match &*call.tool {
            "read" => json!(files.get(&path).copied().unwrap_or(-1)),
            "write" => {
                files.insert(path, mixed);
                json!(mixed)
            }
            "copy" => {
                let from = call
                    .arguments
                    .get("from")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let value = files.get(from).copied().unwrap_or(-2);
                files.insert(path, value);
                json!(value)
            }
            "external" => {
                let sum: i64 = files.values().sum();
                for value in files.values_mut() {
                    *value = value.wrapping_mul(3).wrapping_add(mixed) % 1009;
                }
                files.insert("outside".to_owned(), sum % 1009);
                json!(sum % 1009)
            }
            _ => json!(mixed),
        };
        if changes {
            self.history.lock().unwrap().push(files.clone());
            let mut remembered = self.remembered.lock().unwrap();
            let all = &*call.tool == "external";
            remembered.retain(|(read, _), _| read.is_empty() || !(all || *read == touched));
        }
        answer
    }
}

impl StepExecutor for World {
    /// Half of the calls, to see both ways of running a step.
    fn is_prompt(&self, call: &StepCall) -> bool {
        (self.seed + call.step.len() as u64 + u64::from(call.attempt)).is_multiple_of(2)
    }

    fn execute(&self, call: StepCall) -> BoxFuture<'_, Result<StepOutput, StepError>> {
        Box::pin(async move {
            {
                let mut busy = self.most_at_once.lock().unwrap();
                busy.0 += 1;
                busy.1 = busy.1.max(busy.0);
            }
            let _guard = Busy(self);
            self.calls.lock().unwrap().push(call.step.to_string());
            if let Some(memory) = self.memory(&call) {
                let mut cache = CacheUse::Hit;
                let value = memory
                    .get_or_init(|| async {
                        cache = CacheUse::Miss;
                        tokio::time::sleep(self.pause(&call, 0)).await;
                        Arc::new(self.act(&call))
                    })
                    .await;
                return Ok(StepOutput {
                    value: Arc::clone(value),
                    cache,
                    engine: None,
                });
            }
            tokio::time::sleep(self.pause(&call, 0)).await;
            match call.arguments.get("fail").and_then(Value::as_str) {
                Some("before") => {
                    return Err(StepError::new(
                        "failed",
                        format!("{} fails before", call.step),
                    ));
                }
                Some("after") => {
                    self.act(&call);
                    return Err(StepError::new(
                        "failed",
                        format!("{} fails after", call.step),
                    ));
                }
                Some("hang") => std::future::pending().await,
                Some("once") if call.attempt == 1 => {
                    return Err(
                        StepError::new("failed", format!("{} fails once", call.step))
                            .retryable(true),
                    );
                }
                _ => {}
            }
            let value = self.act(&call);
            tokio::time::sleep(self.pause(&call, 1)).await;
            Ok(StepOutput::from(value))
        })
    }

    fn cannot_fail(&self, _tool: &str, arguments: &Arguments) -> bool {
        !arguments.contains_key("fail")
    }
}

struct Busy<'a>(&'a World);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.most_at_once.lock().unwrap().0 -= 1;
    }
}
