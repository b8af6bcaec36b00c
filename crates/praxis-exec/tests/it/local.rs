//! What the local engine owes on every level.

mod none {
    const LEVEL: praxis_exec::local::Level = praxis_exec::local::Level::None;

    include!("local/cases.rs");
}

mod process {
    const LEVEL: praxis_exec::local::Level = praxis_exec::local::Level::Process;

    include!("local/cases.rs");
}

mod sandbox {
    const LEVEL: praxis_exec::local::Level = praxis_exec::local::Level::Sandbox;

    include!("local/cases.rs");
}

use std::fs;
use std::time::{Duration, Instant};

use praxis_exec::local::{Level, LocalConfig, LocalEngine};

/// An engine that has this level and no other.
pub(crate) fn engine(level: Level) -> LocalEngine {
    let mut config = LocalConfig::default();
    config.level = Some(level);
    LocalEngine::new(config)
}

/// Processes that have this word on their command line or in their environment, but for this one.
pub(crate) fn processes_with(word: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.parse::<u32>().is_ok() && *name != own)
        .filter(|pid| {
            let holds = |file: &str| {
                let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                String::from_utf8_lossy(&bytes).contains(word)
            };
            holds("cmdline") || holds("environ")
        })
        .collect()
}

pub(crate) async fn assert_gone(word: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        if processes_with(word).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still there: {:?}", processes_with(word));
}
