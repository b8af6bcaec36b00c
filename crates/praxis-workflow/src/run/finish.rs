//! From rows to the report.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::executor::CacheUse;
use crate::plan::{BlockId, Statement, StatementKind};
use crate::report::{
    CacheCounts, Failure, RunReport, RunStatus, StepReport, StepStatus, StepTiming, Timing,
};

use super::Driver;
use super::state::{End, EntryState, Key, Members, Row, ScopeKind, Way};

impl<'a> Driver<'a> {
    /// Rows for the calls of a block, from a position on, that never ran.
    pub(super) fn skip_block(&mut self, block: BlockId, from: u32, way: &Arc<Way>) {
        let plan = self.plan;
        for (position, statement) in plan
            .block(block)
            .statements
            .iter()
            .enumerate()
            .skip(from as usize)
        {
            self.skip_statement(statement, position as u32, way);
        }
    }

    fn skip_statement(&mut self, statement: &Statement, position: u32, way: &Arc<Way>) {
        if let StatementKind::Call(index) = statement.kind {
            let mut row = Row::new(index, way, position);
            row.status = Some(StepStatus::Skipped);
            self.rows.push(row);
        }
        for (index, block) in statement.kind.blocks().into_iter().enumerate() {
            self.skip_block(block, 0, &way.below(&[position, index as u32]));
        }
    }

    pub(super) fn skip_entry(&mut self, scope: Key, position: u32) {
        let Some(around) = self.scope(scope) else {
            return;
        };
        let way = Arc::clone(&around.way);
        match &around.kind {
            ScopeKind::Block(block) => {
                let statement = &self.plan.block(*block).statements[position as usize];
                self.skip_statement(statement, position, &way);
            }
            ScopeKind::Group(group) => {
                if let Members::Children(blocks) = group.members {
                    self.skip_block(blocks[position as usize], 0, &way.below(&[position]));
                }
            }
        }
    }

    /// Rows for the children of a `PARALLEL` that were not begun and will not be.
    pub(super) fn skip_members(&mut self, group: Key) {
        let Some(scope) = self.scope_mut(group) else {
            return;
        };
        let (from, total) = (scope.next, scope.total);
        scope.next = total;
        for position in from..total {
            self.skip_entry(group, position);
        }
    }

    /// Rows for what a scope had not issued.
    pub(super) fn skip_rest(&mut self, scope: Key) {
        let Some(around) = self.scope_mut(scope) else {
            return;
        };
        let (from, total) = (around.next, around.total);
        around.next = total;
        for position in from..total {
            self.skip_entry(scope, position);
        }
    }

    /// Takes back what stands behind a failure: it reads as if the lines had run one by one.
    pub(super) fn discard_behind(&mut self, scope: Key, position: u32) {
        let Some(around) = self.scope(scope) else {
            return;
        };
        if !around.ordered() {
            return;
        }
        let way = Arc::clone(&around.way);
        let block = if let ScopeKind::Block(block) = &around.kind {
            Some(*block)
        } else {
            None
        };
        let first_row = around.first_row;
        for row in &mut self.rows[first_row..] {
            let (own, path) = (&row.scope.path[..], &way.path[..]);
            let step = match own.len() {
                depth if depth == path.len() => row.position,
                depth if depth > path.len() => own[path.len()],
                _ => continue,
            };
            if own[..path.len()] == *path && step > position {
                row.hidden = true;
            }
        }
        if let Some(block) = block {
            self.skip_block(block, position + 1, &way);
        }
    }

