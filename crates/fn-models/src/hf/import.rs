//! Reading: a folder becomes one of our models.

use std::collections::BTreeSet;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;

use super::CONFIG_FILE;
use super::config_json::{self, ModelFile};
use super::error::HfError;
use super::export::{SaveOptions, transpose};
use super::family::Decoder;
use super::names::{BUFFERS, Layout, Role, canonical};
use super::report::{Cast, LoadReport};
use super::weights::{Entry, Weights};
use crate::arch::{Arch, Family};
use crate::bert::BertForPreTraining;
use crate::config::{BertConfig, EncoderConfig};
use crate::electra::EmbeddingSharing;
use crate::params::TOKEN_TABLE;
use crate::{init, params};

/// Seed of parameters that a folder does not hold.
pub(super) const FRESH_SEED: u64 = 0;

/// Reads BERT. The encoder must be whole; a head that is not in the file is fresh and reported.
///
/// # Errors
/// Everything of [`HfError`] that concerns reading.
pub fn load_bert(
    dir: &Path,
    device: &Device,
) -> Result<(BertForPreTraining, BertConfig, LoadReport), HfError> {
    load_masked_lm(dir, Arch::Bert, device)
}

/// [`load_bert`] for any architecture that is pre-trained as a masked language model.
///
/// An output layer that is not tied to the token table is kept as a matrix of its own.
///
/// # Errors
/// Everything of [`HfError`] that concerns reading.
pub fn load_masked_lm(
    dir: &Path,
    arch: Arch,
    device: &Device,
) -> Result<(BertForPreTraining, BertConfig, LoadReport), HfError> {
    let file = read_config(dir, &[arch])?;
    let weights = Weights::open(dir)?;
    let mut notes = file.notes;
    let part = Part::new(&weights, arch.family(), Role::MaskedLm, file.untied, &mut notes)?;
    let config = BertConfig {
        pooler: weights.get("pooler.dense.weight").is_some(),
        untied_decoder: part.untied,
        ..BertConfig::of(arch.family(), file.config)
    };
    let zeros = BertForPreTraining::zeros(&config, device);
    let (model, mut report) = fill(zeros, &[part], config.encoder.init_std, FRESH_SEED)?;
    report.notes.extend(notes);
    report.options = SaveOptions { fields: file.other.clone(), generator_fields: file.other };
    Ok((model, config, report))
}

/// The architecture of a folder's model and the sizes of its encoder. Reads `config.json` alone.
///
/// # Errors
/// No `config.json`, or one of something else.
pub fn read_encoder(dir: &Path) -> Result<(Arch, EncoderConfig), HfError> {
    read_config(dir, &Arch::ALL).map(|file| (file.arch, file.config))
}

/// What generator and discriminator of a folder share of their embeddings; tied for a masked language model. Reads `config.json` alone.
///
/// # Errors
/// No `config.json`, or one of something else.
pub fn read_sharing(dir: &Path) -> Result<EmbeddingSharing, HfError> {
    read_config(dir, &Arch::ALL).map(|file| file.sharing)
}

/// Refuses a folder whose model has no rows for some of a tokenizer's `pieces`, or too few positions for sequences of `length`
/// tokens. Reads `config.json` alone.
///
/// # Errors
/// [`HfError::Fit`] with the sizes of both sides; a `config.json` that cannot be read.
pub fn check_fit(dir: &Path, pieces: usize, length: usize) -> Result<(), HfError> {
    let (_, encoder) = read_encoder(dir)?;
    encoder.check_fit(pieces, length).map_err(|source| HfError::Fit { folder: dir.to_owned(), source })
}

/// Refuses a folder whose positions count from another padding id than `pad`, the tokenizer's. Reads `config.json` alone.
///
/// # Errors
/// [`HfError::Fit`] with the ids of both sides; a `config.json` that cannot be read.
pub fn check_padding(dir: &Path, pad: u32) -> Result<(), HfError> {
    let (_, encoder) = read_encoder(dir)?;
    encoder.check_padding(pad).map_err(|source| HfError::Fit { folder: dir.to_owned(), source })
}

/// `config.json` of a model of one of these architectures.
pub(super) fn read_config(dir: &Path, wanted: &[Arch]) -> Result<ModelFile, HfError> {
    let path = dir.join(CONFIG_FILE);
    if !path.exists() {
        return Err(HfError::Absent { folder: dir.to_owned(), wanted: CONFIG_FILE });
    }
    config_json::read(&path, wanted)
}

