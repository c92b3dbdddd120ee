//! SWORDS 1.1 (Lee et al., *Swords: A Benchmark for Lexical Substitution with Improved Data Coverage and Quality*, NAACL 2021).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::read::{Source, part_of_speech, share};
use super::{Exam, ExamError, Opinion};

#[derive(Deserialize)]
struct File {
    contexts: BTreeMap<String, Context>,
    targets: BTreeMap<String, Target>,
    substitutes: BTreeMap<String, Substitute>,
    #[serde(default)]
    substitutes_lemmatized: bool,
    substitute_labels: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Context {
    context: String,
}

#[derive(Deserialize)]
struct Target {
    context_id: String,
    target: String,
    offset: usize,
    #[serde(default)]
    pos: Option<String>,
    #[serde(default)]
    extra: Option<Extra>,
}

#[derive(Deserialize)]
struct Extra {
    #[serde(default)]
    coinco_lemma: Option<String>,
}

#[derive(Deserialize)]
struct Substitute {
    target_id: String,
    substitute: String,
}

pub(super) fn read(source: &Source<'_>) -> Result<Exam, ExamError> {
    let file: File = source.json("SWORDS 1.1: contexts, targets, substitutes and substitute_labels")?;
    let missing = |place: String, what: String| source.wrong(place, "none", what, "fetch the file again");
    let (mut targets, mut index) = (Vec::new(), BTreeMap::new());
    for (id, row) in file.targets {
        let context = file.contexts.get(&row.context_id);
        let context = context
            .ok_or_else(|| missing(format!("target {id}"), format!("the context {}", row.context_id)))?;
        let mut target = source.target(id.clone(), &context.context, (row.offset, &row.target, false))?;
        target.lemma = row.extra.and_then(|extra| extra.coinco_lemma);
        target.group = row.pos.as_deref().map(part_of_speech).unwrap_or_default();
        index.insert(id, targets.len());
        targets.push(target);
    }
    let (mut opinions, mut unlabelled) = (Vec::new(), 0);
    for (id, row) in file.substitutes {
        let place = format!("substitute {id}");
        let target = index.get(&row.target_id);
        let target =
            *target.ok_or_else(|| missing(place.clone(), format!("the target {}", row.target_id)))?;
        let mut labels = Vec::new();
        for label in file.substitute_labels.get(&id).into_iter().flatten() {
            labels.extend(source.label(&place, label)?);
        }
        match share(&labels) {
            Some(share) => opinions.push(Opinion { target, substitute: row.substitute, share }),
            None => unlabelled += 1,
        }
    }
    Ok(Exam {
        name: source.name.to_owned(),
        grouped_by: "part of speech",
        targets,
        opinions,
        unlabelled,
        lemmas: file.substitutes_lemmatized,
        recorded: None,
        scores: Vec::new(),
    })
}
