//! BERT's variants and RoBERTa's family against transformers: logits within 2e-6 absolute or 1e-5 relative, gradients within 1e-4
//! relative; and what their folders keep. The table of docs/results/parity.md is what these tests print with `--nocapture`.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod common;

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{Case, golden, gradients, json};
use fn_core::vocab::SpecialIds;
use fn_models::hf::names::{Layout, Role};
use fn_models::hf::{self, HfError};
use fn_models::{Activation, Arch, EncoderConfig, GeneratorSettings, Inputs, Pretrained, params};
use fn_ops::Noise;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

/// The largest difference of logits, each within 2e-6 or 1e-5 of its value.
fn logits_agree(what: &str, got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len(), "{what}");
    let mut worst = 0.0f32;
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let off = (got - expected).abs();
        assert!(off <= (1e-5 * expected.abs()).max(2e-6), "{what}[{index}]: {got} instead of {expected}");
        worst = worst.max(off);
    }
    worst
}

/// Length of the difference of two gradients in units of the expected one's; at most 1e-4. A gradient that is 0 in exact arithmetic (of
/// a key's bias) is only noise: below 1e-6 of nothing.
fn gradients_agree(what: &str, got: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(got.len(), expected.len(), "{what}");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let off = norm(&mut got.iter().zip(expected).map(|(g, e)| f64::from(*g) - f64::from(*e)));
    let size = norm(&mut expected.iter().map(|e| f64::from(*e)));
    if size < 1e-9 {
        assert!(off < 1e-6, "{what}: {off:e} instead of nothing");
        return 0.0;
    }
    assert!(off <= 1e-4 * size, "{what}: off by {off:e} of {size:e}");
    off / size
}

fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(all) => all.iter().flat_map(numbers).collect(),
        one => vec![one.as_f64().unwrap() as f32],
    }
}

/// A masked LM against its fixture.
fn agrees(folder: &str, arch: Arch) {
    let device = Device::flex().autodiff();
    let case = Case::open(folder);
    let (model, _, report) = hf::load_masked_lm(&golden(folder), arch, &device).unwrap();
    assert!(report.missing.is_empty(), "{folder}: {report}");
    let (inputs, none) = (case.inputs("input_ids", &device), Noise::none());

    // Padded places differ: RoBERTa gives them the padding's position, and nothing reads them.
    let real = params::host(case.attention(&device));
    let width = model.config().encoder.hidden_size;
    let of_real = |values: &[f32]| -> Vec<f32> {
        values
            .chunks(width)
            .zip(&real)
            .filter(|(_, real)| **real == 1.0)
            .flat_map(|(v, _)| v.to_vec())
            .collect()
    };
    let hidden = params::host(model.hidden(&inputs, &none));
    common::close("hidden", &of_real(&hidden), &of_real(&case.float("hidden").1));
    let logits = model.masked_logits(&inputs, case.ids("rows", &device), &none);
    let worst = logits_agree(folder, &params::host(logits.clone()), &case.float("logits").1);
    let loss = fn_ops::cross_entropy_rows(logits, case.ids("gold", &device)).mean();
    let expected = json(&golden(folder).join("case.json"))["loss"].as_f64().unwrap();
    assert!((f64::from(params::host(loss.clone())[0]) - expected).abs() < 1e-6 * expected);

    let found = gradients(&model, &loss.backward(), Layout::new(arch.family(), Role::MaskedLm));
    assert_eq!(found.len(), case.gradient_names("grad.").len());
    let mut worst_gradient = 0.0f64;
    for gradient in found {
        let (shape, values) = case.float(&format!("grad.{}", gradient.name));
        assert_eq!(&gradient.shape, shape, "{}", gradient.name);
        worst_gradient = worst_gradient.max(gradients_agree(&gradient.name, &gradient.values, values));
    }
    println!(
        "{folder}: largest difference of a logit {worst:.1e}, of a gradient (relative) {worst_gradient:.1e}"
    );
}

#[test]
fn roberta_agrees_with_transformers_in_logits_loss_and_every_gradient() {
    agrees("roberta_tiny", Arch::Roberta);
    let (_, config, report) =
        hf::load_masked_lm(&golden("roberta_tiny"), Arch::Roberta, &Device::flex()).unwrap();
    assert_eq!((config.encoder.position_offset, config.encoder.max_positions), (2, 16));
    assert_eq!(config.encoder.type_vocab, 1);
    assert!(report.unused.is_empty() && report.notes.is_empty(), "{report}");
}

