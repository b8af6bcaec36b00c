//! What the driver knows: scopes, the entries in them, and the rows of the report.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use praxis_dsl::checked::Operand;
use rustc_hash::FxHashMap;
use serde_json::Value;
use smallvec::SmallVec;

use crate::effect::WriteIndex;
use crate::executor::{CacheUse, StepOutput};
use crate::plan::{BlockId, Loop, Slot, Statement, StepIndex};
use crate::report::{Elided, Failure, StepStatus};

use super::Driver;

/// An index into a slab, with a number that tells its tenants apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) index: u32,
    pub(super) sequence: u32,
}

#[derive(Debug)]
pub(super) enum Todo {
    Activate(Key),
    Issue(Key),
    Advance(Key),
}

/// Why the run is over.
#[derive(Debug)]
pub(super) enum End {
    Succeeded(Value),
    Failed(Failure),
    Cancelled,
    TimedOut,
}

/// The names of a scope, by slots that the plan has numbered.
///
/// The program binds most of them, so it has a place for each; what it binds one after the other
/// then lies side by side in memory, too.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    places: Vec<Option<Name>>,
    named: FxHashMap<Slot, Name>,
}

impl Bindings {
    /// For the program itself, with a place for each of `names` slots.
    pub(super) fn for_program(names: usize) -> Self {
        Self {
            places: std::iter::repeat_with(|| None).take(names).collect(),
            named: FxHashMap::default(),
        }
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Name> {
        match self.places.get(slot as usize) {
            Some(place) => place.as_ref(),
            None => self.named.get(&slot),
        }
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Name> {
        match self.places.get_mut(slot as usize) {
            Some(place) => place.as_mut(),
            None => self.named.get_mut(&slot),
        }
    }

    pub(super) fn insert(&mut self, slot: Slot, name: Name) -> Option<Name> {
        match self.places.get_mut(slot as usize) {
            Some(place) => place.replace(name),
            None => self.named.insert(slot, name),
        }
    }

    /// Notes that the name will have a value, unless it has a place already.
    pub(super) fn expect(&mut self, slot: Slot) {
        let pending = || Name::Pending(SmallVec::new());
        match self.places.get_mut(slot as usize) {
            Some(place) => {
                place.get_or_insert_with(pending);
            }
            None => {
                self.named.entry(slot).or_insert_with(pending);
            }
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Name> {
        match self.places.get_mut(slot as usize) {
            Some(place) => place.take(),
            None => self.named.remove(&slot),
        }
    }
}

/// A name's value, or who waits for it.
#[derive(Debug)]
pub(super) enum Name {
    Value(Arc<Value>),
    Pending(SmallVec<[Key; 2]>),
}

/// The way to a scope from the program.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Positions, for the report's order.
    pub(super) path: SmallVec<[u32; 4]>,
    /// What stands behind the ids of its steps: the numbers of the rounds.
    suffix: Option<Arc<str>>,
}

impl Way {
    pub(super) fn below(&self, more: &[u32]) -> Arc<Self> {
        Arc::new(Self {
            path: self.path.iter().chain(more).copied().collect(),
            suffix: self.suffix.clone(),
        })
    }

    pub(super) fn round(&self, position: u32) -> Arc<Self> {
        let around = self.suffix.as_deref().unwrap_or_default();
        Arc::new(Self {
            path: self.path.iter().copied().chain([position]).collect(),
            suffix: Some(format!("{around}[{position}]").into()),
        })
    }

    /// The id that the step has here.
    pub(super) fn id<'a>(&self, step: &'a Arc<str>) -> Cow<'a, Arc<str>> {
        match &self.suffix {
            Some(suffix) => Cow::Owned(Arc::from([&**step, &**suffix].concat())),
            None => Cow::Borrowed(step),
        }
    }
}

/// A block that runs, or the children of a `PARALLEL`, or the rounds of a `FOR`.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) key: Key,
    pub(super) kind: ScopeKind<'a>,
    /// The scope around it, the entry there, and that entry's position.
    pub(super) parent: Option<(Key, Key, u32)>,
    pub(super) way: Arc<Way>,
    /// The position of the program's own statement that it stands in.
    pub(super) place: u32,
    /// The length of the way behind the statement that it belongs to.
    pub(super) height: u32,
    pub(super) total: u32,
    /// The next position to issue.
    pub(super) next: u32,
    /// How many of its first entries are done; counts all that are done where there is no order.
    pub(super) retired: u32,
    /// The entries from position `first` on.
    pub(super) entries: VecDeque<Key>,
    pub(super) first: u32,
    /// The first failure by position.
    pub(super) failure: Option<(u32, Failure)>,
    /// Set while a statement that may end the run is not done.
    pub(super) stalled: bool,
    pub(super) names: Bindings,
    pub(super) writes: WriteIndex,
    /// Entries (of this scope or within) that wait for the prefix up to a position.
    pub(super) waiting: BinaryHeap<Reverse<(u32, Key)>>,
    /// The longest chain of durations up to its opening.
    pub(super) base: Duration,
    /// The longest chain of durations to the done prefix.
    pub(super) reach: Duration,
    /// How many rows there were when it was opened: none of its own stands before.
    pub(super) first_row: usize,
    /// Tasks of cancelled children that have not ended.
    pub(super) draining: u32,
}

