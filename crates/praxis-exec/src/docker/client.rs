//! The connection to a container engine's API.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerSummary;
use bollard::query_parameters::CreateImageOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker, body_full};
use futures_util::StreamExt;
use tokio::sync::OnceCell;

use super::DockerConfig;
use super::failure;
use crate::container::{
    EMPTY_IMAGE, HOST, Janitor, OWNER_LABEL, Owner, TOOL_LABEL, labelled, reap,
};
use crate::{Error, ErrorKind, Limit};

/// A tar archive with no files: two blocks of zeroes.
static EMPTY_TAR: [u8; 1024] = [0; 1024];

/// Bollard's own limit covers a part of a call only; [`Client::call`] holds the one that counts.
const NEVER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A connection to a Docker or Podman daemon; clones share it.
///
/// Every call to the daemon has a time limit ([`DockerConfig::call_timeout`]).
/// When the last clone goes, containers that are being removed are waited for, for at most ten seconds.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    docker: Docker,
    address: String,
    call_timeout: Duration,
    daemon: Daemon,
    owner: Owner,
    janitor: Janitor,
    /// Whether the empty image is known to be there.
    empty: OnceCell<()>,
}

/// What a daemon says of itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Daemon {
    /// Its release, such as `20.10.24`.
    pub version: String,
    /// The version of its API that is spoken with it.
    pub api_version: String,
    /// How many processors it has; infinite where it does not say.
    pub cores: f64,
    /// The limits that it cannot hold a container to, and would drop in silence.
    pub lacks: Vec<Limit>,
}

/// A container that this process made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnContainer {
    /// Its name on the daemon.
    pub name: String,
    /// The tool that it was made for.
    pub tool: String,
}

impl From<ContainerSummary> for OwnContainer {
    fn from(found: ContainerSummary) -> Self {
        let name = found.names.unwrap_or_default().into_iter().next();
        let tool = found
            .labels
            .and_then(|mut labels| labels.remove(TOOL_LABEL));
        Self {
            name: name.unwrap_or_default().trim_start_matches('/').to_owned(),
            tool: tool.unwrap_or_default(),
        }
    }
}

impl Client {
    /// Finds a daemon, agrees on a version of its API, and removes what dead processes left behind on it.
    ///
    /// Without [`DockerConfig::host`] it is the variable `DOCKER_HOST`; without that, the first that answers of
    /// `/var/run/docker.sock`, `$XDG_RUNTIME_DIR/docker.sock`, `$XDG_RUNTIME_DIR/podman/podman.sock` and
    /// `/run/podman/podman.sock`.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable), saying what each address answered and how to get an engine.
    pub async fn connect(config: &DockerConfig) -> Result<Self, Error> {
        let mut tried = Vec::new();
        let (addresses, named) = addresses(config.host.as_deref());
        for address in addresses {
            match Self::connect_to(&address, config.call_timeout).await {
                Ok(client) => {
                    reap(&client).await;
                    return Ok(client);
                }
                Err(error) => tried.push(error),
            }
        }
        Err(failure::no_daemon(&tried, named))
    }

    async fn connect_to(address: &str, call_timeout: Duration) -> Result<Self, Error> {
        if address == "unix://" {
            return Err(failure::no_address(address));
        }
        let docker = open(address)
            .map_err(|error| failure::of_call(address, "connecting to it", error))?
            .with_timeout(NEVER);
        let docker = limited(address, call_timeout, "asking for its version", async {
            docker.negotiate_version().await
        })
        .await?;
        let info = limited(
            address,
            call_timeout,
            "asking what it can do",
            docker.info(),
        )
        .await?;
        let lacks = [
            (Limit::Memory, info.memory_limit),
            (Limit::Cpu, info.cpu_cfs_quota),
            (Limit::Pids, info.pids_limit),
        ];
        let daemon = Daemon {
            version: info.server_version.unwrap_or_default(),
            api_version: docker.client_version().to_string(),
            cores: info.ncpu.map_or(f64::INFINITY, |cores| cores as f64),
            lacks: lacks
                .into_iter()
                .filter_map(|(limit, able)| (able == Some(false)).then_some(limit))
                .collect(),
        };
        tracing::debug!(
            address,
            version = daemon.version,
            api = daemon.api_version,
            "connected"
        );
        let janitor = Janitor::start(docker.clone(), address.to_owned(), call_timeout)?;
        Ok(Self {
            shared: Arc::new(Shared {
                docker,
                address: address.to_owned(),
                call_timeout,
                daemon,
                owner: Owner::this_process(),
                janitor,
                empty: OnceCell::new(),
            }),
        })
    }

    /// The address that answered, such as `unix:///var/run/docker.sock`.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// What the daemon said of itself.
    pub fn daemon(&self) -> &Daemon {
        &self.shared.daemon
    }

