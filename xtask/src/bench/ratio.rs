//! The ratios that the project answers for, as the benches register them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::measurement::Measurement;
use crate::workspace::text;

/// The package that holds the benches.
pub(crate) const BENCH_PACKAGE: &str = "praxis-benches";

/// Where the ratios are registered, from the workspace's root.
pub(crate) const RATIOS: &str = "benches/ratios.json";

const KEYS: &[&str] = &[
    "name",
    "bench",
    "numerator",
    "denominator",
    "must",
    "aim",
    "or",
    "note",
];

/// One median over another; smaller is better.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) name: String,
    /// The bench target that measures both.
    pub(crate) bench: String,
    /// Criterion's full id, such as `parse/large`.
    pub(crate) numerator: String,
    pub(crate) denominator: String,
    /// What a release must not exceed.
    pub(crate) must: Option<f64>,
    /// What the project is after.
    pub(crate) aim: Option<f64>,
    /// The name of another ratio whose bound will do in place of this one's.
    pub(crate) or: Option<String>,
    /// What the figure means, for the reader of a miss.
    pub(crate) note: String,
}

/// What a measured ratio is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Within the aim.
    Good,
    /// Within the bound; the aim, if there is one, is further.
    Holds,
    /// Over the bound, and the ratio that will do in its place is within its own.
    OtherHolds,
    /// Over the bound.
    Missed,
    /// It has neither bound nor aim.
    Noted,
    /// One of its two benches left no figure.
    NotMeasured,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Holds => "holds",
            Self::OtherHolds => "other holds",
            Self::Missed => "MISSED",
            Self::Noted => "noted",
            Self::NotMeasured => "not measured",
        })
    }
}

impl Ratio {
    /// The ratio of the two medians, if both are among `measurements`.
    pub(crate) fn of(&self, measurements: &[Measurement]) -> Option<f64> {
        let median = |id: &str| {
            measurements
                .iter()
                .find(|measured| measured.id == id)
                .map(|measured| measured.median_ns)
        };
        Some(median(&self.numerator)? / median(&self.denominator)?)
    }

    /// Holds a measured value against the bounds.
    pub(crate) fn verdict(&self, value: Option<f64>) -> Verdict {
        let Some(value) = value else {
            return Verdict::NotMeasured;
        };
        match (self.must, self.aim) {
            (Some(must), _) if value > must => Verdict::Missed,
            (_, Some(aim)) if value <= aim => Verdict::Good,
            (None, None) => Verdict::Noted,
            _ => Verdict::Holds,
        }
    }
}

/// The registered ratios; none where the file is not there.
///
/// # Errors
/// The file cannot be read or is not a list of ratios.
pub(crate) fn read(root: &Path) -> Result<Vec<Ratio>> {
    let path = root.join(RATIOS);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("could not read {RATIOS}"))?;
    parse(&text).with_context(|| format!("could not understand {RATIOS}"))
}

/// Reads a list of ratios.
///
/// # Errors
/// It is not JSON, a row lacks a field or has one too many, or a name stands twice.
pub(crate) fn parse(json: &str) -> Result<Vec<Ratio>> {
    let rows: Vec<Value> = serde_json::from_str(json).context("not a JSON list")?;
    let mut names = BTreeSet::new();
    let mut ratios = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let ratio = row_of(row).with_context(|| format!("row {}", index + 1))?;
        anyhow::ensure!(
            names.insert(ratio.name.clone()),
            "`{}` stands twice",
            ratio.name
        );
        ratios.push(ratio);
    }
    for other in ratios.iter().filter_map(|ratio| ratio.or.as_ref()) {
        anyhow::ensure!(names.contains(other), "`or` names `{other}`, which is none");
    }
    Ok(ratios)
}

fn row_of(row: &Value) -> Result<Ratio> {
    let fields = row.as_object().context("not an object")?;
    for key in fields.keys() {
        anyhow::ensure!(
            KEYS.contains(&key.as_str()),
            "`{key}` is none of {}",
            KEYS.join(", ")
        );
    }
    let bound = |key: &str| match &row[key] {
        Value::Null => Ok(None),
        value => value
            .as_f64()
            .map(Some)
            .with_context(|| format!("`{key}` is neither a number nor null")),
    };
    Ok(Ratio {
        name: text(row, "name")?.to_owned(),
        bench: text(row, "bench")?.to_owned(),
        numerator: text(row, "numerator")?.to_owned(),
        denominator: text(row, "denominator")?.to_owned(),
        must: bound("must")?,
        aim: bound("aim")?,
        or: row["or"].as_str().map(str::to_owned),
        note: row["note"].as_str().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_upper_bounds() {
        let check = |must: Option<f64>, aim: Option<f64>, value: Option<f64>, expected: Verdict| {
            let ratio = Ratio {
                name: String::new(),
                bench: String::new(),
                numerator: String::new(),
                denominator: String::new(),
                must,
                aim,
                or: None,
                note: String::new(),
            };
            assert_eq!(ratio.verdict(value), expected, "{must:?} {aim:?} {value:?}");
        };
        check(Some(2.0), Some(1.0), Some(0.5), Verdict::Good);
        check(Some(2.0), Some(1.0), Some(2.0), Verdict::Holds);
        check(Some(2.0), Some(1.0), Some(2.1), Verdict::Missed);
        check(Some(2.0), None, Some(1.0), Verdict::Holds);
        check(None, Some(1.0), Some(9.0), Verdict::Holds);
        check(None, None, Some(9.0), Verdict::Noted);
        check(Some(2.0), None, None, Verdict::NotMeasured);
    }

    #[test]
    fn a_row_that_is_not_understood_is_refused_with_its_number() {
        let row = r#"{"name": "a", "bench": "b", "numerator": "c", "denominator": "d"}"#;
        assert_eq!(parse(&format!("[{row}]")).expect("a whole row").len(), 1);
        let refused = |json: &str, expected: &str| {
            let error = format!("{:#}", parse(json).expect_err(json));
            assert!(error.contains(expected), "{error}");
        };
        refused(&format!("[{row}, {row}]"), "`a` stands twice");
        refused(&format!("[{row}, {{}}]"), "row 2: `name` is missing");
        refused(
            &format!("[{}]", row.replace("}", ", \"most\": 1}")),
            "`most` is none of",
        );
        refused(
            &format!("[{}]", row.replace("}", ", \"must\": \"1\"}")),
            "`must` is neither",
        );
        refused("{}", "not a JSON list");
    }
}
