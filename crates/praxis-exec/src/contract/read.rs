//! From YAML, in either recorded dialect, to a contract.

use std::path::Path;

use super::schema::parameters;
use super::table::{Table, boolean, duration, scalar, size, text, words, yes_or_no};
use super::units::{parse_bool, parse_cpu};
use super::yaml::{self, Content, Node, invalid, placed, to_text};
use super::{CachePolicy, EffectClass, Mount, OutputFormat, ToolContract};
use crate::{Error, ErrorKind, Isolation, Schema};

impl ToolContract {
    /// Reads a contract; `dir` is the folder of its program.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidContract`] with the line and the column where that is known.
    pub fn from_yaml(text: &str, dir: &Path) -> Result<Self, Error> {
        let root = yaml::parse(text)?;
        let Content::Map(_) = root.value else {
            return Err(invalid(
                &root,
                "a contract is a map of keys such as `name`, `parameters` and `command`",
            ));
        };
        let mut reader = Reader {
            top: Table::new(&root, "")?,
            engine: None,
            contract: Self::new(""),
        };
        reader.contract.dir = Some(dir.to_owned());
        let mut contract = reader.read()?;
        contract.warnings.sort();
        contract.check()?;
        Ok(contract)
    }
}

struct Reader<'a> {
    top: Table<'a>,
    engine: Option<Table<'a>>,
    contract: ToolContract,
}

impl<'a> Reader<'a> {
    fn read(mut self) -> Result<ToolContract, Error> {
        let name = self
            .top
            .take(&["name"])?
            .ok_or_else(|| Error::new(ErrorKind::InvalidContract, "the contract has no `name`"))?;
        self.contract.name = text(name, "name")?;
        super::check_name("tool", &self.contract.name)
            .map_err(|error| invalid(name, error.message().to_owned()))?;
        if let Some(node) = self.top.take(&["description"])? {
            self.contract.description = text(node, "description")?;
        }
        let spellings = ["parameters", "params", "input_schema", "inputSchema"];
        if let Some(node) = self.top.take(&spellings)? {
            let declared = parameters(node, &mut self.contract.warnings)?;
            self.contract.parameters = declared.parameters;
            let schema = declared.schema.map(Schema::new).transpose();
            self.contract.schema = schema.map_err(|error| placed(error, node))?;
        }
        if let Some(node) = self.top.take(&["engine"])? {
            self.contract.engine = text(node, "engine")?.to_ascii_lowercase();
        }
        if let Some(node) = self.top.take(&["engine_spec", "engineSpec"])? {
            self.engine = Some(Table::new(node, "engine_spec")?);
        }
        self.effects()?;
        self.output()?;
        self.cache()?;
        self.program()?;
        self.limits()?;
        for table in [self.engine, Some(self.top)].into_iter().flatten() {
            table.warn_of_rest(&mut self.contract.warnings);
        }
        Ok(self.contract)
    }

