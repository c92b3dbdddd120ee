//! A correction of your own, registered by name and then asked for by a TOML file.
//! `cargo run --example custom_correction -- [folder] [steps]`

use burn::tensor::Device;
use true_negatives::core::correct::registry::CORRECTIONS;
use true_negatives::core::correct::{Corrected, Correction, Masked};
use true_negatives::study::quickstart::{Setup, Trial};
use true_negatives::train::config::Layers;
use true_negatives::train::{report::Reporters, session::Session};

/// The more plausible a prediction, the less its position weighs: (1 - g)^power.
struct Graded {
    power: f64,
}

impl Correction for Graded {
    fn correct(&self, masked: &Masked<'_>) -> Corrected {
        let mut corrected = Corrected::unchanged(masked.predictions);
        let doubt = (-masked.verdict.grade.clone() + 1.0).powf_scalar(self.power as f32);
        corrected.weight = corrected.weight * doubt;
        corrected
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    CORRECTIONS.register("graded", |settings, _resources| {
        Ok(Box::new(Graded { power: settings.number("power", 1.0)? }))
    })?;

    // Text, vocabulary and lexicon of the generated language.
    let mut args = std::env::args().skip(1);
    let out = std::path::PathBuf::from(args.next().unwrap_or("runs/custom-correction".into()));
    let setup = Setup::new(0, args.next().map_or(Ok(100), |steps| steps.parse())?, "flex");
    let inputs = setup.write(&out)?;

    // What a user would write.
    let (file, folder) = (out.join("graded.toml"), out.display());
    let text = format!(
        r#"
        preset = "quickstart"
        data = {{ train = ["{folder}/corpus.txt"], tokenizer = "{folder}/tokenizer", cache = "{folder}/cache" }}
        lexicon.path = "{folder}/lexicon.safetensors"
        train.steps = {steps}
        schedule.warmup = 10
        correction.masked_lm = {{ kind = "graded", power = 2.0 }}
        "#,
        steps = setup.steps
    );
    std::fs::write(&file, text)?;
    let config = Layers { file: Some(file), ..Layers::default() }.resolve()?.runnable()?;

    let session = Session::start(config, &out.join("run"), &Device::flex())?;
    let summary = Trial::new(&setup, inputs)?.run(&session, &mut Reporters::default())?;
    let found = summary.evaluation.ok_or("the run was stopped before its evaluation")?;
    println!("held-out loss {:.3}", found.get("masked_loss").unwrap_or(f64::NAN));
    Ok(())
}
