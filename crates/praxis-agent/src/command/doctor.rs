//! `praxis doctor`: what this machine can do to keep tools from it.

use praxis_exec::docker::{Client, DockerConfig};
use praxis_exec::doctor::{Finding, examine};
use praxis_exec::worker;

use crate::arguments::Doctor;
use crate::exit::{Exit, Stop};
use crate::output;

pub(crate) fn doctor(arguments: &Doctor) -> Result<Exit, Stop> {
    let mut report = examine();
    let outcome = worker::program().map(|program| format!("{} KiB", program.len() / 1024));
    report.findings.push(Finding::new(
        "worker",
        outcome.map_err(|error| error.message().to_owned()),
    ));
    let runtime = super::run::runtime()?;
    let client = runtime.block_on(Client::connect(&DockerConfig::default()));
    let engine = client.as_ref().map(|client| {
        let daemon = client.daemon();
        let lacks: Vec<&str> = daemon.lacks.iter().map(|limit| limit.as_str()).collect();
        let lacks = if lacks.is_empty() {
            "all limits".to_owned()
        } else {
            format!("all limits but {}", lacks.join(", "))
        };
        format!(
            "{} at {}, API {}, enforces {lacks}",
            daemon.version,
            client.address(),
            daemon.api_version
        )
    });
    let engine = engine.map_err(output::one_line);
    report
        .findings
        .push(Finding::new("container engine", engine));
    if arguments.json {
        output::json(&report)?;
    } else {
        output::text(&report.to_string())?;
    }
    Ok(Exit::Done)
}
