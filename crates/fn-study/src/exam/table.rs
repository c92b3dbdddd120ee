//! A table of one's own: sentence, start, word, substitute, label.

use std::collections::BTreeMap;

use super::read::{Source, quoted, share};
use super::{Exam, ExamError, Opinion, Target};

const COLUMNS: [&str; 5] = ["sentence", "start", "word", "substitute", "label"];

pub(super) fn read(source: &Source<'_>) -> Result<Exam, ExamError> {
    let mut targets: Vec<Target> = Vec::new();
    let mut index: BTreeMap<(&str, usize, &str), usize> = BTreeMap::new();
    let mut labels: BTreeMap<(usize, &str), Vec<bool>> = BTreeMap::new();
    for (number, line) in source.text.lines().enumerate() {
        let line = line.trim_end_matches('\r').trim_start_matches('\u{feff}');
        let cells: Vec<&str> = line.split('\t').collect();
        if line.trim().is_empty() || number == 0 && cells == COLUMNS {
            continue;
        }
        let place = format!("line {}", number + 1);
        let [sentence, start, word, substitute, label] = cells[..] else {
            let found = format!("{} columns", cells.len());
            let expected = format!("five, separated by tabs: {}", COLUMNS.join(", "));
            return Err(source.wrong(place, found, expected, "correct the line or remove it"));
        };
        let Ok(start) = start.trim().parse::<usize>() else {
            let found = format!("the start {}", quoted(start));
            return Err(source.wrong(
                place,
                found,
                "a number of characters",
                "correct the line or remove it",
            ));
        };
        let target = match index.get(&(sentence, start, word)) {
            Some(&target) => target,
            None => {
                targets.push(source.target(place.clone(), sentence, (start, word, false))?);
                index.insert((sentence, start, word), targets.len() - 1);
                targets.len() - 1
            }
        };
        if substitute.is_empty() {
            return Err(source.wrong(
                place,
                "an empty substitute",
                "a word",
                "correct the line or remove it",
            ));
        }
        labels.entry((target, substitute)).or_default().extend(source.label(&place, label)?);
    }
    let unlabelled = labels.values().filter(|labels| labels.is_empty()).count();
    let opinion = |((target, substitute), labels): ((usize, &str), Vec<bool>)| {
        Some(Opinion { target, substitute: substitute.to_owned(), share: share(&labels)? })
    };
    Ok(Exam {
        name: source.name.to_owned(),
        grouped_by: "part of speech",
        targets,
        opinions: labels.into_iter().filter_map(opinion).collect(),
        unlabelled,
        lemmas: false,
        recorded: None,
        scores: Vec::new(),
    })
}