    /// Takes a key that may stand at the top or in the engine's table.
    fn anywhere(&mut self, spellings: &[&str]) -> Result<Option<&'a Node>, Error> {
        let inner = match &mut self.engine {
            Some(engine) => engine.take(spellings)?,
            None => None,
        };
        let outer = self.top.take(spellings)?;
        if let (Some(_), Some(outer)) = (inner, outer) {
            return Err(invalid(
                outer,
                format!(
                    "`{}` stands here and in the engine's table; keep one",
                    spellings[0]
                ),
            ));
        }
        Ok(inner.or(outer))
    }

    fn effects(&mut self) -> Result<(), Error> {
        let mut table = None;
        if let Some(node) = self.top.take(&["effects", "effect"])? {
            match &node.value {
                Content::Map(_) => {
                    let mut inner = Table::new(node, "effects")?;
                    if let Some(class) = inner.take(&["class", "kind"])? {
                        self.contract.effects.class = effect_class(class)?;
                    }
                    table = Some(inner);
                }
                _ => self.contract.effects.class = effect_class(node)?,
            }
        }
        let effects = &mut self.contract.effects;
        for source in [Some(&mut self.top), table.as_mut()].into_iter().flatten() {
            if let Some(node) = source.take(&["reads"])? {
                effects.reads = words(node, "reads")?;
            }
            if let Some(node) = source.take(&["writes"])? {
                effects.writes = words(node, "writes")?;
            }
            if let Some(node) = source.take(&["total"])? {
                effects.total = boolean(node, "total")?;
            }
            if let Some(node) = source.take(&["idempotent"])? {
                effects.idempotent = boolean(node, "idempotent")?;
            }
        }
        if let Some(table) = table {
            table.warn_of_rest(&mut self.contract.warnings);
        }
        if matches!(effects.class, EffectClass::Pure | EffectClass::Read) {
            effects.idempotent = true;
        }
        Ok(())
    }

    fn output(&mut self) -> Result<(), Error> {
        let Some(node) = self.top.take(&["output"])? else {
            return Ok(());
        };
        let mut inner = match &node.value {
            Content::Map(_) => Some(Table::new(node, "output")?),
            _ => None,
        };
        let node = match &mut inner {
            Some(table) => table.take(&["format", "type"])?,
            None => Some(node),
        };
        if let Some(node) = node {
            self.contract.output = match text(node, "output")?.as_str() {
                "auto" => OutputFormat::Auto,
                "text" | "string" => OutputFormat::Text,
                "json" | "object" | "array" => OutputFormat::Json,
                other => {
                    let message = format!("output is `{other}`; it is auto, text or json");
                    return Err(invalid(node, message));
                }
            };
        }
        if let Some(table) = inner {
            table.warn_of_rest(&mut self.contract.warnings);
        }
        Ok(())
    }

    fn cache(&mut self) -> Result<(), Error> {
        let mut policy = CachePolicy::default();
        if let Some(node) = self.top.take(&["cache"])? {
            match &node.value {
                Content::Map(_) => {
                    let mut table = Table::new(node, "cache")?;
                    if let Some(node) = table.take(&["ttl"])? {
                        policy.ttl = Some(duration(node, "cache.ttl")?);
                    }
                    if let Some(node) = table.take(&["enabled"])? {
                        policy.enabled = boolean(node, "cache.enabled")?;
                    }
                    table.warn_of_rest(&mut self.contract.warnings);
                }
                _ => match to_text(node).as_deref().and_then(yes_or_no) {
                    Some(enabled) => policy.enabled = enabled,
                    None => policy.ttl = Some(duration(node, "cache")?),
                },
            }
        }
        if let Some(node) = self.top.take(&["cache_ttl", "cacheTtl"])? {
            policy.ttl = Some(duration(node, "cache_ttl")?);
        }
        self.contract.cache = policy;
        Ok(())
    }

    fn program(&mut self) -> Result<(), Error> {
        if let Some(node) = self.anywhere(&["shell"])? {
            self.contract.shell = boolean(node, "shell")?;
        }
        if let Some(node) = self.anywhere(&["command", "cmd"])? {
            self.contract.command = command(node, self.contract.shell)?;
        }
        if let Some(node) = self.anywhere(&["args"])? {
            self.contract.command.extend(words(node, "args")?);
        }
        if let Some(node) = self.anywhere(&["image"])? {
            self.contract.image = Some(text(node, "image")?);
        }
        if let Some(node) = self.anywhere(&["isolation"])? {
            let name = text(node, "isolation")?.to_ascii_lowercase();
            let isolation: Result<Isolation, Error> = name.parse();
            self.contract.isolation =
                isolation.map_err(|error| invalid(node, error.message().to_owned()))?;
        }
        if let Some(node) = self.anywhere(&["address"])? {
            self.contract.address = Some(text(node, "address")?);
        }
        if let Some(node) = self.anywhere(&["mounts", "volumes"])? {
            self.contract.mounts = mounts(node)?;
        }
        if let Some(node) = self.anywhere(&["reuse"])? {
            self.contract.reuse = boolean(node, "reuse")?;
        }
        if let Some(node) = self.anywhere(&["env", "environment"])? {
            self.contract.env = variables(node)?;
        }
        if let Some(node) = self.anywhere(&["env_passthrough", "envPassthrough"])? {
            self.contract.env_passthrough = words(node, "env_passthrough")?;
        }
        if let Some(node) = self.anywhere(&["secrets"])? {
            self.contract.secrets = words(node, "secrets")?;
        }
        Ok(())
    }

    fn limits(&mut self) -> Result<(), Error> {
        let mut tables = Vec::new();
        for spelling in ["limits", "resources"] {
            let engine = match &mut self.engine {
                Some(engine) => engine.take(&[spelling])?,
                None => None,
            };
            for node in [self.top.take(&[spelling])?, engine].into_iter().flatten() {
                tables.push(Table::new(node, "limits")?);
            }
        }
        let loose = [self.engine.as_mut(), Some(&mut self.top)];
        let tables_and_loose = tables.iter_mut().chain(loose.into_iter().flatten());
        for table in tables_and_loose {
            read_limits(table, &mut self.contract)?;
        }
        for table in tables {
            table.warn_of_rest(&mut self.contract.warnings);
        }
        Ok(())
    }
}

