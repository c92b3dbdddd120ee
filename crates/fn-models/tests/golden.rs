//! The same numbers as transformers: logits, losses and the gradient of every parameter.
//!
//! The fixtures are made by `tests/golden/make.py` in f64 from the same f32 weights.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod common;

use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{Case, close, golden, gradients, json};
use fn_models::Family;
use fn_models::hf::names::{Layout, Role};
use fn_models::{hf, params};
use fn_ops::Noise;

fn relative(got: f32, expected: f64, tolerance: f64, what: &str) {
    let off = (f64::from(got) - expected).abs();
    assert!(
        off <= tolerance * expected.abs().max(1.0),
        "{what}: {got} instead of {expected} (off by {off:e})"
    );
}

#[test]
fn bert_agrees_with_transformers_in_logits_loss_and_every_gradient() {
    let device = Device::flex().autodiff();
    let case = Case::open("bert_tiny");
    let (model, config, report) = hf::load_bert(&golden("bert_tiny"), &device).unwrap();
    assert!(report.missing.is_empty() && report.unused.is_empty() && report.cast.is_empty(), "{report}");
    assert!(!config.pooler);

    let inputs = case.inputs("input_ids", &device);
    let hidden = params::host(model.hidden(&inputs, &Noise::none()));
    // Padded positions attend to real ones but nothing depends on them; transformers computes them the same way.
    let mut worst = close("hidden", &hidden, &case.float("hidden").1);
    let logits = model.masked_logits(&inputs, case.ids("rows", &device), &Noise::none());
    worst = worst.max(close("logits", &params::host(logits.clone()), &case.float("logits").1));
    let loss = fn_ops::cross_entropy_rows(logits, case.ids("gold", &device)).mean();
    let expected = json(&golden("bert_tiny/case.json"))["loss"].as_f64().unwrap();
    relative(params::host(loss.clone())[0], expected, 1e-6, "loss");

    let found = gradients(&model, &loss.backward(), Layout::new(Family::Bert, Role::MaskedLm));
    assert_eq!(found.len(), case.gradient_names("grad.").len());
    let mut worst_gradient = 0.0f32;
    for gradient in found {
        let (shape, values) = case.float(&format!("grad.{}", gradient.name));
        assert_eq!(&gradient.shape, shape, "{}", gradient.name);
        worst_gradient = worst_gradient.max(close(&gradient.name, &gradient.values, values));
    }
    println!("BERT: largest difference of a logit {worst:e}, of a gradient {worst_gradient:e}");
}

#[test]
fn electra_agrees_with_transformers_in_logits_losses_and_every_gradient() {
    let device = Device::flex().autodiff();
    let case = Case::open("electra_tiny");
    let (model, config, report) = hf::load_electra(&golden("electra_tiny"), &device).unwrap();
    assert!(report.missing.is_empty() && report.unused.is_empty() && report.notes.is_empty(), "{report}");
    assert_eq!((config.discriminator.hidden_size, config.generator.hidden_size), (24, 16));

    let none = Noise::none();
    let logits = model.generator_logits(&case.inputs("input_ids", &device), case.ids("rows", &device), &none);
    let found = model.discriminator_logits(&case.inputs("replaced_ids", &device), &none);
    let mut worst =
        close("generator logits", &params::host(logits.clone()), &case.float("generator_logits").1);
    worst = worst.max(close(
        "discriminator logits",
        &params::host(found.clone()),
        &case.float("discriminator_logits").1,
    ));

    let masked_lm = fn_ops::cross_entropy_rows(logits, case.ids("gold", &device)).mean();
    let original: Tensor<2, Int> = case.ids("original", &device);
    let fake = case.ids::<2>("replaced_ids", &device).not_equal(original).float();
    let real = case.attention(&device);
    let detection = (fn_ops::bce_with_logits(found, fake) * real.clone()).sum() / real.sum();
    let total = masked_lm.clone() + detection.clone() * 50.0;
    let expected = json(&golden("electra_tiny/case.json"));
    for (name, got) in [("generator_loss", &masked_lm), ("discriminator_loss", &detection), ("loss", &total)]
    {
        relative(params::host(got.clone())[0], expected[name].as_f64().unwrap(), 1e-6, name);
    }

    let raw = total.backward();
    let mut count = 0;
    let mut worst_gradient = 0.0f32;
    for (role, prefix) in [(Role::Discriminator, "grad.discriminator."), (Role::Generator, "grad.generator.")]
    {
        for gradient in gradients(&model, &raw, Layout::new(Family::Electra, role)) {
            // The shared tables are stored once, under the discriminator.
            if role == Role::Generator && gradient.name.starts_with("electra.embeddings.") {
                continue;
            }
            let (shape, values) = case.float(&format!("{prefix}{}", gradient.name));
            assert_eq!(&gradient.shape, shape, "{}", gradient.name);
            worst_gradient = worst_gradient.max(close(&gradient.name, &gradient.values, values));
            count += 1;
        }
    }
    assert_eq!(count, case.gradient_names("grad.").len());
    println!("ELECTRA: largest difference of a logit {worst:e}, of a gradient {worst_gradient:e}");
}

