//! What a container is made of.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountBindOptions, MountType, ResourcesUlimits,
};

use super::host;
use super::owner::{OWNER_LABEL, Owner};
use crate::docker::DockerConfig;
use crate::mounts::{self, Bind, CONTRACT_DIR};
use crate::{Error, ErrorKind, Request, ToolContract};

/// The label that holds the name of the tool that a container was made for.
pub(crate) const TOOL_LABEL: &str = "io.praxis.tool";

/// The folder in which a program starts that does not see the workspace.
pub(crate) const WORK_DIR: &str = "/work";

/// The kernel gives no smaller share of a core.
const LEAST_CPU: f64 = 0.01;

/// Stands for the workspace root in a command while it is not known whether a mount covers it.
const NO_ROOT: &str = "/praxis/no-root";

/// One container, before it exists.
///
/// [`Spec::new`] gives what every engine of containers holds a tool to;
/// an engine that keeps containers changes the command, the user and the mounts of it and leaves the rest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spec {
    pub(crate) image: String,
    /// The program and its arguments; empty for what the image itself starts.
    pub(crate) command: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) work_dir: String,
    /// User and group number, as `1000:1000`.
    pub(crate) user: String,
    pub(crate) binds: Vec<Bind>,
    /// Folders in memory that the tool may write to, and how many bytes each may hold.
    pub(crate) scratch: Vec<(String, u64)>,
    /// Whose these folders are: user and group number.
    pub(crate) scratch_owner: String,
    /// In cores.
    pub(crate) cpu: Option<f64>,
    pub(crate) memory_bytes: u64,
    pub(crate) pids: u32,
    pub(crate) network: bool,
    pub(crate) read_only: bool,
    /// The capabilities that are left, such as `KILL`.
    pub(crate) capabilities: Vec<String>,
    /// Settings of the kernel for it, such as `kernel.shmmni`.
    pub(crate) sysctls: Vec<(String, String)>,
    /// Whether the daemon removes it by itself when it ends.
    pub(crate) auto_remove: bool,
    /// Labels beside the owner's.
    pub(crate) labels: Vec<(String, String)>,
}

impl Spec {
    /// The container of one call.
    ///
    /// # Errors
    /// Those of [`mounts::binds`], [`ToolContract::expand_command`] and [`ToolContract::argument_variables`];
    /// [`ErrorKind::InvalidContract`] where there is no image, or `{root}` is used and no mount covers the root.
    pub(crate) fn new(config: &DockerConfig, request: &Request<'_>) -> Result<Self, Error> {
        let contract = request.contract;
        contract.check()?;
        let mut image = image(config, contract)?;
        let mut binds = mounts::binds(contract, request.root)?;
        let root = mounts::inside(&binds, request.root);
        if image == host::HOST {
            let (name, tag) = host::EMPTY_IMAGE;
            image = format!("{name}:{tag}");
            // One of the contract at the same place takes its place.
            let system =
                host::binds().filter(|own| binds.iter().all(|bind| bind.target != own.target));
            binds = system.chain(binds.iter().cloned()).collect();
        }
        let command = command(request, root.as_deref())?;
        let env = environment(request, root.as_deref())?;
        let limits = &request.limits;
        if let Some(cpu) = limits.cpu.filter(|cpu| *cpu < LEAST_CPU) {
            return Err(contract.invalid(format!(
                "limit `cpu` is {cpu}; a container gets no less than {LEAST_CPU} cores"
            )));
        }
        Ok(Self {
            image,
            command,
            env,
            work_dir: root.unwrap_or_else(|| WORK_DIR.to_owned()),
            user: config.user(),
            binds,
            scratch: vec![
                (WORK_DIR.to_owned(), config.scratch_bytes),
                ("/tmp".to_owned(), config.scratch_bytes),
            ],
            scratch_owner: config.user(),
            cpu: limits.cpu.or(config.cpu),
            memory_bytes: limits.memory_bytes.unwrap_or(config.memory_bytes),
            pids: limits.pids.unwrap_or(config.pids),
            network: limits.network == Some(true),
            read_only: limits.read_only != Some(false),
            capabilities: Vec::new(),
            sysctls: Vec::new(),
            auto_remove: false,
            labels: vec![(TOOL_LABEL.to_owned(), contract.name.clone())],
        })
    }

