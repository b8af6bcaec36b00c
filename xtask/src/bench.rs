//! `cargo xtask bench`: the benches, and whether the project's speed claims still hold.
//!
//! Wall time differs from machine to machine, so it is printed and never judged.
//! What is judged is a ratio between two measurements of one run.

mod baseline;
mod measurement;
pub(crate) mod ratio;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::table::Table;
use crate::workspace::Workspace;
use crate::{command_line, process};
use baseline::Baseline;
use measurement::{Measurement, Written};
use ratio::{BENCH_PACKAGE, RATIOS, Ratio, Verdict};

/// Where the figures stand that later runs are compared with, from the workspace's root.
const BASELINE: &str = "benches/baseline.json";

#[derive(Debug, Default, PartialEq, Eq)]
struct Options<'arguments> {
    bench: Option<&'arguments str>,
    save: bool,
    check: bool,
    /// For Criterion.
    rest: &'arguments [String],
}

impl<'arguments> Options<'arguments> {
    /// Gives the word that it does not understand, if there is one.
    fn parse(arguments: &'arguments [String]) -> Result<Self, &'arguments str> {
        let mut options = Self::default();
        for (index, argument) in arguments.iter().enumerate() {
            match argument.as_str() {
                "--save" => options.save = true,
                "--check" => options.check = true,
                "--" => {
                    options.rest = &arguments[index + 1..];
                    break;
                }
                name if !name.starts_with('-') && options.bench.is_none() => {
                    options.bench = Some(name);
                }
                other => return Err(other),
            }
        }
        Ok(options)
    }
}

/// Runs all benches or the one that `arguments` name, and prints medians and ratios.
///
/// # Errors
/// Cargo could not be started, or what Criterion or the repository recorded cannot be read.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(unknown) => {
            return Ok(command_line::unknown(
                "option",
                unknown,
                &["--save", "--check", "--"],
            ));
        }
    };
    let workspace = Workspace::load()?;
    let benches: Vec<&str> = workspace
        .packages
        .iter()
        .filter(|package| package.name == BENCH_PACKAGE)
        .flat_map(|package| package.benches.iter().map(String::as_str))
        .collect();
    let wanted: Vec<&str> = match options.bench {
        // `cache` is also `cache_memory`: what cannot be measured in one process.
        Some(name) if benches.contains(&name) => benches
            .into_iter()
            .filter(|bench| {
                let rest = bench.strip_prefix(name);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            })
            .collect(),
        Some(name) => return Ok(command_line::unknown("bench", name, &benches)),
        None => benches,
    };
    anyhow::ensure!(!wanted.is_empty(), "{BENCH_PACKAGE} has no benches");
    let ratios = ratio::read(&workspace.root)?;

    let criterion = workspace.target_directory.join("criterion");
    let before = Written::below(&criterion);
    let mut command = process::cargo(&workspace.root);
    command.args(["bench", "--package", BENCH_PACKAGE]);
    for bench in &wanted {
        command.args(["--bench", bench]);
    }
    command
        .arg("--")
        .args(options.rest)
        .env("CRITERION_HOME", &criterion);
    if !process::run(&mut command)?.success() {
        return Ok(ExitCode::FAILURE);
    }

    let measurements = Written::below(&criterion).since(&before)?;
    anyhow::ensure!(
        !measurements.is_empty(),
        "no bench left a measurement in {}; a filter may have matched none",
        criterion.display()
    );
    let path = workspace.root.join(BASELINE);
    let recorded = Baseline::read(&path)?;
    println!("\n{}", medians(&measurements, recorded.as_ref()));
    let held = judge(&ratios, &wanted, &measurements, recorded.as_ref());
    println!("{}", held.table);
    for missed in &held.missed {
        println!("missed: {missed}");
    }
    if options.save {
        // A narrowed run keeps the figures that it did not measure again.
        let narrowed = options.bench.is_some() || !options.rest.is_empty();
        let mut baseline = recorded.filter(|_| narrowed).unwrap_or_default();
        baseline.record(&measurements, &held.values);
        baseline
            .write(&path)
            .with_context(|| format!("could not write {BASELINE}"))?;
        println!("recorded in {BASELINE}");
    }
    Ok(if options.check && !held.missed.is_empty() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn medians(measurements: &[Measurement], recorded: Option<&Baseline>) -> Table {
    let mut table = Table::new(&["bench", "median", "95 % interval", "rate", "recorded"]);
    for measured in measurements {
        let before = recorded.and_then(|baseline| baseline.medians.get(&measured.id));
        let figure = |value| Measurement::figure(&measured.id, value);
        let (least, most) = measured.interval_ns;
        table.row([
            measured.id.clone(),
            figure(measured.median_ns),
            format!("{} to {}", figure(least), figure(most)),
            measured.rate().unwrap_or_default(),
            before.map_or_else(String::new, |before| figure(*before)),
        ]);
    }
    table
}

struct Judged {
    table: Table,
    /// What was measured, by the ratio's name.
    values: Vec<(String, f64)>,
    /// One line for each bound that must hold and does not.
    missed: Vec<String>,
}

/// Works out the ratios of the benches that ran.
fn judge(
    ratios: &[Ratio],
    ran: &[&str],
    measurements: &[Measurement],
    recorded: Option<&Baseline>,
) -> Judged {
    let ran: BTreeSet<&str> = ran.iter().copied().collect();
    let mut judged = Judged {
        table: Table::new(&[
            "ratio", "measured", "recorded", "change", "must", "aim", "verdict",
        ]),
        values: Vec::new(),
        missed: Vec::new(),
    };
    for ratio in ratios
        .iter()
        .filter(|ratio| ran.contains(ratio.bench.as_str()))
    {
        let before = recorded
            .and_then(|baseline| baseline.ratios.get(&ratio.name))
            .copied();
        let value = ratio.of(measurements);
        let verdict = match ratio.verdict(value) {
            Verdict::Missed if other_holds(ratio, ratios, measurements) => Verdict::OtherHolds,
            verdict => verdict,
        };
        let bound = |bound: Option<f64>| bound.map_or_else(String::new, |b| format!("≤ {b}"));
        let change = value
            .zip(before)
            .map(|(value, before)| (value / before - 1.0) * 100.0);
        judged.table.row([
            ratio.name.clone(),
            value.map_or_else(String::new, number),
            before.map_or_else(String::new, number),
            change.map_or_else(String::new, |change| format!("{change:+.1} %")),
            bound(ratio.must),
            bound(ratio.aim),
            verdict.to_string(),
        ]);
        if let Some(value) = value {
            judged.values.push((ratio.name.clone(), value));
        }
        match (verdict, ratio.must) {
            (Verdict::Missed, Some(must)) => judged.missed.push(format!(
                "{} must be at most {must}: {} against {} ({})",
                ratio.name, ratio.numerator, ratio.denominator, ratio.note
            )),
            (Verdict::NotMeasured, Some(_)) => judged.missed.push(format!(
                "{} was not measured: {} or {} is missing",
                ratio.name, ratio.numerator, ratio.denominator
            )),
            _ => {}
        }
    }
    if ratios.is_empty() {
        judged.table.row([format!("none: {RATIOS} has no row")]);
    }
    judged
}

/// Whether the ratio names another that will do in its place, and that one is within its bound.
fn other_holds(ratio: &Ratio, ratios: &[Ratio], measurements: &[Measurement]) -> bool {
    let other = ratios
        .iter()
        .find(|other| ratio.or.as_ref() == Some(&other.name));
    other.is_some_and(|other| {
        let verdict = other.verdict(other.of(measurements));
        other.must.is_some() && matches!(verdict, Verdict::Good | Verdict::Holds)
    })
}

/// Three digits that count, whatever the size.
fn number(value: f64) -> String {
    let decimals = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        v if v >= 0.1 => 3,
        v if v >= 0.01 => 4,
        _ => return format!("{value:.2e}"),
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_an_unknown_one_is_named() {
        let words =
            |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
        let all = words("dsl --save --check -- --quick parse");
        let options = Options::parse(&all).expect("all of these are known");
        assert_eq!(options.bench, Some("dsl"));
        assert!(options.save && options.check);
        assert_eq!(options.rest, ["--quick", "parse"]);
        assert_eq!(Options::parse(&words("--sav")), Err("--sav"));
        assert_eq!(Options::parse(&words("dsl cache")), Err("cache"));
    }

    #[test]
    fn numbers_keep_three_digits_that_count() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(1234.5, "1234");
        check(12.345, "12.3");
        check(1.234_5, "1.23");
        check(0.123_45, "0.123");
        check(0.012_345, "0.0123");
        check(0.000_123_4, "1.23e-4");
    }

    #[test]
    fn only_a_missed_must_is_a_miss() {
        let ratios = ratio::parse(
            r#"[
                {"name": "held", "bench": "b", "numerator": "one", "denominator": "two", "must": 1.0},
                {"name": "aimed", "bench": "b", "numerator": "two", "denominator": "one", "must": 3.0, "aim": 1.5},
                {"name": "missed", "bench": "b", "numerator": "two", "denominator": "one", "must": 1.0},
                {"name": "either", "bench": "b", "numerator": "two", "denominator": "one", "must": 1.0, "or": "held"},
                {"name": "neither", "bench": "b", "numerator": "two", "denominator": "one", "must": 1.0, "or": "missed"},
                {"name": "absent", "bench": "b", "numerator": "three", "denominator": "one", "must": 1.0},
                {"name": "elsewhere", "bench": "c", "numerator": "three", "denominator": "one", "must": 1.0}
            ]"#,
        )
        .expect("a valid sample");
        let measured = |id: &str, median_ns: f64| Measurement {
            id: id.to_owned(),
            median_ns,
            interval_ns: (median_ns, median_ns),
            work: None,
        };
        let measurements = [measured("one", 100.0), measured("two", 200.0)];
        let mut baseline = Baseline::default();
        baseline.ratios.insert("held".to_owned(), 0.4);
        let judged = judge(&ratios, &["b"], &measurements, Some(&baseline));
        let values: Vec<(&str, f64)> = judged
            .values
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let over = ["aimed", "missed", "either", "neither"].map(|name| (name, 2.0));
        assert_eq!(values, [&[("held", 0.5)], &over[..]].concat());
        let missed = ["missed must be", "neither must be", "absent was not"];
        assert_eq!(judged.missed.len(), missed.len(), "{:?}", judged.missed);
        for (line, start) in judged.missed.iter().zip(missed) {
            assert!(line.starts_with(start), "{:?}", judged.missed);
        }
        let table = judged.table.to_string();
        assert!(table.contains("+25.0 %"), "{table}");
        assert_eq!(table.matches("other holds").count(), 1, "{table}");
        assert!(!table.contains("elsewhere"), "{table}");
    }
}
