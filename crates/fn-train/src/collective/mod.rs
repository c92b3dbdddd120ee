//! Training in several processes (ranks): what they say to each other, and sums that do not depend on how many they are.
//!
//! A step is a fixed number of micro-batches (`train.accumulation`), of which each rank computes a block. Everything that is summed
//! over micro-batches is summed in one fixed binary tree ([`tree`]), whose lower levels lie within a rank and whose upper ones
//! between ranks. So a number of ranks that is a power of two and divides the micro-batches gives the bits of a single process.
//!
//! [`Collective`] is what the training loop knows of other ranks: [`Single`] is a process alone, [`Threads`] are threads of one process
//! (for tests), `Mpi` is MPI (feature `mpi`). [`Emulated`] puts a slower network between any of them.

mod agree;
#[cfg(feature = "mpi")]
mod beats;
mod buckets;
mod emulated;
mod exchange;
mod join;
mod launcher;
#[cfg(feature = "mpi")]
mod mpi;
mod reduce;
mod slices;
mod threads;
pub mod tree;
mod wire;

use std::time::Duration;

pub use agree::{Agreement, agree, gather, gather_equal, meet, same_weights, tell, tell_path};
pub use buckets::{Bucket, Buckets};
pub use emulated::{Emulated, Link};
pub use exchange::{ARRIVAL, Behind, Kept, Mine, Summed, sum_buckets};
pub use join::{JoinError, check_block, join, launch, one_process, threads};
pub use launcher::{Launch, Launcher, launched, launcher_variables};
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub use reduce::{collect_tensor, gather_slices, sum_slices, sum_values};
pub use slices::{Part, Slices};
pub use threads::Threads;
pub use wire::Wire;

/// For how long a rank waits for the others before it gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// The time limit of the run: a step of all ranks takes about as long.
    Step,
    /// Ten times the limit: the first rank reads or writes a checkpoint, or a model is evaluated.
    Disk,
    /// As long as signs of life come: the first rank prepares data, or each does work of its own, which may take hours. MPI's ranks send them
    /// from a thread beside the work, and one of which nothing is heard for the time limit is given up; one that dies is noticed by the launcher.
    Endless,
}

impl Patience {
    /// The time, of a run with this limit.
    pub fn of(self, limit: Duration) -> Option<Duration> {
        match self {
            Self::Step => Some(limit),
            Self::Disk => Some(limit * 10),
            Self::Endless => None,
        }
    }
}

/// A meeting of all ranks: why, and for how long one waits for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meeting {
    /// What is waited for, as it completes "waited for ...".
    pub what: &'static str,
    /// How long.
    pub patience: Patience,
}

impl Meeting {
    /// A meeting in each step.
    pub const fn step(what: &'static str) -> Self {
        Self { what, patience: Patience::Step }
    }

    /// A meeting after something that takes longer than a step.
    pub const fn disk(what: &'static str) -> Self {
        Self { what, patience: Patience::Disk }
    }
}

/// The ranks of a run. All of them call the same methods in the same order.
pub trait Collective {
    /// Which rank this is, `0..world`.
    fn rank(&self) -> usize;

    /// Number of ranks, at least 1.
    fn world(&self) -> usize;

    /// Sends `send[j]` to rank `j` and receives what rank `j` sent into `receive[j]`: `world` buffers each. What one rank sends another
    /// is as long as what that one expects; a rank's own part is copied. Nobody waits for a part without bytes.
    ///
    /// # Errors
    /// A rank that did not come in time, or that is gone.
    fn exchange(
        &self,
        meeting: Meeting,
        send: &[&[u8]],
        receive: &mut [&mut [u8]],
    ) -> Result<(), CollectiveError>;

    /// How long this rank has been in [`exchange`](Self::exchange) so far, waiting or sending.
    fn exchanged(&self) -> Duration {
        Duration::ZERO
    }

    /// Ends all ranks, this one with exit code `code`: the others wait for what will not come. Returns where the ranks are not processes.
    fn abort(&self, code: u8);

    /// Whether this rank writes files and reports: rank 0.
    fn is_first(&self) -> bool {
        self.rank() == 0
    }
}

/// A process alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Single;

impl Collective for Single {
    fn rank(&self) -> usize {
        0
    }

    fn world(&self) -> usize {
        1
    }

    fn exchange(&self, _: Meeting, send: &[&[u8]], receive: &mut [&mut [u8]]) -> Result<(), CollectiveError> {
        copy_own(send, receive, 0);
        Ok(())
    }

    fn abort(&self, _: u8) {}
}

