//! ModernBERT: the same numbers as transformers, see `tests/golden/make_modern.py`.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod common;

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{Case, golden, gradients, json};
use fn_models::arch::{Family, Task};
use fn_models::hf::names::{Layout, Role};
use fn_models::{Arch, EncoderConfig, GeneratorSettings, Inputs, Pooling, Pretrained, hf, params};
use fn_ops::{Documents, Noise};

/// Within 2e-6, or 1e-5 of the value.
fn close(what: &str, got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len(), "{what}");
    got.iter().zip(expected).enumerate().fold(0.0, |worst: f32, (index, (got, wanted))| {
        let off = (got - wanted).abs();
        assert!(off <= 2e-6 || off <= 1e-5 * wanted.abs(), "{what}[{index}]: {got} instead of {wanted}");
        worst.max(off)
    })
}

#[test]
fn logits_loss_and_every_gradient_are_those_of_transformers() {
    let device = Device::flex().autodiff();
    let case = Case::open("modern_tiny");
    let (model, config, report) =
        hf::load_masked_lm(&golden("modern_tiny"), Arch::ModernBert, &device).unwrap();
    assert!(report.missing.is_empty() && report.unused.is_empty() && report.notes.is_empty(), "{report}");
    let modern = config.encoder.modern.as_ref().unwrap();
    assert_eq!((modern.window, modern.global_every), (8, 3));

    let inputs = case.inputs("input_ids", &device);
    // What stands at padding is of no use to anybody, and differs.
    let real = case.attention(&device).unsqueeze_dim::<3>(2);
    let hidden = params::host(model.hidden(&inputs, &Noise::none()) * real);
    close("hidden", &hidden, &case.float("hidden").1);
    let logits = model.masked_logits(&inputs, case.ids("rows", &device), &Noise::none());
    let worst = close("logits", &params::host(logits.clone()), &case.float("logits").1);
    let loss = fn_ops::cross_entropy_rows(logits, case.ids("gold", &device)).mean();
    let expected = json(&golden("modern_tiny/case.json"))["loss"].as_f64().unwrap();
    assert!((f64::from(params::host(loss.clone())[0]) - expected).abs() < 1e-5, "loss");

    let found = gradients(&model, &loss.backward(), Layout::new(Family::Modern, Role::MaskedLm));
    assert_eq!(found.len(), case.gradient_names("grad.").len());
    let mut worst_gradient = 0.0f32;
    for gradient in found {
        let (shape, values) = case.float(&format!("grad.{}", gradient.name));
        assert_eq!(&gradient.shape, shape, "{}", gradient.name);
        // Relative to the largest of the tensor.
        let size = values.iter().fold(0.0f32, |size, value| size.max(value.abs()));
        for (got, wanted) in gradient.values.iter().zip(values) {
            let off = (got - wanted).abs();
            assert!(off <= 1e-4 * wanted.abs() || off <= 1e-5 * size, "{}: {got}, {wanted}", gradient.name);
            worst_gradient = worst_gradient.max(off);
        }
    }
    println!("ModernBERT: largest difference of a logit {worst:e}, of a gradient {worst_gradient:e}");
}

#[test]
fn weights_come_back_byte_for_byte_and_the_configuration_says_the_same_in_both_formats() {
    let device = Device::flex();
    let (model, report) = Pretrained::open(&golden("modern_tiny"), &device).unwrap();
    assert_eq!(model.arch(), Arch::ModernBert);
    let out = tempfile::tempdir().unwrap();
    model.save(out.path(), &report.options).unwrap();
    let read = |dir: &Path| fs::read(dir.join("model.safetensors")).unwrap();
    assert!(read(out.path()) == read(&golden("modern_tiny")), "model.safetensors differs");
    let config = |dir: &Path| json(&dir.join("config.json"));
    assert_eq!(config(out.path()), config(&golden("modern_tiny")));
    fs::copy(golden("modern_tiny/old/config.json"), out.path().join("config.json")).unwrap();
    let (old, report) = Pretrained::open(out.path(), &device).unwrap();
    assert_eq!(old.encoder(), model.encoder());
    assert!(report.notes.is_empty(), "{report}");
}

