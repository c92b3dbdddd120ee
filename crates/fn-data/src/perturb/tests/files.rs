//! Tests that perturbed files are read back unchanged.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::perturb::{squad, write};
use crate::task::squad::{Problems, read};
use crate::task::{TaskSpec, glue};

/// Text with all characters that could break a row of a table.
fn sentences() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[a-zA-Z0-9 \t\n\r\",;.'é|-]{0,24}").unwrap()
}

/// The text that is expected when it is read back.
fn plain(text: &str, delimiter: char) -> String {
    text.replace(['\t', '\n', '\r', delimiter], " ")
}

fn rows() -> impl Strategy<Value = Vec<(String, String, u32)>> {
    proptest::collection::vec((sentences(), sentences(), 0..1000_u32), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn official_tables_are_read_back_with_labels_and_ids(rows in rows()) {
        let (_dir, path) = folder();
        for task in GlueTask::ALL.into_iter().filter(|task| write::glue_file(*task).is_some()) {
            let pair = task.sentences() == 2;
            let has_id = !matches!(task, GlueTask::Cola | GlueTask::Sst2);
            let id = |n: usize| if task == GlueTask::Mrpc { format!("{n}-7{n}") } else { format!("1{n}") };
            let label = |x: u32| match task.labels().len() as u32 {
                0 => Label::Score((x % 51) as f64 / 10.0),
                classes => Label::Class(x % classes),
            };
            let made = |(n, (first, second, x)): (usize, &(String, String, u32))| Example {
                index: n,
                id: has_id.then(|| id(n)),
                first: first.clone(),
                second: pair.then(|| second.clone()),
                label: Some(label(*x)),
            };
            let examples: Vec<Example> = rows.iter().enumerate().map(made).collect();
            let file = path.join(write::glue_file(task).unwrap());
            std::fs::write(&file, write::glue(task, &examples)).unwrap();
            let found = glue::load(task, &path, crate::task::Split::Dev).unwrap();
            prop_assert_eq!(found.warnings_of_rows(), 0);
            for (a, b) in examples.iter().zip(&found.examples) {
                prop_assert_eq!((&a.id, &a.label, a.index), (&b.id, &b.label, b.index));
                prop_assert_eq!(plain(&a.first, '\t'), b.first.clone());
                prop_assert_eq!(a.second.as_ref().map(|s| plain(s, '\t')), b.second.clone());
            }
            prop_assert_eq!(examples.len(), found.examples.len());
            std::fs::remove_file(&file).unwrap();
        }
    }

    #[test]
    fn tables_of_own_tasks_are_read_back(rows in rows(), form in 0..3) {
        let text = match form {
            0 => "type = \"pair\"\nfirst = \"a\"\nsecond = \"b\"\nlabel = \"y\"\nid = \"n\"\nlabels = [\"no\", \"yes\"]\ndelimiter = \",\"\n",
            1 => "type = \"pair\"\nfirst = \"3\"\nsecond = \"1\"\nlabel = \"5\"\nid = \"0\"\nlabels = [\"no\", \"yes\"]\nheader = false\ndelimiter = \"|\"\n",
            _ => "type = \"regress\"\nfirst = \"a\"\nsecond = \"b\"\nlabel = \"y\"\nid = \"n\"\nrange = [0, 100]\n",
        };
        let spec = TaskSpec::parse(text, Path::new("t.toml")).unwrap();
        let made = |(n, (first, second, x)): (usize, &(String, String, u32))| Example {
            index: n,
            id: Some(format!("i{n}")),
            first: first.clone(),
            second: Some(second.clone()),
            label: Some(if spec.labels.is_empty() { Label::Score(*x as f64 / 10.0) } else { Label::Class(x % 2) }),
        };
        let examples: Vec<Example> = rows.iter().enumerate().map(made).collect();
        let (_dir, path) = folder();
        let file = path.join(write::own_file(&spec));
        std::fs::write(&file, write::own(&spec, &examples)).unwrap();
        let found = spec.read(&file).unwrap();
        prop_assert_eq!(examples.len(), found.examples.len());
        for (a, b) in examples.iter().zip(&found.examples) {
            prop_assert_eq!((&a.id, &a.label), (&b.id, &b.label));
            prop_assert_eq!(plain(&a.first, spec.delimiter), b.first.clone());
        }
    }
}

impl crate::task::TaskData {
    /// Number of rows that were changed or skipped.
    fn warnings_of_rows(&self) -> u64 {
        self.report.broken + self.report.undecided + self.report.blank
    }
}

#[test]
fn tags_keep_their_words() {
    let text = "type = \"tag\"\nfirst = \"w\"\nlabel = \"t\"\nlabels = [\"O\", \"B-A\"]\n";
    let spec = TaskSpec::parse(text, Path::new("t.toml")).unwrap();
    let mut row = example(0, "They saw  Anna in Rome", None);
    row.label = Some(Label::Tags(vec![0, 0, 1, 0, 1]));
    let (_dir, path) = folder();
    let net = tiny_wordnet();
    for kind in Perturbation::ALL.into_iter().filter(|kind| kind.suits_tags()) {
        let new = perturber(kind, Some(&net)).examples(std::slice::from_ref(&row));
        let file = path.join("dev.tsv");
        std::fs::write(&file, write::own(&spec, &new)).unwrap();
        assert_eq!(spec.read(&file).unwrap().examples[0].label, row.label, "{kind}");
    }
}

/// Paragraphs with additional fields that are not part of SQuAD.
fn questions() -> Value {
    let answer = |text: &str, start: usize| json!([{"text": text, "answer_start": start, "extra": 1}]);
    json!({"version": "1.1", "more": {"kept": true}, "data": [{"title": "T", "paragraphs": [
        {"context": "Élan: Anna bought a red boat in 1999.", "note": "n", "qas": [
            {"id": "a", "question": "What did Anna buy in 1999?", "answers": answer("a red boat", 18)},
            {"id": "b", "question": "what is red?", "answers": answer("boat", 24)},
        ]},
        {"context": "Boris left Oslo with two dogs.", "qas": [
            {"id": "c", "question": "What animals did Boris own?", "answers": answer("two dogs", 21)},
        ]},
        {"context": "Clara sings.", "qas": [
            {"id": "d", "question": "Who is Clara in the play?", "answers": answer("Clara", 0)},
        ]},
    ]}]})
}

fn checked(value: &Value) -> crate::task::squad::SquadData {
    let (_dir, path) = folder();
    let file = path.join("dev.json");
    std::fs::write(&file, value.to_string()).unwrap();
    assert_eq!(squad::open(&file).unwrap(), *value);
    read(&file, Problems::Refuse).unwrap()
}

#[test]
fn questions_change_and_everything_else_stays() {
    let before = questions();
    let rows = checked(&before);
    for kind in [Perturbation::Typos, Perturbation::Swaps, Perturbation::Case, Perturbation::Punctuation] {
        let after = perturber(kind, None).squad(&before);
        assert_eq!(squad::changed(&before, &after), (["a", "b", "c", "d"].map(str::to_owned).into(), 4));
        let mut undone = after.clone();
        for (p, q) in [(0, 0), (0, 1), (1, 0), (2, 0)] {
            let path = format!("/data/0/paragraphs/{p}/qas/{q}/question");
            *undone.pointer_mut(&path).unwrap() = before.pointer(&path).unwrap().clone();
        }
        assert_eq!(undone, before);
        for (a, b) in rows.paragraphs.iter().zip(&checked(&after).paragraphs) {
            assert_eq!((&a.context, &a.questions[0].answers), (&b.context, &b.questions[0].answers));
        }
    }
}

#[test]
fn a_distractor_stands_behind_the_context_and_answers_stay_where_they_are() {
    let before = questions();
    let after = perturber(Perturbation::Distractor, None).squad(&before);
    let data = checked(&after);
    assert_eq!(data.paragraphs.len(), 4, "a paragraph for each question");
    assert_eq!(after["more"], before["more"]);
    assert_eq!(after["data"][0]["paragraphs"][0]["note"], "n");
    let (changed, all) = squad::changed(&before, &after);
    assert_eq!(all, 4);
    assert!(!changed.contains(&"b".to_owned()), "without name and number there is no distractor");
    assert!(changed.contains(&"a".to_owned()), "{after:#}");
    let old = checked(&before);
    let contexts = [&old.paragraphs[0], &old.paragraphs[0], &old.paragraphs[1], &old.paragraphs[2]];
    for (new, old) in data.paragraphs.iter().zip(contexts) {
        assert!(new.context.starts_with(&old.context));
        assert_eq!(new.questions.len(), 1);
        let answer = &new.questions[0].answers[0];
        assert_eq!(new.context[answer.bytes.clone()], answer.text);
    }
    let added = data.paragraphs[0].context.strip_prefix(&*old.paragraphs[0].context).unwrap();
    assert!(!added.contains("Anna") && !added.contains("1999") && !added.contains("red boat"), "{added}");
    assert!(!added.contains("What") && added.ends_with('.') && added.starts_with(' '), "{added}");
    assert!(["Boris", "Clara"].iter().any(|name| added.contains(name)), "{added}");
}

#[test]
fn the_first_questions_are_cut_across_paragraphs() {
    let mut file = questions();
    squad::first_questions(&mut file, 3);
    let ids: Vec<String> =
        checked(&file).paragraphs.iter().flat_map(|p| p.questions.iter().map(|q| q.id.clone())).collect();
    assert_eq!(ids, ["a", "b", "c"]);
}