/// What a rank sends to itself.
fn copy_own(send: &[&[u8]], receive: &mut [&mut [u8]], rank: usize) {
    if let (Some(from), Some(to)) = (send.get(rank), receive.get_mut(rank)) {
        to.copy_from_slice(from);
    }
}

/// Ranks that cannot go on together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectiveError {
    /// Ranks that did not come within the time limit: dead, stopped, out of memory, or cut off.
    #[error(
        "rank {rank} waited {seconds} s for {what} of {}; that process hangs, is much slower, or its network is gone. {AGAIN}", ranks(.missing)
    )]
    Timeout {
        /// Who waited.
        rank: usize,
        /// For what.
        what: &'static str,
        /// How long.
        seconds: u64,
        /// For whom.
        missing: Vec<usize>,
    },
    /// Ranks that gave no sign of life within the time limit, while they were waited for: stopped, out of memory, or cut off.
    #[error(
        "rank {rank} waits for {what} of {} and heard nothing of that process for {seconds} s: it is stopped, its machine hangs, or its network \
         is gone. {AGAIN}", ranks(.missing)
    )]
    Silent {
        /// Who waited.
        rank: usize,
        /// For what.
        what: &'static str,
        /// How long nothing was heard.
        seconds: u64,
        /// For whom.
        missing: Vec<usize>,
    },
    /// Ranks that ended while others still needed them.
    #[error(
        "{} ended while rank {rank} waited for {what} of it; its own message says why. What was saved before is intact: run the same \
         command again", ranks(.gone)
    )]
    Gone {
        /// Who waited.
        rank: usize,
        /// For what.
        what: &'static str,
        /// For whom.
        gone: Vec<usize>,
    },
    /// Ranks that would not do the same.
    #[error(
        "{} and rank 0 differ in {what}: {found}, rank 0 has {expected}. All ranks of a run need the same program, configuration and \
         input files", ranks(.others)
    )]
    Differ {
        /// In what.
        what: String,
        /// Who differs from rank 0.
        others: Vec<usize>,
        /// What the first of them has.
        found: String,
        /// What rank 0 has.
        expected: String,
    },
    /// Ranks that no longer train the same model.
    #[error(
        "{} and rank 0 have different weights after step {step}; they were equal after step {equal}. They no longer train one model: \
         faulty memory or a faulty device, or processors with different vector instructions (see docs/distributed.md). No checkpoint \
         has these weights: run the same command again, without the machine that computes otherwise", ranks(.others)
    )]
    Diverged {
        /// Who differs from rank 0.
        others: Vec<usize>,
        /// After which step it was found.
        step: u64,
        /// The last step after which they were compared and equal.
        equal: u64,
    },
    /// Another rank could not do its part.
    #[error("rank {other} failed in {what}: {message}")]
    Failed {
        /// Which one.
        other: usize,
        /// In what.
        what: &'static str,
        /// Its error.
        message: String,
    },
    /// Micro-batches that cannot be divided among the ranks.
    #[error(
        "`train.accumulation` is {micro_batches}: that many micro-batches of a step cannot be divided among {world} ranks; start {fitting} \
         ranks, or set `train.accumulation` to a multiple of {world} (and `train.batch` so that their product stays)"
    )]
    Micro {
        /// Micro-batches of a step.
        micro_batches: usize,
        /// Ranks.
        world: usize,
        /// Numbers of ranks that divide them.
        fitting: String,
    },
    /// Micro-batches of fine-tuning that cannot be divided among the ranks.
    #[error(
        "`micro_batches` of the recipe is {micro_batches}: that many micro-batches of a batch cannot be divided among {world} ranks; add \
         `--set micro_batches={world}` (or a multiple of it, up to `batch`), or start fewer ranks"
    )]
    TaskMicro {
        /// Micro-batches of a batch.
        micro_batches: usize,
        /// Ranks.
        world: usize,
    },
    /// Fewer rows than ranks.
    #[error("the training text has {rows} rows, which is less than the {world} ranks; start one process")]
    Rows {
        /// Rows of the training text.
        rows: usize,
        /// Ranks.
        world: usize,
    },
}

/// What follows a time-out.
const AGAIN: &str = "What was saved before is intact: run the same command again. A longer limit: `train.rank_timeout` of pre-training and \
     `fnlm data prepare`, `--rank-timeout` of fine-tuning, `rank_timeout` in the file of a study";

/// "rank 1", "ranks 1, 3".
fn ranks(ranks: &[usize]) -> String {
    let list = ranks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if ranks.len() == 1 { format!("rank {list}") } else { format!("ranks {list}") }
}

#[cfg(test)]
mod tests;
