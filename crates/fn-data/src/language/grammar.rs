//! The grammar: preferences of nouns and verbs, which determine the concepts of slots, and sampling of sentences.

use super::config::LanguageConfig;
use super::template::{Part, Role};
use super::words::zipf;
use fn_core::noise::Stream;

/// Part of speech of a concept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Noun,
    Adjective,
    Verb,
    Adverb,
}

/// The concepts of a sentence. A concept is `Some` exactly if the template has a slot for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sentence {
    pub topic: usize,
    pub template: usize,
    /// The last noun of the previous sentence of the document.
    pub previous: Option<u32>,
    nouns: [Option<u32>; 3],
    adjectives: [Option<u32>; 3],
    verb: u32,
    adverb: Option<u32>,
}

impl Sentence {
    /// The concept of a part; `None` for function words and punctuation.
    pub(super) fn concept(&self, part: Part) -> Option<u32> {
        match part {
            Part::Noun(role) => self.nouns[role as usize],
            Part::Adjective(role) => self.adjectives[role as usize],
            Part::Verb => Some(self.verb),
            Part::Adverb => self.adverb,
            Part::Determiner(_) | Part::Preposition | Part::Comma | Part::Stop => None,
        }
    }

    /// The same sentence with another concept in one slot.
    pub(super) fn with(&self, part: Part, concept: u32) -> Sentence {
        let mut other = self.clone();
        match part {
            Part::Noun(role) => other.nouns[role as usize] = Some(concept),
            Part::Adjective(role) => other.adjectives[role as usize] = Some(concept),
            Part::Verb => other.verb = concept,
            Part::Adverb => other.adverb = Some(concept),
            Part::Determiner(_) | Part::Preposition | Part::Comma | Part::Stop => {}
        }
        other
    }

    /// The noun of a role, or the subject if the template has none.
    pub(super) fn noun(&self, role: Role) -> u32 {
        self.nouns[role as usize].or(self.nouns[0]).unwrap_or(0)
    }

    pub(super) fn verb(&self) -> u32 {
        self.verb
    }

    /// The noun with which the next sentence may begin.
    pub(super) fn last_noun(&self) -> u32 {
        self.nouns.iter().rev().flatten().next().copied().unwrap_or(0)
    }
}

/// The preferences. Concepts are numbered in the order nouns (by topic), adjectives, verbs, adverbs.
#[derive(Debug, Clone)]
pub(super) struct Grammar {
    topics: usize,
    nouns_per_topic: usize,
    first: [u32; 5],
    thread: f64,
    noun_weights: Vec<f64>,
    /// Probabilities of the preferred concepts (favourites), sum 1.
    liking: Vec<f64>,
    classes: Vec<usize>,
    prepositions: Vec<usize>,
    /// Favourites by noun: adjectives, verbs, places.
    adjectives: Vec<Vec<u32>>,
    verbs: Vec<Vec<u32>>,
    places: Vec<Vec<u32>>,
    /// Favourites by `[topic][verb]`: objects; by verb: adverbs.
    objects: Vec<Vec<Vec<u32>>>,
    adverbs: Vec<Vec<u32>>,
}

impl Grammar {
    pub(super) fn new(config: &LanguageConfig, stream: &mut Stream) -> Self {
        let nouns = config.topics * config.nouns_per_topic;
        let mut first = [0u32; 5];
        for (i, count) in [nouns, config.adjectives, config.verbs, config.adverbs].into_iter().enumerate() {
            first[i + 1] = first[i] + count as u32;
        }
        let k = config.favourites;
        let of = |kind: usize| -> Vec<u32> { (first[kind]..first[kind + 1]).collect() };
        let of_topic = |topic: usize| -> Vec<u32> {
            ((topic * config.nouns_per_topic) as u32..((topic + 1) * config.nouns_per_topic) as u32).collect()
        };
        // A topic uses half of the verbs, at least four.
        let verbs_of_topic: Vec<Vec<u32>> =
            (0..config.topics).map(|_| pick(&of(2), (config.verbs / 2).max(4), stream)).collect();
        let topic_of = |noun: usize| noun / config.nouns_per_topic;
        let classes = (0..nouns).map(|_| stream.below(config.noun_classes as u64) as usize).collect();
        let prepositions =
            (0..config.verbs).map(|_| stream.below(config.prepositions as u64) as usize).collect();
        let adjectives = (0..nouns).map(|_| pick(&of(1), k, stream)).collect();
        let verbs = (0..nouns).map(|n| pick(&verbs_of_topic[topic_of(n)], k, stream)).collect();
        let places = (0..nouns).map(|n| pick(&of_topic(topic_of(n)), k, stream)).collect();
        let objects = (0..config.topics)
            .map(|t| (0..config.verbs).map(|_| pick(&of_topic(t), k, stream)).collect())
            .collect();
        let adverbs = (0..config.verbs).map(|_| pick(&of(3), k, stream)).collect();
        let total: f64 = (0..k).map(|i| config.decay.powi(i as i32)).sum();
        Grammar {
            topics: config.topics,
            nouns_per_topic: config.nouns_per_topic,
            first,
            thread: config.thread,
            noun_weights: zipf(config.nouns_per_topic, 0.5),
            liking: (0..k).map(|i| config.decay.powi(i as i32) / total).collect(),
            classes,
            prepositions,
            adjectives,
            verbs,
            places,
            objects,
            adverbs,
        }
    }

    /// Number of concepts.
    pub(super) fn concepts(&self) -> usize {
        self.first[4] as usize
    }

