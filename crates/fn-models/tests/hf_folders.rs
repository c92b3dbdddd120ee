//! Folders in the Hugging Face format: read, written, read again; and the ways in which they can be wrong.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use common::golden;
use fn_models::hf::{self, HfError, LoadReport};
use fn_models::params::{NamedTensor, collect};
use fn_models::{BertConfig, BertForPreTraining, Electra, ElectraConfig};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use tempfile::TempDir;

/// A tensor of a file: name, precision, shape, bytes.
#[derive(Clone)]
struct Raw {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn read(path: &Path) -> Vec<Raw> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<Raw> = file
        .iter()
        .map(|(name, view)| Raw {
            name: name.to_owned(),
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            bytes: view.data().to_vec(),
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn write(path: &Path, tensors: &[Raw]) {
    let views =
        tensors.iter().map(|t| (&t.name, TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap()));
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    fs::write(path, serialize(views, Some(metadata)).unwrap()).unwrap();
}

/// A copy of a golden folder, its tensors changed.
fn changed(folder: &str, change: impl Fn(Vec<Raw>) -> Vec<Raw>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(golden(folder).join("config.json"), dir.path().join("config.json")).unwrap();
    write(&dir.path().join("model.safetensors"), &change(read(&golden(folder).join("model.safetensors"))));
    dir
}

fn each(change: impl Fn(Raw) -> Raw) -> impl Fn(Vec<Raw>) -> Vec<Raw> {
    move |tensors| tensors.into_iter().map(&change).collect()
}

fn bert(dir: &Path) -> Result<(Vec<NamedTensor>, LoadReport), HfError> {
    let (model, _, report) = hf::load_bert(dir, &Device::flex())?;
    Ok((collect(&model), report))
}

fn golden_bert() -> Vec<NamedTensor> {
    bert(&golden("bert_tiny")).unwrap().0
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b))
}

#[test]
fn bert_of_transformers_comes_back_byte_for_byte() {
    let device = Device::flex();
    let (model, config, report) = hf::load_bert(&golden("bert_tiny"), &device).unwrap();
    let dir = tempfile::tempdir().unwrap();
    hf::save_bert_with(dir.path(), &model, &config, &report.options).unwrap();
    for file in ["model.safetensors", "config.json"] {
        let (ours, theirs) =
            (fs::read(dir.path().join(file)).unwrap(), fs::read(golden("bert_tiny").join(file)).unwrap());
        assert!(ours == theirs, "{file} differs: {}", String::from_utf8_lossy(&ours[..ours.len().min(2000)]));
    }
}

#[test]
fn electra_of_transformers_comes_back_byte_for_byte() {
    let device = Device::flex();
    let (model, config, report) = hf::load_electra(&golden("electra_tiny"), &device).unwrap();
    let dir = tempfile::tempdir().unwrap();
    hf::save_electra_with(dir.path(), &model, &config, &report.options).unwrap();
    for file in ["model.safetensors", "config.json", "generator/model.safetensors", "generator/config.json"] {
        let theirs = fs::read(golden("electra_tiny").join(file)).unwrap();
        assert!(fs::read(dir.path().join(file)).unwrap() == theirs, "{file} differs");
    }
}

#[test]
fn what_we_write_we_read_to_the_last_bit() {
    let device = Device::flex();
    let dir = tempfile::tempdir().unwrap();
    let config = BertConfig { pooler: true, ..BertConfig::bert_tiny().with_vocab_size(77) };
    let model = BertForPreTraining::init(&config, 5, &device);
    hf::save_bert(dir.path(), &model, &config).unwrap();
    let (again, config_again, report) = hf::load_bert(dir.path(), &device).unwrap();
    assert_eq!(config_again, config);
    assert_eq!(collect(&again), collect(&model));
    assert!(report.missing.is_empty() && report.unused.is_empty(), "{report}");

    let dir = tempfile::tempdir().unwrap();
    let config = ElectraConfig::electra_tiny().with_vocab_size(77);
    let model = Electra::init(&config, 5, &device);
    hf::save_electra(dir.path(), &model, &config).unwrap();
    // Written twice: replaced, nothing left over.
    hf::save_electra(dir.path(), &model, &config).unwrap();
    let (again, config_again, report) = hf::load_electra(dir.path(), &device).unwrap();
    assert_eq!(config_again, config);
    assert_eq!(collect(&again), collect(&model));
    assert!(report.missing.is_empty() && report.unused.is_empty(), "{report}");
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config.json", "generator", "model.safetensors"]);
}

#[test]
fn old_norm_names_load() {
    let rename = |mut t: Raw| {
        t.name =
            t.name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
        t
    };
    let dir = changed("bert_tiny", each(rename));
    let (tensors, report) = bert(dir.path()).unwrap();
    assert_eq!(tensors, golden_bert());
    assert!(report.missing.is_empty() && report.unused.is_empty(), "{report}");
    assert!(report.loaded.contains(&"bert.embeddings.LayerNorm.gamma".to_owned()));
}

#[test]
fn an_encoder_without_prefix_or_head_loads_and_the_head_is_fresh_and_reported() {
    let dir = changed("bert_tiny", |tensors| {
        tensors
            .into_iter()
            .filter_map(|t| Some(Raw { name: t.name.strip_prefix("bert.")?.to_owned(), ..t }))
            .collect()
    });
    let (tensors, report) = bert(dir.path()).unwrap();
    for (got, expected) in tensors.iter().zip(golden_bert()) {
        assert_eq!(got.data == expected.data, !expected.name.starts_with("head."), "{}", got.name);
    }
    assert_eq!(report.missing.len(), 5, "{report}");
    assert!(report.missing.contains(&"cls.predictions.transform.dense.weight".to_owned()), "{report}");
    assert!(report.to_string().contains("fresh"), "{report}");
    let dense = tensors.iter().find(|t| t.name == "head.dense.weight").unwrap();
    assert!(dense.data.iter().any(|&x| x != 0.0));
}

#[test]
fn half_precision_files_are_cast_and_the_report_says_so() {
    for (dtype, label) in [(Dtype::F16, "F16"), (Dtype::BF16, "BF16"), (Dtype::F64, "F64")] {
        let narrow = |x: f32| match dtype {
            Dtype::F16 => f16::from_f32(x).to_f32(),
            Dtype::BF16 => bf16::from_f32(x).to_f32(),
            _ => x,
        };
        let cast = move |mut t: Raw| {
            t.bytes = floats(&t.bytes)
                .flat_map(|x| match dtype {
                    Dtype::F16 => f16::from_f32(x).to_le_bytes().to_vec(),
                    Dtype::BF16 => bf16::from_f32(x).to_le_bytes().to_vec(),
                    _ => f64::from(x).to_le_bytes().to_vec(),
                })
                .collect();
            t.dtype = dtype;
            t
        };
        let dir = changed("bert_tiny", each(cast));
        let (tensors, report) = bert(dir.path()).unwrap();
        for (got, expected) in tensors.iter().zip(golden_bert()) {
            assert!(got.data.iter().zip(&expected.data).all(|(&g, &e)| g == narrow(e)), "{}", got.name);
        }
        assert_eq!(report.cast.len(), tensors.len());
        assert!(
            report.to_string().contains(&format!("cast from {label} to F32: {} tensors", tensors.len())),
            "{report}"
        );
    }
}

#[test]
fn pytorch_files_of_both_ages_load_and_tied_copies_are_not_called_unused() {
    let (expected, _) = bert(&golden("bin_tiny/safetensors")).unwrap();
    for age in ["zip", "legacy", "lightning"] {
        let (tensors, report) = bert(&golden("bin_tiny").join(age)).unwrap();
        assert_eq!(tensors, expected, "{age}");
        assert!(report.missing.is_empty() && report.unused.is_empty(), "{age}: {report}");
    }
}

#[test]
fn a_pickle_that_wants_to_run_a_command_is_refused_and_not_run() {
    let error = bert(&golden("bin_tiny/hostile")).unwrap_err();
    assert!(matches!(error, HfError::Damaged { .. } | HfError::MissingTensors { .. }), "{error}");
    assert!(error.to_string().contains("hostile"), "{error}");
    assert!(!Path::new("fnlm-golden-canary").exists());
}

#[test]
fn heads_of_other_tasks_are_reported_as_unused() {
    let dir = changed("bert_tiny", |mut tensors| {
        tensors.push(Raw {
            name: "cls.seq_relationship.weight".into(),
            dtype: Dtype::F32,
            shape: vec![2, 24],
            bytes: vec![0; 4 * 48],
        });
        tensors.push(Raw {
            name: "bert.embeddings.position_ids".into(),
            dtype: Dtype::I64,
            shape: vec![1, 16],
            bytes: vec![0; 8 * 16],
        });
        tensors
    });
    let (tensors, report) = bert(dir.path()).unwrap();
    assert_eq!(tensors, golden_bert());
    assert_eq!(report.unused, ["cls.seq_relationship.weight"]);
}

#[test]
fn one_half_of_electra_loads_and_the_other_is_fresh_and_reported() {
    let device = Device::flex();
    let (whole, ..) = hf::load_electra(&golden("electra_tiny"), &device).unwrap();
    let whole: HashMap<_, _> = collect(&whole).into_iter().map(|t| (t.name, t.data)).collect();

    let (model, config, report) = hf::load_electra(&golden("electra_tiny/generator"), &device).unwrap();
    assert_eq!(config.generator.hidden_size, 16);
    for tensor in collect(&model).iter().filter(|t| !t.name.starts_with("discriminator")) {
        assert_eq!(tensor.data, whole[&tensor.name], "{}", tensor.name);
    }
    assert!(report.missing.iter().all(|name| name.starts_with("discriminator")), "{report}");
    assert!(report.to_string().contains("a generator alone"), "{report}");

    let dir = changed("electra_tiny", |tensors| tensors);
    let (model, config, report) = hf::load_electra(dir.path(), &device).unwrap();
    assert_eq!((config.discriminator.hidden_size, config.generator.hidden_size), (24, 6));
    for tensor in collect(&model).iter().filter(|t| !t.name.starts_with("generator")) {
        assert_eq!(tensor.data, whole[&tensor.name], "{}", tensor.name);
    }
    assert!(report.to_string().contains("a discriminator alone"), "{report}");
    config.validate().unwrap();
}

#[test]
fn a_bert_becomes_both_halves_of_an_electra() {
    let device = Device::flex();
    let (bert, ..) = hf::load_bert(&golden("bert_tiny"), &device).unwrap();
    let (model, config, report) = hf::load_electra(&golden("bert_tiny"), &device).unwrap();
    assert_eq!(config.generator, config.discriminator);
    let ours = collect(&bert);
    let by_name = |name: &str| ours.iter().find(|t| t.name == name).map(|t| t.data.clone());
    let mut fresh = Vec::new();
    for tensor in collect(&model) {
        let name = &tensor.name;
        let of_bert = name
            .replace("generator_head.", "head.")
            .replacen("generator.", "encoder.", 1)
            .replacen("discriminator.", "encoder.", 1);
        match by_name(&of_bert) {
            Some(data) => assert_eq!(tensor.data, data, "{name}"),
            None => fresh.push(name.clone()),
        }
    }
    assert!(fresh.iter().all(|name| name.starts_with("discriminator_head.")), "{fresh:?}");
    assert_eq!(fresh.len(), report.missing.len(), "{report}");
    assert!(report.unused.iter().all(|name| name.contains("pooler")), "{report}");
}

#[test]
fn a_generator_with_embeddings_of_its_own_is_reported() {
    let dir = changed("electra_tiny", |tensors| tensors);
    let generator = changed("electra_tiny/generator", |mut tensors| {
        let word = tensors.iter_mut().find(|t| t.name.ends_with("word_embeddings.weight")).unwrap();
        word.bytes[3] ^= 0x80;
        tensors
    });
    fs::create_dir(dir.path().join("generator")).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(generator.path().join(file), dir.path().join("generator").join(file)).unwrap();
    }
    let (_, _, report) = hf::load_electra(dir.path(), &Device::flex()).unwrap();
    assert_eq!(report.notes.len(), 1, "{report}");
    assert!(report.notes[0].contains("electra.embeddings.word_embeddings.weight"), "{report}");
}

