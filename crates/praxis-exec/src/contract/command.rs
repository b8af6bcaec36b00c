//! Placeholders in a command: which there are, and what stands in their place.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Map, Value};

use super::{ToolContract, environment};
use crate::{Error, ErrorKind};

const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "fish"];

/// The longest word that Linux passes to a program, its end byte taken off.
const MAX_WORD_BYTES: usize = 128 * 1024 - 1;

#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Literal(&'a str),
    Name(&'a str),
}

/// Whether the command and the environment of a contract can mean what they say.
pub(super) fn check(contract: &ToolContract) -> Result<(), Error> {
    environment::check(contract)?;
    if contract.shell && contract.command.len() > 1 {
        return Err(contract.invalid(format!(
            "with `shell: true` the command is one script, but it has {} words; write it as one text",
            contract.command.len()
        )));
    }
    if contract.command.first().is_some_and(String::is_empty) {
        return Err(contract.invalid("the first word of `command` is empty; it names the program"));
    }
    let script = script_index(contract);
    for (index, word) in contract.command.iter().enumerate() {
        if word.contains('\0') {
            return Err(contract.invalid("`command` holds a NUL, which no program can be given"));
        }
        for piece in pieces(word) {
            let Piece::Name(name) = piece else { continue };
            let known = is_place(name) || contract.find_parameter(name).is_some();
            if script == Some(index) {
                if known {
                    return Err(in_script(contract, name));
                }
            } else if !known {
                return Err(contract.invalid(format!(
                    "`command` has the placeholder {{{name}}}, but no parameter is called so; there are \
                     {{contract_dir}}, {{root}} and the parameters ({})",
                    contract.parameter_names()
                )));
            }
        }
    }
    Ok(())
}

fn in_script(contract: &ToolContract, name: &str) -> Error {
    let variable = match name {
        "root" => "PRAXIS_ROOT",
        "contract_dir" => "PRAXIS_CONTRACT_DIR",
        parameter => parameter,
    };
    contract
        .invalid(format!(
            "`command` puts {{{name}}} into a shell script, where its text would be run as code"
        ))
        .with_help(format!(
            "write \"${variable}\" in the script: every argument is an environment variable too; \
             or name the program and its arguments without a shell"
        ))
}

impl ToolContract {
    /// The words of the command with the arguments in their places.
    ///
    /// Each placeholder is replaced once: what an argument contains is never looked at again.
    /// A word that is only the placeholder of an argument which the call lacks is left out.
    /// `root` and `contract_dir` are the paths at which the program sees those folders.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArguments`] where an argument holds a NUL or is longer than a word may be.
    pub fn expand_command(
        &self,
        arguments: &Map<String, Value>,
        root: &Path,
        contract_dir: &Path,
    ) -> Result<Vec<OsString>, Error> {
        let script = script_index(self);
        let mut words = Vec::with_capacity(self.command.len());
        for (index, word) in self.command.iter().enumerate() {
            if script == Some(index) {
                words.push(OsString::from(word));
                continue;
            }
            let pieces: Vec<Piece<'_>> = pieces(word).collect();
            if let [Piece::Name(name)] = pieces[..]
                && !is_place(name)
                && !arguments.contains_key(name)
            {
                continue;
            }
            let mut expanded = OsString::new();
            for piece in pieces {
                match piece {
                    Piece::Literal(text) => expanded.push(text),
                    Piece::Name("root") => expanded.push(root),
                    Piece::Name("contract_dir") => {
                        expanded.push(contract_dir);
                    }
                    Piece::Name(name) => {
                        let Some(argument) = arguments.get(name) else {
                            continue;
                        };
                        let text = environment::argument_text(argument);
                        if text.contains('\0') {
                            return Err(refused(self, name, "contains a NUL, which no word can"));
                        }
                        if expanded.len() + text.len() > MAX_WORD_BYTES {
                            return Err(refused(
                                self,
                                name,
                                &format!("is longer than a word may be ({MAX_WORD_BYTES} bytes)"),
                            ));
                        }
                        expanded.push(&*text);
                    }
                }
            }
            words.push(expanded);
        }
        Ok(words)
    }
}

