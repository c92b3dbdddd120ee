//! Runs several runs of a study, one after the other.

use std::time::Instant;

use fn_eval::table::clock;
use fn_train::config::did_you_mean;

use super::{Arm, Plan, Ran, Study, StudyError};

/// How several runs ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllRan {
    /// None has failed; what was done, in one line.
    Done(String),
    /// A stop was requested; the same command resumes.
    Stopped,
    /// Some have failed, with their reasons.
    Failed(String),
    /// The same, and of some the reason is that the disk or the memory is full.
    Full(String),
}

impl Plan<'_> {
    /// Runs the unfinished parts of these runs; one that fails does not keep the others from running. `tell` gets what happens, and
    /// whether it is a warning.
    ///
    /// # Errors
    /// As [`run`](Plan::run).
    pub fn run_all(
        &self,
        mine: &[(&Arm, u64)],
        tell: &mut dyn FnMut(bool, &str),
    ) -> Result<AllRan, StudyError> {
        let (mut failed, mut busy, mut full) = (Vec::new(), 0, false);
        // Seconds of the runs that were not finished before, and their number.
        let (mut spent, mut ran_here) = (0.0, 0.0);
        for (at, (arm, seed)) in mine.iter().enumerate() {
            let left = match ran_here > 0.0 {
                true => format!(", at most {} left", clock(spent / ran_here * (mine.len() - at) as f64)),
                false => String::new(),
            };
            tell(false, &format!("[{}/{}] {} seed {seed}{left}", at + 1, mine.len(), arm.name));
            let began = Instant::now();
            let ran = self.run(arm, *seed)?;
            let seconds = began.elapsed().as_secs_f64();
            if seconds > 1.0 {
                (spent, ran_here) = (spent + seconds, ran_here + 1.0);
            }
            full |= matches!(ran, Ran::Full(_));
            match ran {
                Ran::Done => {}
                Ran::Busy => {
                    busy += 1;
                    tell(false, "skipped: another process is running it");
                }
                Ran::Failed(message) | Ran::Full(message) => {
                    tell(true, &format!("warning: {message}"));
                    failed.push(message);
                }
                Ran::Stopped => return Ok(AllRan::Stopped),
            }
        }
        if !failed.is_empty() {
            let left = if busy > 0 { format!(", {busy} run in another process") } else { String::new() };
            let message = format!(
                "{} of {} runs failed{left}, the others are done:\n  {}\nRepeat the command to retry them",
                failed.len(),
                mine.len(),
                failed.join("\n  ")
            );
            return Ok(if full { AllRan::Full(message) } else { AllRan::Failed(message) });
        }
        let all = self.study.runs().len();
        Ok(AllRan::Done(match (busy, mine.len() == all) {
            (0, true) => "all runs are done".to_owned(),
            (0, false) => format!("these {} of {all} runs are done", mine.len()),
            _ => format!("{busy} of {} runs run in another process, the others are done", mine.len()),
        }))
    }
}

impl Study {
    /// The arms with these names; all where there are none.
    ///
    /// # Errors
    /// [`StudyError::NoArm`] for a name that no arm has.
    pub fn chosen(&self, names: &[String]) -> Result<Vec<&Arm>, StudyError> {
        if let Some(name) = names.iter().find(|name| self.arms.iter().all(|arm| arm.name != **name)) {
            let known: Vec<&str> = self.arms.iter().map(|arm| arm.name.as_str()).collect();
            let meant = did_you_mean(name, &known);
            return Err(StudyError::NoArm { name: name.clone(), meant, known: known.join(", ") });
        }
        Ok(self.arms.iter().filter(|arm| names.is_empty() || names.contains(&arm.name)).collect())
    }
}

/// `2/3` as (1, 3): the second of three parts.
///
/// # Errors
/// [`StudyError::Part`] for anything else.
pub fn part(text: &str) -> Result<(usize, usize), StudyError> {
    let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parsed {
        Some((i, n)) if (1..=n).contains(&i) => Ok((i - 1, n)),
        _ => Err(StudyError::Part { found: text.to_owned() }),
    }
}
