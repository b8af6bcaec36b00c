//! The program `praxis`.

mod arguments;
mod command;
mod durations;
mod exit;
mod log;
mod output;
mod overheads;
mod progress;
mod replace;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are asked for; anything else is a mistake on the command line.
            let _ = error.print();
            return if error.use_stderr() {
                exit::Exit::Mistake.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    log::begin(&arguments.logging);
    #[cfg(unix)]
    outlive_limits_of_files();
    let result = match arguments.command {
        Command::Run(run) => command::run::run(&run),
        Command::Check(check) => command::check::check(&check),
        Command::Explain(explain) => command::explain::explain(&explain),
        Command::Fmt(fmt) => command::fmt::fmt(&fmt),
        Command::ExplainError(code) => command::explain_error::explain_error(&code),
        Command::Ast(source) => command::compat::ast(&source),
        Command::Tokens(source) => command::compat::tokens(&source),
        Command::Doctor(doctor) => command::doctor::doctor(&doctor),
        Command::Engines(engines) => command::engines::engines(&engines),
        Command::Cache(cache) => command::cache::cache(&cache),
        Command::Runs(runs) => command::runs::runs(&runs),
        Command::Keeper { run } => command::keeper::keep(&run),
        Command::Lsp(lsp) => command::lsp::lsp(&lsp),
        Command::Tools(tools) => command::tools::tools(&tools),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(stop) => {
            output::complain(&stop.message, stop.help.as_deref());
            stop.exit.into()
        }
    }
}

/// Has a write that passes `ulimit -f` fail, as on a full disk, where the system would end the program.
#[cfg(unix)]
fn outlive_limits_of_files() {
    use tokio::signal::unix::{SignalKind, signal};
    // The handler stays when the runtime is gone; programs that are started do not inherit it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    if let Ok(runtime) = runtime {
        let _context = runtime.enter();
        let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    }
}
