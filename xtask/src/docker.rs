//! `cargo xtask docker`: a container engine for the tests, with the image that they use.
//!
//! The tests use the engine that is there.
//! Where there is none, and this is root on Debian or Ubuntu, one of our own is started: its state, socket and
//! process id are in folders of its own, so that it gets in nobody's way and can be taken away without a trace.

mod daemon;
mod http;
mod image;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::command_line;
use daemon::Daemon;
use http::Address;

const COMMANDS: [&str; 3] = ["up", "down", "status"];

/// Runs `up`, `down` or `status`.
///
/// # Errors
/// What could not be installed, started, made or stopped, and why.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["up"] => up(),
        ["down"] => down(),
        ["status"] | [] => Ok(status()),
        [word] => Ok(command_line::unknown("docker command", word, &COMMANDS)),
        [_, extra, ..] => Ok(command_line::unknown("argument", extra, &[])),
    }
}

fn up() -> Result<ExitCode> {
    let engine = Engine::obtain()?;
    if let Engine::Ours(daemon) = &engine {
        daemon.keep()?;
    }
    let address = engine.address();
    image::ensure(&address)?;
    println!("{address} runs with the image {}", image::NAME);
    if !address.is_default() {
        println!("export DOCKER_HOST={address}");
    }
    Ok(ExitCode::SUCCESS)
}

fn down() -> Result<ExitCode> {
    match Daemon::running() {
        Some(daemon) => {
            daemon.stop()?;
            println!(
                "stopped the engine at {} and removed what it made",
                Daemon::socket()
            );
        }
        None => {
            daemon::clear()?;
            println!("no engine of ours runs; another's is never stopped");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn status() -> ExitCode {
    let Some(address) = reachable() else {
        println!("no container engine can be reached");
        for (address, error) in looked() {
            println!("  {address}: {error}");
        }
        match daemon::may_start() {
            Ok(()) if named().is_some() => {
                println!("DOCKER_HOST names it; unset that to have one started");
            }
            Ok(()) => println!("`cargo xtask docker up` starts one"),
            Err(reason) => println!("none can be started here: {reason}"),
        }
        return ExitCode::FAILURE;
    };
    let version = address
        .version()
        .unwrap_or_else(|error| format!("unknown: {error}"));
    let ours = if Daemon::running().is_some() && Daemon::address() == address {
        ", started by cargo xtask"
    } else {
        ""
    };
    println!("{address}: version {version}{ours}");
    match image::is_there(&address) {
        Ok(true) => println!("image {}: there", image::NAME),
        Ok(false) => println!(
            "image {}: missing; `cargo xtask docker up` makes it",
            image::NAME
        ),
        Err(error) => println!("image {}: {error:#}", image::NAME),
    }
    ExitCode::SUCCESS
}

/// An engine that can be used.
pub(crate) enum Engine {
    /// It was there without us.
    There(Address),
    /// It is ours; it stops with its last user.
    Ours(Daemon),
}

impl Engine {
    /// The one that the tests will use, with their image.
    ///
    /// # Errors
    /// There is none and none can be started, or the image cannot be made; and why.
    pub(crate) fn for_tests() -> Result<Self> {
        let engine = Self::obtain()?;
        match image::ensure(&engine.address()) {
            Ok(()) => Ok(engine),
            Err(error) => {
                engine.release()?;
                Err(error)
            }
        }
    }

    /// Looks for one, and starts one if there is none and this machine allows it.
    fn obtain() -> Result<Self> {
        if let Some(address) = reachable() {
            return Self::at(address);
        }
        if let Some(named) = named() {
            bail!("DOCKER_HOST is {named}, where no container engine answers");
        }
        if let Err(reason) = daemon::may_start() {
            bail!("no container engine can be reached, and none can be started here: {reason}");
        }
        daemon::install()?;
        // Where services are started as they are installed, there is one by now.
        match reachable() {
            Some(address) => Self::at(address),
            None => Daemon::start().map(Self::Ours),
        }
    }

    fn at(address: Address) -> Result<Self> {
        if address != Daemon::address() {
            return Ok(Self::There(address));
        }
        let daemon = Daemon::running().context("the process id of our own engine is not known")?;
        Ok(Self::Ours(daemon))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Address {
        match self {
            Self::There(address) => address.clone(),
            Self::Ours(_) => Daemon::address(),
        }
    }

    /// Stops the engine if it is ours and this was its last use.
    pub(crate) fn release(self) -> Result<()> {
        match self {
            Self::Ours(daemon) => daemon.release(),
            Self::There(_) => Ok(()),
        }
    }
}

/// The first address at which an engine answers.
fn reachable() -> Option<Address> {
    addresses()
        .into_iter()
        .find(|address| address.ping().is_ok())
}

fn looked() -> Vec<(Address, String)> {
    let failed = |address: Address| match address.ping() {
        Ok(()) => None,
        Err(error) => Some((address, format!("{error:#}"))),
    };
    addresses().into_iter().filter_map(failed).collect()
}

fn named() -> Option<Address> {
    let named = std::env::var("DOCKER_HOST").ok()?;
    (!named.is_empty()).then(|| Address::parse(&named))
}

/// `DOCKER_HOST` alone where it is set, as for every other client; else the usual places and our own.
fn addresses() -> Vec<Address> {
    if let Some(named) = named() {
        return vec![named];
    }
    let mut sockets = vec!["/var/run/docker.sock".to_owned()];
    if let Ok(folder) = std::env::var("XDG_RUNTIME_DIR") {
        sockets.push(format!("{folder}/docker.sock"));
        sockets.push(format!("{folder}/podman/podman.sock"));
    }
    sockets.push("/run/podman/podman.sock".to_owned());
    sockets.push(Daemon::socket());
    sockets.into_iter().map(Address::Unix).collect()
}
