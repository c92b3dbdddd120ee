//! Settings in the files beside a vocabulary: each one that would change ids is applied, or is an error that names it.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::files::{parse, read_text};
use super::{CONTINUES, MAX_WORD, Normalisation, SPECIAL_TOKENS};
use crate::error::DataError;

/// Names of the special tokens in transformers, in the order of [`SPECIAL_TOKENS`].
pub(super) const ROLES: [&str; 5] = ["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"];

/// Tokenizer classes of transformers that split text as BERT's does, each also with the suffix `Fast`.
const LIKE_BERT: [&str; 12] = [
    "BertTokenizer",
    "ConvBertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DPRReaderTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "RetriBertTokenizer",
    "SqueezeBertTokenizer",
];
/// Generic classes, whose rules are in `tokenizer.json`.
const ANY: [&str; 3] = ["PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend"];

/// The settings of `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` and `config.json` that affect ids.
#[derive(Debug, Default)]
pub(super) struct Settings {
    path: PathBuf,
    lowercase: Option<bool>,
    /// Some(None): the same as `lowercase`.
    strip_accents: Option<Option<bool>>,
    chinese: Option<bool>,
    /// Special tokens with an id, whether or not they are in the vocabulary.
    pub(super) added: Vec<(u64, String)>,
    /// Special tokens without an id, which must be in the vocabulary.
    named: Vec<(String, String)>,
}

impl Settings {
    /// Reads the files beside a vocabulary.
    pub(super) fn beside(vocabulary: &Path) -> Result<Self, DataError> {
        let path = vocabulary.with_file_name("tokenizer_config.json");
        let mut settings = Self { path: path.clone(), ..Self::default() };
        if let Some(value) = object(&path)? {
            settings.config(&value).map_err(refused(&path))?;
        }
        let path = vocabulary.with_file_name("special_tokens_map.json");
        if let Some(value) = object(&path)? {
            settings.special(&value).map_err(refused(&path))?;
        }
        let path = vocabulary.with_file_name("added_tokens.json");
        if let Some(value) = object(&path)? {
            settings.plain_added(&value).map_err(refused(&path))?;
        }
        // Only one key of a model's configuration concerns text; the others are checked where the model is read.
        let path = vocabulary.with_file_name("config.json");
        if let Ok(Some(value)) = object(&path) {
            class(&value).map_err(refused(&path))?;
        }
        Ok(settings)
    }

    fn config(&mut self, value: &Map<String, Value>) -> Result<(), String> {
        class(value)?;
        self.lowercase = flag(value, "do_lower_case")?;
        self.strip_accents = match value.get("strip_accents") {
            None => None,
            Some(_) => Some(flag(value, "strip_accents")?),
        };
        self.chinese = flag(value, "tokenize_chinese_chars")?;
        for (name, built_in) in [
            ("clean_text", Value::from(true)),
            ("do_basic_tokenize", true.into()),
            ("do_word_tokenize", true.into()),
            ("do_subword_tokenize", true.into()),
            ("word_tokenizer_type", "basic".into()),
            ("subword_tokenizer_type", "wordpiece".into()),
            ("wordpieces_prefix", CONTINUES.into()),
            ("max_input_chars_per_word", MAX_WORD.into()),
            ("never_split", Value::Array(Vec::new())),
            ("auto_map", Value::Null),
        ] {
            if let Some(found) = value.get(name).filter(|v| !v.is_null() && **v != built_in) {
                return Err(format!("`{name}` is {found}; only {built_in} is built in"));
            }
        }
        if let Some(added) = value.get("added_tokens_decoder") {
            let added = added.as_object().ok_or("`added_tokens_decoder` is no object")?;
            for (id, token) in added {
                let id: u64 =
                    id.parse().map_err(|_| format!("`added_tokens_decoder` has `{id}` in place of an id"))?;
                match added_token(token)? {
                    (token, true) => self.added.push((id, token.to_owned())),
                    (token, false) => return Err(cut_out(token)),
                }
            }
            self.added.sort_unstable();
        }
        self.special(value)
    }

    /// Reads the names of special tokens.
    fn special(&mut self, value: &Map<String, Value>) -> Result<(), String> {
        for (name, found) in value.iter().filter(|(_, v)| !v.is_null()) {
            if let Some(role) = ROLES.iter().position(|role| role == name) {
                let (found, built_in) = (content(found), SPECIAL_TOKENS[role]);
                if found != Some(built_in) {
                    let found = found.unwrap_or("no text");
                    return Err(format!("`{name}` is `{found}`; only `{built_in}` is built in"));
                }
            } else if ["additional_special_tokens", "extra_special_tokens"].contains(&name.as_str()) {
                let tokens: Vec<&Value> = match found {
                    Value::Array(tokens) => tokens.iter().collect(),
                    Value::Object(tokens) => tokens.values().collect(),
                    _ => return Err(format!("`{name}` is no list")),
                };
                for token in tokens {
                    let token = content(token).ok_or_else(|| format!("`{name}` holds {token}, not text"))?;
                    self.named.push((name.clone(), token.to_owned()));
                }
            } else if ["bos_token", "eos_token"].contains(&name.as_str()) {
                let token = content(found).ok_or_else(|| format!("`{name}` is {found}, not text"))?;
                self.named.push((name.clone(), token.to_owned()));
            }
        }
        Ok(())
    }

