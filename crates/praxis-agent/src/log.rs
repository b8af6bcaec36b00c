//! Logs on standard error: text for people, JSON for machines.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::arguments::{LogFormat, Logging};

pub(crate) fn begin(logging: &Logging) {
    let level = match logging.verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::builder().parse_lossy(directives),
        _ => EnvFilter::new(level),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    match logging.log_format {
        LogFormat::Text => builder
            .with_ansi(crate::output::colour(&stderr().is_terminal()))
            .without_time()
            .init(),
        LogFormat::Json => builder.json().init(),
    }
}
