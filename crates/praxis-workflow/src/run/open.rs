//! Statements that begin: names are worked out, branches chosen, scopes opened.

use std::sync::Arc;
use std::time::Duration;

use praxis_dsl::Expression;
use praxis_dsl::checked::{Location, Operand, Reference};
use serde_json::Value;

use crate::plan::{BlockId, Loop, Statement, StatementKind};
use crate::report::Failure;

use super::Driver;
use super::issue::Opening;
use super::state::{Bindings, End, EntryState, Group, Items, Key, Members, Name, Ready, ScopeKind};

impl<'a> Driver<'a> {
    pub(super) fn activate(&mut self, key: Key) {
        let Some(entry) = self.entry(key) else { return };
        if entry.state != EntryState::Waiting {
            return;
        }
        let (scope_key, position) = (entry.scope, entry.position);
        let Some(scope) = self.scope(scope_key) else {
            return;
        };
        match &scope.kind {
            ScopeKind::Group(_) => self.open_member(key),
            ScopeKind::Block(block) => {
                let statement = &self.plan.block(*block).statements[position as usize];
                let height = scope.height.saturating_add(statement.height);
                let place = if scope.parent.is_some() {
                    scope.place
                } else {
                    position
                };
                match &statement.kind {
                    StatementKind::Call(step) => {
                        if let Some(twin) = self.twin(*step) {
                            return self.share(key, scope_key, *step, twin);
                        }
                        self.set_state(key, EntryState::Queued);
                        self.ready.push(Ready { height, place, key });
                    }
                    StatementKind::Let { slot, value } => match self.resolve(scope_key, value) {
                        Ok(value) => {
                            self.bind(scope_key, *slot, Arc::new(value), Duration::ZERO);
                            self.complete(key);
                        }
                        Err(message) => self.fail(key, evaluation(message, statement.location)),
                    },
                    StatementKind::Return(value) => {
                        let value = value
                            .as_ref()
                            .map_or(Ok(Value::Null), |value| self.resolve(scope_key, value));
                        match value {
                            Ok(value) => self.end = Some(End::Succeeded(value)),
                            Err(message) => self.fail(key, evaluation(message, statement.location)),
                        }
                    }
                    StatementKind::Parallel {
                        children,
                        limit,
                        fail_fast,
                        any,
                    } => {
                        let limit = if self.options.optimize {
                            limit.unwrap_or(usize::MAX)
                        } else {
                            1
                        };
                        let group = Group {
                            members: Members::Children(children),
                            ordered: false,
                            limit,
                            open: 0,
                            fail_fast: *fail_fast,
                            any: *any,
                            won: false,
                            collected: Vec::new(),
                        };
                        self.open_group(key, group, children.len());
                    }
                    StatementKind::If {
                        branches,
                        otherwise,
                    } => {
                        self.choose(key, scope_key, branches, *otherwise);
                    }
                    StatementKind::For(each) => self.begin_loop(key, scope_key, statement, each),
                    StatementKind::Try { body, .. } => {
                        self.open_block(key, *body, &[position, 0], Bindings::default());
                    }
                }
            }
        }
    }

    fn choose(
        &mut self,
        key: Key,
        scope: Key,
        branches: &[(Expression, BlockId, Location)],
        otherwise: BlockId,
    ) {
        let position = self.entry(key).map_or(0, |entry| entry.position);
        let mut chosen = branches.len();
        for (index, (condition, _, location)) in branches.iter().enumerate() {
            let lookup = |name: &str| self.lookup(scope, name);
            match condition.condition(&lookup) {
                Ok(true) => {
                    chosen = index;
                    break;
                }
                Ok(false) => {}
                Err(error) => return self.fail(key, evaluation(error.to_string(), *location)),
            }
        }
        let blocks = branches.iter().map(|branch| branch.1).chain([otherwise]);
        for (index, block) in blocks.enumerate() {
            let way = [position, index as u32];
            if index == chosen {
                self.open_block(key, block, &way, Bindings::default());
            } else if let Some(scope) = self.scope(scope) {
                let way = scope.way.below(&way);
                self.skip_block(block, 0, &way);
            }
        }
    }

