//! The architectures and what belongs to each of them: objective, family, name, class names.

use serde::{Deserialize, Serialize};

use crate::hf::Head;

/// An architecture that can be pre-trained and fine-tuned: an [`Objective`] over a [`Family`] of encoders.
///
/// A new one is a variant here with its row in the table `describe`. A new family is a file of `hf/family/` (its keys of
/// `config.json`, its tensors) and what it computes: `EncoderConfig`, and its arm in [`Classifier`](crate::Classifier). No other
/// crate matches on the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// Masked language modelling: one encoder with a head over the vocabulary.
    Bert,
    /// Replaced-token detection: a small generator fills the masked positions, the discriminator finds the replaced tokens.
    #[default]
    Electra,
    /// BERT whose positions count from one more than the padding id, without segments.
    Roberta,
    /// RoBERTa over a hundred languages: the same model under another name.
    XlmRoberta,
    /// RoBERTa of French: the same model under another name.
    Camembert,
    /// BERT without segments, pooler and dropout after attention.
    #[serde(rename = "distilbert")]
    DistilBert,
    /// Masked language modelling with the layers of [`modern`](crate::modern).
    #[serde(rename = "modernbert")]
    ModernBert,
    /// Replaced-token detection with the layers of [`modern`](crate::modern) in generator and discriminator.
    ModernElectra,
}

/// What a model is pre-trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Objective {
    /// Predict masked tokens.
    MaskedLm,
    /// Find the tokens that a generator replaced; the generator predicts masked tokens.
    ReplacedToken,
}

/// Models whose files have the same keys and names of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `BertModel` and its heads.
    Bert,
    /// `ElectraModel` and its heads.
    Electra,
    /// `RobertaModel` and its heads; XLM-R and CamemBERT have the same.
    Roberta,
    /// `DistilBertModel` and its heads.
    DistilBert,
    /// `ModernBertModel` and its heads.
    Modern,
}

/// What a folder in the Hugging Face format holds behind the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// One label or score per sequence.
    SequenceClassification,
    /// Start and end of an answer.
    QuestionAnswering,
    /// One label per token.
    TokenClassification,
}

/// What is known of an architecture.
struct About {
    objective: Objective,
    family: Family,
    name: &'static str,
    model_type: &'static str,
    /// What names of classes in transformers start with.
    class: &'static str,
}

