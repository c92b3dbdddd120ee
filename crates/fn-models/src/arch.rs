//! The architectures and what belongs to each of them: its name, its class names, its files.

use serde::{Deserialize, Serialize};

use crate::hf::Head;
use crate::hf::names::Layout;

/// An architecture that can be pre-trained and fine-tuned.
///
/// A new one is a variant here, an arm in each `match` of this file, of [`Pretrained`](crate::Pretrained) and of
/// [`Classifier`](crate::Classifier), and its names in [`hf::names`](crate::hf::names). No other crate matches on the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// Masked language modelling: one encoder with a head over the vocabulary.
    Bert,
    /// Replaced-token detection: a small generator fills the masked positions, the discriminator finds the replaced tokens.
    #[default]
    Electra,
}

/// What a folder in the Hugging Face format holds behind the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    SequenceClassification,
    QuestionAnswering,
    TokenClassification,
}

impl Arch {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Bert, Self::Electra];

    /// As papers write it: `BERT`, `ELECTRA`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bert => "BERT",
            Self::Electra => "ELECTRA",
        }
    }

    /// `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Electra => "electra",
        }
    }

    /// Whether it is pre-trained with a discriminator that finds replaced tokens; its masked language model is then a generator
    /// beside the encoder that is kept.
    pub fn has_discriminator(self) -> bool {
        self.discriminator_head().is_some()
    }

    /// The head that predicts masked tokens.
    pub fn masked_lm_head(self) -> Head {
        match self {
            Self::Bert => Head::MaskedLm,
            Self::Electra => Head::Generator,
        }
    }

    /// The head that finds replaced tokens.
    pub fn discriminator_head(self) -> Option<Head> {
        match self {
            Self::Bert => None,
            Self::Electra => Some(Head::Discriminator),
        }
    }

    /// Heads of pre-training, the masked LM first.
    pub fn heads(self) -> impl Iterator<Item = Head> {
        [Some(self.masked_lm_head()), self.discriminator_head()].into_iter().flatten()
    }

    /// The class in transformers that reads a folder of the pre-trained model (without `generator/`).
    pub fn pretrained_class(self) -> &'static str {
        match self {
            Self::Bert => "BertForMaskedLM",
            Self::Electra => "ElectraForPreTraining",
        }
    }

    /// The class in transformers that reads the folder `generator/`, where there is one.
    pub fn generator_class(self) -> Option<&'static str> {
        match self {
            Self::Bert => None,
            Self::Electra => Some("ElectraForMaskedLM"),
        }
    }

    /// The class in transformers of a fine-tuned model.
    pub(crate) fn task_class(self, task: Task) -> String {
        let prefix = match self {
            Self::Bert => "Bert",
            Self::Electra => "Electra",
        };
        format!("{prefix}For{task:?}")
    }

    /// Names of the tensors of a fine-tuned model.
    pub(crate) fn task_layout(self, task: Task) -> Layout {
        match (self, task) {
            (Self::Bert, Task::SequenceClassification) => Layout::BertClassifier,
            (Self::Bert, Task::QuestionAnswering) => Layout::BertSpans,
            (Self::Bert, Task::TokenClassification) => Layout::BertTags,
            (Self::Electra, Task::SequenceClassification) => Layout::ElectraClassifier,
            (Self::Electra, Task::QuestionAnswering) => Layout::ElectraSpans,
            (Self::Electra, Task::TokenClassification) => Layout::ElectraTags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arch, Task};

    #[test]
    fn names_are_those_of_transformers_and_of_configuration_files() {
        assert_eq!(Arch::Bert.task_class(Task::QuestionAnswering), "BertForQuestionAnswering");
        assert_eq!(Arch::Electra.task_class(Task::TokenClassification), "ElectraForTokenClassification");
        for arch in Arch::ALL {
            assert_eq!(serde_json::to_value(arch).unwrap(), arch.model_type());
            assert_eq!(arch.heads().count(), if arch.has_discriminator() { 2 } else { 1 });
        }
    }
}