/// A folder and how its names map to ours.
pub(super) struct Part<'a> {
    layout: Layout,
    weights: &'a Weights,
    /// Whether the masked LM's output layer has a matrix of its own.
    pub untied: bool,
    /// Tensors that are not taken, though they have the names of ours: those of another head.
    skipped: &'static [&'static str],
}

/// Tensors of heads that ModernBERT's masked LM, classifiers and taggers have under the same names.
const HEAD: [&str; 4] = ["head.dense.weight", "head.norm.weight", "classifier.weight", "classifier.bias"];

impl<'a> Part<'a> {
    /// `untied` is what `config.json` says. A file that holds another matrix than the token table decides, and a note says so.
    ///
    /// # Errors
    /// A head whose output layer is missing; two biases of one output layer.
    pub(super) fn new(
        weights: &'a Weights,
        family: Family,
        role: Role,
        untied: bool,
        notes: &mut Vec<String>,
    ) -> Result<Self, HfError> {
        let mut part = Self { layout: Layout::new(family, role), weights, untied, skipped: &[] };
        let head = match role {
            Role::MaskedLm => "head.dense.weight",
            Role::Generator => "generator_head.dense.weight",
            Role::Discriminator | Role::SeparateDiscriminator | Role::Task(_) => {
                return Ok(Self { untied: false, ..part });
            }
        };
        let decoder = &family.files().decoder;
        if family == Family::Modern && weights.get(decoder.bias).is_none() {
            // The head of a classifier, which has the same names.
            part.skipped = &HEAD;
        }
        match weights.get(decoder.weight) {
            None if untied && matches!(part.find(head), Some((_, Some(_), _))) => {
                let (path, first) = (weights.folder.clone(), decoder.weight.to_owned());
                return Err(HfError::MissingTensors { path, first, count: 1 });
            }
            Some(entry) if !untied && !equal(weights, entry, decoder.table)? => {
                part.untied = true;
                notes.push(format!(
                    "`{}` differs from the token table, to which config.json ties it: kept as a matrix of its own",
                    entry.name
                ));
            }
            _ => {}
        }
        let second = decoder.copied_bias.and_then(|name| weights.get(name));
        match (weights.get(decoder.bias), second) {
            (Some(first), Some(second)) if !part.untied && !equal(weights, second, decoder.bias)? => {
                Err(HfError::Differ {
                    path: weights.path_of(first).to_owned(),
                    first: first.name.clone(),
                    second: second.name.clone(),
                })
            }
            _ => Ok(part),
        }
    }

    /// The same for the folder of a discriminator or of a task. A ModernBERT's heads have the same names in both: a discriminator takes its
    /// own alone, and a task does not begin with the scores of a discriminator.
    pub(super) fn of_file(mut self, file: &ModelFile) -> Self {
        self.skipped = match self.layout.role {
            Role::Discriminator | Role::SeparateDiscriminator
                if file.arch.is_modern() && !file.is_discriminator =>
            {
                &HEAD
            }
            Role::Task(_) if file.is_discriminator => &HEAD[2..],
            _ => self.skipped,
        };
        self
    }

    /// The same, whose head is not in the folder.
    pub(super) fn fresh_head(self) -> Self {
        Self { skipped: &HEAD, ..self }
    }

    /// The tensor for this path: canonical name, entry (if it is there), transposed.
    fn find(&self, path: &str) -> Option<(String, Option<&Entry>, bool)> {
        let (theirs, transposed) = self.layout.theirs(path)?;
        let key = canonical(&theirs);
        let decoder = &self.layout.family.files().decoder;
        // The bias of the output layer may be there under the name of the head, of the layer, or of both; transformers computes with the
        // layer's.
        let entry = match decoder.copied_bias {
            Some(copy) if key == decoder.bias => {
                let (first, second) = if self.untied { (copy, decoder.bias) } else { (decoder.bias, copy) };
                self.weights.get(first).or_else(|| self.weights.get(second))
            }
            _ => self.weights.get(&key).filter(|_| !self.skipped.contains(&key.as_str())),
        };
        Some((theirs, entry, transposed))
    }

    fn check(&self, path: &str, entry: &Entry, expected: Vec<usize>) -> Result<(), HfError> {
        if entry.shape == expected {
            return Ok(());
        }
        let (file, tensor) = (self.weights.path_of(entry).to_owned(), entry.name.clone());
        match (path, entry.shape.as_slice(), expected.as_slice()) {
            (TOKEN_TABLE, &[found, width], &[rows, wanted]) if width == wanted => {
                Err(HfError::Vocabulary { path: file, tensor, found, expected: rows })
            }
            _ => Err(HfError::Shape { path: file, tensor, found: entry.shape.clone(), expected }),
        }
    }
}

