//! Builds `praxis-worker` without shared libraries, for `src/worker.rs` to embed.
//!
//! A build that cannot have it (no static C library, another system) still succeeds:
//! the worker is then empty, and the engines that need it say why they cannot start.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What cargo and its tools set for this build, which the nested one must not inherit.
const INHERITED: [&str; 9] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_MAKEFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "__CARGO_FIX_YOLO",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../praxis-worker");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let embedded = out.join("praxis-worker");
    let why = match wanted().then(|| build(&out, &embedded)) {
        Some(Ok(())) => String::new(),
        Some(Err(why)) => {
            println!(
                "cargo::warning=praxis-worker was not built, so sandboxes and container pools will be refused: {why}"
            );
            why
        }
        None => "the feature `worker` is off, or the system is not Linux".to_owned(),
    };
    if !why.is_empty() {
        std::fs::write(&embedded, []).expect("OUT_DIR can be written to");
    }
    println!(
        "cargo::rustc-env=PRAXIS_WORKER_MISSING={}",
        why.replace('\n', " ")
    );
}

fn wanted() -> bool {
    env::var_os("CARGO_FEATURE_WORKER").is_some()
        && env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux")
}

fn build(out: &Path, embedded: &Path) -> Result<(), String> {
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("../praxis-worker/Cargo.toml");
    // OUT_DIR is TARGET_DIR/PROFILE/build/PACKAGE/out: one folder beside the profiles serves them all.
    let folder = out.ancestors().nth(4).unwrap_or(out).join("praxis-worker");
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    cargo
        .args(["build", "--release", "--quiet", "--locked"])
        .args(["--target", &target])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&folder)
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .env("CARGO_PROFILE_RELEASE_STRIP", "true")
        .env("CARGO_PROFILE_RELEASE_LTO", "thin")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    for variable in INHERITED {
        cargo.env_remove(variable);
    }
    cargo.env(
        "RUSTFLAGS",
        "-C target-feature=+crt-static -C relocation-model=static",
    );
    let output = cargo.output().map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().find(|line| line.starts_with("error"));
        return Err(line.unwrap_or("cargo failed").to_owned());
    }
    let built = folder.join(&target).join("release/praxis-worker");
    std::fs::copy(&built, embedded)
        .map(drop)
        .map_err(|error| format!("{}: {error}", built.display()))
}