#[test]
fn shards_load_and_an_index_cannot_lead_outside() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(golden("bert_tiny/config.json"), dir.path().join("config.json")).unwrap();
    let tensors = read(&golden("bert_tiny/model.safetensors"));
    let half = tensors.len() / 2;
    let mut map = HashMap::new();
    for (part, file) in [(&tensors[..half], "a-1.safetensors"), (&tensors[half..], "a-2.safetensors")] {
        write(&dir.path().join(file), part);
        map.extend(part.iter().map(|t| (t.name.clone(), file.to_owned())));
    }
    let index = dir.path().join("model.safetensors.index.json");
    let save = |map: &HashMap<String, String>| {
        fs::write(&index, serde_json::json!({ "weight_map": map }).to_string()).unwrap();
    };
    save(&map);
    let (loaded, report) = bert(dir.path()).unwrap();
    assert_eq!(loaded, golden_bert());
    assert_eq!(report.files.len(), 2);

    for name in ["../a-1.safetensors", "/tmp/a-1.safetensors", "C:\\a-1.safetensors", "sub/a-1.safetensors"] {
        let mut wrong = map.clone();
        wrong.insert(tensors[0].name.clone(), name.into());
        save(&wrong);
        let error = bert(dir.path()).unwrap_err();
        assert!(matches!(error, HfError::UnsafeShard { .. }), "{error}");
    }
    let mut wrong = map.clone();
    wrong.insert(tensors[0].name.clone(), "a-2.safetensors".into());
    save(&wrong);
    assert!(matches!(bert(dir.path()).unwrap_err(), HfError::Damaged { .. }));
    save(&map);
    fs::remove_file(dir.path().join("a-2.safetensors")).unwrap();
    let error = bert(dir.path()).unwrap_err();
    assert!(matches!(error, HfError::Io { .. }) && error.to_string().contains("a-2.safetensors"), "{error}");
}