    /// The body of the call that creates it, on a daemon with so many cores.
    pub(crate) fn body(&self, owner: &Owner, cores: f64) -> ContainerCreateBody {
        let variable = |(name, value): &(String, String)| format!("{name}={value}");
        let own = [(OWNER_LABEL.to_owned(), owner.label())];
        ContainerCreateBody {
            image: Some(self.image.clone()),
            // The command takes the place of the image's entry point: the contract says what is run.
            entrypoint: (!self.command.is_empty()).then(|| self.command.clone()),
            cmd: (!self.command.is_empty()).then(Vec::new),
            env: Some(self.env.iter().map(variable).collect()),
            working_dir: Some(self.work_dir.clone()),
            user: Some(self.user.clone()),
            labels: Some(self.labels.iter().cloned().chain(own).collect()),
            hostname: Some("praxis".to_owned()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            tty: Some(false),
            network_disabled: Some(!self.network),
            host_config: Some(self.host_config(cores)),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config(&self, cores: f64) -> HostConfig {
        let memory = i64::try_from(self.memory_bytes).unwrap_or(i64::MAX);
        // Where the image has the folder, runc gives it the mode of that one; its owner can write in any case.
        let owner = match self.scratch_owner.split_once(':') {
            Some((user, group)) if is_number(user) && is_number(group) => {
                format!(",uid={user},gid={group}")
            }
            _ => String::new(),
        };
        let scratch = self.scratch.iter().map(|(path, bytes)| {
            let options = format!("rw,exec,nosuid,nodev,mode=1777,size={bytes}{owner}");
            (path.clone(), options)
        });
        HostConfig {
            network_mode: Some(if self.network { "default" } else { "none" }.to_owned()),
            readonly_rootfs: Some(self.read_only),
            tmpfs: Some(scratch.collect()),
            mounts: Some(self.binds.iter().map(mount).collect()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(self.capabilities.clone()),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            // Daemons refuse more cores than they have, though that is a limit which holds by itself.
            nano_cpus: self.cpu.map(|limit| (limit.min(cores) * 1e9) as i64),
            memory: Some(memory),
            // Equal to the memory: none of it is swap.
            memory_swap: Some(memory),
            pids_limit: Some(i64::from(self.pids)),
            ulimits: Some(vec![ResourcesUlimits {
                name: Some("core".to_owned()),
                soft: Some(0),
                hard: Some(0),
            }]),
            sysctls: Some(self.sysctls.iter().cloned().collect()),
            ipc_mode: Some("private".to_owned()),
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            // What a tool prints is read as it comes; kept by the daemon as well, it could fill the disk.
            log_config: Some(HostConfigLogConfig {
                typ: Some("none".to_owned()),
                config: Some(HashMap::new()),
            }),
            auto_remove: Some(self.auto_remove),
            ..HostConfig::default()
        }
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

fn mount(bind: &Bind) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(bind.source.display().to_string()),
        target: Some(bind.target.clone()),
        read_only: Some(bind.read_only),
        bind_options: Some(MountBindOptions {
            // Being read-only does not reach what is mounted below; so nothing below is taken along.
            non_recursive: Some(bind.read_only),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

fn image(config: &DockerConfig, contract: &ToolContract) -> Result<String, Error> {
    let image = crate::docker::image(config, contract);
    let image = image.ok_or_else(|| {
        contract
            .invalid("the contract names no `image`, so there is nothing to make a container of")
            .with_help(
                "add `image: NAME` to the contract, or set an image for all tools of the engine",
            )
    })?;
    crate::docker::check_image(image)?;
    Ok(image.to_owned())
}

fn command(request: &Request<'_>, root: Option<&str>) -> Result<Vec<String>, Error> {
    let contract = request.contract;
    let stand_in = Path::new(root.unwrap_or(NO_ROOT));
    if root.is_none() && contract.command.iter().any(|word| word.contains("{root}")) {
        return Err(contract
            .invalid(
                "`command` has {root} in it, but the container does not see the workspace root",
            )
            .with_help("add a mount of it, such as `mounts: {.: /workspace}`"));
    }
    if contract.dir.is_none()
        && contract
            .command
            .iter()
            .any(|word| word.contains("{contract_dir}"))
    {
        return Err(
            contract.invalid("`command` has {contract_dir} in it, but the contract has no folder")
        );
    }
    let words = contract.expand_command(request.arguments, stand_in, Path::new(CONTRACT_DIR))?;
    let mut words = words.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    if contract.shell && !words.is_empty() {
        words.splice(0..0, ["/bin/sh".to_owned(), "-c".to_owned()]);
    } else if let Some(program) = words.first_mut()
        && contract.dir.is_some()
        && program.contains('/')
        && !program.starts_with('/')
    {
        *program = format!("{CONTRACT_DIR}/{program}");
    }
    Ok(words)
}

fn text(word: OsString) -> Result<String, Error> {
    word.into_string().map_err(|word| {
        Error::new(
            ErrorKind::InvalidArguments,
            format!("the word {word:?} is no UTF-8; container engines take no other"),
        )
    })
}

/// Praxis's own variables, those of the host that the contract asks for, its arguments and what it fixes.
///
/// None of them hides another by a caller's choice: [`ToolContract::check`] keeps the names apart.
fn environment(request: &Request<'_>, root: Option<&str>) -> Result<Vec<(String, String)>, Error> {
    let contract = request.contract;
    let variables = contract.argument_variables(request.arguments)?;
    let omitted = variables.omitted.join(",");
    let own = [
        ("HOME", Some(WORK_DIR)),
        ("TMPDIR", Some("/tmp")),
        ("PRAXIS_ROOT", root),
        (
            "PRAXIS_CONTRACT_DIR",
            contract.dir.as_ref().map(|_| CONTRACT_DIR),
        ),
        ("PRAXIS_CALL_ID", Some(request.call_id.as_str())),
        (
            "PRAXIS_STDIN_ONLY",
            Some(omitted.as_str()).filter(|names| !names.is_empty()),
        ),
    ];
    let mut env: std::collections::BTreeMap<String, String> = own
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    for name in contract.host_variables() {
        if let Ok(value) = std::env::var(name) {
            env.insert(name.to_owned(), value);
        }
    }
    env.extend(variables.set);
    Ok(env.into_iter().collect())
}
