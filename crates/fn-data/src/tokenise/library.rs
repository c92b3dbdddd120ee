//! Any `tokenizer.json`, run by the `tokenizers` crate itself.
//!
//! Three things differ from calling the crate plainly. *Special tokens are not recognised in text*: a literal `</s>` becomes ordinary
//! pieces. *Truncation, padding and post-processing* are left out (the last is [`Frame`](super::Frame)). *Words are cached*, where the rules allow
//! to cut a text before a blank without changing its ids.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use fn_core::panics::caught;
use serde_json::{Value, json};
use tokenizers::{NormalizedString, Normalizer, Tokenizer};

use super::cache;
use super::marks::{blank_pattern, steps};

/// A tokenizer of the library.
pub(super) struct Library {
    engine: Tokenizer,
    cut: Option<Cut>,
    /// Real ids of those of the engine, where they differ.
    ids: HashMap<u32, u32>,
    /// Special ids, which no text gets.
    special: BTreeSet<u32>,
    unknown: u32,
    lowercase: bool,
}

/// How a text may be cut into stretches, each of which gets the same ids alone as within the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    /// A stretch loses its blank, because the tokenizer puts one before every text.
    drop_blank: bool,
    /// Cut only behind characters that form no cluster with a blank.
    simple_only: bool,
}

impl Library {
    /// A tokenizer of these rules. `pieces`: all pieces by id; `special`: those that no text gets.
    pub(super) fn new(
        rules: &Value,
        pieces: &[String],
        special: BTreeSet<u32>,
        unknown: u32,
    ) -> Result<Self, String> {
        let names: HashMap<&str, u32> =
            special.iter().filter_map(|&id| Some((pieces.get(id as usize)?.as_str(), id))).collect();
        let text = hidden(rules, &names).to_string();
        // The library panics on some contents that its checks let pass.
        let made = caught(|| {
            let engine: Tokenizer = text.parse().map_err(|e: tokenizers::Error| e.to_string())?;
            engine.encode("Probe: a Word, é 中 1.", false).map_err(|e| e.to_string())?;
            Ok::<Tokenizer, String>(engine)
        });
        let engine = made.unwrap_or_else(|| Err("its contents are damaged".to_owned()))?;
        let mut ids = HashMap::new();
        for (id, piece) in pieces.iter().enumerate() {
            if let Some(found) = engine.token_to_id(piece).filter(|&found| found as usize != id) {
                // Equal pieces exist in published Unigram vocabularies; the engine then gives the id of one of them.
                if pieces.get(found as usize) != Some(piece) {
                    ids.insert(found, id as u32);
                }
            }
        }
        let lowercase = normalised(&engine, "ABC") == normalised(&engine, "abc");
        Ok(Self { engine, cut: cut(rules, pieces, &special), ids, special, unknown, lowercase })
    }

    /// Whether two texts are the same after normalisation.
    pub(super) fn same(&self, one: &str, other: &str) -> bool {
        normalised(&self.engine, one) == normalised(&self.engine, other)
    }

    /// Whether *ABC* and *abc* are the same after normalisation.
    pub(super) fn lowercase(&self) -> bool {
        self.lowercase
    }

    pub(super) fn encode(&self, owner: cache::Owner, text: &str) -> Vec<u32> {
        match self.cut {
            Some(cut) => cache::encode(owner, cut.stretches(text), text.len(), |stretch, ids| {
                self.plainly(stretch, ids)
            }),
            None => {
                let mut ids = Vec::with_capacity(text.len() / 4);
                self.plainly(text, &mut ids);
                ids
            }
        }
    }

    /// Appends the ids of a text, without a cache.
    pub(super) fn plainly(&self, text: &str, ids: &mut Vec<u32>) {
        match self.engine.encode_fast(text, false) {
            Ok(encoding) => ids.extend(encoding.get_ids().iter().map(|&id| self.real(id))),
            // A regular expression of the rules gave up on this text.
            Err(_) => ids.push(self.unknown),
        }
    }

