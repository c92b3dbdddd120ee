//! Runs that are independent of each other, shared out among the ranks of a job.

use std::ops::Range;

use fn_train::TrainError;
use fn_train::collective::{Collective, Meeting, Patience, gather_equal};

use super::Task;

/// Calls `one` for the tasks and seeds of this rank, every `world`-th of all, until it returns false because a stop was requested. Waits until
/// all ranks are done with theirs; returns false on all of them if one was stopped. A process alone does nothing here.
///
/// # Errors
/// Those of `one`; a rank that has ended.
pub fn spread<E: From<TrainError>>(
    ranks: &dyn Collective,
    tasks: &[Task],
    seeds: Range<u64>,
    one: &mut dyn FnMut(&Task, u64) -> Result<bool, E>,
) -> Result<bool, E> {
    if ranks.world() == 1 {
        return Ok(true);
    }
    // The first rank has prepared the folders.
    all_together(ranks, false)?;
    let runs = tasks.iter().flat_map(|task| seeds.clone().map(move |seed| (task, seed)));
    let mut whole = true;
    for (task, seed) in runs.skip(ranks.rank()).step_by(ranks.world()) {
        whole = one(task, seed)?;
        if !whole {
            break;
        }
    }
    Ok(!all_together(ranks, !whole)?)
}

/// Waits, without a limit of time, until all ranks are done with their runs. Returns whether any of them was stopped.
///
/// # Errors
/// A rank that has ended.
pub fn all_together(ranks: &dyn Collective, stopped: bool) -> Result<bool, TrainError> {
    let meeting = Meeting { what: "its runs", patience: Patience::Endless };
    let all = gather_equal(ranks, meeting, &[u8::from(stopped)])?;
    Ok(all.iter().any(|rank| *rank == [1]))
}
