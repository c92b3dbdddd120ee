//! Multiple choice without training, in the format of oLMpics (Talmor et al. 2020): which word fills the gap?

use std::path::Path;

use fn_train::stop::Stop;
use serde::Deserialize;

pub use super::lines::files;
use super::lines::{self, quoted, wrong};
use super::{Cloze, GAP, ProbeError, Prober, Scorer};

/// A multiple-choice question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Line number in the file, counted from 1.
    pub line: usize,
    /// The text before and after the gap.
    pub stem: (String, String),
    /// Candidate words, at least two.
    pub choices: Vec<String>,
    /// Index of the right choice.
    pub answer: usize,
}

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "answerKey")]
    answer: String,
    question: Stem,
}

#[derive(Deserialize)]
struct Stem {
    stem: String,
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    label: String,
    text: String,
}

/// Reads a `.jsonl` file of questions.
///
/// # Errors
/// A file that cannot be read or has no question; a line without exactly one gap, with fewer than two choices, or with an answer
/// that is no choice.
pub fn read(path: &Path) -> Result<Vec<Question>, ProbeError> {
    const FORMAT: &str = "{\"answerKey\": a label, \"question\": {\"stem\": a text with one [MASK], \"choices\": [{\"label\": ..., \
                          \"text\": ...}, ...]}}";
    let out = lines::read(path, FORMAT, |row: Row, line| {
        let parts: Vec<&str> = row.question.stem.split(GAP).collect();
        let [before, after] = parts[..] else {
            let found = format!("a stem with {} {GAP}", parts.len() - 1);
            return Err(wrong(path, line, &found, "exactly one"));
        };
        let choices = row.question.choices;
        let answer = choices.iter().position(|choice| choice.label == row.answer);
        let Some(answer) = answer.filter(|_| choices.len() > 1) else {
            let labels: Vec<&str> = choices.iter().map(|choice| choice.label.as_str()).collect();
            let found =
                format!("answerKey {} of choices {}", quoted(&row.answer), quoted(&labels.join(", ")));
            return Err(wrong(path, line, &found, "the label of one of at least two choices"));
        };
        let stem = (before.to_owned(), after.to_owned());
        Ok(Question { line, stem, choices: choices.into_iter().map(|c| c.text).collect(), answer })
    })?;
    if out.is_empty() {
        return Err(ProbeError::Empty { path: path.to_owned(), what: "questions" });
    }
    Ok(out)
}

/// Answers all questions with each scorer that the model has; see [`Prober::scores`]. `path` is used in error messages only.
///
/// # Errors
/// A question that is too long, a choice without tokens; [`ProbeError::Stopped`].
pub fn answer(
    prober: &Prober,
    questions: &[Question],
    path: &Path,
    stop: &Stop,
) -> Result<Vec<(Scorer, Accuracy)>, ProbeError> {
    let cloze = |q: &Question| prober.cloze((&q.stem.0, &q.stem.1), &q.choices, (path, q.line));
    let clozes: Vec<Cloze> = questions.iter().map(cloze).collect::<Result<_, _>>()?;
    let with = |&scorer: &Scorer| {
        let scores = prober.scores(&clozes, scorer, stop)?;
        let right = questions.iter().zip(&scores).filter(|(q, scores)| is_best(scores, q.answer)).count();
        Ok((scorer, Accuracy { right, questions: questions.len() }))
    };
    prober.scorers().iter().map(with).collect()
}

/// Whether `answer` has strictly the highest score; ties count as wrong.
fn is_best(scores: &[f64], answer: usize) -> bool {
    scores.iter().enumerate().all(|(at, &other)| at == answer || scores[answer] > other)
}

/// Accuracy of one scorer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy {
    /// Number of right answers.
    pub right: usize,
    /// Number of questions.
    pub questions: usize,
}

impl Accuracy {
    /// Share of right answers.
    pub fn share(&self) -> f64 {
        self.right as f64 / self.questions as f64
    }

    /// 95 % interval of the share (E. B. Wilson 1927).
    pub fn interval(&self) -> (f64, f64) {
        const Z: f64 = 1.959_963_984_540_054;
        let (n, p) = (self.questions as f64, self.share());
        let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        (centre - half, centre + half)
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("q.jsonl");
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    const LINE: &str = r#"{"answerKey":"B","id":"1","question":{"choices":[{"label":"A","text":"older"},{"label":"B","text":"younger"}],"stem":"He is [MASK] than she ."}}"#;

    #[test]
    fn questions_are_read() {
        let (_dir, path) = file(&format!("{LINE}\n\n{LINE}\n"));
        let questions = read(&path).unwrap();
        assert_eq!(questions.len(), 2);
        assert_eq!((questions[1].line, questions[1].answer), (3, 1));
        assert_eq!(questions[0].stem, ("He is ".to_owned(), " than she .".to_owned()));
        assert_eq!(questions[0].choices, ["older", "younger"]);
    }

    #[test]
    fn invalid_questions_are_reported_with_their_line() {
        for (text, part) in [
            (LINE.replace("[MASK]", "so"), "a stem with 0 [MASK]"),
            (LINE.replace("she", "[MASK]"), "a stem with 2 [MASK]"),
            (LINE.replace("\"B\",\"id\"", "\"C\",\"id\""), "answerKey \"C\" of choices \"A, B\""),
            ("{}".to_owned(), "missing field"),
        ] {
            let (_dir, path) = file(&text);
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("line 1"), "{error}");
        }
        let (_dir, path) = file("");
        assert!(matches!(read(&path), Err(ProbeError::Empty { .. })));
        let missing = read(Path::new("nowhere.jsonl")).unwrap_err();
        assert!(
            matches!(missing, ProbeError::Data(_)) && missing.to_string().contains("nowhere.jsonl"),
            "{missing}"
        );
    }

    #[test]
    fn tied_scores_count_as_wrong() {
        assert!(is_best(&[1.0, 3.0, f64::NEG_INFINITY], 1));
        assert!(!is_best(&[3.0, 3.0], 0) && !is_best(&[1.0, 3.0], 0));
        assert!(!is_best(&[f64::NAN, 1.0], 0) && !is_best(&[1.0, f64::NAN], 0));
    }

    #[test]
    fn intervals_are_wilsons() {
        // scipy.stats.binomtest(12, 30).proportion_ci(method="wilson")
        let (low, high) = Accuracy { right: 12, questions: 30 }.interval();
        assert!((low - 0.245_906_28).abs() < 1e-7 && (high - 0.576_796_40).abs() < 1e-7, "{low} {high}");
    }
}
