//! One type for every architecture: the same names, the same numbers, the same files as the models inside.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod common;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use common::{Case, golden};
use fn_models::hf::{self, HfError};
use fn_models::params::{self, NamedTensor};
use fn_models::{Arch, EncoderConfig, GeneratorSettings, Pooling, Pretrained};
use fn_ops::Noise;

fn open(folder: &str) -> Pretrained {
    Pretrained::open(&golden(folder), &Device::flex()).unwrap().0
}

fn fresh(arch: Arch, seed: u64, device: &Device) -> Pretrained {
    let encoder = match arch {
        Arch::Electra => EncoderConfig::electra_tiny(),
        Arch::ModernBert | Arch::ModernElectra => EncoderConfig::modern_tiny(),
        _ => EncoderConfig::bert_tiny(),
    };
    let (position_offset, distil) = (arch.position_offset(0), arch.is_distil());
    let encoder = EncoderConfig { vocab_size: 30, num_layers: 2, position_offset, distil, ..encoder };
    let width = if arch.is_modern() { 1.0 } else { 0.5 };
    let generator = GeneratorSettings { width, ..GeneratorSettings::default() };
    Pretrained::fresh(arch, encoder, generator, seed, device).unwrap()
}

#[test]
fn it_computes_what_the_model_inside_computes_to_the_last_bit() {
    let (device, none) = (Device::flex(), Noise::none());
    let case = Case::open("bert_tiny");
    let inputs = case.inputs("input_ids", &device);
    let rows = || case.ids::<1>("rows", &device);
    let (inside, ..) = hf::load_bert(&golden("bert_tiny"), &device).unwrap();
    let model = open("bert_tiny");
    let same = |a: Tensor<2>, b: Tensor<2>| assert_eq!(params::host(a), params::host(b));
    same(model.masked_logits(&inputs, rows(), &none), inside.masked_logits(&inputs, rows(), &none));
    same(
        model.pooled(&inputs, Pooling::Mean, &none),
        Pooling::Mean.pool(inside.hidden(&inputs, &none), inputs.mask.as_ref()),
    );
    same(model.word_embedding(), inside.word_embedding());
    assert!(model.replaced_logits(&inputs, &none).is_none());

    let case = Case::open("electra_tiny");
    let inputs = case.inputs("input_ids", &device);
    let rows = || case.ids::<1>("rows", &device);
    let (inside, ..) = hf::load_electra(&golden("electra_tiny"), &device).unwrap();
    let model = open("electra_tiny");
    same(model.masked_logits(&inputs, rows(), &none), inside.generator_logits(&inputs, rows(), &none));
    same(model.replaced_logits(&inputs, &none).unwrap(), inside.discriminator_logits(&inputs, &none));
    let hidden = |t: Tensor<3>| params::host(t);
    assert_eq!(hidden(model.hidden(&inputs, &none)), hidden(inside.discriminator_hidden(&inputs, &none)));
    let words = model.embed(inputs.ids.clone());
    assert_eq!(
        hidden(model.masked_lm_hidden_of_words(words, &inputs, &none)),
        hidden(inside.generator_hidden(&inputs, &none))
    );
}

#[test]
fn hidden_vectors_of_layers_start_at_the_embeddings_and_end_at_the_output() {
    let (device, none) = (Device::flex(), Noise::none());
    for folder in ["bert_tiny", "electra_tiny"] {
        let inputs = Case::open(folder).inputs("input_ids", &device);
        let model = open(folder);
        let layers = model.hidden_of_layers(&inputs, &none);
        assert_eq!(layers.len(), model.encoder().num_layers + 1, "{folder}");
        let values: Vec<Vec<f32>> = layers.into_iter().map(params::host).collect();
        assert_eq!(values.last().unwrap(), &params::host(model.hidden(&inputs, &none)), "{folder}");
        assert!(
            values.windows(2).all(|pair| pair[0].len() == pair[1].len() && pair[0] != pair[1]),
            "{folder}"
        );
    }
}

