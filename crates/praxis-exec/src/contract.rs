//! Tool contracts: what a tool takes, what it touches, how it is run.

mod bind;
mod command;
mod digest;
mod effects;
mod environment;
mod folder;
mod output;
mod parameter;
mod read;
mod schema;
mod table;
pub(crate) mod units;
mod yaml;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

pub use digest::{ContractDigest, ProgramVersion};
pub use effects::{EffectClass, Effects};
pub use environment::ArgumentVariables;
pub use folder::{ContractFolder, MAX_CONTRACT_BYTES};
pub use parameter::{Parameter, ParameterKind};

use crate::{Error, ErrorKind, Isolation, Limits, Schema};
#[cfg(feature = "schema")]
pub(crate) use bind::show;

/// How many bytes the arguments of one call may take as JSON, where the contract does not say.
pub const DEFAULT_ARGUMENT_BYTES: u64 = 1024 * 1024;

/// How many bytes a contract may allow for the arguments of one call.
pub const MAX_ARGUMENT_BYTES: u64 = 256 * 1024 * 1024;

/// How deeply an argument may nest.
pub const MAX_ARGUMENT_DEPTH: usize = 128;

/// The description of one tool: what callers, caches, schedulers and engines need to know of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ToolContract {
    /// The name that workflows call it by.
    pub name: String,
    /// What it does, for people and planners.
    pub description: String,
    /// Its parameters, in the order in which positional arguments fill them.
    pub parameters: Vec<Parameter>,
    /// What its arguments must be beyond the types of its parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
    /// What it touches.
    pub effects: Effects,
    /// How its standard output is read.
    pub output: OutputFormat,
    /// Whether and for how long its results may be remembered.
    pub cache: CachePolicy,
    /// What it may use at most.
    pub limits: Limits,
    /// How many bytes its arguments may take as JSON.
    pub argument_bytes: u64,
    /// The engine that it asks for: `auto`, `native`, `local`, `docker`, `dagger`, ….
    pub engine: String,
    /// How far it must be kept from the machine at least, whatever engine runs it.
    pub isolation: Isolation,
    /// The program and its arguments, with `{placeholders}`; one shell script if [`shell`](Self::shell) is set.
    pub command: Vec<String>,
    /// Whether `command` is a script for `/bin/sh`.
    pub shell: bool,
    /// The container image to run in.
    pub image: Option<String>,
    /// The address of a tool that runs elsewhere.
    pub address: Option<String>,
    /// Folders that the tool sees at paths of its own.
    pub mounts: Vec<Mount>,
    /// Whether an engine that keeps containers may run one call after the other in the same one.
    pub reuse: bool,
    /// Environment variables with fixed values, in the contract's order.
    pub env: Vec<(String, String)>,
    /// Names of host variables that the tool gets; see [`ToolContract::host_variables`].
    pub env_passthrough: Vec<String>,
    /// Names of secrets that the tool gets as environment variables; see [`Secrets`](crate::Secrets).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The folder of the contract and its program; a Rust function has none.
    #[serde(skip)]
    pub dir: Option<PathBuf>,
    /// What the contract says that Praxis does not understand. Not an error, but worth showing.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

