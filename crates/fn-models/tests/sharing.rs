//! What generator and discriminator share of their embeddings, for ELECTRA and for ModernBERT's layers: the numbers of
//! `tests/golden/make_sharing.py`, which are computed by transformers in f64; and what their folders keep.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod common;

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor};
use common::{Case, golden, gradients, json};
use fn_models::arch::Family;
use fn_models::hf::names::{Layout, Role};
use fn_models::{
    Arch, Electra, ElectraConfig, EmbeddingSharing, EncoderConfig, GeneratorSettings, Inputs, Pretrained, hf,
    params,
};
use fn_ops::Noise;

const WAYS: [EmbeddingSharing; 3] = [EmbeddingSharing::Tied, EmbeddingSharing::Gdes, EmbeddingSharing::None];
const CASES: [(Arch, &str, &str); 2] = [
    (Arch::Electra, "sharing/electra", "electra.embeddings."),
    (Arch::ModernElectra, "sharing/modern-electra", "model.embeddings."),
];

/// Within 2e-6, or 1e-5 of the value.
fn close(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (got, wanted)) in got.iter().zip(expected).enumerate() {
        let off = (got - wanted).abs();
        assert!(off <= 2e-6 || off <= 1e-5 * wanted.abs(), "{what}[{index}]: {got} instead of {wanted}");
    }
}

/// Both losses of a fixture, the discriminator's times 50.
fn losses(model: &Electra, case: &Case, device: &Device) -> [Tensor<1>; 2] {
    let none = Noise::none();
    let logits = model.generator_logits(&case.inputs("input_ids", device), case.ids("rows", device), &none);
    let found = model.discriminator_logits(&case.inputs("replaced_ids", device), &none);
    let original: Tensor<2, Int> = case.ids("original", device);
    let fake = case.ids::<2>("replaced_ids", device).not_equal(original).float();
    let real = case.attention(device);
    let masked_lm = fn_ops::cross_entropy_rows(logits, case.ids("gold", device)).mean();
    [masked_lm, (fn_ops::bce_with_logits(found, fake) * real.clone()).sum() / real.sum() * 50.0]
}

#[test]
fn logits_losses_and_gradients_are_those_of_transformers_for_each_way_of_sharing() {
    let device = Device::flex().autodiff();
    for (arch, folder, embeddings) in CASES {
        let (case, expected) = (Case::open(folder), json(&golden(folder).join("case.json")));
        for sharing in WAYS {
            let way = sharing.name();
            let (model, config, report) =
                hf::load_replaced_token(&golden(folder), arch, Some(sharing), &device).unwrap();
            assert_eq!(config.sharing, sharing);
            assert!(report.missing.is_empty() && report.unused.is_empty(), "{way}: {report}");
            // The generator's embeddings are not those that the discriminator has, which is said where they are dropped.
            assert_eq!(report.notes.is_empty(), !sharing.is_tied(), "{way}: {report}");

            let none = Noise::none();
            let inputs = case.inputs("replaced_ids", &device);
            let found = model.discriminator_logits(&inputs, &none) * case.attention(&device);
            close(way, &params::host(found), &case.float(&format!("{way}.discriminator_logits")).1);
            let inputs = case.inputs("input_ids", &device);
            let logits = model.generator_logits(&inputs, case.ids("rows", &device), &none);
            close(way, &params::host(logits), &case.float(&format!("{way}.generator_logits")).1);

            let [masked_lm, detection] = losses(&model, &case, &device);
            for (name, got, scale) in [("generator", &masked_lm, 1.0), ("discriminator", &detection, 50.0)] {
                let wanted = scale * expected["losses"][way][name].as_f64().unwrap();
                let got = f64::from(params::host(got.clone())[0]);
                assert!((got - wanted).abs() < 1e-5 * wanted, "{way} {name}: {got}, {wanted}");
            }
            let raw = (masked_lm + detection).backward();
            let role = if sharing.is_tied() { Role::Discriminator } else { Role::SeparateDiscriminator };
            let mut count = 0;
            for (role, side) in [(role, "discriminator"), (Role::Generator, "generator")] {
                for gradient in gradients(&model, &raw, Layout::new(arch.family(), role)) {
                    if sharing.is_tied() && side == "generator" && gradient.name.starts_with(embeddings) {
                        continue;
                    }
                    let name = format!("{way}.grad.{side}.{}", gradient.name);
                    let (shape, values) = case.float(&name);
                    assert_eq!(&gradient.shape, shape, "{name}");
                    let size = values.iter().fold(0.0f32, |size, value| size.max(value.abs()));
                    for (got, wanted) in gradient.values.iter().zip(values) {
                        let off = (got - wanted).abs();
                        assert!(off <= 1e-4 * wanted.abs() || off <= 1e-5 * size, "{name}: {got}, {wanted}");
                    }
                    count += 1;
                }
            }
            assert_eq!(count, case.gradient_names(&format!("{way}.grad.")).len(), "{way}");
        }
    }
}

