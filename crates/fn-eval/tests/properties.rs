//! Properties of the metrics that hold for any predictions.

#![allow(clippy::unwrap_used)]

use fn_eval::metrics::{accuracy, f1, matthews, pearson, ranks, roc_auc, spearman};
use fn_eval::squad::{
    Answer, Article, ById, Dataset, NoAnswer, Paragraph, Question, Report, best_v1, best_v2, f1_v2,
    normalise, score_v2,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Numbers on a coarse grid: there are ties, and monotone functions of them stay strictly monotone in f64.
fn pairs() -> impl Strategy<Value = Vec<(f64, f64)>> {
    vec(((-20i32..20).prop_map(|v| f64::from(v) / 4.0), (-20i32..20).prop_map(|v| f64::from(v) / 4.0)), 1..40)
}

fn classes() -> impl Strategy<Value = Vec<(usize, usize)>> {
    vec((0usize..2, 0usize..2), 1..40)
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan())
}

/// Words that keep their letters in another case, articles and marks among them.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("the".to_owned()),
        Just("A".to_owned()),
        Just("an".to_owned()),
        "[a-d]{1,3}",
        "[a-cA-C.,'é“中]{1,4}"
    ];
    vec(word, 0..6).prop_map(|words| words.join(" "))
}

fn refs(texts: &[String]) -> impl Iterator<Item = &str> {
    texts.iter().map(String::as_str)
}