#[derive(Debug)]
pub(super) enum ScopeKind<'a> {
    Block(BlockId),
    Group(Group<'a>),
}

#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) members: Members<'a>,
    pub(super) ordered: bool,
    /// How many members may be begun and not done.
    pub(super) limit: usize,
    pub(super) open: usize,
    pub(super) fail_fast: bool,
    pub(super) any: bool,
    pub(super) won: bool,
    /// For each collected name, the rounds' values.
    pub(super) collected: Vec<Vec<Arc<Value>>>,
}

#[derive(Debug)]
pub(super) enum Members<'a> {
    Children(&'a [BlockId]),
    Rounds { each: &'a Loop, items: Items },
}

/// The list of a loop: shared with the name that holds it, if one does.
#[derive(Debug)]
pub(super) struct Items(Arc<Value>);

impl Items {
    /// The value as a list, or back if it is none.
    pub(super) fn new(value: Arc<Value>) -> Result<Self, Arc<Value>> {
        if value.is_array() {
            Ok(Self(value))
        } else {
            Err(value)
        }
    }

    pub(super) fn all(&self) -> &[Value] {
        self.0.as_array().map_or(&[], Vec::as_slice)
    }
}

impl Scope<'_> {
    /// Whether its entries have an order.
    pub(super) fn ordered(&self) -> bool {
        match &self.kind {
            ScopeKind::Block(_) => true,
            ScopeKind::Group(group) => group.ordered,
        }
    }

    /// The entry at `position`, unless it is done and gone.
    pub(super) fn entry_at(&self, position: u32) -> Option<Key> {
        let offset = position.checked_sub(self.first)?;
        self.entries.get(offset as usize).copied()
    }
}

/// A statement, or a member of a group, that was issued.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) scope: Key,
    pub(super) position: u32,
    pub(super) state: EntryState,
    /// How many things it still waits for.
    pub(super) pending: u32,
    /// Entries that wait until it is done.
    pub(super) dependents: Vec<Key>,
    /// The longest chain of durations up to it, and with it once it is done.
    pub(super) reach: Duration,
    pub(super) row: Option<u32>,
    pub(super) child: Option<Key>,
    /// The number of its task.
    pub(super) task: Option<usize>,
    /// Whether a `TRY` is in its handler.
    pub(super) handling: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryState {
    Waiting,
    Queued,
    Running,
    Open,
    Done,
    Failed,
    Dead,
}

/// A step that could start: the longest way to the end first, then program order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) height: u32,
    /// The position of the program's own statement that it stands in.
    pub(super) place: u32,
    pub(super) key: Key,
}

impl Ord for Ready {
    fn cmp(&self, other: &Self) -> Ordering {
        self.height
            .cmp(&other.height)
            .then_with(|| other.place.cmp(&self.place))
            .then_with(|| other.key.sequence.cmp(&self.key.sequence))
    }
}

/// The steps that could start.
///
/// Most come in the order in which they go, and then a queue is enough; the others are a heap.
#[derive(Debug, Default)]
pub(super) struct ReadyQueue {
    in_order: VecDeque<Ready>,
    others: BinaryHeap<Ready>,
}

impl ReadyQueue {
    pub(super) fn push(&mut self, ready: Ready) {
        match self.in_order.back() {
            Some(last) if *last < ready => self.others.push(ready),
            _ => self.in_order.push_back(ready),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Ready> {
        if self.others.peek() > self.in_order.front() {
            self.others.pop()
        } else {
            self.in_order.pop_front()
        }
    }
}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A line of the report in the making.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) step: StepIndex,
    pub(super) position: u32,
    /// The way to its scope.
    pub(super) scope: Arc<Way>,
    pub(super) status: Option<StepStatus>,
    /// A round that an earlier round's failure kept from being; one by one it would not have begun.
    pub(super) hidden: bool,
    pub(super) cache: CacheUse,
    pub(super) attempts: u32,
    pub(super) started: Option<Duration>,
    pub(super) duration: Duration,
    pub(super) more: Option<Box<RowDetails>>,
}

