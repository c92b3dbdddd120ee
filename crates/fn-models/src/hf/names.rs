//! Transformers' name of a tensor <-> our path of a parameter, by the tables of `family`.
//!
//! An entry names a module; its `Kind` says which tensors it holds and whether they are stored transposed.
//! `{}` stands for the number of a layer.

use super::family::{Entry, Kind};
use crate::arch::{Family, Task};

/// Which file a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Whose names.
    pub family: Family,
    /// Which part of our model the file holds.
    pub role: Role,
}

/// Which part of our model a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A masked language model.
    MaskedLm,
    /// A masked language model that is the generator of a pair.
    Generator,
    /// The discriminator of a pair, its head where the family has one.
    Discriminator,
    /// The same, for embeddings that are not shared with the generator.
    SeparateDiscriminator,
    /// A fine-tuned model.
    Task(Task),
}

impl Kind {
    /// (ours, theirs, transposed) of each tensor.
    fn leaves(self) -> &'static [(&'static str, &'static str, bool)] {
        match self {
            Self::Table => &[(".weight", ".weight", false)],
            Self::Linear => &[(".weight", ".weight", true), (".bias", ".bias", false)],
            Self::Norm => &[(".gamma", ".weight", false), (".beta", ".bias", false)],
            Self::Vector => &[("", "", false)],
        }
    }
}

/// Entries that share a prefix on either side: (ours, theirs, entries).
type Group = (&'static str, &'static str, &'static [Entry]);

impl Layout {
    /// The file of this family that holds this.
    pub const fn new(family: Family, role: Role) -> Self {
        Self { family, role }
    }

    fn groups(self) -> [Group; 4] {
        let files = self.family.files();
        let embeddings = match self.role {
            Role::SeparateDiscriminator => "discriminator_embeddings.",
            _ => "embeddings.",
        };
        let (encoder, extra, head): (_, &[Entry], Group) = match self.role {
            Role::MaskedLm => ("encoder.", files.extra, ("head.", "", files.masked_lm)),
            Role::Generator => ("generator.", &[], ("generator_head.", "", files.masked_lm)),
            Role::Discriminator | Role::SeparateDiscriminator => {
                ("discriminator.", &[], ("discriminator_head.", "", files.discriminator))
            }
            Role::Task(task) => ("encoder.", &[], ("head.", "", files.task_head(task))),
        };
        [
            (embeddings, files.prefix, files.embeddings),
            (encoder, files.prefix, files.encoder),
            head,
            ("", "", extra),
        ]
    }

    /// Transformers' name of our path, and whether the matrix is stored transposed. `None`: not in such a file.
    pub fn theirs(self, ours: &str) -> Option<(String, bool)> {
        self.find(ours, Side::Ours)
    }

    /// Our path of transformers' name, and whether the matrix is stored transposed.
    pub fn ours(self, theirs: &str) -> Option<(String, bool)> {
        self.find(theirs, Side::Theirs)
    }

    fn find(self, name: &str, given: Side) -> Option<(String, bool)> {
        for (our_prefix, their_prefix, entries) in self.groups() {
            let (from, to) = given.order(our_prefix, their_prefix);
            let Some(rest) = name.strip_prefix(from) else {
                continue;
            };
            for (ours, theirs, kind) in entries {
                let (pattern, replacement) = given.order(*ours, *theirs);
                for (our_leaf, their_leaf, transposed) in kind.leaves() {
                    let (leaf, new_leaf) = given.order(*our_leaf, *their_leaf);
                    let Some(module) = rest.strip_suffix(leaf) else {
                        continue;
                    };
                    let Some(number) = matches(module, pattern) else {
                        continue;
                    };
                    return Some((
                        format!("{to}{}{new_leaf}", replacement.replace("{}", number)),
                        *transposed,
                    ));
                }
            }
        }
        None
    }
}

#[derive(Clone, Copy)]
enum Side {
    Ours,
    Theirs,
}

impl Side {
    /// (from, to)
    fn order<T>(self, ours: T, theirs: T) -> (T, T) {
        match self {
            Self::Ours => (ours, theirs),
            Self::Theirs => (theirs, ours),
        }
    }
}

/// What stands at `{}` (empty for a pattern without one), or `None` where the name does not fit the pattern.
fn matches<'a>(name: &'a str, pattern: &str) -> Option<&'a str> {
    let Some((head, tail)) = pattern.split_once("{}") else {
        return (name == pattern).then_some("");
    };
    let number = name.strip_prefix(head)?.strip_suffix(tail)?;
    let digits = !number.is_empty() && number.len() <= 5 && number.bytes().all(|b| b.is_ascii_digit());
    digits.then_some(number)
}

/// Wrappers of training frameworks whose names stand in front of a model's or of a part's: torch.compile, data parallel, sharded.
const WRAPPERS: [&str; 4] =
    ["_orig_mod.", "_forward_module.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."];

/// What stands in front of a model's names: data parallel, Lightning and the like.
const FRAMES: [&str; 6] = ["state_dict.", "module.", "model.", "net.", "discriminator.", "generator."];

