//! Tells what this machine can do, by doing it: one line for each thing, its name, a blank, and `ok` or an `errno`.

use std::io::Write;
use std::process::ExitCode;

use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
use rustix::io::Errno;
use rustix::thread::UnshareFlags;

use super::{namespaces, restrict};

/// Tries everything, each thing in the namespaces that were made before it.
pub(crate) fn run() -> Result<ExitCode, String> {
    let mut out = std::io::stdout().lock();
    let mut say = |name: &str, outcome: Result<String, Errno>| {
        let text = outcome.unwrap_or_else(|errno| format!("errno {}", errno.raw_os_error()));
        writeln!(out, "{name} {text}").map_err(|error| error.to_string())
    };
    say("landlock", newest_landlock().ok_or(Errno::NOSYS))?;
    let user = namespaces::users().map_err(|failure| failure.errno);
    say("user", user.map(done))?;
    for (name, flag) in [
        ("mount", UnshareFlags::NEWNS),
        ("pid", UnshareFlags::NEWPID),
        ("net", UnshareFlags::NEWNET),
        ("ipc", UnshareFlags::NEWIPC),
        ("uts", UnshareFlags::NEWUTS),
    ] {
        say(name, namespaces::leave(flag).map(done))?;
    }
    let filtered = restrict::filters().map_err(|failure| failure.errno);
    say("seccomp", filtered.map(done))?;
    Ok(ExitCode::SUCCESS)
}

fn done((): ()) -> String {
    "ok".to_owned()
}

/// The newest set of Landlock's rights of which this kernel makes a rule set.
fn newest_landlock() -> Option<String> {
    let all = [ABI::V6, ABI::V5, ABI::V4, ABI::V3, ABI::V2, ABI::V1];
    let works = |abi: &ABI| {
        let rights = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(*abi));
        let scoped = rights.and_then(|rules| match *abi {
            ABI::V6 => rules.scope(landlock::Scope::from_all(*abi)),
            _ => Ok(rules),
        });
        let ruled = scoped.and_then(|rules| match *abi {
            ABI::V4 => rules.handle_access(landlock::AccessNet::from_all(*abi)),
            _ => Ok(rules),
        });
        ruled.and_then(Ruleset::create).is_ok()
    };
    all.into_iter()
        .find(works)
        .map(|abi| (abi as i32).to_string())
}
