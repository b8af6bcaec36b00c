//! The journal that `praxis run` leaves, and what it has to hold for the run to be taken up again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use praxis_agent::{Loaded, Toolbox};
use praxis_workflow::{Journal, Retention, RunId, RunJournal, RunOptions, RunStart, SqliteJournal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::arguments::{self, EngineChoice, State};
use crate::exit::Stop;

/// Where and with what a run was started: what its program's text does not say.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Context {
    /// The version of this program.
    pub(crate) praxis: String,
    /// The program's file, or `-`.
    pub(crate) program: String,
    pub(crate) root: PathBuf,
    pub(crate) tools: Vec<PathBuf>,
    pub(crate) mcp: Option<PathBuf>,
    pub(crate) allow_network: bool,
    #[serde(flatten)]
    pub(crate) engines: EngineChoice,
    pub(crate) no_cache: bool,
    /// For each tool that the program calls, a digest over its contract and the bytes of its program.
    pub(crate) digests: BTreeMap<String, String>,
}

/// The store of journals in the state's folder.
pub(crate) fn store(folder: &Path) -> impl Journal + use<> {
    mortal(SqliteJournal::new(
        folder.join("runs"),
        Retention::default(),
    ))
}

/// The store, for commands that need one.
pub(crate) fn existing(state: &State) -> Result<impl Journal + use<>, Stop> {
    Ok(store(&state.folder()?))
}

/// The digests of the tools that a program calls.
pub(crate) fn digests(loaded: &Loaded, tools: &Toolbox) -> Result<BTreeMap<String, String>, Stop> {
    let mut digests = BTreeMap::new();
    for call in loaded.plan.iter().flat_map(|plan| plan.described_calls()) {
        if !digests.contains_key(call.tool)
            && let Some(tool) = tools.find(call.tool)
        {
            let digest = tool.contract().digest()?;
            digests.insert(call.tool.to_owned(), digest.to_string());
        }
    }
    Ok(digests)
}

/// Begins a run's journal; without one, and with a warning, where it cannot be had.
pub(crate) fn begin(
    run: &RunId,
    arguments: &arguments::Run,
    loaded: &Loaded,
    tools: &Toolbox,
    root: &Path,
    inputs: &Map<String, Value>,
    options: &RunOptions,
) -> Option<RunJournal> {
    if arguments.no_journal {
        return None;
    }
    let Ok(folder) = arguments.state.folder() else {
        tracing::debug!("there is no home folder and no `--state DIR`, so there is no journal");
        return None;
    };
    if let Err(error) = std::fs::create_dir_all(&folder)
        && !arguments.no_cache
    {
        // The cache needs the folder too, and warns of it.
        tracing::debug!(%error, "without a folder for state there is no journal");
        return None;
    }
    let start = || {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let program = match arguments.file.as_str() {
            "-" => "-".to_owned(),
            file => absolute(Path::new(file)).to_string_lossy().into_owned(),
        };
        let context = Context {
            praxis: env!("CARGO_PKG_VERSION").to_owned(),
            program,
            root: root.to_owned(),
            tools: (arguments.place.folders.tools.iter())
                .map(|folder| absolute(folder))
                .collect(),
            mcp: (arguments.place.folders.mcp.as_deref()).map(absolute),
            allow_network: arguments.place.allow_network,
            engines: arguments.place.engines.clone(),
            no_cache: arguments.no_cache,
            digests: digests(loaded, tools).map_err(|stop| stop.message)?,
        };
        let context = serde_json::to_value(context).map_err(|error| error.to_string())?;
        let start = RunStart {
            workflow: (loaded.plan.as_ref())
                .and_then(|plan| plan.name())
                .map(str::to_owned),
            source: loaded.source.clone(),
            inputs: inputs.clone(),
            options: options.clone(),
            context,
        };
        RunJournal::begin(&store(&folder), run.clone(), start).map_err(|error| error.to_string())
    };
    start()
        .inspect_err(|error| {
            tracing::warn!("{error}; the run leaves no journal and cannot be resumed");
        })
        .ok()
}

#[cfg(not(debug_assertions))]
fn mortal(journal: SqliteJournal) -> SqliteJournal {
    journal
}

#[cfg(debug_assertions)]
use mortal::mortal;

/// For tests: the process kills itself at the write of the journal that a variable names.
#[cfg(debug_assertions)]
mod mortal {
    use praxis_workflow::{History, Journal, JournalError, Record, RunId, RunLog, SqliteJournal};

    /// `5:before` or `5:after`, counted from 1.
    const VARIABLE: &str = "PRAXIS_TEST_KILL_AT_JOURNAL_WRITE";

    pub(super) fn mortal(journal: SqliteJournal) -> impl Journal + use<> {
        let wanted = std::env::var(VARIABLE).ok();
        let at = wanted.and_then(|text| {
            let (number, when) = text.split_once(':')?;
            Some((number.parse().ok()?, when == "after"))
        });
        Mortal { journal, at }
    }

    struct Mortal {
        journal: SqliteJournal,
        at: Option<(u64, bool)>,
    }

    struct MortalLog {
        log: Box<dyn RunLog>,
        at: (u64, bool),
        writes: u64,
    }

    impl Journal for Mortal {
        fn open(&self, run: &RunId) -> Result<Box<dyn RunLog>, JournalError> {
            let log = self.journal.open(run)?;
            Ok(match self.at {
                None => log,
                Some(at) => Box::new(MortalLog { log, at, writes: 0 }),
            })
        }

        fn read(&self, run: &RunId) -> Result<History, JournalError> {
            self.journal.read(run)
        }

        fn outline(&self, run: &RunId) -> Result<History, JournalError> {
            self.journal.outline(run)
        }

        fn runs(&self) -> Result<Vec<RunId>, JournalError> {
            self.journal.runs()
        }

        fn remove(&self, run: &RunId) -> Result<(), JournalError> {
            self.journal.remove(run)
        }
    }

    impl RunLog for MortalLog {
        fn append(&mut self, records: &[Record], durable: bool) -> Result<(), JournalError> {
            self.writes += 1;
            if (self.writes, false) == self.at {
                die();
            }
            self.log.append(records, durable)?;
            if (self.writes, true) == self.at {
                die();
            }
            Ok(())
        }

        fn abandon(&mut self) {
            self.log.abandon();
        }
    }

    /// SIGKILL, as `kill -9` sends it.
    fn die() -> ! {
        let own = std::process::id().to_string();
        let _ = std::process::Command::new("kill")
            .args(["-9", &own])
            .status();
        std::process::abort();
    }
}
