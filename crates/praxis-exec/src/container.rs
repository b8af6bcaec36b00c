//! Containers: what one is made of, and that none is ever left behind.

mod host;
mod janitor;
mod owner;
mod spec;

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::container::AttachContainerResults;
use bollard::models::{ContainerState, ContainerSummary, ContainerSummaryStateEnum as Phase};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, ListContainersOptionsBuilder,
    StartContainerOptions, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::sync::oneshot;

pub(crate) use host::{EMPTY_IMAGE, HOST};
pub(crate) use janitor::{Janitor, Presence};
pub(crate) use owner::{OWNER_LABEL, Owner};
pub(crate) use spec::{Spec, TOOL_LABEL};

use crate::docker::{Client, gone, is_answer, limited, may_have_arrived, of_call};
use crate::{CallId, Error, ErrorKind};

/// How old a container of an owner that cannot be looked up must be before it counts as left behind.
const UNKNOWN_OWNER: Duration = Duration::from_secs(60 * 60);

/// A container that is removed when this goes, whatever state it is in.
pub(crate) struct Container {
    client: Client,
    name: String,
    /// What tells how its creation went, until that was heard.
    creation: Option<oneshot::Receiver<Created>>,
    presence: Presence,
}

/// How the creation of a container went.
type Created = (Presence, Result<(), Error>);

impl Container {
    /// Creates a container; it does not run yet.
    ///
    /// The call to the daemon is made by the janitor, which no cancellation reaches;
    /// where the creator does not wait for it, the container is removed as soon as it is there.
    ///
    /// # Errors
    /// What the daemon refuses, in the words of [`crate::docker`].
    pub(crate) async fn create(client: &Client, spec: &Spec) -> Result<Self, Error> {
        client.provide(&spec.image).await?;
        let body = spec.body(client.owner(), client.daemon().cores);
        let name = format!("praxis-{}", CallId::unique());
        let (send, creation) = oneshot::channel();
        let mut container = Self {
            client: client.clone(),
            name: name.clone(),
            creation: Some(creation),
            presence: Presence::Possible,
        };
        // It has no share in the client: whoever gives up the last one waits for what the janitor does.
        let (docker, address) = (client.docker().clone(), client.address().to_owned());
        let limit = client.call_timeout();
        client.janitor().run(async move {
            let options = CreateContainerOptionsBuilder::new().name(&name).build();
            let mut presence = Presence::Possible;
            let create = async {
                let answer = docker.create_container(Some(options), body).await;
                presence = match &answer {
                    Err(error) if !may_have_arrived(error) => Presence::None,
                    Err(error) if !is_answer(error) => Presence::Possible,
                    _ => Presence::Certain,
                };
                answer
            };
            let outcome = limited(&address, limit, "creating a container", create).await;
            let outcome = outcome.map(|answer| {
                for warning in answer.warnings {
                    tracing::warn!(container = name, warning, "container engine");
                }
            });
            // Where nobody waits any more, the container's drop has what there is left to do.
            let _ = send.send((presence, outcome));
        });
        container.created().await?;
        Ok(container)
    }

    /// Waits until it is there or could not be created.
    async fn created(&mut self) -> Result<(), Error> {
        let Some(creation) = &mut self.creation else {
            return Ok(());
        };
        let told = creation.await;
        self.creation = None;
        let (presence, outcome) = told.map_err(|_| {
            let message = "the thread that looks after containers has ended";
            Error::new(ErrorKind::Io, message)
        })?;
        self.presence = presence;
        outcome
    }

    /// The name under which the daemon knows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Joins its standard streams; done before it starts, nothing of its output is missed.
    pub(crate) async fn attach(&self) -> Result<AttachContainerResults, Error> {
        let options = AttachContainerOptionsBuilder::new()
            .stream(true)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .build();
        let attach = self
            .client
            .docker()
            .attach_container(&self.name, Some(options));
        self.client
            .call("joining a container's streams", attach)
            .await
    }