#[test]
fn distilbert_agrees_with_transformers_and_comes_back_as_it_was() {
    agrees("distilbert_tiny", Arch::DistilBert);
    let folder = golden("distilbert_tiny");
    let (model, report) = Pretrained::open(&folder, &Device::flex()).unwrap();
    assert!(report.unused.is_empty() && report.notes.is_empty(), "{report}");
    assert!(model.arch() == Arch::DistilBert && model.has_masked_lm() && !model.has_discriminator());
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path(), &report.options).unwrap();
    same_files(dir.path(), &folder);
}

#[test]
fn distilbert_has_a_dropout_for_each_head_no_segments_and_one_epsilon() {
    let (device, folder) = (Device::flex(), golden("distilbert_tiny"));
    let written = tempfile::tempdir().unwrap();
    let keys = || {
        let config = json(&written.path().join("config.json"));
        (config["seq_classif_dropout"].as_f64(), config["qa_dropout"].as_f64())
    };
    let (model, mut config, _) = hf::load_classifier(&folder, 2, 1, &device).unwrap();
    assert_eq!(config.head_dropout, 0.15);
    config.head_dropout = 0.3;
    hf::save_classifier(written.path(), &model, &config, &["a", "b"]).unwrap();
    assert_eq!(keys(), (Some(0.3), Some(0.05)));
    let (model, mut config, _) = hf::load_spans(&folder, 1, &device).unwrap();
    assert_eq!(config.head_dropout, 0.05);
    config.head_dropout = 0.3;
    hf::save_spans(written.path(), &model, &config).unwrap();
    assert_eq!(keys(), (Some(0.15), Some(0.3)));
    let (model, config, _) = hf::load_tags(&folder, 2, 1, &device).unwrap();
    assert_eq!(config.head_dropout, 0.0);
    hf::save_tags(written.path(), &model, &config, &["a", "b"]).unwrap();
    assert_eq!(keys(), (Some(0.15), Some(0.05)));
    // Where the file has no such keys: those of transformers.
    let bare = tempfile::tempdir().unwrap();
    let mut config = json(&folder.join("config.json"));
    config.as_object_mut().unwrap().retain(|key, _| !key.ends_with("_dropout") || key == "attention_dropout");
    fs::write(bare.path().join("config.json"), config.to_string()).unwrap();
    fs::copy(folder.join("model.safetensors"), bare.path().join("model.safetensors")).unwrap();
    assert_eq!(hf::load_classifier(bare.path(), 2, 1, &device).unwrap().1.head_dropout, 0.2);
    assert_eq!(hf::load_spans(bare.path(), 1, &device).unwrap().1.head_dropout, 0.1);

    let distil = EncoderConfig { vocab_size: 30, distil: true, type_vocab: 1, ..EncoderConfig::bert_tiny() };
    let wrong = Pretrained::fresh(Arch::Bert, distil.clone(), GeneratorSettings::default(), 1, &device);
    assert!(wrong.unwrap_err().to_string().contains("encoder.distil is true"));
    let norms = EncoderConfig { layer_norm_eps: 1e-5, ..distil.clone() };
    let wrong = Pretrained::fresh(Arch::DistilBert, norms, GeneratorSettings::default(), 1, &device);
    assert!(wrong.unwrap_err().to_string().contains("encoder.layer_norm_eps is 0.00001"));
    let model =
        Pretrained::fresh(Arch::DistilBert, distil, GeneratorSettings::default(), 1, &device).unwrap();
    assert!(params::collect(&model).iter().all(|tensor| !tensor.name.contains("token_type")));
}

#[test]
fn models_that_are_not_built_are_refused_with_the_reason() {
    let folder = with_config("roberta_tiny", "model_type", json!("mpnet"));
    let error = hf::read_encoder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("`model_type` is \"mpnet\"") && error.contains("relative position"), "{error}");
}

#[test]
fn a_bert_with_silu_and_an_untied_decoder_agrees_with_transformers() {
    agrees("bert_untied", Arch::Bert);
}

