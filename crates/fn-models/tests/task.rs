//! Task models against transformers: logits and losses within 1e-5, names on disk in both directions.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod common;

use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{close, golden, json};
use fn_models::{Arch, Inputs, hf, params};
use fn_ops::Noise;
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(all) => all.iter().flat_map(numbers).collect(),
        one => vec![one.as_f64().unwrap() as f32],
    }
}

fn ids(case: &Value, name: &str, device: &Device) -> Tensor<2, Int> {
    let shape = [case[name].as_array().unwrap().len(), case[name][0].as_array().unwrap().len()];
    let values: Vec<i32> = numbers(&case[name]).into_iter().map(|x| x as i32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn inputs(case: &Value, device: &Device) -> Inputs {
    Inputs {
        ids: ids(case, "input_ids", device),
        token_type: ids(case, "token_type_ids", device),
        mask: Some(ids(case, "attention_mask", device).float()),
        documents: None,
        cuts: None,
    }
}

#[test]
fn classifiers_of_both_families_compute_what_transformers_computes() {
    let device = Device::flex();
    for (folder, arch) in
        [("task_tiny/bert_classifier", Arch::Bert), ("task_tiny/electra_classifier", Arch::Electra)]
    {
        let case = json(&golden(folder).join("case.json"));
        let (model, config, report) = hf::load_classifier(&golden(folder), 3, 1, &device).unwrap();
        assert_eq!((config.arch, config.outputs), (arch, 3));
        assert!(report.missing.is_empty() && report.unused.is_empty(), "{folder}: {report}");
        let logits = model.forward(&inputs(&case, &device), &Noise::none());
        close(folder, &params::host(logits.clone()), &numbers(&case["logits"]));
        let labels: Vec<i32> = numbers(&case["labels"]).into_iter().map(|x| x as i32).collect();
        let loss = fn_ops::cross_entropy_rows(logits, Tensor::from_ints(labels.as_slice(), &device)).mean();
        close(folder, &params::host(loss), &numbers(&case["loss"]));

        let dir = tempfile::tempdir().unwrap();
        hf::save_classifier(dir.path(), &model, &config, &["no", "yes", "perhaps"]).unwrap();
        let read = |path| std::fs::read(path).unwrap();
        assert_eq!(
            read(dir.path().join("model.safetensors")),
            read(golden(folder).join("model.safetensors")),
            "{folder}"
        );
        let written = json(&dir.path().join("config.json"));
        assert_eq!(written["id2label"]["2"], "perhaps");
        assert_eq!(written["label2id"]["yes"], 1);
    }
}

#[test]
fn fields_of_the_encoders_configuration_are_written_again_but_those_of_another_task() {
    let device = Device::flex();
    let dir = tempfile::tempdir().unwrap();
    let mut config = json(&golden("bert_tiny/config.json"));
    for (key, value) in [
        ("bos_token_id", 7.into()),
        ("pad_token_id", 3.into()),
        ("problem_type", "regression".into()),
        ("id2label", serde_json::json!({"0": "old"})),
    ] {
        config[key] = value;
    }
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    std::fs::copy(golden("bert_tiny/model.safetensors"), dir.path().join("model.safetensors")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let (model, config, _) = hf::load_classifier(dir.path(), 2, 1, &device).unwrap();
    hf::save_classifier(out.path(), &model, &config, &["no", "yes"]).unwrap();
    let written = json(&out.path().join("config.json"));
    assert_eq!((&written["bos_token_id"], &written["pad_token_id"]), (&7.into(), &3.into()));
    assert_eq!(written["id2label"], serde_json::json!({"0": "no", "1": "yes"}));
    assert!(written.get("problem_type").is_none());
    let (model, config, _) = hf::load_spans(dir.path(), 1, &device).unwrap();
    hf::save_spans(out.path(), &model, &config).unwrap();
    let written = json(&out.path().join("config.json"));
    assert!(written.get("id2label").is_none() && written["bos_token_id"] == 7);
}

#[test]
fn span_models_of_both_families_compute_what_transformers_computes() {
    let device = Device::flex();
    for folder in ["task_tiny/bert_spans", "task_tiny/electra_spans"] {
        let case = json(&golden(folder).join("case.json"));
        let (model, config, report) = hf::load_spans(&golden(folder), 1, &device).unwrap();
        assert!(report.missing.is_empty(), "{folder}: {report}");
        let logits = model.forward(&inputs(&case, &device), &Noise::none());
        let side = |at: usize| params::host(logits.clone().narrow(2, at, 1));
        close(folder, &side(0), &numbers(&case["start_logits"]));
        close(folder, &side(1), &numbers(&case["end_logits"]));

        let dir = tempfile::tempdir().unwrap();
        hf::save_spans(dir.path(), &model, &config).unwrap();
        let (again, ..) = hf::load_spans(dir.path(), 2, &device).unwrap();
        assert_eq!(params::collect(&model), params::collect(&again), "{folder}");
    }
}

#[test]
fn taggers_of_both_families_compute_what_transformers_computes() {
    let device = Device::flex();
    for folder in ["task_tiny/bert_tags", "task_tiny/electra_tags"] {
        let case = json(&golden(folder).join("case.json"));
        let (model, config, report) = hf::load_tags(&golden(folder), 3, 1, &device).unwrap();
        assert!(report.missing.is_empty() && report.unused.is_empty(), "{folder}: {report}");
        let logits = model.forward(&inputs(&case, &device), &Noise::none());
        close(folder, &params::host(logits.clone()), &numbers(&case["logits"]));
        let (mut places, mut tags) = (Vec::new(), Vec::new());
        for (place, tag) in numbers(&case["labels"]).into_iter().enumerate().filter(|(_, tag)| *tag >= 0.0) {
            places.push(place as i32);
            tags.push(tag as i32);
        }
        let rows = logits.reshape([-1, 3]).select(0, Tensor::<1, Int>::from_ints(places.as_slice(), &device));
        let loss = fn_ops::cross_entropy_rows(rows, Tensor::from_ints(tags.as_slice(), &device)).mean();
        close(folder, &params::host(loss), &numbers(&case["loss"]));

        let dir = tempfile::tempdir().unwrap();
        hf::save_tags(dir.path(), &model, &config, &["O", "B", "I"]).unwrap();
        let read = |path| std::fs::read(path).unwrap();
        assert_eq!(
            read(dir.path().join("model.safetensors")),
            read(golden(folder).join("model.safetensors")),
            "{folder}"
        );
        assert_eq!(hf::labels(dir.path()).unwrap(), ["O", "B", "I"]);
    }
}

#[test]
fn labels_that_are_no_names_by_number_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let labels = |text: &str| {
        std::fs::write(dir.path().join("config.json"), text).unwrap();
        hf::labels(dir.path())
    };
    assert_eq!(labels("{}").unwrap(), [""; 0]);
    assert_eq!(labels(r#"{"id2label": {"1": "b", "0": "a"}}"#).unwrap(), ["a", "b"]);
    assert_eq!(labels(r#"{"id2label": null}"#).unwrap(), [""; 0]);
    for (wrong, place) in [
        (r#"{"id2label": {"1": "b", "2": "a"}}"#, "`id2label.0` is missing"),
        (r#"{"id2label": {"0": "a", "2": "b"}}"#, "`id2label.1` is missing"),
        (r#"{"id2label": {"0": "a", "1": 3}}"#, "`id2label.1` is 3"),
        (r#"{"id2label": ["a", "b"]}"#, "`id2label` is [\"a\",\"b\"]"),
    ] {
        let text = labels(wrong).unwrap_err().to_string();
        assert!(text.contains("config.json") && text.contains(place), "{text}");
    }
}

/// A pre-trained folder has no classifier: it is drawn from the seed, and its own heads are reported.
#[test]
fn a_fresh_head_depends_on_the_seed_and_the_encoder_does_not() {
    let device = Device::flex();
    let load = |seed| hf::load_classifier(&golden("electra_tiny"), 2, seed, &device).unwrap();
    let (a, _, report) = load(1);
    let (b, ..) = load(2);
    let (a, b) = (params::collect(&a), params::collect(&b));
    for (x, y) in a.iter().zip(&b) {
        let fresh = x.name.starts_with("head.") && x.shape.len() == 2;
        assert_eq!(x.data == y.data, !fresh, "{}", x.name);
    }
    assert!(report.missing.iter().all(|name| name.starts_with("classifier")), "{report}");
    assert!(report.unused.iter().all(|name| name.starts_with("discriminator_predictions")), "{report}");
    assert!(!report.unused.is_empty());
}

#[test]
fn a_classifier_of_another_number_of_classes_is_refused() {
    let error = hf::load_classifier(&golden("task_tiny/bert_classifier"), 2, 1, &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("classifier"), "{error}");
}
