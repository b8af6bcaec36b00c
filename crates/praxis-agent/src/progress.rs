//! Progress on standard error: a bar on a terminal, nothing on a pipe unless asked for by `-v`.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use praxis_workflow::{RunEvent, RunObserver, StepStatus};

/// Shows a run's progress.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let target = if stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let template = "{spinner} [{elapsed}] {bar:24} {pos}/{len} {wide_msg}";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("━╸ "));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }
}

impl RunObserver for Progress {
    fn event(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::Started { run, calls } => {
                tracing::info!(%run, calls, "run started");
                self.bar.set_length(*calls as u64);
            }
            RunEvent::StepStarted { step, tool, label } => {
                let label = label.map(|label| format!("{label}: ")).unwrap_or_default();
                self.bar.set_message(format!("{label}{step} {tool}"));
            }
            RunEvent::StepFinished {
                step,
                tool,
                status,
                cached,
                duration,
            } => {
                tracing::info!(%step, %tool, ?status, cached, ?duration, "step finished");
                self.bar.inc(1);
                // A loop runs a call many times; the length follows.
                if self
                    .bar
                    .length()
                    .is_some_and(|length| self.bar.position() > length)
                {
                    self.bar.set_length(self.bar.position());
                }
                if *status == StepStatus::Failed {
                    self.bar.set_message(format!("{step} {tool} failed"));
                }
            }
            RunEvent::Finished { .. } => self.bar.finish_and_clear(),
            _ => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