#[test]
fn every_activation_agrees_with_transformers() {
    let device = Device::flex().autodiff();
    let case = Case::open("bert_tiny");
    let expected = json(&golden("activations.json"));
    for activation in Activation::ALL {
        let dir = with_config("bert_tiny", "hidden_act", json!(activation.name()));
        let (model, config, _) = hf::load_bert(dir.path(), &device).unwrap();
        assert_eq!(config.encoder.activation, activation);
        let expected = &expected["cases"][activation.name()];
        let rows = case.ids("rows", &device);
        let logits = model.masked_logits(&case.inputs("input_ids", &device), rows, &Noise::none());
        let worst =
            logits_agree(activation.name(), &params::host(logits.clone()), &numbers(&expected["logits"]));
        let loss = fn_ops::cross_entropy_rows(logits, case.ids("gold", &device)).mean();
        let found = gradients(&model, &loss.backward(), Layout::new(Arch::Bert.family(), Role::MaskedLm));
        let name = "bert.encoder.layer.0.intermediate.dense.bias";
        let gradient = found.iter().find(|gradient| gradient.name == name).unwrap();
        let off = gradients_agree(name, &gradient.values, &numbers(&expected["gradient"]));
        println!("{}: largest difference of a logit {worst:.1e}, of a gradient {off:.1e}", activation.name());
    }
}

/// A golden folder with another value in its `config.json`.
fn with_config(folder: &str, key: &str, value: Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut config = json(&golden(folder).join("config.json"));
    config[key] = value;
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    fs::copy(golden(folder).join("model.safetensors"), dir.path().join("model.safetensors")).unwrap();
    dir
}

/// bert_tiny with its tensors (name, bytes of f32, shape) changed.
type Tensors = Vec<(String, Vec<u8>, Vec<usize>)>;