/// Takes the limits out of one table; what an earlier table said stays.
fn read_limits(table: &mut Table<'_>, contract: &mut ToolContract) -> Result<(), Error> {
    let limits = &mut contract.limits;
    if let Some(node) = table.take(&["cpu", "cpus", "cpu_limit"])? {
        let cpu = scalar(
            node,
            "cpu",
            "a number of cores such as 0.5 or 500m",
            parse_cpu,
        )?;
        limits.cpu.get_or_insert(cpu);
    }
    if let Some(node) =
        table.take(&["memory", "mem", "memory_limit", "mem_limit", "memory_bytes"])?
    {
        limits.memory_bytes.get_or_insert(size(node, "memory")?);
    }
    if let Some(node) = table.take(&["pids", "pids_limit"])? {
        let pids = scalar(node, "pids", "a number of processes", |text| {
            text.parse().ok()
        })?;
        limits.pids.get_or_insert(pids);
    }
    if let Some(node) = table.take(&["timeout", "timeout_seconds", "timeout_sec"])? {
        limits.timeout.get_or_insert(duration(node, "timeout")?);
    }
    if let Some(node) = table.take(&["output_bytes", "output_limit", "max_output"])? {
        limits
            .output_bytes
            .get_or_insert(size(node, "output_bytes")?);
    }
    if let Some(node) = table.take(&["network", "network_mode"])? {
        let name = text(node, "network")?;
        let allowed = parse_bool(&name).unwrap_or(!name.eq_ignore_ascii_case("none"));
        limits.network.get_or_insert(allowed);
    }
    if let Some(node) = table.take(&["read_only", "readonly", "readOnly", "read_only_root"])? {
        limits.read_only.get_or_insert(boolean(node, "read_only")?);
    }
    if let Some(node) = table.take(&["argument_bytes"])? {
        contract.argument_bytes = size(node, "argument_bytes")?;
    }
    Ok(())
}

fn effect_class(node: &Node) -> Result<EffectClass, Error> {
    let name = text(node, "effects")?;
    Ok(match name.as_str() {
        "pure" => EffectClass::Pure,
        "read" => EffectClass::Read,
        "write" => EffectClass::Write,
        "external" => EffectClass::External,
        _ => {
            let message = format!("effects are `{name}`; they are pure, read, write or external");
            return Err(invalid(node, message));
        }
    })
}

fn command(node: &Node, shell: bool) -> Result<Vec<String>, Error> {
    let Content::Scalar(_) = &node.value else {
        return words(node, "command");
    };
    let line = text(node, "command")?;
    if shell {
        return Ok(vec![line]);
    }
    shlex::split(&line).ok_or_else(|| {
        invalid(
            node,
            "`command` has an unclosed quote; close it or write the command as a list",
        )
    })
}

fn mounts(node: &Node) -> Result<Vec<Mount>, Error> {
    match &node.value {
        Content::Map(entries) => entries
            .iter()
            .map(|(source, target)| {
                let target = text(target, "mount")?;
                Ok(mount(&source.value, &target))
            })
            .collect(),
        Content::List(items) => items.iter().map(mount_item).collect(),
        Content::Scalar(_) => Err(invalid(
            node,
            "mounts must be a map of host path to the tool's path, or a list of `host:tool[:ro]`",
        )),
    }
}

fn mount_item(node: &Node) -> Result<Mount, Error> {
    if let Content::Map(_) = &node.value {
        let mut table = Table::new(node, "mounts")?;
        let source = table.take(&["source", "src", "host", "from"])?;
        let target = table.take(&["target", "dst", "container", "to", "destination"])?;
        let (Some(source), Some(target)) = (source, target) else {
            return Err(invalid(node, "a mount needs `source` and `target`"));
        };
        let mut mount = mount(&text(source, "source")?, &text(target, "target")?);
        if let Some(node) = table.take(&["read_only", "readonly", "ro"])? {
            mount.read_only = boolean(node, "read_only")?;
        }
        return Ok(mount);
    }
    let line = text(node, "mount")?;
    match line.split_once(':') {
        Some((source, target)) if !source.is_empty() && !target.is_empty() => {
            Ok(mount(source, target))
        }
        _ => Err(invalid(
            node,
            format!("mount `{line}` is not `host:tool[:ro]`"),
        )),
    }
}

fn mount(source: &str, target: &str) -> Mount {
    let (target, read_only) = match target.rsplit_once(':') {
        Some((target, "ro")) => (target, true),
        Some((target, "rw")) => (target, false),
        _ => (target, false),
    };
    Mount {
        source: source.to_owned(),
        target: target.to_owned(),
        read_only,
    }
}

fn variables(node: &Node) -> Result<Vec<(String, String)>, Error> {
    match &node.value {
        Content::Map(entries) => entries
            .iter()
            .map(|(name, value)| Ok((name.value.clone(), text(value, &name.value)?)))
            .collect(),
        Content::List(items) => items
            .iter()
            .map(|item| {
                let line = text(item, "env")?;
                let (name, value) = line.split_once('=').ok_or_else(|| {
                    invalid(item, format!("variable `{line}` is not `NAME=value`"))
                })?;
                Ok((name.to_owned(), value.to_owned()))
            })
            .collect(),
        Content::Scalar(_) => Err(invalid(node, "`env` must be a map of name to value")),
    }
}
