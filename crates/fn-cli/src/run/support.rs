//! What several commands need: signals, tokenizers, lexicons, sources.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fn_core::lexicon::Lexicon;
use fn_data::source::{SourceOptions, Sources};
use fn_data::tokenise::TextTokenizer;
use fn_train::stop::Stop;

use crate::args::TextArgs;
use crate::error::CliError;

/// From now on SIGINT and SIGTERM only ask; whoever has a long loop looks.
///
/// # Errors
/// The system refuses the handlers.
pub fn interruptible() -> Result<Stop, CliError> {
    let stop = Stop::on_signals().map_err(CliError::failed_from)?;
    let _ = STOP.set(stop.clone());
    Ok(stop)
}

/// The handle of this process: the exit code needs the number of the signal.
static STOP: OnceLock<Stop> = OnceLock::new();

/// The signal that asked this process to stop; SIGINT where none is known.
pub fn signal() -> i32 {
    STOP.get().and_then(Stop::signal).unwrap_or(libc::SIGINT)
}

/// The error of a command that a signal ended before it had anything to save.
pub fn interrupted(stop: &Stop) -> CliError {
    CliError::Interrupted(stop.signal().unwrap_or(libc::SIGINT))
}

/// An error of reading input, unless a signal was the reason.
pub fn input_error(stop: &Stop, error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    if stop.requested() { interrupted(stop) } else { CliError::input_from(error) }
}

/// How text is read under these flags.
pub fn source_options(reading: &TextArgs, stop: &Stop) -> SourceOptions {
    SourceOptions {
        json_field: reading.json_field.clone(),
        parquet_column: reading.parquet_column.clone(),
        stop: stop.flag(),
    }
}

/// Loads a tokenizer.
///
/// # Errors
/// It is missing or cannot be used (3).
pub fn tokenizer(path: &Path) -> Result<TextTokenizer, CliError> {
    TextTokenizer::load(path).map_err(CliError::input_from)
}

/// Loads a lexicon and checks that it was built for this tokenizer.
///
/// # Errors
/// It is missing, damaged, or for another vocabulary (3).
pub fn lexicon(path: &Path, tokenizer: &TextTokenizer) -> Result<Lexicon, CliError> {
    let lexicon = Lexicon::load(path).map_err(CliError::input_from)?;
    lexicon
        .check_vocabulary(tokenizer.size(), tokenizer.sha256())
        .map_err(|error| CliError::input(format!("{}: {error}", path.display())))?;
    Ok(lexicon)
}

/// How often each token of the vocabulary occurs in a text.
///
/// # Errors
/// Text that cannot be read (3), a signal (128+n).
pub fn count_tokens(
    text: &[PathBuf],
    options: &SourceOptions,
    tokenizer: &TextTokenizer,
    stop: &Stop,
) -> Result<Vec<u64>, CliError> {
    let mut counts = vec![0_u64; tokenizer.size()];
    let documents = Sources::open(text, options).map_err(|error| input_error(stop, error))?;
    for document in documents {
        let document = document.map_err(|error| input_error(stop, error))?;
        for line in document.text.lines() {
            if stop.requested() {
                return Err(interrupted(stop));
            }
            for id in tokenizer.encode(line) {
                if let Some(count) = counts.get_mut(id as usize) {
                    *count += 1;
                }
            }
        }
    }
    if stop.requested() {
        return Err(interrupted(stop));
    }
    Ok(counts)
}

/// The one piece that a word is.
///
/// # Errors
/// The word is several pieces, or none (2).
pub fn one_piece(tokenizer: &TextTokenizer, word: &str) -> Result<u32, CliError> {
    if let Some(id) = tokenizer.id(word) {
        return Ok(id);
    }
    match tokenizer.encode(word).as_slice() {
        [id] if *id != tokenizer.facts().special.unk => Ok(*id),
        ids => {
            let pieces: Vec<String> = ids.iter().map(|&id| tokenizer.piece(id)).collect();
            Err(CliError::usage(format!(
                "`{word}` is not one piece of this vocabulary but {} ({}); lexicons hold single pieces only, try another word",
                pieces.len(),
                pieces.join(" ")
            )))
        }
    }
}

