//! `fnlm study truth`: when correction helps and when it hurts, on languages whose false negatives are known.
//!
//! Five dials are turned one at a time; each place is a quickstart of its own (a process, a folder): baseline, hard and soft
//! correction, several seeds. What is drawn is what each correction changes, seed by seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fn_eval::stats::Summary;
use fn_eval::table::{Table, number, percent};
use fn_study::curves::{Panel, panels};
use fn_study::runs::RunRecord;
use fn_train::fsutil::write_atomic;
use fn_train::stop::Stop;

use super::{Outcome, quickstart, study, support};
use crate::args::StudyTruthArgs;
use crate::error::CliError;
use crate::term;

/// Name of the series that is drawn.
const SERIES: &str = "difference";

/// Something about the language or its lexicon.
struct Dial {
    name: &'static str,
    /// What is turned, for the figure.
    title: &'static str,
    /// Below the figure.
    axis: &'static str,
    /// Place on the axis, and the arguments of `fnlm quickstart` that say it.
    places: &'static [(u64, &'static [&'static str])],
}

const DIALS: [Dial; 5] = [
    Dial {
        name: "set-size",
        title: "how many words are interchangeable",
        axis: "words of a set",
        places: &[
            (1, &["--language", "set_sizes=[1]"]),
            (2, &["--language", "set_sizes=[0,1]"]),
            (3, &["--language", "set_sizes=[0,0,1]"]),
            (5, &["--language", "set_sizes=[0,0,0,0,1]"]),
        ],
    },
    // Of words, not of sets: a set of two counts twice. Words of two meanings would take some of them away.
    Dial {
        name: "share",
        title: "how many words have one that is as good",
        axis: "% of the content words",
        places: &[
            (0, &["--language", "polysemy=0", "--language", "set_sizes=[1]"]),
            (25, &["--language", "polysemy=0", "--language", "set_sizes=[6,1]"]),
            (50, &["--language", "polysemy=0", "--language", "set_sizes=[2,1]"]),
            (75, &["--language", "polysemy=0", "--language", "set_sizes=[2,3]"]),
            (100, &["--language", "polysemy=0", "--language", "set_sizes=[0,1]"]),
        ],
    },
    Dial {
        name: "polysemy",
        title: "words with two meanings, which a look-up table cannot tell apart",
        axis: "% of the content words",
        places: &[
            (0, &["--language", "polysemy=0"]),
            (10, &["--language", "polysemy=0.1"]),
            (25, &["--language", "polysemy=0.25"]),
            (50, &["--language", "polysemy=0.5"]),
        ],
    },
    Dial {
        name: "coverage",
        title: "what the lexicon knows",
        axis: "% of the planted pairs",
        places: &[
            (25, &["--coverage", "0.25", "--wrong", "0"]),
            (50, &["--coverage", "0.5", "--wrong", "0"]),
            (75, &["--coverage", "0.75", "--wrong", "0"]),
            (100, &["--coverage", "1", "--wrong", "0"]),
        ],
    },
    Dial {
        name: "wrong",
        title: "wrong pairs in the lexicon",
        axis: "% of the right ones",
        places: &[
            (0, &["--coverage", "1", "--wrong", "0"]),
            (100, &["--coverage", "1", "--wrong", "1"]),
            (300, &["--coverage", "1", "--wrong", "3"]),
            (1000, &["--coverage", "1", "--wrong", "10"]),
        ],
    },
];

/// Figures of the arms of a quickstart.
type Arms = BTreeMap<String, BTreeMap<String, f64>>;

/// Runs what is missing, then draws.
///
/// # Errors
/// A dial that does not exist (2), a quickstart that fails (1).
pub fn run(args: &StudyTruthArgs) -> Result<Outcome, CliError> {
    if args.seeds == 0 || args.steps == 0 {
        return Err(CliError::usage("--seeds and --steps must be at least 1"));
    }
    let known = DIALS.map(|dial| dial.name);
    if let Some(name) = args.dials.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(CliError::usage(format!("--dial {name}: no such dial; known: {}", known.join(", "))));
    }
    let stop = support::interruptible()?;
    let chosen = |dial: &&Dial| args.dials.is_empty() || args.dials.iter().any(|name| name == dial.name);
    let dials: Vec<&Dial> = DIALS.iter().filter(chosen).collect();
    let all: usize = dials.iter().map(|dial| dial.places.len()).sum::<usize>() * args.seeds as usize;
    let mut found: Vec<(&Dial, u64, Vec<Arms>)> = Vec::new();
    let mut count = 0;
    for dial in dials {
        for (place, arguments) in dial.places {
            let mut seeds = Vec::new();
            for seed in 1..=args.seeds {
                count += 1;
                let out = args.out.join(format!("{}-{place}", dial.name)).join(format!("seed-{seed}"));
                term::note(args.common.quiet, &format!("[{count}/{all}] {}", out.display()));
                if stop.requested() || !quickstart_in(args, &out, arguments, seed, &stop)? {
                    term::note(args.common.quiet, "stopped; the same command goes on from there");
                    return Ok(Outcome::Stopped { saved: true });
                }
                seeds.push(read(&out)?);
            }
            found.push((dial, *place, seeds));
        }
    }
    let figure = draw(&found)?;
    let path = args.out.join("truth.svg");
    write_atomic(&path, figure.as_bytes()).map_err(|error| CliError::io("write", &path, error))?;
    term::out(&table(&found).to_markdown())?;
    term::note(args.common.quiet, &format!("figure: {}", path.display()));
    Ok(Outcome::Done)
}

