//! Ranks that are connected by MPI.
//!
//! All messages are point-to-point and non-blocking, so that every wait has a time limit and its error names the missing rank.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::environment::Universe;
use mpi::point_to_point::{Destination, Source};
use mpi::request::{LocalScope, Request, scope};
use mpi::topology::{Communicator, SimpleCommunicator};

use super::beats::Beats;
use super::{Collective, CollectiveError, Meeting, Patience, copy_own};

/// Maximum size of a message in bytes; MPI counts in 31 bits.
const MESSAGE: usize = 1 << 30;
/// Number of tags, which are used in turn, so that messages of different exchanges are not confused. MPI allows at least
/// 32,767.
pub(super) const TAGS: i32 = 32_000;
/// Time of busy waiting, after which a rank sleeps between polls, so that others can use its core.
const BUSY: Duration = Duration::from_micros(200);
/// The longest time between two polls that counts as waiting: a longer one was spent suspended, with the whole job (`scontrol suspend`, Ctrl-Z).
const SUSPENDED: Duration = Duration::from_secs(1);
/// Exit code after a time-out.
const FAILED: i32 = 1;

/// The ranks of `MPI_COMM_WORLD`.
pub struct Mpi {
    world: SimpleCommunicator,
    limit: Duration,
    meetings: Cell<i32>,
    exchanged: Cell<Duration>,
    /// None where MPI allows no second thread: a rank that hangs is then noticed by those that wait with a time limit only.
    beats: Option<Beats>,
    // Dropped last: it ends MPI.
    _universe: Universe,
}

impl Mpi {
    /// Starts MPI; None if it was started before.
    pub fn start(limit: Duration) -> Option<Self> {
        // Signs of life come from a thread of their own.
        let (universe, provided) = mpi::initialize_with_threading(Threading::Multiple)?;
        let world = universe.world();
        let size = usize::try_from(world.size()).unwrap_or(1);
        Some(Self {
            world,
            limit,
            beats: (provided == Threading::Multiple && size > 1).then(|| Beats::start(size, limit)),
            meetings: Cell::new(0),
            exchanged: Cell::default(),
            _universe: universe,
        })
    }

    /// Prints which ranks did not answer and ends all ranks, because pending requests cannot be cancelled.
    fn give_up(&self, error: &CollectiveError) -> ! {
        eprintln!("error: {error}");
        self.world.abort(FAILED)
    }

    fn is_silent(&self, rank: usize) -> bool {
        self.beats.as_ref().is_some_and(|beats| beats.is_silent(rank))
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
            let (mut waited, mut looked) = (Duration::ZERO, began);
            loop {
                receiving = unfinished(receiving);
                sending = unfinished(sending);
                if receiving.is_empty() && sending.is_empty() {
                    break;
                }
                let now = Instant::now();
                waited += now.duration_since(looked).min(SUSPENDED);
                looked = now;
                let missing =
                    || -> BTreeSet<usize> { receiving.iter().chain(&sending).map(|m| m.0).collect() };
                match patience.of(self.limit) {
                    Some(limit) if waited >= limit => {
                        let missing = missing().into_iter().collect();
                        self.give_up(&CollectiveError::Timeout {
                            rank,
                            what,
                            seconds: limit.as_secs(),
                            missing,
                        })
                    }
                    _ if waited < BUSY => std::thread::yield_now(),
                    _ if patience != Patience::Step
                        && missing().into_iter().any(|other| self.is_silent(other)) =>
                    {
                        let missing = missing().into_iter().filter(|&other| self.is_silent(other)).collect();
                        let seconds = self.limit.as_secs();
                        self.give_up(&CollectiveError::Silent { rank, what, seconds, missing })
                    }
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