    pub(super) fn kind(&self, concept: u32) -> Kind {
        let [_, adjectives, verbs, adverbs, _] = self.first;
        match concept {
            c if c < adjectives => Kind::Noun,
            c if c < verbs => Kind::Adjective,
            c if c < adverbs => Kind::Verb,
            _ => Kind::Adverb,
        }
    }

    /// Whether both concepts can occur in the same slot of a document.
    pub(super) fn are_rivals(&self, a: u32, b: u32) -> bool {
        let topic = |c: u32| c as usize / self.nouns_per_topic;
        self.kind(a) == self.kind(b) && (self.kind(a) != Kind::Noun || topic(a) == topic(b))
    }

    pub(super) fn class_of(&self, noun: u32) -> usize {
        self.classes.get(noun as usize).copied().unwrap_or(0)
    }

    pub(super) fn preposition_of(&self, verb: u32) -> usize {
        self.prepositions.get(self.verb_index(verb)).copied().unwrap_or(0)
    }

    fn verb_index(&self, verb: u32) -> usize {
        (verb - self.first[2]) as usize
    }

    /// All concepts that a part can have in a document about `topic`.
    pub(super) fn candidates(&self, part: Part, topic: usize) -> Vec<u32> {
        let kind = match part {
            Part::Noun(_) => {
                let from = (topic * self.nouns_per_topic) as u32;
                return (from..from + self.nouns_per_topic as u32).collect();
            }
            Part::Adjective(_) => 1,
            Part::Verb => 2,
            Part::Adverb => 3,
            Part::Determiner(_) | Part::Preposition | Part::Comma | Part::Stop => return Vec::new(),
        };
        (self.first[kind]..self.first[kind + 1]).collect()
    }

    fn like(&self, favourites: &[u32], stream: &mut Stream) -> u32 {
        favourites[draw(&self.liking, stream)]
    }

    /// Samples a sentence: the subject, then the concepts that depend on it.
    pub(super) fn sentence(
        &self,
        topic: usize,
        previous: Option<u32>,
        template: usize,
        parts: &[Part],
        stream: &mut Stream,
    ) -> Sentence {
        debug_assert!(topic < self.topics);
        let has = |part: Part| parts.contains(&part);
        let subject = match previous {
            Some(noun) if stream.unit() < self.thread => noun,
            _ => (topic * self.nouns_per_topic + draw(&self.noun_weights, stream)) as u32,
        };
        let verb = self.like(&self.verbs[subject as usize], stream);
        let object = has(Part::Noun(Role::Object))
            .then(|| self.like(&self.objects[topic][self.verb_index(verb)], stream));
        let place = has(Part::Noun(Role::Place)).then(|| self.like(&self.places[subject as usize], stream));
        let nouns = [Some(subject), object, place];
        let adverb = has(Part::Adverb).then(|| self.like(&self.adverbs[self.verb_index(verb)], stream));
        let mut adjectives = [None; 3];
        for (role, adjective) in [Role::Subject, Role::Object, Role::Place].into_iter().zip(&mut adjectives) {
            if has(Part::Adjective(role)) {
                *adjective =
                    nouns[role as usize].map(|noun| self.like(&self.adjectives[noun as usize], stream));
            }
        }
        Sentence { topic, template, previous, nouns, adjectives, verb, adverb }
    }

    /// Probability that the subject of a sentence is `noun`.
    pub(super) fn subject_probability(&self, topic: usize, previous: Option<u32>, noun: u32) -> f64 {
        let fresh = (noun as usize)
            .checked_sub(topic * self.nouns_per_topic)
            .and_then(|i| self.noun_weights.get(i))
            .copied()
            .unwrap_or(0.0);
        match previous {
            None => fresh,
            Some(before) => self.thread * f64::from(u8::from(before == noun)) + (1.0 - self.thread) * fresh,
        }
    }

    /// Probability of the concepts of a sentence given topic, template and the previous sentence.
    pub(super) fn probability(&self, s: &Sentence) -> f64 {
        let liked = |favourites: &[u32], concept: u32| {
            favourites.iter().position(|f| *f == concept).map_or(0.0, |i| self.liking[i])
        };
        let subject = s.noun(Role::Subject);
        let mut p = self.subject_probability(s.topic, s.previous, subject)
            * liked(&self.verbs[subject as usize], s.verb);
        let verb = self.verb_index(s.verb);
        if let Some(object) = s.nouns[Role::Object as usize] {
            p *= liked(&self.objects[s.topic][verb], object);
        }
        if let Some(place) = s.nouns[Role::Place as usize] {
            p *= liked(&self.places[subject as usize], place);
        }
        if let Some(adverb) = s.adverb {
            p *= liked(&self.adverbs[verb], adverb);
        }
        for (noun, adjective) in s.nouns.iter().zip(&s.adjectives) {
            if let (Some(noun), Some(adjective)) = (noun, adjective) {
                p *= liked(&self.adjectives[*noun as usize], *adjective);
            }
        }
        p
    }
}

/// `count` different members in random order (all of them if there are fewer).
fn pick(from: &[u32], count: usize, stream: &mut Stream) -> Vec<u32> {
    let mut all = from.to_vec();
    stream.shuffle(&mut all);
    all.truncate(count);
    all
}

/// Samples an index by its weight; the weights sum to 1.
pub(super) fn draw(weights: &[f64], stream: &mut Stream) -> usize {
    let mut left = stream.unit();
    for (i, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return i;
        }
    }
    weights.len().saturating_sub(1)
}
