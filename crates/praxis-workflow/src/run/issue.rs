//! Issuing: an entry for each statement, in program order, with all that it waits for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use praxis_dsl::checked::Operand;
use serde_json::Value;

use crate::effect::{EffectClass, ResourcePath, WriteIndex};
use crate::plan::{AfterRef, Slot, Statement, StatementKind, Writers};

use super::Driver;
use super::state::{
    Bindings, Entry, EntryState, Key, Members, Name, Row, Scope, ScopeKind, Todo, Way,
};

/// After this many blocks that might have written, a reading step waits for everything instead.
const MOST_ASKED: u32 = 32;

/// A scope to be opened.
pub(super) struct Opening<'a> {
    pub(super) kind: ScopeKind<'a>,
    pub(super) total: usize,
    pub(super) parent: Option<(Key, Key, u32)>,
    pub(super) way: Arc<Way>,
    pub(super) height: u32,
    pub(super) reach: Duration,
    pub(super) names: Bindings,
}

impl<'a> Driver<'a> {
    pub(super) fn open_program(&mut self, names: Bindings) {
        self.open(Opening {
            kind: ScopeKind::Block(0),
            total: self.plan.block(0).statements.len(),
            parent: None,
            way: Arc::default(),
            height: 0,
            reach: Duration::ZERO,
            names,
        });
    }

    pub(super) fn open(&mut self, opening: Opening<'a>) -> Key {
        let index = self.scopes.vacant_key();
        let key = self.key(index);
        let place = opening
            .parent
            .map_or(0, |(parent, _, position)| match self.scope(parent) {
                Some(around) if around.parent.is_some() => around.place,
                _ => position,
            });
        self.scopes.insert(Scope {
            key,
            place,
            kind: opening.kind,
            parent: opening.parent,
            way: opening.way,
            height: opening.height,
            total: opening.total as u32,
            next: 0,
            retired: 0,
            entries: VecDeque::new(),
            first: 0,
            failure: None,
            stalled: false,
            names: opening.names,
            writes: WriteIndex::default(),
            waiting: BinaryHeap::new(),
            base: opening.reach,
            reach: opening.reach,
            first_row: self.rows.len(),
            draining: 0,
        });
        self.todo.push_back(Todo::Issue(key));
        key
    }

    /// Issues what may be issued, and settles a scope that has nothing (more) to do.
    pub(super) fn issue(&mut self, key: Key) {
        while let Some(scope) = self.scope(key) {
            let failed = scope.ordered() && scope.failure.is_some();
            if failed || scope.next == scope.total || scope.stalled {
                break;
            }
            match &scope.kind {
                ScopeKind::Block(block) => {
                    let statement = &self.plan.block(*block).statements[scope.next as usize];
                    self.issue_statement(key, statement);
                }
                ScopeKind::Group(group) if group.open < group.limit && !group.won => {
                    self.issue_member(key);
                }
                ScopeKind::Group(_) => break,
            }
        }
        self.todo.push_back(Todo::Advance(key));
    }

    fn new_entry(&mut self, scope_key: Key, pending: u32) -> Key {
        let index = self.entries.vacant_key();
        let key = self.key(index);
        let scope = self
            .scope_mut(scope_key)
            .expect("the caller has just looked it up");
        let position = scope.next;
        scope.next += 1;
        scope.entries.push_back(key);
        let reach = scope.base;
        self.entries.insert(Entry {
            key,
            scope: scope_key,
            position,
            state: EntryState::Waiting,
            pending,
            dependents: Vec::new(),
            reach,
            row: None,
            child: None,
            task: None,
            handling: false,
        });
        key
    }

    fn issue_member(&mut self, scope_key: Key) {
        let key = self.new_entry(scope_key, 0);
        let scope = self
            .scope(scope_key)
            .expect("an entry was just added to it");
        let position = scope.next - 1;
        if scope.ordered() {
            let writers = self
                .statement_of(scope_key)
                .map(|statement| &statement.writers);
            let paths = writers
                .map(|writers| self.written(scope_key, writers, position))
                .unwrap_or_default();
            self.record(scope_key, position, &paths);
        }
        if let Some(scope) = self.scope_mut(scope_key)
            && let ScopeKind::Group(group) = &mut scope.kind
        {
            group.open += 1;
        }
        self.todo.push_back(Todo::Activate(key));
    }

