//! Ranks that are threads of one process, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Collective, CollectiveError, Meeting, copy_own};

/// A rank in this process. Dropping it means that the rank has ended.
pub struct Threads {
    rank: usize,
    world: usize,
    limit: Duration,
    shared: Arc<Shared>,
    /// Number of exchanges of this rank so far.
    sent: Mutex<u64>,
    exchanged: Mutex<Duration>,
}

struct Shared {
    post: Mutex<Post>,
    changed: Condvar,
}

#[derive(Default)]
struct Post {
    /// Messages that were not received yet, by number of the exchange, sender and receiver.
    messages: BTreeMap<(u64, usize, usize), Vec<u8>>,
    /// Ranks that have ended.
    gone: BTreeSet<usize>,
}

impl Threads {
    /// `world` ranks, one for each thread, which wait at most `limit` for each other.
    pub fn new(world: usize, limit: Duration) -> Vec<Self> {
        let shared = Arc::new(Shared { post: Mutex::default(), changed: Condvar::new() });
        let rank = |rank| Self {
            rank,
            world,
            limit,
            shared: shared.clone(),
            sent: Mutex::new(0),
            exchanged: Mutex::default(),
        };
        (0..world).map(rank).collect()
    }
}

/// Locks; a poisoned lock is ignored, because a panic of one rank does not invalidate the messages of the others.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Collective for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.world
    }

    fn exchange(
        &self,
        Meeting { what, patience }: Meeting,
        send: &[&[u8]],
        receive: &mut [&mut [u8]],
    ) -> Result<(), CollectiveError> {
        let (rank, began) = (self.rank, Instant::now());
        let limit = patience.of(self.limit);
        let number = {
            let mut sent = locked(&self.sent);
            *sent += 1;
            *sent
        };
        copy_own(send, receive, rank);
        let others = || (0..self.world).filter(|&other| other != rank);
        let mut post = locked(&self.shared.post);
        for other in others() {
            post.messages.insert((number, rank, other), send[other].to_vec());
        }
        self.shared.changed.notify_all();
        let mut missing: Vec<usize> = others().collect();
        loop {
            missing.retain(|&other| match post.messages.remove(&(number, other, rank)) {
                Some(message) => {
                    receive[other].copy_from_slice(&message);
                    false
                }
                None => true,
            });
            if missing.is_empty() {
                *locked(&self.exchanged) += began.elapsed();
                return Ok(());
            }
            let gone: Vec<usize> = missing.iter().copied().filter(|r| post.gone.contains(r)).collect();
            if !gone.is_empty() {
                return Err(CollectiveError::Gone { rank, what, gone });
            }
            let left = limit.map(|limit| limit.saturating_sub(began.elapsed()));
            if let (Some(limit), Some(Duration::ZERO)) = (limit, left) {
                return Err(CollectiveError::Timeout { rank, what, seconds: limit.as_secs(), missing });
            }
            let waited = self.shared.changed.wait_timeout(post, left.unwrap_or(Duration::from_secs(1)));
            post = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn exchanged(&self) -> Duration {
        *locked(&self.exchanged)
    }

    fn abort(&self, _: u8) {}
}

impl Drop for Threads {
    fn drop(&mut self) {
        locked(&self.shared.post).gone.insert(self.rank);
        self.shared.changed.notify_all();
    }
}
