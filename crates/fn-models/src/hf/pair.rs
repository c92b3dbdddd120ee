//! Reading a generator and a discriminator.

use std::path::Path;

use burn::tensor::Device;
use serde_json::Value;

use super::config_json::ModelFile;
use super::error::HfError;
use super::export::SaveOptions;
use super::import::{FRESH_SEED, Part, fill, read_config};
use super::names::Role;
use super::report::LoadReport;
use super::weights::Weights;
use super::{CONFIG_FILE, GENERATOR_FOLDER};
use crate::arch::{Arch, Family};
use crate::config::ElectraConfig;
use crate::electra::{Electra, EmbeddingSharing};

/// What a loader gives.
type Loaded = Result<(Electra, ElectraConfig, LoadReport), HfError>;

/// [`load_replaced_token`] for ELECTRA, with embeddings shared as its `config.json` says.
///
/// # Errors
/// Everything of [`HfError`] that concerns reading.
pub fn load_electra(dir: &Path, device: &Device) -> Loaded {
    load_replaced_token(dir, Arch::Electra, None, device)
}

/// Reads a discriminator with its generator in `generator/`, or one of the two alone, of an architecture that has both.
///
/// A half that is missing is fresh and reported: ELECTRA's generator gets the paper's share of the discriminator's width, one of
/// ModernBERT's layers half of its depth; a discriminator gets the generator's sizes. Tied embeddings come from the discriminator. The
/// folder of a masked language model (BERT, RoBERTa; ModernBERT) makes a generator and a discriminator that both start as that model. A
/// RoBERTa's position table loses the rows before that of the first token, as ELECTRA counts from 0.
///
/// `sharing` is what the two share of their embeddings from here on; None: what `config.json` says. Differences of tables are read as
/// the discriminator's table less the generator's, so that the sums may differ in their last bit from those of the model that was written.
///
/// # Errors
/// Everything of [`HfError`] that concerns reading.
pub fn load_replaced_token(
    dir: &Path,
    arch: Arch,
    sharing: Option<EmbeddingSharing>,
    device: &Device,
) -> Loaded {
    let wanted: Vec<Arch> = [&[arch], arch.starts_from()].concat();
    let main = read_config(dir, &wanted)?;
    let sharing = sharing.unwrap_or(main.sharing);
    let (model, _, report) = match main.arch == arch {
        true => pair(dir, main, sharing, device)?,
        false => of_masked_lm(dir, main, device)?,
    };
    let model = model.with_sharing(sharing, device);
    let config = model.config().clone();
    Ok((model, config, report))
}