#[test]
fn tensors_that_do_not_fit_are_named_with_what_was_found_and_expected() {
    let cut = |name: &'static str, shape: Vec<usize>| {
        changed("bert_tiny", move |mut tensors| {
            let tensor = tensors.iter_mut().find(|t| t.name == name).unwrap();
            tensor.shape.clone_from(&shape);
            tensor.bytes.truncate(4 * shape.iter().product::<usize>());
            tensors
        })
    };
    let dir = cut("bert.embeddings.word_embeddings.weight", vec![50, 24]);
    let error = bert(dir.path()).unwrap_err();
    assert!(matches!(error, HfError::Vocabulary { found: 50, expected: 56, .. }), "{error}");
    assert!(
        error.to_string().contains("model.safetensors") && error.to_string().contains("vocab_size"),
        "{error}"
    );

    let dir = cut("bert.encoder.layer.1.intermediate.dense.weight", vec![20, 24]);
    let error = bert(dir.path()).unwrap_err();
    assert!(error.to_string().contains("shape [20, 24], expected [40, 24]"), "{error}");

    let dir = changed("bert_tiny", |tensors| {
        tensors.into_iter().filter(|t| !t.name.contains("layer.1.attention")).collect()
    });
    let error = bert(dir.path()).unwrap_err();
    assert!(matches!(error, HfError::MissingTensors { count: 10, .. }), "{error}");
    assert!(error.to_string().contains("bert.encoder.layer.1.attention"), "{error}");

    let dir = changed("bert_tiny", |mut tensors| {
        let tensor = tensors.iter_mut().find(|t| t.name == "cls.predictions.bias").unwrap();
        tensor.dtype = Dtype::I32;
        tensors
    });
    assert!(matches!(bert(dir.path()).unwrap_err(), HfError::Precision { .. }));

    let dir = changed("bert_tiny", |mut tensors| {
        let tensor = tensors.iter_mut().find(|t| t.name == "cls.predictions.bias").unwrap();
        tensor.bytes[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
        tensors
    });
    assert!(matches!(bert(dir.path()).unwrap_err(), HfError::NotFinite { index: 2, .. }));

    let dir = changed("bert_tiny", |mut tensors| {
        let mut second =
            tensors.iter().find(|t| t.name == "bert.embeddings.LayerNorm.weight").unwrap().clone();
        second.name = "bert.embeddings.LayerNorm.gamma".into();
        tensors.push(second);
        tensors
    });
    assert!(matches!(bert(dir.path()).unwrap_err(), HfError::Ambiguous { .. }));
}

