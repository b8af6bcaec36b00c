//! The lowered program: blocks of statements over numbered names, ready to be scheduled.
//!
//! `SEQUENCE` is gone (it is program order, as its surroundings are), names are slots, each
//! statement knows what it needs to start, what may be written below it, and how far the
//! longest way from it to the end of its block is.

use std::sync::Arc;
use std::time::Duration;

use praxis_dsl::{
    Expression,
    checked::{Location, Operand},
};
use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::arguments::Inputs;
use crate::effect::{EffectClass, ResourceParameter, ResourcePath};
use crate::pass::Change;

/// A bound name.
pub(crate) type Slot = u32;
/// An index into [`Plan::blocks`]; block 0 is the program.
pub(crate) type BlockId = u32;
/// An index into [`Plan::steps`].
pub(crate) type StepIndex = u32;

/// A program that can be run: made by [`crate::lower`] or by a [`crate::Workflow`].
#[derive(Debug)]
pub struct Plan {
    pub(crate) name: Option<String>,
    pub(crate) inputs: Vec<PlanInput>,
    pub(crate) names: Names,
    pub(crate) steps: Vec<StepSpec>,
    /// How many tools they call.
    pub(crate) tools: usize,
    pub(crate) blocks: Vec<Block>,
    /// What the passes noted, pass by pass.
    pub(crate) changes: Vec<Change>,
}

impl Plan {
    /// The program's name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How many calls stand in the program; a loop may run one of them many times.
    pub fn calls(&self) -> usize {
        self.steps.len()
    }

    /// The names of its inputs.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|input| input.name.as_str())
    }

    /// The calls as they stand in the program.
    pub fn described_calls(&self) -> impl Iterator<Item = PlannedCall<'_>> {
        self.steps.iter().map(|step| PlannedCall {
            id: &step.id,
            tool: &step.tool,
            line: step.location.line,
            engine: step.engine.as_deref(),
            agent: step.agent.as_deref(),
        })
    }
}

/// A call as it stands in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedCall<'a> {
    /// The step's id.
    pub id: &'a str,
    /// The tool's name.
    pub tool: &'a str,
    /// The line of the `CALL`.
    pub line: u32,
    /// `@engine`.
    pub engine: Option<&'a str>,
    /// The agent it is sent to.
    pub agent: Option<&'a str>,
}

#[derive(Debug)]
pub(crate) struct PlanInput {
    pub(crate) name: String,
    pub(crate) slot: Slot,
    pub(crate) default: Option<Value>,
    pub(crate) location: Location,
}

/// The program's names and their slots.
#[derive(Debug, Default)]
pub(crate) struct Names {
    slots: FxHashMap<Box<str>, Slot>,
    texts: Vec<Box<str>>,
}

impl Names {
    pub(crate) fn intern(&mut self, name: &str) -> Slot {
        if let Some(&slot) = self.slots.get(name) {
            return slot;
        }
        let slot = self.texts.len() as Slot;
        self.slots.insert(Box::from(name), slot);
        self.texts.push(Box::from(name));
        slot
    }

    pub(crate) fn slot(&self, name: &str) -> Option<Slot> {
        self.slots.get(name).copied()
    }

    pub(crate) fn text(&self, slot: Slot) -> &str {
        &self.texts[slot as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }
}

/// A call as it stands in the program.
#[derive(Debug)]
pub(crate) struct StepSpec {
    pub(crate) id: Arc<str>,
    pub(crate) tool: Arc<str>,
    /// The tool's number among those of the plan.
    pub(crate) tool_number: u32,
    pub(crate) location: Location,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) agent: Option<Arc<str>>,
    pub(crate) engine: Option<Arc<str>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: u32,
    pub(crate) cache: Option<bool>,
    pub(crate) arguments: Vec<(String, Operand)>,
    /// Where the arguments come from when it is called.
    pub(crate) inputs: Inputs,
    pub(crate) bind: Option<Slot>,
    pub(crate) class: EffectClass,
    pub(crate) reads: Vec<ResourceParameter>,
    pub(crate) writes: Vec<ResourceParameter>,
    /// Whether it succeeds for all arguments that its contract accepts.
    pub(crate) total: bool,
    /// The earlier step whose result is its own, if there is one.
    pub(crate) twin: Option<Twin>,
    /// Whether it is the twin of a later step.
    pub(crate) shared: bool,
    /// Whether nobody uses its result and it touches nothing.
    pub(crate) unused: bool,
}

/// A step that gives the result of another, and the name that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Twin {
    pub(crate) step: StepIndex,
    pub(crate) slot: Slot,
}