#[test]
fn keys_that_change_the_mathematics_are_refused_by_name() {
    let text = fs::read_to_string(golden("modern_tiny/config.json")).unwrap();
    let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (key, value) in [
        ("norm_bias", serde_json::json!(true)),
        ("mlp_bias", serde_json::json!(true)),
        ("attention_bias", serde_json::json!(true)),
        ("decoder_bias", serde_json::json!(false)),
        ("rope_scaling", serde_json::json!({"type": "linear"})),
        ("classifier_pooling", serde_json::json!("max")),
        ("layer_types", serde_json::json!(["sliding_attention", "full_attention"])),
        ("rope_parameters", serde_json::json!({"full_attention": {"rope_type": "yarn", "rope_theta": 1.0}})),
        ("attention_scale", serde_json::json!(0.5)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut changed = whole.clone();
        changed[key] = value;
        fs::write(dir.path().join("config.json"), changed.to_string()).unwrap();
        let error = hf::read_encoder(dir.path()).unwrap_err().to_string();
        assert!(error.contains(key), "{key}: {error}");
    }
}

fn ids(case: &serde_json::Value, key: &str, device: &Device) -> Tensor<2, Int> {
    let rows = case[key].as_array().unwrap();
    let values: Vec<i32> =
        rows.iter().flat_map(|r| r.as_array().unwrap()).map(|v| v.as_i64().unwrap() as i32).collect();
    let shape = [rows.len(), values.len() / rows.len()];
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn floats(value: &serde_json::Value) -> Vec<f32> {
    match value.as_array() {
        Some(all) => all.iter().flat_map(floats).collect(),
        None => vec![value.as_f64().unwrap() as f32],
    }
}

#[test]
fn heads_of_tasks_are_those_of_transformers_and_come_back_byte_for_byte() {
    let (device, none) = (Device::flex(), Noise::none());
    for name in ["classifier_cls", "classifier_mean", "spans", "tags"] {
        let folder = golden("modern_tasks").join(name);
        let case = json(&folder.join("case.json"));
        let inputs = Inputs {
            ids: ids(&case, "input_ids", &device),
            token_type: ids(&case, "token_type_ids", &device),
            mask: Some(ids(&case, "attention_mask", &device).float()),
            documents: None,
            cuts: None,
        };
        let real = floats(&case["attention_mask"]);
        let (got, wanted, report) = match name {
            "spans" => {
                let (model, _, report) = hf::load_spans(&folder, 0, &device).unwrap();
                let got = params::host(model.forward(&inputs, &none));
                let (start, end) = (floats(&case["start_logits"]), floats(&case["end_logits"]));
                (got, start.into_iter().zip(end).flat_map(|(s, e)| [s, e]).collect(), report)
            }
            "tags" => {
                let (model, _, report) = hf::load_tags(&folder, 3, 0, &device).unwrap();
                (params::host(model.forward(&inputs, &none)), floats(&case["logits"]), report)
            }
            _ => {
                let (model, config, report) = hf::load_classifier(&folder, 3, 0, &device).unwrap();
                let pooling = config.encoder.modern.as_ref().unwrap().classifier_pooling;
                assert_eq!(pooling == Pooling::Mean, name == "classifier_mean");
                let out = tempfile::tempdir().unwrap();
                hf::save_classifier(out.path(), &model, &config, &[]).unwrap();
                let read = |dir: &Path| fs::read(dir.join("model.safetensors")).unwrap();
                assert!(read(out.path()) == read(&folder), "{name}");
                (params::host(model.forward(&inputs, &none)), floats(&case["logits"]), report)
            }
        };
        assert!(report.missing.is_empty() && report.unused.is_empty(), "{name}: {report}");
        let wanted: Vec<f32> = wanted;
        let per_token = got.len() / real.len();
        let keep = |values: Vec<f32>| -> Vec<f32> {
            let counts = |i: usize| name.starts_with("classifier") || real[i / per_token] > 0.0;
            values.into_iter().enumerate().filter(|(i, _)| counts(*i)).map(|(_, v)| v).collect()
        };
        close(name, &keep(got), &keep(wanted));
    }
    assert_eq!(
        Layout::new(Family::Modern, Role::Task(Task::QuestionAnswering))
            .theirs("head.dense.weight")
            .unwrap()
            .0,
        "head.dense.weight"
    );
}

#[test]
fn packed_documents_see_what_they_see_alone() {
    let (device, none) = (Device::flex(), Noise::none());
    for (arch, encoder) in
        [(Arch::ModernBert, EncoderConfig::modern_tiny()), (Arch::Bert, EncoderConfig::bert_tiny())]
    {
        let encoder = EncoderConfig { vocab_size: 50, ..encoder };
        let model = Pretrained::fresh(arch, encoder, GeneratorSettings::default(), 3, &device).unwrap();
        let row: Vec<i32> = (0..200).map(|i| 5 + i * 7 % 45).collect();
        let part = |from: usize, to: usize| {
            Tensor::<2, Int>::from_data(TensorData::new(row[from..to].to_vec(), [1, to - from]), &device)
        };
        let mut packed = Inputs::plain(part(0, 200));
        packed.documents = Some(Documents::new(vec![vec![0, 70]], 200));
        let together = params::host(model.hidden(&packed, &none));
        let alone = [(0, 70), (70, 200)]
            .map(|(from, to)| params::host(model.hidden(&Inputs::plain(part(from, to)), &none)));
        close(arch.name(), &together, &alone.concat());
        packed.documents = None;
        assert_ne!(params::host(model.hidden(&packed, &none)), together);
    }
}
