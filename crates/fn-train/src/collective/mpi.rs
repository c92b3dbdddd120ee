//! Ranks that are connected by MPI.
//!
//! All messages are point-to-point and non-blocking, so that every wait has a time limit and its error names the missing rank.

use std::cell::Cell;
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::environment::Universe;
use mpi::point_to_point::{Destination, Source};
use mpi::request::{LocalScope, Request, scope};
use mpi::topology::{Communicator, SimpleCommunicator};

use super::{Collective, CollectiveError, Meeting, copy_own};

/// Maximum size of a message in bytes; MPI counts in 31 bits.
const MESSAGE: usize = 1 << 30;
/// Number of tags, which are used in turn, so that messages of different exchanges are not confused. MPI allows at least
/// 32,767.
const TAGS: i32 = 32_000;
/// Time of busy waiting, after which a rank sleeps between polls, so that others can use its core.
const BUSY: Duration = Duration::from_micros(200);
/// Exit code after a time-out.
const FAILED: i32 = 1;

/// The ranks of `MPI_COMM_WORLD`.
pub struct Mpi {
    world: SimpleCommunicator,
    limit: Duration,
    meetings: Cell<i32>,
    exchanged: Cell<Duration>,
    // Dropped last: it ends MPI.
    _universe: Universe,
}

impl Mpi {
    /// Starts MPI; None if it was started before. All calls must come from this thread.
    pub fn start(limit: Duration) -> Option<Self> {
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled)?;
        Some(Self {
            world: universe.world(),
            limit,
            meetings: Cell::new(0),
            exchanged: Cell::default(),
            _universe: universe,
        })
    }

    /// Prints the ranks that did not answer and ends all ranks, because pending requests cannot be cancelled.
    fn give_up(&self, what: &'static str, limit: Duration, mut missing: Vec<usize>) -> ! {
        missing.sort_unstable();
        missing.dedup();
        let rank = self.rank();
        let error = CollectiveError::Timeout { rank, what, seconds: limit.as_secs(), missing };
        eprintln!("error: {error}");
        self.world.abort(FAILED)
    }
}

/// Pending messages, each with the rank at the other end.
type UnderWay<'a, 's> = Vec<(usize, Request<'a, [u8], &'s LocalScope<'a>>)>;

/// The messages that are still pending.
fn unfinished<'a, 's>(messages: UnderWay<'a, 's>) -> UnderWay<'a, 's> {
    messages
        .into_iter()
        .filter_map(|(other, request)| request.test().err().map(|request| (other, request)))
        .collect()
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        usize::try_from(self.world.rank()).unwrap_or(0)
    }

    fn world(&self) -> usize {
        usize::try_from(self.world.size()).unwrap_or(1)
    }

    fn exchange(
        &self,
        Meeting { what, patience }: Meeting,
        send: &[&[u8]],
        receive: &mut [&mut [u8]],
    ) -> Result<(), CollectiveError> {
        let (rank, began) = (self.rank(), Instant::now());
        let tag = self.meetings.get();
        self.meetings.set((tag + 1) % TAGS);
        copy_own(send, receive, rank);
        scope(|scope| {
            let (mut receiving, mut sending): (UnderWay<'_, '_>, UnderWay<'_, '_>) = (Vec::new(), Vec::new());
            for (other, buffer) in receive.iter_mut().enumerate().filter(|(other, _)| *other != rank) {
                let process = self.world.process_at_rank(other as i32);
                for part in buffer.chunks_mut(MESSAGE) {
                    receiving.push((other, process.immediate_receive_into_with_tag(scope, part, tag)));
                }
            }
            for (other, buffer) in send.iter().enumerate().filter(|(other, _)| *other != rank) {
                let process = self.world.process_at_rank(other as i32);
                for part in buffer.chunks(MESSAGE) {
                    sending.push((other, process.immediate_send_with_tag(scope, part, tag)));
                }
            }
            loop {
                receiving = unfinished(receiving);
                sending = unfinished(sending);
                if receiving.is_empty() && sending.is_empty() {
                    break;
                }
                let waited = began.elapsed();
                match patience.of(self.limit) {
                    Some(limit) if waited >= limit => {
                        self.give_up(what, limit, receiving.iter().chain(&sending).map(|m| m.0).collect())
                    }
                    _ if waited < BUSY => std::thread::yield_now(),
                    // At most a millisecond, and at most a tenth of the time waited so far.
                    _ => std::thread::sleep((waited / 10).min(Duration::from_millis(1))),
                }
            }
        });
        self.exchanged.set(self.exchanged.get() + began.elapsed());
        Ok(())
    }

    fn exchanged(&self) -> Duration {
        self.exchanged.get()
    }

    fn abort(&self, code: u8) {
        self.world.abort(i32::from(code))
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        // Finalising MPI would wait for the other ranks, which wait for this one.
        if std::thread::panicking() {
            self.world.abort(FAILED)
        }
    }
}
