//! Compares losses and gradient norms of twenty steps of ELECTRA with AdamW with those of torch.
//!
//! The curve was made by `tests/golden/make.py` (torch.optim.AdamW, clip_grad_norm_, f64); sizes and optimiser are in its
//! `case.json`.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

#[path = "../../fn-models/tests/common/mod.rs"]
mod common;

use burn::tensor::{Device, Int, Tensor};
use common::{Case, golden, json};
use fn_models::arch::Family;
use fn_models::hf::names::{Layout, Role};
use fn_models::{Arch, Pretrained, hf, params};
use fn_ops::Noise;
use fn_train::optim::{AdamW, AdamWConfig, Gradients, Groups};

#[test]
fn twenty_steps_follow_the_loss_curve_of_torch() {
    let device = Device::flex().autodiff();
    let case = Case::open("electra_tiny");
    let (mut model, ..) = hf::load_electra(&golden("electra_tiny"), &device).unwrap();
    let expected = json(&golden("electra_tiny/case.json"));
    let curve = |name: &str| -> Vec<f64> {
        expected["curve_f64"][name].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    let (losses, norms) = (curve("loss"), curve("grad_norm"));
    assert_eq!((losses.len(), norms.len()), (20, 20));

    let config = AdamWConfig { bias_correction: true, ..AdamWConfig::default() };
    assert_eq!((config.epsilon, config.weight_decay, config.clip_norm), (1e-6, 0.01, Some(1.0)));
    let mut optimizer = AdamW::new(config, Groups::new());
    let none = Noise::none();
    let (masked, replaced) = (case.inputs("input_ids", &device), case.inputs("replaced_ids", &device));
    let original: Tensor<2, Int> = case.ids("original", &device);
    let fake = case.ids::<2>("replaced_ids", &device).not_equal(original).float();
    let real = case.attention(&device);
    let (mut worst_loss, mut worst_norm) = (0.0f64, 0.0f64);
    for (step, (loss_of_torch, norm_of_torch)) in losses.into_iter().zip(norms).enumerate() {
        let logits = model.generator_logits(&masked, case.ids("rows", &device), &none);
        let masked_lm = fn_ops::cross_entropy_rows(logits, case.ids("gold", &device)).mean();
        let found = model.discriminator_logits(&replaced, &none);
        let detection =
            (fn_ops::bce_with_logits(found, fake.clone()) * real.clone()).sum() / real.clone().sum();
        let loss = masked_lm + detection * 50.0;
        let gradients = Gradients::from_backward(&model, loss.backward());
        let (next, update) = optimizer.step(model, gradients, 1e-3);
        model = next;
        let off = |got: f64, expected: f64| (got - expected).abs() / expected;
        let loss = off(f64::from(params::host(loss)[0]), loss_of_torch);
        let norm = off(update.grad_norm, norm_of_torch);
        assert!(
            loss < 1e-4 && norm < 1e-3 && update.clipped,
            "step {step}: loss off by {loss:e}, norm by {norm:e}"
        );
        (worst_loss, worst_norm) = (worst_loss.max(loss), worst_norm.max(norm));
    }
    println!("largest relative difference of a loss {worst_loss:e}, of a gradient norm {worst_norm:e}");
}

/// Masked LMs: three steps, each loss before and after.
#[test]
fn three_steps_of_roberta_and_of_an_untied_bert_follow_those_of_torch() {
    for (folder, arch) in
        [("roberta_tiny", Arch::Roberta), ("bert_untied", Arch::Bert), ("distilbert_tiny", Arch::DistilBert)]
    {
        let device = Device::flex().autodiff();
        let case = Case::open(folder);
        let (mut model, _) = Pretrained::open_as(arch, None, &golden(folder), &device).unwrap();
        let expected = json(&golden(folder).join("case.json"));
        let curve = |name: &str| -> Vec<f64> {
            expected[name].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
        };
        let (losses, norms) = (curve("curve"), curve("grad_norm"));
        assert_eq!((losses.len(), norms.len()), (4, 4));
        let config = AdamWConfig { bias_correction: true, ..AdamWConfig::default() };
        let mut optimizer = AdamW::new(config, Groups::new());
        let inputs = case.inputs("input_ids", &device);
        for (step, (loss_of_torch, norm_of_torch)) in losses.into_iter().zip(norms).enumerate() {
            let logits = model.masked_logits(&inputs, case.ids("rows", &device), &Noise::none());
            let loss = fn_ops::cross_entropy_rows(logits, case.ids("gold", &device)).mean();
            let gradients = Gradients::from_backward(&model, loss.backward());
            let (next, update) = optimizer.step(model, gradients, 1e-3);
            model = next;
            let off = |got: f64, expected: f64| (got - expected).abs() / expected;
            let loss = off(f64::from(params::host(loss)[0]), loss_of_torch);
            let norm = off(update.grad_norm, norm_of_torch);
            assert!(
                loss < 1e-5 && norm < 1e-4,
                "{folder}, step {step}: loss off by {loss:e}, norm by {norm:e}"
            );
            println!(
                "{folder}, step {step}: relative difference of the loss {loss:.1e}, of the norm {norm:.1e}"
            );
        }
    }
}

/// ModernBERT: the loss of each of three steps, and every parameter after them.
#[test]
fn three_steps_of_modernbert_end_at_the_weights_of_torch() {
    let device = Device::flex().autodiff();
    let (case, expected) = (Case::open("modern_tiny"), json(&golden("modern_tiny/case.json")));
    let (mut model, _) = Pretrained::open(&golden("modern_tiny"), &device).unwrap();
    let config = AdamWConfig { bias_correction: true, ..AdamWConfig::default() };
    let mut optimizer = AdamW::new(config, Groups::new());
    let inputs = case.inputs("input_ids", &device);
    let off = |got: f64, expected: &serde_json::Value| {
        let expected = expected.as_f64().unwrap();
        (got - expected).abs() / expected
    };
    for step in 0..3 {
        let logits = model.masked_logits(&inputs, case.ids("rows", &device), &Noise::none());
        let loss = fn_ops::cross_entropy_rows(logits, case.ids("gold", &device)).mean();
        let gradients = Gradients::from_backward(&model, loss.backward());
        let (next, update) = optimizer.step(model, gradients, 1e-3);
        model = next;
        let loss = off(f64::from(params::host(loss)[0]), &expected["losses"][step]);
        let norm = off(update.grad_norm, &expected["grad_norms"][step]);
        assert!(loss < 1e-5 && norm < 1e-4, "step {step}: loss off by {loss:e}, norm by {norm:e}");
    }
    let layout = Layout::new(Family::Modern, Role::MaskedLm);
    let (mut worst, mut sum, mut values_in_all, mut count) = (0.0f32, 0.0f64, 0, 0);
    for parameter in params::collect(&model) {
        let (name, transposed) = layout.theirs(&parameter.name).unwrap();
        let (shape, values) = case.float(&format!("after.{name}"));
        for (index, got) in parameter.data.iter().enumerate() {
            let wanted = match (transposed, shape.as_slice()) {
                // Theirs is [out, in], ours [in, out].
                (true, &[rows, columns]) => values[index % rows * columns + index / rows],
                _ => values[index],
            };
            worst = worst.max((got - wanted).abs());
            (sum, values_in_all) = (sum + f64::from((got - wanted).abs()), values_in_all + 1);
        }
        count += 1;
    }
    assert_eq!(count, case.gradient_names("after.").len());
    // A step moves a parameter by 1e-3; where its gradient is as small as epsilon, rounding shows.
    let mean = sum / f64::from(values_in_all);
    assert!(worst < 1e-4 && mean < 1e-6, "a parameter is off by {worst:e}, in the mean by {mean:e}");
    println!("ModernBERT: largest difference of a parameter after three steps {worst:e}");
}
