//! Reads the environment variables by which launchers describe each process.

use std::fmt;

/// A launcher of several processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// `mpirun` of OpenMPI.
    OpenMpi,
    /// `mpiexec` of MPICH or Intel MPI, or `srun --mpi=pmi2`.
    Pmi,
    /// `torchrun`, or another program that sets its variables.
    Torchrun,
    /// `srun` of Slurm.
    Slurm,
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenMpi => "mpirun",
            Self::Pmi => "mpiexec",
            Self::Torchrun => "torchrun",
            Self::Slurm => "srun",
        })
    }
}

/// How this process was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// The launcher.
    pub launcher: Launcher,
    /// Rank of this process, `0..world`.
    pub rank: usize,
    /// Number of processes.
    pub world: usize,
    /// Local rank: index of this process on its machine, if the launcher provides it.
    pub local_rank: Option<usize>,
    /// Number of processes on its machine, if the launcher provides it.
    pub local_world: Option<usize>,
}

/// Names of the variables of a launcher: world, rank, local rank, local world.
struct Variables(Launcher, [&'static str; 4]);

/// MPI's own come first: `srun --mpi=pmi2` sets Slurm's as well. Of Slurm those of a job step are read, which only `srun` sets: the
/// script of `sbatch -n 4` is one process, though `SLURM_NTASKS` is 4 in it.
const VARIABLES: [Variables; 4] = [
    Variables(
        Launcher::OpenMpi,
        [
            "OMPI_COMM_WORLD_SIZE",
            "OMPI_COMM_WORLD_RANK",
            "OMPI_COMM_WORLD_LOCAL_RANK",
            "OMPI_COMM_WORLD_LOCAL_SIZE",
        ],
    ),
    Variables(Launcher::Pmi, ["PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"]),
    Variables(Launcher::Torchrun, ["WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"]),
    Variables(Launcher::Slurm, ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID", ""]),
];

/// How this process was started, if the variables of a launcher are set and valid. `variable` reads the environment.
///
/// ```
/// use fn_train::collective::{Launcher, launched};
/// let variables = |name: &str| match name {
///     "OMPI_COMM_WORLD_SIZE" => Some("4".to_owned()),
///     "OMPI_COMM_WORLD_RANK" => Some("3".to_owned()),
///     _ => None,
/// };
/// let launch = launched(variables).unwrap();
/// assert_eq!((launch.launcher, launch.rank, launch.world), (Launcher::OpenMpi, 3, 4));
/// ```
pub fn launched(variable: impl Fn(&str) -> Option<String>) -> Option<Launch> {
    let number = |name: &str| variable(name)?.trim().parse::<usize>().ok();
    VARIABLES.iter().find_map(|Variables(launcher, [world, rank, local_rank, local_world])| {
        let (world, rank) = (number(world)?, number(rank)?);
        (rank < world).then(|| Launch {
            launcher: *launcher,
            rank,
            world,
            local_rank: number(local_rank),
            local_world: number(local_world).filter(|&n| n > 0),
        })
    })
}

/// The variables that [`launched`] reads. A process that is started by one of several ranks must not inherit them: it is none of the ranks.
pub fn launcher_variables() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().flat_map(|Variables(_, names)| names.iter().copied()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Option<Launch> {
        launched(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn each_launcher_is_recognised_by_its_variables() {
        let found = |variables: &[(&str, &str)]| {
            let Launch { launcher, rank, world, local_rank, local_world } = read(variables).unwrap();
            (launcher, rank, world, local_rank, local_world)
        };
        let open_mpi = [
            ("OMPI_COMM_WORLD_SIZE", "8"),
            ("OMPI_COMM_WORLD_RANK", "5"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "4"),
        ];
        assert_eq!(found(&open_mpi), (Launcher::OpenMpi, 5, 8, Some(1), Some(4)));
        assert_eq!(found(&[("PMI_SIZE", "2"), ("PMI_RANK", "0")]), (Launcher::Pmi, 0, 2, None, None));
        let torchrun = [("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "2")];
        assert_eq!(found(&torchrun), (Launcher::Torchrun, 1, 2, Some(1), Some(2)));
        let srun = [("SLURM_STEP_NUM_TASKS", "16"), ("SLURM_PROCID", "9"), ("SLURM_LOCALID", "1")];
        assert_eq!(found(&srun), (Launcher::Slurm, 9, 16, Some(1), None));
    }

    #[test]
    fn batch_scripts_and_incomplete_or_invalid_variables_are_ignored() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")]), None);
        assert_eq!(read(&[("WORLD_SIZE", "4")]), None);
        assert_eq!(read(&[("WORLD_SIZE", "4"), ("RANK", "4")]), None);
        assert_eq!(read(&[("WORLD_SIZE", "four"), ("RANK", "1")]), None);
    }
}
