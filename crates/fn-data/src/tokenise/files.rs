//! Reads and writes the files of a tokenizer.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use fn_core::files::write_atomic;
use serde_json::{Map, Value, json};

use super::settings::{ROLES, Settings, added_token, content, flag, object};
use super::{
    CONTINUES, MAX_PIECES, MAX_WORD, Normalisation, SPECIAL_TOKENS, TextTokenizer, foreign, marks, merges,
};
use crate::error::DataError;

/// Maximum size of a file in bytes; the largest published tokenizer.json has about 20 MB.
const MAX_FILE: u64 = 64 << 20;

/// Maximum of `max_input_chars_per_word`: the time to split a word grows with the square of its length.
const LONGEST_WORD: usize = 1_000;

/// What a file holds.
pub(super) enum Read {
    /// A WordPiece vocabulary by BERT's rules.
    Bert {
        pieces: Vec<String>,
        normalisation: Normalisation,
        path: PathBuf,
        /// The post-processor.
        frame: Option<Value>,
        max_length: Option<usize>,
    },
    /// Any other `tokenizer.json`.
    Foreign(Box<foreign::Read>),
}

/// Reads a file, or the one of a folder.
pub(super) fn read(path: &Path) -> Result<Read, DataError> {
    let file = if path.is_dir() {
        let candidates = ["tokenizer.json", "vocab.txt", "vocab.json"].map(|name| path.join(name));
        candidates.into_iter().find(|p| p.exists()).ok_or_else(|| no_tokenizer(path))?
    } else {
        path.to_owned()
    };
    if file.extension().is_some_and(|extension| extension == "model") {
        return Err(DataError::SentencePiece { path: file });
    }
    let text = read_text(&file)?;
    let wrong = |message: String| DataError::Tokenizer { path: file.clone(), message };
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut frame = None;
    let (pieces, normalisation) = if file.extension().is_some_and(|e| e == "json") {
        let (value, beside) = match name == "vocab.json" {
            true => (merges::rules(&text, &file)?, Beside::read(&file)?),
            false => (parse(&text).map_err(wrong)?, Beside::read(&file)?),
        };
        if !by_bert(&value, &beside.files) {
            let Beside { files: beside, model_type } = beside;
            return Ok(Read::Foreign(Box::new(foreign::Read {
                path: file,
                rules: value,
                beside,
                model_type,
            })));
        }
        let settings = Settings::beside(&file)?;
        frame = value.get("post_processor").cloned();
        let (pieces, normalisation) = from_json(&value).map_err(wrong)?;
        settings.agree(normalisation)?;
        if path.is_dir() {
            same_pieces(&file.with_file_name("vocab.txt"), &pieces)?;
        }
        settings.check(&pieces)?;
        (pieces, normalisation)
    } else {
        let settings = Settings::beside(&file)?;
        let mut pieces = lines(&text);
        let normalisation = settings.normalisation(|| looks_lowercase(&pieces));
        add(&mut pieces, &settings.added).map_err(wrong)?;
        settings.check(&pieces)?;
        (pieces, normalisation)
    };
    let mut max_length = None;
    for (name, config) in Beside::read(&file)?.files {
        if name == "tokenizer_config.json" {
            let path = file.with_file_name(name);
            let refused = |message: String| DataError::TokenizerRules { path, message };
            max_length =
                foreign::truncation(&config).and_then(|()| foreign::max_length(&config)).map_err(refused)?;
        }
    }
    Ok(Read::Bert { pieces, normalisation, path: file, frame, max_length })
}

/// Why a folder gives no tokenizer.
fn no_tokenizer(folder: &Path) -> DataError {
    let found = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let model = found.filter(|p| p.extension().is_some_and(|e| e == "model")).min();
    model.map_or_else(
        || DataError::Tokenizer {
            path: folder.to_owned(),
            message: "the folder holds neither tokenizer.json nor vocab.txt".to_owned(),
        },
        |path| DataError::SentencePiece { path },
    )
}

