//! The recorded figures, kept in the repository.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::measurement::Measurement;

/// What a run recorded, and on what machine.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Baseline {
    /// For the reader; nothing is decided by it.
    pub(crate) machine: BTreeMap<String, String>,
    /// In nanoseconds, by Criterion's full id.
    pub(crate) medians: BTreeMap<String, f64>,
    /// By the ratio's name.
    pub(crate) ratios: BTreeMap<String, f64>,
}

impl Baseline {
    /// The baseline in `path`, or nothing where there is no such file.
    ///
    /// # Errors
    /// The file cannot be read or is not JSON.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("could not read {}", path.display()))?;
        Self::parse(&text)
            .map(Some)
            .with_context(|| format!("could not understand {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let numbers = |key: &str| -> Result<BTreeMap<String, f64>> {
            let table = value[key]
                .as_object()
                .with_context(|| format!("`{key}` is missing"))?;
            table
                .iter()
                .map(|(name, number)| {
                    let number = number
                        .as_f64()
                        .with_context(|| format!("`{key}.{name}` is not a number"))?;
                    Ok((name.clone(), number))
                })
                .collect()
        };
        Ok(Self {
            machine: value["machine"]
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())))
                .collect(),
            medians: numbers("medians_ns")?,
            ratios: numbers("ratios")?,
        })
    }

    /// Takes in what a run measured, beside what is there from before.
    pub(crate) fn record(&mut self, measurements: &[Measurement], ratios: &[(String, f64)]) {
        self.machine = machine();
        for measured in measurements {
            self.medians
                .insert(measured.id.clone(), rounded(measured.median_ns));
        }
        for (name, value) in ratios {
            self.ratios.insert(name.clone(), rounded(*value));
        }
    }

    /// Writes the baseline as JSON that diffs well.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.to_json()?)?;
        Ok(())
    }

    fn to_json(&self) -> Result<String> {
        let value = json!({
            "machine": self.machine,
            "medians_ns": self.medians,
            "ratios": self.ratios,
        });
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    }
}

/// Four significant digits: more would only record noise.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn machine() -> BTreeMap<String, String> {
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    BTreeMap::from([
        ("cores".to_owned(), cores.to_string()),
        (
            "cpu".to_owned(),
            cpu().unwrap_or_else(|| "unknown".to_owned()),
        ),
        (
            "os".to_owned(),
            format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        ),
        ("rustc".to_owned(), rustc),
    ])
}

/// The processor's name where Linux tells it.
fn cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut baseline = Baseline::default();
        let measured = Measurement {
            id: "parse/large".to_owned(),
            median_ns: 1_234_567.8,
            interval_ns: (0.0, 0.0),
            work: None,
        };
        baseline.medians.insert("kept".to_owned(), 1.0);
        baseline.record(&[measured], &[("overhead".to_owned(), 1.234_567)]);
        let json = baseline.to_json().expect("numbers and texts are JSON");
        assert_eq!(Baseline::parse(&json).expect("written above"), baseline);
        assert_eq!(baseline.medians["parse/large"], 1_235_000.0);
        assert_eq!(baseline.ratios["overhead"], 1.235);
        assert_eq!(baseline.medians["kept"], 1.0);
    }

    #[test]
    fn a_baseline_that_lacks_its_figures_is_refused() {
        assert!(Baseline::parse("{}").is_err());
        assert!(Baseline::parse(r#"{"medians_ns": {}, "ratios": {"a": "fast"}}"#).is_err());
    }

    #[test]
    fn a_missing_file_is_no_baseline() {
        let path = Path::new("no/such/baseline.json");
        assert_eq!(Baseline::read(path).expect("nothing is read"), None);
    }
}
