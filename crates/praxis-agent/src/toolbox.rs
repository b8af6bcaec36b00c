//! The tools at hand: their contracts, and the engines that run them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use praxis_cache::CacheKeyBuilder;
use praxis_dsl::{
    Catalog, CatalogDigest, CheckCache, ParameterKind, ToolCatalog, ToolSignature, Tree, Validation,
};
use praxis_exec::builtin::{self, BuiltinConfig};
use praxis_exec::local::LocalEngine;
use praxis_exec::{
    EffectClass, Error, ErrorKind, ExecutionEngine, Limit, NativeEngine, OutputFormat,
    ProgramVersion, ToolContract,
};
use praxis_workflow::{EffectCatalog, ResourceParameter, ToolEffects};
use serde_json::Value;

use crate::placement::{Placed, Placement};

/// How many bytes of checks are remembered.
const MAX_CHECKS_BYTES: u64 = 64 << 20;

/// How long an engine may take to end what it keeps.
const FAREWELL: Duration = Duration::from_secs(10);

/// Contracts and engines; the checker's and the scheduler's catalogs at once.
pub struct Toolbox {
    tools: BTreeMap<String, Tool>,
    signatures: Catalog,
    /// That of the signatures, once it was asked for.
    digest: OnceLock<CatalogDigest>,
    checks: CheckCache,
    engines: Vec<Arc<dyn ExecutionEngine>>,
    placement: Placement,
}

/// A tool that can be called.
pub struct Tool {
    contract: Arc<ToolContract>,
    /// Whether it is a Rust function of this program.
    native: bool,
    /// The engine that runs it unless the step names another, once that was found.
    engine: OnceLock<usize>,
    /// What the engine said of the program, where there is more to it than the contract's folder.
    program: tokio::sync::OnceCell<Option<String>>,
    keys: Mutex<Option<Known>>,
}

/// The keys of a tool, and what they were made for.
struct Known {
    version: ProgramVersion,
    program: Option<String>,
    root: PathBuf,
    keys: Arc<CacheKeyBuilder>,
}

/// What tells this program from its next build, for results that outlive it.
fn own_program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let about = std::env::current_exe().and_then(std::fs::metadata);
        let about = about.map(|about| (about.len(), about.modified().ok()));
        // Without knowing, results are of this process alone.
        about.map_or_else(
            |_| {
                let now = std::time::SystemTime::now();
                format!("{} {now:?}\0", std::process::id())
            },
            |about| format!("{about:?}\0"),
        )
    })
}

impl Tool {
    /// What it takes and touches.
    pub fn contract(&self) -> &Arc<ToolContract> {
        &self.contract
    }

    /// Whether it is a Rust function of this program.
    pub(crate) fn is_native(&self) -> bool {
        self.native
    }

    /// What tells the program from another beyond the contract's folder; asked of the engine once.
    pub(crate) async fn program(
        &self,
        engine: &dyn ExecutionEngine,
        wanted: Option<&str>,
    ) -> Result<Option<Cow<'_, str>>, Error> {
        let ask = || engine.program_id(&self.contract);
        if wanted.is_some() {
            // Another engine than the tool's own may have another program.
            return Ok(ask().await?.map(Cow::Owned));
        }
        let known = self.program.get_or_try_init(ask).await?;
        Ok(known.as_deref().map(Cow::Borrowed))
    }

    /// Makes keys that change with the contract, its program's bytes, the host variables it is given and the root it works in.
    /// `program` is what else the engine says of the program, such as an image's id.
    ///
    /// The program of a built-in tool is this one, and what is built in and pure does not know of a root.
    ///
    /// # Errors
    ///
    /// A program that cannot be read.
    pub(crate) fn keys(
        &self,
        root: &Path,
        program: Option<&str>,
    ) -> Result<Arc<CacheKeyBuilder>, Error> {
        let version = self.contract.program_version()?;
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known
            && known.version == version
            && known.program.as_deref() == program
            && known.root == root
        {
            return Ok(Arc::clone(&known.keys));
        }
        let digest = self.contract.digest()?;
        let mut variables = Vec::new();
        for name in self.contract.host_variables() {
            // A variable that is not set differs from an empty one.
            let value = std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes);
            let value = value.map(|bytes| {
                bytes
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()
            });
            variables.extend_from_slice(format!("{name}={value:?}\0").as_bytes());
        }
        if self.native {
            variables.extend_from_slice(own_program().as_bytes());
        }
        if !self.native || self.contract.effects.class != EffectClass::Pure {
            variables.extend_from_slice(root.as_os_str().as_encoded_bytes());
        }
        if let Some(program) = program {
            variables.extend_from_slice(format!("program={program}\0").as_bytes());
        }
        let keys = CacheKeyBuilder::new(&self.contract.name)
            .contract(digest.as_bytes())
            .variables(&variables);
        let keys = Arc::new(keys);
        *known = Some(Known {
            version,
            program: program.map(str::to_owned),
            root: root.to_owned(),
            keys: Arc::clone(&keys),
        });
        Ok(keys)
    }
}

