//! CoInCo and SemEval-2007 as the SWORDS repository publishes them: people named substitutes, and nobody was asked about the others.
//! As usual with these, the substitutes that were named for the same lemma in other contexts, but not here, count as errors.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::read::{Source, part_of_speech, share};
use super::{Exam, ExamError, Opinion};

#[derive(Deserialize)]
struct File {
    ss: Vec<Sentence>,
    #[serde(default)]
    wprimes_lemmatized: bool,
}

#[derive(Deserialize)]
struct Sentence {
    id: Value,
    s: String,
    ws: Vec<Word>,
}

#[derive(Deserialize)]
struct Word {
    id: Value,
    w: String,
    off: usize,
    #[serde(default)]
    pos: Vec<String>,
    #[serde(default)]
    extra: Value,
    wprimes: Vec<Substitute>,
}

#[derive(Deserialize)]
struct Substitute {
    wprime: String,
    #[serde(default)]
    human_labels: Vec<String>,
}

pub(super) fn read(source: &Source<'_>) -> Result<Exam, ExamError> {
    let file: File = source.json("sentences `ss` with words `ws` and their substitutes `wprimes`")?;
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut targets = Vec::new();
    // By target: what was named, with its share; by lemma and part of speech: all that was ever named.
    let mut named: Vec<BTreeMap<String, f64>> = Vec::new();
    let mut pool: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (sentence, row) in
        file.ss.iter().flat_map(|sentence| sentence.ws.iter().map(move |row| (sentence, row)))
    {
        if row.wprimes.is_empty() {
            continue;
        }
        let id = format!("{}/{}/{}", plain(&sentence.id), plain(&row.id), row.off);
        let mut target = source.target(id, &sentence.s, (row.off, &row.w, true))?;
        let lemma =
            row.extra["raw"]["lemma"].as_str().map_or_else(|| row.w.to_lowercase(), str::to_lowercase);
        target.group = row.pos.first().map(|pos| part_of_speech(pos)).unwrap_or_default();
        let known = pool.entry((lemma.clone(), target.group.clone())).or_default();
        target.lemma = Some(lemma);
        let mut here = BTreeMap::new();
        for substitute in &row.wprimes {
            let place = format!("target {}, substitute {:?}", target.id, substitute.wprime);
            let mut labels = Vec::new();
            for label in &substitute.human_labels {
                labels.extend(source.label(&place, label)?);
            }
            if let Some(share) = share(&labels) {
                here.insert(substitute.wprime.clone(), share);
                known.insert(substitute.wprime.clone());
            }
        }
        targets.push(target);
        named.push(here);
    }
    let mut opinions = Vec::new();
    for (target, here) in named.iter().enumerate() {
        let key = (targets[target].lemma.clone().unwrap_or_default(), targets[target].group.clone());
        for substitute in pool.get(&key).into_iter().flatten() {
            let share = here.get(substitute).copied().unwrap_or(0.0);
            opinions.push(Opinion { target, substitute: substitute.clone(), share });
        }
    }
    Ok(Exam {
        name: source.name.to_owned(),
        grouped_by: "part of speech",
        targets,
        opinions,
        unlabelled: 0,
        lemmas: file.wprimes_lemmatized,
        recorded: None,
        scores: Vec::new(),
    })
}
