//! The commands, a module each.

pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod compat;
pub(crate) mod engines;
pub(crate) mod explain;
pub(crate) mod explain_error;
pub(crate) mod fmt;
pub(crate) mod journal;
pub(crate) mod keeper;
pub(crate) mod lsp;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod state;
pub(crate) mod tools;

use praxis_agent::{Placement, Toolbox};

use crate::arguments::{EngineChoice, Folders, State};
use crate::exit::Stop;
use crate::overheads;

/// The built-in tools and those of the folders; says on standard error what contracts say in vain.
fn toolbox(folders: &Folders, allow_network: bool) -> Result<Toolbox, Stop> {
    let mut toolbox = Toolbox::with_builtins(allow_network)?;
    for folder in &folders.tools {
        for warning in toolbox.add_folder(folder)? {
            tracing::warn!("{warning}");
        }
    }
    Ok(toolbox)
}

/// The same tools, to be run: on what the operator says, and at the costs that were measured here.
fn placed_toolbox(
    folders: &Folders,
    allow_network: bool,
    engines: &EngineChoice,
    state: &State,
) -> Result<Toolbox, Stop> {
    let mut placement = Placement::default();
    placement.floor = engines.isolation;
    placement.accept.clone_from(&engines.accept);
    placement.instead.extend(engines.instead.iter().cloned());
    placement.overheads = overheads::read(state);
    Ok(toolbox(folders, allow_network)?.placing(placement))
}