/// Whether it ran to its end; a signal is passed on to the child, which then saves and stops.
fn quickstart_in(
    args: &StudyTruthArgs,
    out: &Path,
    arguments: &[&str],
    seed: u64,
    stop: &Stop,
) -> Result<bool, CliError> {
    if out.join(quickstart::SUMMARY).exists() {
        let path = out.join("baseline").join(fn_train::rundir::CONFIG);
        let steps = fn_train::config::read(&path)?.train.steps;
        if steps == args.steps {
            return Ok(true);
        }
        return Err(CliError::usage(format!(
            "{}: these runs have {steps} steps, --steps says {}; name another --out, or remove the folder",
            out.display(),
            args.steps
        )));
    }
    let mut command: Command = study::program();
    command
        .args(["quickstart", "--quiet", "--steps", &args.steps.to_string(), "--seed", &seed.to_string()])
        .args(arguments);
    command.args(["--device", &args.device]).arg("--out").arg(out).stdout(Stdio::null());
    let (status, told) = study::run_to_end(command, &|| stop.requested())?;
    match status.code() {
        Some(0) => Ok(true),
        Some(75) | None => Ok(false),
        Some(_) if told => Ok(false),
        Some(code) => Err(CliError::failed(format!(
            "{}: the quickstart ended with exit code {code}; its messages stand above",
            out.display()
        ))),
    }
}

fn read(out: &Path) -> Result<Arms, CliError> {
    let path: PathBuf = out.join(quickstart::SUMMARY);
    let text = std::fs::read_to_string(&path).map_err(|error| CliError::io("read", &path, error))?;
    serde_json::from_str(&text).map_err(|error| {
        CliError::input(format!("{}: {error}; remove the folder to run it again", path.display()))
    })
}

/// Corrections that are compared with the baseline.
const ARMS: [&str; 2] = ["hard", "soft"];

/// Figures that are compared, and their names.
const FIGURES: [(&str, &str); 2] = [("fitting_accuracy", "fitting"), ("detector_true_auc", "true AUC")];

/// What an arm changes in a figure, times 100.
fn difference(arms: &Arms, arm: &str, figure: &str) -> Option<f64> {
    let of = |arm: &str| arms.get(arm)?.get(figure).copied();
    Some(100.0 * (of(arm)? - of("baseline")?))
}

/// A panel for each dial and figure.
fn draw(found: &[(&Dial, u64, Vec<Arms>)]) -> Result<String, CliError> {
    let mut dials: Vec<&Dial> = Vec::new();
    for (dial, ..) in found {
        if dials.iter().all(|known| known.name != dial.name) {
            dials.push(dial);
        }
    }
    // A record for each seed: the difference over the places of the dial, 0 where no arm is named.
    let records = |dial: &Dial, arm: Option<&str>, figure: &str| -> Vec<RunRecord> {
        let places = || found.iter().filter(|(of, ..)| of.name == dial.name);
        let seeds = places().map(|(_, _, seeds)| seeds.len()).max().unwrap_or(0);
        let of = |seed: usize| -> Vec<(u64, f64)> {
            let value = |arms: &Arms| arm.map_or(Some(0.0), |arm| difference(arms, arm, figure));
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
    panels(&drawn, SERIES).map_err(CliError::failed_from)
}

/// The lines of a panel and the records of their seeds.
type Lines = Vec<(&'static str, Vec<RunRecord>)>;

/// Means over seeds: planted synonyms among the errors of the baseline, verdicts of the lexicon, and what each correction
/// changes, times 100 and with standard deviations.
fn table(found: &[(&Dial, u64, Vec<Arms>)]) -> Table {
    let pairs = || ARMS.iter().flat_map(|arm| FIGURES.iter().map(move |figure| (*arm, *figure)));
    let fixed =
        ["dial", "at", "errors that are planted synonyms", "precision", "recall", "fitting, baseline"];
    let named = pairs().map(|(arm, (_, name))| format!("{arm} less baseline: {name}"));
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
    use super::*;

    fn arms(baseline: f64, hard: f64) -> Arms {
        let of = |value| {
            BTreeMap::from([("fitting_accuracy".to_owned(), value), ("detector_true_auc".to_owned(), 0.5)])
        };
        BTreeMap::from(
            [("baseline", baseline), ("hard", hard), ("soft", baseline)]
                .map(|(arm, v)| (arm.to_owned(), of(v))),
        )
    }

    #[test]
    fn differences_are_taken_seed_by_seed_and_drawn_in_panels() {
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
}
