//! Calls: started within the limit of jobs, and what becomes of their ends.

use std::borrow::Cow;
use std::sync::Arc;

use praxis_dsl::checked::Location;

use crate::arguments::{Arguments, Given};
use crate::executor::{CacheUse, StepCall, StepError};
use crate::observer::RunEvent;
use crate::plan::{StatementKind, StepIndex, StepSpec};
use crate::report::{Failure, StepStatus};

use super::Driver;
use super::open::evaluation;
use super::size::bounded;
use super::state::{EntryState, Key, Ready};
use super::task::{Running, Started, TaskEnd};

/// How many prompt steps are done in one go before others may do something.
const PROMPT: u32 = 64;

impl<'a> Driver<'a> {
    /// Starts what could start and has a place; gives whether that was cut short, since prompt
    /// steps were done one after the other for long enough.
    pub(super) fn start_ready(&mut self) -> bool {
        let mut done = 0;
        while self.end.is_none() && self.tasks.len() < self.options.jobs && done < PROMPT {
            let Some(Ready { key, .. }) = self.ready.pop() else {
                break;
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
                done += u32::from(self.start(key, scope, index));
                // Arguments that cannot be worked out fail the step here, which may end the run.
                self.work();
            }
        }
        self.tasks.flush();
        done == PROMPT
    }

    /// Starts a step; gives whether it was done at once.
    fn start(&mut self, key: Key, scope: Key, index: StepIndex) -> bool {
        let step = self.plan.step(index);
        let arguments = match self.arguments(scope, step) {
            Ok(arguments) => arguments,
            Err(message) => {
                self.fail(key, evaluation(message, step.location));
                return false;
            }
        };
        if self.is_needless(key, index, &arguments) {
            self.leave_out(key, index);
            return false;
        }
        let id = self.step_id(key, index);
        let call = StepCall {
            run: self.id.clone(),
            step: Arc::clone(&*id),
            tool: Arc::clone(&step.tool),
            arguments,
            attempt: 1,
            timeout: step.timeout,
            engine: step.engine.clone(),
            agent: step.agent.clone(),
            cache: step.cache,
        };
        if self.recalled(key, &call, step.label.as_deref()) {
            return false;
        }
        let ticket = self.announce(key, scope, index, &call);
        self.observer.event(&RunEvent::StepStarted {
            step: &id,
            tool: &step.tool,
            label: step.label.as_deref(),
        });
        let row = self.entry(key).and_then(|entry| entry.row);
        let task = self.tasks.start((key, row), call, step, ticket, self.now);
        let number = match task {
            Started::Running(number) => Some(number),
            Started::Done(_) => None,
        };
        if let Some(entry) = self.entry_mut(key) {
            entry.state = EntryState::Running;
            entry.task = number;
        }
        let Started::Done(end) = task else {
            if let Some(row) = row {
                self.rows[row as usize].started = Some(self.now - self.started);
            }
            return false;
        };
        self.next_turn();
        self.take(key, end);
        true
    }

    fn arguments(&self, scope: Key, step: &StepSpec) -> Result<Arguments, String> {
        let worked = |argument: usize| {
            let (name, operand) = &step.arguments[argument];
            let value = self.resolve(scope, operand);
            value.map_err(|message| format!("argument `{name}`: {message}"))
        };
        let mut arguments = Arguments::named(&step.inputs.names);
        for given in &step.inputs.given {
            let value = match given {
                Given::Literal(value) => Some(Arc::clone(value)),
                Given::Name(slot) => self.value(scope, *slot).cloned(),
                Given::Worked(argument) => worked(*argument as usize).ok().map(Arc::new),
            };
            // Of several that cannot be worked out, the first in the program is told.
            let failed = || (0..step.arguments.len()).find_map(|argument| worked(argument).err());
            arguments.push(value.ok_or_else(|| failed().unwrap_or_default())?);
        }
        Ok(arguments)
    }

    /// Notes what a discarded step has computed: one before it may have got that from the cache, and
    /// one by one would have computed it.
    pub(super) fn note_late(&mut self, running: &Running, end: &TaskEnd) {
        if let Ok(output) = &end.result
            && output.cache == CacheUse::Miss
            && let Some(row) = running.row.map(|row| &mut self.rows[row as usize])
        {
            row.note(output);
        }
    }

    /// Takes the end of a step that ran.
    pub(super) fn take(&mut self, key: Key, end: TaskEnd) {
        if let Some(started) = end.started {
            self.now = started + end.duration;
        }
        self.finished(key, end);
    }

    pub(super) fn step_id(&self, key: Key, index: StepIndex) -> Cow<'a, Arc<str>> {
        let id = &self.plan.step(index).id;
        match self.entry(key).and_then(|entry| self.scope(entry.scope)) {
            Some(scope) => scope.way.id(id),
            None => Cow::Borrowed(id),
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
            if let Some(started) = end.started {
                row.started = Some(started - self.started);
            }
            row.duration = end.duration;
            match &end.result {
                Ok(output) => row.note(output),
                Err(error) => {
                    row.set_engine(error.engine().cloned());
                    row.details().error = Some(Box::new(failure(error, step.location)));
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