#[test]
fn folders_come_back_byte_for_byte() {
    let device = Device::flex();
    let files = ["config.json", "model.safetensors"].map(str::to_owned);
    let generator = files.clone().map(|file| format!("generator/{file}"));
    for (folder, arch, files) in [
        ("bert_tiny", Arch::Bert, files.to_vec()),
        ("electra_tiny", Arch::Electra, [files, generator].concat()),
    ] {
        let (model, report) = Pretrained::open(&golden(folder), &device).unwrap();
        assert_eq!(model.arch(), arch);
        assert_eq!(model.generator().is_some(), arch.has_discriminator());
        let out = tempfile::tempdir().unwrap();
        model.save(out.path(), &report.options).unwrap();
        for file in files {
            assert!(
                fs::read(out.path().join(&file)).unwrap() == fs::read(golden(folder).join(&file)).unwrap(),
                "{folder}/{file} differs"
            );
        }
    }
}

#[test]
fn parameters_have_the_names_and_the_order_of_the_model_inside() {
    let device = Device::flex();
    let (bert, ..) = hf::load_bert(&golden("bert_tiny"), &device).unwrap();
    assert_eq!(params::collect(&open("bert_tiny")), params::collect(&bert));
    let (electra, ..) = hf::load_electra(&golden("electra_tiny"), &device).unwrap();
    assert_eq!(params::collect(&open("electra_tiny")), params::collect(&electra));
    assert_eq!(params::shapes(&open("electra_tiny")), params::shapes(&electra));
    assert_eq!(open("electra_tiny").num_params(), electra.num_params());

    // What was collected fills another model, and says so when something is missing.
    let mut tensors: BTreeMap<String, NamedTensor> =
        params::collect(&electra).into_iter().map(|t| (t.name.clone(), t)).collect();
    let other = Pretrained::from(electra.clone()).map(&mut Zero);
    assert_ne!(params::collect(&other), params::collect(&electra));
    let Ok(filled) = params::load(other, &mut |name: &str, shape: &[usize]| {
        Ok::<_, Infallible>(tensors.remove(name).filter(|t| t.shape == shape).map(|t| t.data))
    });
    assert_eq!(params::collect(&filled), params::collect(&electra));
    assert!(tensors.is_empty(), "{:?}", tensors.keys());
}

struct Zero;

impl burn::module::ModuleMapper for Zero {
    fn map_float<const D: usize>(
        &mut self,
        param: burn::module::Param<Tensor<D>>,
    ) -> burn::module::Param<Tensor<D>> {
        param.map(|value| value * 0.0)
    }
}

#[test]
fn an_average_of_two_models_lies_between_them() {
    let device = Device::flex();
    for arch in Arch::ALL {
        let (old, new) = (fresh(arch, 1, &device), fresh(arch, 2, &device.clone().autodiff()));
        let average = params::moving_average(old.clone(), &new, 0.75);
        for ((a, o), n) in
            params::collect(&average).iter().zip(params::collect(&old)).zip(params::collect(&new))
        {
            assert_eq!((&a.name, &o.name), (&o.name, &n.name));
            for ((a, o), n) in a.data.iter().zip(o.data).zip(n.data) {
                assert!((a - (0.75 * o + 0.25 * n)).abs() <= 1e-7, "{arch:?}: {a} of {o} and {n}");
            }
        }
    }
}

#[test]
fn a_new_model_is_drawn_from_its_seed_and_gets_gradients() {
    let device = Device::flex().autodiff();
    for arch in Arch::ALL {
        let model = fresh(arch, 7, &device);
        assert_eq!(params::collect(&model), params::collect(&fresh(arch, 7, &device)));
        assert_ne!(params::collect(&model), params::collect(&fresh(arch, 8, &device)));
        assert!(model.has_masked_lm());
        assert_eq!(model.has_discriminator(), arch.has_discriminator());
        let ids = Tensor::<2, Int>::from_data([[1, 5, 9, 2]], &device);
        let rows = Tensor::<1, Int>::from_data([1, 2], &device);
        let logits = model.masked_logits(&fn_models::Inputs::plain(ids), rows, &Noise::none());
        assert_eq!(logits.dims(), [2, 30]);
        let gradients = logits.sum().backward();
        assert!(model.word_embedding().grad(&gradients).is_some(), "{arch:?}");
        // On the plain device there is nothing to differentiate.
        assert!(!model.valid().word_embedding().is_require_grad());
    }
}

