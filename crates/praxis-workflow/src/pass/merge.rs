//! Pure steps that an earlier one has done already.
//!
//! Values are numbered along the dominator tree of a structured program, which is its nesting
//! (P. Briggs, K. D. Cooper, L. T. Simpson, *Value Numbering*, 1997): two calls of one pure tool
//! whose arguments have the same numbers have the same result. The earlier one stands in the same
//! block or in one around it, so it has succeeded whenever the later one is reached; if it fails,
//! the program fails there, in order. The later one must not be able to fail on its own: it has no
//! time limit, and engine, agent and retries are those of the earlier one. And nothing that changes the
//! world stands between the two: it might change the program that the tool is.

use std::collections::HashMap;
use std::fmt::Write;

use praxis_dsl::checked::{Operand, Piece, Reference};

use crate::effect::EffectClass;
use crate::plan::{BlockId, Plan, Slot, Statement, StatementKind, StepIndex, Twin, Writers};

use super::{Change, PassName};

/// Arguments with longer descriptions are not compared.
const LONGEST: usize = 4096;

pub(super) fn merge(plan: &mut Plan) {
    let mut numbering = Numbering {
        plan,
        numbers: HashMap::new(),
        next: 0,
        firsts: HashMap::new(),
        changes: 0,
        merged: Vec::new(),
    };
    for input in &numbering.plan.inputs {
        numbering.next += 1;
        numbering.numbers.insert(input.slot, numbering.next);
    }
    numbering.block(0);
    let merged = numbering.merged;
    for (later, first) in merged {
        note(plan, later, first);
    }
}

/// Where a call stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    block: BlockId,
    position: usize,
    step: StepIndex,
}

struct Numbering<'p> {
    plan: &'p Plan,
    /// What each name holds: names with one number hold the same value.
    numbers: HashMap<Slot, u32>,
    next: u32,
    /// The first call that gives a value, its number, and how often the world had changed.
    firsts: HashMap<String, (Place, u32, u32)>,
    /// Counts what may change the world.
    changes: u32,
    merged: Vec<(Place, Place)>,
}

