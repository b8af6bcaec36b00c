//! A socket in front of the daemon's that can be cut: what a daemon that dies looks like from outside.

use std::path::{Path, PathBuf};

use praxis_exec::docker::Client;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) struct Proxy {
    folder: TempDir,
    daemon: PathBuf,
    serving: Option<JoinHandle<()>>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let client = Client::connect(&super::config()).await.unwrap();
        let daemon = client
            .address()
            .strip_prefix("unix://")
            .expect("the daemon has a socket");
        let mut proxy = Self {
            folder: crate::folder(),
            daemon: daemon.into(),
            serving: None,
        };
        proxy.mend();
        proxy
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Listens again, as a daemon does that was started again.
    pub(crate) fn mend(&mut self) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        self.serving = Some(tokio::spawn(serve(listener, self.daemon.clone())));
    }

    /// Cuts every connection and listens no more.
    pub(crate) async fn cut(&mut self) {
        let serving = self.serving.take().unwrap();
        serving.abort();
        let _ = serving.await;
        std::fs::remove_file(self.socket()).unwrap();
    }
}

async fn serve(listener: UnixListener, daemon: PathBuf) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(relay(client, daemon.clone()));
    }
}

async fn relay(mut client: UnixStream, daemon: impl AsRef<Path>) {
    if let Ok(mut daemon) = UnixStream::connect(daemon).await {
        let _ = copy_bidirectional(&mut client, &mut daemon).await;
    }
}
