//! The commands, a module each.

pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod compat;
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

use praxis_agent::Toolbox;

use crate::arguments::Folders;
use crate::exit::Stop;

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
