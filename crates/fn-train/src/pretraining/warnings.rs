//! What looks wrong in the data and in the course of a pre-training run, in plain words, with the next step.

use fn_data::mixture::Mixture;
use fn_data::shard::Dataset;
use fn_data::tokenise::strange_pieces;

use super::overlap;
use crate::config::{Resolved, preset};
use crate::descent::Descent;
use crate::report::StepReport;
use crate::texts::training;

/// Rows that are looked at, spread over the data set.
const SAMPLE: usize = 2_000;
/// Share of padding from which the length is questioned.
const PADDING: f64 = 0.5;
/// Times that the text is read from which the number of steps is questioned; BERT read its text about 40 times.
const EPOCHS: f64 = 50.0;
/// Share of the held-out rows with text of the training rows from which the split is questioned.
const OVERLAP: f64 = 0.05;
/// Factor from the preset's learning rate from which it is questioned.
const RATE: f64 = 20.0;
/// A warning if the held-out rows have text of the training rows; `special` ids are those around texts.
pub(crate) fn of_held_out(training: &Mixture, held_out: &Dataset, special: &[u32]) -> Option<String> {
    let (share, length) = overlap::share(training.sources(), held_out, special);
    (share > OVERLAP).then(|| {
        format!(
            "{:.0} % of the held-out rows have {length} or more tokens in a row that are in the training text as well: the held-out figures \
             are too good; take the common documents out of `data.train` or `data.held_out`",
            100.0 * share
        )
    })
}

/// Warnings about the training rows and the settings, before the first step.
/// `unknown`: the id of \[UNK\], and its share in the tokenizer's own training text, where that is known.
pub(crate) fn of_data(config: &Resolved, data: &Mixture, unknown: (u32, Option<f64>)) -> Vec<String> {
    let texts = training(config);
    let mut out = Vec::new();
    for ((text, rows), share) in texts.iter().zip(data.sources()).zip(data.shares()) {
        let name = match texts.len() {
            1 => "the training text".to_owned(),
            _ => format!("the text {}", text.name()),
        };
        out.extend(of_text(config, rows, share, unknown, &name));
    }
    let usual = config.preset().and_then(|name| Some((name, preset(name).ok()?.schedule.lr)));
    if let Some((name, usual)) = usual {
        let lr = config.schedule.lr;
        if lr > RATE * usual || lr * RATE < usual {
            out.push(format!(
                "`schedule.lr` = {lr:e} is far from the {usual:e} of the preset {name}: check the exponent"
            ));
        }
    }
    out
}

/// Warnings about the text `name`, from which `share` of the rows are drawn.
fn of_text(
    config: &Resolved,
    data: &Dataset,
    share: f64,
    (unknown, in_own_text): (u32, Option<f64>),
    name: &str,
) -> Vec<String> {
    let mut out = Vec::new();
    let rows = data.len();
    let (mut looked, mut ids, mut strange) = (0usize, 0usize, 0usize);
    for row in (0..rows).step_by(rows.div_ceil(SAMPLE).max(1)).map(|at| data.row(at)) {
        looked += 1;
        ids += row.ids.len();
        strange += row.ids.iter().filter(|&&id| id == unknown).count();
    }
    let part_of = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    out.extend(strange_pieces(name, part_of(strange, ids), in_own_text));
    let padding = 1.0 - part_of(ids, looked * data.length());
    if looked > 0 && padding > PADDING {
        out.push(format!(
            "{:.0} % of the rows of {name} are padding: the documents are shorter than `data.length` = {}; lower it, or join documents \
             with `data.packing=dense`",
            100.0 * padding,
            data.length()
        ));
    }
    let train = &config.train;
    let drawn = train.steps as f64 * (train.batch * train.accumulation) as f64 * share;
    let seen = drawn / rows.max(1) as f64;
    if seen > EPOCHS {
        out.push(format!(
            "{} steps read {name} {seen:.0} times (it has {rows} rows): the model may learn it by heart; add text or lower `train.steps`",
            train.steps
        ));
    }
    out
}

/// Follows the loss of a run that begins at step 0, and what its judge says.
#[derive(Debug)]
pub(super) struct Course {
    steps: u64,
    descent: Descent,
    judged: bool,
    wrong: f64,
    excused: f64,
}

impl Course {
    /// `warmup`: steps of warm-up, in which a rate near 0 changes little; `judged`: whether a judge is asked at all.
    pub(super) fn new(steps: u64, warmup: u64, judged: bool) -> Self {
        Self { steps, descent: Descent::new(steps, warmup), judged, wrong: 0.0, excused: 0.0 }
    }

    /// The warnings after this step.
    pub(super) fn observe(&mut self, report: &StepReport) -> Vec<String> {
        self.wrong += report.counts.wrong;
        self.excused += report.counts.false_negative;
        let is_last = report.step == self.steps;
        let stays = self.descent.observe(report.step, report.loss).map(|found| {
            format!(
                "{found}: the learning rate may be too high or too low, or the tokenizer may not be the one of the model"
            )
        });
        stays.into_iter().chain(is_last.then(|| self.nothing_excused()).flatten()).collect()
    }

