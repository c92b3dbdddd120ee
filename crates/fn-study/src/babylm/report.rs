//! The table of the measures.

use std::collections::BTreeMap;

use fn_eval::table::{Table, percent};
use serde_json::{Map, Value, json};

use super::{Collection, SetResult, Substitution, substitution};
use crate::probe::{Likelihood, Prober, Scorer};

/// What a model scored on all sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The head that gave the likelihoods of a masked LM: `masked LM` or `generator`; None for a discriminator alone.
    pub head: Option<&'static str>,
    /// The scores, in the order of [`SetResult::accuracy`].
    pub likelihoods: Vec<Likelihood>,
    /// Results by set, in the order in which they were measured.
    pub sets: Vec<SetResult>,
    /// How each head ranks substitutes of words, by file.
    pub substitution: Vec<Substitution>,
}

/// The name of the head that predicts masked tokens.
pub(super) fn head(prober: &Prober) -> Option<&'static str> {
    prober.scorers().iter().find(|scorer| **scorer != Scorer::Discriminator).map(|scorer| scorer.name())
}

/// Sets that belong together.
struct Group<'a> {
    name: String,
    sets: Vec<&'a SetResult>,
}

impl Group<'_> {
    /// Mean over the sets, whatever their size.
    fn accuracy(&self, kind: usize) -> f64 {
        self.sets.iter().map(|set| set.accuracy[kind]).sum::<f64>() / self.sets.len() as f64
    }

    fn pairs(&self) -> usize {
        self.sets.iter().map(|set| set.pairs).sum()
    }
}