fn refused(contract: &ToolContract, name: &str, reason: &str) -> Error {
    Error::new(
        ErrorKind::InvalidArguments,
        format!("argument `{name}` {reason}, and the command has {{{name}}} in it"),
    )
    .with_tool(&contract.name)
    .with_help("let the program read its arguments from standard input, where they are JSON")
}

fn is_place(name: &str) -> bool {
    matches!(name, "root" | "contract_dir")
}

/// Which word, if any, a shell will read as a script.
fn script_index(contract: &ToolContract) -> Option<usize> {
    if contract.shell {
        return Some(0);
    }
    let words = &contract.command;
    let shell = words.iter().position(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        SHELLS.contains(&name)
    })?;
    let mut index = shell + 1;
    while let Some(flag) = words.get(index).filter(|word| word.starts_with(['-', '+'])) {
        if !flag.starts_with("--") && flag.contains('c') {
            return Some(index + 1).filter(|script| *script < words.len());
        }
        index += if flag.ends_with('o') { 2 } else { 1 };
    }
    None
}

/// Cuts a word at its placeholders: `{name}`, but not `${name}`, which is a shell's.
fn pieces(word: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = word;
    let mut pending = None;
    std::iter::from_fn(move || {
        if let Some(name) = pending.take() {
            return Some(Piece::Name(name));
        }
        if rest.is_empty() {
            return None;
        }
        let mut from = 0;
        while let Some(offset) = rest[from..].find('{') {
            let open = from + offset;
            let after = &rest[open + 1..];
            if let Some(length) = placeholder(after)
                && !rest[..open].ends_with('$')
            {
                let (literal, name) = (&rest[..open], &after[..length]);
                rest = &after[length + 1..];
                if literal.is_empty() {
                    return Some(Piece::Name(name));
                }
                pending = Some(name);
                return Some(Piece::Literal(literal));
            }
            from = open + 1;
        }
        Some(Piece::Literal(std::mem::take(&mut rest)))
    })
}

/// The length of the name that `text` begins with, if a closing brace follows it.
fn placeholder(text: &str) -> Option<usize> {
    let length = text.find('}')?;
    let name = &text[..length];
    let well_formed = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '-' | '.'));
    well_formed.then_some(length)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Parameter;

    #[test]
    fn words_are_cut_at_placeholders() {
        let check = |word: &str, expect: &[Piece<'_>]| {
            assert_eq!(pieces(word).collect::<Vec<_>>(), expect, "{word}");
        };
        check("{a}", &[Piece::Name("a")]);
        check(
            "x{a}y{b}",
            &[
                Piece::Literal("x"),
                Piece::Name("a"),
                Piece::Literal("y"),
                Piece::Name("b"),
            ],
        );
        check("${a}", &[Piece::Literal("${a}")]);
        check("{print $1}", &[Piece::Literal("{print $1}")]);
        check(
            "{{a}}",
            &[Piece::Literal("{"), Piece::Name("a"), Piece::Literal("}")],
        );
        check("{", &[Piece::Literal("{")]);
        check("{}", &[Piece::Literal("{}")]);
        check("", &[]);
    }

    #[test]
    fn an_argument_is_never_expanded_again() {
        let contract = ToolContract::new("t")
            .parameter(Parameter::text("a"))
            .parameter(Parameter::text("b"))
            .command(["p", "{a}{b}", "{b}", "--x={b}"]);
        let Value::Object(arguments) = json!({"a": "{b}$(id)"}) else {
            unreachable!()
        };
        let words = contract
            .expand_command(&arguments, Path::new("/r"), Path::new("/c"))
            .unwrap();
        assert_eq!(words, ["p", "{b}$(id)", "--x="]);
    }

    #[test]
    fn a_shell_script_takes_no_placeholder() {
        let check = |words: &[&str], fits: bool| {
            let contract = ToolContract::new("t")
                .parameter(Parameter::text("a"))
                .command(words.iter().copied());
            assert_eq!(contract.check().is_ok(), fits, "{words:?}");
        };
        check(&["sh", "-c", "echo {a}"], false);
        check(&["/bin/bash", "-o", "pipefail", "-ec", "echo {a}"], false);
        check(&["env", "bash", "-lc", "echo {root}"], false);
        check(&["sh", "-c", "echo ${a} {other}", "{a}"], true);
        check(&["sh", "run.sh", "{a}"], true);
        check(&["echo", "{other}"], false);
    }
}