    /// Makes the empty image if that is the one and the daemon has it not.
    pub(crate) async fn provide(&self, image: &str) -> Result<(), Error> {
        let (name, tag) = EMPTY_IMAGE;
        if image.strip_prefix(name) != Some(&format!(":{tag}")) {
            return Ok(());
        }
        let provided = self.shared.empty.get_or_try_init(|| async {
            match self.image_id(image).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.make_empty_image(name, tag).await
                }
                other => other.map(drop),
            }
        });
        provided.await.copied()
    }

    /// The id of an image, which changes when the name is given to another.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the daemon has no such image, [`ErrorKind::InvalidContract`] where none can have the name.
    pub async fn image_id(&self, image: &str) -> Result<String, Error> {
        if image == HOST {
            return Ok(HOST.to_owned());
        }
        check_image(image)?;
        let inspected = self.docker().inspect_image(image);
        let inspected = self.call("looking for an image", inspected).await?;
        Ok(inspected.id.unwrap_or_else(|| image.to_owned()))
    }

    /// Makes an image of this name with nothing in it.
    async fn make_empty_image(&self, name: &str, tag: &str) -> Result<(), Error> {
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(name)
            .tag(tag)
            .build();
        let archive = body_full(EMPTY_TAR[..].into());
        let mut steps = self
            .docker()
            .create_image(Some(options), Some(archive), None);
        let made = async {
            while let Some(step) = steps.next().await {
                step?;
            }
            Ok(())
        };
        self.call("making an empty image", made).await
    }

    /// The containers that this process has on the daemon at the moment, in whatever state.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) where the daemon does not answer.
    pub async fn containers(&self) -> Result<Vec<OwnContainer>, Error> {
        let label = format!("{OWNER_LABEL}={}", self.owner().label());
        let found = labelled(self, label).await?;
        Ok(found.into_iter().map(OwnContainer::from).collect())
    }

    /// Whether the daemon has a container of this name or id.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) where the daemon does not answer.
    pub async fn exists(&self, container: &str) -> Result<bool, Error> {
        let inspect = self.docker().inspect_container(container, None);
        let found = self.call("looking for a container", async {
            match inspect.await {
                Err(error) if failure::is_missing(&error) => Ok(false),
                answer => answer.map(|_| true),
            }
        });
        found.await
    }

    pub(crate) fn docker(&self) -> &Docker {
        &self.shared.docker
    }

    pub(crate) fn janitor(&self) -> &Janitor {
        &self.shared.janitor
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.shared.owner
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        self.shared.call_timeout
    }

    /// Makes one call within the time limit; `doing` says what it is for, such as `removing a container`.
    pub(crate) async fn call<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, Error> {
        limited(self.address(), self.call_timeout(), doing, call).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("address", &self.address())
            .field("daemon", self.daemon())
            .finish_non_exhaustive()
    }
}

pub(crate) async fn limited<T>(
    address: &str,
    limit: Duration,
    doing: &str,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(|error| failure::of_call(address, doing, error)),
        Err(_) => Err(failure::no_answer(address, doing, limit)),
    }
}

fn open(address: &str) -> Result<Docker, bollard::errors::Error> {
    let seconds = NEVER.as_secs();
    match address.strip_prefix("unix://") {
        Some(path) => Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION),
        None => Docker::connect_with_host(address),
    }
}

/// Refuses what no image can be called, before it becomes a part of the address of a call.
///
/// The daemon knows the rules in full; this keeps out whatever would make it another address.
pub(crate) fn check_image(image: &str) -> Result<(), Error> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-:@[]".contains(letter);
    let part = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '[')
            && part.chars().all(allowed)
    };
    match image.split('/').all(part) {
        true => Ok(()),
        false => Err(failure::no_image_name(&format!("{image:?}"))),
    }
}

/// Where a daemon may be, in the order in which they are tried; and who names the only one, if one is named.
fn addresses(host: Option<&str>) -> (Vec<String>, Option<&'static str>) {
    let variable = || {
        let value = std::env::var_os("DOCKER_HOST")?;
        Some(("DOCKER_HOST", value.to_string_lossy().into_owned()))
    };
    let configured = host.map(|host| ("`host` of the engine", host.to_owned()));
    if let Some((name, host)) = configured.or_else(variable) {
        let host = match host.trim() {
            path if path.starts_with('/') => format!("unix://{path}"),
            host => host.to_owned(),
        };
        if !host.is_empty() {
            return (vec![host], Some(name));
        }
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let private = |name: &str| runtime.as_ref().map(|folder| folder.join(name));
    let usual = [
        Some(PathBuf::from("/var/run/docker.sock")),
        private("docker.sock"),
        private("podman/podman.sock"),
        Some(PathBuf::from("/run/podman/podman.sock")),
    ]
    .into_iter()
    .flatten()
    .map(|path| format!("unix://{}", path.display()));
    (usual.collect(), None)
}
