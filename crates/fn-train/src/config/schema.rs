//! Checks that a key exists, and finds the one that was probably meant.

use fn_core::correct::registry::{CORRECTIONS, DETECTION_CORRECTIONS};
use fn_data::names::nearest;

use super::ConfigError;
use super::keys::{find, keys};
use super::layers::Setting;

/// Whether the value of a key is a list.
pub fn is_list(key: &str) -> bool {
    matches!(key, "data.train" | "data.mixture" | "data.held_out")
}

/// Checks that a key exists.
///
/// # Errors
/// It does not; the error names the key that was probably meant.
pub fn check_key(setting: &Setting) -> Result<(), ConfigError> {
    find_key(&setting.key).map_err(|error| error.at(&setting.origin))
}

pub(super) fn find_key(key: &str) -> Result<(), ConfigError> {
    let known: Vec<&str> = keys().map(|key| key.path.as_str()).collect();
    if known.contains(&key) || is_setting_of_a_kind(key) {
        return Ok(());
    }
    let is_section = |name: &str| find(name).is_some_and(|key| key.is_section);
    if is_section(key) {
        return Err(ConfigError::IsSection {
            key: key.to_string(),
            keys: list(known.iter().filter_map(|known| known.strip_prefix(&format!("{key}.")))),
        });
    }
    let (section, last) = key.rsplit_once('.').unwrap_or(("", key));
    // The other keys of its section.
    let beside: Vec<&str> = known
        .iter()
        .copied()
        .filter(|known| known.rsplit_once('.').map_or("", |(section, _)| section) == section)
        .collect();
    let tail = |known: &str| known.rsplit('.').next().unwrap_or_default().to_string();
    let place = match section {
        "" => "at the top level".to_string(),
        section if is_section(section) => format!("in section [{section}]"),
        section => format!("(there is no section [{section}])"),
    };
    let nearest_beside = nearest(last, beside.iter().map(|known| known.rsplit('.').next().unwrap_or(known)))
        .and_then(|name| beside.iter().find(|known| tail(known) == name))
        .map(ToString::to_string);
    let suggestion = nearest_beside
        .or_else(|| {
            // Several sections may have a key of this name: the one that is most like the key given.
            let same: Vec<&str> = known.iter().copied().filter(|known| tail(known) == last).collect();
            same.into_iter()
                .map(|known| (strsim::normalized_damerau_levenshtein(key, known), known))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, known)| known.to_string())
        })
        .or_else(|| nearest(key, known.iter().copied()).map(ToString::to_string));
    let hint = match suggestion {
        Some(name) => format!("did you mean `{name}`?"),
        None if !beside.is_empty() => {
            format!(
                "known here: {}",
                list(beside.iter().map(|known| known.rsplit('.').next().unwrap_or(known)))
            )
        }
        None => "`fnlm config show` lists every key".to_string(),
    };
    Err(ConfigError::UnknownKey { key: key.to_string(), place, hint })
}

/// Whether a key belongs to a judge or to a correction of another crate, which alone knows its settings and is asked when the
/// configuration is read.
fn is_setting_of_a_kind(key: &str) -> bool {
    let of = |table: &str| key.strip_prefix(table).is_some_and(|name| !name.is_empty());
    of("correction.judge.")
        || (of("correction.masked_lm.") && !CORRECTIONS.is_empty())
        || (of("correction.discriminator.") && !DETECTION_CORRECTIONS.is_empty())
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn message(key: &str) -> String {
        let origin = Origin::File { path: "x.toml".into(), line: 3, column: 1 };
        check_key(&Setting { key: key.into(), value: 1.into(), origin }).unwrap_err().to_string()
    }

    #[test]
    fn every_section_and_every_variant_is_known() {
        for key in [
            "seed",
            "model.init",
            "data.held_out",
            "data.synthetic.kind",
            "data.synthetic.depth",
            "corruption.rate",
            "corruption.shares.mask",
            "lexicon.path",
            "correction.preset",
            "correction.masked_lm.kind",
            "correction.masked_lm.normalise",
            "correction.masked_lm.lambda",
            "correction.masked_lm.epsilon",
            "correction.discriminator.lambda",
            "correction.hard_negatives",
            "correction.verifier.model",
            "correction.verifier.low",
            "correction.verifier.decay",
            "eval.lexicon",
            "train.threads",
            "log.tensorboard",
        ] {
            assert!(keys().any(|known| known.path == key), "{key}");
        }
    }

    #[test]
    fn a_misspelt_key_is_answered_with_the_right_one() {
        assert_eq!(
            message("train.step"),
            "x.toml:3:1: unknown key `train.step` in section [train]; did you mean `train.steps`?"
        );
        assert!(message("model.hiden_size").contains("`model.hidden_size`"));
        assert!(message("sead").contains("`seed`"));
        assert!(message("trian.steps").contains("did you mean `train.steps`"));
        assert!(message("correction.masked_lm.lamda").contains("`correction.masked_lm.lambda`"));
    }

    #[test]
    fn a_key_in_the_wrong_section_is_answered_with_the_right_section() {
        assert!(message("train.hidden_size").contains("`model.hidden_size`"));
        assert!(message("steps").contains("`train.steps`"));
        assert!(message("synthetic.steps").contains("`data.synthetic.steps`"));
    }

    #[test]
    fn a_key_like_no_other_is_answered_with_the_list() {
        assert!(message("train.xyzzy").contains("known here: `steps`"), "{}", message("train.xyzzy"));
    }

    #[test]
    fn a_section_is_not_a_value() {
        assert!(message("train").contains("is a section"));
    }
}