impl ToolContract {
    /// A contract with this name and nothing else: no parameters, external effects, engine `auto`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            parameters: Vec::new(),
            schema: None,
            effects: Effects::default(),
            output: OutputFormat::default(),
            cache: CachePolicy::default(),
            limits: Limits::default(),
            argument_bytes: DEFAULT_ARGUMENT_BYTES,
            engine: "auto".to_owned(),
            isolation: Isolation::None,
            command: Vec::new(),
            shell: false,
            image: None,
            address: None,
            mounts: Vec::new(),
            reuse: false,
            env: Vec::new(),
            env_passthrough: Vec::new(),
            secrets: Vec::new(),
            dir: None,
            warnings: Vec::new(),
        }
    }

    /// Sets the description.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds a parameter after those that are there.
    #[must_use]
    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Takes the arguments that a JSON Schema of an object describes: its properties become the parameters,
    /// the required ones first, and [`bind`](Self::bind) holds arguments to all of it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidContract`] where [`Schema::new`] refuses it, or a property's name cannot be a parameter's.
    pub fn with_schema(mut self, schema: Value) -> Result<Self, Error> {
        let named = |error: Error| error.with_tool(&self.name);
        let compiled = Schema::new(schema).map_err(named)?;
        self.parameters = schema::foreign(compiled.value()).map_err(named)?;
        self.schema = Some(compiled);
        Ok(self)
    }

    /// Sets the effects.
    #[must_use]
    pub fn effects(mut self, effects: Effects) -> Self {
        self.effects = effects;
        self
    }

    /// Sets the program and its arguments.
    #[must_use]
    pub fn command<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.command = words.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a folder of the host, at `target` and writable.
    #[must_use]
    pub fn mount(mut self, source: impl Into<String>, target: impl Into<String>) -> Self {
        self.mounts.push(Mount {
            source: source.into(),
            target: target.into(),
            read_only: false,
        });
        self
    }

    /// The parameter of this name.
    pub fn find_parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }

    /// The variables of the host that the tool gets by the contract's wish.
    ///
    /// A name in `env_passthrough` that is a parameter's, as written or in upper case, is not among them:
    /// recorded contracts list their own parameters there, and what a caller may set is never a host variable.
    pub fn host_variables(&self) -> impl Iterator<Item = &str> {
        self.env_passthrough
            .iter()
            .map(String::as_str)
            .filter(|name| {
                !self.parameters.iter().any(|parameter| {
                    parameter.name == **name || parameter.name.to_uppercase() == **name
                })
            })
    }

    /// Whether the contract contradicts itself; loading and registering call this.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidContract`], naming what is wrong and what would be accepted.
    pub fn check(&self) -> Result<(), Error> {
        check_name("tool", &self.name)?;
        self.check_parameters()?;
        self.check_effects()?;
        if self.argument_bytes > MAX_ARGUMENT_BYTES {
            return Err(self.invalid(format!(
                "`argument_bytes` is {}; at most {MAX_ARGUMENT_BYTES} are allowed",
                self.argument_bytes
            )));
        }
        if self.limits.timeout == Some(Duration::ZERO) {
            return Err(self.invalid("limit `timeout` is 0; it must be above 0, such as 5s"));
        }
        if let Some(cpu) = self.limits.cpu
            && (!cpu.is_finite() || cpu <= 0.0)
        {
            return Err(self.invalid(format!("limit `cpu` is {cpu}; it must be above 0")));
        }
        command::check(self)
    }

    fn check_parameters(&self) -> Result<(), Error> {
        for (index, parameter) in self.parameters.iter().enumerate() {
            check_name("parameter", &parameter.name)
                .map_err(|error| error.with_tool(&self.name))?;
            if self.parameters[..index]
                .iter()
                .any(|earlier| earlier.name == parameter.name)
            {
                return Err(
                    self.invalid(format!("parameter `{}` is declared twice", parameter.name))
                );
            }
            if parameter.rest && parameter.kind != ParameterKind::Text {
                return Err(self.invalid(format!(
                    "parameter `{}` takes the remaining words, so its type must be text, not {}",
                    parameter.name, parameter.kind
                )));
            }
        }
        let mut rest = self.parameters.iter().filter(|parameter| parameter.rest);
        if let (Some(first), Some(second)) = (rest.next(), rest.next()) {
            return Err(self.invalid(format!(
                "parameters `{}` and `{}` both take the remaining words; only one can",
                first.name, second.name
            )));
        }
        Ok(())
    }

    fn check_effects(&self) -> Result<(), Error> {
        let effects = &self.effects;
        for name in effects.reads.iter().chain(&effects.writes) {
            if self.find_parameter(name).is_none() {
                return Err(self.invalid(format!(
                    "effects name parameter `{name}`, which is not declared; the parameters are {}",
                    self.parameter_names()
                )));
            }
        }
        let surplus = match effects.class {
            EffectClass::Pure => effects.reads.first().or(effects.writes.first()),
            EffectClass::Read => effects.writes.first(),
            EffectClass::Write | EffectClass::External => None,
        };
        match surplus {
            Some(name) => Err(self.invalid(format!(
                "effects are `{}`, yet resource `{name}` is declared as touched",
                effects.class
            ))),
            None => Ok(()),
        }
    }

    pub(crate) fn parameter_names(&self) -> String {
        if self.parameters.is_empty() {
            return "none".to_owned();
        }
        let names: Vec<&str> = self
            .parameters
            .iter()
            .map(|parameter| parameter.name.as_str())
            .collect();
        names.join(", ")
    }

    pub(crate) fn invalid(&self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidContract, message).with_tool(&self.name)
    }
}

pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let goes_on_well = name
        .chars()
        .all(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '-' | '.'));
    if starts_well && goes_on_well && name.len() <= 128 {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    Err(Error::new(
        ErrorKind::InvalidContract,
        format!(
            "{what} name {shown:?} is not a name; it starts with a letter or `_` and goes on with \
             letters, digits, `_`, `-` or `.`, at most 128"
        ),
    ))
}

/// How standard output becomes a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    /// JSON if it parses as an object or an array, else text.
    #[default]
    Auto,
    /// Text, always.
    Text,
    /// JSON; anything else is a failure.
    Json,
}

/// Whether and for how long a result may be remembered; the effects decide what is safe beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CachePolicy {
    /// `false` forbids remembering.
    pub enabled: bool,
    /// For how long, where the contract says.
    pub ttl: Option<Duration>,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            ttl: None,
        }
    }
}

/// A folder of the host that a tool sees at a path of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Mount {
    /// The path on the host, as the contract writes it.
    pub source: String,
    /// The path that the tool sees.
    pub target: String,
    /// Whether the tool may only read it.
    pub read_only: bool,
}