/// What most rows do not have.
#[derive(Debug, Default)]
pub(super) struct RowDetails {
    /// The result, to tell which rows share one remembered value.
    pub(super) value: Weak<Value>,
    pub(super) engine: Option<Arc<str>>,
    pub(super) error: Option<Box<Failure>>,
    pub(super) elided: Option<Elided>,
}

impl Row {
    pub(super) fn new(step: StepIndex, scope: &Arc<Way>, position: u32) -> Self {
        Self {
            step,
            position,
            scope: Arc::clone(scope),
            status: None,
            hidden: false,
            cache: CacheUse::Bypassed,
            attempts: 0,
            started: None,
            duration: Duration::ZERO,
            more: None,
        }
    }

    pub(super) fn details(&mut self) -> &mut RowDetails {
        self.more.get_or_insert_default()
    }

    pub(super) fn engine(&self) -> Option<&Arc<str>> {
        self.more.as_ref()?.engine.as_ref()
    }

    pub(super) fn set_engine(&mut self, engine: Option<Arc<str>>) {
        if engine.is_some() || self.more.is_some() {
            self.details().engine = engine;
        }
    }

    /// Notes how a step came by its result.
    pub(super) fn note(&mut self, output: &StepOutput) {
        self.cache = output.cache;
        if output.cache != CacheUse::Bypassed {
            self.details().value = Arc::downgrade(&output.value);
        }
        self.set_engine(output.engine.clone());
    }

    /// It was running when it was cancelled, `now` after the run's start.
    pub(super) fn cancel(&mut self, now: Duration) {
        self.status = Some(StepStatus::Cancelled);
        self.attempts = 1;
        self.duration = self
            .started
            .map_or(Duration::ZERO, |started| now.saturating_sub(started));
    }

    /// The way to it from the program: program order, once rows are sorted by it.
    pub(super) fn way(&self) -> impl Iterator<Item = u32> {
        self.scope.path.iter().copied().chain([self.position])
    }
}

impl<'a> Driver<'a> {
    pub(super) fn scope(&self, key: Key) -> Option<&Scope<'a>> {
        self.scopes
            .get(key.index as usize)
            .filter(|scope| scope.key.sequence == key.sequence)
    }

    pub(super) fn scope_mut(&mut self, key: Key) -> Option<&mut Scope<'a>> {
        self.scopes
            .get_mut(key.index as usize)
            .filter(|scope| scope.key.sequence == key.sequence)
    }

    pub(super) fn entry(&self, key: Key) -> Option<&Entry> {
        self.entries
            .get(key.index as usize)
            .filter(|entry| entry.key.sequence == key.sequence)
    }

    pub(super) fn entry_mut(&mut self, key: Key) -> Option<&mut Entry> {
        self.entries
            .get_mut(key.index as usize)
            .filter(|entry| entry.key.sequence == key.sequence)
    }

    pub(super) fn statement_at(&self, scope: Key, position: u32) -> Option<&'a Statement> {
        match self.scope(scope)?.kind {
            ScopeKind::Block(block) => self.plan.block(block).statements.get(position as usize),
            ScopeKind::Group(_) => None,
        }
    }

    pub(super) fn set_state(&mut self, key: Key, state: EntryState) {
        if let Some(entry) = self.entry_mut(key) {
            entry.state = state;
        }
    }

    pub(super) fn lookup(&self, scope: Key, name: &str) -> Option<Value> {
        let slot = self.plan.names.slot(name)?;
        self.value(scope, slot).map(|value| Value::clone(value))
    }

    pub(super) fn resolve(&self, scope: Key, operand: &Operand) -> Result<Value, String> {
        if let Operand::Reference(reference) = operand
            && let Some(slot) = self.plan.names.slot(&reference.name)
            && let Some(value) = self.value(scope, slot)
        {
            // Only the part that is referred to is copied.
            let part = reference.find(value).map_err(|error| error.to_string())?;
            return Ok(part.clone());
        }
        operand
            .resolve(&|name| self.lookup(scope, name))
            .map_err(|error| error.to_string())
    }
}