#[test]
fn a_file_cut_anywhere_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(golden("bert_tiny/config.json"), dir.path().join("config.json")).unwrap();
    let path = dir.path().join("model.safetensors");
    let whole = fs::read(golden("bert_tiny/model.safetensors")).unwrap();
    for length in [0, 1, 7, 8, 9, 100, 2000, whole.len() / 2, whole.len() - 4, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = bert(dir.path()).unwrap_err();
        assert!(matches!(error, HfError::Damaged { .. }), "{length}: {error}");
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
    // A header that claims to be as large as memory.
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&path, &huge).unwrap();
    assert!(matches!(bert(dir.path()).unwrap_err(), HfError::Damaged { .. }));
    for age in ["zip", "legacy"] {
        let dir = tempfile::tempdir().unwrap();
        fs::copy(golden("bin_tiny").join(age).join("config.json"), dir.path().join("config.json")).unwrap();
        let whole = fs::read(golden("bin_tiny").join(age).join("pytorch_model.bin")).unwrap();
        for length in [0, 1, 10, whole.len() / 3, whole.len() - 100, whole.len() - 1] {
            fs::write(dir.path().join("pytorch_model.bin"), &whole[..length]).unwrap();
            let error = bert(dir.path()).unwrap_err();
            assert!(error.to_string().contains("pytorch_model.bin"), "{age} {length}: {error}");
        }
    }
}

