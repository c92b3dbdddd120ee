//! What the ranks among which the runs of a study are shared out must have alike.

use fn_train::TrainError;
use fn_train::collective::{Agreement, Collective, Meeting, Patience, agree};
use fn_train::machine::this_program;

use super::{Arm, Plan, StudyError};

impl Plan<'_> {
    /// Compares program, description, folder and configurations of the ranks before a run is begun: runs of different descriptions in one
    /// folder would be compared with each other.
    ///
    /// # Errors
    /// A configuration that cannot be resolved; on every rank, the first thing in which one of them differs.
    pub fn agree(&self, ranks: &dyn Collective, chosen: &[&Arm]) -> Result<(), StudyError> {
        if ranks.world() == 1 {
            return Ok(());
        }
        let names: Vec<&str> = chosen.iter().map(|arm| arm.name.as_str()).collect();
        let description = format!("{:?}", self.study);
        let mut same = vec![
            Agreement::new("the program", this_program()),
            Agreement::new("the folder of the runs", self.out.display().to_string()),
            Agreement::new("the chosen arms", names.join(", ")),
            Agreement::new("the seeds", format!("{:?}", self.study.seeds)),
            Agreement::new("--set", self.set.join(" ")),
            Agreement::of_bytes("the description of the study", description),
        ];
        for arm in chosen {
            // Of any seed: all have the same file behind them.
            let config = self.study.resolve(arm, 1, self.set)?.to_toml();
            same.push(Agreement::of_bytes(&format!("the configuration of arm {}", arm.name), config));
        }
        let meeting = Meeting { what: "its description", patience: Patience::Endless };
        agree(ranks, meeting, &same).map_err(|error| StudyError::Ranks(TrainError::from(error)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use fn_train::collective::Threads;
    use fn_train::stop::Stop;

    use super::*;
    use crate::study::Study;

    /// What each of two ranks says, of which the second has another text, folder and `--set`.
    fn said(second: (&str, &str, &str)) -> Vec<String> {
        let one = |ranks: Threads, (seeds, out, set): (&str, &str, &str)| {
            let text = format!(
                "name = \"x\"\npreset = \"electra-tiny\"\nset = [\"data.train=['t']\", \"data.tokenizer=v\"]\nseeds = {seeds}\n[[arm]]\nname = \"a\"\n"
            );
            let study = Study::parse(&text, Path::new("x.toml")).unwrap();
            let (stop, set) = (Stop::new(), [set.to_owned()]);
            let (out, program) = (Path::new(out), Path::new("fnlm"));
            let plan = Plan { study: &study, out, set: &set, program, quiet: true, stop: &stop };
            plan.agree(&ranks, &[&study.arms[0]]).err().map(|error| error.to_string()).unwrap_or_default()
        };
        std::thread::scope(|scope| {
            let given = [("[1]", "o", "train.steps=5"), second];
            let ranks = Threads::new(2, Duration::from_secs(60));
            let running: Vec<_> = ranks
                .into_iter()
                .zip(given)
                .map(|(ranks, given)| scope.spawn(move || one(ranks, given)))
                .collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn ranks_with_another_description_folder_or_setting_are_told_before_a_run() {
        assert_eq!(said(("[1]", "o", "train.steps=5")), ["", ""]);
        for (second, expected) in [
            (("[2]", "o", "train.steps=5"), "the seeds: [2], rank 0 has [1]"),
            (("[1]", "p", "train.steps=5"), "the folder of the runs: p, rank 0 has o"),
            (("[1]", "o", "train.steps=6"), "--set: train.steps=6, rank 0 has train.steps=5"),
        ] {
            for error in said(second) {
                assert!(
                    error.starts_with("rank 1 and rank 0 differ in ") && error.contains(expected),
                    "{error}"
                );
            }
        }
    }
}