    /// Reads `added_tokens.json`. Its tokens have only content and id, and are split off from any text, even within words.
    fn plain_added(&mut self, value: &Map<String, Value>) -> Result<(), String> {
        let mut added = Vec::new();
        for (token, id) in value {
            let id = id.as_u64().ok_or_else(|| format!("the id of `{token}` is no number"))?;
            let known = |name: &str| name == token;
            let special = SPECIAL_TOKENS.iter().any(|&t| known(t))
                || self.named.iter().any(|(_, t)| known(t))
                || self.added.iter().any(|(_, t)| known(t));
            if !special {
                return Err(cut_out(token));
            }
            added.push((id, token.clone()));
        }
        self.added.extend(added);
        self.added.sort_unstable();
        self.added.dedup();
        Ok(())
    }

    /// Normalisation for a `vocab.txt`; `guess` decides whether text is lower-cased if no setting does.
    pub(super) fn normalisation(&self, guess: impl FnOnce() -> bool) -> Normalisation {
        Normalisation {
            strip_accents: self.strip_accents.flatten(),
            chinese: self.chinese.unwrap_or(true),
            ..Normalisation::bert(self.lowercase.unwrap_or_else(guess))
        }
    }

    /// Checks that the settings do not contradict a `tokenizer.json`.
    pub(super) fn agree(&self, rules: Normalisation) -> Result<(), DataError> {
        let lowercase = self.lowercase.unwrap_or(rules.lowercase);
        let strips = |n: Option<bool>, lowercase: bool| n.unwrap_or(lowercase);
        let found = strips(rules.strip_accents, rules.lowercase);
        let accents = self.strip_accents.map_or(found, |n| strips(n, lowercase));
        for (name, here, there) in [
            ("do_lower_case", lowercase, rules.lowercase),
            ("strip_accents", accents, found),
            ("tokenize_chinese_chars", self.chinese.unwrap_or(rules.chinese), rules.chinese),
        ] {
            if here != there {
                return Err(refused(&self.path)(format!(
                    "`{name}` is {here} here and {there} in tokenizer.json beside it"
                )));
            }
        }
        Ok(())
    }

    /// Checks that special tokens without an id are in the vocabulary.
    pub(super) fn check(&self, pieces: &[String]) -> Result<(), DataError> {
        match self.named.iter().find(|(_, token)| !pieces.contains(token)) {
            None => Ok(()),
            Some((name, token)) => Err(refused(&self.path)(format!(
                "`{name}` names `{token}`, which the vocabulary does not have"
            ))),
        }
    }
}

pub(super) fn object(path: &Path) -> Result<Option<Map<String, Value>>, DataError> {
    if !path.exists() {
        return Ok(None);
    }
    let wrong = |message: String| DataError::Tokenizer { path: path.to_owned(), message };
    match parse(&read_text(path)?).map_err(wrong)? {
        Value::Object(object) => Ok(Some(object)),
        _ => Err(wrong("not an object".to_owned())),
    }
}

fn refused(path: &Path) -> impl Fn(String) -> DataError {
    let path = path.to_owned();
    move |message| DataError::TokenizerSetting { path: path.clone(), message }
}

/// Checks that the tokenizer class, if there is one, splits text as BERT's does.
fn class(value: &Map<String, Value>) -> Result<(), String> {
    let Some(name) = value.get("tokenizer_class").filter(|v| !v.is_null()) else {
        return Ok(());
    };
    let name = name.as_str().ok_or("`tokenizer_class` is not text")?;
    if ANY.contains(&name) || LIKE_BERT.contains(&name.strip_suffix("Fast").unwrap_or(name)) {
        return Ok(());
    }
    let hint = match name {
        "BertJapaneseTokenizer" => {
            ": it cuts text into words (by MeCab, Sudachi or Juman++) before WordPiece sees them; cut \
             the text into words first, with blanks between them"
        }
        _ => "",
    };
    Err(format!("`tokenizer_class` is `{name}`; those of BERT and ELECTRA are built in{hint}"))
}

/// A boolean, if it is present.
pub(super) fn flag(value: &Map<String, Value>, name: &str) -> Result<Option<bool>, String> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(format!("`{name}` is {other}; expected true or false")),
    }
}

/// A token as text, or as an object with its `content`.
pub(super) fn content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// An added token, and whether it is special. Tokens that are not special are split off from text before BERT's rules apply.
pub(super) fn added_token(value: &Value) -> Result<(&str, bool), String> {
    let token = value.get("content").and_then(Value::as_str);
    let token =
        token.ok_or_else(|| format!("an added token is {value}; expected an object with `content`"))?;
    let special = value.get("special").and_then(Value::as_bool).unwrap_or(false);
    Ok((token, special || SPECIAL_TOKENS.contains(&token)))
}

/// Error message for an added token that is not special.
fn cut_out(token: &str) -> String {
    format!(
        "`{token}` is an added token that is not special: it would be cut out of any text, which is not built in; make it an \
         ordinary piece (a line of vocab.txt)"
    )
}