impl StepSpec {
    /// The resources that the parameters name, each argument's value given by `value`
    /// (`None` while it is not known). Anything unclear is everything.
    pub(crate) fn resources(
        &self,
        parameters: &[ResourceParameter],
        value: &dyn Fn(&Operand) -> Option<Value>,
        path: &dyn Fn(&str) -> ResourcePath,
    ) -> Vec<ResourcePath> {
        let mut paths = Vec::new();
        for parameter in parameters {
            let argument = self
                .arguments
                .iter()
                .find(|(name, _)| *name == parameter.name);
            let known = match argument {
                Some((_, Operand::Literal(literal))) => Some(literal.clone()),
                Some((_, operand)) => value(operand),
                None => parameter.default.clone().map(Value::String),
            };
            match known {
                Some(Value::String(text)) => paths.push(path(&text)),
                Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
                    paths.extend(items.iter().filter_map(Value::as_str).map(path));
                }
                _ => return vec![ResourcePath::everything()],
            }
        }
        if paths.is_empty() {
            vec![ResourcePath::everything()]
        } else {
            paths
        }
    }

    pub(crate) fn written(
        &self,
        value: &dyn Fn(&Operand) -> Option<Value>,
        path: &dyn Fn(&str) -> ResourcePath,
    ) -> Vec<ResourcePath> {
        match self.class {
            EffectClass::Pure | EffectClass::Read => Vec::new(),
            EffectClass::Write => self.resources(&self.writes, value, path),
            EffectClass::External => vec![ResourcePath::everything()],
        }
    }
}

/// Statements in program order.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) statements: Vec<Statement>,
    /// The names that are bound once the block is done.
    pub(crate) binds: Vec<Slot>,
    /// Whether it is known that no run comes here.
    pub(crate) never: bool,
}

#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) location: Location,
    pub(crate) kind: StatementKind,
    /// The names whose values it needs to start.
    pub(crate) needs: Vec<Slot>,
    /// The names that it binds for the statements behind it.
    pub(crate) binds: Vec<Slot>,
    /// The steps within that may write.
    pub(crate) writers: Writers,
    /// Whether it may end the run, so that nothing behind it may be begun before it is done.
    pub(crate) may_return: bool,
    /// Steps to wait for, by `@after`.
    pub(crate) after: Vec<AfterRef>,
    /// What stands on the longest way from here to the end of the block: in units of 10 µs once the
    /// plan was given costs, and in calls before.
    pub(crate) height: u32,
    /// The same for what stands behind it.
    pub(crate) behind: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Writers {
    Steps(Vec<StepIndex>),
    /// Too many to be told apart.
    Everything,
}

impl Writers {
    /// Past this many, a statement counts as writing everything.
    const MOST: usize = 16;

    pub(crate) fn none() -> Self {
        Self::Steps(Vec::new())
    }

    pub(crate) fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Steps(steps), Self::Steps(more)) if steps.len() + more.len() <= Self::MOST => {
                steps.extend_from_slice(more);
            }
            (_, Self::Steps(more)) if more.is_empty() => {}
            _ => *self = Self::Everything,
        }
    }
}

/// A statement to wait for: `levels` scopes up, at `position`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AfterRef {
    pub(crate) levels: u32,
    pub(crate) position: u32,
}

#[derive(Debug)]
pub(crate) enum StatementKind {
    Call(StepIndex),
    Let {
        slot: Slot,
        value: Operand,
    },
    Parallel {
        children: Vec<BlockId>,
        limit: Option<usize>,
        fail_fast: bool,
        any: bool,
    },
    If {
        branches: Vec<(Expression, BlockId, Location)>,
        otherwise: BlockId,
    },
    For(Loop),
    Try {
        body: BlockId,
        error: Option<Slot>,
        handler: BlockId,
    },
    Return(Option<Operand>),
}

#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) variable: Slot,
    pub(crate) items: Operand,
    pub(crate) parallel: bool,
    pub(crate) limit: Option<usize>,
    /// Whether a round that fails lets the others go on.
    pub(crate) goes_on: bool,
    pub(crate) body: BlockId,
    /// The names of the body whose lists are used behind the loop.
    pub(crate) collect: Vec<Slot>,
}

impl Plan {
    pub(crate) fn block(&self, id: BlockId) -> &Block {
        &self.blocks[id as usize]
    }

    pub(crate) fn step(&self, index: StepIndex) -> &StepSpec {
        &self.steps[index as usize]
    }
}
