//! What looks wrong in the data of a task and in a model's predictions, in plain words, with the next step.

use std::collections::{BTreeMap, HashSet};

use fn_data::task::{Example, Label, TaskData};
use fn_data::tokenise::{TextTokenizer, strange_pieces};
use fn_train::descent::NoDescent;

use super::fit::Recipe;
use super::{Kind, Task};
use crate::predictions::{Answer, Record};

/// Share of one class from which a training set is called imbalanced.
const IMBALANCED: f64 = 0.9;
/// Factor from the usual learning rates from which one is questioned.
const RATE: f64 = 20.0;

/// Warnings about a training and a development set: shared examples, labels that never occur, imbalance.
pub(super) fn of_data(task: &Task, train: &TaskData, dev: &TaskData) -> Vec<String> {
    let mut out = Vec::new();
    let text = |example: &Example| (example.first.clone(), example.second.clone());
    let learnt: HashSet<_> = train.examples.iter().map(text).collect();
    let shared = dev.examples.iter().filter(|&example| learnt.contains(&text(example))).count();
    if shared > 0 {
        out.push(format!(
            "{shared} of {} development examples of {} are in the training set word for word; take them out of one of the two, or the \
             score is too good",
            dev.examples.len(),
            task.set_name(),
        ));
    }
    if task.kind() != Kind::Classes {
        return out;
    }
    let labels = task.labels();
    let mut counts = vec![0usize; labels.len()];
    for example in &train.examples {
        if let Some(Label::Class(class)) = example.label
            && let Some(count) = counts.get_mut(class as usize)
        {
            *count += 1;
        }
    }
    let total: usize = counts.iter().sum();
    for (label, &count) in labels.iter().zip(&counts) {
        if count == 0 {
            out.push(format!(
                "no training example of {} has the label `{label}`: it cannot be learnt",
                task.name()
            ));
        }
    }
    if let Some((label, &most)) = labels.iter().zip(&counts).max_by_key(|(_, count)| **count)
        && most as f64 > IMBALANCED * total as f64
        && most < total
    {
        out.push(format!(
            "{:.1} % of the training examples of {} have the label `{label}`: look at Matthews' correlation, not at accuracy alone",
            100.0 * most as f64 / total as f64,
            task.name(),
        ));
    }
    out
}

/// A warning if more pieces than expected are unknown to the tokenizer: [`strange_pieces`].
pub(super) fn of_pieces<'a>(ids: impl Iterator<Item = &'a u32>, tokenizer: &TextTokenizer) -> Option<String> {
    let unknown = tokenizer.special().unk;
    let (mut all, mut missed) = (0u64, 0u64);
    for &id in ids {
        all += 1;
        missed += u64::from(id == unknown);
    }
    let share = missed as f64 / all.max(1) as f64;
    strange_pieces("the training set", share, tokenizer.unknown_in_own_text())
}

/// A warning if the learning rate is far from those of both recipes: of google-research/electra for this task and model (`usual`), and of
/// transformers.
pub(super) fn of_rate(recipe: &Recipe, usual: &Recipe) -> Option<String> {
    let (lr, usual, other) = (recipe.lr, usual.lr, Recipe::transformers().lr);
    (lr > RATE * usual.max(other) || lr * RATE < usual.min(other)).then(|| {
        format!(
            "the learning rate {lr:e} is far from the {usual:e} of the recipe for this task and model: check the exponent of --lr"
        )
    })
}

/// The warning of a training loss that does not fall.
pub(super) fn of_loss(found: NoDescent) -> String {
    format!(
        "{found}: the learning rate may be too high or too low, or the labels may not belong to the texts; try another --lr, and read some of \
         the training examples with their labels"
    )
}

/// Warnings about labelled predictions of one set: one answer for all, no better than the most frequent answer.
pub(super) fn of_predictions(set: &str, records: &[Record]) -> Option<String> {
    let mut predicted: BTreeMap<&str, usize> = BTreeMap::new();
    let mut gold: BTreeMap<&str, usize> = BTreeMap::new();
    let mut right = 0;
    let mut scores: Vec<f64> = Vec::new();
    for record in records {
        match (&record.prediction, record.gold.as_ref()?) {
            (Answer::Class(p), Answer::Class(g)) => {
                *predicted.entry(p).or_default() += 1;
                *gold.entry(g).or_default() += 1;
                right += usize::from(p == g);
            }
            (Answer::Score(p), Answer::Score(_)) => scores.push(*p),
            _ => return None,
        }
    }
    const NEXT: &str = "try a lower learning rate, more epochs or another seed";
    if scores.len() > 1 && scores.windows(2).all(|pair| pair[0] == pair[1]) {
        return Some(format!("{set}: the model gives all {} examples the same score; {NEXT}", scores.len()));
    }
    let (most, majority) = gold.iter().max_by_key(|(_, count)| **count)?;
    if gold.len() < 2 {
        return None;
    }
    if let (1, Some(only)) = (predicted.len(), predicted.keys().next()) {
        return Some(format!("{set}: the model answers `{only}` for all {} examples; {NEXT}", records.len()));
    }
    (right <= *majority).then(|| {
        format!(
            "{set}: {right} of {} answers are right, and always answering `{most}` would be right {majority} times; {NEXT}",
            records.len()
        )
    })
}