impl Arch {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Bert,
        Self::Electra,
        Self::Roberta,
        Self::XlmRoberta,
        Self::Camembert,
        Self::DistilBert,
        Self::ModernBert,
        Self::ModernElectra,
    ];

    fn describe(self) -> About {
        let (objective, family, name, model_type, class) = match self {
            Self::Bert => (Objective::MaskedLm, Family::Bert, "BERT", "bert", "Bert"),
            Self::Electra => (Objective::ReplacedToken, Family::Electra, "ELECTRA", "electra", "Electra"),
            Self::Roberta => (Objective::MaskedLm, Family::Roberta, "RoBERTa", "roberta", "Roberta"),
            Self::XlmRoberta => (Objective::MaskedLm, Family::Roberta, "XLM-R", "xlm-roberta", "XLMRoberta"),
            Self::Camembert => (Objective::MaskedLm, Family::Roberta, "CamemBERT", "camembert", "Camembert"),
            Self::DistilBert => {
                (Objective::MaskedLm, Family::DistilBert, "DistilBERT", "distilbert", "DistilBert")
            }
            Self::ModernBert => {
                (Objective::MaskedLm, Family::Modern, "ModernBERT", "modernbert", "ModernBert")
            }
            Self::ModernElectra => {
                (Objective::ReplacedToken, Family::Modern, "ModernELECTRA", "modernbert", "ModernBert")
            }
        };
        About { objective, family, name, model_type, class }
    }

    /// What it is pre-trained for.
    pub fn objective(self) -> Objective {
        self.describe().objective
    }

    /// Whose files it has.
    pub fn family(self) -> Family {
        self.describe().family
    }

    /// Whether its encoder has the layers of [`modern`](crate::modern).
    pub fn is_modern(self) -> bool {
        self.family() == Family::Modern
    }

    /// Whether its encoder is DistilBERT's: without segments and without dropout after attention.
    pub fn is_distil(self) -> bool {
        self.family() == Family::DistilBert
    }

    /// Row of the position table that the first token gets, where `pad` is the id of the padding piece.
    pub fn position_offset(self, pad: u32) -> usize {
        match self.family().files().keys.offset_by_pad {
            Some(_) => pad as usize + 1,
            None => 0,
        }
    }

    /// As papers write it: `BERT`, `ELECTRA`.
    pub fn name(self) -> &'static str {
        self.describe().name
    }

    /// `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        self.describe().model_type
    }

    /// Whether another architecture has the same `model_type`, because transformers has no class for this one: then a key of its own
    /// in `config.json` says which of the two it is.
    pub(crate) fn is_marked(self) -> bool {
        self == Self::ModernElectra
    }

    /// What the generator of this architecture is in a folder of its own.
    pub(crate) fn of_generator(self) -> Self {
        match self {
            Self::ModernElectra => Self::ModernBert,
            other => other,
        }
    }

    /// Masked language models that a pre-training of this architecture can start from: generator and discriminator then both start as
    /// that model.
    pub(crate) fn starts_from(self) -> &'static [Self] {
        match self {
            Self::Electra => &[Self::Bert, Self::Roberta, Self::XlmRoberta, Self::Camembert],
            Self::ModernElectra => &[Self::ModernBert],
            _ => &[],
        }
    }

    /// Whether it is pre-trained with a discriminator that finds replaced tokens; its masked language model is then a generator
    /// beside the encoder that is kept.
    pub fn has_discriminator(self) -> bool {
        self.objective() == Objective::ReplacedToken
    }

    /// The head that predicts masked tokens.
    pub fn masked_lm_head(self) -> Head {
        match self.objective() {
            Objective::MaskedLm => Head::MaskedLm,
            Objective::ReplacedToken => Head::Generator,
        }
    }

    /// The head that finds replaced tokens.
    pub fn discriminator_head(self) -> Option<Head> {
        self.has_discriminator().then_some(Head::Discriminator)
    }

    /// Heads of pre-training, the masked LM first.
    pub fn heads(self) -> impl Iterator<Item = Head> {
        [Some(self.masked_lm_head()), self.discriminator_head()].into_iter().flatten()
    }

    /// The class in transformers that reads a folder of the pre-trained model (without `generator/`).
    pub fn pretrained_class(self) -> String {
        let about = self.describe();
        let purpose = match (about.objective, about.family) {
            (Objective::MaskedLm, _) => "MaskedLM",
            // It computes what our head does, one label for each token.
            (Objective::ReplacedToken, Family::Modern) => "TokenClassification",
            (Objective::ReplacedToken, _) => "PreTraining",
        };
        format!("{}For{purpose}", about.class)
    }

    /// The class in transformers that reads the folder `generator/`, where there is one.
    pub fn generator_class(self) -> Option<String> {
        self.has_discriminator().then(|| format!("{}ForMaskedLM", self.describe().class))
    }

    /// The class in transformers of a fine-tuned model.
    pub(crate) fn task_class(self, task: Task) -> String {
        format!("{}For{task:?}", self.describe().class)
    }
}

#[cfg(test)]
mod tests {
    use super::{Arch, Task};

    #[test]
    fn names_are_those_of_transformers_and_of_configuration_files() {
        assert_eq!(Arch::Bert.task_class(Task::QuestionAnswering), "BertForQuestionAnswering");
        assert_eq!(Arch::Electra.task_class(Task::TokenClassification), "ElectraForTokenClassification");
        assert_eq!(Arch::XlmRoberta.pretrained_class(), "XLMRobertaForMaskedLM");
        assert_eq!(Arch::Electra.pretrained_class(), "ElectraForPreTraining");
        assert_eq!(Arch::ModernElectra.pretrained_class(), "ModernBertForTokenClassification");
        assert_eq!(Arch::ModernElectra.generator_class().unwrap(), "ModernBertForMaskedLM");
        assert_eq!(serde_json::to_value(Arch::ModernElectra).unwrap(), "modern-electra");
        for arch in Arch::ALL {
            if !arch.is_marked() {
                assert_eq!(serde_json::to_value(arch).unwrap(), arch.model_type());
            }
            assert_eq!(arch.heads().count(), if arch.has_discriminator() { 2 } else { 1 });
        }
    }
}
