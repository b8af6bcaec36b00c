//! The command line. Others script against these names.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use praxis_exec::{Isolation, Limit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Runs workflows of tools: checked, in parallel where it is safe, remembered where it is safe.
///
/// Exit codes: 0 done, 1 the workflow failed, 2 the program or the command line is wrong,
/// 3 something it needs is not there, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "praxis", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

#[derive(Debug, Args)]
pub(crate) struct Logging {
    /// Log more: -v for info, -vv for debug, -vvv for trace. RUST_LOG, if set, decides instead.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// The form of the log on standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true)]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a workflow.
    Run(Run),
    /// Check workflows without running them.
    Check(Check),
    /// Say what a run would do, and how long it may take.
    Explain(Explain),
    /// Lay programs out in their one form, or turn them into JSON and back.
    Fmt(Fmt),
    /// Say what a diagnostic's code means, with an example.
    ExplainError(ExplainError),
    /// Print a program's tree.
    Ast(Compat),
    /// Print a program's tokens.
    Tokens(Compat),
    /// List, show or call tools.
    Tools(Tools),
    /// Measure the engines that run tools, and say what each enforces and costs on this machine.
    Engines(Engines),
    /// Say what this machine can do to keep tools from it, found out by trying.
    Doctor(Doctor),
    /// Show, explain or forget what runs remember.
    Cache(Cache),
    /// List, show, resume, replay or compare runs.
    Runs(Runs),
    /// Kill what a run's tools left running, once standard input ends.
    #[command(name = "__keeper", hide = true)]
    Keeper {
        /// The run.
        run: String,
    },
    /// Serve an editor over standard input and output, by the Language Server Protocol.
    Lsp(Lsp),
}

