//! Arguments as environment variables: which names they may take, and which not.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::ToolContract;
use crate::{Error, ErrorKind, SECRET_VARIABLE_PREFIX, SECRETS_FOLDER_VARIABLE};

/// The longest argument that is given as a variable; Linux refuses to start a program with one above 128 KiB.
const MAX_VARIABLE_BYTES: usize = 64 * 1024;

/// What all argument variables may take together; the kernel wants room for the command as well.
const MAX_VARIABLES_BYTES: usize = 512 * 1024;

/// Variables that change how a program is found, loaded or started. An argument never sets one.
const RESERVED: [&str; 28] = [
    "PATH",
    "HOME",
    "SHELL",
    "TMPDIR",
    "LANG",
    "IFS",
    "ENV",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "CDPATH",
    "GLOBIGNORE",
    "GCONV_PATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "CLASSPATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "GIT_SSH_COMMAND",
];

const RESERVED_PREFIXES: [&str; 4] = ["LD_", "DYLD_", "LC_", "PRAXIS_"];

/// The environment variables of one call: those of its arguments and those that its contract fixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArgumentVariables {
    /// Name and value.
    pub set: BTreeMap<String, String>,
    /// Parameters whose arguments are on standard input only: too long for a variable, or with a NUL in them.
    pub omitted: Vec<String>,
}

/// Whether the contract's variables and parameters can stand side by side.
pub(super) fn check(contract: &ToolContract) -> Result<(), Error> {
    let fixed = contract.env.iter().map(|(name, _)| name);
    let named = fixed.chain(&contract.env_passthrough);
    for name in named.chain(&contract.secrets) {
        if !is_variable(name) {
            return Err(contract.invalid(format!(
                "{name:?} is no name of an environment variable; letters, digits and `_` make one"
            )));
        }
    }
    if let Some((name, _)) = contract.env.iter().find(|(_, value)| value.contains('\0')) {
        return Err(contract.invalid(format!("variable `{name}` holds a NUL")));
    }
    check_secrets(contract)?;
    for parameter in &contract.parameters {
        let name = parameter.name.as_str();
        if is_reserved(name) {
            return Err(contract
                .invalid(format!(
                    "parameter `{name}` would set the environment variable {name}, which decides how programs run"
                ))
                .with_help("give the parameter another name, such as its lower case"));
        }
        if contract.env.iter().any(|(fixed, _)| fixed == name) {
            return Err(contract.invalid(format!(
                "`{name}` is both a parameter and a fixed variable under `env`; a caller must not override it"
            )));
        }
    }
    Ok(())
}

/// Whether the secrets reach the tool as secrets, and by no other way.
fn check_secrets(contract: &ToolContract) -> Result<(), Error> {
    let supply = |name: &&String| {
        name.starts_with(SECRET_VARIABLE_PREFIX) || *name == SECRETS_FOLDER_VARIABLE
    };
    if let Some(name) = contract.env_passthrough.iter().find(supply) {
        return Err(contract
            .invalid(format!(
                "`env_passthrough` names {name}, which holds secrets"
            ))
            .with_help("name the secret itself under `secrets`"));
    }
    for (index, name) in contract.secrets.iter().enumerate() {
        let other = if contract.secrets[..index].contains(name) {
            "named twice"
        } else if is_reserved(name) {
            "a variable that decides how programs run"
        } else if contract.env.iter().any(|(fixed, _)| fixed == name) {
            "a fixed variable under `env` too"
        } else if contract.env_passthrough.contains(name) {
            "under `env_passthrough` too"
        } else if contract
            .parameters
            .iter()
            .any(|parameter| parameter.name.eq_ignore_ascii_case(name))
        {
            "a parameter too, and a caller must not override it"
        } else {
            continue;
        };
        return Err(contract.invalid(format!("secret `{name}` is {other}")));
    }
    Ok(())
}

