//! A tokenizer of any kind from `tokenizer.json`: its vocabulary, its special tokens and its rules.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use fn_core::files::{hex, write_atomic};
use fn_core::vocab::SpecialIds;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::library::Library;
use super::literal::Literal;
use super::marks::steps;
use super::settings::{ROLES, content};
use super::{Frame, Inner, MAX_PIECES, Rules, TextTokenizer, WordMark, cache, roles, sha256, unused};
use crate::error::DataError;

/// What was read of a tokenizer.
pub(super) struct Read {
    /// The file.
    pub(super) path: PathBuf,
    /// Contents of `tokenizer.json`.
    pub(super) rules: Value,
    /// `tokenizer_config.json` and `special_tokens_map.json`, where they exist.
    pub(super) beside: Vec<(&'static str, Map<String, Value>)>,
    /// `model_type` of a `config.json` beside it.
    pub(super) model_type: Option<String>,
}

/// What a tokenizer of any kind has beside its vocabulary.
pub(super) struct Foreign {
    pub(super) engine: Library,
    /// Ids that no text gets.
    pub(super) special: BTreeSet<u32>,
    /// Ids of added tokens, which are written as they are.
    pub(super) added: BTreeSet<u32>,
    /// Of `rules`.
    pub(super) sha256: String,
    rules: Value,
    config: Option<Map<String, Value>>,
}

/// Makes the tokenizer.
pub(super) fn build(read: Read) -> Result<TextTokenizer, DataError> {
    let path = read.path.clone();
    let wrong = |message: String| DataError::TokenizerFile { path: path.clone(), message };
    let setting = |file: &str| {
        let path = path.with_file_name(file);
        move |message: String| DataError::TokenizerRules { path, message }
    };
    let (pieces, added) = vocabulary(&read.rules).map_err(wrong)?;
    known_steps(&read.rules).map_err(wrong)?;
    let mut ids = HashMap::with_capacity(pieces.len());
    for (id, piece) in pieces.iter().enumerate() {
        ids.entry(piece.clone()).or_insert(id as u32);
    }
    let sources = roles::Sources { tokenizer: &read.rules, beside: &read.beside, ids: &ids };
    let special = roles::find(&sources).map_err(wrong)?;
    let config = read.beside.iter().find(|(name, _)| *name == CONFIG).map(|(_, config)| config);
    let mut hidden = BTreeSet::from([special.pad, special.unk, special.cls, special.sep, special.mask]);
    hidden.extend(added.iter().filter(|(_, special)| *special).map(|(id, _)| *id));
    hidden.extend((0u32..).zip(&pieces).filter(|(_, piece)| unused(piece)).map(|(id, _)| id));
    for (name, object) in &read.beside {
        hidden.extend(named_specials(object, &ids).map_err(setting(name))?);
    }
    let engine = Library::new(&read.rules, &pieces, hidden.clone(), special.unk).map_err(wrong)?;
    let max_length = match config {
        Some(config) => {
            agree(config, &read.rules, &engine).map_err(setting(CONFIG))?;
            truncation(config).map_err(setting(CONFIG))?;
            max_length(config).map_err(setting(CONFIG))?
        }
        None => None,
    };
    let frame = Frame::parse(read.rules.get("post_processor"), special, &|token| ids.get(token).copied());
    let frame = frame.map_err(wrong)?.unwrap_or_else(|| usual_frame(&read, config, special));
    let text = canonical(&read.rules).to_string();
    let literal = Literal::new(hidden.iter().filter_map(|&id| pieces.get(id as usize)).map(String::as_str));
    let foreign = Foreign {
        engine,
        special: hidden,
        added: added.iter().map(|(id, _)| *id).collect(),
        sha256: hex(&Sha256::digest(text.as_bytes())),
        config: config.cloned(),
        rules: Value::Null,
    };
    Ok(TextTokenizer(Arc::new(Inner {
        mark: WordMark::of(&read.rules),
        rules: Rules::Foreign(Box::new(Foreign { rules: read.rules, ..foreign })),
        owner: cache::Owner::unique(),
        sha256: sha256(&pieces),
        pieces,
        ids,
        special,
        frame,
        spelled: OnceLock::new(),
        own_text: OnceLock::new(),
        max_length,
        literal,
    })))
}

const CONFIG: &str = "tokenizer_config.json";

/// Checks that the library knows the steps of the rules: its own message does not name the one that it does not know.
fn known_steps(rules: &Value) -> Result<(), String> {
    let lists: [(&str, &[&str]); 2] = [
        (
            "normalizer",
            &[
                "BertNormalizer",
                "ByteLevel",
                "Lowercase",
                "NFC",
                "NFD",
                "NFKC",
                "NFKD",
                "Nmt",
                "Precompiled",
                "Prepend",
                "Replace",
                "Strip",
                "StripAccents",
            ],
        ),
        (
            "pre_tokenizer",
            &[
                "BertPreTokenizer",
                "ByteLevel",
                "CharDelimiterSplit",
                "Delimiter",
                "Digits",
                "FixedLength",
                "Metaspace",
                "Punctuation",
                "Split",
                "UnicodeScripts",
                "Whitespace",
                "WhitespaceSplit",
            ],
        ),
    ];
    for (part, known) in lists {
        for step in steps(rules.get(part)) {
            let kind = step.get("type").and_then(Value::as_str).unwrap_or("nothing");
            if !known.contains(&kind) && kind != "Sequence" {
                return Err(format!("`{part}` is `{kind}`; known are {}", known.join(", ")));
            }
        }
    }
    Ok(())
}

/// Id of an added token, and whether it is special.
type Added = (u32, bool);

/// Pieces in the order of ids, and the added tokens among them.
fn vocabulary(rules: &Value) -> Result<(Vec<String>, Vec<Added>), String> {
    let model = rules.get("model").and_then(Value::as_object).ok_or("no `model` in it")?;
    let kind = model.get("type").and_then(Value::as_str).unwrap_or("of no type");
    let mut placed: Vec<(u64, &str)> = Vec::new();
    match model.get("vocab") {
        Some(Value::Object(vocabulary)) => {
            for (piece, id) in vocabulary {
                placed.push((id.as_u64().ok_or_else(|| format!("the id of `{piece}` is no number"))?, piece));
            }
        }
        Some(Value::Array(vocabulary)) => {
            for (id, piece) in (0u64..).zip(vocabulary) {
                let text = piece.get(0).and_then(Value::as_str);
                placed.push((
                    id,
                    text.ok_or_else(|| format!("piece {id} is {piece}; expected text and a score"))?,
                ));
            }
        }
        _ => return Err(format!("the model ({kind}) has no `vocab`")),
    }
    let mut added = Vec::new();
    if let Some(tokens) = rules.get("added_tokens").filter(|tokens| !tokens.is_null()) {
        for token in tokens.as_array().ok_or("`added_tokens` is no list")? {
            let wrong = || format!("an added token is {token}; expected an object with `id` and `content`");
            let id = token.get("id").and_then(Value::as_u64).ok_or_else(wrong)?;
            let text = token.get("content").and_then(Value::as_str).ok_or_else(wrong)?;
            placed.push((id, text));
            let special = token.get("special").and_then(Value::as_bool).unwrap_or(false);
            added.push((u32::try_from(id).map_err(|_| format!("`{text}` has the id {id}"))?, special));
        }
    }
    if placed.is_empty() {
        return Err(format!("the vocabulary of the model ({kind}) is empty"));
    }
    if placed.len() > MAX_PIECES {
        return Err(format!("{} pieces, at most {MAX_PIECES}", placed.len()));
    }
    placed.sort_by_key(|&(id, _)| id);
    let mut pieces: Vec<String> = Vec::with_capacity(placed.len());
    let last = placed.last().map_or(0, |&(id, _)| id);
    for (id, piece) in placed {
        let next = pieces.len() as u64;
        if id + 1 == next {
            let other = pieces.last().map_or("", String::as_str);
            if other != piece {
                return Err(format!("`{other}` and `{piece}` share id {id}"));
            }
        } else if id == next {
            pieces.push(piece.to_owned());
        } else {
            return Err(format!(
                "no piece has id {next}, although ids go up to id {last}: a hole in the vocabulary; give the id to a piece such as \
                 `[unused{next}]`"
            ));
        }
    }
    Ok((pieces, added))
}

/// Ids of the special tokens that a file beside the tokenizer names in addition to the roles.
fn named_specials(object: &Map<String, Value>, ids: &HashMap<String, u32>) -> Result<Vec<u32>, String> {
    let mut out = Vec::new();
    for key in ["additional_special_tokens", "extra_special_tokens", "bos_token", "eos_token"] {
        let Some(value) = object.get(key).filter(|value| !value.is_null()) else { continue };
        let tokens: Vec<&Value> = match value {
            Value::Array(tokens) => tokens.iter().collect(),
            Value::Object(tokens) if !tokens.contains_key("content") => tokens.values().collect(),
            one => vec![one],
        };
        for token in tokens {
            let token = content(token).ok_or_else(|| format!("`{key}` holds {token}, not text"))?;
            let missing = || format!("`{key}` names `{token}`, which the vocabulary does not have");
            out.push(ids.get(token).copied().ok_or_else(missing)?);
        }
    }
    if let Some(Value::Object(decoder)) = object.get("added_tokens_decoder") {
        for (id, token) in decoder {
            let Some(text) = content(token) else { continue };
            let id: u32 =
                id.parse().map_err(|_| format!("`added_tokens_decoder` has `{id}` in place of an id"))?;
            if ids.get(text) != Some(&id) {
                return Err(format!(
                    "`added_tokens_decoder` gives id {id} to `{text}`, which {}",
                    ids.get(text)
                        .map_or("the vocabulary does not have".to_owned(), |id| format!("has id {id}"))
                ));
            }
            if token.get("special").and_then(Value::as_bool) == Some(true) {
                out.push(id);
            }
        }
    }
    Ok(out)
}

/// Checks the settings of `tokenizer_config.json` against the rules: those that would change ids agree, or are an error.
fn agree(config: &Map<String, Value>, rules: &Value, engine: &Library) -> Result<(), String> {
    let same = |one: &str, other: &str| {
        let ids = |text: &str| {
            let mut ids = Vec::new();
            engine.plainly(text, &mut ids);
            ids
        };
        ids(one) == ids(other)
    };
    let normalises = |kind: &str| {
        steps(rules.get("normalizer"))
            .into_iter()
            .any(|step| step.get("type").and_then(Value::as_str) == Some(kind))
    };
    let prefixed = steps(rules.get("pre_tokenizer"))
        .into_iter()
        .chain(steps(rules.get("normalizer")))
        .find_map(|step| match step.get("type").and_then(Value::as_str)? {
            "ByteLevel" => step.get("add_prefix_space").and_then(Value::as_bool),
            "Metaspace" => Some(
                step.get("prepend_scheme").and_then(Value::as_str) != Some("never")
                    && step.get("add_prefix_space") != Some(&json!(false)),
            ),
            "Prepend" => Some(true),
            _ => None,
        });
    let checks: [(&str, Option<bool>); 4] = [
        ("do_lower_case", Some(engine.lowercase())),
        ("strip_accents", Some(engine.same("\u{e9}", "e"))),
        (
            "tokenize_chinese_chars",
            normalises("BertNormalizer").then(|| same("\u{4e2d}\u{6587}", "\u{4e2d} \u{6587}")),
        ),
        ("add_prefix_space", prefixed),
    ];
    for (name, found) in checks {
        let here = match config.get(name) {
            None | Some(Value::Null) => continue,
            Some(Value::Bool(here)) => *here,
            Some(other) => return Err(format!("`{name}` is {other}; expected true or false")),
        };
        let there = match (name, found) {
            // Without a rule that the setting speaks of, only `false` says what happens.
            (_, None) => false,
            (_, Some(there)) => there,
        };
        if here != there && !(name == "tokenize_chinese_chars" && found.is_none()) {
            return Err(format!(
                "`{name}` is {here} here and {there} by the rules of tokenizer.json beside it"
            ));
        }
    }
    for name in ["auto_map", "word_tokenizer_type", "subword_tokenizer_type", "never_split"] {
        if let Some(found) = config.get(name).filter(|v| !v.is_null() && **v != json!([])) {
            return Err(format!(
                "`{name}` is {found}, which tokenizer.json cannot express; it needs code in Python"
            ));
        }
    }
    if config.get("split_special_tokens").is_some_and(|v| !v.is_null() && !v.is_boolean()) {
        return Err("`split_special_tokens` is neither true nor false".to_owned());
    }
    Ok(())
}

/// Checks that long texts lose their end, which is all that is built here. (On which side a row is padded changes nothing for what is
/// masked out.)
pub(super) fn truncation(config: &Map<String, Value>) -> Result<(), String> {
    match config.get("truncation_side").filter(|side| !side.is_null() && **side != json!("right")) {
        Some(side) => Err(format!(
            "`truncation_side` is {side}; long texts lose their end here, so only \"right\" is supported: set it to \"right\" if the \
             model was trained so"
        )),
        None => Ok(()),
    }
}

/// `model_max_length`; none where it is absent or the 1e30 of transformers, which means that there is no limit.
pub(super) fn max_length(config: &Map<String, Value>) -> Result<Option<usize>, String> {
    let Some(value) = config.get("model_max_length").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    match value.as_f64() {
        Some(length) if length >= 1e9 => Ok(None),
        Some(length) if length >= 1.0 && length.fract() == 0.0 => Ok(Some(length as usize)),
        _ => Err(format!("`model_max_length` is {value}; expected a number of tokens, 1 or more")),
    }
}

/// The frame of a tokenizer without a post-processor: RoBERTa's of its family, else BERT's.
fn usual_frame(read: &Read, config: Option<&Map<String, Value>>, special: SpecialIds) -> Frame {
    let class = config.and_then(|config| config.get("tokenizer_class")).and_then(Value::as_str);
    let like_roberta = ["roberta", "camembert", "bart"];
    let named = class.into_iter().chain(read.model_type.as_deref()).map(str::to_lowercase);
    match named.into_iter().any(|name| like_roberta.iter().any(|family| name.contains(family))) {
        true => Frame::roberta(special),
        false => Frame::bert(special),
    }
}

/// The parts of `tokenizer.json` that ids depend on.
fn canonical(rules: &Value) -> Value {
    let part = |key: &str| rules.get(key).cloned().unwrap_or(Value::Null);
    json!({"added_tokens": part("added_tokens"), "normalizer": part("normalizer"),
           "pre_tokenizer": part("pre_tokenizer"), "model": part("model")})
}

/// Writes the tokenizer as transformers reads it.
pub(super) fn write(tokenizer: &TextTokenizer, foreign: &Foreign, dir: &Path) -> Result<(), DataError> {
    std::fs::create_dir_all(dir).map_err(DataError::io(dir, "create"))?;
    let special = tokenizer.special();
    let ids = [special.pad, special.unk, special.cls, special.sep, special.mask];
    let roles: Map<String, Value> =
        ROLES.into_iter().zip(ids).map(|(role, id)| (role.to_owned(), json!(tokenizer.token(id)))).collect();
    let config = foreign.config.clone().unwrap_or_else(|| {
        let mut config = roles.clone();
        config.insert("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"));
        config
    });
    let mut rules = foreign.rules.clone();
    if Frame::parse(rules.get("post_processor"), special, &|token| tokenizer.id(token)) == Ok(None) {
        let name = |id: u32| tokenizer.token(id).unwrap_or_default().to_owned();
        rules["post_processor"] = tokenizer.frame().to_json(&name);
    }
    for (name, value) in
        [("tokenizer.json", rules), (CONFIG, config.into()), ("special_tokens_map.json", roles.into())]
    {
        let path = dir.join(name);
        write_atomic(&path, format!("{value:#}\n").as_bytes()).map_err(DataError::io(&path, "write"))?;
    }
    Ok(())
}
