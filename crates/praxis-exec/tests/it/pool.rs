//! The pool of warm containers, against the daemon that is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use praxis_exec::conformance::{Behaviour, Subject, check};
use praxis_exec::pool::{PoolConfig, PoolEngine};
use praxis_exec::{ExecutionEngine, ToolContract};
use tempfile::TempDir;

/// The image that `cargo xtask docker up` makes: busybox and Python.
const IMAGE: &str = "praxis/tools:local";

fn config() -> PoolConfig {
    let mut config = PoolConfig::default();
    config.docker.image = Some(IMAGE.to_owned());
    config
}

/// A workspace in which any user may write: a tool is nobody where Praxis is root.
fn workspace() -> TempDir {
    let folder = crate::folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

struct Pool {
    engine: PoolEngine,
    root: TempDir,
    reuse: bool,
}

impl Pool {
    fn new(reuse: bool) -> Self {
        Self {
            engine: PoolEngine::new(config()),
            root: workspace(),
            reuse,
        }
    }
}

impl Subject for Pool {
    fn engine(&self) -> &dyn ExecutionEngine {
        &self.engine
    }

    fn contract(&self, behaviour: Behaviour) -> ToolContract {
        let mut contract = crate::conformance::program(behaviour);
        contract.reuse = self.reuse;
        match behaviour {
            // The beacon's path is the host's, so the container sees the workspace there too.
            Behaviour::Beacon => {
                let target = self.root.path().display();
                contract.mount(".", target.to_string())
            }
            _ => contract,
        }
    }

    fn root(&self) -> &Path {
        self.root.path()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_containers_conform() {
    let subject = Pool::new(false);
    check(&subject).await;
    subject.engine.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reused_containers_conform() {
    let subject = Pool::new(true);
    check(&subject).await;
    subject.engine.drain().await.unwrap();
}
