//! One table: transformers' name of a tensor <-> our path of a parameter.
//!
//! An entry names a module; its `Kind` says which tensors it holds and whether they are stored transposed.
//! `{}` stands for the number of a layer.

/// Which file a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `BertForMaskedLM`
    Bert,
    /// `ElectraForPreTraining`
    Discriminator,
    /// `ElectraForMaskedLM`
    Generator,
    /// `BertForSequenceClassification`
    BertClassifier,
    /// `ElectraForSequenceClassification`
    ElectraClassifier,
    /// `BertForQuestionAnswering`
    BertSpans,
    /// `ElectraForQuestionAnswering`
    ElectraSpans,
    /// `BertForTokenClassification`
    BertTags,
    /// `ElectraForTokenClassification`
    ElectraTags,
    /// `BertForMaskedLM`, read as a discriminator
    BertDiscriminator,
    /// `BertForMaskedLM`, read as a generator
    BertGenerator,
}

/// What a module holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `weight [ids, width]`
    Table,
    /// `weight`, theirs `[out, in]`, ours `[in, out]`, and `bias`
    Linear,
    /// theirs `weight`, `bias`; ours `gamma`, `beta`
    Norm,
    /// The entry is the tensor.
    Vector,
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

/// (ours, theirs, kind)
type Entry = (&'static str, &'static str, Kind);

const EMBEDDINGS: [Entry; 4] = [
    ("embeddings.word", "embeddings.word_embeddings", Kind::Table),
    ("embeddings.position", "embeddings.position_embeddings", Kind::Table),
    ("embeddings.token_type", "embeddings.token_type_embeddings", Kind::Table),
    ("embeddings.norm", "embeddings.LayerNorm", Kind::Norm),
];

const LAYER: [Entry; 8] = [
    ("layers.{}.attention.query", "encoder.layer.{}.attention.self.query", Kind::Linear),
    ("layers.{}.attention.key", "encoder.layer.{}.attention.self.key", Kind::Linear),
    ("layers.{}.attention.value", "encoder.layer.{}.attention.self.value", Kind::Linear),
    ("layers.{}.attention.output", "encoder.layer.{}.attention.output.dense", Kind::Linear),
    ("layers.{}.attention.norm", "encoder.layer.{}.attention.output.LayerNorm", Kind::Norm),
    ("layers.{}.feed_forward.inner", "encoder.layer.{}.intermediate.dense", Kind::Linear),
    ("layers.{}.feed_forward.outer", "encoder.layer.{}.output.dense", Kind::Linear),
    ("layers.{}.feed_forward.norm", "encoder.layer.{}.output.LayerNorm", Kind::Norm),
];

const PROJECT: [Entry; 1] = [("project", "embeddings_project", Kind::Linear)];

const BERT_HEADS: [Entry; 4] = [
    ("pooler.dense", "bert.pooler.dense", Kind::Linear),
    ("head.dense", "cls.predictions.transform.dense", Kind::Linear),
    ("head.norm", "cls.predictions.transform.LayerNorm", Kind::Norm),
    ("head.bias", "cls.predictions.bias", Kind::Vector),
];

const DISCRIMINATOR_HEADS: [Entry; 2] = [
    ("discriminator_head.dense", "discriminator_predictions.dense", Kind::Linear),
    ("discriminator_head.score", "discriminator_predictions.dense_prediction", Kind::Linear),
];

const GENERATOR_HEADS: [Entry; 3] = [
    ("generator_head.dense", "generator_predictions.dense", Kind::Linear),
    ("generator_head.norm", "generator_predictions.LayerNorm", Kind::Norm),
    ("generator_head.bias", "generator_lm_head.bias", Kind::Vector),
];

const BERT_CLASSIFIER: [Entry; 2] =
    [("head.dense", "bert.pooler.dense", Kind::Linear), ("head.out", "classifier", Kind::Linear)];

const ELECTRA_CLASSIFIER: [Entry; 2] =
    [("head.dense", "classifier.dense", Kind::Linear), ("head.out", "classifier.out_proj", Kind::Linear)];

const SPANS: [Entry; 1] = [("head.out", "qa_outputs", Kind::Linear)];

const TAGS: [Entry; 1] = [("head.out", "classifier", Kind::Linear)];

const BERT_AS_GENERATOR_HEADS: [Entry; 3] = [
    ("generator_head.dense", "cls.predictions.transform.dense", Kind::Linear),
    ("generator_head.norm", "cls.predictions.transform.LayerNorm", Kind::Norm),
    ("generator_head.bias", "cls.predictions.bias", Kind::Vector),
];

