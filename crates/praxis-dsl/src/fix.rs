//! Fixes: the changes that diagnostics bring, made in a program.

use std::cmp::Reverse;

use crate::catalog::ToolCatalog;
use crate::check::check_within;
use crate::checked::Location;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::parser::parse_with;
use crate::source::{Limits, LineIndex};

/// How often a program is checked.
const MAX_CHECKS: usize = 1_000;
/// How many diagnostics of a check are looked at.
const MAX_DIAGNOSTICS: usize = 10_000;

/// A program with what was changed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The text, the same as before if nothing was changed.
    pub source: String,
    /// What was changed, in the order in which it was.
    pub changes: Vec<Change>,
}

/// A fix that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it mends.
    pub code: Code,
    /// Where, in the text before the round that made it.
    pub location: Location,
    /// What stood there.
    pub before: String,
    /// What stands there instead.
    pub after: String,
}

/// Makes the fixes of the diagnostics of `source` until there is none that helps.
///
/// Fixes that overlap are made one after the other. A fix helps if there are fewer errors after
/// it, or as many of which some were hidden by the mistake; another is not made. A program is
/// checked at most a thousand times.
pub fn fix(source: &str, catalog: &dyn ToolCatalog) -> Fixed {
    let mut fixed = Fixed {
        source: source.to_owned(),
        changes: Vec::new(),
    };
    let mut found = diagnose(source, catalog);
    let mut checks = 0;
    loop {
        let batch = disjoint(&found);
        let before = Harm::of(&found);
        let mut start = 0;
        let mut length = batch.len();
        let mut progress = None;
        // Nearly always all of them help; else the largest run of some that do is looked for.
        while length > 0 && checks < MAX_CHECKS {
            checks += 1;
            let chosen = &batch[start..start + length];
            let candidate = apply(&fixed.source, chosen);
            let after = diagnose(&candidate, catalog);
            if Harm::of(&after) < before {
                fixed.note(chosen);
                progress = Some((candidate, after));
                break;
            }
            if length == 1 {
                start += 1;
                length = batch.len() - start;
            } else {
                length /= 2;
            }
        }
        let Some((candidate, after)) = progress else {
            return fixed;
        };
        fixed.source = candidate;
        found = after;
    }
}

/// How wrong a program is. Each change makes it less, so that there is an end.
#[derive(PartialEq, PartialOrd)]
struct Harm {
    errors: usize,
    warnings: usize,
    /// The later a mistake can be seen, the higher its code.
    codes: Reverse<usize>,
}

impl Harm {
    fn of(found: &[Diagnostic]) -> Self {
        let errors = found.iter().filter(|found| found.is_error()).count();
        Self {
            errors,
            warnings: found.len() - errors,
            codes: Reverse(found.iter().map(|found| found.code as usize).sum()),
        }
    }
}

impl Fixed {
    fn note(&mut self, batch: &[&Diagnostic]) {
        let lines = LineIndex::new(&self.source);
        for diagnostic in batch {
            let Some(fix) = &diagnostic.fix else { continue };
            self.changes.push(Change {
                code: diagnostic.code,
                location: lines.location(&self.source, fix.span.start),
                before: fix.span.text(&self.source).to_owned(),
                after: fix.replacement.clone(),
            });
        }
    }
}

fn diagnose(source: &str, catalog: &dyn ToolCatalog) -> Vec<Diagnostic> {
    let limits = Limits {
        max_diagnostics: MAX_DIAGNOSTICS,
        ..Limits::DEFAULT
    };
    let tree = parse_with(source, &limits);
    check_within(&tree, catalog, MAX_DIAGNOSTICS, None)
        .0
        .diagnostics
}

/// The diagnostics with a fix, the first of those that overlap.
fn disjoint(found: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut fixes: Vec<&Diagnostic> = found.iter().filter(|found| found.fix.is_some()).collect();
    let span = |found: &&Diagnostic| found.fix.as_ref().map_or(found.span, |fix| fix.span);
    fixes.sort_by_key(|found| (span(found).start, span(found).end));
    let mut end = 0;
    let mut first = true;
    fixes.retain(|found| {
        let span = span(found);
        let free = first || span.start > end || (span.start == end && span.end > end);
        if free {
            end = span.end;
            first = false;
        }
        free
    });
    fixes
}

/// `source` with the fixes of `batch`, which stand in order and apart.
fn apply(source: &str, batch: &[&Diagnostic]) -> String {
    let mut out = String::with_capacity(source.len() + 64);
    let mut copied = 0;
    for fix in batch.iter().filter_map(|found| found.fix.as_ref()) {
        out.push_str(&source[copied..fix.span.start as usize]);
        out.push_str(&fix.replacement);
        copied = fix.span.end as usize;
    }
    out.push_str(&source[copied..]);
    out
}
