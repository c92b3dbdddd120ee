//! Finds the special tokens of a tokenizer by their role, whatever they are called: `[MASK]` in BERT, `<mask>` in RoBERTa.

use std::collections::HashMap;

use fn_core::vocab::SpecialIds;
use serde_json::{Map, Value};

use super::marks::steps;
use super::settings::{ROLES, content};

/// Role, keys of the files beside `tokenizer.json`, names that are taken for it if no file names one.
const SEARCHED: [(&str, &[&str], &[&str]); 5] = [
    ("padding", &["pad_token"], &["[PAD]", "<pad>"]),
    ("unknown", &["unk_token"], &["[UNK]", "<unk>"]),
    ("class", &["cls_token", "bos_token"], &["[CLS]", "<s>"]),
    ("separator", &["sep_token", "eos_token"], &["[SEP]", "</s>"]),
    ("mask", &["mask_token"], &["[MASK]", "<mask>"]),
];

/// What roles are read from.
pub(super) struct Sources<'a> {
    /// `tokenizer.json`.
    pub(super) tokenizer: &'a Value,
    /// Files beside it, with their names, the most trusted first.
    pub(super) beside: &'a [(&'static str, Map<String, Value>)],
    /// Ids of all pieces.
    pub(super) ids: &'a HashMap<String, u32>,
}

/// The special tokens. The error names a role that no token has, and where it was looked for.
pub(super) fn find(sources: &Sources<'_>) -> Result<SpecialIds, String> {
    let mut found = [0; 5];
    for (at, (role, keys, names)) in SEARCHED.iter().enumerate() {
        found[at] = sources.role(at, role, keys, names)?;
    }
    let [pad, unk, cls, sep, mask] = found;
    for (role, id, others) in [("padding", pad, [cls, sep, mask]), ("mask", mask, [cls, sep, unk])] {
        if others.contains(&id) {
            return Err(format!(
                "the {role} token (id {id}) has a second role, in which it cannot be told from text: give it a token of its own"
            ));
        }
    }
    Ok(SpecialIds { pad, unk, cls, sep, mask })
}

impl Sources<'_> {
    fn role(&self, at: usize, role: &str, keys: &[&str], names: &[&str]) -> Result<u32, String> {
        for key in keys {
            let mut first: Option<(&str, &str)> = None;
            for (file, object) in self.beside {
                let Some(value) = object.get(*key).filter(|v| !v.is_null()) else { continue };
                let token =
                    content(value).ok_or_else(|| format!("`{key}` of {file} is {value}, not text"))?;
                match first {
                    None => first = Some((file, token)),
                    Some((other, same)) if same != token => {
                        return Err(format!("`{key}` is `{same}` in {other} and `{token}` in {file}"));
                    }
                    Some(_) => {}
                }
            }
            if let Some((file, token)) = first {
                let missing =
                    || format!("`{key}` of {file} is `{token}`, which the vocabulary does not have");
                return self.ids.get(token).copied().ok_or_else(missing);
            }
        }
        if let Some(id) = self.inside(at) {
            return Ok(id);
        }
        if let Some(id) = names.iter().find_map(|name| self.ids.get(*name)) {
            return Ok(*id);
        }
        let bracketed = super::SPECIAL_TOKENS[at];
        Err(format!(
            "no {role} token: {bracketed} is missing. Looked for `{}` in tokenizer_config.json and special_tokens_map.json, for {} \
             in tokenizer.json, and for a piece {}. Add such a token to the tokenizer, and name it as `{}` in tokenizer_config.json",
            keys.join("`, `"),
            [
                "`padding`",
                "`model.unk_token`",
                "the first token of `post_processor`",
                "the last token of `post_processor`",
                "an added token"
            ][at],
            names.join(" or "),
            ROLES[at]
        ))
    }

    /// The role as `tokenizer.json` itself shows it.
    fn inside(&self, at: usize) -> Option<u32> {
        let of = |value: Option<&Value>| self.ids.get(value?.as_str()?).copied();
        let model = self.tokenizer.get("model")?;
        match at {
            0 => of(self.tokenizer.pointer("/padding/pad_token")),
            1 => of(model.get("unk_token")).or_else(|| u32::try_from(model.get("unk_id")?.as_u64()?).ok()),
            2 | 3 => steps(self.tokenizer.get("post_processor")).into_iter().find_map(|step| {
                let key = if at == 2 { "cls" } else { "sep" };
                of(step.pointer(&format!("/{key}/0"))).or_else(|| {
                    let single = step.get("single")?.as_array()?;
                    let part = if at == 2 { single.first() } else { single.last() }?;
                    of(part.pointer("/SpecialToken/id"))
                })
            }),
            _ => None,
        }
    }
}