#[test]
fn the_loss_of_the_discriminator_reaches_the_generators_table_only_where_they_are_tied() {
    let device = Device::flex().autodiff();
    for (arch, folder, _) in CASES {
        let case = Case::open(folder);
        for sharing in WAYS {
            let (model, ..) = hf::load_replaced_token(&golden(folder), arch, Some(sharing), &device).unwrap();
            let [_, detection] = losses(&model, &case, &device);
            let gradients = detection.backward();
            let reached = model.word_embedding().grad(&gradients).is_some();
            assert_eq!(reached, sharing.is_tied(), "{arch:?}, {sharing:?}");
            if let Some(own) = &model.discriminator_embeddings {
                assert!(own.word.weight.val().grad(&gradients).is_some(), "{arch:?}, {sharing:?}");
            }
        }
    }
}

fn small(arch: Arch, sharing: EmbeddingSharing, device: &Device) -> Pretrained {
    let encoder = match arch.is_modern() {
        true => EncoderConfig::modern_tiny(),
        false => EncoderConfig::electra_tiny(),
    };
    let generator = match arch.is_modern() {
        true => GeneratorSettings { width: 1.0, depth: 0.5, sharing },
        false => GeneratorSettings { width: 0.5, depth: 1.0, sharing },
    };
    let encoder = EncoderConfig { vocab_size: 40, max_positions: 32, ..encoder };
    Pretrained::fresh(arch, encoder, generator, 3, device).unwrap()
}

fn detected(model: &Pretrained, device: &Device) -> Vec<f32> {
    let ids = Tensor::<2, Int>::from_data([[2, 9, 17, 8, 30, 3], [2, 5, 6, 7, 39, 3]], device);
    params::host(model.replaced_logits(&Inputs::plain(ids), &Noise::none()).unwrap())
}

#[test]
fn folders_keep_the_way_of_sharing_and_hold_the_sums_of_tables() {
    let device = Device::flex();
    for (arch, ..) in CASES {
        for sharing in WAYS {
            let model = small(arch, sharing, &device);
            let nudged = |path: &str| path.starts_with("discriminator_embeddings.");
            // Away from the start, where differences are zero.
            let mut values = params::collect(&model).into_iter();
            let Ok(model) = params::load(model, &mut |path: &str, _: &[usize]| {
                let mut data = values.next().unwrap().data;
                let shift = |i: usize| ((i * 37 + path.len()) % 101) as f32 / 900.0;
                if nudged(path) {
                    data.iter_mut().enumerate().for_each(|(i, value)| *value += shift(i));
                }
                Ok::<_, std::convert::Infallible>(Some(data))
            });
            let dir = tempfile::tempdir().unwrap();
            model.save(dir.path(), &hf::SaveOptions::default()).unwrap();
            let (again, report) = Pretrained::open(dir.path(), &device).unwrap();
            assert_eq!((again.arch(), again.sharing()), (arch, Some(sharing)));
            assert!(report.missing.is_empty() && report.unused.is_empty(), "{report}");
            assert!(again.has_masked_lm() && again.has_discriminator());
            close("reloaded", &detected(&again, &device), &detected(&model, &device));
            assert_eq!(hf::read_sharing(dir.path()).unwrap(), sharing);
            // Another way from here on: nothing that the discriminator computes changes.
            for other in WAYS {
                let (other_model, _) = Pretrained::open_as(arch, Some(other), dir.path(), &device).unwrap();
                assert_eq!(other_model.sharing(), Some(other));
                close("shared otherwise", &detected(&other_model, &device), &detected(&model, &device));
            }
            // Both files hold whole tables: a discriminator read alone is the same encoder.
            fs::remove_dir_all(dir.path().join("generator")).unwrap();
            let (alone, report) = Pretrained::open(dir.path(), &device).unwrap();
            assert!(!alone.has_masked_lm() && alone.has_discriminator());
            assert!(report.to_string().contains("a discriminator alone"), "{report}");
            close("alone", &detected(&alone, &device), &detected(&model, &device));
        }
    }
}