    /// When the run was ended from outside, tells what ran from what had not begun.
    pub(super) fn note_what_was_running(&mut self) {
        let now = self.started.elapsed();
        for (_, entry) in &self.entries {
            if entry.state == EntryState::Running
                && let Some(row) = entry.row
            {
                self.rows[row as usize].cancel(now);
            }
        }
        let waiting: Vec<(Key, u32)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.state == EntryState::Waiting && entry.row.is_none())
            .map(|(_, entry)| (entry.scope, entry.position))
            .collect();
        for (scope, position) in waiting {
            self.skip_entry(scope, position);
        }
        let scopes: Vec<Key> = self.scopes.iter().map(|(_, scope)| scope.key).collect();
        for scope in scopes {
            self.skip_rest(scope);
        }
    }

    pub(super) fn report(&mut self) -> RunReport {
        let makespan = self.started.elapsed();
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|one, other| {
            if Arc::ptr_eq(&one.scope, &other.scope) {
                return one.position.cmp(&other.position);
            }
            one.way().cmp(other.way())
        });
        first_in_order_computes(&mut rows);
        rows.retain(|row| !row.hidden);
        let counted =
            |wanted: CacheUse| rows.iter().filter(|row| row.cache == wanted).count() as u64;
        let cache = CacheCounts {
            hits: counted(CacheUse::Hit),
            misses: counted(CacheUse::Miss),
        };
        let steps: Vec<StepReport> = rows.into_iter().map(|row| self.step_report(row)).collect();
        let (status, output, error) = match self.end.take() {
            Some(End::Succeeded(output)) => (RunStatus::Succeeded, output, None),
            Some(End::Failed(failure)) => (RunStatus::Failed, Value::Null, Some(failure)),
            Some(End::TimedOut) => {
                let limit = self.options.timeout.unwrap_or_default();
                let message =
                    format!("the run was not done within {limit:?}; its `timeout` can allow more");
                (
                    RunStatus::Failed,
                    Value::Null,
                    Some(without_place("timeout", message)),
                )
            }
            Some(End::Cancelled) | None => {
                let failure = without_place("cancelled", "the run was cancelled".to_owned());
                (RunStatus::Cancelled, Value::Null, Some(failure))
            }
        };
        let work_ms = steps
            .iter()
            .fold(0.0, |sum, step| sum + step.timing.duration_ms);
        RunReport {
            run_id: self.id.as_str().to_owned(),
            workflow: self.plan.name.clone(),
            status,
            output,
            error,
            timing: Timing {
                makespan_ms: milliseconds(makespan),
                critical_path_ms: milliseconds(self.reach),
                work_ms: (work_ms * 1000.0).round() / 1000.0,
                cache,
            },
            steps,
        }
    }

    fn step_report(&self, row: Row) -> StepReport {
        let more = row.more.map(|more| *more).unwrap_or_default();
        let step = self.plan.step(row.step);
        StepReport {
            id: row.scope.id(&step.id).into_owned(),
            line: step.location.line,
            tool: Arc::clone(&step.tool),
            status: row.status.unwrap_or(StepStatus::Skipped),
            agent: step.agent.clone(),
            attempts: row.attempts,
            error: more.error,
            timing: StepTiming {
                started_ms: row.started.map(milliseconds),
                duration_ms: milliseconds(row.duration),
                cached: row.cache == CacheUse::Hit,
                engine: more.engine,
                elided: more.elided,
            },
        }
    }
}

/// Of the steps that share a result of this run, the first in program order counts as the one that
/// computed it, as it would have been one by one; the others remembered.
fn first_in_order_computes(rows: &mut [Row]) {
    let mut computed: FxHashMap<Option<*const Value>, Option<Option<Arc<str>>>> =
        FxHashMap::default();
    let address = |row: &Row| row.more.as_ref().map(|more| more.value.as_ptr());
    for row in rows.iter().filter(|row| row.cache == CacheUse::Miss) {
        computed.insert(address(row), Some(row.engine().cloned()));
    }
    for row in rows
        .iter_mut()
        .filter(|row| !row.hidden && row.cache != CacheUse::Bypassed)
    {
        let Some(first) = computed.get_mut(&address(row)) else {
            continue;
        };
        let (cache, engine) = match first.take() {
            Some(engine) => (CacheUse::Miss, engine),
            None => (CacheUse::Hit, None),
        };
        row.cache = cache;
        row.set_engine(engine);
    }
}

fn without_place(kind: &str, message: String) -> Failure {
    Failure {
        kind: kind.to_owned(),
        message,
        line: None,
        column: None,
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
