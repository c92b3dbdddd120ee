//! Where special tokens stand around a text or a pair of texts, and the token types of each place: the post-processor of a
//! `tokenizer.json`.

use fn_core::vocab::SpecialIds;
use serde_json::Value;

/// One place of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A special token.
    Token { id: u32, token_type: u32 },
    /// All tokens of the first text.
    First { token_type: u32 },
    /// All tokens of the second text.
    Second { token_type: u32 },
}

/// How special tokens frame one text or a pair: `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]` in BERT,
/// `<s> A </s>` and `<s> A </s> </s> B </s>` in RoBERTa.
///
/// Invariants: `A` occurs once in both, `B` once in the pair, after `A`; a frame begins with the class token and ends with the
/// separator.
///
/// ```
/// use fn_core::vocab::SpecialIds;
/// use fn_data::tokenise::Frame;
/// let special = SpecialIds { pad: 1, unk: 3, cls: 0, sep: 2, mask: 4 };
/// assert_eq!(Frame::bert(special).pair(&[7], &[8, 9]), (vec![0, 7, 2, 8, 9, 2], vec![0, 0, 0, 1, 1, 1]));
/// assert_eq!(Frame::roberta(special).pair(&[7], &[8, 9]), (vec![0, 7, 2, 2, 8, 9, 2], vec![0; 7]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    single: Vec<Part>,
    pair: Vec<Part>,
    sep: u32,
}

impl Frame {
    /// BERT's frame; the second text of a pair and the separator after it have token type 1.
    pub fn bert(special: SpecialIds) -> Self {
        let token = |id: u32, token_type: u32| Part::Token { id, token_type };
        let single = vec![token(special.cls, 0), Part::First { token_type: 0 }, token(special.sep, 0)];
        let second = [Part::Second { token_type: 1 }, token(special.sep, 1)];
        Self { pair: [&single[..], &second].concat(), single, sep: special.sep }
    }

    /// RoBERTa's frame: two separators between the texts of a pair, token type 0 everywhere.
    pub fn roberta(special: SpecialIds) -> Self {
        let token = |id: u32| Part::Token { id, token_type: 0 };
        let single = vec![token(special.cls), Part::First { token_type: 0 }, token(special.sep)];
        let second = [token(special.sep), Part::Second { token_type: 0 }, token(special.sep)];
        Self { pair: [&single[..], &second].concat(), single, sep: special.sep }
    }

    /// Ids and token types of one text.
    pub fn single(&self, text: &[u32]) -> (Vec<u32>, Vec<u32>) {
        fill(&self.single, text, &[])
    }

    /// Ids and token types of a pair.
    pub fn pair(&self, first: &[u32], second: &[u32]) -> (Vec<u32>, Vec<u32>) {
        fill(&self.pair, first, second)
    }

    /// Number of special tokens around one text.
    pub fn added_to_single(&self) -> usize {
        self.single.len() - 1
    }

    /// Number of special tokens around and between the texts of a pair.
    pub fn added_to_pair(&self) -> usize {
        self.pair.len() - 2
    }

    /// Index of the first token of the text in [`Frame::single`], and of the first text in [`Frame::pair`].
    pub fn start(&self) -> usize {
        self.single.iter().take_while(|part| matches!(part, Part::Token { .. })).count()
    }

    /// Index of the first token of the second text in [`Frame::pair`], after a first text of this length.
    pub fn second_start(&self, first: usize) -> usize {
        let before = self.pair.iter().take_while(|part| !matches!(part, Part::Second { .. })).count();
        before - 1 + first
    }

    /// The separator.
    pub fn sep(&self) -> u32 {
        self.sep
    }

