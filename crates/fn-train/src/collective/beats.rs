//! Signs of life: a thread of every rank tells the others that its process runs, also while it prepares text, predicts or waits for a process
//! that it started. A rank that is stopped (SIGSTOP), whose machine hangs or whose network is gone sends none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use mpi::point_to_point::{Destination, Source};
use mpi::request::{Request, StaticScope};
use mpi::topology::{Communicator, SimpleCommunicator};

/// The tag of a sign of life; those of other messages are smaller.
const TAG: i32 = super::mpi::TAGS;
/// A sign of life. Its content is not read.
static BEAT: [u8; 1] = [1];
/// Signs of life of a rank within the time limit: so many are late or lost before it counts as silent.
const WITHIN_LIMIT: u32 = 10;
/// The longest and the shortest time between two of them.
const SELDOM: Duration = Duration::from_secs(5);
const OFTEN: Duration = Duration::from_millis(100);

/// The thread that sends and receives signs of life; it ends when this is dropped, which must be before MPI ends.
pub(super) struct Beats {
    heard: Arc<Heard>,
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

/// When something was heard of each rank, counted in beats of this process: while it is itself suspended, none of the others gets older.
struct Heard {
    now: AtomicU64,
    last: Vec<AtomicU64>,
    /// Beats without a sign of life after which a rank is silent.
    limit: u64,
}

impl Heard {
    fn is_silent(&self, rank: usize) -> bool {
        let last = self.last.get(rank).map_or(u64::MAX, |last| last.load(Ordering::Relaxed));
        self.now.load(Ordering::Relaxed).saturating_sub(last) > self.limit
    }
}

impl Beats {
    /// Starts the thread; a rank of which nothing is heard for `limit` is silent. MPI must allow calls from several threads.
    pub(super) fn start(world: usize, limit: Duration) -> Self {
        let every = (limit / WITHIN_LIMIT).clamp(OFTEN, SELDOM);
        let heard = Arc::new(Heard {
            now: AtomicU64::new(0),
            last: (0..world).map(|_| AtomicU64::new(0)).collect(),
            limit: limit.as_millis().div_ceil(every.as_millis().max(1)) as u64,
        });
        let (end, ended) = channel();
        let for_thread = Arc::clone(&heard);
        let thread = std::thread::spawn(move || beat(&for_thread, every, &ended));
        Self { heard, running: Some((end, thread)) }
    }

    /// Whether nothing was heard of this rank for the time limit.
    pub(super) fn is_silent(&self, rank: usize) -> bool {
        self.heard.is_silent(rank)
    }
}

impl Drop for Beats {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.running.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}

fn beat(heard: &Heard, every: Duration, ended: &Receiver<()>) {
    let world = SimpleCommunicator::world();
    let mine = world.rank();
    let mut sending: Vec<Option<Request<'static, [u8], StaticScope>>> =
        (0..world.size()).map(|_| None).collect();
    loop {
        let now = heard.now.fetch_add(1, Ordering::Relaxed) + 1;
        for (other, slot) in (0..).zip(&mut sending).filter(|(other, _)| *other != mine) {
            // While one is still under way, to a process that does not take it, no other is sent.
            let pending = slot.take().and_then(|request| request.test().err());
            let next = || world.process_at_rank(other).immediate_send_with_tag(StaticScope, &BEAT[..], TAG);
            *slot = Some(pending.unwrap_or_else(next));
        }
        while let Some((message, status)) = world.any_process().immediate_matched_probe_with_tag(TAG) {
            let mut received = [0u8; 1];
            message.matched_receive_into(&mut received[..]);
            let from = usize::try_from(status.source_rank()).ok().and_then(|rank| heard.last.get(rank));
            if let Some(last) = from {
                last.store(now, Ordering::Relaxed);
            }
        }
        if ended.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    // Of a process that has ended, or does not receive: their buffer is static, and MPI ends with them.
    sending.into_iter().flatten().for_each(std::mem::forget);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_silent_after_the_limit_counted_in_beats_of_this_process() {
        let heard =
            Heard { now: AtomicU64::new(0), last: vec![AtomicU64::new(0), AtomicU64::new(0)], limit: 3 };
        let silent = |now: u64| {
            heard.now.store(now, Ordering::Relaxed);
            [0, 1].map(|rank| heard.is_silent(rank))
        };
        assert_eq!(silent(3), [false, false]);
        heard.last[1].store(2, Ordering::Relaxed);
        assert_eq!(silent(4), [true, false]);
        assert_eq!(silent(6), [true, true]);
        assert!(!heard.is_silent(2), "no such rank");
    }
}
