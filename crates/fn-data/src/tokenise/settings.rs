//! What the files beside a vocabulary say: every setting that would change ids is honoured, or refused by its name.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::files::{parse, read_text};
use super::{CONTINUES, MAX_WORD, Normalisation, SPECIAL_TOKENS};
use crate::error::DataError;

/// Names in transformers of the special tokens, in the order of [`SPECIAL_TOKENS`].
pub(super) const ROLES: [&str; 5] = ["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"];

/// Tokenizers of transformers that cut text as BERT's does, each also with `Fast` behind it.
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
/// Names that say nothing about the rules: those are in `tokenizer.json`.
const ANY: [&str; 3] = ["PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend"];

/// What `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` and `config.json` say about ids.
#[derive(Debug, Default)]
pub(super) struct Settings {
    path: PathBuf,
    lowercase: Option<bool>,
    /// Some(None): as `lowercase` says.
    strip_accents: Option<Option<bool>>,
    chinese: Option<bool>,
    /// Special tokens by id, whether the vocabulary has them yet or not.
    pub(super) added: Vec<(u64, String)>,
    /// Special tokens without id: the vocabulary must have them.
    named: Vec<(String, String)>,
}

impl Settings {
    /// Of the files beside a vocabulary.
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
        // Of a model's configuration only this is about text; whoever reads the model says what else is wrong with it.
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

    /// The names of special tokens.
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

    /// Tokens that are added by content and id alone are cut out of any text, even within words.
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

    /// How text is normalised under a `vocab.txt`; `guess` where nothing says whether it is lower-cased.
    pub(super) fn normalisation(&self, guess: impl FnOnce() -> bool) -> Normalisation {
        Normalisation {
            strip_accents: self.strip_accents.flatten(),
            chinese: self.chinese.unwrap_or(true),
            ..Normalisation::bert(self.lowercase.unwrap_or_else(guess))
        }
    }

    /// Whether nothing here contradicts the rules of a `tokenizer.json`.
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
                    "`{name}` comes to {here} here and to {there} in tokenizer.json beside it"
                )));
            }
        }
        Ok(())
    }

    /// Whether the vocabulary has every special token that is only named.
    pub(super) fn check(&self, pieces: &[String]) -> Result<(), DataError> {
        match self.named.iter().find(|(_, token)| !pieces.contains(token)) {
            None => Ok(()),
            Some((name, token)) => Err(refused(&self.path)(format!(
                "`{name}` names `{token}`, which the vocabulary does not have"
            ))),
        }
    }
}

fn object(path: &Path) -> Result<Option<Map<String, Value>>, DataError> {
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

/// Whether the class, if one is named, cuts text as BERT's does.
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

/// A yes or no, if it is there.
pub(super) fn flag(value: &Map<String, Value>, name: &str) -> Result<Option<bool>, String> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(format!("`{name}` is {other}; expected true or false")),
    }
}

/// A token as text, or as an object with its `content`.
fn content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// An added token, and whether it is special: others are cut out of text before BERT's rules see it.
pub(super) fn added_token(value: &Value) -> Result<(&str, bool), String> {
    let token = value.get("content").and_then(Value::as_str);
    let token =
        token.ok_or_else(|| format!("an added token is {value}; expected an object with `content`"))?;
    let special = value.get("special").and_then(Value::as_bool).unwrap_or(false);
    Ok((token, special || SPECIAL_TOKENS.contains(&token)))
}

/// That a token is not special.
pub(super) fn cut_out(token: &str) -> String {
    format!(
        "`{token}` is an added token that is not special: it would be cut out of any text, which is not built in; make it an \
         ordinary piece (a line of vocab.txt)"
    )
}