    /// Starts it.
    pub(crate) async fn start(&self) -> Result<(), Error> {
        let start = self
            .client
            .docker()
            .start_container(&self.name, None::<StartContainerOptions>);
        self.client.call("starting a container", start).await
    }

    /// Waits until it does not run any more. Has no time limit of its own.
    pub(crate) async fn wait(&self) -> Result<(), Error> {
        let options = WaitContainerOptionsBuilder::new()
            .condition("not-running")
            .build();
        let mut answers = self
            .client
            .docker()
            .wait_container(&self.name, Some(options));
        match answers.next().await {
            // An exit code above 0 arrives as an error; the state says it as well.
            Some(Ok(_) | Err(bollard::errors::Error::DockerContainerWaitError { .. })) => Ok(()),
            Some(Err(error)) => Err(of_call(
                self.client.address(),
                "waiting for a container",
                error,
            )),
            None => Err(gone(self.client.address())),
        }
    }

    /// What the daemon says of its state.
    pub(crate) async fn state(&self) -> Result<ContainerState, Error> {
        let inspect = self.client.docker().inspect_container(&self.name, None);
        let answer = self
            .client
            .call("asking how a container ended", inspect)
            .await?;
        Ok(answer.state.unwrap_or_default())
    }

    /// Kills and removes it, and returns when it is gone or the janitor has given up.
    pub(crate) async fn remove(mut self) {
        let removal = self.removal();
        let (send, done) = oneshot::channel();
        self.client.janitor().run(async move {
            removal.await;
            let _ = send.send(());
        });
        let _ = done.await;
    }

    /// The job of removing it, once it is known whether it is there. There is nothing left to remove after that.
    fn removal(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let creation = self.creation.take();
        let known = std::mem::replace(&mut self.presence, Presence::None);
        let presence = async move {
            match creation {
                Some(creation) => creation
                    .await
                    .map_or(Presence::Possible, |(presence, _)| presence),
                None => known,
            }
        };
        self.client.janitor().removal(self.name.clone(), presence)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.creation.is_some() || self.presence != Presence::None {
            let removal = self.removal();
            self.client.janitor().run(removal);
        }
    }
}

/// Removes the containers whose owners are dead.
///
/// What cannot be removed, or not even listed, is left to the next start: it must not keep tools from running.
pub(crate) async fn reap(client: &Client) {
    let found = match labelled(client, OWNER_LABEL.to_owned()).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "cannot look for containers that were left behind");
            return;
        }
    };
    for container in found {
        let owner = container
            .labels
            .as_ref()
            .and_then(|labels| labels.get(OWNER_LABEL));
        let (Some(owner), Some(id)) = (owner, container.id) else {
            continue;
        };
        let alive = client.owner().knows_alive(owner).unwrap_or_else(|| {
            let idle = |phase| matches!(phase, Phase::CREATED | Phase::EXITED | Phase::DEAD);
            let idle = container.state.is_some_and(idle);
            !idle || age(container.created) < UNKNOWN_OWNER
        });
        if !alive {
            tracing::info!(
                container = id,
                owner,
                "removing a container that was left behind"
            );
            let there = std::future::ready(Presence::Certain);
            client.janitor().run(client.janitor().removal(id, there));
        }
    }
}

/// The containers with a label, in whatever state.
pub(crate) async fn labelled(
    client: &Client,
    label: String,
) -> Result<Vec<ContainerSummary>, Error> {
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&HashMap::from([("label", vec![label])]))
        .build();
    let list = client.docker().list_containers(Some(options));
    client.call("listing containers", list).await
}

fn age(created: Option<i64>) -> Duration {
    let created = u64::try_from(created.unwrap_or(0)).unwrap_or(0);
    SystemTime::now()
        .duration_since(UNIX_EPOCH + Duration::from_secs(created))
        .unwrap_or_default()
}
