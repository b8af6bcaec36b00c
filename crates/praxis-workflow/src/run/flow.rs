//! What becomes of entries: they complete, fail, or are discarded; scopes settle.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::plan::{Slot, Statement, StatementKind};
use crate::report::Failure;

use super::Driver;
use super::state::{Bindings, End, EntryState, Group, Key, Members, Name, Scope, ScopeKind, Todo};

/// What becomes of the rows of entries that are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    /// One by one they would not have begun; `settle` writes their rows.
    Discard,
    /// A sibling's end cancelled them; the group waits until their tasks have ended.
    Cancel(Key),
}

impl<'a> Driver<'a> {
    /// Gives a name its value and wakes who waits for it. The children of a `PARALLEL` hand
    /// theirs on at once: what stands behind it may read them before the others are done.
    pub(super) fn bind(&mut self, scope: Key, slot: Slot, value: Arc<Value>, reach: Duration) {
        let mut next = Some((scope, value));
        while let Some((key, value)) = next.take() {
            let Some(scope) = self.scope(key) else {
                return;
            };
            let parent = scope.parent;
            let outer = parent
                .and_then(|(group, ..)| self.scope(group))
                .and_then(|group| match &group.kind {
                    ScopeKind::Group(Group {
                        members: Members::Children(_),
                        any: false,
                        ..
                    }) => group.parent.map(|(outer, ..)| outer),
                    _ => None,
                });
            let further = outer.map(|outer| (outer, Arc::clone(&value)));
            let Some(scope) = self.scope_mut(key) else {
                return;
            };
            let before = scope.names.insert(slot, Name::Value(value));
            if let Some(Name::Pending(waiters)) = before {
                for waiter in waiters {
                    self.wake(waiter, reach);
                }
            }
            next = further;
        }
    }

    pub(super) fn complete(&mut self, key: Key) {
        let Some(entry) = self.entry_mut(key) else {
            return;
        };
        entry.state = EntryState::Done;
        let (scope_key, reach) = (entry.scope, entry.reach);
        for dependent in std::mem::take(&mut entry.dependents) {
            self.wake(dependent, reach);
        }
        self.member_ended(scope_key, key, true, reach);
        self.todo.push_back(Todo::Advance(scope_key));
    }

    pub(super) fn fail(&mut self, key: Key, failure: Failure) {
        let Some(entry) = self.entry_mut(key) else {
            return;
        };
        entry.state = EntryState::Failed;
        let (scope_key, position, reach) = (entry.scope, entry.position, entry.reach);
        let Some(scope) = self.scope_mut(scope_key) else {
            return;
        };
        if scope
            .failure
            .as_ref()
            .is_none_or(|(first, _)| position < *first)
        {
            scope.failure = Some((position, failure));
        }
        if scope.ordered() {
            let mut behind = Vec::new();
            while scope.first + scope.entries.len() as u32 > position + 1 {
                behind.extend(scope.entries.pop_back());
            }
            for key in behind {
                self.kill(key, Kill::Discard);
            }
        } else {
            self.member_ended(scope_key, key, false, reach);
        }
        self.todo.push_back(Todo::Advance(scope_key));
    }

    /// Counts a member of a group without an order; its end may cancel the others.
    fn member_ended(&mut self, scope_key: Key, key: Key, succeeded: bool, reach: Duration) {
        let Some(scope) = self.scope_mut(scope_key) else {
            return;
        };
        let ScopeKind::Group(group) = &mut scope.kind else {
            return;
        };
        if group.ordered {
            return;
        }
        group.open -= 1;
        scope.retired += 1;
        scope.reach = scope.reach.max(reach);
        // Where one success is enough, no failure decides.
        let decided = if group.any {
            succeeded
        } else {
            !succeeded && group.fail_fast
        };
        if !decided || group.won {
            return;
        }
        group.won = true;
        let others: Vec<Key> = scope
            .entries
            .iter()
            .copied()
            .filter(|&other| other != key)
            .collect();
        for other in others {
            if self
                .entry(other)
                .is_some_and(|entry| matches!(entry.state, EntryState::Waiting | EntryState::Open))
            {
                self.kill(other, Kill::Cancel(scope_key));
                if let Some(scope) = self.scope_mut(scope_key)
                    && let ScopeKind::Group(group) = &mut scope.kind
                {
                    group.open -= 1;
                    scope.retired += 1;
                }
            }
        }
        self.skip_members(scope_key);
    }