fn with_tensors(change: impl Fn(Tensors) -> Tensors) -> tempfile::TempDir {
    let dir = with_config("bert_tiny", "hidden_act", json!("gelu"));
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let read =
        |(name, view): (&str, TensorView<'_>)| (name.to_owned(), view.data().to_vec(), view.shape().to_vec());
    let tensors = change(SafeTensors::deserialize(&bytes).unwrap().iter().map(read).collect());
    let views = tensors
        .iter()
        .map(|(name, data, shape)| (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    dir
}

#[test]
fn two_biases_of_one_output_layer_are_refused_if_they_differ() {
    let device = Device::flex();
    let with_second = |byte: u8| {
        with_tensors(|mut tensors| {
            let (_, mut bytes, shape) =
                tensors.iter().find(|t| t.0 == "cls.predictions.bias").unwrap().clone();
            bytes[3] ^= byte;
            tensors.push(("cls.predictions.decoder.bias".into(), bytes, shape));
            tensors
        })
    };
    let (_, _, report) = hf::load_bert(with_second(0).path(), &device).unwrap();
    assert!(report.unused.is_empty() && report.missing.is_empty(), "{report}");
    let error = hf::load_bert(with_second(0x80).path(), &device).unwrap_err();
    assert!(matches!(error, HfError::Differ { .. }), "{error}");
    assert!(error.to_string().contains("`cls.predictions.decoder.bias`"), "{error}");
}

#[test]
fn names_that_training_frameworks_leave_are_recognised() {
    let device = Device::flex();
    let expected = params::collect(&hf::load_bert(&golden("bert_tiny"), &device).unwrap().0);
    for prefix in
        ["_orig_mod.", "module.", "model.", "module._orig_mod.", "model.net.", "_forward_module.model."]
    {
        let dir = with_tensors(|tensors| {
            tensors
                .into_iter()
                .map(|(name, bytes, shape)| (format!("{prefix}{name}"), bytes, shape))
                .collect()
        });
        let (model, _, report) = hf::load_bert(dir.path(), &device).unwrap();
        assert!(params::collect(&model) == expected, "{prefix}");
        assert!(report.missing.is_empty() && report.unused.is_empty(), "{prefix}: {report}");
    }
}

/// Weights byte for byte; the configuration as a value, as Python writes 1e-05 where we write 1e-5.
fn same_files(ours: &Path, theirs: &Path) {
    let read = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert!(read(ours) == read(theirs), "model.safetensors differs");
    assert_eq!(json(&ours.join("config.json")), json(&theirs.join("config.json")));
}

#[test]
fn roberta_of_transformers_comes_back_as_it_was() {
    let (model, report) = Pretrained::open(&golden("roberta_tiny"), &Device::flex()).unwrap();
    assert!(model.has_masked_lm() && !model.has_discriminator());
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path(), &report.options).unwrap();
    same_files(dir.path(), &golden("roberta_tiny"));
}

#[test]
fn relatives_of_roberta_keep_their_name_and_class() {
    for (arch, name, class) in [
        (Arch::XlmRoberta, "xlm-roberta", "XLMRobertaForMaskedLM"),
        (Arch::Camembert, "camembert", "CamembertForMaskedLM"),
    ] {
        let folder = with_config("roberta_tiny", "model_type", json!(name));
        let (model, report) = Pretrained::open(folder.path(), &Device::flex()).unwrap();
        assert_eq!(model.arch(), arch);
        let dir = tempfile::tempdir().unwrap();
        model.save(dir.path(), &report.options).unwrap();
        let config = json(&dir.path().join("config.json"));
        assert_eq!((&config["model_type"], &config["architectures"][0]), (&json!(name), &json!(class)));
        let (again, _) = Pretrained::open(dir.path(), &Device::flex()).unwrap();
        assert_eq!(params::collect(&again), params::collect(&model));

        let (model, config, _) = hf::load_tags(folder.path(), 3, 1, &Device::flex()).unwrap();
        hf::save_tags(dir.path(), &model, &config, &["O", "B", "I"]).unwrap();
        let config = json(&dir.path().join("config.json"));
        let class = class.replace("MaskedLM", "TokenClassification");
        assert_eq!((&config["model_type"], &config["architectures"][0]), (&json!(name), &json!(class)));
        assert_eq!((&config["pad_token_id"], &config["max_position_embeddings"]), (&json!(1), &json!(18)));
    }
}

#[test]
fn an_untied_decoder_is_kept_and_written() {
    let device = Device::flex();
    let (model, config, report) = hf::load_bert(&golden("bert_untied"), &device).unwrap();
    assert!(config.untied_decoder);
    // transformers computes with the layer's bias; the head's, which has other values here, is not read.
    assert_eq!(report.unused, ["cls.predictions.bias"]);
    let dir = tempfile::tempdir().unwrap();
    hf::save_bert_with(dir.path(), &model, &config, &report.options).unwrap();
    let written = json(&dir.path().join("config.json"));
    assert_eq!(written, json(&golden("bert_untied/config.json")));
    let (again, config_again, report) = hf::load_bert(dir.path(), &device).unwrap();
    assert!(report.unused.is_empty() && report.missing.is_empty(), "{report}");
    assert_eq!((params::collect(&again), config_again), (params::collect(&model), config));

    // A BERT that becomes an ELECTRA gives its generator the matrix.
    let (electra, config, _) = hf::load_electra(&golden("bert_tiny"), &device).unwrap();
    assert!(!config.untied_decoder && electra.generator_head.decoder.is_none());
    let folder = with_config("bert_untied", "hidden_act", json!("gelu"));
    let (electra, config, _) = hf::load_electra(folder.path(), &device).unwrap();
    assert!(config.untied_decoder);
    let out = tempfile::tempdir().unwrap();
    hf::save_electra(out.path(), &electra, &config).unwrap();
    let (again, _, report) = hf::load_electra(out.path(), &device).unwrap();
    assert!(report.missing.is_empty() && report.unused.is_empty(), "{report}");
    assert_eq!(params::collect(&again), params::collect(&electra));
    let error = hf::load_electra(&golden("bert_untied"), &device).unwrap_err().to_string();
    assert!(error.contains("`hidden_act` is \"silu\""), "{error}");
}

#[test]
fn a_decoder_that_differs_from_the_table_is_kept_whatever_the_configuration_says() {
    let folder = with_config("bert_untied", "tie_word_embeddings", json!(true));
    let (model, config, report) = hf::load_bert(folder.path(), &Device::flex()).unwrap();
    assert!(config.untied_decoder && report.to_string().contains("kept as a matrix of its own"), "{report}");
    let (as_said, ..) = hf::load_bert(&golden("bert_untied"), &Device::flex()).unwrap();
    assert_eq!(params::collect(&model), params::collect(&as_said));
}

#[test]
fn a_head_without_its_untied_decoder_is_refused() {
    let folder = with_config("bert_tiny", "tie_word_embeddings", json!(false));
    let error = hf::load_bert(folder.path(), &Device::flex()).unwrap_err();
    assert!(matches!(error, HfError::MissingTensors { .. }), "{error}");
    assert!(error.to_string().contains("cls.predictions.decoder.weight"), "{error}");
}

#[test]
fn keys_that_a_family_needs_are_asked_for_and_unknown_ones_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = json(&golden("roberta_tiny/config.json"));
    config.as_object_mut().unwrap().remove("layer_norm_eps");
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let error = hf::read_encoder(dir.path()).unwrap_err().to_string();
    assert!(error.contains("`layer_norm_eps` is missing"), "{error}");

    let folder = with_config("roberta_tiny", "max_position_embeddings", json!(2));
    let error = hf::read_encoder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("`max_position_embeddings` is 2, expected more than 2"), "{error}");
    let folder = with_config("roberta_tiny", "rope_scaling", json!({"factor": 2.0}));
    let error = hf::read_encoder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("`rope_scaling` is {\"factor\":2.0}"), "{error}");
    let folder = with_config("bert_tiny", "emb_size", json!(24)); // TinyBERT's
    assert!(hf::read_encoder(folder.path()).is_ok());
    let folder = with_config("bert_tiny", "emb_size", json!(12));
    assert!(hf::read_encoder(folder.path()).unwrap_err().to_string().contains("`emb_size` is 12"));
    let folder = with_config("roberta_tiny", "trained_by", json!("us"));
    let (_, report) = Pretrained::open(folder.path(), &Device::flex()).unwrap();
    assert!(report.to_string().contains("`trained_by` is not known"), "{report}");

    let mut config = json(&golden("bert_tiny/config.json"));
    config.as_object_mut().unwrap().remove("layer_norm_eps");
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    fs::copy(golden("bert_tiny/model.safetensors"), dir.path().join("model.safetensors")).unwrap();
    let (model, report) = Pretrained::open(dir.path(), &Device::flex()).unwrap();
    assert_eq!(model.encoder().layer_norm_eps, 1e-12);
    assert!(report.to_string().contains("no `layer_norm_eps`: 1e-12"), "{report}");
}

