//! A judge of your own: pre-trains on the generated language with it, and prints its precision and recall on held-out text.
//! `cargo run --example custom_judge -- [folder] [steps]`

use burn::tensor::{Device, Int, Tensor, activation::softmax};
use true_negatives::core::{batch::Predictions, correct::registry::JUDGES, judge::Judge};
use true_negatives::data::language::LanguageConfig;
use true_negatives::study::quickstart::{Setup, Trial};
use true_negatives::train::config::{CorrectionConfig, CorrectionPreset, Runnable};
use true_negatives::train::{report::Reporters, session::Session};

/// Two words that share most of the probability probably both fit: the grade is 2 sqrt(p(original) p(prediction)), 1 for two halves.
struct Undecided;

impl Judge for Undecided {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        let p = softmax(predictions.logits(), 1);
        let of = |ids: &Tensor<1, Int>| p.clone().gather(1, ids.clone().inner().unsqueeze_dim(1));
        ((of(&predictions.batch.gold) * of(&predictions.ids)).sqrt() * 2.0).squeeze_dim(1)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    JUDGES.register("undecided", |_settings, _resources| Ok(Box::new(Undecided)))?;
    let mut args = std::env::args().skip(1);
    let out = std::path::PathBuf::from(args.next().unwrap_or("runs/custom-judge".into()));
    let mut setup = Setup::new(0, args.next().map_or(Ok(800), |steps| steps.parse())?, "flex");
    setup.language = LanguageConfig { topics: 1, adjectives: 10, verbs: 8, ..setup.language }; // learnt in a minute
    let inputs = setup.write(&out)?;
    let mut config = inputs.config.clone();
    config.correction = CorrectionConfig::preset(CorrectionPreset::Hard);
    config.correction.judge = Some(serde_json::from_str(r#"{"kind": "undecided"}"#)?);
    config.lexicon.path = None; // held-out metrics then judge by the same judge
    let session = Session::start(Runnable::of(config)?, &out.join("run"), &Device::flex())?;
    let summary = Trial::new(&setup, inputs)?.run(&session, &mut Reporters::default())?;
    let found = summary.evaluation.ok_or("the run was stopped before its evaluation")?;
    for figure in ["precision", "recall"] {
        println!("{figure} {:.3}", found.get(&format!("predicted_detection_{figure}")).unwrap_or(f64::NAN));
    }
    Ok(())
}
