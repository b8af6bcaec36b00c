//! The commands, a module each.

pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod compat;
pub(crate) mod doctor;
pub(crate) mod engines;
pub(crate) mod explain;
pub(crate) mod explain_error;
pub(crate) mod fmt;
pub(crate) mod journal;
pub(crate) mod keeper;
pub(crate) mod lsp;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod servers;
pub(crate) mod state;
pub(crate) mod tools;

use std::path::Path;
use std::sync::Arc;

use praxis_agent::{Placement, Toolbox};
use praxis_exec::dagger::DaggerEngine;
use praxis_exec::docker::{DockerConfig, DockerEngine};
use praxis_exec::local::{Level, LocalConfig, LocalEngine};
use praxis_exec::pool::{PoolConfig, PoolEngine};
use praxis_exec::{ExecutionEngine, Isolation};

use crate::arguments::{EngineChoice, Folders, State};
use crate::exit::{Exit, Stop};
use crate::overheads;

/// The built-in tools and those of the folders, to be looked at; says on standard error what contracts say in vain.
fn toolbox(folders: &Folders, allow_network: bool) -> Result<Toolbox, Stop> {
    let (choice, state) = (EngineChoice::default(), State { state: None });
    with_engines(folders, allow_network, &choice, None, &state)
}

/// The same tools, to be run: on what the operator says, and at the costs that were measured here.
fn placed_toolbox(
    folders: &Folders,
    allow_network: bool,
    choice: &EngineChoice,
    root: Option<&Path>,
    state: &State,
) -> Result<Toolbox, Stop> {
    let mut placement = Placement::default();
    placement.floor = choice.isolation;
    placement.accept.clone_from(&choice.accept);
    // A container that is warm is a container too.
    placement
        .instead
        .insert("docker".to_owned(), "pool".to_owned());
    placement.instead.extend(choice.instead.iter().cloned());
    placement.overheads = overheads::read(state);
    let toolbox = with_engines(folders, allow_network, choice, root, state)?;
    let have: Vec<&str> = toolbox.engines().map(|engine| engine.name()).collect();
    for (asked, name) in &choice.instead {
        if name != "auto" && !have.contains(&name.as_str()) {
            let message = format!(
                "--instead {asked}={name}: this program has no engine `{name}`; it has {}",
                have.join(", ")
            );
            return Err(Stop::new(Exit::Missing, message));
        }
    }
    Ok(toolbox.placing(placement))
}

fn with_engines(
    folders: &Folders,
    allow_network: bool,
    choice: &EngineChoice,
    root: Option<&Path>,
    state: &State,
) -> Result<Toolbox, Stop> {
    let mut engines = engines(choice, root);
    let mut of_servers = Vec::new();
    if let Some(file) = &folders.mcp {
        let servers = servers::engine(file, state)?;
        of_servers.extend(servers.contracts().cloned());
        engines.push(Arc::new(servers));
    }
    let mut toolbox = Toolbox::with_engines(allow_network, engines)?;
    for contract in of_servers {
        toolbox.add(Arc::unwrap_or_clone(contract))?;
    }
    for folder in &folders.tools {
        for warning in toolbox.add_folder(folder)? {
            tracing::warn!("{warning}");
        }
    }
    Ok(toolbox)
}

/// What runs the tools that are programs. None of them reaches for anything before its first call.
fn engines(choice: &EngineChoice, root: Option<&Path>) -> Vec<Arc<dyn ExecutionEngine>> {
    let mut local = LocalConfig::default();
    if choice.isolation == Isolation::Sandbox {
        local.level = Some(Level::Sandbox);
    }
    let mut docker = DockerConfig::default();
    docker.image = Some(choice.image.as_deref().unwrap_or("host").to_owned());
    let mut pool = PoolConfig::default();
    pool.docker = docker.clone();
    pool.root = root.map(Path::to_owned);
    vec![
        Arc::new(LocalEngine::new(local)),
        Arc::new(PoolEngine::new(pool)),
        Arc::new(DockerEngine::new(docker)),
        Arc::new(DaggerEngine::default()),
    ]
}
