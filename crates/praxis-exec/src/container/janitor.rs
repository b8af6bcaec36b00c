//! The thread that creates and removes containers, out of reach of any cancellation.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::docker::limited;
use crate::{Error, ErrorKind};

/// For how long removals are waited for when nobody needs the janitor any more.
const FAREWELL: Duration = Duration::from_secs(10);

/// For how long a removal is tried while the daemon does not answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// For how long a container may still come into being after its creation got no answer.
const LATE: Duration = Duration::from_secs(5);

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Whether a daemon has a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The daemon has answered its creation.
    Certain,
    /// It may come into being later: its creation was asked for, and the daemon did not answer.
    Possible,
    /// Its creation never reached the daemon, or its removal is under way.
    None,
}

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs jobs to their end on a thread and a runtime of its own.
///
/// A guard's `drop` cannot await, and the runtime that it is dropped on may be about to end;
/// what is handed to the janitor is done all the same.
/// Its own drop waits for what is under way, for at most [`FAREWELL`].
pub(crate) struct Janitor {
    docker: Docker,
    address: String,
    call_timeout: Duration,
    jobs: Option<UnboundedSender<Job>>,
    closing: Arc<AtomicBool>,
    ended: Mutex<Receiver<()>>,
    thread: ThreadId,
}

impl Janitor {
    pub(crate) fn start(
        docker: Docker,
        address: String,
        call_timeout: Duration,
    ) -> Result<Self, Error> {
        let failed = |source: std::io::Error| {
            let message = format!("cannot start the thread that looks after containers: {source}");
            Error::new(ErrorKind::Io, message).with_source(source)
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let (jobs, queue) = unbounded_channel();
        let (ending, ended) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("praxis-containers".to_owned())
            .spawn(move || {
                runtime.block_on(work(queue));
                // The connections of the last calls are closed before anybody is told.
                drop(runtime);
                let _ = ending.send(());
            })
            .map_err(failed)?;
        Ok(Self {
            docker,
            address,
            call_timeout,
            jobs: Some(jobs),
            closing: Arc::new(AtomicBool::new(false)),
            ended: Mutex::new(ended),
            thread: thread.thread().id(),
        })
    }

    /// Runs a job to its end.
    pub(crate) fn run(&self, job: impl Future<Output = ()> + Send + 'static) {
        if let Some(jobs) = &self.jobs {
            // The other side is gone only if its thread panicked; the reaper of the next start takes over.
            let _ = jobs.send(Box::pin(job));
        }
    }

    /// The job of removing a container, by name or id; one that is not there counts as removed.
    ///
    /// Where its `presence`, once that is known, is a possibility, it is looked for a while longer.
    pub(crate) fn removal(
        &self,
        container: String,
        presence: impl Future<Output = Presence> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let docker = self.docker.clone();
        let address = self.address.clone();
        let limit = self.call_timeout;
        let closing = Arc::clone(&self.closing);
        async move {
            let presence = presence.await;
            if presence == Presence::None {
                return;
            }
            let started = Instant::now();
            let mut pause = FIRST_PAUSE;
            loop {
                let options = RemoveContainerOptionsBuilder::new()
                    .force(true)
                    .v(true)
                    .build();
                let remove = docker.remove_container(&container, Some(options));
                let outcome = limited(&address, limit, "removing a container", async {
                    match remove.await {
                        Err(error) => Ok(Some(error)),
                        Ok(()) => Ok(None),
                    }
                });
                let (patience, error) = match outcome.await {
                    Ok(None) => return,
                    Ok(Some(error)) => match status(&error) {
                        Some(404) if presence == Presence::Certain => return,
                        Some(404) => (LATE, None),
                        // Somebody else is removing it: it is gone when the daemon does not know it any more.
                        Some(409) => (PATIENCE, None),
                        _ => (PATIENCE, Some(error.to_string())),
                    },
                    Err(error) => (PATIENCE, Some(error.to_string())),
                };
                let hopeless = error.is_some() && closing.load(Ordering::Relaxed);
                if hopeless || started.elapsed() > patience {
                    if patience == PATIENCE {
                        let error = error.unwrap_or_default();
                        tracing::warn!(
                            container,
                            error,
                            "could not remove a container; the next start will"
                        );
                    }
                    return;
                }
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
        }
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        self.jobs = None;
        // The last user may have been a job; the thread cannot wait for itself.
        if thread::current().id() != self.thread
            && let Ok(ended) = self.ended.lock()
        {
            let _ = ended.recv_timeout(FAREWELL);
        }
    }
}

async fn work(mut queue: UnboundedReceiver<Job>) {
    let mut jobs = JoinSet::new();
    loop {
        tokio::select! {
            job = queue.recv() => match job {
                Some(job) => drop(jobs.spawn(job)),
                None => break,
            },
            Some(_) = jobs.join_next() => {}
        }
    }
    while jobs.join_next().await.is_some() {}
}

fn status(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}
