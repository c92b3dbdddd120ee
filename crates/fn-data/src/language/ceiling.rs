//! The Bayes-optimal accuracy on the generated language.

use super::template::Part;
use super::{Language, Writer};

/// Expected metrics of the Bayes-optimal predictor that sees every other token.
///
/// It is given the topic, the template and the concepts of all other slots, also those of polysemous words, so the values are
/// slightly above what can be reached from the words alone; a model whose input is masked at 15 % of the positions stays below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceiling {
    /// Accuracy over all tokens except `[CLS]` and `[SEP]`; function words and punctuation are determined by the rest.
    pub masked_accuracy: f64,
    /// Accuracy over content words only.
    pub content_accuracy: f64,
    /// Share of content words whose *concept* is predicted correctly.
    pub concept_accuracy: f64,
    /// Share of the wrong predictions that are false negatives.
    pub false_negative_share: f64,
    /// Share of the tokens that are content words.
    pub content_share: f64,
}

impl Language {
    /// Computes the ceiling on `documents` generated documents of twelve sentences.
    ///
    /// For each content slot the posterior over concepts is exact given all other concepts:
    /// `p(c | rest) ~ p(sentence with c) p(subject of the next sentence | c)`; then `p(w | rest) = sum_c p(c | rest) p(w | c)`.
    /// The most likely word is predicted; the metrics are expectations under `p`, not estimates from samples.
    pub fn ceiling(&self, documents: usize, seed: u64) -> Ceiling {
        let (mut tokens, mut content) = (0u64, 0u64);
        let (mut right, mut concept_right, mut false_negative) = (0.0, 0.0, 0.0);
        for i in 0..documents as u64 {
            let mut writer = Writer::new(self, self.text_stream(i, seed, 4));
            let plans: Vec<_> = (0..12).map(|_| writer.plan()).collect();
            for (at, plan) in plans.iter().enumerate() {
                let parts = &self.templates[plan.template];
                tokens += parts.len() as u64;
                for &part in parts {
                    if plan.concept(part).is_none() {
                        continue;
                    }
                    content += 1;
                    let concepts = self.posterior(plan, part, plans.get(at + 1));
                    let guess = self.guess(&concepts);
                    right += guess.right;
                    concept_right += guess.concept_right;
                    false_negative += guess.concept_right - guess.right;
                }
            }
        }
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        let (tokens, content) = (tokens as f64, content as f64);
        Ceiling {
            masked_accuracy: ratio(tokens - content + right, tokens),
            content_accuracy: ratio(right, content),
            concept_accuracy: ratio(concept_right, content),
            false_negative_share: ratio(false_negative, content - right),
            content_share: ratio(content, tokens),
        }
    }

    /// Posterior `(concept, probability)` of a slot given all others.
    pub(super) fn posterior(
        &self,
        plan: &super::Sentence,
        part: Part,
        next: Option<&super::Sentence>,
    ) -> Vec<(u32, f64)> {
        let parts = &self.templates[plan.template];
        let agrees = |concept: u32| match part {
            // The determiner and the preposition, which depend on the concept, are visible.
            Part::Noun(role) if parts.contains(&Part::Determiner(role)) => {
                self.grammar.class_of(concept) == self.grammar.class_of(plan.noun(role))
            }
            Part::Verb if parts.contains(&Part::Preposition) => {
                self.grammar.preposition_of(concept) == self.grammar.preposition_of(plan.verb())
            }
            _ => true,
        };
        let mut all: Vec<(u32, f64)> = self
            .grammar
            .candidates(part, plan.topic)
            .into_iter()
            .filter(|c| agrees(*c))
            .map(|c| {
                let other = plan.with(part, c);
                let onwards = next.map_or(1.0, |n| {
                    let subject = n.noun(super::Role::Subject);
                    self.grammar.subject_probability(n.topic, Some(other.last_noun()), subject)
                });
                (c, self.grammar.probability(&other) * onwards)
            })
            .filter(|(_, p)| *p > 0.0)
            .collect();
        let total: f64 = all.iter().map(|(_, p)| p).sum();
        all.iter_mut().for_each(|(_, p)| *p /= total);
        all
    }

    /// The distribution of the word of a slot whose concept has this distribution; each word once.
    pub(super) fn mixture(&self, concepts: &[(u32, f64)]) -> Vec<(u32, f64)> {
        let mut words: Vec<(u32, f64)> = Vec::new();
        for &(concept, p) in concepts {
            for (&word, weight) in self.words[concept as usize].iter().zip(&self.weights[concept as usize]) {
                match words.iter_mut().find(|(w, _)| *w == word) {
                    Some((_, sum)) => *sum += p * weight,
                    None => words.push((word, p * weight)),
                }
            }
        }
        words
    }

    fn guess(&self, concepts: &[(u32, f64)]) -> Guess {
        let words = self.mixture(concepts);
        let best =
            words.iter().copied().fold((0, 0.0), |best, next| if next.1 > best.1 { next } else { best });
        let fits = concepts.iter().filter(|(c, _)| self.words[*c as usize].contains(&best.0));
        Guess { right: best.1, concept_right: fits.map(|(_, p)| p).sum() }
    }
}

struct Guess {
    right: f64,
    concept_right: f64,
}