/// A name as it may stand in a file, brought to one form: without what frameworks put in front, without the prefix of the model
/// (encoders are saved without one) and with `weight`, `bias` for the `gamma`, `beta` of old files.
pub(crate) fn canonical(name: &str) -> String {
    let mut owned = name.to_owned();
    for wrapper in WRAPPERS {
        if owned.contains(wrapper) {
            owned = owned.replace(wrapper, "");
        }
    }
    let mut name = owned.as_str();
    // A few: "module.model.discriminator.electra.embeddings...".
    for _ in 0..4 {
        for prefix in FRAMES.into_iter().chain(Family::ALL.map(|family| family.files().prefix)) {
            name = name.strip_prefix(prefix).unwrap_or(name);
        }
    }
    match name.strip_suffix(".gamma") {
        Some(module) if module.ends_with("LayerNorm") => format!("{module}.weight"),
        _ => match name.strip_suffix(".beta") {
            Some(module) if module.ends_with("LayerNorm") => format!("{module}.bias"),
            _ => name.to_owned(),
        },
    }
}

/// Buffers of old files.
pub(crate) const BUFFERS: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::shapes;
    use crate::{BertConfig, BertForPreTraining, Electra, ElectraConfig};

    const BERT: Layout = Layout::new(Family::Bert, Role::MaskedLm);
    const DISCRIMINATOR: Layout = Layout::new(Family::Electra, Role::Discriminator);
    const GENERATOR: Layout = Layout::new(Family::Electra, Role::Generator);

    #[test]
    fn every_path_of_every_model_has_a_name_that_leads_back_to_it() {
        let device = burn::tensor::Device::flex();
        let bert = BertConfig { pooler: true, ..BertConfig::bert_tiny() };
        for untied_decoder in [false, true] {
            let bert = BertConfig { untied_decoder, ..bert.clone() };
            for layout in [BERT, Layout::new(Family::Roberta, Role::MaskedLm)] {
                for (path, _) in shapes(&BertForPreTraining::zeros(&bert, &device)) {
                    let (theirs, transposed) = layout.theirs(&path).unwrap_or_else(|| panic!("{path}"));
                    assert_eq!(layout.ours(&theirs), Some((path, transposed)));
                }
            }
        }
        for (path, _) in shapes(&Electra::zeros(&ElectraConfig::electra_tiny(), &device)) {
            let found: Vec<_> = [DISCRIMINATOR, GENERATOR]
                .into_iter()
                .filter_map(|layout| layout.theirs(&path).map(|(theirs, _)| (layout, theirs)))
                .collect();
            assert_eq!(found.len(), if path.starts_with("embeddings.") { 2 } else { 1 }, "{path}");
            for (layout, theirs) in found {
                assert_eq!(layout.ours(&theirs).unwrap().0, path);
            }
        }
    }

    #[test]
    fn matrices_of_linear_layers_are_transposed_and_tables_are_not() {
        let name = |layout: Layout, ours: &str| layout.theirs(ours).unwrap();
        assert_eq!(
            name(BERT, "encoder.layers.11.attention.output.weight"),
            ("bert.encoder.layer.11.attention.output.dense.weight".into(), true)
        );
        assert_eq!(
            name(GENERATOR, "embeddings.word.weight"),
            ("electra.embeddings.word_embeddings.weight".into(), false)
        );
        assert_eq!(
            name(DISCRIMINATOR, "discriminator.layers.0.feed_forward.norm.gamma"),
            ("electra.encoder.layer.0.output.LayerNorm.weight".into(), false)
        );
        assert_eq!(DISCRIMINATOR.theirs("generator_head.bias"), None);
        assert_eq!(BERT.ours("bert.encoder.layer.x.output.dense.weight"), None);
        assert_eq!(BERT.ours("cls.seq_relationship.weight"), None);
    }

    #[test]
    fn prefixes_and_old_norm_names_come_to_one_form() {
        for name in [
            "bert.embeddings.LayerNorm.gamma",
            "embeddings.LayerNorm.weight",
            "electra.embeddings.LayerNorm.weight",
            "discriminator.electra.embeddings.LayerNorm.gamma",
            "module.bert.embeddings.LayerNorm.weight",
            "_orig_mod.roberta.embeddings.LayerNorm.weight",
            "model._orig_mod.module.bert.embeddings.LayerNorm.gamma",
            "model.discriminator._orig_mod.electra.embeddings.LayerNorm.weight",
            "_fsdp_wrapped_module.model.embeddings._checkpoint_wrapped_module.LayerNorm.weight",
        ] {
            assert_eq!(canonical(name), "embeddings.LayerNorm.weight", "{name}");
        }
        assert_eq!(
            canonical("cls.predictions.transform.LayerNorm.beta"),
            "cls.predictions.transform.LayerNorm.bias"
        );
        assert_eq!(
            canonical("discriminator_predictions.dense.weight"),
            "discriminator_predictions.dense.weight"
        );
        assert_eq!(canonical("generator_lm_head.bias"), "generator_lm_head.bias");
    }
}
