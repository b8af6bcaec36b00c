//! The container engine, against the daemon that is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use praxis_exec::conformance::{Behaviour, Subject, check};
use praxis_exec::docker::{DockerConfig, DockerEngine};
use praxis_exec::{ExecutionEngine, ToolContract};
use tempfile::TempDir;

/// The image that `cargo xtask docker up` makes: busybox and Python.
const IMAGE: &str = "praxis/tools:local";

fn engine() -> DockerEngine {
    let mut config = DockerConfig::default();
    config.image = Some(IMAGE.to_owned());
    DockerEngine::new(config)
}

/// A workspace in which any user may write: a tool is nobody where Praxis is root.
fn workspace() -> TempDir {
    let folder = crate::folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

struct Docker {
    engine: DockerEngine,
    root: TempDir,
}

impl Subject for Docker {
    fn engine(&self) -> &dyn ExecutionEngine {
        &self.engine
    }

    fn contract(&self, behaviour: Behaviour) -> ToolContract {
        let contract = crate::conformance::program(behaviour);
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
async fn the_docker_engine_conforms() {
    let subject = Docker {
        engine: engine(),
        root: workspace(),
    };
    check(&subject).await;
}