impl Toolbox {
    /// The built-in tools, and the local engine for others. `allow_network` lets `http_fetch` out.
    ///
    /// # Errors
    ///
    /// A built-in contract that contradicts itself: a defect.
    pub fn with_builtins(allow_network: bool) -> Result<Self, Error> {
        Self::with_engines(allow_network, vec![Arc::new(LocalEngine::default())])
    }

    /// The built-in tools, and these engines for others.
    ///
    /// # Errors
    ///
    /// A built-in contract that contradicts itself: a defect.
    pub fn with_engines(
        allow_network: bool,
        others: Vec<Arc<dyn ExecutionEngine>>,
    ) -> Result<Self, Error> {
        let mut config = BuiltinConfig::default();
        config.allow_network = allow_network;
        let mut native = NativeEngine::new();
        builtin::register_all(&mut native, &config)?;
        Self::new(native, others)
    }

    /// The tools of a native engine, and the engines that contracts from folders may ask for.
    ///
    /// # Errors
    ///
    /// Two tools of one name.
    pub fn new(native: NativeEngine, others: Vec<Arc<dyn ExecutionEngine>>) -> Result<Self, Error> {
        let contracts: Vec<Arc<ToolContract>> = native.contracts().cloned().collect();
        let mut engines: Vec<Arc<dyn ExecutionEngine>> = vec![Arc::new(native)];
        engines.extend(others);
        let mut toolbox = Self {
            tools: BTreeMap::new(),
            signatures: Catalog::new(),
            digest: OnceLock::new(),
            checks: CheckCache::new(MAX_CHECKS_BYTES),
            engines,
            placement: Placement::default(),
        };
        for contract in contracts {
            toolbox.insert(contract, true)?;
        }
        Ok(toolbox)
    }

    /// The same with this said about engines.
    #[must_use]
    pub fn placing(mut self, placement: Placement) -> Self {
        self.placement = placement;
        for tool in self.tools.values_mut() {
            tool.engine = OnceLock::new();
        }
        self
    }

    /// Adds the tools of a folder of `*/contract.yaml`; gives what their contracts say that is not understood.
    ///
    /// # Errors
    ///
    /// The first contract that cannot be loaded, and a tool whose name is taken.
    pub fn add_folder(&mut self, folder: &Path) -> Result<Vec<String>, Error> {
        let loaded = ToolContract::load_folder(folder)?;
        if let Some(error) = loaded.errors.into_iter().next() {
            return Err(error);
        }
        let mut warnings = Vec::new();
        for contract in loaded.contracts {
            warnings.extend(
                contract
                    .warnings
                    .iter()
                    .map(|warning| format!("tool `{}`: {warning}", contract.name)),
            );
            self.add(contract)?;
        }
        Ok(warnings)
    }

    /// Adds one tool.
    ///
    /// # Errors
    ///
    /// A contract that contradicts itself, and a tool whose name is taken.
    pub fn add(&mut self, contract: ToolContract) -> Result<(), Error> {
        contract.check()?;
        self.insert(Arc::new(contract), false)
    }

    fn insert(&mut self, contract: Arc<ToolContract>, native: bool) -> Result<(), Error> {
        let name = contract.name.clone();
        if self.tools.contains_key(&name) {
            let message = "a tool of that name is there already; give the contract another name";
            return Err(Error::new(ErrorKind::InvalidContract, message).with_tool(&name));
        }
        self.signatures.insert(signature(&contract, native));
        self.digest = OnceLock::new();
        self.tools.insert(
            name,
            Tool {
                contract,
                native,
                engine: OnceLock::new(),
                program: tokio::sync::OnceCell::new(),
                keys: Mutex::new(None),
            },
        );
        Ok(())
    }

    /// Checks a program against the tools, or gives what a check of the same text found.
    pub fn check(&self, tree: &Tree) -> Arc<Validation> {
        let digest = self
            .digest
            .get_or_init(|| CatalogDigest::of(&self.signatures));
        self.checks.check_tree(tree, *digest, &self.signatures)
    }

