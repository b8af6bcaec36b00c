//! The tools that programs are checked against, read anew when their contracts change.

use std::path::PathBuf;

use praxis_exec::{Error, ToolContract};

use crate::toolbox::Toolbox;

/// The tools of `folders`, and what is wrong with those that are left out.
///
/// An editor shows a workspace while it is being changed, so one contract that is wrong keeps
/// only its own tool away.
///
/// # Errors
///
/// A built-in contract that contradicts itself: a defect.
pub(super) fn load(folders: &[PathBuf]) -> Result<(Toolbox, Vec<String>), Error> {
    let mut problems = Vec::new();
    let mut toolbox = Toolbox::with_builtins(false)?;
    for folder in folders {
        match ToolContract::load_folder(folder) {
            Err(error) => problems.push(error.to_string()),
            Ok(loaded) => {
                problems.extend(loaded.errors.iter().map(ToString::to_string));
                for contract in loaded.contracts {
                    if let Err(error) = toolbox.add(contract) {
                        problems.push(error.to_string());
                    }
                }
            }
        }
    }
    Ok((toolbox, problems))
}