proptest! {
    #[test]
    fn spearman_and_auc_see_the_order_only(pairs in pairs(), labels in vec(0usize..2, 40)) {
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let up: Vec<f64> = x.iter().map(|v| v.exp() + 3.0 * v).collect();
        let down: Vec<f64> = x.iter().map(|v| -v.powi(3) - v).collect();
        let value = spearman(&x, &y).unwrap();
        prop_assert!(same(spearman(&up, &y).unwrap(), value));
        prop_assert!(same(spearman(&y, &up).unwrap(), value));
        prop_assert!(same(spearman(&down, &y).unwrap(), -value));
        let labels = &labels[..x.len()];
        let area = roc_auc(&x, labels).unwrap();
        prop_assert!(same(roc_auc(&up, labels).unwrap(), area));
        prop_assert!(same(roc_auc(&down, labels).unwrap(), 1.0 - area));
    }

    #[test]
    fn pearson_is_symmetric_bounded_and_blind_to_scale(pairs in pairs(), scale in 0.01f64..100.0, shift in -5.0f64..5.0) {
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let value = pearson(&x, &y).unwrap();
        let constant = |v: &[f64]| v.iter().all(|&a| a == v[0]);
        prop_assert_eq!(value.is_nan(), constant(&x) || constant(&y));
        prop_assert!(value.is_nan() || value.abs() <= 1.0);
        prop_assert!(same(pearson(&y, &x).unwrap(), value));
        if !value.is_nan() {
            let moved: Vec<f64> = x.iter().map(|v| v * scale + shift).collect();
            prop_assert!((pearson(&moved, &y).unwrap() - value).abs() < 1e-9);
        }
    }

    #[test]
    fn ranks_are_counts_of_smaller_and_equal_values(pairs in pairs()) {
        let x: Vec<f64> = pairs.into_iter().map(|p| p.0).collect();
        for (rank, value) in ranks(&x).into_iter().zip(&x) {
            let below = x.iter().filter(|v| *v < value).count() as f64;
            let equal = x.iter().filter(|v| *v == value).count() as f64;
            prop_assert_eq!(rank, below + (equal + 1.0) / 2.0);
        }
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_the_right_order(pairs in pairs(), labels in vec(0usize..2, 40)) {
        let x: Vec<f64> = pairs.into_iter().map(|p| p.0).collect();
        let of = |class| x.iter().zip(&labels).filter(move |(_, l)| **l == class).map(|(v, _)| *v);
        let wins: Vec<f64> = of(1)
            .flat_map(|p| of(0).map(move |n| if p > n { 1.0 } else if p == n { 0.5 } else { 0.0 }))
            .collect();
        let share = wins.iter().sum::<f64>() / wins.len() as f64;
        prop_assert!(same(roc_auc(&x, &labels[..x.len()]).unwrap(), share));
    }

    #[test]
    fn with_two_classes_matthews_is_pearson(pairs in classes()) {
        let (p, e): (Vec<usize>, Vec<usize>) = pairs.into_iter().unzip();
        let real = |v: &[usize]| -> Vec<f64> { v.iter().map(|&c| c as f64).collect() };
        let value = matthews(&p, &e).unwrap();
        let correlation = pearson(&real(&p), &real(&e)).unwrap();
        let defined = if correlation.is_nan() { 0.0 } else { correlation };
        prop_assert!(same(value, defined));
        prop_assert!((0.0..=1.0).contains(&f1(&p, &e).unwrap()));
        prop_assert!((0.0..=1.0).contains(&accuracy(&p, &e).unwrap()));
    }

    #[test]
    fn exact_match_is_at_most_f1(prediction in text(), references in vec(text(), 0..4)) {
        let score = best_v2(&prediction, refs(&references));
        prop_assert!(score.exact <= score.f1 && score.f1 <= 1.0);
        // 1.1 has F1 = 0 for two answers without words.
        if !normalise(&prediction).is_empty() && let Some(score) = best_v1(&prediction, refs(&references)) {
            prop_assert!(score.exact <= score.f1 && score.f1 <= 1.0);
        }
    }

    #[test]
    fn scores_do_not_see_case_articles_punctuation_and_blanks(prediction in text(), references in vec(text(), 1..3)) {
        let value = best_v2(&prediction, refs(&references));
        let changed = [
            prediction.to_uppercase(),
            format!("the {prediction} An"),
            format!("«{prediction}»").replace(['«', '»'], "\""),
            prediction.replace(' ', " \u{a0}a\t"),
            format!("({prediction})..."),
        ];
        for text in changed {
            prop_assert_eq!(best_v2(&text, refs(&references)), value, "{}", text);
            prop_assert_eq!(best_v1(&text, refs(&references)), best_v1(&prediction, refs(&references)), "{}", text);
        }
    }

    #[test]
    fn any_text_has_a_normal_form_without_marks_articles_and_double_blanks(any in any::<String>()) {
        let normal = normalise(&any);
        prop_assert!(!normal.contains(|c: char| c.is_ascii_punctuation()));
        prop_assert!(normal.split(' ').all(|word| !["a", "an", "the"].contains(&word)));
        prop_assert!(normal.is_empty() || normal.split(' ').all(|word| !word.is_empty()));
        prop_assert_eq!(f1_v2(&any, &any), 1.0);
    }

    #[test]
    fn the_best_threshold_is_reached_and_no_other_is_better(
        questions in vec((any::<bool>(), "[ab ]{0,3}x?", "x( b){0,2}", -20i32..20), 1..25),
    ) {
        let (data, predictions, scores) = file(&questions);
        let at = |threshold| -> Report {
            score_v2(&data, &predictions, Some(NoAnswer { scores: &scores, threshold })).unwrap()
        };
        let best = at(1e9).best.unwrap();
        prop_assert!((at(best.exact.threshold).total.exact - best.exact.score).abs() < 1e-12);
        prop_assert!((at(best.f1.threshold).total.f1 - best.f1.score).abs() < 1e-12);
        let refuse_all = scores.iter().map(|(_, &score)| score - 1.0).fold(f64::INFINITY, f64::min);
        for threshold in scores.iter().map(|(_, &score)| score).chain([refuse_all, 0.0, 1e9]) {
            prop_assert!(at(threshold).total.exact <= best.exact.score + 1e-12);
            prop_assert!(at(threshold).total.f1 <= best.f1.score + 1e-12);
        }
    }
}

/// A file of questions with no-answer scores of either sign, some of them equal, and predictions without a word once normalised.
fn file(questions: &[(bool, String, String, i32)]) -> (Dataset, ById<String>, ById<f64>) {
    let id = |i: usize| format!("q{i}");
    let predictions = questions.iter().enumerate().map(|(i, q)| (id(i), q.1.clone()));
    let predictions = ById::new(predictions).unwrap();
    let scores = questions.iter().enumerate().map(|(i, q)| (id(i), f64::from(q.3) / 2.0));
    let scores = ById::new(scores).unwrap();
    let answers = |q: &(bool, String, String, i32)| -> Vec<Answer> {
        q.0.then(|| Answer { text: q.2.clone(), answer_start: None }).into_iter().collect()
    };
    let question = |(i, q)| Question { id: id(i), answers: answers(q), ..Question::default() };
    let qas = questions.iter().enumerate().map(question).collect();
    let paragraphs = vec![Paragraph { qas, ..Paragraph::default() }];
    let data = Dataset { data: vec![Article { paragraphs, ..Article::default() }], ..Dataset::default() };
    (data, predictions, scores)
}