    fn kill(&mut self, key: Key, kill: Kill) {
        let Some(entry) = self.entry_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut entry.state, EntryState::Dead);
        let (scope, position, row, task, child) = (
            entry.scope,
            entry.position,
            entry.row,
            entry.task.take(),
            entry.child.take(),
        );
        let cancelled = matches!(kill, Kill::Cancel(_));
        if before == EntryState::Running {
            if cancelled {
                self.note_cancelled(key);
                let now = self.started.elapsed();
                if let Some(row) = row.map(|row| &mut self.rows[row as usize]) {
                    row.cancel(now);
                }
            } else {
                self.note_discarded(key);
            }
        }
        if let Some(task) = task {
            let drain = if let Kill::Cancel(group) = kill {
                Some(group)
            } else {
                None
            };
            self.tasks.cancel(task, drain);
            if let Some(group) = drain.and_then(|group| self.scope_mut(group)) {
                group.draining += 1;
            }
        }
        if cancelled && matches!(before, EntryState::Waiting) && row.is_none() {
            self.skip_entry(scope, position);
        }
        if let Some(child) = child {
            if cancelled {
                self.skip_rest(child);
            }
            if let Some(scope) = self.scope_mut(child) {
                let entries = std::mem::take(&mut scope.entries);
                self.scopes.remove(child.index as usize);
                for entry in entries {
                    self.kill(entry, kill);
                }
            }
        }
        if self.entry(key).is_some() {
            self.entries.remove(key.index as usize);
        }
    }

    /// Moves the done prefix on, lets those climb that waited for it, issues more, or settles.
    pub(super) fn advance(&mut self, key: Key) {
        let Some(scope) = self.scope(key) else { return };
        if scope.ordered() {
            self.retire(key);
        }
        let Some(scope) = self.scope_mut(key) else {
            return;
        };
        let failed_first = scope.failure.as_ref().map(|(first, _)| *first);
        let (all, open) = match &scope.kind {
            ScopeKind::Group(group) if !group.ordered => {
                let all = group.open == 0
                    && scope.draining == 0
                    && (scope.next == scope.total || group.won);
                (all, false)
            }
            _ => (
                scope.retired == scope.total,
                scope.stalled && scope.retired == scope.next,
            ),
        };
        let settled_by_failure = scope.ordered() && failed_first == Some(scope.retired);
        if all || settled_by_failure {
            return self.settle(key);
        }
        if open {
            scope.stalled = false;
        }
        let more = scope.failure.is_none() && !scope.stalled && scope.next < scope.total;
        let room = match &scope.kind {
            ScopeKind::Block(_) => true,
            ScopeKind::Group(group) => group.open < group.limit && !group.won,
        };
        // A group without an order goes on past a failure: the others were promised their turn.
        let going_on = more || (!scope.ordered() && scope.next < scope.total);
        if going_on && room {
            self.todo.push_back(Todo::Issue(key));
        }
    }

    fn retire(&mut self, key: Key) {
        loop {
            let Some(scope) = self.scope(key) else { return };
            let Some(&front) = scope.entries.front() else {
                break;
            };
            let Some(entry) = self
                .entry(front)
                .filter(|entry| entry.state == EntryState::Done)
            else {
                break;
            };
            let reach = entry.reach;
            self.entries.remove(front.index as usize);
            let Some(scope) = self.scope_mut(key) else {
                return;
            };
            scope.entries.pop_front();
            scope.first += 1;
            scope.retired += 1;
            scope.reach = scope.reach.max(reach);
            if let ScopeKind::Group(group) = &mut scope.kind {
                group.open -= 1;
            }
        }
        loop {
            let Some(scope) = self.scope_mut(key) else {
                return;
            };
            let Some(next) = scope.waiting.peek() else {
                return;
            };
            if next.0.0 > scope.retired {
                return;
            }
            let std::cmp::Reverse((position, waiter)) =
                scope.waiting.pop().expect("it was peeked at");
            if self.climb(waiter, key, position) {
                self.wake(waiter, Duration::ZERO);
            }
        }
    }

    fn settle(&mut self, key: Key) {
        let Some(scope) = self.scope_mut(key) else {
            return;
        };
        let won = matches!(&scope.kind, ScopeKind::Group(group) if group.any && group.won);
        let failure = if won { None } else { scope.failure.take() };
        if let Some((position, _)) = &failure {
            self.discard_behind(key, *position);
        }
        let mut scope = self.scopes.remove(key.index as usize);
        for entry in std::mem::take(&mut scope.entries) {
            if self.entry(entry).is_some() {
                self.entries.remove(entry.index as usize);
            }
        }
        let failure = failure.map(|(_, failure)| failure);
        let Some((parent_key, entry_key, position)) = scope.parent else {
            self.end = Some(failure.map_or(End::Succeeded(Value::Null), End::Failed));
            return;
        };
        if let Some(entry) = self.entry_mut(entry_key) {
            entry.reach = entry.reach.max(scope.reach);
            entry.child = None;
        }
        let reach = scope.reach;
        let Some(parent) = self.scope_mut(parent_key) else {
            return;
        };
        if let ScopeKind::Group(group) = &mut parent.kind {
            let goes_on = matches!(&group.members, Members::Rounds { each, .. } if each.goes_on);
            return match failure {
                Some(failure) if goes_on => {
                    tracing::debug!(round = position, error = %failure.message, "a round failed, and its loop goes on");
                    self.complete(entry_key);
                }
                Some(failure) => self.fail(entry_key, failure),
                None => {
                    if let Members::Rounds { each, .. } = &group.members {
                        for (slot, values) in each.collect.iter().zip(&mut group.collected) {
                            if let Some(Name::Value(value)) = scope.names.remove(*slot) {
                                values[position as usize] = value;
                            }
                        }
                    }
                    self.complete(entry_key);
                }
            };
        }
        let Some(statement) = self.statement_at(parent_key, position) else {
            return;
        };
        let trying = match &statement.kind {
            StatementKind::Try { handler, error, .. } => {
                let handling = self.entry(entry_key).is_some_and(|entry| entry.handling);
                (!handling).then_some((*handler, *error))
            }
            _ => None,
        };
        match (failure, trying) {
            (Some(failure), Some((handler, error))) => {
                let mut names = Bindings::default();
                if let Some(slot) = error {
                    names.insert(slot, Name::Value(Arc::new(as_value(&failure))));
                }
                if let Some(entry) = self.entry_mut(entry_key) {
                    entry.handling = true;
                }
                self.open_block(entry_key, handler, &[position, 1], names);
            }
            (Some(failure), None) => self.fail(entry_key, failure),
            (None, trying) => {
                if let (Some((handler, _)), Some(parent)) = (trying, self.scope(parent_key)) {
                    let way = parent.way.below(&[position, 1]);
                    self.skip_block(handler, 0, &way);
                }
                self.hand_on(parent_key, statement, &mut scope, reach);
                self.complete(entry_key);
            }
        }
    }

    /// Gives the names of a settled scope to the statements behind it.
    fn hand_on(
        &mut self,
        parent: Key,
        statement: &'a Statement,
        scope: &mut Scope<'a>,
        reach: Duration,
    ) {
        if let ScopeKind::Group(group) = &mut scope.kind {
            if let Members::Rounds { each, .. } = &group.members {
                for (slot, values) in each
                    .collect
                    .iter()
                    .zip(std::mem::take(&mut group.collected))
                {
                    let list = values.into_iter().map(Arc::unwrap_or_clone).collect();
                    self.bind(parent, *slot, Arc::new(Value::Array(list)), reach);
                }
            }
            return;
        }
        for slot in &statement.binds {
            if let Some(Name::Value(value)) = scope.names.remove(*slot) {
                self.bind(parent, *slot, value, reach);
            }
        }
    }
}

/// What `CATCH name` sees.
fn as_value(failure: &Failure) -> Value {
    json!({ "kind": failure.kind, "message": failure.message, "line": failure.line, "column": failure.column })
}
