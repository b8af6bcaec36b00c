//! The program that stands between Praxis and a tool, where a tool is kept from the machine.
//!
//! Praxis builds it without shared libraries, so that it starts in any image, and embeds it in `praxis-exec`.
//! It holds no policy: what it is told on its command line or over its socket, it does.

#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(target_os = "linux")]
mod serve;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// The exit code of a command line or a machine on which the program cannot do its work.
const UNUSABLE: u8 = 125;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // A mode goes on until its work is done, and fails with a line for whoever started it.
    let outcome: Result<ExitCode, String> = match arguments.split_first() {
        #[cfg(target_os = "linux")]
        Some((mode, rest)) if mode == "sandbox" => sandbox::keep(rest),
        #[cfg(target_os = "linux")]
        Some((mode, rest)) if mode == "stage" => sandbox::stage(rest),
        #[cfg(target_os = "linux")]
        Some((mode, _)) if mode == "probe" => sandbox::probe(),
        Some((mode, rest)) if mode == "idle" => idle(rest),
        #[cfg(target_os = "linux")]
        Some((mode, rest)) if mode == "serve" => serve::run(rest),
        Some((mode, _)) => Err(format!("there is no mode `{}`", mode.display())),
        None => Err("it is started by Praxis, with a mode as its first argument".to_owned()),
    };
    outcome.unwrap_or_else(|why| {
        let _ = writeln!(std::io::stderr(), "praxis-worker: {why}");
        ExitCode::from(UNUSABLE)
    })
}

/// Does nothing for as many milliseconds as it is told: the tool that engines are measured with.
fn idle(arguments: &[OsString]) -> Result<ExitCode, String> {
    let pause = match arguments {
        [pause] => pause.to_str().and_then(|text| text.parse().ok()),
        _ => None,
    };
    let pause = pause.ok_or("`idle` takes a number of milliseconds")?;
    if pause > 0 {
        std::thread::sleep(Duration::from_millis(pause));
    }
    Ok(ExitCode::SUCCESS)
}
