//! What may end a run from outside, without asking at each step whether it has.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Polls a future only after it has woken, since asking a timer and a channel at every step costs
/// more than most of what the scheduler does for it.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    bell: Option<Arc<Bell>>,
}

#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    driver: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.driver.wake_by_ref();
    }
}

impl Alarm {
    pub(super) fn poll<F: Future>(
        &mut self,
        watched: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Poll<F::Output> {
        let same = |bell: &&Arc<Bell>| bell.driver.will_wake(context.waker());
        let bell = match self.bell.as_ref().filter(same) {
            Some(bell) => bell,
            None => self.bell.insert(Arc::new(Bell {
                rung: AtomicBool::new(true),
                driver: context.waker().clone(),
            })),
        };
        // Cleared before the poll: what rings after it is seen by the next.
        if !bell.rung.load(Ordering::Acquire) || !bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(bell));
        watched.poll(&mut Context::from_waker(&waker))
    }
}