    fn begin_loop(&mut self, key: Key, scope: Key, statement: &'a Statement, each: &'a Loop) {
        let items = match self.as_it_stands(scope, &each.items).map(Items::new) {
            Ok(Ok(items)) => items,
            Ok(Err(other)) => {
                let message = format!("FOR needs a list, not {}", kind_of(&other));
                return self.fail(key, evaluation(message, statement.location));
            }
            Err(message) => return self.fail(key, evaluation(message, statement.location)),
        };
        let ahead = self.options.window.max(self.options.jobs);
        let limit = match () {
            () if !self.options.optimize || (statement.may_return && !each.parallel) => 1,
            () => each.limit.unwrap_or(ahead),
        };
        let nothing = Arc::new(Value::Null);
        let count = items.all().len();
        if count == 0
            && let Some(entry) = self.entry(key)
            && let Some(around) = self.scope(scope)
        {
            let way = around.way.below(&[entry.position, 0]);
            self.skip_block(each.body, 0, &way);
        }
        let group = Group {
            members: Members::Rounds { each, items },
            ordered: !each.parallel,
            limit,
            open: 0,
            fail_fast: false,
            any: false,
            won: false,
            collected: each
                .collect
                .iter()
                .map(|_| vec![Arc::clone(&nothing); count])
                .collect(),
        };
        self.open_group(key, group, count);
    }

    /// The value of an operand, without a copy where it is a name as it stands.
    fn as_it_stands(&self, scope: Key, operand: &Operand) -> Result<Arc<Value>, String> {
        if let Operand::Reference(Reference { name, path }) = operand
            && path.is_empty()
            && let Some(slot) = self.plan.names.slot(name)
            && let Some(value) = self.value(scope, slot)
        {
            return Ok(Arc::clone(value));
        }
        self.resolve(scope, operand).map(Arc::new)
    }

    fn open_group(&mut self, key: Key, group: Group<'a>, total: usize) {
        let Some((scope_key, position, reach)) = self.begin(key) else {
            return;
        };
        let Some(scope) = self.scope(scope_key) else {
            return;
        };
        let opening = Opening {
            kind: ScopeKind::Group(group),
            total,
            parent: Some((scope_key, key, position)),
            way: scope.way.below(&[position]),
            height: self.height_behind(scope_key, position),
            reach,
            names: Bindings::default(),
        };
        self.open_child(key, opening);
    }

    fn open_member(&mut self, key: Key) {
        let Some((scope_key, position, reach)) = self.begin(key) else {
            return;
        };
        let Some(scope) = self.scope(scope_key) else {
            return;
        };
        let ScopeKind::Group(group) = &scope.kind else {
            return;
        };
        let mut names = Bindings::default();
        let (block, way) = match &group.members {
            Members::Children(blocks) => (blocks[position as usize], scope.way.below(&[position])),
            Members::Rounds { each, items } => {
                let item = Arc::new(items.all()[position as usize].clone());
                names.insert(each.variable, Name::Value(item));
                (each.body, scope.way.round(position))
            }
        };
        let opening = Opening {
            kind: ScopeKind::Block(block),
            total: self.plan.block(block).statements.len(),
            parent: Some((scope_key, key, position)),
            way,
            height: scope.height,
            reach,
            names,
        };
        self.open_child(key, opening);
    }

    /// What stands on the longest way from the end of a statement to the end of the program.
    fn height_behind(&self, scope: Key, position: u32) -> u32 {
        let around = self.scope(scope).map_or(0, |scope| scope.height);
        let behind = self.statement_at(scope, position);
        around.saturating_add(behind.map_or(0, |statement| statement.behind))
    }

    pub(super) fn open_block(&mut self, key: Key, block: BlockId, way: &[u32], names: Bindings) {
        let Some((scope_key, position, reach)) = self.begin(key) else {
            return;
        };
        let Some(scope) = self.scope(scope_key) else {
            return;
        };
        let opening = Opening {
            kind: ScopeKind::Block(block),
            total: self.plan.block(block).statements.len(),
            parent: Some((scope_key, key, position)),
            way: scope.way.below(way),
            height: self.height_behind(scope_key, position),
            reach,
            names,
        };
        self.open_child(key, opening);
    }

    fn begin(&mut self, key: Key) -> Option<(Key, u32, Duration)> {
        let entry = self.entry_mut(key)?;
        entry.state = EntryState::Open;
        Some((entry.scope, entry.position, entry.reach))
    }

    fn open_child(&mut self, key: Key, opening: Opening<'a>) {
        let child = self.open(opening);
        if let Some(entry) = self.entry_mut(key) {
            entry.child = Some(child);
        }
    }
}

pub(super) fn evaluation(message: String, location: Location) -> Failure {
    Failure {
        kind: "evaluation".to_owned(),
        message,
        line: Some(location.line),
        column: Some(location.column),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