    /// The tools by name.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.tools.values()
    }

    /// What the checker knows of the tools.
    pub(crate) fn signatures(&self) -> &Catalog {
        &self.signatures
    }

    /// The tool of a name.
    pub fn find(&self, name: &str) -> Option<&Tool> {
        self.tools.get(name)
    }

    /// The name nearest to `name`, if one is near enough to be meant.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let near = self
            .tools
            .keys()
            .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known));
        let best = near.max_by(|(one, _), (other, _)| one.total_cmp(other));
        best.filter(|(similarity, _)| *similarity >= 0.6)
            .map(|(_, known)| known.as_str())
    }

    /// The engine for a tool: the one that `wanted` names, else the contract's, else the cheapest that is safe enough.
    ///
    /// # Errors
    ///
    /// An engine that this program does not have or that is not safe enough; none that is.
    pub fn engine(&self, tool: &Tool, wanted: Option<&str>) -> Result<&dyn ExecutionEngine, Error> {
        if wanted.is_some() {
            return self.place(tool, wanted).map(|placed| placed.engine);
        }
        if let Some(index) = tool.engine.get() {
            return Ok(&*self.engines[*index]);
        }
        let placed = self.place(tool, None)?;
        let _ = tool.engine.set(placed.index);
        Ok(placed.engine)
    }

    /// As [`Toolbox::engine`], with why it is that one.
    ///
    /// # Errors
    ///
    /// As [`Toolbox::engine`].
    pub fn place(&self, tool: &Tool, wanted: Option<&str>) -> Result<Placed<'_>, Error> {
        let contract = &tool.contract;
        self.placement
            .place(contract, tool.native, wanted, &self.engines)
            .map_err(|error| error.with_tool(&contract.name))
    }

    /// The engines at hand.
    pub fn engines(&self) -> impl Iterator<Item = &Arc<dyn ExecutionEngine>> {
        self.engines.iter()
    }

    /// Ends what engines have begun or keep for calls to come; what is left of it is said in the log.
    pub async fn shut_down(&self) {
        for engine in &self.engines {
            let ended = tokio::time::timeout(FAREWELL, engine.shut_down()).await;
            let left = match ended {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("it did not end within {FAREWELL:?}"),
            };
            tracing::warn!(engine = engine.name(), "something may be left: {left}");
        }
    }

    /// The limits that are waived where an engine lacks them.
    pub(crate) fn accepted(&self) -> &[Limit] {
        &self.placement.accept
    }
}

impl ToolCatalog for Toolbox {
    fn tool(&self, name: &str) -> Option<&ToolSignature> {
        self.signatures.tool(name)
    }

    fn names(&self) -> Vec<&str> {
        self.signatures.names()
    }
}

impl EffectCatalog for Toolbox {
    fn effects(&self, tool: &str) -> Option<ToolEffects> {
        let contract = &self.find(tool)?.contract;
        let class = match contract.effects.class {
            EffectClass::Pure => praxis_workflow::EffectClass::Pure,
            EffectClass::Read => praxis_workflow::EffectClass::Read,
            EffectClass::Write => praxis_workflow::EffectClass::Write,
            EffectClass::External => praxis_workflow::EffectClass::External,
        };
        let named = |names: &[String]| names.iter().map(|name| resource(contract, name)).collect();
        Some(ToolEffects {
            class,
            reads: named(&contract.effects.reads),
            writes: named(&contract.effects.writes),
            total: contract.effects.total,
        })
    }
}

fn resource(contract: &ToolContract, name: &str) -> ResourceParameter {
    let default = contract
        .find_parameter(name)
        .and_then(|parameter| parameter.default.as_ref());
    ResourceParameter {
        name: name.to_owned(),
        default: default.and_then(Value::as_str).map(str::to_owned),
    }
}

/// What its results are for certain. Only the output of a program is read as the contract says.
fn output(contract: &ToolContract, native: bool) -> ParameterKind {
    if !native && contract.output == OutputFormat::Text {
        ParameterKind::Text
    } else {
        ParameterKind::Any
    }
}

fn signature(contract: &ToolContract, native: bool) -> ToolSignature {
    let parameters = contract
        .parameters
        .iter()
        .map(|parameter| praxis_dsl::Parameter {
            name: parameter.name.clone(),
            kind: match parameter.kind {
                praxis_exec::ParameterKind::Text => ParameterKind::Text,
                praxis_exec::ParameterKind::Integer => ParameterKind::Integer,
                praxis_exec::ParameterKind::Number => ParameterKind::Number,
                praxis_exec::ParameterKind::Boolean => ParameterKind::Boolean,
                praxis_exec::ParameterKind::Array => ParameterKind::Array,
                praxis_exec::ParameterKind::Object => ParameterKind::Object,
                praxis_exec::ParameterKind::Any => ParameterKind::Any,
            },
            required: parameter.required,
            rest: parameter.rest,
            default: parameter.default.clone(),
            choices: (!parameter.choices.is_empty()).then(|| parameter.choices.clone()),
            description: parameter.description.clone(),
        });
    ToolSignature {
        name: contract.name.clone(),
        description: contract.description.clone(),
        parameters: parameters.collect(),
        open: false,
        output: output(contract, native),
    }
}