#[test]
fn folders_without_a_model_are_errors_that_name_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let message = |dir: &Path| bert(dir).unwrap_err().to_string();
    assert!(message(dir.path()).contains("no config.json"), "{}", message(dir.path()));
    fs::copy(golden("bert_tiny/config.json"), dir.path().join("config.json")).unwrap();
    assert!(message(dir.path()).contains("no model.safetensors"), "{}", message(dir.path()));
    let error = bert(&golden("electra_tiny")).unwrap_err().to_string();
    assert!(error.contains("`model_type` is \"electra\", expected \"bert\""), "{error}");
}

#[test]
fn configurations_of_other_models_are_refused_by_field() {
    let dir = changed("bert_tiny", |tensors| tensors);
    let path = dir.path().join("config.json");
    let original = common::json(&path);
    let cases = [
        ("hidden_act", serde_json::json!("mish"), "`hidden_act` is \"mish\", expected one of \"gelu\""),
        ("classifier_dropout", serde_json::json!(1.0), "`classifier_dropout` is 1.0"),
        ("position_embedding_type", serde_json::json!("relative_key"), "`position_embedding_type`"),
        ("is_decoder", serde_json::json!(true), "`is_decoder` is true, expected false"),
        (
            "tie_word_embeddings",
            serde_json::json!("no"),
            "`tie_word_embeddings` is \"no\", expected true or false",
        ),
        ("hidden_size", serde_json::json!(-3), "`hidden_size` is -3, expected a whole number"),
        (
            "num_attention_heads",
            serde_json::json!(5),
            "num_heads is 5; allowed: a divisor of hidden_size = 24",
        ),
        ("vocab_size", serde_json::json!("many"), "`vocab_size` is \"many\""),
        ("num_hidden_layers", serde_json::json!(1_000_000_000), "num_layers is 1000000000"),
        ("hidden_dropout_prob", serde_json::json!(1.5), "hidden_dropout is 1.5"),
    ];
    for (field, value, expected) in cases {
        let mut config = original.clone();
        config[field] = value;
        fs::write(&path, config.to_string()).unwrap();
        let message = bert(dir.path()).unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("config.json"), "{message}");
    }
    for text in ["", "{", "[]", "\u{0}", "nul"] {
        fs::write(&path, text).unwrap();
        assert!(matches!(bert(dir.path()).unwrap_err(), HfError::Json { .. }), "{text}");
    }
    // Sizes that would need terabytes are compared with the file before anything is allocated.
    let mut config = original.clone();
    for field in ["vocab_size", "hidden_size", "intermediate_size"] {
        config[field] = serde_json::json!(16_000_000);
    }
    config["num_attention_heads"] = serde_json::json!(1);
    fs::write(&path, config.to_string()).unwrap();
    assert!(matches!(bert(dir.path()).unwrap_err(), HfError::Shape { .. }));
    fs::write(&path, vec![b' '; 2 << 20]).unwrap();
    assert!(matches!(bert(dir.path()).unwrap_err(), HfError::TooLarge { .. }));
}

#[test]
fn fields_of_a_configuration_that_we_do_not_know_survive() {
    let dir = changed("bert_tiny", |tensors| tensors);
    let path = dir.path().join("config.json");
    let mut config = common::json(&path);
    config["label2id"] = serde_json::json!({"yes": 1});
    fs::write(&path, config.to_string()).unwrap();
    let (model, shape, report) = hf::load_bert(dir.path(), &Device::flex()).unwrap();
    let out = tempfile::tempdir().unwrap();
    hf::save_bert_with(out.path(), &model, &shape, &report.options).unwrap();
    assert_eq!(common::json(&out.path().join("config.json")), config);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("occupied");
    fs::write(&file, "x").unwrap();
    let config = BertConfig::bert_tiny().with_vocab_size(10);
    let model = BertForPreTraining::init(&config, 1, &Device::flex());
    let error = hf::save_bert(&file.join("model"), &model, &config).unwrap_err();
    assert!(matches!(error, HfError::Io { .. }) && error.to_string().contains("occupied"), "{error}");
}
