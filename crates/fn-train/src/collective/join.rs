//! Connects the ranks of a run that a launcher started, and assigns threads and devices to them.

use std::rc::Rc;
use std::time::Duration;

use super::{Collective, CollectiveError, Launch, Single, launched};
use crate::device::{Backend, DeviceSpec, Which};
use crate::machine;

/// Why several processes cannot train together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The program was built without MPI.
    #[error(
        "rank {}: {} started {} processes, but this program was built without MPI: each would train by itself, in the same folder. \
         Nothing was written. Build it with `cargo build --release --features mpi` (needs OpenMPI or MPICH with headers, and libclang: \
         `apt-get install libopenmpi-dev openmpi-bin libclang-dev`), or start one process", .0.rank, .0.launcher, .0.world
    )]
    NotBuilt(Launch),
    /// The command does not support several processes.
    #[error(
        "rank {}: {} started {} processes, but this command uses one: each of these would do the whole work, in the same folder. Nothing was \
         written; start one process. Several can run `fnlm pretrain`, `fnlm finetune`, `fnlm squad`, `fnlm glue`, `fnlm study run` and \
         `fnlm data prepare`", .0.rank, .0.launcher, .0.world
    )]
    OneProcess(Launch),
    /// MPI does not connect the processes that the launcher started.
    #[error(
        "rank {}: {} started {} processes, but MPI connects {found}: they were started by another MPI, or by something that is none. \
         Nothing was written. Use the `mpirun` of the MPI that this program was built with, or `srun --mpi=pmix` (see `srun --mpi=list`); \
         torchrun starts processes that MPI cannot connect", .launch.rank, .launch.launcher, .launch.world
    )]
    Unconnected {
        /// The information of the launcher.
        launch: Launch,
        /// Number of processes in MPI.
        found: usize,
    },
    /// MPI was started already.
    #[error("MPI cannot be started a second time in this process")]
    Started,
}

/// How a launcher (`mpirun`, `srun`, ...) started this process; None if it started only one.
pub fn launch() -> Option<Launch> {
    launched(|name| std::env::var(name).ok()).filter(|launch| launch.world > 1)
}

/// Checks that this is not one of several processes.
///
/// # Errors
/// [`JoinError::OneProcess`] if a launcher started several.
pub fn one_process() -> Result<(), JoinError> {
    launch().map_or(Ok(()), |launch| Err(JoinError::OneProcess(launch)))
}

/// Number of threads of this process, if a launcher started several: its share of the cores of the machine.
pub fn threads() -> Option<usize> {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    launch().map(|launch| launch.threads(allowed, machine::cores()))
}

/// The ranks of this run: those of `launch`, or a single process. `limit` is the maximum time that a rank waits for the others
/// in a step. Must be called before anything is written, because only the first rank may write.
///
/// # Errors
/// More than one process without MPI to connect them.
pub fn join(launch: Option<Launch>, limit: Duration) -> Result<Rc<dyn Collective>, JoinError> {
    match launch {
        Some(launch) if launch.world > 1 => connect(launch, limit),
        _ => Ok(Rc::new(Single)),
    }
}

#[cfg(not(feature = "mpi"))]
fn connect(launch: Launch, _: Duration) -> Result<Rc<dyn Collective>, JoinError> {
    Err(JoinError::NotBuilt(launch))
}

#[cfg(feature = "mpi")]
fn connect(launch: Launch, limit: Duration) -> Result<Rc<dyn Collective>, JoinError> {
    let ranks = super::Mpi::start(limit).ok_or(JoinError::Started)?;
    let found = ranks.world();
    if found != launch.world {
        return Err(JoinError::Unconnected { launch, found });
    }
    Ok(Rc::new(ranks))
}

/// Number of micro-batches of each of `world` ranks, for `micro_batches` of a step.
///
/// # Errors
/// [`CollectiveError::Micro`] if they cannot be divided evenly; it lists the possible numbers of ranks.
pub fn check_block(micro_batches: usize, world: usize) -> Result<usize, CollectiveError> {
    if world > 0 && micro_batches.is_multiple_of(world) && micro_batches > 0 {
        return Ok(micro_batches / world);
    }
    // Larger numbers of ranks are not suggested.
    let fitting = (1..=micro_batches.min(4096)).filter(|n| micro_batches.is_multiple_of(*n));
    let fitting: Vec<String> = fitting.map(|n| n.to_string()).collect();
    let fitting = match fitting.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => "1".to_owned(),
    };
    Err(CollectiveError::Micro { micro_batches, world, fitting })
}

impl Launch {
    /// Number of threads of this rank; `allowed` is the number of cores of its affinity mask and `cores` that of the machine.
    /// The ranks of a machine share its cores; a rank that its launcher has bound to some cores uses those.
    pub fn threads(&self, allowed: usize, cores: usize) -> usize {
        let share = cores / self.local_world.unwrap_or(self.world).max(1);
        allowed.min(share).max(1)
    }

    /// The device of this rank for the device `spec` of the run: `cuda` and `rocm` without a number become the device of its
    /// local rank.
    pub fn device(&self, spec: DeviceSpec) -> DeviceSpec {
        match (spec.backend, spec.which, self.local_rank) {
            (Backend::Cuda | Backend::Rocm, Which::Default, Some(local)) if self.world > 1 => {
                DeviceSpec { which: Which::Index(local), ..spec }
            }
            _ => spec,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collective::Launcher;

    fn launch(local_rank: usize, local_world: usize) -> Launch {
        Launch {
            launcher: Launcher::OpenMpi,
            rank: local_rank,
            world: local_world,
            local_rank: Some(local_rank),
            local_world: Some(local_world),
        }
    }

    #[test]
    fn micro_batches_are_divided_evenly_or_the_error_lists_possible_numbers() {
        assert_eq!(check_block(8, 4), Ok(2));
        assert_eq!(check_block(1, 1), Ok(1));
        let text = check_block(6, 4).unwrap_err().to_string();
        assert!(text.contains("start 1, 2, 3 or 6 ranks") && text.contains("a multiple of 4"), "{text}");
        assert!(check_block(1, 2).unwrap_err().to_string().contains("start 1 ranks"));
    }

    #[test]
    fn ranks_share_cores_and_take_a_card_each() {
        assert_eq!(launch(1, 4).threads(64, 64), 16);
        assert_eq!(launch(1, 4).threads(8, 64), 8); // bound to fewer
        assert_eq!(launch(1, 4).threads(2, 2), 1);
        let device = |spec: &str| launch(1, 4).device(spec.parse().unwrap()).to_string();
        assert_eq!(
            ["cuda", "rocm", "cuda:3", "flex", "vulkan"].map(device),
            ["cuda:1", "rocm:1", "cuda:3", "flex", "vulkan"]
        );
    }

    #[test]
    fn a_process_alone_needs_no_mpi() {
        assert_eq!(join(None, Duration::ZERO).unwrap().world(), 1);
        assert_eq!(join(Some(launch(0, 1)), Duration::ZERO).unwrap().world(), 1);
    }

    #[cfg(not(feature = "mpi"))]
    #[test]
    fn the_error_for_several_processes_without_mpi_names_the_feature() {
        let text = join(Some(launch(1, 4)), Duration::ZERO).err().unwrap().to_string();
        assert!(
            text.contains("rank 1: mpirun started 4 processes") && text.contains("--features mpi"),
            "{text}"
        );
    }
}