    /// The statement that a group belongs to.
    pub(super) fn statement_of(&self, group: Key) -> Option<&'a Statement> {
        let (parent, _, position) = self.scope(group)?.parent?;
        match self.scope(parent)?.kind {
            ScopeKind::Block(block) => self.plan.block(block).statements.get(position as usize),
            ScopeKind::Group(_) => None,
        }
    }

    fn issue_statement(&mut self, scope_key: Key, statement: &'a Statement) {
        // The entry counts one wait for its own issue, so that nothing starts it half-made.
        let key = self.new_entry(scope_key, 1);
        let position = self.entry(key).map_or(0, |entry| entry.position);
        let mut pending = 0;
        for slot in &statement.needs {
            pending += u32::from(self.wait_for_name(key, scope_key, *slot));
        }
        for after in &statement.after {
            pending += u32::from(self.wait_for_step(key, scope_key, *after));
        }
        let mut commits =
            !self.options.optimize || matches!(statement.kind, StatementKind::Return(_));
        if let StatementKind::Call(index) = statement.kind {
            let step = self.plan.step(index);
            commits |= step.class.changes_the_world();
            if step.class == EffectClass::Read && !commits {
                let known = |operand: &Operand| self.known(scope_key, operand, None);
                for path in
                    step.resources(&step.reads, &known, &|text| self.executor.resource(text))
                {
                    pending += self.wait_for_writes(key, scope_key, position, &path);
                }
            }
            let row = self.rows.len() as u32;
            let scope = self.scope(scope_key).expect("its entry was just made");
            self.rows.push(Row::new(index, &scope.way, position));
            if let Some(entry) = self.entry_mut(key) {
                entry.row = Some(row);
            }
        }
        if statement.writers != Writers::Steps(Vec::new()) {
            let paths = self.written(scope_key, &statement.writers, position);
            self.record(scope_key, position, &paths);
        }
        if let Some(scope) = self.scope_mut(scope_key) {
            for slot in &statement.binds {
                scope.names.expect(*slot);
            }
            scope.stalled = statement.may_return;
        }
        if commits {
            pending += u32::from(!self.climb(key, scope_key, position));
        }
        if let Some(entry) = self.entry_mut(key) {
            entry.pending += pending;
        }
        self.wake(key, Duration::ZERO);
    }

    /// Takes one wait from an entry; the last one sets it going.
    pub(super) fn wake(&mut self, key: Key, reach: Duration) {
        let Some(entry) = self.entry_mut(key) else {
            return;
        };
        entry.reach = entry.reach.max(reach);
        entry.pending -= 1;
        if entry.pending == 0 && entry.state == EntryState::Waiting {
            self.todo.push_back(Todo::Activate(key));
        }
    }

    fn wait_for_name(&mut self, key: Key, scope: Key, slot: Slot) -> bool {
        let Some(holder) = self.holder(scope, slot) else {
            return false;
        };
        match self
            .scope_mut(holder)
            .and_then(|scope| scope.names.get_mut(slot))
        {
            Some(Name::Pending(waiters)) => {
                waiters.push(key);
                true
            }
            _ => false,
        }
    }

    fn wait_for_step(&mut self, key: Key, scope: Key, after: AfterRef) -> bool {
        let mut at = scope;
        for _ in 0..after.levels {
            let Some((parent, ..)) = self.scope(at).and_then(|scope| scope.parent) else {
                return false;
            };
            at = parent;
        }
        let target = self
            .scope(at)
            .and_then(|scope| scope.entry_at(after.position));
        target.is_some_and(|target| self.wait_for_entry(key, target))
    }

    fn wait_for_entry(&mut self, key: Key, target: Key) -> bool {
        match self.entry_mut(target) {
            Some(target) if target.state != EntryState::Done => {
                target.dependents.push(key);
                true
            }
            _ => false,
        }
    }

    /// Waits for the writes before `position` that overlap with `path`, here and further out;
    /// gives how many it waits for.
    ///
    /// A call that writes has itself waited for all before it, so the last one is enough. A block
    /// that only might have written has not, so what stands before it is asked for too.
    fn wait_for_writes(&mut self, key: Key, from: Key, position: u32, path: &ResourcePath) -> u32 {
        let (mut at, mut before) = (from, position);
        let mut waits = 0;
        let mut asked = 0;
        while let Some(scope) = self.scope(at) {
            let last = scope
                .ordered()
                .then(|| scope.writes.last_before(path, before))
                .flatten();
            // One that has left the scope's entries was done with all before it.
            let target = last.and_then(|last| Some((last, scope.entry_at(last)?)));
            let Some((last, target)) = target else {
                let Some((parent, _, place)) = scope.parent else {
                    break;
                };
                (at, before) = (parent, place);
                continue;
            };
            let statement = self.statement_at(at, last);
            let is_call = matches!(
                statement,
                Some(Statement {
                    kind: StatementKind::Call(_),
                    ..
                })
            );
            waits += u32::from(self.wait_for_entry(key, target));
            asked += 1;
            if is_call {
                break;
            }
            if asked == MOST_ASKED {
                waits += u32::from(!self.climb(key, from, position));
                break;
            }
            before = last;
        }
        waits
    }

    /// Whether everything before `position` has succeeded, here and further out; if not, the
    /// entry is put down where it has to wait, and climbs on from there.
    pub(super) fn climb(&mut self, key: Key, scope: Key, position: u32) -> bool {
        let (mut at, mut position) = (scope, position);
        let mut reach = Duration::ZERO;
        while let Some(scope) = self.scope_mut(at) {
            if scope.ordered() {
                if scope.retired < position {
                    scope.waiting.push(Reverse((position, key)));
                    return false;
                }
                reach = reach.max(scope.reach);
            }
            let Some((parent, _, place)) = scope.parent else {
                break;
            };
            (at, position) = (parent, place);
        }
        if let Some(entry) = self.entry_mut(key) {
            entry.reach = entry.reach.max(reach);
        }
        true
    }

    fn record(&mut self, scope: Key, position: u32, paths: &[ResourcePath]) {
        if let Some(scope) = self.scope_mut(scope) {
            for path in paths {
                scope.writes.record(path, position);
            }
        }
    }

    fn written(&self, scope: Key, writers: &Writers, position: u32) -> Vec<ResourcePath> {
        let Writers::Steps(steps) = writers else {
            return vec![ResourcePath::everything()];
        };
        let round = self.scope(scope).and_then(|scope| match &scope.kind {
            ScopeKind::Group(group) => match &group.members {
                Members::Rounds { each, items } => {
                    Some((each.variable, items.all().get(position as usize)?))
                }
                Members::Children(_) => None,
            },
            ScopeKind::Block(_) => None,
        });
        let known = |operand: &Operand| self.known(scope, operand, round);
        let mut paths: Vec<ResourcePath> = steps
            .iter()
            .flat_map(|&step| {
                self.plan
                    .step(step)
                    .written(&known, &|text| self.executor.resource(text))
            })
            .collect();
        if paths.contains(&ResourcePath::everything()) {
            paths.truncate(1);
            paths[0] = ResourcePath::everything();
        }
        paths
    }

    /// The scope, from `scope` outwards, that has the name.
    pub(super) fn holder(&self, scope: Key, slot: Slot) -> Option<Key> {
        let mut at = Some(scope);
        while let Some(scope) = at.and_then(|key| self.scope(key)) {
            if scope.names.get(slot).is_some() {
                return Some(scope.key);
            }
            at = scope.parent.map(|(parent, ..)| parent);
        }
        None
    }

    /// The value of a name, once it has one.
    pub(super) fn value(&self, scope: Key, slot: Slot) -> Option<&Arc<Value>> {
        let holder = self.holder(scope, slot)?;
        match self.scope(holder)?.names.get(slot)? {
            Name::Value(value) => Some(value),
            Name::Pending(_) => None,
        }
    }

    /// What an operand is, if all that it refers to has a value already.
    fn known(&self, scope: Key, operand: &Operand, round: Option<(Slot, &Value)>) -> Option<Value> {
        let lookup = |name: &str| {
            let slot = self.plan.names.slot(name)?;
            match round {
                Some((variable, item)) if variable == slot => Some(item.clone()),
                _ => self.value(scope, slot).map(|value| Value::clone(value)),
            }
        };
        if operand.names().all(|name| lookup(name).is_some()) {
            operand.resolve(&lookup).ok()
        } else {
            None
        }
    }
}
