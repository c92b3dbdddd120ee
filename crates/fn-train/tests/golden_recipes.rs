//! Schedules, StableAdamW and the moving average of weights against `tests/golden/recipes.json`, which `make_recipes.py` computed in float64.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use fn_train::optim::{AdamW, AdamWConfig, Gradients, Groups};
use fn_train::schedule::{DecayShape, ScheduleConfig, ScheduleKind};
use serde_json::Value;

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/recipes.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn learning_rates_are_those_of_transformers() {
    let of = |kind, decay, decay_shape, end_factor| ScheduleConfig {
        kind,
        lr: 1e-3,
        warmup: 10,
        total: 110,
        end_factor,
        decay,
        decay_shape,
    };
    let wsd = |shape| of(ScheduleKind::WarmupStableDecay, 40, shape, 0.1);
    for (name, schedule) in [
        ("linear", of(ScheduleKind::Linear, 0, DecayShape::Linear, 0.0)),
        ("cosine", of(ScheduleKind::Cosine, 0, DecayShape::Linear, 0.0)),
        ("wsd-linear", wsd(DecayShape::Linear)),
        ("wsd-cosine", wsd(DecayShape::Cosine)),
        ("wsd-sqrt", wsd(DecayShape::Sqrt)),
    ] {
        schedule.validate().unwrap();
        let expected = numbers(&golden()["rates"][name]);
        // transformers' cosine rises again behind its end, and its warm-up of WSD begins at the smallest rate; ours begins at 0, as that of
        // every other schedule.
        let first = if name.starts_with("wsd") { 10 } else { 0 };
        for (step, expected) in expected.into_iter().enumerate().take(111).skip(first) {
            let got = schedule.at(step as u64);
            assert!((got - expected).abs() <= 1e-15, "{name}, step {step}: {got} instead of {expected}");
        }
    }
}

#[derive(Module, Debug)]
struct One {
    weight: Param<Tensor<1>>,
}

fn tensor(values: &[f64], device: &Device) -> Tensor<1> {
    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

fn run(update_clipping: bool, expected: &str) -> Vec<One> {
    let golden = golden();
    let device = Device::flex().autodiff();
    let config = AdamWConfig {
        beta2: 0.95,
        weight_decay: 0.1,
        bias_correction: true,
        clip_norm: None,
        update_clipping,
        ..AdamWConfig::default()
    };
    config.validate().unwrap();
    let mut adam = AdamW::new(config, Groups::default());
    let mut model =
        One { weight: Param::from_tensor(tensor(&numbers(&golden["start"]), &device).require_grad()) };
    let mut all = Vec::new();
    let steps = golden["gradients"].as_array().unwrap().iter().zip(golden[expected].as_array().unwrap());
    for (step, (gradient, expected)) in steps.enumerate() {
        let mut gradients = Gradients::default();
        gradients.set("weight", tensor(&numbers(gradient), &device.clone().inner()));
        model = adam.step(model, gradients, 1e-2).0;
        let got: Vec<f64> = model.weight.val().into_data().iter::<f64>().collect();
        for (got, expected) in got.iter().zip(numbers(expected)) {
            assert!((got - expected).abs() <= 2e-6, "step {step}: {got} instead of {expected}");
        }
        all.push(model.clone());
    }
    all
}

#[test]
fn stable_adamw_is_the_formula_of_its_paper() {
    run(true, "stable");
    run(false, "plain");
}

#[test]
#[should_panic(expected = "instead of")]
fn without_update_clipping_the_numbers_are_others() {
    run(false, "stable");
}

#[test]
fn a_moving_average_of_weights_is_its_formula() {
    let golden = golden();
    let device = Device::flex();
    let start = One { weight: Param::from_tensor(tensor(&numbers(&golden["start"]), &device)) };
    let models = run(true, "stable");
    let mut average = start;
    for (step, (model, expected)) in models.iter().zip(golden["averages"].as_array().unwrap()).enumerate() {
        average = fn_models::params::moving_average(average, &model.valid(), 0.9);
        let got: Vec<f64> = average.weight.val().into_data().iter::<f64>().collect();
        for (got, expected) in got.iter().zip(numbers(expected)) {
            assert!((got - expected).abs() <= 2e-6, "step {step}: {got} instead of {expected}");
        }
    }
}
