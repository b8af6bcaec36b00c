use std::fs;

use serde_json::json;

use super::Tools;
use crate::{Effects, Error, ToolContract};

pub(super) fn register(tools: &mut Tools<'_>) -> Result<(), Error> {
    let contract = ToolContract::new("system_info")
        .describe("What machine this is: operating system, architecture, processors, memory.")
        .effects(Effects::read(&[]));
    tools.quick(contract, |_call| {
        Ok(json!({
            "os": std::env::consts::OS,
            "architecture": std::env::consts::ARCH,
            "cpus": std::thread::available_parallelism().map_or(1, usize::from),
            "memory_bytes": memory_bytes(),
            "praxis_version": env!("CARGO_PKG_VERSION"),
        }))
    })
}

fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
