//! Measures when correction helps and when it hurts, on generated languages whose false negatives are known.
//!
//! Five parameters of the language (dials) are varied one at a time; each value is a separate quickstart: baseline, hard and soft
//! correction, several seeds. The figure shows the paired differences of each correction to the baseline.

use std::path::{Path, PathBuf};
use std::process::Command;

use fn_data::language::LexiconNoise;
use fn_eval::stats::Summary;
use fn_eval::table::{Table, number, percent};
use fn_train::rundir;
use fn_train::stop::Stop;
use serde_json::json;

use crate::RecordError;
use crate::curves::{Panel, panels};
use crate::process::{Ended, ProcessError, run_to_end};
use crate::quickstart::{self, QuickstartError, SUMMARY, Setup, Summaries};
use crate::runs::RunRecord;

/// Name of the plotted series.
const SERIES: &str = "difference";

/// Error of the experiment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TruthError {
    /// The files of a quickstart cannot be written or read.
    #[error(transparent)]
    Quickstart(#[from] QuickstartError),
    /// A process or its records cannot be used.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The figure cannot be drawn.
    #[error(transparent)]
    Draw(#[from] RecordError),
    /// The configuration of a run cannot be read.
    #[error(transparent)]
    Config(#[from] fn_train::config::ConfigError),
    /// The folder has runs with another number of steps.
    #[error(
        "{path}: these runs have {found} steps, --steps says {steps}; name another --out, or remove the folder"
    )]
    OtherSteps {
        /// The folder.
        path: PathBuf,
        /// Steps of the runs in the folder.
        found: u64,
        /// The requested steps.
        steps: u64,
    },
    /// A quickstart failed.
    #[error("{path}: the quickstart failed: {message}")]
    Failed {
        /// Its folder.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

/// A dial, one of its values, and the metrics of the arms for each seed.
pub type Found = (&'static Dial, u64, Vec<Summaries>);

/// A parameter of the language or its lexicon that is varied.
#[derive(Debug)]
pub struct Dial {
    /// Its name.
    pub name: &'static str,
    /// What the parameter means; title of the panel.
    title: &'static str,
    /// Label of the x axis: the unit of the values.
    axis: &'static str,
    /// Values, in the order in which they are run.
    pub places: &'static [u64],
    /// Sets the parameter to a value.
    turn: fn(u64, &mut Setup),
}

impl Dial {
    /// A copy of `setup` with this parameter set to the value `place`.
    pub fn at(&self, place: u64, setup: &Setup) -> Setup {
        let mut setup = setup.clone();
        (self.turn)(place, &mut setup);
        setup
    }
}

/// All dials.
pub static DIALS: [Dial; 5] = [
    Dial {
        name: "set-size",
        title: "how many words are interchangeable",
        axis: "words of a set",
        places: &[1, 2, 3, 5],
        turn: |words, setup| {
            // All synonym sets have this size.
            let mut weights = vec![0.0; words as usize];
            weights[words as usize - 1] = 1.0;
            setup.language.set_sizes = weights;
        },
    },
    Dial {
        name: "share",
        title: "how many words have one that is as good",
        axis: "% of the content words",
        places: &[0, 25, 50, 75, 100],
        turn: |percent, setup| {
            // Words with two meanings would reduce the share.
            setup.language.polysemy = 0.0;
            // The share is of words, not of sets: a set of two counts twice.
            setup.language.set_sizes = match percent {
                0 => vec![1.0],
                25 => vec![6.0, 1.0],
                50 => vec![2.0, 1.0],
                75 => vec![2.0, 3.0],
                _ => vec![0.0, 1.0],
            };
        },
    },
    Dial {
        name: "polysemy",
        title: "words with two meanings, which a look-up table cannot tell apart",
        axis: "% of the content words",
        places: &[0, 10, 25, 50],
        turn: |percent, setup| setup.language.polysemy = percent as f64 / 100.0,
    },
    Dial {
        name: "coverage",
        title: "what the lexicon knows",
        axis: "% of the planted pairs",
        places: &[25, 50, 75, 100],
        turn: |percent, setup| {
            setup.noise = LexiconNoise { coverage: percent as f64 / 100.0, wrong: 0.0 };
        },
    },
    Dial {
        name: "wrong",
        title: "wrong pairs in the lexicon",
        axis: "% of the right ones",
        places: &[0, 100, 300, 1000],
        turn: |percent, setup| {
            setup.noise = LexiconNoise { coverage: 1.0, wrong: percent as f64 / 100.0 };
        },
    },
];

/// Settings shared by all runs.
pub struct Sweep<'a> {
    /// Folder of all runs.
    pub out: &'a Path,
    /// Optimiser steps per arm.
    pub steps: u64,
    /// As `train.device`.
    pub device: &'a str,
    /// Path of the `fnlm` executable.
    pub program: &'a Path,
    /// Stop flag of this process.
    pub stop: &'a Stop,
}

impl Sweep<'_> {
    /// Folder of the runs with one value of a dial and one seed.
    pub fn folder(&self, dial: &Dial, place: u64, seed: u64) -> PathBuf {
        self.out.join(format!("{}-{place}", dial.name)).join(format!("seed-{seed}"))
    }

    /// The metrics for one value and seed; runs the quickstart unless it is finished. None if a stop was requested.
    ///
    /// # Errors
    /// A quickstart that fails, a folder of one with other settings.
    pub fn run(&self, dial: &Dial, place: u64, seed: u64) -> Result<Option<Summaries>, TruthError> {
        let out = self.folder(dial, place, seed);
        if out.join(SUMMARY).exists() {
            let path = out.join("baseline").join(rundir::CONFIG);
            let found = fn_train::config::read(&path)?.train.steps;
            if found != self.steps {
                return Err(TruthError::OtherSteps { path: out, found, steps: self.steps });
            }
            return Ok(Some(quickstart::summaries(&out)?));
        }
        if self.stop.requested() {
            return Ok(None);
        }
        let setup = dial.at(place, &Setup::new(seed, self.steps, self.device));
        let described = out.with_extension("toml");
        setup.save(&described)?;
        let mut command = Command::new(self.program);
        command.args(["quickstart", "--quiet", "--device", self.device]);
        command.arg("--setup").arg(described).arg("--out").arg(&out);
        let records = out.with_extension("records.jsonl");
        let finished = run_to_end(command, &records, &|| self.stop.requested())?;
        match finished.ended() {
            Some(Ended::Done) => Ok(Some(quickstart::summaries(&out)?)),
            Some(Ended::Stopped { saved: true }) => Ok(None),
            _ if finished.asked_to_stop => Ok(None),
            _ => Err(TruthError::Failed { path: out, message: finished.failure() }),
        }
    }
}

/// Corrections that are compared with the baseline.
const ARMS: [&str; 2] = ["hard", "soft"];

/// Metrics that are compared, and their names.
const FIGURES: [(&str, &str); 2] = [("fitting_accuracy", "fitting"), ("detector_true_auc", "true AUC")];

/// Difference of an arm to the baseline in one metric, times 100.
fn difference(arms: &Summaries, arm: &str, figure: &str) -> Option<f64> {
    let of = |arm: &str| arms.get(arm)?.get(figure).copied();
    Some(100.0 * (of(arm)? - of("baseline")?))
}

/// An SVG with one panel for each dial and metric.
///
/// # Errors
/// Nothing can be drawn.
pub fn draw(found: &[Found]) -> Result<String, TruthError> {
    let mut dials: Vec<&Dial> = Vec::new();
    for (dial, ..) in found {
        if dials.iter().all(|known| known.name != dial.name) {
            dials.push(dial);
        }
    }
    // A record for each seed: the difference over the values of the dial, 0 for the baseline itself.
    let records = |dial: &Dial, arm: Option<&str>, figure: &str| -> Vec<RunRecord> {
        let places = || found.iter().filter(|(of, ..)| of.name == dial.name);
        let seeds = places().map(|(_, _, seeds)| seeds.len()).max().unwrap_or(0);
        let of = |seed: usize| -> Vec<(u64, f64)> {
            let value = |arms: &Summaries| arm.map_or(Some(0.0), |arm| difference(arms, arm, figure));
            places().filter_map(|(_, at, seeds)| Some((*at, value(seeds.get(seed)?)?))).collect()
        };
        (0..seeds)
            .map(|seed| RunRecord { name: String::new(), series: [(SERIES.to_owned(), of(seed))].into() })
            .collect()
    };
    let mut all: Vec<(String, &Dial, Lines)> = Vec::new();
    for dial in dials {
        for (figure, name) in FIGURES {
            let arms = ARMS.map(|arm| (arm, records(dial, Some(arm), figure)));
            let lines = std::iter::once(("baseline", records(dial, None, figure))).chain(arms).collect();
            all.push((format!("{name} x 100: {}", dial.title), dial, lines));
        }
    }
    let drawn: Vec<Panel> = all
        .iter()
        .map(|(title, dial, arms)| Panel {
            title,
            x: dial.axis,
            arms: arms.iter().map(|(name, runs)| (*name, runs.iter().collect())).collect(),
        })
        .collect();
    Ok(panels(&drawn, SERIES)?)
}

/// The curves of a panel, each with one record per seed.
type Lines = Vec<(&'static str, Vec<RunRecord>)>;

/// The metrics behind [`table`] for programs: dial, value, and for each seed those of every arm.
pub fn figures(found: &[Found]) -> serde_json::Value {
    let one = |(dial, place, seeds): &Found| json!({ "dial": dial.name, "at": place, "unit": dial.axis, "seeds": seeds });
    found.iter().map(one).collect()
}

/// Means over seeds: share of planted synonyms among the baseline's errors, precision and recall of the lexicon's flags, and the
/// difference of each correction to the baseline, times 100, with standard deviations.
pub fn table(found: &[Found]) -> Table {
    let pairs = || ARMS.iter().flat_map(|arm| FIGURES.iter().map(move |figure| (*arm, *figure)));
    let fixed =
        ["dial", "at", "errors that are planted synonyms", "precision", "recall", "fitting, baseline"];
    let named = pairs().map(|(arm, (_, name))| format!("{arm} minus baseline: {name}"));
    let mut table = Table::new(fixed.map(str::to_owned).into_iter().chain(named));
    for (dial, place, seeds) in found {
        let mean = |arm: &str, figure: &str| {
            let values: Vec<f64> =
                seeds.iter().filter_map(|arms| arms.get(arm)?.get(figure).copied()).collect();
            Summary::of(&values).map(|summary| summary.mean)
        };
        let effect = |arm: &str, figure: &str| {
            let values: Vec<f64> = seeds.iter().filter_map(|arms| difference(arms, arm, figure)).collect();
            let summary = Summary::of(&values);
            let [mean, sd] = [summary.map(|s| s.mean), summary.map(|s| s.standard_deviation)];
            format!("{} ± {}", number(mean, 2), number(sd, 2))
        };
        let fixed = [
            dial.name.to_owned(),
            format!("{place} {}", dial.axis),
            percent(mean("baseline", "predicted_true_false_negative_share")),
            percent(mean("hard", "predicted_detection_precision")),
            percent(mean("hard", "predicted_detection_recall")),
            percent(mean("baseline", "fitting_accuracy")),
        ];
        table.row(fixed.into_iter().chain(pairs().map(|(arm, (figure, _))| effect(arm, figure))));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn arms(baseline: f64, hard: f64) -> Summaries {
        let of = |value| {
            BTreeMap::from([("fitting_accuracy".to_owned(), value), ("detector_true_auc".to_owned(), 0.5)])
        };
        BTreeMap::from(
            [("baseline", baseline), ("hard", hard), ("soft", baseline)]
                .map(|(arm, v)| (arm.to_owned(), of(v))),
        )
    }

    #[test]
    fn differences_are_paired_by_seed_and_drawn_in_panels() {
        let found = vec![
            (&DIALS[0], 1, vec![arms(0.5, 0.5), arms(0.6, 0.6)]),
            (&DIALS[0], 2, vec![arms(0.5, 0.52), arms(0.6, 0.64)]),
            (&DIALS[4], 0, vec![arms(0.5, 0.4)]),
        ];
        let text = table(&found).to_markdown();
        assert!(
            text.contains("| set-size | 2 words of a set |") && text.contains("| 3.00 ± 1.41 |"),
            "{text}"
        );
        assert!(text.contains("-10.00"), "{text}");
        let svg = draw(&found).unwrap();
        assert_eq!(svg.matches("<svg").count(), 5);
        assert!(svg.contains("viewBox=\"0 0 1440 860\"") && svg.contains("wrong pairs in the lexicon"));
        assert!(svg.contains("true AUC x 100: wrong") && svg.contains("soft"));
    }

    #[test]
    fn dials_set_the_parameters_that_their_axes_name() {
        let base = Setup::new(1, 10, "flex");
        for (dial, place, sizes, polysemy, coverage, wrong) in [
            (0, 1, vec![1.0], 0.1, 0.9, 0.05),
            (0, 3, vec![0.0, 0.0, 1.0], 0.1, 0.9, 0.05),
            (1, 75, vec![2.0, 3.0], 0.0, 0.9, 0.05),
            (2, 25, vec![1.0, 3.0, 3.0, 2.0, 1.0], 0.25, 0.9, 0.05),
            (3, 25, vec![1.0, 3.0, 3.0, 2.0, 1.0], 0.1, 0.25, 0.0),
            (4, 300, vec![1.0, 3.0, 3.0, 2.0, 1.0], 0.1, 1.0, 3.0),
        ] {
            let found = DIALS[dial].at(place, &base);
            let language = &found.language;
            assert_eq!((&language.set_sizes, language.polysemy), (&sizes, polysemy));
            assert_eq!(found.noise, LexiconNoise { coverage, wrong });
        }
    }
}
