//! What a quickstart says before and after its arms.

use std::path::Path;

use fn_data::language::Language;
use fn_eval::table::percent;
use fn_train::config::RunConfig;
use fn_train::session::Summary;

use super::{Setup, measured, question};

impl Setup {
    /// What is about to happen, for the terminal; `arms`: those that were chosen, none: all.
    pub fn introduction(&self, arms: &[String], language: &Language, config: &RunConfig) -> String {
        let arch = if self.bert { "BERT" } else { "ELECTRA" };
        let times = match arms.len() {
            0 => "three times".to_owned(),
            _ => format!("({})", arms.join(", ")),
        };
        format!(
            "A generated language of {} words, some of them interchangeable by construction.\n\
             Pre-training a {}-layer {arch} of width {} {times} for {} steps (5,000 of all three take about {} minutes on two cores).\n",
            language.size(),
            config.model.num_layers,
            config.model.hidden_size,
            config.train.steps,
            if self.bert { "one and a half" } else { "three" }
        )
    }

    /// The comparison with explanations.
    pub fn conclusion(
        &self,
        out: &Path,
        table: &str,
        language: &Language,
        arms: &[(&str, Summary)],
    ) -> String {
        let mut text = format!(
            "\n{table}\nexact: the masked word itself was predicted; fitting: it or a word planted as interchangeable with it.\n"
        );
        if !self.bert {
            text.push_str("true AUC: replacements that fit count as original.\n");
        }
        if let Some((_, hard)) = arms.iter().find(|(name, _)| *name == "hard") {
            text.push_str(&format!(
                "The lexicon's verdicts on wrong predictions, against the planted truth: precision {}, recall {}.\n",
                percent(measured(hard, "predicted_detection_precision")),
                percent(measured(hard, "predicted_detection_recall")),
            ));
        }
        text.push_str(&format!(
            "One seed shows how it works, not which arm is better. Runs, curves and models: {}\n",
            out.display()
        ));
        if let Some((name, _)) = arms.iter().find(|(name, _)| *name == "hard").or(arms.first()) {
            text.push_str(&format!(
                "Next: fnlm inspect --model {} --lexicon {} \"{}\"\n",
                out.join(name).join("model").display(),
                out.join("lexicon.safetensors").display(),
                question(language, self.seed)
            ));
        }
        text
    }
}