/// Entries that share a prefix on either side: (ours, theirs, entries).
type Group = (&'static str, &'static str, &'static [Entry]);

impl Layout {
    fn groups(self) -> &'static [Group] {
        match self {
            Self::Bert => &[("", "bert.", &EMBEDDINGS), ("encoder.", "bert.", &LAYER), ("", "", &BERT_HEADS)],
            Self::Discriminator => &[
                ("", "electra.", &EMBEDDINGS),
                ("discriminator.", "electra.", &PROJECT),
                ("discriminator.", "electra.", &LAYER),
                ("", "", &DISCRIMINATOR_HEADS),
            ],
            Self::Generator => &[
                ("", "electra.", &EMBEDDINGS),
                ("generator.", "electra.", &PROJECT),
                ("generator.", "electra.", &LAYER),
                ("", "", &GENERATOR_HEADS),
            ],
            Self::BertClassifier => {
                &[("", "bert.", &EMBEDDINGS), ("encoder.", "bert.", &LAYER), ("", "", &BERT_CLASSIFIER)]
            }
            Self::ElectraClassifier => &[
                ("", "electra.", &EMBEDDINGS),
                ("encoder.", "electra.", &PROJECT),
                ("encoder.", "electra.", &LAYER),
                ("", "", &ELECTRA_CLASSIFIER),
            ],
            Self::BertSpans => &[("", "bert.", &EMBEDDINGS), ("encoder.", "bert.", &LAYER), ("", "", &SPANS)],
            Self::ElectraSpans => &[
                ("", "electra.", &EMBEDDINGS),
                ("encoder.", "electra.", &PROJECT),
                ("encoder.", "electra.", &LAYER),
                ("", "", &SPANS),
            ],
            Self::BertTags => &[("", "bert.", &EMBEDDINGS), ("encoder.", "bert.", &LAYER), ("", "", &TAGS)],
            Self::ElectraTags => &[
                ("", "electra.", &EMBEDDINGS),
                ("encoder.", "electra.", &PROJECT),
                ("encoder.", "electra.", &LAYER),
                ("", "", &TAGS),
            ],
            Self::BertDiscriminator => &[("", "bert.", &EMBEDDINGS), ("discriminator.", "bert.", &LAYER)],
            Self::BertGenerator => &[
                ("", "bert.", &EMBEDDINGS),
                ("generator.", "bert.", &LAYER),
                ("", "", &BERT_AS_GENERATOR_HEADS),
            ],
        }
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
            let (from, to) = given.order(*our_prefix, *their_prefix);
            let Some(rest) = name.strip_prefix(from) else {
                continue;
            };
            for (ours, theirs, kind) in *entries {
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

/// A name as it may stand in a file, brought to one form: without the prefix of the model (encoders are saved without one)
/// and with `weight`, `bias` for the `gamma`, `beta` of old files.
pub(crate) fn canonical(name: &str) -> String {
    let mut name = name.strip_prefix("module.").unwrap_or(name);
    // At most two: "discriminator.electra.embeddings...".
    for _ in 0..2 {
        for prefix in ["bert.", "electra.", "discriminator.", "generator."] {
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

/// Tensors that say nothing new: buffers, and copies of tied weights under their other name, in canonical form
/// (copy, original).
pub(crate) const COPIES: [(&str, &str); 3] = [
    ("cls.predictions.decoder.weight", "embeddings.word_embeddings.weight"),
    ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ("generator_lm_head.weight", "embeddings.word_embeddings.weight"),
];

/// Buffers of old files.
pub(crate) const BUFFERS: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::shapes;
    use crate::{BertConfig, BertForPreTraining, Electra, ElectraConfig};

    #[test]
    fn every_path_of_every_model_has_a_name_that_leads_back_to_it() {
        let device = burn::tensor::Device::flex();
        let bert = BertConfig { pooler: true, ..BertConfig::bert_tiny() };
        for (path, _) in shapes(&BertForPreTraining::zeros(&bert, &device)) {
            let (theirs, transposed) = Layout::Bert.theirs(&path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(Layout::Bert.ours(&theirs), Some((path, transposed)));
        }
        for (path, _) in shapes(&Electra::zeros(&ElectraConfig::electra_tiny(), &device)) {
            let found: Vec<_> = [Layout::Discriminator, Layout::Generator]
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
            name(Layout::Bert, "encoder.layers.11.attention.output.weight"),
            ("bert.encoder.layer.11.attention.output.dense.weight".into(), true)
        );
        assert_eq!(
            name(Layout::Generator, "embeddings.word.weight"),
            ("electra.embeddings.word_embeddings.weight".into(), false)
        );
        assert_eq!(
            name(Layout::Discriminator, "discriminator.layers.0.feed_forward.norm.gamma"),
            ("electra.encoder.layer.0.output.LayerNorm.weight".into(), false)
        );
        assert_eq!(Layout::Discriminator.theirs("generator_head.bias"), None);
        assert_eq!(Layout::Bert.ours("bert.encoder.layer.x.output.dense.weight"), None);
        assert_eq!(Layout::Bert.ours("cls.seq_relationship.weight"), None);
    }

    #[test]
    fn prefixes_and_old_norm_names_come_to_one_form() {
        for name in [
            "bert.embeddings.LayerNorm.gamma",
            "embeddings.LayerNorm.weight",
            "electra.embeddings.LayerNorm.weight",
            "discriminator.electra.embeddings.LayerNorm.gamma",
            "module.bert.embeddings.LayerNorm.weight",
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