#[test]
fn sizes_that_no_model_can_have_are_refused() {
    let encoder = EncoderConfig { embedding_size: 64, ..EncoderConfig::bert_tiny() };
    let error = Pretrained::fresh(Arch::Bert, encoder, GeneratorSettings::default(), 1, &Device::flex());
    assert!(error.unwrap_err().to_string().contains("embedding_size is 64"));
}

#[test]
fn a_folder_without_a_head_is_known_and_refused_where_the_head_is_needed() {
    let device = Device::flex();
    let whole = open("electra_tiny");
    assert!(whole.has_masked_lm() && whole.has_discriminator());

    let discriminator = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(golden("electra_tiny").join(file), discriminator.path().join(file)).unwrap();
    }
    let (model, _) = Pretrained::open(discriminator.path(), &device).unwrap();
    assert!(!model.has_masked_lm() && model.has_discriminator());
    let error = Pretrained::open_masked_lm(discriminator.path(), &device).unwrap_err();
    assert!(matches!(error, HfError::NoHead { .. }), "{error}");
    assert!(error.to_string().contains("found no weights of a masked-LM head"), "{error}");

    let (generator, _) = Pretrained::open_masked_lm(&golden("electra_tiny/generator"), &device).unwrap();
    assert!(generator.has_masked_lm() && !generator.has_discriminator());

    // Fine-tuned models come without heads of pre-training.
    let (classifier, _) = Pretrained::open(&golden("task_tiny/bert_classifier"), &device).unwrap();
    assert!(!classifier.has_masked_lm() && !classifier.has_discriminator());
}

#[test]
fn a_bert_starts_an_electra_and_not_the_other_way_round() {
    let device = Device::flex();
    let (model, _) = Pretrained::open_as(Arch::Electra, None, &golden("bert_tiny"), &device).unwrap();
    assert_eq!(model.arch(), Arch::Electra);
    assert!(model.has_masked_lm() && !model.has_discriminator());
    let error = Pretrained::open_as(Arch::Bert, None, &golden("electra_tiny"), &device).unwrap_err();
    assert!(error.to_string().contains("`model_type` is \"electra\", expected \"bert\""), "{error}");
}

#[test]
fn a_folder_of_another_architecture_is_refused_with_the_names_of_those_that_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    let mut config = common::json(&golden("bert_tiny/config.json"));
    config["model_type"] = "gpt2".into();
    fs::write(&path, config.to_string()).unwrap();
    let error = Pretrained::open(dir.path(), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("`model_type` is \"gpt2\", expected \"bert\" or \"electra\""), "{error}");
    // The first BERT folders have no `model_type`.
    config.as_object_mut().unwrap().remove("model_type");
    fs::write(&path, config.to_string()).unwrap();
    assert_eq!(hf::read_encoder(dir.path()).unwrap().0, Arch::Bert);
}

#[test]
fn shards_of_pytorch_are_read_by_their_index() {
    let dir = tempfile::tempdir().unwrap();
    let whole = golden("bin_tiny/zip");
    fs::copy(whole.join("config.json"), dir.path().join("config.json")).unwrap();
    let open = |dir: &Path| Pretrained::open(dir, &Device::flex());
    let expected = params::collect(&open(&whole).unwrap().0);
    let shard = "pytorch_model-00001-of-00001.bin";
    fs::copy(whole.join("pytorch_model.bin"), dir.path().join(shard)).unwrap();
    let save = |tensor: &str, shard: &str| {
        let map = serde_json::json!({ "weight_map": { tensor: shard } });
        fs::write(dir.path().join("pytorch_model.bin.index.json"), map.to_string()).unwrap();
    };
    save("bert.embeddings.word_embeddings.weight", shard);
    let (loaded, report) = open(dir.path()).unwrap();
    assert_eq!(params::collect(&loaded), expected);
    assert!(report.files[0].ends_with(shard));
    save("bert.embeddings.word_embeddings.weight", "../pytorch_model.bin");
    assert!(matches!(open(dir.path()).unwrap_err(), HfError::UnsafeShard { .. }));
    save("bert.no.such.tensor", shard);
    assert!(matches!(open(dir.path()).unwrap_err(), HfError::Damaged { .. }));
}
