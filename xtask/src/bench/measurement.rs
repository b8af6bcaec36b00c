//! What Criterion leaves on disk after a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace::text;

/// The median of one bench, in nanoseconds unless it counts [something else](COUNTED).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measurement {
    /// Criterion's full id, such as `parse/large`.
    pub(crate) id: String,
    pub(crate) median_ns: f64,
    /// Criterion's confidence interval of the median.
    pub(crate) interval_ns: (f64, f64),
    /// What one iteration gets through, where the bench says.
    pub(crate) work: Option<Work>,
}

/// The work of one iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Bytes(u64),
    Elements(u64),
}

impl Measurement {
    /// How much work a second gets through.
    pub(crate) fn rate(&self) -> Option<String> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "no bench works on 2^53 bytes at a time"
        )]
        let per_second = |amount: u64| amount as f64 / self.median_ns * 1e9;
        Some(match self.work? {
            Work::Bytes(bytes) => format!("{:.1} MB/s", per_second(bytes) / 1e6),
            Work::Elements(elements) => format!("{:.3} M elements/s", per_second(elements) / 1e6),
        })
    }
}

/// When each measurement below a folder of Criterion's was written.
///
/// Measurements of an earlier run stay on disk, and are not comparable with a later run's.
#[derive(Debug, Default)]
pub(crate) struct Written {
    by_folder: BTreeMap<PathBuf, SystemTime>,
}

impl Written {
    /// Looks at what is there; nothing, if the folder is not there either.
    pub(crate) fn below(criterion: &Path) -> Self {
        let mut written = Self::default();
        let mut folders = vec![criterion.to_path_buf()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            folders.extend(
                entries
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .filter(|path| path.is_dir()),
            );
            let estimates = folder.join("estimates.json");
            if folder.ends_with("new")
                && let Ok(modified) = estimates.metadata().and_then(|file| file.modified())
            {
                written.by_folder.insert(folder, modified);
            }
        }
        written
    }

    /// The measurements that are not as they were `before`, by id.
    ///
    /// # Errors
    /// A file of Criterion's cannot be read or lacks a field.
    pub(crate) fn since(&self, before: &Self) -> Result<Vec<Measurement>> {
        let mut found = self
            .by_folder
            .iter()
            .filter(|(folder, modified)| before.by_folder.get(*folder) != Some(modified))
            .map(|(folder, _)| measurement(folder))
            .collect::<Result<Vec<_>>>()?;
        found.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(found)
    }
}

fn measurement(folder: &Path) -> Result<Measurement> {
    let bench = json(folder.join("benchmark.json"))?;
    let estimates = json(folder.join("estimates.json"))?;
    parse(&bench, &estimates).with_context(|| format!("in {}", folder.display()))
}

fn parse(bench: &Value, estimates: &Value) -> Result<Measurement> {
    let median = &estimates["median"];
    let nanoseconds = |value: &Value| value.as_f64().context("the median has no estimate");
    let interval = &median["confidence_interval"];
    let work = &bench["throughput"];
    let amount = |unit: &str| work[unit].as_u64();
    Ok(Measurement {
        id: text(bench, "full_id")?.to_owned(),
        median_ns: nanoseconds(&median["point_estimate"])?,
        interval_ns: (
            nanoseconds(&interval["lower_bound"])?,
            nanoseconds(&interval["upper_bound"])?,
        ),
        work: amount("Bytes")
            .map(Work::Bytes)
            .or_else(|| amount("Elements").map(Work::Elements)),
    })
}

fn json(path: PathBuf) -> Result<Value> {
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("could not read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// What the benches count that measure no time.
const COUNTED: &str = "instructions/";

impl Measurement {
    /// A figure of it as people say it.
    pub(crate) fn figure(id: &str, value: f64) -> String {
        if id.starts_with(COUNTED) {
            format!("{value:.0} instructions")
        } else {
            duration(value)
        }
    }
}

/// A number of nanoseconds as people say it.
fn duration(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    format!("{value:.2} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESTIMATES: &str = r#"{"median": {
        "point_estimate": 2000.0, "standard_error": 1.0,
        "confidence_interval": {"confidence_level": 0.95, "lower_bound": 1900.0, "upper_bound": 2100.0}
    }}"#;

    #[test]
    fn only_what_this_run_measured_is_read() {
        let home = std::env::temp_dir().join(format!("xtask-criterion-{}", std::process::id()));
        let write = |id: &str, throughput: &str| {
            let folder = home.join(id).join("new");
            std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
            let bench = format!(r#"{{"full_id": "{id}", "throughput": {throughput}}}"#);
            std::fs::write(folder.join("benchmark.json"), bench).expect("as above");
            std::fs::write(folder.join("estimates.json"), ESTIMATES).expect("as above");
        };
        write("earlier", "null");
        let before = Written::below(&home);
        write("parse/small", r#"{"Bytes": 4000}"#);
        write("join", "null");
        let after = Written::below(&home);
        let found = after.since(&before).expect("both are whole");
        let nothing = after.since(&after).expect("nothing is read");
        std::fs::remove_dir_all(&home).expect("the folder was made above");

        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].id.as_str(), found[0].rate()), ("join", None));
        assert_eq!(found[1].id, "parse/small");
        assert_eq!(found[1].interval_ns, (1900.0, 2100.0));
        assert_eq!(found[1].rate().as_deref(), Some("2000.0 MB/s"));
        assert_eq!(nothing, []);
    }

    #[test]
    fn a_field_that_criterion_no_longer_writes_is_an_error() {
        let estimates: Value = serde_json::from_str(ESTIMATES).expect("valid JSON");
        assert!(parse(&Value::Null, &estimates).is_err());
        let bench = serde_json::json!({"full_id": "a"});
        assert!(parse(&bench, &Value::Null).is_err());
        assert!(parse(&bench, &estimates).is_ok());
    }

    #[test]
    fn what_is_counted_is_no_time() {
        let check =
            |id: &str, expected: &str| assert_eq!(Measurement::figure(id, 1500.0), expected);
        check("instructions/cache/key", "1500 instructions");
        check("cache/key", "1.50 µs");
    }

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(duration(12.3), "12.30 ns");
        assert_eq!(duration(1500.0), "1.50 µs");
        assert_eq!(duration(2.5e6), "2.50 ms");
        assert_eq!(duration(3e9), "3.00 s");
    }
}