#[test]
fn padding_changes_no_logit_of_a_real_token() {
    let device = Device::flex();
    let case = Case::open("electra_tiny");
    let (model, ..) = hf::load_electra(&golden("electra_tiny"), &device).unwrap();
    // Row 1 has 8 tokens: alone and unpadded it must look the same.
    let whole = model.discriminator_logits(&case.inputs("replaced_ids", &device), &Noise::none());
    let mut alone = case.inputs("replaced_ids", &device);
    alone.ids = alone.ids.slice([1..2, 0..8]);
    alone.token_type = alone.token_type.slice([1..2, 0..8]);
    alone.mask = None;
    let alone = params::host(model.discriminator_logits(&alone, &Noise::none()));
    close("row 1", &alone, &params::host(whole.slice([1..2, 0..8])));
}

#[test]
fn losses_of_extreme_logits_are_those_of_torch_in_f64() {
    let device = Device::flex().autodiff();
    let cases = json(&golden("extreme/losses.json"));
    for case in cases["cross_entropy"].as_array().unwrap() {
        let floats = |key: &str| -> Vec<f32> {
            case[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
        };
        let logits =
            Tensor::<2>::from_data(TensorData::new(floats("logits"), [1, 4]), &device).require_grad();
        let gold = Tensor::<1, Int>::from_data([case["gold"].as_i64().unwrap() as i32], &device);
        let loss = fn_ops::cross_entropy_rows(logits.clone(), gold).sum();
        relative(params::host(loss.clone())[0], case["loss"].as_f64().unwrap(), 1e-6, &case.to_string());
        let gradient = params::host(logits.grad(&loss.backward()).unwrap());
        for (got, expected) in gradient.iter().zip(floats("grad")) {
            assert!((got - expected).abs() <= 1e-6, "{case}: {gradient:?}");
        }
    }
    for case in cases["binary"].as_array().unwrap() {
        let float = |key: &str| case[key].as_f64().unwrap();
        let logit = Tensor::<1>::from_data([float("logit") as f32], &device).require_grad();
        let target = Tensor::<1>::from_data([float("target") as f32], &device);
        let loss = fn_ops::bce_with_logits(logit.clone(), target).sum();
        let got = params::host(loss.clone())[0];
        // Relative to the loss itself, however small: 4e-8 for a sure and right answer at 17.
        let off = (f64::from(got) - float("loss")).abs();
        assert!(off <= 1e-6 * float("loss") + 1e-30, "{case}: {got}");
        let gradient = params::host(logit.grad(&loss.backward()).unwrap())[0];
        assert!((f64::from(gradient) - float("grad")).abs() <= 1e-6, "{case}: {gradient}");
    }
}
