//! What a pool says of itself.

use std::time::Duration;

use bollard::models::ContainerSummary;
use bollard::query_parameters::{ListContainersOptionsBuilder, StatsOptionsBuilder};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use serde::Serialize;

use crate::Error;
use crate::docker::Client;

/// What a pool has done since it was made, and what it has.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// Calls that found a warm container.
    pub hits: u64,
    /// Calls that had to wait for one, and preparations.
    pub misses: u64,
    /// Containers that were started.
    pub created: u64,
    /// Containers that could not be started.
    pub not_started: u64,
    /// Warm containers that were found dead or did not answer.
    pub failed: u64,
    /// Containers that were not used again after a call although their contract allows it:
    /// the call did not end by itself, or left something that could not be removed.
    pub discarded: u64,
    /// Warm containers that were closed because they were not needed any more.
    pub expired: u64,
    /// What all starts took together.
    pub starting: Duration,
    /// What all misses have waited together.
    pub waited: Duration,
    /// The longest that a miss has waited.
    pub longest_wait: Duration,
    /// How long the pool has been there.
    pub uptime: Duration,
    /// Warm containers that nobody uses.
    pub idle: usize,
    /// Calls that have a container or wait for one.
    pub busy: usize,
    /// Containers that are being started or looked at.
    pub coming: usize,
}

impl Statistics {
    /// The share of calls that found a warm container, from 0 to 1; 1 before the first.
    pub fn hit_share(&self) -> f64 {
        match self.hits + self.misses {
            0 => 1.0,
            calls => self.hits as f64 / calls as f64,
        }
    }

    /// How many containers were started in a second of the pool's time.
    pub fn replenished_per_second(&self) -> f64 {
        match self.uptime.is_zero() {
            true => 0.0,
            false => self.created as f64 / self.uptime.as_secs_f64(),
        }
    }
}

/// What one container takes from the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResourceUsage {
    /// The container's name.
    pub container: String,
    /// The tool whose calls it serves.
    pub tool: String,
    /// Memory in use, in bytes.
    pub memory_bytes: u64,
    /// Memory that it may use at most, in bytes.
    pub memory_limit_bytes: u64,
    /// Processor time since it was started.
    pub cpu: Duration,
    /// Processes and threads.
    pub pids: u64,
}

/// The containers that carry this label, whatever their state.
pub(super) async fn containers(
    client: &Client,
    label: &str,
) -> Result<Vec<ContainerSummary>, Error> {
    let filters = std::collections::HashMap::from([("label", vec![label])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let list = client.docker().list_containers(Some(options));
    client.call("listing containers", list).await
}

/// What the containers that carry this label take.
pub(super) async fn resource_usage(
    client: &Client,
    label: &str,
) -> Result<Vec<ResourceUsage>, Error> {
    let found = containers(client, label).await?;
    let usages = try_join_all(found.iter().map(|container| usage(client, container))).await?;
    Ok(usages.into_iter().flatten().collect())
}

/// What one takes; none if it has gone meanwhile.
async fn usage(
    client: &Client,
    container: &ContainerSummary,
) -> Result<Option<ResourceUsage>, Error> {
    let Some(id) = &container.id else {
        return Ok(None);
    };
    let options = StatsOptionsBuilder::new()
        .stream(false)
        .one_shot(true)
        .build();
    let mut answers = client.docker().stats(id, Some(options));
    let answer = client.call("asking what a container takes", async {
        match answers.next().await {
            Some(Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }))
            | None => Ok(None),
            Some(answer) => answer.map(Some),
        }
    });
    let Some(said) = answer.await? else {
        return Ok(None);
    };
    let memory = said.memory_stats.unwrap_or_default();
    if memory.limit.is_none() {
        return Ok(None);
    }
    let cpu = said.cpu_stats.and_then(|cpu| cpu.cpu_usage);
    let labels = container.labels.as_ref();
    let name = container.names.as_ref().and_then(|names| names.first());
    Ok(Some(ResourceUsage {
        container: name
            .map_or(id.as_str(), |name| name.trim_start_matches('/'))
            .to_owned(),
        tool: labels
            .and_then(|labels| labels.get("io.praxis.tool"))
            .cloned()
            .unwrap_or_default(),
        memory_bytes: memory.usage.unwrap_or(0),
        memory_limit_bytes: memory.limit.unwrap_or(0),
        cpu: Duration::from_nanos(cpu.and_then(|cpu| cpu.total_usage).unwrap_or(0)),
        pids: said.pids_stats.and_then(|pids| pids.current).unwrap_or(0),
    }))
}
