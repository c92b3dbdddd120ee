//! Scores predictions against the references.

use std::collections::{HashMap, HashSet};

use super::answer::{AnswerScore, best_v1, best_v2};
use super::threshold::{Best, Candidate, search};
use super::{ById, Dataset, Part, Question, Report, SquadError};

/// No-answer scores and their threshold.
#[derive(Debug, Clone, Copy)]
pub struct NoAnswer<'a> {
    /// Score of each question with a prediction: the higher, the more likely it has no answer.
    pub scores: &'a ById<f64>,
    /// Questions with a score above this are taken to have no answer, whatever the prediction. The default of the official
    /// script is 1.0, which changes no prediction if the scores are probabilities.
    pub threshold: f64,
}

/// Scores predictions by the rules of SQuAD 1.1.
///
/// The mean is over all questions: one without prediction scores 0.
///
/// # Errors
/// A question without references; no prediction for any question.
pub fn score_v1(data: &Dataset, predictions: &ById<String>) -> Result<Report, SquadError> {
    let mut ids = Ids::new(data, predictions)?;
    let mut scores = Vec::new();
    for question in data.questions() {
        let no_references = || SquadError::NoReferences { id: question.id.clone() };
        if !question.has_answer() {
            return Err(no_references());
        }
        let prediction = ids.prediction(question);
        let score = prediction.map(|text| best_v1(text, question.references()).ok_or_else(no_references));
        scores.push(score.transpose()?.unwrap_or_default());
    }
    let total = Part::of(scores).ok_or_else(|| ids.nothing())?;
    Ok(Report {
        total,
        has_answer: None,
        no_answer: None,
        no_probabilities: false,
        best: None,
        missing: ids.missing,
        unknown: ids.unknown,
        unknown_scores: Vec::new(),
        missing_count: true,
    })
}

/// Scores predictions by the rules of SQuAD 2.0.
///
/// The mean is over the questions with a prediction. With no-answer scores, the best thresholds are searched as well; the
/// search uses the predictions before the given threshold is applied.
///
/// # Errors
/// No prediction for any question; a predicted question without no-answer score; NaN among these or as the threshold.
pub fn score_v2(
    data: &Dataset,
    predictions: &ById<String>,
    no_answer: Option<NoAnswer<'_>>,
) -> Result<Report, SquadError> {
    let mut ids = Ids::new(data, predictions)?;
    let mut scored: Vec<Scored<'_>> = Vec::new();
    for question in data.questions() {
        if let Some(prediction) = ids.prediction(question) {
            scored.push(Scored { question, raw: best_v2(prediction, question.references()) });
        }
    }
    let mut unknown_scores = Vec::new();
    let best = match no_answer {
        Some(no_answer) => {
            check_scores(&scored, no_answer)?;
            unknown_scores = ids.unknown_among(no_answer.scores);
            best_thresholds(&scored, no_answer.scores)
        }
        None => None,
    };
    let finals: Vec<(bool, AnswerScore)> = scored
        .iter()
        .map(|s| (s.question.has_answer(), if s.is_refused(no_answer) { s.refused() } else { s.raw }))
        .collect();
    let part = |answerable: bool| Part::of(finals.iter().filter(|(a, _)| *a == answerable).map(|&(_, s)| s));
    Ok(Report {
        total: Part::of(finals.iter().map(|&(_, s)| s)).ok_or_else(|| ids.nothing())?,
        has_answer: part(true),
        no_answer: part(false),
        no_probabilities: no_answer.is_some_and(|n| {
            n.threshold == 1.0 && n.scores.iter().any(|(_, score)| !(0.0..=1.0).contains(score))
        }),
        best,
        missing: ids.missing,
        unknown: ids.unknown,
        unknown_scores,
        missing_count: false,
    })
}

/// A question with a prediction.
struct Scored<'a> {
    question: &'a Question,
    /// Score before a threshold is applied.
    raw: AnswerScore,
}

impl Scored<'_> {
    fn is_refused(&self, no_answer: Option<NoAnswer<'_>>) -> bool {
        no_answer.is_some_and(|n| n.scores.get(&self.question.id).is_some_and(|&score| score > n.threshold))
    }

    /// Score if the question is taken to have no answer.
    fn refused(&self) -> AnswerScore {
        let right = f64::from(!self.question.has_answer());
        AnswerScore { exact: right, f1: right }
    }
}