/// A warning if several seeds have one score to the last digit.
pub(super) fn of_seeds(scores: &[Option<f64>]) -> Option<String> {
    let same = scores.len() > 1 && scores.windows(2).all(|pair| pair[0] == pair[1]);
    let score = scores.first().copied().flatten().filter(|_| same)?;
    Some(format!(
        "all {} seeds have the score {score}: either every model answers alike, or the seed does not reach the runs",
        scores.len()
    ))
}

#[cfg(test)]
mod tests {
    use fn_data::task::{GlueTask, ReadReport};

    use super::*;

    const RTE: Task = Task::Glue(GlueTask::Rte);

    fn data(rows: &[(&str, u32)]) -> TaskData {
        let example = |(index, &(first, class)): (usize, &(&str, u32))| Example {
            index,
            id: None,
            first: first.to_owned(),
            second: Some("b".to_owned()),
            label: Some(Label::Class(class)),
        };
        let examples = rows.iter().enumerate().map(example).collect();
        TaskData { examples, places: None, report: ReadReport::default() }
    }

    fn records(rows: &[(&str, &str)]) -> Vec<Record> {
        let class = |name: &str| Answer::Class(name.to_owned());
        let record = |(index, &(p, g)): (usize, &(&str, &str))| Record {
            index,
            id: None,
            gold: Some(class(g)),
            prediction: class(p),
            scores: Vec::new(),
        };
        rows.iter().enumerate().map(record).collect()
    }

    #[test]
    fn shared_examples_missing_labels_and_imbalance_are_told() {
        let balanced = data(&[("a", 0), ("c", 1)]);
        assert_eq!(of_data(&RTE, &balanced, &data(&[("d", 0)])), Vec::<String>::new());
        let told = of_data(&RTE, &balanced, &data(&[("a", 1), ("d", 0)]));
        assert!(told.len() == 1 && told[0].starts_with("1 of 2 development examples"), "{told:?}");
        let told = of_data(&RTE, &data(&[("a", 0), ("c", 0)]), &data(&[("d", 0)]));
        assert!(told.len() == 1 && told[0].contains("has the label `not_entailment`"), "{told:?}");
        let mut rows = vec![("x", 0); 19];
        rows.push(("y", 1));
        let told = of_data(&RTE, &data(&rows), &data(&[("d", 0)]));
        assert!(told.len() == 1 && told[0].starts_with("95.0 %"), "{told:?}");
    }

    #[test]
    fn unknown_pieces_are_told_above_one_in_a_hundred() {
        let pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"].map(str::to_owned);
        let tokenizer = TextTokenizer::from_vocab(pieces.to_vec(), true).unwrap();
        let mut ids = vec![5u32; 99];
        ids.push(1);
        assert_eq!(of_pieces(ids.iter(), &tokenizer), None);
        ids.push(1);
        let told = of_pieces(ids.iter(), &tokenizer).unwrap();
        assert!(told.starts_with("2.0 % of the training set are unknown"), "{told}");
        assert_eq!(of_pieces([].iter(), &tokenizer), None);
    }

    #[test]
    fn a_rate_far_from_both_recipes_is_told() {
        let of = |lr: f64, usual: f64| {
            of_rate(&Recipe { lr, ..Recipe::default() }, &Recipe { lr: usual, ..Recipe::default() })
        };
        for lr in [3e-4, 5e-5, 5e-3, 3e-6] {
            assert_eq!(of(lr, 3e-4), None, "{lr}");
        }
        assert!(of(0.01, 3e-4).unwrap().starts_with("the learning rate 1e-2 is far from the 3e-4"));
        assert!(of(1e-6, 3e-4).unwrap().contains("--lr") && of(0.005, 5e-5).is_some());
    }

    #[test]
    fn one_answer_for_all_and_no_gain_over_the_majority_are_told() {
        let good = records(&[("a", "a"), ("b", "b"), ("a", "a")]);
        assert_eq!(of_predictions("RTE", &good), None);
        let one = records(&[("a", "a"), ("a", "b"), ("a", "a")]);
        assert!(of_predictions("RTE", &one).unwrap().contains("answers `a` for all 3"));
        let majority = records(&[("a", "a"), ("b", "a"), ("a", "b"), ("a", "a")]);
        assert!(of_predictions("RTE", &majority).unwrap().contains("2 of 4 answers are right"));
        // Where only one answer is ever right there is nothing to compare with.
        assert_eq!(of_predictions("RTE", &records(&[("a", "a"), ("a", "a")])), None);
        let score =
            |p| Record { prediction: Answer::Score(p), gold: Some(Answer::Score(1.0)), ..good[0].clone() };
        assert!(of_predictions("STS-B", &[score(2.0), score(2.0)]).is_some());
        assert_eq!(of_predictions("STS-B", &[score(2.0), score(2.5)]), None);
    }

    #[test]
    fn equal_seeds_are_told() {
        assert!(of_seeds(&[Some(0.5), Some(0.5), Some(0.5)]).is_some());
        for scores in [&[Some(0.5)][..], &[Some(0.5), Some(0.6)], &[None, None], &[]] {
            assert_eq!(of_seeds(scores), None);
        }
    }
}