fn tensor(case: &Value, name: &str, device: &Device) -> Tensor<2, Int> {
    let shape = [case[name].as_array().unwrap().len(), case[name][0].as_array().unwrap().len()];
    let values: Vec<i32> = numbers(&case[name]).into_iter().map(|x| x as i32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[test]
fn task_models_of_roberta_and_distilbert_compute_what_transformers_computes() {
    task_models("roberta", &[("roberta_classifier", 3), ("roberta_score", 1)]);
    task_models("distilbert", &[("distilbert_classifier", 3)]);
}

fn task_models(family: &str, classifiers: &[(&str, usize)]) {
    let (device, none) = (Device::flex(), Noise::none());
    let open = |name: &str| {
        let folder = golden("task_tiny").join(name);
        let case = json(&folder.join("case.json"));
        let inputs = Inputs {
            ids: tensor(&case, "input_ids", &device),
            // The second of two sequences is marked as such; a model with one segment does not look.
            token_type: tensor(&case, "token_type_ids", &device).ones_like(),
            mask: Some(tensor(&case, "attention_mask", &device).float()),
            documents: None,
            cuts: None,
        };
        (folder, case, inputs)
    };
    let same = |dir: &Path, folder: &Path| {
        let read = |dir: &Path| fs::read(dir.join("model.safetensors")).unwrap();
        assert!(read(dir) == read(folder), "{}", folder.display());
    };
    let dir = tempfile::tempdir().unwrap();
    for &(name, outputs) in classifiers {
        let (folder, case, inputs) = open(name);
        let (model, config, report) = hf::load_classifier(&folder, outputs, 1, &device).unwrap();
        assert!(report.missing.is_empty() && report.unused.is_empty(), "{name}: {report}");
        let logits = params::host(model.forward(&inputs, &none));
        let worst = logits_agree(name, &logits, &numbers(&case["logits"]));
        println!("{name}: largest difference of a logit {worst:.1e}");
        let labels = ["no", "yes", "perhaps"];
        hf::save_classifier(dir.path(), &model, &config, &labels[..outputs]).unwrap();
        same(dir.path(), &folder);
    }
    let (folder, case, inputs) = open(&format!("{family}_spans"));
    let (model, config, report) = hf::load_spans(&folder, 1, &device).unwrap();
    assert!(report.missing.is_empty() && report.unused.is_empty(), "{report}");
    let logits = model.forward(&inputs, &none);
    let side = |at: usize| params::host(logits.clone().narrow(2, at, 1));
    // Padded places are never answers, and have other positions in transformers.
    let real = numbers(&case["attention_mask"]);
    let of_real = |values: Vec<f32>| -> Vec<f32> {
        values.into_iter().zip(&real).filter(|(_, real)| **real == 1.0).map(|(v, _)| v).collect()
    };
    for (at, key) in [(0, "start_logits"), (1, "end_logits")] {
        let worst = logits_agree(key, &of_real(side(at)), &of_real(numbers(&case[key])));
        println!("{family}_spans: largest difference of a logit {worst:.1e}");
    }
    hf::save_spans(dir.path(), &model, &config).unwrap();
    same(dir.path(), &folder);

    let (folder, case, inputs) = open(&format!("{family}_tags"));
    let (model, config, report) = hf::load_tags(&folder, 3, 1, &device).unwrap();
    assert!(report.missing.is_empty() && report.unused.is_empty(), "{report}");
    let logits = params::host(model.forward(&inputs, &none));
    let of_real = |values: Vec<f32>| -> Vec<f32> {
        values.chunks(3).zip(&real).filter(|(_, real)| **real == 1.0).flat_map(|(v, _)| v.to_vec()).collect()
    };
    let worst = logits_agree("tags", &of_real(logits), &of_real(numbers(&case["logits"])));
    println!("{family}_tags: largest difference of a logit {worst:.1e}");
    hf::save_tags(dir.path(), &model, &config, &["O", "B", "I"]).unwrap();
    same(dir.path(), &folder);
}

#[test]
fn special_ids_are_written_where_transformers_would_take_those_of_another_vocabulary() {
    let special = SpecialIds { pad: 7, unk: 3, cls: 5, sep: 6, mask: 4 };
    let encoder = EncoderConfig { vocab_size: 30, num_layers: 2, ..EncoderConfig::modern_tiny() };
    let generator = GeneratorSettings { width: 1.0, depth: 0.5, ..GeneratorSettings::default() };
    let dir = tempfile::tempdir().unwrap();
    let model = Pretrained::fresh(Arch::ModernElectra, encoder, generator, 1, &Device::flex()).unwrap();
    model.save(dir.path(), &hf::SaveOptions::with_special(model.arch(), &special)).unwrap();
    for folder in [dir.path().to_owned(), dir.path().join("generator")] {
        let config = json(&folder.join("config.json"));
        let id = |name: &str| config[format!("{name}_token_id")].as_u64();
        let found = ["pad", "bos", "cls", "eos", "sep"].map(id);
        assert_eq!(found, [7, 5, 5, 6, 6].map(Some), "{}", folder.display());
    }
    // What is written of BERT and ELECTRA stays as it was.
    for arch in [Arch::Bert, Arch::Electra] {
        assert_eq!(hf::SaveOptions::with_special(arch, &special), hf::SaveOptions::with_pad(7));
    }
}

#[test]
fn dropout_of_the_head_is_that_of_the_configuration() {
    let folder = with_config("roberta_tiny", "classifier_dropout", json!(0.25));
    let (model, config, _) = hf::load_classifier(folder.path(), 2, 1, &Device::flex()).unwrap();
    assert_eq!((config.head_dropout, config.encoder.hidden_dropout), (0.25, 0.0));
    let dir = tempfile::tempdir().unwrap();
    hf::save_classifier(dir.path(), &model, &config, &["a", "b"]).unwrap();
    assert_eq!(json(&dir.path().join("config.json"))["classifier_dropout"], 0.25);
}