#[derive(Debug, Args)]
pub(crate) struct Lsp {
    /// The folder that the editor's folders of tools are relative to; unset, its workspace.
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// A folder of `*/contract.yaml` tools. May be given many times.
    #[arg(long, value_name = "DIR")]
    pub(crate) tools: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The program's file; `-` reads it from standard input.
    pub(crate) file: String,
    /// The value of an input: JSON if it parses as such, else text. May be given many times.
    #[arg(long = "param", value_name = "K=V", value_parser = typed_pair)]
    pub(crate) params: Vec<(String, Value)>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// How many steps may run at once; unset, twice the cores and at least 4.
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub(crate) jobs: Option<usize>,
    /// How long the run may take: 500ms, 5s, 2m, 1h.
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Run the lines one by one.
    #[arg(long)]
    pub(crate) no_optimize: bool,
    /// Remember nothing, and use nothing that was remembered.
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Keep no journal, so that the run cannot be resumed or replayed.
    #[arg(long)]
    pub(crate) no_journal: bool,
    #[command(flatten)]
    pub(crate) state: State,
    /// Print the report as one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What outlives runs.
#[derive(Debug, Args)]
pub(crate) struct State {
    /// The folder for what is remembered from run to run; unset, $XDG_STATE_HOME/praxis or
    /// ~/.local/state/praxis.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// Where tools come from and what they may reach.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The folder that file tools are confined to.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) root: PathBuf,
    #[command(flatten)]
    pub(crate) folders: Folders,
    /// Let `http_fetch` use the network.
    #[arg(long)]
    pub(crate) allow_network: bool,
    #[command(flatten)]
    pub(crate) engines: EngineChoice,
}

/// What is said about the engines that tools run on.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EngineChoice {
    /// Do without a limit that a tool's engine cannot enforce: memory, cpu, pids, network,
    /// read_only, mounts. May be given many times.
    #[arg(long = "accept", value_name = "LIMIT", value_parser = limit)]
    pub(crate) accept: Vec<Limit>,
    /// Keep each program as far from the machine as this at least, whatever its contract says:
    /// none, process, sandbox, container.
    #[arg(long, value_name = "LEVEL", default_value_t, value_parser = isolation)]
    pub(crate) isolation: Isolation,
    /// Run what asks for one engine on another, such as dagger=docker. May be given many times.
    #[arg(long, value_name = "ENGINE=ENGINE", value_parser = pair)]
    pub(crate) instead: Vec<(String, String)>,
    /// The image for tools that run in a container and name none; unset, the programs of this
    /// machine, read-only.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Folders {
    /// A folder of `*/contract.yaml` tools. May be given many times.
    #[arg(long, value_name = "DIR")]
    pub(crate) tools: Vec<PathBuf>,
    /// A file of MCP servers, whose tools are at hand then: {"mcpServers": {"name": {…}}}.
    #[arg(long, value_name = "FILE")]
    pub(crate) mcp: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The programs' files; `-` reads one from standard input.
    #[arg(required = true)]
    pub(crate) files: Vec<String>,
    /// First make the changes in the files that certainly mend a mistake.
    #[arg(long)]
    pub(crate) fix: bool,
    #[command(flatten)]
    pub(crate) folders: Folders,
    /// Print the diagnostics as one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The program's file; `-` reads it from standard input.
    pub(crate) file: String,
    /// The value of an input: JSON if it parses as such, else text. May be given many times.
    #[arg(long = "param", value_name = "K=V", value_parser = typed_pair)]
    pub(crate) params: Vec<(String, Value)>,
    #[command(flatten)]
    pub(crate) folders: Folders,
    #[command(flatten)]
    pub(crate) engines: EngineChoice,
    /// How many steps may run at once; unset, twice the cores and at least 4.
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub(crate) jobs: Option<usize>,
    #[command(flatten)]
    pub(crate) state: State,
    /// Print one JSON document.
    #[arg(long, group = "form")]
    pub(crate) json: bool,
    /// Print a Mermaid flowchart.
    #[arg(long, group = "form")]
    pub(crate) mermaid: bool,
    /// Print a Graphviz digraph.
    #[arg(long, group = "form")]
    pub(crate) dot: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Fmt {
    /// The programs' files, which are written in place; `-` reads one from standard input and
    /// writes it to standard output.
    #[arg(required_unless_present = "schema")]
    pub(crate) files: Vec<String>,
    /// Write nothing; name the files whose layout differs, and exit with 1 if there are any.
    #[arg(long, conflicts_with_all = ["to_json", "from_json"])]
    pub(crate) check: bool,
    /// Print the JSON form of a program.
    #[arg(long, conflicts_with = "from_json")]
    pub(crate) to_json: bool,
    /// Print the program of a JSON form.
    #[arg(long)]
    pub(crate) from_json: bool,
    /// Print the JSON Schema of the JSON form.
    #[arg(long, conflicts_with_all = ["check", "to_json", "from_json", "files"])]
    pub(crate) schema: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainError {
    /// The code, such as P0101; without one, all are listed.
    pub(crate) code: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Compat {
    /// In the recorded shape of the compatibility cases, the only one there is so far.
    #[arg(long, required = true)]
    pub(crate) compat: bool,
    /// The program's file; `-` reads it from standard input.
    pub(crate) file: String,
}

#[derive(Debug, Args)]
pub(crate) struct Tools {
    #[command(subcommand)]
    pub(crate) command: ToolsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ToolsCommand {
    /// List the tools.
    List {
        #[command(flatten)]
        folders: Folders,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show a tool's contract.
    Show {
        /// The tool.
        name: String,
        #[command(flatten)]
        folders: Folders,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Approve tools of MCP servers as they are defined now, after a change.
    Approve {
        /// The tools.
        #[arg(required = true)]
        names: Vec<String>,
        /// The file of MCP servers.
        #[arg(long, value_name = "FILE")]
        mcp: PathBuf,
        #[command(flatten)]
        state: State,
    },
    /// Call a tool and print its result.
    Call {
        /// The tool.
        name: String,
        /// Its arguments; the contract's types decide what each value is.
        #[arg(value_name = "K=V", value_parser = pair)]
        arguments: Vec<(String, String)>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        state: State,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Engines {
    /// How many calls the median is taken of.
    #[arg(long, value_name = "N", default_value_t = 21, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) calls: u16,
    #[command(flatten)]
    pub(crate) choice: EngineChoice,
    #[command(flatten)]
    pub(crate) folders: Folders,
    #[command(flatten)]
    pub(crate) state: State,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Cache {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Say how much is remembered.
    Stats {
        #[command(flatten)]
        state: State,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Forget what is remembered.
    Clear {
        /// The tool whose results to forget, or a pattern with `*` and `?`; unset, all are.
        #[arg(long, value_name = "C")]
        category: Option<String>,
        #[command(flatten)]
        state: State,
    },
    /// Say why a result may be used again, or may not.
    Explain {
        /// The beginning of a key, or the name of a tool or a pattern with `*` and `?`.
        key: String,
        /// The folder that file tools are confined to.
        #[arg(long, value_name = "DIR", default_value = ".")]
        root: PathBuf,
        #[command(flatten)]
        state: State,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(subcommand)]
    pub(crate) command: RunsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List the runs, the latest first.
    List {
        #[command(flatten)]
        state: State,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show what a run did.
    Show {
        /// The run's id, its beginning, or `latest`.
        id: String,
        #[command(flatten)]
        state: State,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Go on with a run that was killed or interrupted; what it has done is not done again.
    Resume {
        /// The run's id, its beginning, or `latest`.
        id: String,
        #[command(flatten)]
        insist: Insist,
        /// Run steps again whose outcome is not known.
        #[arg(long)]
        rerun_unknown: bool,
        #[command(flatten)]
        state: State,
        /// Print the report as one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Give the report of a run that is over again; no tool is run.
    Replay {
        /// The run's id, its beginning, or `latest`.
        id: String,
        #[command(flatten)]
        insist: Insist,
        #[command(flatten)]
        state: State,
        /// Print the report as one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Say where two runs part.
    Diff {
        /// One run's id, its beginning, or `latest`.
        one: String,
        /// The other's.
        other: String,
        #[command(flatten)]
        state: State,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Insist {
    /// Go on though the program's file or a tool has changed since the run: the program as it was,
    /// with the tools as they are.
    #[arg(long)]
    pub(crate) accept_changes: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err("expected a name, `=` and a value".to_owned());
    };
    if key.is_empty() {
        return Err("the name before `=` is empty".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn typed_pair(text: &str) -> Result<(String, Value), String> {
    pair(text).map(|(key, value)| (key, typed(value)))
}

/// A value as JSON, or as text where it is none or a number that would lose digits.
pub(crate) fn typed(text: String) -> Value {
    match serde_json::from_str(&text) {
        Ok(Value::Number(number)) if number.is_f64() && !text.contains(['.', 'e', 'E']) => {
            Value::String(text)
        }
        Ok(value) => value,
        Err(_) => Value::String(text),
    }
}

fn limit(text: &str) -> Result<Limit, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = Limit::ALL.iter().map(|limit| limit.as_str()).collect();
        format!("expected one of {}", known.join(", "))
    })
}

fn isolation(text: &str) -> Result<Isolation, String> {
    text.parse().map_err(|_| {
        let known = Isolation::ALL.map(Isolation::as_str);
        format!("expected one of {}", known.join(", "))
    })
}

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 step must be able to run".to_owned()),
        Ok(jobs) => Ok(jobs),
        Err(_) => Err("expected a whole number, 1 or more".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number and ms, s, m or h, such as 5s".to_owned();
    let split = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..split].parse().map_err(|_| expected())?;
    let seconds = match &text[split..] {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(expected()),
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a time limit is above 0 and not astronomical".to_owned()),
    }
}
