use std::fmt;

use serde::Serialize;

/// What running a tool does to the world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Effects {
    /// The class.
    pub class: EffectClass,
    /// The parameters that name what it reads. A read tool that names none reads the whole space.
    pub reads: Vec<String>,
    /// The parameters that name what it changes. A write tool that names none changes the whole space.
    pub writes: Vec<String>,
    /// Whether it succeeds for all arguments that its contract accepts.
    pub total: bool,
    /// Whether running it twice leaves the world as running it once.
    pub idempotent: bool,
}

impl Effects {
    /// Same arguments, same answer, nothing touched.
    pub fn pure() -> Self {
        Self {
            class: EffectClass::Pure,
            idempotent: true,
            ..Self::default()
        }
    }

    /// Reads what these parameters name.
    pub fn read(parameters: &[&str]) -> Self {
        Self {
            class: EffectClass::Read,
            reads: parameters.iter().map(|&name| name.to_owned()).collect(),
            idempotent: true,
            ..Self::default()
        }
    }

    /// Changes what these parameters name.
    pub fn write(parameters: &[&str]) -> Self {
        Self {
            class: EffectClass::Write,
            writes: parameters.iter().map(|&name| name.to_owned()).collect(),
            ..Self::default()
        }
    }

    /// Anything may happen.
    pub fn external() -> Self {
        Self::default()
    }

    /// Also reads what these parameters name.
    #[must_use]
    pub fn reading(mut self, parameters: &[&str]) -> Self {
        self.reads
            .extend(parameters.iter().map(|&name| name.to_owned()));
        self
    }

    /// Cannot fail.
    #[must_use]
    pub fn total(mut self) -> Self {
        self.total = true;
        self
    }

    /// Leaves the world the same however often it runs.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }
}

/// How far the effects of a tool reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectClass {
    /// Same arguments, same answer, nothing touched.
    Pure,
    /// Reads named resources.
    Read,
    /// Changes named resources.
    Write,
    /// Anything may happen. What a contract says that says nothing.
    #[default]
    External,
}

impl fmt::Display for EffectClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Pure => "pure",
            Self::Read => "read",
            Self::Write => "write",
            Self::External => "external",
        })
    }
}