/// Both halves, or one. Embeddings are tied or separate.
fn pair(dir: &Path, main: ModelFile, sharing: EmbeddingSharing, device: &Device) -> Loaded {
    let family = main.arch.family();
    let weights = Weights::open(dir)?;
    let generator_dir = dir.join(GENERATOR_FOLDER);
    let is_generator = match main.architecture.as_deref() {
        // The generator of ModernBERT's layers is a ModernBERT, see `of_masked_lm`.
        _ if family == Family::Modern => false,
        Some("ElectraForMaskedLM") => true,
        Some("ElectraForPreTraining") => false,
        _ => weights.get("generator_predictions.dense.weight").is_some(),
    };
    let std = main.config.init_std;
    let mut notes = main.notes.clone();
    let discriminator = |role, notes: &mut _| -> Result<Part<'_>, HfError> {
        Ok(Part::new(&weights, family, role, false, notes)?.of_file(&main))
    };
    let (model, config, mut report, generator_fields);
    if is_generator {
        let part = Part::new(&weights, family, Role::Generator, main.untied, &mut notes)?;
        config = ElectraConfig {
            discriminator: main.config.clone(),
            generator: main.config.clone(),
            untied_decoder: part.untied,
            sharing: EmbeddingSharing::Tied,
        };
        (model, report) = fill(Electra::zeros(&config, device), &[part], std, FRESH_SEED)?;
        notes.push("a generator alone: the discriminator is fresh, with the generator's sizes".into());
        generator_fields = main.other.clone();
    } else if generator_dir.join(CONFIG_FILE).exists() {
        let other = read_config(&generator_dir, &[main.arch.of_generator()])?;
        let generator_weights = Weights::open(&generator_dir)?;
        let part = Part::new(&generator_weights, family, Role::Generator, other.untied, &mut notes)?;
        // Each half has the tables of its own folder, unless the discriminator's are to be the only ones.
        let (role, loaded) = match sharing {
            EmbeddingSharing::Tied => (Role::Discriminator, EmbeddingSharing::Tied),
            EmbeddingSharing::Gdes | EmbeddingSharing::None => {
                (Role::SeparateDiscriminator, EmbeddingSharing::None)
            }
        };
        config = ElectraConfig {
            discriminator: main.config.clone(),
            generator: other.config,
            untied_decoder: part.untied,
            sharing: loaded,
        };
        let path = generator_dir.join(CONFIG_FILE);
        config.validate().map_err(|source| HfError::Config { path, source })?;
        let parts = [discriminator(role, &mut notes)?, part];
        (model, report) = fill(Electra::zeros(&config, device), &parts, std, FRESH_SEED)?;
        generator_fields = other.other;
    } else {
        let (width, depth) = match (family, main.config.hidden_size) {
            // DeBERTaV3: half as deep.
            (Family::Modern, _) => (1.0, 0.5),
            // Table of the paper of ELECTRA: a third for base, a quarter for small and large.
            (_, 768) => (1.0 / 3.0, 1.0),
            _ => (0.25, 1.0),
        };
        config = ElectraConfig::new(main.config.clone(), width, depth);
        let parts = [discriminator(Role::Discriminator, &mut notes)?];
        (model, report) = fill(Electra::zeros(&config, device), &parts, std, FRESH_SEED)?;
        let (width, layers) = (config.generator.hidden_size, config.generator.num_layers);
        notes.push(match family {
            Family::Modern => format!("a discriminator alone: the generator ({layers} layers) is fresh"),
            _ => format!("a discriminator alone: the generator (width {width}) is fresh"),
        });
        generator_fields = main.other.clone();
    }
    report.notes.extend(notes);
    report.options = SaveOptions { fields: main.other, generator_fields };
    Ok((model, config, report))
}

/// A masked language model twice: its head becomes the generator's, the discriminator's head is fresh. Embeddings are tied.
fn of_masked_lm(dir: &Path, file: ModelFile, device: &Device) -> Loaded {
    let (family, name, encoder, mut notes) = (file.arch.family(), file.arch.name(), file.config, file.notes);
    if family == Family::Bert && !encoder.activation.is_gelu() {
        // The generator's head of ELECTRA has GELU, that of this BERT another: it could not be taken over.
        let (path, found) = (dir.join(CONFIG_FILE), format!("\"{}\"", encoder.activation.name()));
        let (field, expected) = ("hidden_act".into(), "\"gelu\" in a BERT that becomes an ELECTRA".into());
        return Err(HfError::Field { path, field, found, expected });
    }
    let weights = Weights::open(dir)?;
    let std = encoder.init_std;
    let generator = Part::new(&weights, family, Role::Generator, file.untied, &mut notes)?;
    let config = ElectraConfig {
        discriminator: encoder.clone(),
        generator: encoder,
        untied_decoder: generator.untied,
        sharing: EmbeddingSharing::Tied,
    };
    let discriminator =
        Part::new(&weights, family, Role::Discriminator, false, &mut Vec::new())?.fresh_head();
    let (model, mut report) =
        fill(Electra::zeros(&config, device), &[discriminator, generator], std, FRESH_SEED)?;
    report.notes.extend(notes);
    report.notes.push(format!("a {name}: generator and discriminator both start from it, with its sizes"));
    // Read once for each of the two.
    report.loaded.sort_unstable();
    report.loaded.dedup();
    if let Some(pad) = file.other.get("pad_token_id").and_then(Value::as_u64) {
        report.options = SaveOptions::with_pad(u32::try_from(pad).unwrap_or_default());
    }
    let model = match config.discriminator.position_offset {
        0 => model,
        _ => model.with_positions_from_zero(device),
    };
    let config = model.config().clone();
    Ok((model, config, report))
}