#[test]
fn at_the_start_differences_are_zero_and_tied_tables_are_those_of_before() {
    let device = Device::flex();
    for (arch, ..) in CASES {
        let named = |sharing| params::collect(&small(arch, sharing, &device));
        let (tied, gdes) = (named(EmbeddingSharing::Tied), named(EmbeddingSharing::Gdes));
        let own = |tensor: &&params::NamedTensor| tensor.name.starts_with("discriminator_embeddings.");
        assert!(!tied.iter().any(|tensor| own(&tensor)));
        assert_eq!(gdes.iter().filter(|t| !own(t)).cloned().collect::<Vec<_>>(), tied);
        for tensor in gdes.iter().filter(own).filter(|tensor| tensor.name.ends_with(".weight")) {
            assert!(tensor.data.iter().all(|&value| value == 0.0), "{}", tensor.name);
        }
        // Before the first step both compute the same.
        let [tied, gdes] = [EmbeddingSharing::Tied, EmbeddingSharing::Gdes]
            .map(|sharing| detected(&small(arch, sharing, &device), &device));
        assert_eq!(tied, gdes);
        let separate = detected(&small(arch, EmbeddingSharing::None, &device), &device);
        assert_ne!(tied, separate);
    }
}

#[test]
fn a_modern_generator_is_smaller_by_depth_only() {
    let device = Device::flex();
    let generator = GeneratorSettings { width: 0.5, ..GeneratorSettings::default() };
    let encoder = EncoderConfig { vocab_size: 40, ..EncoderConfig::modern_tiny() };
    let error = Pretrained::fresh(Arch::ModernElectra, encoder, generator, 1, &device).unwrap_err();
    assert!(
        error.to_string().contains("generator.hidden_size is 64; allowed: embedding_size = 128"),
        "{error}"
    );
}

fn folder_of(golden_folder: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(golden(golden_folder).join(name), dir.path().join(name)).unwrap();
    }
    dir
}

#[test]
fn a_modernbert_becomes_a_generator_and_a_discriminator() {
    let device = Device::flex();
    let (model, report) =
        Pretrained::open_as(Arch::ModernElectra, None, &golden("modern_tiny"), &device).unwrap();
    assert!(model.has_masked_lm() && !model.has_discriminator(), "{report}");
    assert!(report.to_string().contains("a ModernBERT: generator and discriminator both start"), "{report}");
    let (masked_lm, _) = Pretrained::open(&golden("modern_tiny"), &device).unwrap();
    let ids = Tensor::<2, Int>::from_data([[2, 9, 17, 8, 30, 3]], &device);
    let inputs = Inputs::plain(ids);
    let hidden = |model: &Pretrained| params::host(model.hidden(&inputs, &Noise::none()));
    assert_eq!(hidden(&model), hidden(&masked_lm));
    let rows = Tensor::<1, Int>::from_data([2, 4], &device);
    let logits =
        |model: &Pretrained| params::host(model.masked_logits(&inputs, rows.clone(), &Noise::none()));
    assert_eq!(logits(&model), logits(&masked_lm));

    // The other way round, the objective is another one: refused, with where the masked LM is.
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path(), &report.options).unwrap();
    let error = Pretrained::open_as(Arch::ModernBert, None, dir.path(), &device).unwrap_err();
    assert!(error.to_string().contains("its masked language model is in generator/"), "{error}");
    let (generator, _) = Pretrained::open(&dir.path().join("generator"), &device).unwrap();
    assert_eq!(generator.arch(), Arch::ModernBert);
    assert_eq!(logits(&generator), logits(&masked_lm));
}

