//! What models promise whatever their weights are.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod common;

use burn::tensor::{Device, Int, Tensor};
use fn_models::params::{collect, load};
use fn_models::{BertConfig, BertForPreTraining, Electra, ElectraConfig, Inputs, Pooling};
use fn_ops::Noise;

/// The device's generator belongs to the process: tests that seed it take turns.
static GENERATOR: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn inputs(device: &Device) -> Inputs {
    Inputs::plain(Tensor::<2, Int>::from_data([[1, 5, 9, 2, 7], [1, 7, 8, 2, 30]], device))
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let config = ElectraConfig::electra_tiny().with_vocab_size(50);
    let _alone = GENERATOR.lock().unwrap();
    let plain = Device::flex();
    let first = collect(&Electra::init(&config, 3, &plain));
    plain.seed(99);
    assert_eq!(first, collect(&Electra::init(&config, 3, &plain.clone().autodiff())));
    let other = collect(&Electra::init(&config, 4, &plain));
    for (a, b) in first.iter().zip(&other) {
        assert_eq!(a.data == b.data, a.shape.len() == 1, "{}", a.name);
        let constant = if a.name.ends_with("gamma") { 1.0 } else { 0.0 };
        assert!(a.shape.len() == 2 || a.data.iter().all(|&x| x == constant), "{}", a.name);
    }
}

#[test]
fn every_parameter_has_a_path_of_its_own_and_the_token_table_exists_once() {
    let config = ElectraConfig::electra_small();
    let model = Electra::init(&config.with_vocab_size(300), 1, &Device::flex());
    let tensors = collect(&model);
    let names: std::collections::BTreeSet<_> = tensors.iter().map(|t| &t.name).collect();
    assert_eq!(names.len(), tensors.len());
    assert!(names.contains(&"discriminator.layers.3.attention.query.weight".to_owned()));
    let tables: Vec<_> = tensors.iter().filter(|t| t.shape == [300, 128]).map(|t| t.name.as_str()).collect();
    assert_eq!(tables, ["embeddings.word.weight"]);
}

#[test]
fn electra_small_has_as_many_parameters_as_in_the_paper() {
    // What transformers counts: 13,483,008 in ElectraModel (embeddings included), and the two layers of the head.
    let count = |prefixes: &[&str]| -> usize {
        let shapes =
            fn_models::params::shapes(&Electra::init(&ElectraConfig::electra_small(), 1, &Device::flex()));
        shapes
            .iter()
            .filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)))
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    };
    assert_eq!(count(&["embeddings.", "discriminator"]), 13_483_008 + 65_792 + 257);
}

#[test]
fn dropout_is_a_function_of_its_seed_and_absent_in_evaluation() {
    let _alone = GENERATOR.lock().unwrap();
    let device = Device::flex();
    let model = Electra::init(&ElectraConfig::electra_tiny().with_vocab_size(50), 1, &device);
    let logits = |seed: Option<u64>| {
        // Composed operations take their noise from the device, which the trainer seeds at each step.
        device.seed(seed.unwrap_or(17));
        let noise = seed.map_or_else(Noise::none, Noise::new);
        collect_values(model.discriminator_logits(&inputs(&device), &noise))
    };
    assert_eq!(logits(None), logits(None));
    assert_eq!(logits(Some(5)), logits(Some(5)));
    assert_ne!(logits(Some(5)), logits(Some(6)));
    assert_ne!(logits(Some(5)), logits(None));
}

fn collect_values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    fn_models::params::host(tensor)
}

#[test]
fn a_loaded_parameter_is_still_trained_and_on_its_device() {
    let device = Device::flex().autodiff();
    let config = BertConfig::bert_tiny().with_vocab_size(40);
    let model = BertForPreTraining::init(&config, 1, &device);
    let model = load(model, &mut |_, shape: &[usize]| {
        Ok::<_, std::convert::Infallible>(Some(vec![0.1; shape.iter().product()]))
    })
    .unwrap();
    assert!(collect(&model).iter().all(|t| t.data.iter().all(|&x| x == 0.1)));
    let rows = Tensor::<1, Int>::from_data([1, 7], &device);
    let loss = model.masked_logits(&inputs(&device), rows, &Noise::none()).mean();
    let gradients = loss.backward();
    let bias = model.head.bias.val().grad(&gradients).unwrap();
    assert!(collect_values(bias).iter().all(|&g| (g - 1.0 / 40.0).abs() < 1e-7));
    // The same after it went through evaluation and back.
    let back = burn::module::Module::train(burn::module::Module::valid(&model));
    assert!(back.embeddings.word.weight.val().is_require_grad());
}

#[test]
fn an_error_of_the_lookup_ends_the_walk() {
    let model = BertForPreTraining::init(&BertConfig::bert_tiny().with_vocab_size(40), 1, &Device::flex());
    let mut asked = 0;
    let result = load(model, &mut |_, _| {
        asked += 1;
        if asked == 3 { Err("stop") } else { Ok(None) }
    });
    assert_eq!(result.unwrap_err(), "stop");
    assert_eq!(asked, 3);
}

#[test]
fn pooling_looks_at_the_first_token_or_at_the_real_ones() {
    let device = Device::flex();
    let hidden = Tensor::<3>::from_data([[[1.0, 2.0], [3.0, 4.0], [100.0, 100.0]]], &device);
    let mask = Tensor::<2>::from_data([[1.0, 1.0, 0.0]], &device);
    assert_eq!(collect_values(Pooling::FirstToken.pool(hidden.clone(), Some(&mask))), [1.0, 2.0]);
    assert_eq!(collect_values(Pooling::Mean.pool(hidden.clone(), Some(&mask))), [2.0, 3.0]);
    let nothing = Tensor::<2>::zeros([1, 3], &device);
    assert_eq!(collect_values(Pooling::Mean.pool(hidden, Some(&nothing))), [0.0, 0.0]);
}

#[test]
fn a_pooler_is_used_where_there_is_one() {
    let device = Device::flex();
    let config = BertConfig { pooler: true, ..BertConfig::bert_tiny().with_vocab_size(50) };
    let model = BertForPreTraining::init(&config, 1, &device);
    let pooled = model.pooled(&inputs(&device), Pooling::FirstToken, &Noise::none());
    assert_eq!(pooled.dims(), [2, 128]);
    assert!(collect_values(pooled).iter().all(|x| x.abs() < 1.0));
}

#[test]
#[should_panic(expected = "does not fit a model of 512 positions")]
fn a_sequence_longer_than_the_position_table_is_refused_by_name() {
    let device = Device::flex();
    let model = BertForPreTraining::init(&BertConfig::bert_tiny().with_vocab_size(50), 1, &device);
    model.hidden(&Inputs::plain(Tensor::zeros([1, 513], &device)), &Noise::none());
}