impl Numbering<'_> {
    /// The recursion goes as deep as the blocks, which the parser limits.
    fn block(&mut self, id: BlockId) {
        let plan = self.plan;
        if plan.block(id).never {
            return;
        }
        let mut found = Vec::new();
        let mut before = Vec::new();
        for (position, statement) in plan.block(id).statements.iter().enumerate() {
            match &statement.kind {
                StatementKind::Call(step) => {
                    let place = Place {
                        block: id,
                        position,
                        step: *step,
                    };
                    let number = self.call(place, &mut found);
                    self.changed(statement);
                    self.bind(plan.step(*step).bind, number, &mut before);
                }
                StatementKind::Let { slot, value } => {
                    let number = match value {
                        Operand::Reference(Reference { name, path }) if path.is_empty() => {
                            self.number(name)
                        }
                        _ => None,
                    };
                    let number = number.unwrap_or_else(|| self.fresh());
                    self.bind(Some(*slot), number, &mut before);
                }
                _ => {
                    // Rounds and children stand behind the changes of their siblings, too.
                    self.changed(statement);
                    self.inside(statement, &mut before);
                    self.changed(statement);
                }
            }
        }
        for key in found {
            self.firsts.remove(&key);
        }
        for (slot, number) in before.into_iter().rev() {
            match number {
                Some(number) => self.numbers.insert(slot, number),
                None => self.numbers.remove(&slot),
            };
        }
    }

    fn inside(&mut self, statement: &Statement, before: &mut Vec<(Slot, Option<u32>)>) {
        let own = match &statement.kind {
            StatementKind::For(each) => Some(each.variable),
            StatementKind::Try { error, .. } => *error,
            _ => None,
        };
        for block in statement.kind.blocks() {
            let number = self.fresh();
            let mut inner = Vec::new();
            self.bind(own, number, &mut inner);
            self.block(block);
            for (slot, number) in inner {
                match number {
                    Some(number) => self.numbers.insert(slot, number),
                    None => self.numbers.remove(&slot),
                };
            }
        }
        for slot in &statement.binds {
            let number = self.fresh();
            self.bind(Some(*slot), number, before);
        }
    }

    fn changed(&mut self, statement: &Statement) {
        self.changes += u32::from(statement.writers != Writers::none());
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn bind(&mut self, slot: Option<Slot>, number: u32, before: &mut Vec<(Slot, Option<u32>)>) {
        if let Some(slot) = slot {
            before.push((slot, self.numbers.insert(slot, number)));
        }
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(&self.plan.names.slot(name)?).copied()
    }

    /// The number of a call's result.
    fn call(&mut self, place: Place, found: &mut Vec<String>) -> u32 {
        let Some(key) = self.key(place.step) else {
            return self.fresh();
        };
        if let Some(&(first, number, changes)) = self.firsts.get(&key)
            && changes == self.changes
        {
            if self.plan.step(place.step).timeout.is_none() {
                self.merged.push((place, first));
            }
            return number;
        }
        let number = self.fresh();
        let first = (place, number, self.changes);
        self.firsts.insert(key.clone(), first);
        found.push(key);
        number
    }

    /// What decides the result of a call; `None` for one that is not to be merged.
    fn key(&self, step: StepIndex) -> Option<String> {
        let step = self.plan.step(step);
        if step.class != EffectClass::Pure || step.cache == Some(false) {
            return None;
        }
        let mut arguments: Vec<&(String, Operand)> = step.arguments.iter().collect();
        arguments.sort_by_key(|(name, _)| name);
        let mut key = format!(
            "{:?} {:?} {:?} {}",
            step.tool, step.engine, step.agent, step.retries
        );
        for (name, operand) in arguments {
            write!(key, " {name:?}=").expect("a string takes text");
            self.describe(operand, &mut key)?;
            if key.len() > LONGEST {
                return None;
            }
        }
        Some(key)
    }

    fn describe(&self, operand: &Operand, key: &mut String) -> Option<()> {
        match operand {
            Operand::Literal(value) => {
                // A long one is not even written out.
                if value.as_str().is_some_and(|text| text.len() > LONGEST) {
                    return None;
                }
                write!(key, "{value}").ok()
            }
            Operand::Reference(reference) => {
                let number = self.number(&reference.name)?;
                write!(key, "${number}{:?}", reference.path).ok()
            }
            Operand::Expression(expression) => {
                write!(key, "{{{:?}", expression.source()).ok()?;
                for name in expression.names() {
                    write!(key, " {name}={}", self.number(name)?).ok()?;
                }
                write!(key, "}}").ok()
            }
            Operand::Template(pieces) => {
                key.push('[');
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => write!(key, "{text:?},").ok()?,
                        Piece::Value(operand) => self.describe(operand, key)?,
                    }
                }
                key.push(']');
                Some(())
            }
        }
    }
}

/// Notes that `later` gives what `first` gave. It waits for that result as for any name; a result
/// without a name gets one that no program can spell.
fn note(plan: &mut Plan, later: Place, first: Place) {
    let slot = match plan.step(first.step).bind {
        Some(slot) => slot,
        None => {
            let slot = plan.names.intern(&format!("\0{}", first.step));
            plan.steps[first.step as usize].bind = Some(slot);
            plan.blocks[first.block as usize].statements[first.position]
                .binds
                .push(slot);
            slot
        }
    };
    plan.steps[first.step as usize].shared = true;
    plan.steps[later.step as usize].twin = Some(Twin {
        step: first.step,
        slot,
    });
    let statement = &mut plan.blocks[later.block as usize].statements[later.position];
    if !statement.needs.contains(&slot) {
        statement.needs.push(slot);
    }
    let (own, other) = (plan.step(later.step), plan.step(first.step));
    let text = format!(
        "`{}` is not run: `{}` on line {} has called {} with the same arguments",
        own.id, other.id, other.location.line, own.tool
    );
    let line = own.location.line;
    plan.changes.push(Change {
        pass: PassName::Merge,
        line,
        text,
    });
}