/// A value with `key=value` settings applied, the keys dotted, the values TOML (text may stand without quotes).
///
/// # Errors
/// A key that does not exist (with the nearest one that does), a value of the wrong kind.
pub fn set_values<T: serde::Serialize + for<'a> serde::Deserialize<'a>>(
    value: &T,
    settings: &[String],
) -> Result<T, CliError> {
    let mut table = toml::Table::try_from(value).map_err(CliError::failed_from)?;
    for setting in settings {
        let Some((key, text)) = setting.split_once('=') else {
            return Err(CliError::usage(format!("--set {setting}: expected KEY=VALUE")));
        };
        let key = key.trim();
        let parsed = toml::from_str::<toml::Table>(&format!("x = {text}")).ok();
        let new =
            parsed.and_then(|mut t| t.remove("x")).unwrap_or_else(|| toml::Value::String(text.to_owned()));
        let known = keys("", &table);
        let mut at = &mut table;
        let (path, last) = key.rsplit_once('.').map_or((None, key), |(path, last)| (Some(path), last));
        for part in path.into_iter().flat_map(|path| path.split('.')) {
            match at.get_mut(part) {
                Some(toml::Value::Table(inner)) => at = inner,
                _ => return Err(unknown(setting, key, &known)),
            }
        }
        let old = at.get_mut(last).filter(|old| !old.is_table());
        let Some(old) = old else { return Err(unknown(setting, key, &known)) };
        // 1 for a number with a fraction is what people type.
        *old = match (&*old, new) {
            (toml::Value::Float(_), toml::Value::Integer(n)) => toml::Value::Float(n as f64),
            (_, new) => new,
        };
    }
    table.try_into().map_err(|error: toml::de::Error| {
        CliError::usage(format!("--set {}: {}", settings.join(" --set "), error.message()))
    })
}

fn keys(prefix: &str, table: &toml::Table) -> Vec<String> {
    let each = |(key, value): (&String, &toml::Value)| match value {
        toml::Value::Table(inner) => keys(&format!("{prefix}{key}."), inner),
        _ => vec![format!("{prefix}{key}")],
    };
    table.iter().flat_map(each).collect()
}

fn unknown(setting: &str, key: &str, known: &[String]) -> CliError {
    let nearest =
        known.iter().max_by(|a, b| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b)));
    let hint = nearest.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
    CliError::usage(format!("--set {setting}: there is no `{key}`{hint} Known: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use fn_eval::finetune::fit::Recipe;

    use super::*;

    #[test]
    fn settings_reach_nested_keys_and_unknown_ones_name_the_nearest() {
        let set = |text: &[&str]| {
            set_values(&Recipe::default(), &text.iter().map(|&s| s.to_owned()).collect::<Vec<_>>())
        };
        let recipe = set(&["lr=1", "optimizer.weight_decay=0.5", "double_pairs=true"]).unwrap();
        assert_eq!((recipe.lr, recipe.optimizer.weight_decay, recipe.double_pairs), (1.0, 0.5, true));
        let text = |settings: &[&str]| set(settings).unwrap_err().to_string();
        assert!(
            text(&["weight_decay=0.1"]).contains("optimizer.weight_decay"),
            "{}",
            text(&["weight_decay=0.1"])
        );
        assert!(text(&["layer_dcay=0.1"]).contains("did you mean `layer_decay`"));
        assert!(text(&["optimizer=3"]).contains("there is no `optimizer`"));
        assert!(text(&["batch=many"]).contains("batch"), "{}", text(&["batch=many"]));
        assert!(text(&["batch"]).contains("KEY=VALUE"));
    }
}