    fn nothing_excused(&self) -> Option<String> {
        let nothing = self.judged && self.wrong > 0.0 && self.excused == 0.0;
        nothing.then(|| {
            "the judge called none of the wrong predictions a false negative, so that the correction changed nothing: the look-up sets may not \
             suit the text, or `correction.threshold` is too high, or the model predicts no words that have an entry yet"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fn_core::stats::FalseNegativeStats;
    use fn_data::pack::PackedRow;

    use super::*;
    use crate::config::Layers;

    fn config(set: &[&str]) -> Resolved {
        let set = set.iter().map(|&text| text.to_owned()).collect();
        Layers { preset: Some("electra-tiny".into()), set, ..Layers::default() }.resolve().unwrap()
    }

    /// 100 rows of `ids`, at most 16 long.
    fn rows(ids: &[u32]) -> Mixture {
        rows_of(ids, 16)
    }

    fn rows_of(ids: &[u32], length: usize) -> Mixture {
        let second = ids.len() as u16;
        let rows = vec![PackedRow { ids: ids.to_vec(), second }; 100];
        Arc::new(Dataset::from_rows(rows, length).unwrap()).into()
    }

    const FULL: [u32; 16] = [2, 5, 6, 7, 8, 9, 5, 6, 7, 8, 9, 5, 6, 7, 8, 3];

    #[test]
    fn good_data_and_settings_are_not_warned_of() {
        assert_eq!(
            of_data(&config(&["train.steps=50", "train.batch=4"]), &rows(&FULL), (1, None)),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_kind_of_bad_data_is_named() {
        let of = |set: &[&str], ids: &[u32]| {
            let set = [&["train.steps=50", "train.batch=4"], set].concat();
            let all = of_data(&config(&set), &rows(ids), (1, None));
            assert_eq!(all.len(), 1, "{all:?}");
            all[0].clone()
        };
        let mut strange = FULL;
        strange[3] = 1;
        assert!(of(&[], &strange).starts_with("6.2 % of the training text are unknown pieces"));
        // Unknown pieces below one in a hundred are named where the tokenizer's own training text has fewer.
        let few: Vec<u32> = (0..500).map(|at| if at == 250 { 1 } else { 5 }).collect();
        let data = rows_of(&few, 512);
        let told = |own| of_data(&config(&["train.steps=50", "train.batch=4"]), &data, (1, own));
        assert_eq!((told(None).len(), told(Some(0.002)).len()), (0, 0));
        let own = told(Some(0.0));
        assert!(
            own.len() == 1 && own[0].starts_with("0.20 % of the training text are unknown pieces"),
            "{own:?}"
        );
        assert!(of(&[], &[2, 5, 6, 3]).starts_with("75 % of the rows of the training text are padding"));
        assert!(
            of(&["train.batch=200"], &FULL)
                .starts_with("50 steps read the training text 100 times (it has 100 rows)")
        );
        assert!(of(&["schedule.lr=0.9"], &FULL).contains("far from the"));
        assert!(of(&["schedule.lr=1e-6"], &FULL).contains("check the exponent"));
    }

    #[test]
    fn held_out_text_that_is_trained_on_is_named() {
        let other: Vec<u32> = FULL.iter().map(|id| id + 20).collect();
        let warning = of_held_out(&rows(&FULL), &rows(&FULL).sources()[0], &[2, 3]).unwrap();
        assert!(warning.starts_with("100 % of the held-out rows have 8 or more tokens"), "{warning}");
        assert_eq!(of_held_out(&rows(&FULL), &rows(&other).sources()[0], &[2, 3]), None);
    }

    fn report(step: u64, loss: f64, false_negative: f64) -> StepReport {
        StepReport {
            step,
            loss,
            terms: Vec::new(),
            counts: FalseNegativeStats {
                rows: 20.0,
                wrong: 10.0,
                false_negative,
                ..FalseNegativeStats::default()
            },
            learning_rate: 1e-4,
            grad_norm: 1.0,
            skipped: false,
            tokens: 100,
            tokens_seen: 100 * step,
            seconds: 0.1,
            waited: 0.0,
        }
    }

    /// Warnings over 1,000 steps, reported every tenth.
    fn over(judged: bool, false_negative: f64, loss: impl Fn(u64) -> f64) -> Vec<String> {
        let mut course = Course::new(1_000, 0, judged);
        (1..=100).flat_map(|at| course.observe(&report(10 * at, loss(10 * at), false_negative))).collect()
    }

    #[test]
    fn a_loss_that_stays_is_named_once() {
        let found = over(false, 0.0, |_| 7.0);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("the loss did not fall over the first 100 steps (7.000, then 7.000)"));
        assert!(over(false, 0.0, |step| 7.0 - step as f64 / 1_000.0).is_empty());
        // A warm-up is waited for.
        let mut slow = Course::new(1_000, 300, false);
        let mut warnings =
            |step: u64| slow.observe(&report(step, if step < 300 { 7.0 } else { 5.0 }, 0.0)).len();
        assert_eq!((1..=100).map(|at| warnings(10 * at)).sum::<usize>(), 0);
        // What happens later is not the subject of this warning.
        assert!(
            over(false, 0.0, |step| if step <= 100 { 7.0 - step as f64 / 100.0 } else { 9.0 }).is_empty()
        );
    }

    #[test]
    fn a_judge_that_excuses_nothing_is_named_at_the_end() {
        let falling = |step: u64| 9.0 - step as f64 / 500.0;
        let found = over(true, 0.0, falling);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("the judge called none of the wrong predictions"));
        assert!(over(true, 1.0, falling).is_empty());
        assert!(over(false, 0.0, falling).is_empty());
    }
}
