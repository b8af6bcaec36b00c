//! A cost model that learns from reports and can be kept between runs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cost::CostModel;
use crate::cost::sketch::Sketch;
use crate::report::{RunReport, StepStatus};

/// The form of the kept document.
const VERSION: u32 = 1;
/// How many tools are kept; the ones that were seen last stay.
const MOST_TOOLS: usize = 1_000;

/// Durations by tool, learned from what ran.
///
/// Each tool has a quantile sketch of bounded size that forgets: half of what counts are the last
/// 50 calls. What is expected is the median, which a few outliers do not move.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LearnedCosts {
    tools: BTreeMap<String, Tool>,
    /// Counts the observations, to tell which tools were seen last.
    clock: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Tool {
    sketch: Sketch,
    seen: u64,
}

impl LearnedCosts {
    /// A model that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns from one call.
    pub fn observe(&mut self, tool: &str, duration: Duration) {
        self.clock = self.clock.saturating_add(1);
        if let Some(known) = self.tools.get_mut(tool) {
            known.sketch.observe(duration);
            known.seen = self.clock;
            return;
        }
        if self.tools.len() >= MOST_TOOLS {
            let oldest = self.tools.iter().min_by_key(|(_, tool)| tool.seen);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.tools.remove(&oldest);
            }
        }
        let mut known = Tool {
            seen: self.clock,
            ..Tool::default()
        };
        known.sketch.observe(duration);
        self.tools.insert(tool.to_owned(), known);
    }

    /// Learns from the steps of a report that ran and succeeded; what the cache answered and what
    /// an optimisation made needless says nothing about the tool.
    pub fn learn(&mut self, report: &RunReport) {
        for step in &report.steps {
            let ran = step.status == StepStatus::Succeeded
                && !step.timing.cached
                && step.timing.elided.is_none()
                && step.attempts == 1;
            if ran {
                let duration = Duration::from_secs_f64(step.timing.duration_ms.max(0.0) / 1000.0);
                self.observe(&step.tool, duration);
            }
        }
    }

    /// The duration that this share of the calls does not pass, and how many calls were seen.
    pub fn quantile(&self, tool: &str, share: f64) -> Option<(Duration, u64)> {
        let known = self.tools.get(tool)?;
        Some((known.sketch.quantile(share)?, known.sketch.count))
    }

    /// The tools that were seen.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// The document to keep: JSON with a version, at most some megabytes.
    pub fn to_json(&self) -> String {
        let tools = self.tools.iter().map(|(name, tool)| {
            let kept = KeptTool {
                count: tool.sketch.count,
                seen: tool.seen,
                buckets: tool.sketch.parts(),
            };
            (name.clone(), kept)
        });
        let kept = Kept {
            version: VERSION,
            tools: tools.collect(),
        };
        serde_json::to_string(&kept).expect("numbers and texts have a JSON form")
    }

    /// The model of a kept document.
    ///
    /// # Errors
    ///
    /// A document that is none, is of another version, or says what no model can.
    pub fn from_json(text: &str) -> Result<Self, LoadError> {
        let kept: Kept =
            serde_json::from_str(text).map_err(|error| LoadError(error.to_string()))?;
        if kept.version != VERSION {
            return Err(LoadError(format!(
                "its version is {}, and this program reads version {VERSION}",
                kept.version
            )));
        }
        let mut model = Self::default();
        for (name, kept) in kept.tools.into_iter().take(MOST_TOOLS) {
            let sketch = Sketch::from_parts(kept.count, &kept.buckets)
                .ok_or_else(|| LoadError(format!("the buckets of `{name}` are no durations")))?;
            model.clock = model.clock.max(kept.seen);
            model.tools.insert(
                name,
                Tool {
                    sketch,
                    seen: kept.seen,
                },
            );
        }
        Ok(model)
    }
}

impl CostModel for LearnedCosts {
    fn expected(&self, tool: &str) -> Option<Duration> {
        self.tools.get(tool)?.sketch.quantile(0.5)
    }
}

/// Why a kept document is no model.
#[derive(Debug)]
pub struct LoadError(String);

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LoadError {}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    tools: BTreeMap<String, KeptTool>,
}

#[derive(Serialize, Deserialize)]
struct KeptTool {
    count: u64,
    seen: u64,
    buckets: Vec<(i16, f64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_survives_its_document_and_forgets_the_oldest_tool() {
        let mut model = LearnedCosts::new();
        for index in 0..=MOST_TOOLS {
            model.observe(&format!("t{index}"), Duration::from_millis(7));
        }
        assert_eq!(model.expected("t0"), None);
        let again = LearnedCosts::from_json(&model.to_json()).unwrap();
        assert_eq!(again.tools().count(), MOST_TOOLS);
        assert_eq!(again.expected("t5"), model.expected("t5"));
        assert!(model.to_json().len() < 1 << 20);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let check = |text: &str, expect: &str| {
            let error = LearnedCosts::from_json(text).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("", "EOF");
        check(r#"{"version": 2, "tools": {}}"#, "version is 2");
        check(
            r#"{"version": 1, "tools": {"x": {"count": 1, "seen": 1, "buckets": [[9000, 1.0]]}}}"#,
            "buckets of `x`",
        );
    }
}