    pub(super) fn encode_with_offsets(&self, text: &str) -> (Vec<u32>, Vec<Range<usize>>) {
        match self.engine.encode(text, false) {
            Ok(encoding) => {
                let ids = encoding.get_ids().iter().map(|&id| self.real(id)).collect();
                (ids, encoding.get_offsets().iter().map(|&(start, end)| trimmed(text, start, end)).collect())
            }
            Err(_) => (vec![self.unknown], std::iter::once(0..text.len()).collect()),
        }
    }

    fn real(&self, id: u32) -> u32 {
        let id = self.ids.get(&id).copied().unwrap_or(id);
        if self.special.contains(&id) { self.unknown } else { id }
    }
}

/// A text after the normalisation of the rules.
fn normalised(engine: &Tokenizer, text: &str) -> String {
    let mut normalised = NormalizedString::from(text);
    if let Some(rules) = engine.get_normalizer() {
        // Fails on no valid text.
        let _ = rules.normalize(&mut normalised);
    }
    normalised.get().to_owned()
}

/// A range that ends at character boundaries, without the blanks around it unless there is nothing else.
fn trimmed(text: &str, start: usize, end: usize) -> Range<usize> {
    let (mut start, mut end) = (start.min(text.len()), end.min(text.len()));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let piece = &text[start..end.max(start)];
    let inner = piece.trim();
    if inner.is_empty() {
        return start..end.max(start);
    }
    start += piece.len() - piece.trim_start().len();
    start..start + inner.len()
}

/// The rules with special tokens renamed to what no text holds, and without truncation, padding and post-processing.
fn hidden(rules: &Value, special: &HashMap<&str, u32>) -> Value {
    let mut rules = rules.clone();
    for part in ["truncation", "padding", "post_processor", "decoder"] {
        rules[part] = Value::Null;
    }
    // Should a text hold it nevertheless, the id is turned into that of the unknown token.
    let name = |id: u32| format!("\u{fffe}{id}\u{fffe}");
    let renamed = |token: &str| special.get(token).map(|&id| Value::from(name(id)));
    if let Some(added) = rules.get_mut("added_tokens").and_then(Value::as_array_mut) {
        for token in added {
            if let Some(new) = token.get("content").and_then(Value::as_str).and_then(renamed) {
                token["content"] = new;
            }
        }
    }
    let Some(model) = rules.get_mut("model").and_then(Value::as_object_mut) else { return rules };
    if let Some(new) = model.get("unk_token").and_then(Value::as_str).and_then(renamed) {
        model.insert("unk_token".to_owned(), new);
    }
    match model.get_mut("vocab") {
        Some(Value::Object(vocabulary)) => {
            for (&token, &id) in special {
                if let Some(value) = vocabulary.remove(token) {
                    vocabulary.insert(name(id), value);
                }
            }
        }
        Some(Value::Array(vocabulary)) => {
            for piece in vocabulary {
                if let Some(new) = piece.get(0).and_then(Value::as_str).and_then(renamed) {
                    piece[0] = new;
                }
            }
        }
        _ => {}
    }
    if let Some(merges) = model.get_mut("merges").and_then(Value::as_array_mut) {
        let product = |merge: &Value| match merge {
            Value::String(text) => text.replacen(' ', "", 1),
            _ => [0, 1].map(|side| merge.get(side).and_then(Value::as_str).unwrap_or_default()).concat(),
        };
        merges.retain(|merge| !special.contains_key(product(merge).as_str()));
    }
    rules
}