#[test]
fn a_roberta_becomes_an_electra_that_counts_positions_from_zero() {
    let device = Device::flex();
    let (electra, config, report) = hf::load_electra(&golden("roberta_tiny"), &device).unwrap();
    assert!(report.to_string().contains("a RoBERTa: generator and discriminator both start"), "{report}");
    assert_eq!((config.discriminator.position_offset, config.discriminator.type_vocab), (0, 1));
    let (roberta, _) = Pretrained::open(&golden("roberta_tiny"), &device).unwrap();
    assert_eq!(config.discriminator.max_positions, roberta.encoder().max_positions);
    let dir = tempfile::tempdir().unwrap();
    hf::save_electra_with(dir.path(), &electra, &config, &report.options).unwrap();
    assert_eq!(json(&dir.path().join("config.json"))["pad_token_id"], 1);
    let (again, report) = Pretrained::open(dir.path(), &device).unwrap();
    assert!(report.missing.is_empty() && report.unused.is_empty(), "{report}");
    let inputs = Inputs::plain(Tensor::<2, Int>::from_data([[0, 9, 17, 8, 30, 2]], &device));
    let hidden = |model: &Pretrained| params::host(model.hidden(&inputs, &Noise::none()));
    assert_eq!(hidden(&again), hidden(&roberta));
    let rows = Tensor::<1, Int>::from_data([2, 4], &device);
    let logits =
        |model: &Pretrained| params::host(model.masked_logits(&inputs, rows.clone(), &Noise::none()));
    assert_eq!(logits(&again), logits(&roberta));
}

#[test]
fn heads_under_the_same_names_are_told_apart() {
    let device = Device::flex();
    // A classifier is no masked LM, though its head has the same names.
    let (model, report) = Pretrained::open(&golden("modern_tasks/classifier_cls"), &device).unwrap();
    assert!(!model.has_masked_lm(), "{report}");
    assert!(report.unused.iter().any(|name| name == "head.dense.weight"), "{report}");

    // A discriminator's scores are not the beginning of a regression.
    let dir = tempfile::tempdir().unwrap();
    let model = small(Arch::ModernElectra, EmbeddingSharing::Gdes, &device);
    model.save(dir.path(), &hf::SaveOptions::default()).unwrap();
    let (classifier, config, report) = hf::load_classifier(dir.path(), 1, 5, &device).unwrap();
    assert!(report.missing.iter().any(|name| name == "classifier.weight"), "{report}");
    assert!(report.unused.iter().any(|name| name == "classifier.weight"), "{report}");
    let tuned = tempfile::tempdir().unwrap();
    hf::save_classifier(tuned.path(), &classifier, &config, &[]).unwrap();
    let (again, _, report) = hf::load_classifier(tuned.path(), 1, 6, &device).unwrap();
    assert!(report.missing.is_empty() && report.unused.is_empty(), "{report}");
    assert_eq!(params::collect(&again), params::collect(&classifier));
    // Nor is a fine-tuned model a discriminator.
    let (model, report) = Pretrained::open(tuned.path(), &device).unwrap();
    assert_eq!(model.arch(), Arch::ModernElectra);
    assert!(!model.has_discriminator() && !model.has_masked_lm(), "{report}");
}

#[test]
fn an_unknown_way_of_sharing_is_refused() {
    let dir = folder_of("sharing/electra");
    let write = |sharing: &str| {
        let mut config = json(&golden("sharing/electra/config.json"));
        config["embedding_sharing"] = sharing.into();
        fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    };
    write("es");
    let error = hf::read_encoder(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("`embedding_sharing` is \"es\", expected \"tied\", \"gdes\" or \"none\""),
        "{error}"
    );
    write("gdes");
    assert_eq!(hf::read_sharing(dir.path()).unwrap(), EmbeddingSharing::Gdes);
}

/// A folder of ELECTRA without the key is what it was: tied, and written without the key.
#[test]
fn tied_folders_say_nothing_of_sharing() {
    let device = Device::flex();
    let config = ElectraConfig::electra_tiny().with_vocab_size(40);
    let dir = tempfile::tempdir().unwrap();
    hf::save_electra(dir.path(), &Electra::init(&config, 1, &device), &config).unwrap();
    let text = |dir: &Path| fs::read_to_string(dir.join("config.json")).unwrap();
    assert!(
        !text(dir.path()).contains("sharing") && !text(&dir.path().join("generator")).contains("sharing")
    );
    assert_eq!(Arch::Electra.family(), Family::Electra);
}
