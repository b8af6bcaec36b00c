//! The folder for what outlives runs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::arguments::State;
use crate::exit::{Exit, Stop};

impl State {
    /// The folder that was named, else the user's.
    ///
    /// # Errors
    ///
    /// None was named, and the user has none that could be found.
    pub(crate) fn folder(&self) -> Result<PathBuf, Stop> {
        let variable = |name: &str| std::env::var_os(name);
        let folder = self.state.clone().or_else(|| default(variable));
        folder.ok_or_else(|| {
            let mut stop = Stop::new(
                Exit::Mistake,
                "there is no folder for state: neither XDG_STATE_HOME nor HOME is an absolute path",
            );
            stop.help = Some("name one with `--state DIR`".to_owned());
            stop
        })
    }
}

/// As the XDG base directory specification says, which has relative paths ignored; `LOCALAPPDATA` where that is what there is.
fn default(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(variable(name)?);
        path.is_absolute().then_some(path)
    };
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(Path::new(".local/state"))))
        .or_else(|| absolute("LOCALAPPDATA"))?;
    Some(state.join("praxis"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], expect: Option<&str>) {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(found.1))
        };
        assert_eq!(default(variable).as_deref(), expect.map(Path::new));
    }

    #[test]
    #[cfg(unix)]
    fn the_state_folder_is_where_the_specification_says() {
        check(
            &[("XDG_STATE_HOME", "/s"), ("HOME", "/h")],
            Some("/s/praxis"),
        );
        let home = Some("/h/.local/state/praxis");
        check(&[("HOME", "/h")], home);
        check(&[("XDG_STATE_HOME", "s"), ("HOME", "/h")], home);
        check(&[("XDG_STATE_HOME", ""), ("HOME", "/h")], home);
        check(&[("HOME", "h")], None);
        check(&[], None);
    }
}