impl Report {
    /// Each collection, then its fields and phenomena, or its sets where they name none.
    fn groups(&self) -> Vec<Group<'_>> {
        let mut out = Vec::new();
        for collection in [Collection::Blimp, Collection::Supplement] {
            let sets: Vec<&SetResult> = self.sets.iter().filter(|set| set.collection == collection).collect();
            if sets.is_empty() {
                continue;
            }
            out.push(Group { name: collection.name().to_owned(), sets: sets.clone() });
            let by: [fn(&SetResult) -> Option<String>; 3] = [
                |set| set.field.as_ref().map(|field| format!("field: {field}")),
                |set| set.term.clone(),
                |set| set.term.is_none().then(|| set.name.clone()),
            ];
            for name in by {
                let mut groups: BTreeMap<String, Vec<&SetResult>> = BTreeMap::new();
                for set in &sets {
                    if let Some(name) = name(set) {
                        groups.entry(name).or_default().push(set);
                    }
                }
                out.extend(groups.into_iter().map(|(name, sets)| {
                    let name = format!("  {}", name.replace('_', " "));
                    Group { name, sets }
                }));
            }
        }
        out
    }

    /// The tables, as text or Markdown.
    pub fn tables(&self, markdown: bool) -> String {
        let pairs = (!self.sets.is_empty()).then(|| self.table());
        let ranks = (!self.substitution.is_empty()).then(|| substitution::table(&self.substitution));
        let print = |table: Table| if markdown { table.to_markdown() } else { table.to_text() };
        pairs.into_iter().chain(ranks).map(print).collect::<Vec<_>>().join("\n")
    }

    fn table(&self) -> Table {
        let named = self.likelihoods.iter().map(|kind| match (kind, self.head) {
            (Likelihood::Original, _) | (_, None) => kind.name().to_owned(),
            (_, Some(head)) => format!("{head}, {}", kind.name()),
        });
        let mut table = Table::new(["", "sets", "pairs"].map(str::to_owned).into_iter().chain(named));
        for group in self.groups() {
            let mut row = vec![group.name.clone(), group.sets.len().to_string(), group.pairs().to_string()];
            row.extend((0..self.likelihoods.len()).map(|kind| percent(Some(group.accuracy(kind)))));
            table.row(row);
        }
        table
    }

    /// A sentence on the pairs that were not scored; None if all were.
    pub fn left_out(&self) -> Option<String> {
        let count: usize = self.sets.iter().map(|set| set.too_long).sum();
        (count > 0)
            .then(|| format!("{count} pairs have a sentence longer than the model reads; they are left out"))
    }

    /// The accuracy of each collection by each score, as a share, under the name `COLLECTION, SCORE`, and the average precision of each head
    /// on each file of substitutes, under `FILE, HEAD`.
    pub fn figures(&self) -> Vec<(String, f64)> {
        let collections = [Collection::Blimp, Collection::Supplement].map(Collection::name);
        let groups = self.groups().into_iter().filter(|group| collections.contains(&group.name.as_str()));
        groups
            .flat_map(|group| {
                let each = self.likelihoods.iter().enumerate();
                each.map(move |(at, kind)| (format!("{}, {}", group.name, kind.name()), group.accuracy(at)))
                    .collect::<Vec<_>>()
            })
            .chain(self.substitution.iter().map(Substitution::figure))
            .collect()
    }

    /// Accuracies of all groups and of all sets.
    pub fn json(&self) -> Value {
        let named = |value: &dyn Fn(usize) -> f64| -> Map<String, Value> {
            let one = |(at, kind): (usize, &Likelihood)| (kind.name().to_owned(), json!(value(at)));
            self.likelihoods.iter().enumerate().map(one).collect()
        };
        let group = |group: Group<'_>| {
            json!({"name": group.name.trim(), "sets": group.sets.len(), "pairs": group.pairs(),
                   "accuracy": named(&|kind| group.accuracy(kind))})
        };
        let set = |set: &SetResult| {
            json!({"collection": set.collection.name(), "name": set.name, "field": set.field, "phenomenon": set.term,
                   "pairs": set.pairs, "too_long": set.too_long, "accuracy": named(&|kind| set.accuracy[kind])})
        };
        json!({
            "head": self.head,
            "groups": self.groups().into_iter().map(group).collect::<Vec<_>>(),
            "sets": self.sets.iter().map(set).collect::<Vec<_>>(),
            "substitution": self.substitution.iter().map(Substitution::json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(collection: Collection, name: &str, term: Option<&str>, pairs: usize, accuracy: f64) -> SetResult {
        SetResult {
            collection,
            name: name.to_owned(),
            field: term.map(|_| "syntax".to_owned()),
            term: term.map(str::to_owned),
            pairs,
            too_long: 1,
            accuracy: vec![accuracy],
        }
    }

    #[test]
    fn a_group_is_the_mean_of_its_sets_whatever_their_size() {
        let sets = vec![
            set(Collection::Blimp, "a_1", Some("a"), 10, 0.5),
            set(Collection::Blimp, "a_2", Some("a"), 1000, 0.9),
            set(Collection::Blimp, "b", Some("b"), 10, 0.1),
            set(Collection::Supplement, "hypernym", None, 7, 0.25),
        ];
        let report = Report {
            head: Some("masked LM"),
            likelihoods: vec![Likelihood::Pseudo],
            sets,
            substitution: Vec::new(),
        };
        let json = report.json();
        let found: Vec<(&str, u64, f64)> = json["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|g| {
                let accuracy = g["accuracy"]["pseudo-log-likelihood"].as_f64().unwrap();
                (g["name"].as_str().unwrap(), g["pairs"].as_u64().unwrap(), accuracy)
            })
            .collect();
        let expected = [
            ("BLiMP", 1020, 0.5),
            ("field: syntax", 1020, 0.5),
            ("a", 1010, 0.7),
            ("b", 10, 0.1),
            ("supplement", 7, 0.25),
            ("hypernym", 7, 0.25),
        ];
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!((found.0, found.1), (expected.0, expected.1));
            assert!((found.2 - expected.2).abs() < 1e-12, "{found:?}");
        }
        assert_eq!(found.len(), expected.len());
        assert_eq!(
            report.left_out().unwrap(),
            "4 pairs have a sentence longer than the model reads; they are left out"
        );
        let figures = report.figures();
        assert_eq!(
            figures.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["BLiMP, pseudo-log-likelihood", "supplement, pseudo-log-likelihood"]
        );
        assert!((figures[0].1 - 0.5).abs() < 1e-12 && (figures[1].1 - 0.25).abs() < 1e-12, "{figures:?}");
        let text = report.table().to_text();
        assert!(text.contains("masked LM, pseudo-log-likelihood") && text.contains("70.0 %"), "{text}");
    }
}