impl ToolContract {
    /// Each argument under its parameter's name and under that in upper case, and the contract's fixed variables.
    ///
    /// An argument never sets a variable that decides how programs are found, loaded or started, such as `PATH`:
    /// a parameter `path` is given as `path` only.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArguments`] where an argument cannot be a variable and the script has no other way to it.
    pub fn argument_variables(
        &self,
        arguments: &Map<String, Value>,
    ) -> Result<ArgumentVariables, Error> {
        let mut set = BTreeMap::new();
        let mut omitted = Vec::new();
        let mut bytes = 0;
        for parameter in &self.parameters {
            let name = &parameter.name;
            let Some(argument) = arguments.get(name).filter(|_| is_variable(name)) else {
                continue;
            };
            let text = argument_text(argument);
            bytes += 2 * text.len();
            if text.contains('\0') || text.len() > MAX_VARIABLE_BYTES || bytes > MAX_VARIABLES_BYTES
            {
                bytes -= 2 * text.len();
                omitted.push(name.clone());
                continue;
            }
            let upper = name.to_ascii_uppercase();
            let spoken_for = is_reserved(&upper)
                || self.env.iter().any(|(fixed, _)| *fixed == upper)
                || self.find_parameter(&upper).is_some();
            if !spoken_for {
                set.insert(upper, text.to_string());
            }
            set.insert(name.clone(), text.into_owned());
        }
        if let Some(name) = omitted.first()
            && self.shell
        {
            return Err(Error::new(
                ErrorKind::InvalidArguments,
                format!(
                    "argument `{name}` is longer than {MAX_VARIABLE_BYTES} bytes or holds a NUL, \
                 and a shell script gets its arguments as variables"
                ),
            )
            .with_tool(&self.name)
            .with_help("pass a file name instead of the content"));
        }
        set.extend(self.env.iter().cloned());
        Ok(ArgumentVariables { set, omitted })
    }
}

/// An argument as one text: text as it is, anything else as compact JSON.
pub(super) fn argument_text(argument: &Value) -> Cow<'_, str> {
    match argument {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|next| next.is_ascii_alphanumeric() || next == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Parameter;

    fn arguments(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    #[test]
    fn reserved_names_are_refused_or_left_out() {
        for name in ["PATH", "LD_PRELOAD", "PYTHONPATH", "PRAXIS_CALL_ID"] {
            let contract = ToolContract::new("t").parameter(Parameter::text(name));
            assert!(contract.check().is_err(), "{name}");
        }
        let contract = ToolContract::new("t").parameter(Parameter::text("path"));
        contract.check().unwrap();
        let variables = contract
            .argument_variables(&arguments(json!({"path": "/evil"})))
            .unwrap();
        assert_eq!(
            variables.set.into_iter().collect::<Vec<_>>(),
            [("path".to_owned(), "/evil".to_owned())]
        );
    }

    #[test]
    fn fixed_variables_win() {
        let mut contract = ToolContract::new("t").parameter(Parameter::text("mode"));
        contract.env = vec![("MODE".to_owned(), "safe".to_owned())];
        contract.check().unwrap();
        let found = contract
            .argument_variables(&arguments(json!({"mode": "evil"})))
            .unwrap();
        assert_eq!(found.set["MODE"], "safe");
        assert_eq!(found.set["mode"], "evil");
        contract.env = vec![("mode".to_owned(), "safe".to_owned())];
        assert!(contract.check().is_err());
    }

    #[test]
    fn what_no_variable_can_hold_is_left_out_and_named() {
        let contract = ToolContract::new("t")
            .parameter(Parameter::text("long"))
            .parameter(Parameter::text("nul"))
            .parameter(Parameter::text("some-thing"));
        let given =
            arguments(json!({"long": "x".repeat(100_000), "nul": "a\0b", "some-thing": "x"}));
        let found = contract.argument_variables(&given).unwrap();
        assert!(found.set.is_empty());
        assert_eq!(found.omitted, ["long", "nul"]);
    }
}
