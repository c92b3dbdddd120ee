//! Cosines of word pairs in an embedding matrix: are synonyms nearer to each other than antonyms and random pairs?

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::Device;
use fn_core::noise::{Stream, Use};
use fn_core::stats::anisotropy;
use fn_data::lexicon::WordNet;
use fn_data::tokenise::TextTokenizer;
use fn_models::{Pretrained, params};

use super::ProbeError;

/// Minimum length of a word, in letters.
const LETTERS: usize = 3;
/// Rows of the embedding matrix on which anisotropy is estimated.
const ROWS: usize = 2048;

/// Cosine similarities of one kind of pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Cosines {
    /// One cosine per pair.
    pub values: Vec<f64>,
}

impl Cosines {
    /// Cosines of pairs of rows of `table`, which has `width` numbers per row.
    pub fn of(pairs: &BTreeSet<(u32, u32)>, table: &[f32], width: usize) -> Self {
        Self {
            values: pairs.iter().map(|&(a, b)| cosine(row(table, width, a), row(table, width, b))).collect(),
        }
    }

    /// Mean cosine; NaN without pairs.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// Standard error of the mean; NaN for fewer than two pairs.
    pub fn standard_error(&self) -> f64 {
        let (n, mean) = (self.values.len() as f64, self.mean());
        let sum: f64 = self.values.iter().map(|v| (v - mean).powi(2)).sum();
        (sum / (n - 1.0) / n).sqrt()
    }

    /// Area under the ROC curve: probability that a cosine of these exceeds one of `others`, ties count half; NaN if either is empty.
    pub fn area_over(&self, others: &Self) -> f64 {
        let scores: Vec<f32> = self.values.iter().chain(&others.values).map(|&v| v as f32).collect();
        let labels: Vec<bool> = (0..scores.len()).map(|at| at < self.values.len()).collect();
        fn_train::heldout::auc(&scores, &labels)
    }
}

fn row(table: &[f32], width: usize, id: u32) -> &[f32] {
    &table[id as usize * width..(id as usize + 1) * width]
}

pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let norm = (dot(a, a) * dot(b, b)).sqrt();
    if norm > 0.0 { dot(a, b) / norm } else { 0.0 }
}

/// Pairs of words as unique pairs of ids, smaller id first; pairs with a word outside of the vocabulary are skipped.
pub fn known<'a>(
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    id: &dyn Fn(&str) -> Option<u32>,
) -> BTreeSet<(u32, u32)> {
    let ids = pairs.filter_map(|(a, b)| Some((id(a)?, id(b)?)));
    ids.filter(|(a, b)| a != b).map(|(a, b)| (a.min(b), a.max(b))).collect()
}

/// Random pairs of the words of `like`, as many as `like` has if possible, none of them in `like` or `without`.
pub fn random(
    like: &BTreeSet<(u32, u32)>,
    without: &BTreeSet<(u32, u32)>,
    seed: u64,
) -> BTreeSet<(u32, u32)> {
    let words: Vec<u32> =
        like.iter().flat_map(|&(a, b)| [a, b]).collect::<BTreeSet<_>>().into_iter().collect();
    let mut stream = Stream::new(seed, 0, 0, Use::Probe);
    let mut out = BTreeSet::new();
    for _ in 0..20 * like.len() {
        if out.len() == like.len() {
            break;
        }
        let mut draw = || words[stream.below(words.len() as u64) as usize];
        let (a, b) = (draw(), draw());
        let pair = (a.min(b), a.max(b));
        if a != b && !like.contains(&pair) && !without.contains(&pair) {
            out.insert(pair);
        }
    }
    out
}

/// Geometry of a model's token embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Near {
    /// Cosines of synonyms, antonyms and as many random pairs.
    pub found: [(&'static str, Cosines); 3],
    /// Area under the ROC curve of one kind of pair against another.
    pub areas: [(&'static str, f64); 3],
    /// Mean norm of an embedding.
    pub norm: f64,
    /// Mean cosine of two random embeddings.
    pub anisotropy: f64,
}

/// Compares the token embeddings of WordNet's synonyms and antonyms that are single tokens of the vocabulary.
///
/// # Errors
/// A model that cannot be read; no two synonyms in the vocabulary.
pub fn near(
    model: &Path,
    tokenizer: &TextTokenizer,
    net: &WordNet,
    seed: u64,
    device: &Device,
) -> Result<Near, ProbeError> {
    let (opened, _) = Pretrained::open(model, device)?;
    let table = opened.word_embedding();
    let [rows, width] = table.dims();
    let (norm, cosine) = anisotropy(table.clone(), ROWS);
    let values = params::host(table);
    let id = |word: &str| {
        let plain = word.len() >= LETTERS && word.bytes().all(|b| b.is_ascii_lowercase());
        plain.then(|| tokenizer.spelled_id(word)).flatten().filter(|&id| (id as usize) < rows)
    };
    let (synonyms, antonyms) = (known(net.synonyms(), &id), known(net.antonyms(), &id));
    if synonyms.is_empty() {
        return Err(ProbeError::NoSynonyms { path: model.to_owned() });
    }
    let others = random(&synonyms, &antonyms, seed);
    let kinds = [("synonyms", &synonyms), ("antonyms", &antonyms), ("random pairs", &others)];
    let found = kinds.map(|(name, pairs)| (name, Cosines::of(pairs, &values, width)));
    let [(_, near), (_, opposite), (_, far)] = &found;
    let areas = [
        ("synonyms over random pairs", near.area_over(far)),
        ("synonyms over antonyms", near.area_over(opposite)),
        ("antonyms over random pairs", opposite.area_over(far)),
    ];
    Ok(Near { found, areas, norm, anisotropy: cosine })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_pairs_have_higher_cosines() {
        // Words 0 and 1 point the same way, 2 and 3 the opposite way, 4 is at a right angle.
        let table = [1.0, 0.0, 2.0, 0.0, -1.0, 0.1, -3.0, 0.2, 0.0, 1.0];
        let of = |pairs: &[(u32, u32)]| Cosines::of(&pairs.iter().copied().collect(), &table, 2);
        let (near, far) = (of(&[(0, 1), (2, 3)]), of(&[(0, 2), (1, 3), (0, 4)]));
        assert!((near.values[0] - 1.0).abs() < 1e-6 && near.mean() > 0.99 && far.mean() < -0.6);
        assert_eq!((near.area_over(&far), far.area_over(&near)), (1.0, 0.0));
        assert!((of(&[(0, 1), (0, 4)]).standard_error() - 0.5).abs() < 1e-12);
        assert_eq!(Cosines::of(&[(0, 4)].into(), &[0.0; 10], 2).mean(), 0.0);
    }

    #[test]
    fn pairs_are_sorted_in_vocabulary_and_random_pairs_are_new() {
        let id = |word: &str| word.parse().ok();
        let found = known([("3", "1"), ("1", "3"), ("2", "2"), ("x", "1"), ("4", "5")].into_iter(), &id);
        assert_eq!(found, [(1, 3), (4, 5)].into());
        let drawn = random(&found, &[(1, 4)].into(), 1);
        assert_eq!(drawn.len(), 2);
        assert!(drawn.iter().all(|pair| !found.contains(pair) && *pair != (1, 4)));
        assert_eq!(random(&found, &[(1, 4)].into(), 1), drawn);
        assert!(random(&BTreeSet::new(), &BTreeSet::new(), 1).is_empty());
    }
}