    /// Reads the `post_processor` of a `tokenizer.json`; None if there is none that adds special tokens. `id` finds the id of a
    /// token.
    pub(super) fn parse(
        processor: Option<&Value>,
        special: SpecialIds,
        id: &dyn Fn(&str) -> Option<u32>,
    ) -> Result<Option<Self>, String> {
        let Some(processor) = processor.filter(|p| !p.is_null()) else { return Ok(None) };
        let kind = processor.get("type").and_then(Value::as_str).unwrap_or("nothing");
        let frame = match kind {
            "ByteLevel" => return Ok(None),
            "Sequence" => {
                let parts =
                    processor.get("processors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let mut found = None;
                for part in parts {
                    match (Self::parse(Some(part), special, id)?, &found) {
                        (Some(_), Some(_)) => {
                            return Err("two parts of `post_processor` add special tokens".to_owned());
                        }
                        (Some(frame), None) => found = Some(frame),
                        (None, _) => {}
                    }
                }
                return Ok(found);
            }
            "BertProcessing" | "RobertaProcessing" => {
                let token = |name: &str| {
                    let token = processor.get(name).and_then(|pair| pair.get(0)).and_then(Value::as_str);
                    let token = token.ok_or_else(|| format!("`post_processor` has no `{name}`"))?;
                    id(token).ok_or_else(|| format!("`post_processor` adds `{token}`, which has no id"))
                };
                let special = SpecialIds { cls: token("cls")?, sep: token("sep")?, ..special };
                if kind == "BertProcessing" { Self::bert(special) } else { Self::roberta(special) }
            }
            "TemplateProcessing" => Self {
                single: template(processor, "single", id)?,
                pair: template(processor, "pair", id)?,
                sep: special.sep,
            },
            other => return Err(format!("`post_processor` is `{other}`, which is not known")),
        };
        frame.check(special)?;
        Ok(Some(frame))
    }

    /// Checks the invariants.
    fn check(&self, special: SpecialIds) -> Result<(), String> {
        let count = |parts: &[Part], second: bool| {
            parts
                .iter()
                .filter(|part| match part {
                    Part::Token { .. } => false,
                    Part::First { .. } => !second,
                    Part::Second { .. } => second,
                })
                .count()
        };
        let order = |part: &Part| matches!(part, Part::Second { .. });
        let place = |second: bool| {
            self.pair.iter().position(|p| order(p) == second && !matches!(p, Part::Token { .. }))
        };
        for (name, parts, expected) in [("single", &self.single, [1, 0]), ("pair", &self.pair, [1, 1])] {
            if [count(parts, false), count(parts, true)] != expected {
                return Err(format!(
                    "`post_processor.{name}` has {} times A and {} times B; expected {} and {}",
                    count(parts, false),
                    count(parts, true),
                    expected[0],
                    expected[1]
                ));
            }
            let framed = matches!((parts.first(), parts.last()),
                (Some(Part::Token { id: first, .. }), Some(Part::Token { id: last, .. }))
                    if *first == special.cls && *last == special.sep);
            if !framed {
                return Err(format!(
                    "`post_processor.{name}` does not begin with the class token (id {}) and end with the separator (id {}), as \
                     an encoder needs it",
                    special.cls, special.sep
                ));
            }
        }
        if place(true) < place(false) {
            return Err("`post_processor.pair` has B before A".to_owned());
        }
        Ok(())
    }

    /// As the `post_processor` of a `tokenizer.json`; `name` gives the text of a special token.
    pub(super) fn to_json(&self, name: &dyn Fn(u32) -> String) -> Value {
        use serde_json::{Map, json};
        let mut tokens = Map::new();
        let mut side = |parts: &[Part]| -> Vec<Value> {
            parts
                .iter()
                .map(|part| match *part {
                    Part::Token { id, token_type } => {
                        let text = name(id);
                        tokens.insert(text.clone(), json!({"id": text, "ids": [id], "tokens": [text]}));
                        json!({"SpecialToken": {"id": text, "type_id": token_type}})
                    }
                    Part::First { token_type } => json!({"Sequence": {"id": "A", "type_id": token_type}}),
                    Part::Second { token_type } => json!({"Sequence": {"id": "B", "type_id": token_type}}),
                })
                .collect()
        };
        let (single, pair) = (side(&self.single), side(&self.pair));
        json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens})
    }
}

impl From<SpecialIds> for Frame {
    /// BERT's frame.
    fn from(special: SpecialIds) -> Self {
        Self::bert(special)
    }
}

fn fill(parts: &[Part], first: &[u32], second: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let length = parts.len() + first.len() + second.len();
    let (mut ids, mut types) = (Vec::with_capacity(length), Vec::with_capacity(length));
    for part in parts {
        match *part {
            Part::Token { id, token_type } => {
                ids.push(id);
                types.push(token_type);
            }
            Part::First { token_type } => {
                ids.extend_from_slice(first);
                types.resize(ids.len(), token_type);
            }
            Part::Second { token_type } => {
                ids.extend_from_slice(second);
                types.resize(ids.len(), token_type);
            }
        }
    }
    (ids, types)
}

/// One side of a `TemplateProcessing`.
fn template(processor: &Value, side: &str, id: &dyn Fn(&str) -> Option<u32>) -> Result<Vec<Part>, String> {
    let parts = processor.get(side).and_then(Value::as_array);
    let parts = parts.ok_or_else(|| format!("`post_processor.{side}` is no list"))?;
    let mut out = Vec::new();
    for part in parts {
        let wrong = || format!("`post_processor.{side}` holds {part}; expected a Sequence or a SpecialToken");
        let (kind, value) = part.as_object().and_then(|part| part.iter().next()).ok_or_else(wrong)?;
        let name = value.get("id").and_then(Value::as_str).ok_or_else(wrong)?;
        let token_type = value.get("type_id").and_then(Value::as_u64).unwrap_or(0);
        let token_type = u32::try_from(token_type).map_err(|_| wrong())?;
        match (kind.as_str(), name) {
            ("Sequence", "A") => out.push(Part::First { token_type }),
            ("Sequence", "B") => out.push(Part::Second { token_type }),
            ("SpecialToken", _) => {
                let listed = processor.pointer("/special_tokens").and_then(|tokens| tokens.get(name));
                let ids = listed.and_then(|token| token.get("ids")).and_then(Value::as_array);
                let ids: Option<Vec<u32>> = match ids {
                    Some(ids) => ids.iter().map(|id| u32::try_from(id.as_u64()?).ok()).collect(),
                    None => id(name).map(|id| vec![id]),
                };
                let missing = || format!("`post_processor.{side}` adds `{name}`, which has no id");
                for found in ids.ok_or_else(missing)? {
                    out.push(Part::Token { id: found, token_type });
                }
            }
            _ => return Err(wrong()),
        }
    }
    Ok(out)
}
