//! Calls: started within the limit of jobs, and what becomes of their ends.

use std::sync::Arc;

use praxis_dsl::checked::Location;
use serde_json::Map;

use crate::executor::{CacheUse, StepCall, StepError};
use crate::observer::RunEvent;
use crate::plan::{StatementKind, StepIndex};
use crate::report::{Failure, StepStatus};

use super::Driver;
use super::open::evaluation;
use super::size::bounded;
use super::state::{EntryState, Key, Ready};
use super::task::{self, TaskEnd};

impl Driver<'_> {
    pub(super) fn start_ready(&mut self) {
        while self.end.is_none() && self.tasks.len() < self.options.jobs {
            let Some(Ready { key, .. }) = self.ready.pop() else {
                return;
            };
            let Some(entry) = self
                .entry(key)
                .filter(|entry| entry.state == EntryState::Queued)
            else {
                continue;
            };
            let (scope, position) = (entry.scope, entry.position);
            let Some(statement) = self.statement_at(scope, position) else {
                continue;
            };
            if let StatementKind::Call(index) = statement.kind {
                self.start(key, scope, index);
                // Arguments that cannot be worked out fail the step here, which may end the run.
                self.work();
            }
        }
    }

    fn start(&mut self, key: Key, scope: Key, index: StepIndex) {
        let step = self.plan.step(index);
        let mut arguments = Map::new();
        for (name, operand) in &step.arguments {
            match self.resolve(scope, operand) {
                Ok(value) => {
                    arguments.insert(name.clone(), value);
                }
                Err(message) => {
                    let message = format!("argument `{name}`: {message}");
                    return self.fail(key, evaluation(message, step.location));
                }
            }
        }
        if self.is_needless(key, index, &arguments) {
            return self.leave_out(key, index);
        }
        let id = self.step_id(key, index);
        let call = StepCall {
            run: self.id.clone(),
            step: Arc::clone(&id),
            tool: Arc::clone(&step.tool),
            arguments,
            attempt: 1,
            timeout: step.timeout,
            engine: step.engine.clone(),
            agent: step.agent.clone(),
            cache: step.cache,
        };
        if self.recalled(key, &call, step.label.as_deref()) {
            return;
        }
        let ticket = self.announce(key, scope, index, &call);
        self.observer.event(&RunEvent::StepStarted {
            step: &id,
            tool: &step.tool,
            label: step.label.as_deref(),
        });
        let task = task::run(
            Arc::clone(&self.executor),
            call,
            step.retries,
            self.options.backoff,
        );
        let task = match ticket {
            None => self.tasks.spawn(key, task),
            Some(ticket) => self.tasks.spawn(key, async move {
                ticket.wait().await;
                task.await
            }),
        };
        let started = self.started.elapsed();
        if let Some(entry) = self.entry_mut(key) {
            entry.state = EntryState::Running;
            entry.task = Some(task);
            if let Some(row) = entry.row {
                self.rows[row as usize].started = Some(started);
            }
        }
    }

    pub(super) fn step_id(&self, key: Key, index: StepIndex) -> Arc<str> {
        let id = &self.plan.step(index).id;
        match self.entry(key).and_then(|entry| self.scope(entry.scope)) {
            Some(scope) if !scope.suffix.is_empty() => Arc::from(format!("{id}{}", scope.suffix)),
            _ => Arc::clone(id),
        }
    }

    pub(super) fn finished(&mut self, key: Key, mut end: TaskEnd) {
        let Some(entry) = self
            .entry_mut(key)
            .filter(|entry| entry.state == EntryState::Running)
        else {
            return;
        };
        entry.task = None;
        entry.reach += end.duration;
        let (row, reach, scope, position) = (entry.row, entry.reach, entry.scope, entry.position);
        self.reach = self.reach.max(reach);
        let Some(StatementKind::Call(index)) = self
            .statement_at(scope, position)
            .map(|statement| &statement.kind)
        else {
            return;
        };
        let step = self.plan.step(*index);
        end.result = bounded(end.result, &step.tool, self.options.result_bytes);
        let id = self.step_id(key, *index);
        let status = if end.result.is_ok() {
            StepStatus::Succeeded
        } else {
            StepStatus::Failed
        };
        let cached = end
            .result
            .as_ref()
            .is_ok_and(|output| output.cache == CacheUse::Hit);
        tracing::debug!(step = %id, tool = %step.tool, ?status, cached, duration = ?end.duration, "step finished");
        self.observer.event(&RunEvent::StepFinished {
            step: &id,
            tool: &step.tool,
            status,
            cached,
            duration: end.duration,
        });
        if let Some(row) = row.map(|row| &mut self.rows[row as usize]) {
            row.status = Some(status);
            row.attempts = end.attempts;
            row.duration = end.duration;
            match &end.result {
                Ok(output) => {
                    row.cache = output.cache;
                    row.value = Arc::downgrade(&output.value);
                    row.engine = output.engine.clone();
                }
                Err(error) => {
                    row.engine = error.engine().cloned();
                    row.error = Some(failure(error, step.location));
                }
            }
        }
        self.note_end(key, &id, &end);
        match end.result {
            Ok(output) => {
                if step.shared {
                    let how = (output.cache, output.engine.clone(), end.attempts);
                    self.keep_for_twins(scope, *index, how);
                }
                if let Some(slot) = step.bind {
                    self.bind(scope, slot, output.value, reach);
                }
                self.complete(key);
            }
            Err(error) => self.fail(key, failure(&error, step.location)),
        }
    }
}

fn failure(error: &StepError, location: Location) -> Failure {
    Failure {
        kind: error.kind().to_owned(),
        message: error.message().to_owned(),
        line: Some(location.line),
        column: Some(location.column),
    }
}
