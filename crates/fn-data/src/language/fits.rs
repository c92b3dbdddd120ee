//! Computes the share of a generator's replacements that fit, and finds a language with a given share.

use super::config::LanguageConfig;
use super::{Language, LanguageError, Writer};

/// Number of documents on which [`LanguageConfig::with_fitting_replacements`] evaluates the share.
const DOCUMENTS: usize = 40;
/// Number of sentences of each of them.
const SENTENCES: usize = 12;
/// Seed of their text.
const SEED: u64 = 0xf17;

impl Language {
    /// The share of the sampled replacements that fit: of the words that differ from the original, those that realise the concept of its
    /// slot. The guesser that samples them knows a share `knowledge` (0 to 1) of the language: it draws from
    ///
    /// ```text
    /// q(v) = knowledge p(v | rest) + (1 - knowledge) u(v)
    /// ```
    /// with the exact conditional `p` of [`ceiling`](Self::ceiling) and the frequencies `u` of all words of the text, at every token of
    /// `documents` generated documents alike. An expectation under `p` and `q`, not a count of draws; NaN if nothing is replaced.
    pub fn fitting_replacements(&self, knowledge: f64, documents: usize, seed: u64) -> f64 {
        let plans: Vec<Vec<_>> = (0..documents as u64)
            .map(|i| {
                let mut writer = Writer::new(self, self.text_stream(i, seed, 5));
                (0..SENTENCES).map(|_| writer.plan()).collect()
            })
            .collect();
        let frequency = self.frequencies(&plans);
        let (mut replaced, mut fitting) = (0.0, 0.0);
        for document in &plans {
            for (at, plan) in document.iter().enumerate() {
                let (written, _) = self.write(plan, &mut self.text_stream(at as u64, seed, 6));
                for (&part, &written) in self.templates[plan.template].iter().zip(&written) {
                    let unknown = |word: u32| (1.0 - knowledge) * frequency[word as usize];
                    let Some(concept) = plan.concept(part) else {
                        // Function words are determined by the rest of the sentence.
                        replaced += (1.0 - knowledge) - unknown(written);
                        continue;
                    };
                    let known: Vec<(u32, f64)> = self.posterior(plan, part, document.get(at + 1));
                    let q = |word: u32| {
                        let p = known.iter().map(|(c, p)| p * self.weight_in(*c, word)).sum::<f64>();
                        knowledge * p + unknown(word)
                    };
                    let set = self.words[concept as usize].iter().zip(&self.weights[concept as usize]);
                    let (mut within, mut same) = (0.0, 0.0);
                    for (&word, weight) in set {
                        let q = q(word);
                        within += q;
                        same += weight * q;
                    }
                    replaced += 1.0 - same;
                    fitting += within - same;
                }
            }
        }
        fitting / replaced
    }

    /// Probability of `word` given `concept`.
    fn weight_in(&self, concept: u32, word: u32) -> f64 {
        let at = self.words[concept as usize].iter().position(|w| *w == word);
        at.map_or(0.0, |at| self.weights[concept as usize][at])
    }

    /// How often each word of the vocabulary is expected in these sentences, as shares.
    fn frequencies(&self, plans: &[Vec<super::Sentence>]) -> Vec<f64> {
        let mut counts = vec![0.0; self.size()];
        let mut total = 0.0;
        for plan in plans.iter().flatten() {
            let (written, _) = self.write(plan, &mut self.text_stream(0, 0, 6));
            for (&part, &written) in self.templates[plan.template].iter().zip(&written) {
                total += 1.0;
                match plan.concept(part) {
                    None => counts[written as usize] += 1.0,
                    Some(concept) => {
                        let set = self.words[concept as usize].iter().zip(&self.weights[concept as usize]);
                        set.for_each(|(&word, weight)| counts[word as usize] += weight);
                    }
                }
            }
        }
        counts.iter().map(|count| count / total).collect()
    }
}

impl LanguageConfig {
    /// This configuration with the `zipf` under which a share `share` of the replacements fits that a guesser of this `knowledge` samples
    /// ([`Language::fitting_replacements`]) in the language of `seed`. Words, sets and grammar stay as they are: only the choice within a set
    /// becomes flatter for a larger share, more uneven for a smaller one.
    ///
    /// ```
    /// use fn_data::language::{Language, LanguageConfig};
    /// let config = LanguageConfig::default().with_fitting_replacements(0.1, 0.5, 1)?;
    /// let found = Language::new(config, 1)?.fitting_replacements(0.5, 100, 7);
    /// assert!((found - 0.1).abs() < 0.02, "{found}");
    /// # Ok::<(), fn_data::language::LanguageError>(())
    /// ```
    ///
    /// # Errors
    /// A configuration out of range; a share that neither an even choice (`zipf` 0) nor the most uneven one (8) reaches: larger sets, or more
    /// knowledge, reach more.
    pub fn with_fitting_replacements(
        &self,
        share: f64,
        knowledge: f64,
        seed: u64,
    ) -> Result<Self, LanguageError> {
        let at = |zipf: f64| -> Result<f64, LanguageError> {
            let language = Language::new(Self { zipf, ..self.clone() }, seed)?;
            Ok(language.fitting_replacements(knowledge, DOCUMENTS, SEED))
        };
        let (mut low, mut high) = (0.0, 8.0);
        let (most, least) = (at(low)?, at(high)?);
        if !(least..=most).contains(&share) {
            return Err(LanguageError::Share { share, knowledge, least, most });
        }
        for _ in 0..20 {
            let middle = (low + high) / 2.0;
            match at(middle)? > share {
                true => low = middle,
                false => high = middle,
            }
        }
        Ok(Self { zipf: (low + high) / 2.0, ..self.clone() })
    }
}