fn check_scores(scored: &[Scored<'_>], no_answer: NoAnswer<'_>) -> Result<(), SquadError> {
    if no_answer.threshold.is_nan() {
        return Err(SquadError::NotANumber { place: "as the threshold".to_owned() });
    }
    for question in scored.iter().map(|s| s.question) {
        match no_answer.scores.get(&question.id) {
            None => return Err(SquadError::MissingScore { id: question.id.clone() }),
            Some(score) if score.is_nan() => {
                return Err(SquadError::NotANumber { place: format!("for question `{}`", question.id) });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn best_thresholds(scored: &[Scored<'_>], no_answer: &ById<f64>) -> Option<Best> {
    let by_id: HashMap<&str, &Scored<'_>> = scored.iter().map(|s| (s.question.id.as_str(), s)).collect();
    let candidates = |metric: fn(&AnswerScore) -> f64| -> Vec<Candidate> {
        let of = |(id, &no_answer): (&str, &f64)| {
            by_id.get(id).map(|s| Candidate {
                no_answer,
                answered: metric(&s.raw),
                refused: metric(&s.refused()),
            })
        };
        no_answer.iter().filter_map(of).collect()
    };
    Some(Best { exact: search(&candidates(|s| s.exact))?, f1: search(&candidates(|s| s.f1))? })
}

/// Matches questions and predictions by id.
struct Ids<'a> {
    questions: HashSet<&'a str>,
    predictions: &'a ById<String>,
    first: &'a str,
    missing: Vec<String>,
    unknown: Vec<String>,
}

impl<'a> Ids<'a> {
    fn new(data: &'a Dataset, predictions: &'a ById<String>) -> Result<Self, SquadError> {
        let questions: HashSet<&str> = data.questions().map(|q| q.id.as_str()).collect();
        let first = data.questions().next().map_or("", |q| q.id.as_str());
        let mut ids = Self { questions, predictions, first, missing: Vec::new(), unknown: Vec::new() };
        ids.unknown = ids.unknown_among(predictions);
        if ids.unknown.len() == predictions.len() {
            return Err(ids.nothing());
        }
        Ok(ids)
    }

    /// The prediction for a question; if there is none, the question is recorded as missing.
    fn prediction(&mut self, question: &Question) -> Option<&'a str> {
        let found = self.predictions.get(&question.id);
        if found.is_none() {
            self.missing.push(question.id.clone());
        }
        found.map(String::as_str)
    }

    fn unknown_among<T>(&self, values: &ById<T>) -> Vec<String> {
        let unknown = values.iter().filter(|(id, _)| !self.questions.contains(id));
        unknown.map(|(id, _)| id.to_owned()).collect()
    }

    fn nothing(&self) -> SquadError {
        SquadError::NothingScored {
            questions: self.questions.len(),
            first: self.first.to_owned(),
            predictions: self.predictions.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::squad::{Answer, Article, Paragraph};

    /// Questions with these references, `q0`, `q1`, ...
    fn data(references: &[&[&str]]) -> Dataset {
        let answer = |text: &&str| Answer { text: (*text).to_owned(), answer_start: None };
        let question = |(i, texts): (usize, &&[&str])| Question {
            id: format!("q{i}"),
            answers: texts.iter().map(answer).collect(),
            ..Question::default()
        };
        let qas = references.iter().enumerate().map(question).collect();
        let paragraphs = vec![Paragraph { qas, ..Paragraph::default() }];
        Dataset { data: vec![Article { paragraphs, ..Article::default() }], ..Dataset::default() }
    }

    fn by_id<T: Clone>(entries: &[(&str, T)]) -> ById<T> {
        ById::new(entries.iter().map(|(id, value)| ((*id).to_owned(), value.clone()))).unwrap()
    }

    fn texts(entries: &[(&str, &str)]) -> ById<String> {
        ById::new(entries.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned()))).unwrap()
    }

    #[test]
    fn a_missing_prediction_scores_zero_by_one_version_and_does_not_count_by_the_other() {
        let data = data(&[&["cat"], &["dog"]]);
        let predictions = texts(&[("q1", "the dog"), ("other", "x")]);
        let (one, two) =
            (score_v1(&data, &predictions).unwrap(), score_v2(&data, &predictions, None).unwrap());
        assert_eq!(one.total, Part { exact: 0.5, f1: 0.5, questions: 2 });
        assert_eq!(two.total, Part { exact: 1.0, f1: 1.0, questions: 1 });
        for (report, fate) in [(one, "score 0"), (two, "do not count")] {
            assert_eq!(
                (report.missing.as_slice(), report.unknown.as_slice()),
                (&["q0".into()][..], &["other".into()][..])
            );
            let warnings = report.warnings();
            assert!(warnings[0].contains("1 questions without prediction") && warnings[0].contains(fate));
            assert!(warnings[1].contains("`other`") && warnings.len() == 2, "{warnings:?}");
        }
    }

    #[test]
    fn predictions_for_another_file_are_an_error() {
        let data = data(&[&["cat"]]);
        let text = score_v2(&data, &texts(&[("x", "cat")]), None).unwrap_err().to_string();
        assert!(text.contains("none of 1 questions") && text.contains("`q0`"), "{text}");
        assert!(matches!(
            score_v1(&data, &texts(&[])),
            Err(SquadError::NothingScored { predictions: 0, .. })
        ));
    }

    #[test]
    fn a_question_without_references_needs_the_rules_of_the_second_version() {
        let (data, predictions) = (data(&[&["cat"], &[]]), texts(&[("q0", "cat"), ("q1", "")]));
        assert!(matches!(score_v1(&data, &predictions), Err(SquadError::NoReferences { id }) if id == "q1"));
        // It is an error even if the question has no prediction.
        assert!(score_v1(&data, &texts(&[("q0", "cat")])).is_err());
        let report = score_v2(&data, &predictions, None).unwrap();
        assert_eq!((report.total.exact, report.no_answer.unwrap().questions), (1.0, 1));
        assert!(report.warnings().is_empty());
    }

    #[test]
    fn above_the_threshold_there_is_no_answer_and_at_it_there_may_be() {
        let data = data(&[&["cat"], &["dog"], &[]]);
        let predictions = texts(&[("q0", "cat"), ("q1", "dog"), ("q2", "bird")]);
        let scores = by_id(&[("q0", 0.5), ("q1", 0.6), ("q2", 0.9), ("x", 0.0)]);
        let no_answer = NoAnswer { scores: &scores, threshold: 0.5 };
        let report = score_v2(&data, &predictions, Some(no_answer)).unwrap();
        assert_eq!(report.has_answer, Some(Part { exact: 0.5, f1: 0.5, questions: 2 }));
        assert_eq!(report.no_answer, Some(Part { exact: 1.0, f1: 1.0, questions: 1 }));
        assert_eq!(report.unknown_scores, ["x"]);
        let best = report.best.unwrap();
        assert_eq!((best.exact.score, best.exact.threshold, best.f1.threshold), (1.0, 0.6, 0.6));
    }

    #[test]
    fn threshold_1_with_scores_that_are_no_probabilities_gives_a_warning() {
        let (data, predictions) = (data(&[&["cat"]]), texts(&[("q0", "cat")]));
        let warned = |score: f64, threshold| {
            let scores = by_id(&[("q0", score)]);
            let report =
                score_v2(&data, &predictions, Some(NoAnswer { scores: &scores, threshold })).unwrap();
            report.warnings().iter().any(|w| w.contains("--na-threshold"))
        };
        assert_eq!(
            [warned(-2.0, 1.0), warned(3.0, 1.0), warned(0.5, 1.0), warned(-2.0, 0.0)],
            [true, true, false, false]
        );
    }

    #[test]
    fn no_answer_scores_must_exist_and_be_numbers() {
        let (data, predictions) = (data(&[&["cat"]]), texts(&[("q0", "cat")]));
        let error = |scores: &ById<f64>, threshold| {
            score_v2(&data, &predictions, Some(NoAnswer { scores, threshold })).unwrap_err().to_string()
        };
        assert!(error(&by_id(&[]), 1.0).contains("`q0`"));
        assert!(error(&by_id(&[("q0", f64::NAN)]), 1.0).contains("NaN for question `q0`"));
        assert!(error(&by_id(&[("q0", 0.0)]), f64::NAN).contains("NaN as the threshold"));
    }
}