/// How texts may be cut under these rules; None where it is not certain that ids stay the same.
fn cut(rules: &Value, pieces: &[String], special: &BTreeSet<u32>) -> Option<Cut> {
    let text = |step: &Value, key: &str| step.get(key).and_then(Value::as_str).map(str::to_owned);
    let kind = |step: &Value| text(step, "type").unwrap_or_default();
    // Added tokens that are cut out of the text must not reach across a single blank.
    let mut added = false;
    for token in rules.get("added_tokens").and_then(Value::as_array).map_or(&[][..], Vec::as_slice) {
        let id = token.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok())?;
        if special.contains(&id) {
            continue;
        }
        added = true;
        let content = text(token, "content")?;
        let blank = content.chars().all(char::is_whitespace);
        if content.contains(' ') && !(blank && content.len() >= 2)
            || token.get("rstrip") == Some(&json!(true))
        {
            return None;
        }
    }
    let (mut mark, mut prepended, mut simple_only) = (None, false, false);
    for step in steps(rules.get("normalizer")) {
        match kind(step).as_str() {
            "NFC" | "NFD" | "NFKC" | "NFKD" | "Lowercase" | "StripAccents" | "BertNormalizer" | "Nmt" => {}
            "Precompiled" => simple_only = true,
            "Prepend" => {
                prepended = true;
                mark = text(step, "prepend").and_then(|mark| mark.chars().next());
            }
            "Replace" if blank_pattern(step) => {
                mark = text(step, "content").and_then(|mark| mark.chars().next())
            }
            "Replace" => {
                let literal = step.pointer("/pattern/String").and_then(Value::as_str);
                let doubled = step.pointer("/pattern/Regex").and_then(Value::as_str) == Some(" {2,}");
                if !doubled && literal.is_none_or(|pattern| pattern.is_empty() || pattern.contains(' ')) {
                    return None;
                }
            }
            _ => return None,
        }
    }
    let mut splits = false;
    for step in steps(rules.get("pre_tokenizer")) {
        match kind(step).as_str() {
            "ByteLevel" => splits |= step.get("use_regex") != Some(&json!(false)),
            "Metaspace" => {
                let split = step.get("split") != Some(&json!(false));
                splits |= split;
                if !split {
                    mark = text(step, "replacement").and_then(|mark| mark.chars().next());
                }
            }
            "WhitespaceSplit" | "Whitespace" | "BertPreTokenizer" => splits = true,
            "Punctuation" | "Digits" => {}
            // Blanks are no longer there to split at.
            "Split" if mark.is_some() && blank_pattern(step) => {}
            _ => return None,
        }
    }
    if prepended && (added || simple_only) {
        return None;
    }
    if !splits {
        // Without a split, words are apart if the mark is a piece and no piece has it behind another character.
        let mark = mark?;
        let own = mark.to_string();
        let crosses = |piece: &String| piece.trim_start_matches(mark).contains(mark);
        let ordinary = |id: usize| !special.contains(&(id as u32));
        if !pieces.contains(&own)
            || pieces.iter().enumerate().any(|(id, piece)| ordinary(id) && crosses(piece))
        {
            return None;
        }
    }
    Some(Cut { drop_blank: prepended, simple_only })
}

impl Cut {
    /// The stretches of a text: it is cut before each single blank between two characters that are none.
    fn stretches(self, text: &str) -> impl Iterator<Item = &str> {
        let bytes = text.as_bytes();
        let mut start = 0;
        let mut from = 0;
        std::iter::from_fn(move || {
            if start >= text.len() {
                return None;
            }
            let first = start == 0;
            let end = loop {
                let Some(at) = text.get(from..).and_then(|rest| rest.find(' ')).map(|at| from + at) else {
                    break text.len();
                };
                from = at + 1;
                let after = match bytes.get(at + 1) {
                    Some(byte) if byte.is_ascii() => !is_blank(char::from(*byte)),
                    _ => text[at + 1..].chars().next().is_some_and(|c| !is_blank(c)),
                };
                if after && at > start && self.ends(bytes, text, at) {
                    break at;
                }
            };
            let stretch = &text[start..end];
            start = end;
            let blank = self.drop_blank && !first;
            Some(if blank { stretch.strip_prefix(' ').unwrap_or(stretch) } else { stretch })
        })
    }

    /// Whether the character before `at` may end a stretch.
    fn ends(self, bytes: &[u8], text: &str, at: usize) -> bool {
        match bytes.get(at - 1) {
            Some(byte) if byte.is_ascii() => !is_blank(char::from(*byte)),
            _ => text[..at].chars().next_back().is_some_and(|c| {
                let simple = (c as u32) < 0x600 || (0x1e00..0xe000).contains(&(c as u32));
                !is_blank(c) && (simple || !self.simple_only)
            }),
        }
    }
}

/// White space, and control characters that a normaliser may turn into it or remove.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}