/// The files beside a `tokenizer.json`.
struct Beside {
    files: Vec<(&'static str, Map<String, Value>)>,
    model_type: Option<String>,
}

impl Beside {
    fn read(file: &Path) -> Result<Self, DataError> {
        let mut files = Vec::new();
        for name in ["tokenizer_config.json", "special_tokens_map.json"] {
            if let Some(object) = object(&file.with_file_name(name))? {
                files.push((name, object));
            }
        }
        let model = object(&file.with_file_name("config.json")).ok().flatten();
        let model_type = model.and_then(|model| Some(model.get("model_type")?.as_str()?.to_owned()));
        Ok(Self { files, model_type })
    }
}

/// Whether a `tokenizer.json` is WordPiece by BERT's rules, with BERT's special tokens.
fn by_bert(value: &Value, beside: &[(&'static str, Map<String, Value>)]) -> bool {
    let text = |pointer: &str, usual: &str| match value.pointer(pointer) {
        None | Some(Value::Null) => true,
        Some(found) => found.as_str() == Some(usual),
    };
    let steps = marks::steps(value.get("normalizer"));
    let kinds: Vec<&str> = steps.iter().map(|step| kind_of(Some(step))).collect();
    let known = |(place, kind): (usize, &&str)| match *kind {
        "BertNormalizer" | "Lowercase" => true,
        "StripAccents" => kinds[..place].contains(&"NFD"),
        "NFD" => kinds[place..].contains(&"StripAccents"),
        _ => false,
    };
    let tokens = value.get("added_tokens").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let specials = tokens.iter().all(|token| added_token(token).is_ok_and(|(_, special)| special));
    let named = beside.iter().all(|(_, object)| {
        let usual = |(role, token): (&str, &str)| {
            object.get(role).is_none_or(|found| found.is_null() || content(found) == Some(token))
        };
        ROLES.into_iter().zip(SPECIAL_TOKENS).all(usual)
    });
    text("/model/type", "WordPiece")
        && value.pointer("/model/vocab").is_none_or(Value::is_object)
        && text("/model/continuing_subword_prefix", CONTINUES)
        && text("/model/unk_token", SPECIAL_TOKENS[1])
        && kind_of(value.get("pre_tokenizer")) == "BertPreTokenizer"
        && kinds.iter().enumerate().all(known)
        && specials
        && named
}

/// The pieces in a `vocab.txt`.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(|l| l.trim_end_matches('\r').to_owned()).collect()
}

/// Checks that a `vocab.txt` beside a `tokenizer.json` has the same vocabulary; added tokens may be missing in it.
fn same_pieces(vocabulary: &Path, pieces: &[String]) -> Result<(), DataError> {
    if !vocabulary.exists() {
        return Ok(());
    }
    let found = lines(&read_text(vocabulary)?);
    let other = (0..found.len()).find(|&id| pieces.get(id) != found.get(id));
    match other {
        None => Ok(()),
        Some(id) => Err(DataError::Tokenizer {
            path: vocabulary.to_owned(),
            message: format!(
                "piece {id} is `{}` here and `{}` in tokenizer.json beside it; remove the wrong file",
                found[id],
                pieces.get(id).map_or("missing", String::as_str)
            ),
        }),
    }
}

/// The text of a file, without a byte order mark.
pub(super) fn read_text(path: &Path) -> Result<String, DataError> {
    let file = fn_core::files::open(path).map_err(DataError::io(path, "open"))?;
    let found = file.metadata().map_err(DataError::io(path, "inspect"))?.len();
    let wrong = |message: String| DataError::Tokenizer { path: path.to_owned(), message };
    if found > MAX_FILE {
        return Err(wrong(format!("{found} bytes, at most {MAX_FILE}")));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(DataError::io(path, "read"))?;
    let text = String::from_utf8(bytes)
        .map_err(|e| wrong(format!("not UTF-8 at byte {}", e.utf8_error().valid_up_to())))?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

pub(super) fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

/// Whether the vocabulary has no upper-case letter, and so is taken for one of lower-cased text.
fn looks_lowercase(pieces: &[String]) -> bool {
    let bracketed = |piece: &str| piece.starts_with('[') && piece.ends_with(']');
    !pieces.iter().any(|p| !bracketed(p) && p.chars().any(char::is_uppercase))
}

/// Pieces and normalisation of a `tokenizer.json` that is [`by_bert`].
fn from_json(value: &Value) -> Result<(Vec<String>, Normalisation), String> {
    let model = value.get("model").and_then(Value::as_object).ok_or("no `model` in it")?;
    let vocabulary = model.get("vocab").and_then(Value::as_object).ok_or("no `model.vocab` in it")?;
    let mut pieces = place(vocabulary)?;
    let mut added = Vec::new();
    if let Some(tokens) = value.get("added_tokens").filter(|v| !v.is_null()) {
        for token in tokens.as_array().ok_or("`added_tokens` is no list")? {
            let id = token.get("id").and_then(Value::as_u64);
            let id = id.ok_or_else(|| format!("an added token is {token}; expected an object with `id`"))?;
            added.push((id, added_token(token)?.0.to_owned()));
        }
    }
    added.sort_unstable();
    add(&mut pieces, &added)?;
    let mut rules = normalisation(value.get("normalizer"))?;
    if let Some(most) = model.get("max_input_chars_per_word") {
        rules.max_word = most
            .as_u64()
            .and_then(|most| usize::try_from(most).ok())
            .filter(|most| (1..=LONGEST_WORD).contains(most))
            .ok_or_else(|| format!("max_input_chars_per_word is {most}, 1 to {LONGEST_WORD} are possible"))?;
    }
    Ok((pieces, rules))
}

/// The `type` of a part of the tokenizer.
fn kind_of(part: Option<&Value>) -> &str {
    part.and_then(|p| p.get("type")).and_then(Value::as_str).unwrap_or("nothing")
}

/// Pieces in the order of ids; every id from 0 on must occur exactly once.
fn place(vocabulary: &Map<String, Value>) -> Result<Vec<String>, String> {
    if vocabulary.len() > MAX_PIECES {
        return Err(format!("{} pieces, at most {MAX_PIECES}", vocabulary.len()));
    }
    let mut pieces = vec![String::new(); vocabulary.len()];
    for (piece, id) in vocabulary {
        let id = id.as_u64().ok_or_else(|| format!("the id of `{piece}` is no number"))?;
        let last = vocabulary.len() - 1;
        let slot = pieces
            .get_mut(id as usize)
            .ok_or_else(|| format!("`{piece}` has id {id}, the last is {last}"))?;
        if !slot.is_empty() {
            return Err(format!("`{slot}` and `{piece}` share id {id}"));
        }
        piece.clone_into(slot);
    }
    Ok(pieces)
}

/// Appends added tokens, in the order of ids; those that are not in the vocabulary must continue its ids without a gap.
fn add(pieces: &mut Vec<String>, added: &[(u64, String)]) -> Result<(), String> {
    for &(id, ref piece) in added {
        match pieces.get(id as usize) {
            Some(present) if present == piece => {}
            Some(present) => return Err(format!("added token `{piece}` has the id {id} of `{present}`")),
            None if id as usize == pieces.len() => pieces.push(piece.clone()),
            None => {
                return Err(format!("added token `{piece}` has id {id}, {} is next", pieces.len()));
            }
        }
    }
    Ok(())
}

/// Reads a BertNormalizer, or a sequence of the same steps. Any other normaliser is an error, because ids would differ.
fn normalisation(value: Option<&Value>) -> Result<Normalisation, String> {
    let mut rules = Normalisation {
        lowercase: false,
        strip_accents: Some(false),
        chinese: false,
        clean: false,
        max_word: MAX_WORD,
    };
    let Some(value) = value.filter(|v| !v.is_null()) else {
        return Ok(rules);
    };
    let parts: Vec<&Value> = match value.get("normalizers").and_then(Value::as_array) {
        Some(parts) if kind_of(Some(value)) == "Sequence" => parts.iter().collect(),
        _ => vec![value],
    };
    let kinds: Vec<&str> = parts.iter().map(|part| kind_of(Some(part))).collect();
    for (place, (part, &kind)) in parts.iter().zip(&kinds).enumerate() {
        match kind {
            "BertNormalizer" => {
                let part = part.as_object().ok_or("`normalizer` is no object")?;
                let lowercase = flag(part, "lowercase")?.unwrap_or(true);
                let strip_accents = flag(part, "strip_accents")?;
                rules.chinese |= flag(part, "handle_chinese_chars")?.unwrap_or(true);
                rules.clean |= flag(part, "clean_text")?.unwrap_or(true);
                rules.lowercase |= lowercase;
                if parts.len() == 1 {
                    rules.strip_accents = strip_accents;
                } else if strip_accents.unwrap_or(lowercase) {
                    rules.strip_accents = Some(true);
                }
            }
            "Lowercase" => rules.lowercase = true,
            // NFD and StripAccents together remove accents.
            "StripAccents" if kinds[..place].contains(&"NFD") => rules.strip_accents = Some(true),
            "NFD" if kinds[place..].contains(&"StripAccents") => {}
            "StripAccents" => {
                return Err("`StripAccents` without `NFD` before it; `BertNormalizer` is needed".to_owned());
            }
            _ => {
                return Err(format!("text is normalised by `{kind}`, `BertNormalizer` is needed"));
            }
        }
    }
    Ok(rules)
}

pub(super) fn write(tokenizer: &TextTokenizer, n: Normalisation, dir: &Path) -> Result<(), DataError> {
    std::fs::create_dir_all(dir).map_err(DataError::io(dir, "create"))?;
    let vocabulary: String = tokenizer.pieces().iter().flat_map(|p| [p.as_str(), "\n"]).collect();
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        write_atomic(&path, bytes).map_err(DataError::io(&path, "write"))
    };
    put("vocab.txt", vocabulary.as_bytes())?;
    for (name, value) in [
        ("tokenizer.json", tokenizer_json(tokenizer, n)),
        ("tokenizer_config.json", config_json(n)),
        ("special_tokens_map.json", special_json()),
    ] {
        put(name, format!("{value:#}\n").as_bytes())?;
    }
    Ok(())
}

fn special_json() -> Value {
    ROLES
        .into_iter()
        .zip(SPECIAL_TOKENS)
        .map(|(role, token)| (role.to_owned(), json!(token)))
        .collect::<Map<_, _>>()
        .into()
}

fn config_json(n: Normalisation) -> Value {
    let mut value = special_json();
    // transformers builds a BertTokenizer from these settings, which cannot express all settings of tokenizer.json.
    let in_words = n.clean && n.max_word == MAX_WORD;
    value["tokenizer_class"] = json!(if in_words { "BertTokenizer" } else { "PreTrainedTokenizerFast" });
    value["do_lower_case"] = json!(n.lowercase);
    value["strip_accents"] = json!(n.strip_accents);
    value["tokenize_chinese_chars"] = json!(n.chinese);
    value["model_max_length"] = json!(512);
    value
}

fn tokenizer_json(tokenizer: &TextTokenizer, n: Normalisation) -> Value {
    let special = tokenizer.special();
    let vocabulary: Map<String, Value> =
        tokenizer.pieces().iter().enumerate().map(|(id, piece)| (piece.clone(), json!(id))).collect();
    let ids = [special.pad, special.unk, special.cls, special.sep, special.mask];
    let added: Vec<Value> = ids
        .into_iter()
        .zip(SPECIAL_TOKENS)
        .map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    let name = |id: u32| tokenizer.token(id).unwrap_or_default().to_owned();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": n.clean, "handle_chinese_chars": n.chinese,
                       "strip_accents": n.strip_accents, "lowercase": n.lowercase},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": tokenizer.frame().to_json(&name),
        "decoder": {"type": "WordPiece", "prefix": CONTINUES, "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": CONTINUES,
                  "max_input_chars_per_word": n.max_word, "vocab": vocabulary},
    })
}