fn needed(path: &str) -> bool {
    !(path.contains("head.") || path.starts_with("pooler."))
}

/// Checks that everything needed is there and fits, then reads it. Nothing is allocated before the check.
pub(super) fn fill<M: Module>(
    model: M,
    parts: &[Part<'_>],
    std: f64,
    seed: u64,
) -> Result<(M, LoadReport), HfError> {
    let mut report = LoadReport::default();
    let mut absent: Vec<(String, &Path)> = Vec::new();
    let mut used: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); parts.len()];
    for (path, shape) in params::shapes(&model) {
        for (part, used) in parts.iter().zip(&mut used) {
            match part.find(&path) {
                Some((_, Some(entry), transposed)) => {
                    let stored =
                        if transposed { shape.iter().rev().copied().collect() } else { shape.clone() };
                    part.check(&path, entry, stored)?;
                    used.insert(&entry.name);
                }
                Some((theirs, None, _)) if needed(&path) => absent.push((theirs, &part.weights.folder)),
                _ => {}
            }
        }
    }
    if let Some((first, folder)) = absent.first() {
        let (path, first) = ((*folder).to_owned(), first.clone());
        return Err(HfError::MissingTensors { path, first, count: absent.len() });
    }

    let model =
        params::load(model, &mut |path: &str, shape: &[usize]| -> Result<Option<Vec<f32>>, HfError> {
            let mut values: Option<Vec<f32>> = None;
            for part in parts {
                let Some((_, Some(entry), transposed)) = part.find(path) else {
                    continue;
                };
                let read = part.weights.read(entry)?;
                report.cast.extend(entry.cast().map(|from| Cast { tensor: entry.name.clone(), from }));
                let read = match (transposed, shape) {
                    (true, &[rows, columns]) => transpose(&read, columns, rows),
                    _ => read,
                };
                report.loaded.push(entry.name.clone());
                match &values {
                    None => values = Some(read),
                    Some(first) if *first == read => {}
                    Some(_) => report.notes.push(format!(
                        "{}: `{}` differs from the discriminator's; the discriminator's is kept",
                        part.weights.path_of(entry).display(),
                        entry.name
                    )),
                }
            }
            if values.is_none() {
                let name = parts
                    .iter()
                    .find_map(|part| part.layout.theirs(path))
                    .map_or_else(|| path.to_owned(), |(n, _)| n);
                report.missing.push(name);
                report.fresh.push(path.to_owned());
                if shape.len() == 2 {
                    values = Some(init::values(seed, path, shape.iter().product(), std));
                }
            }
            Ok(values)
        })?;

    // Two parts may read the same weights; each file is looked through once.
    for (index, part) in parts.iter().enumerate() {
        let same = |other: &Part<'_>| std::ptr::eq(part.weights, other.weights);
        if parts[..index].iter().any(same) {
            continue;
        }
        let used: BTreeSet<&str> = parts
            .iter()
            .zip(&used)
            .filter(|(p, _)| same(p))
            .flat_map(|(_, used)| used.iter().copied())
            .collect();
        report.files.extend(part.weights.files().map(Path::to_owned));
        for (key, entry) in part.weights.iter().filter(|(_, entry)| !used.contains(entry.name.as_str())) {
            if BUFFERS.contains(&key) {
                continue;
            }
            if is_copy(part.weights, &part.layout.family.files().decoder, key, entry)? {
                continue;
            }
            report.unused.push(entry.name.clone());
        }
    }
    Ok((model, report))
}

/// Is this the same tensor as the one it is tied to, under its second name?
fn is_copy(weights: &Weights, decoder: &Decoder, key: &str, entry: &Entry) -> Result<bool, HfError> {
    if key == decoder.weight {
        return equal(weights, entry, decoder.table);
    }
    match decoder.copied_bias {
        Some(copy) if key == copy => equal(weights, entry, decoder.bias),
        Some(copy) if key == decoder.bias => equal(weights, entry, copy),
        _ => Ok(false),
    }
}

/// Whether the tensor of this canonical name is there and has the same values.
fn equal(weights: &Weights, entry: &Entry, other: &str) -> Result<bool, HfError> {
    match weights.get(other) {
        Some(other) => Ok(other.shape == entry.shape && weights.read(other)? == weights.read(entry)?),
        None => Ok(false),
    }
}
