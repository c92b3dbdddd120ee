//! Writes small random models and what we compute with them, for `tests/golden/check_export.py`.
//!
//! ```text
//! cargo run -p fn-models --example export_for_check -- DIR
//!
//! DIR/bert, DIR/electra, DIR/electra/generator     pre-training: logits and hidden vectors
//! DIR/{roberta,xlm-roberta,camembert}              the same of RoBERTa and its relatives
//! DIR/bert_untied                                  a BERT with `relu` whose output layer has a matrix of its own
//! DIR/distilbert                                   a DistilBERT
//! DIR/modernbert                                   a ModernBERT with global and local layers
//! DIR/modern-electra, DIR/modern-electra/generator replaced-token detection with its layers, gradient-disentangled embeddings
//! DIR/{bert,electra,roberta,xlm-roberta,distilbert,modernbert}_{classifier,spans,tags}   task models: logits
//! ```

use std::convert::Infallible;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_models::{
    Activation, Arch, BertConfig, BertForPreTraining, Electra, ElectraConfig, EmbeddingSharing,
    EncoderConfig, Inputs, ModernConfig, hf, params,
};
use fn_ops::Noise;
use serde_json::{Value, json};

const BATCH: usize = 2;
const LENGTH: usize = 16;
const VOCAB: usize = 120;
const PAD_OF_ROBERTA: usize = 1;
const CLASSES: [&str; 3] = ["no", "yes", "perhaps"];
const TAGS: [&str; 5] = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"];

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let dir = std::env::args().nth(1).ok_or("name a folder to write into")?;
    let (dir, device) = (Path::new(&dir), Device::flex());
    let cases = Cases::new(&device);
    let (inputs, none) = (&cases.inputs, Noise::none());
    let rows = [1, 5, 14, 17, 26];
    let picked = Tensor::<1, Int>::from_data(rows, &device);

    let mut config = BertConfig::bert_tiny().with_vocab_size(VOCAB);
    config.encoder.init_std = 0.1;
    let model = uneven(BertForPreTraining::init(&config, 1, &device));
    let folder = dir.join("bert");
    hf::save_bert(&folder, &model, &config)?;
    let logits = values(model.masked_logits(inputs, picked.clone(), &none));
    let hidden = values(model.hidden(inputs, &none));
    cases.write(&folder, json!({"rows": rows, "logits": logits, "hidden": hidden}))?;
    cases.write_tasks(dir, "bert", &device)?;

    let mut config = ElectraConfig::electra_tiny().with_vocab_size(VOCAB);
    config.discriminator.init_std = 0.1;
    config.generator.init_std = 0.1;
    let model = uneven(Electra::init(&config, 1, &device));
    let folder = dir.join("electra");
    hf::save_electra(&folder, &model, &config)?;
    let logits = values(model.discriminator_logits(inputs, &none));
    let hidden = values(model.discriminator_hidden(inputs, &none));
    cases.write(&folder, json!({"logits": logits, "hidden": hidden}))?;
    let logits = values(model.generator_logits(inputs, picked, &none));
    let hidden = values(model.generator_hidden(inputs, &none));
    let generator = folder.join(hf::GENERATOR_FOLDER);
    cases.write(&generator, json!({"rows": rows, "logits": logits, "hidden": hidden}))?;
    cases.write_tasks(dir, "electra", &device)?;

    let mut config = BertConfig::bert_tiny().with_vocab_size(VOCAB);
    config.encoder.init_std = 0.1;
    config.encoder.activation = Activation::Relu;
    config.head_activation = Activation::Relu;
    config.untied_decoder = true;
    let folder = dir.join("bert_untied");
    cases.write_masked_lm(&folder, Arch::Bert, &config, &device)?;

    let cases = Cases::of_one_segment(&device, PAD_OF_ROBERTA as i32);
    for arch in [Arch::Roberta, Arch::XlmRoberta, Arch::Camembert] {
        let mut encoder = BertConfig::bert_tiny().with_vocab_size(VOCAB).encoder;
        encoder.init_std = 0.1;
        encoder.layer_norm_eps = 1e-5;
        encoder.type_vocab = 1;
        encoder.position_offset = PAD_OF_ROBERTA + 1;
        let config = BertConfig::of(arch.family(), encoder);
        cases.write_masked_lm(&dir.join(arch.model_type()), arch, &config, &device)?;
        if arch != Arch::Camembert {
            cases.write_tasks(dir, arch.model_type(), &device)?;
        }
    }

    let cases = Cases::of_one_segment(&device, 0);
    let mut encoder = BertConfig::bert_tiny().with_vocab_size(VOCAB).encoder;
    (encoder.init_std, encoder.type_vocab, encoder.distil) = (0.1, 1, true);
    let config = BertConfig::of(Arch::DistilBert.family(), encoder);
    cases.write_masked_lm(&dir.join("distilbert"), Arch::DistilBert, &config, &device)?;
    cases.write_tasks(dir, "distilbert", &device)?;

    let mut encoder =
        EncoderConfig { vocab_size: VOCAB, max_positions: 32, init_std: 0.1, ..EncoderConfig::modern_tiny() };
    encoder.modern = Some(ModernConfig { window: 6, ..ModernConfig::default() });
    let config = BertConfig::of(Arch::ModernBert.family(), encoder.clone());
    cases.write_masked_lm(&dir.join("modernbert"), Arch::ModernBert, &config, &device)?;
    cases.write_tasks(dir, "modernbert", &device)?;

    let config = ElectraConfig { sharing: EmbeddingSharing::Gdes, ..ElectraConfig::new(encoder, 1.0, 0.5) };
    let model = uneven(moved(Electra::init(&config, 1, &device)));
    let (folder, inputs) = (dir.join("modern-electra"), &cases.inputs);
    hf::save_replaced_token(&folder, Arch::ModernElectra, &model, &config, &hf::SaveOptions::default())?;
    // One label for each token.
    let logits = values(model.discriminator_logits(inputs, &none).unsqueeze_dim::<3>(2));
    let hidden = values(model.discriminator_hidden(inputs, &none));
    cases.write(&folder, json!({"labels": ["replaced"], "logits": logits, "hidden": hidden}))?;
    let logits = values(model.generator_logits(inputs, Tensor::from_data(rows, &device), &none));
    let hidden = values(model.generator_hidden(inputs, &none));
    let generator = folder.join(hf::GENERATOR_FOLDER);
    cases.write(&generator, json!({"rows": rows, "logits": logits, "hidden": hidden}))?;
    println!("wrote {}", dir.display());
    Ok(())
}

/// The inputs that all models get.
struct Cases {
    fields: [(&'static str, Vec<Vec<i32>>); 3],
    inputs: Inputs,
}

impl Cases {
    /// The second row ends in padding, both have two segments.
    fn new(device: &Device) -> Self {
        let real = |b: usize, l: usize| b == 0 || l < 11;
        let grid = |f: &dyn Fn(usize, usize) -> i32| -> Vec<Vec<i32>> {
            (0..BATCH).map(|b| (0..LENGTH).map(|l| f(b, l)).collect()).collect()
        };
        let ids = grid(&|b, l| {
            if real(b, l) { 5 + ((b * 31 + l * 17) % (VOCAB - 5)) as i32 } else { 0 }
        });
        let types = grid(&|b, l| i32::from(real(b, l) && l > 6));
        let mask = grid(&|b, l| i32::from(real(b, l)));
        let tensor = |rows: &[Vec<i32>]| {
            Tensor::<2, Int>::from_data(TensorData::new(rows.concat(), [BATCH, LENGTH]), device)
        };
        let inputs = Inputs {
            ids: tensor(&ids),
            token_type: tensor(&types),
            mask: Some(tensor(&mask).float()),
            documents: None,
            cuts: None,
        };
        Self { fields: [("input_ids", ids), ("token_type_ids", types), ("attention_mask", mask)], inputs }
    }

    /// One segment, with this padding id: RoBERTa counts positions over what is not padding, by id.
    fn of_one_segment(device: &Device, pad: i32) -> Self {
        let mut cases = Self::new(device);
        let [(_, ids), (_, types), (_, mask)] = &mut cases.fields;
        for (ids, mask) in ids.iter_mut().zip(mask.iter()) {
            for (id, _) in ids.iter_mut().zip(mask).filter(|(_, mask)| **mask == 0) {
                *id = pad;
            }
        }
        types.iter_mut().flatten().for_each(|segment| *segment = 0);
        let tensor = |rows: &[Vec<i32>]| {
            Tensor::<2, Int>::from_data(TensorData::new(rows.concat(), [BATCH, LENGTH]), device)
        };
        (cases.inputs.ids, cases.inputs.token_type) = (tensor(ids), tensor(types));
        cases
    }

    /// A masked LM with logits at some places, and its hidden vectors.
    fn write_masked_lm(
        &self,
        folder: &Path,
        arch: Arch,
        config: &BertConfig,
        device: &Device,
    ) -> Result<(), Failure> {
        let (rows, none) = ([1, 5, 14, 17, 26], Noise::none());
        let model = uneven(BertForPreTraining::init(config, 1, device));
        let pad = self.fields[0].1[1][LENGTH - 1] as u32;
        hf::save_masked_lm(folder, arch, &model, config, &hf::SaveOptions::with_pad(pad))?;
        let picked = Tensor::<1, Int>::from_data(rows, device);
        let logits = values(model.masked_logits(&self.inputs, picked, &none));
        let hidden = values(model.hidden(&self.inputs, &none));
        self.write(folder, json!({"rows": rows, "logits": logits, "hidden": hidden}))?;
        Ok(())
    }

    /// `expected.json`: the inputs beside what we compute.
    fn write(&self, folder: &Path, mut expected: Value) -> std::io::Result<()> {
        for (name, rows) in &self.fields {
            expected[*name] = json!(rows);
        }
        std::fs::write(folder.join("expected.json"), expected.to_string())
    }

    /// A classifier, a span model and a tagger over the encoder in `DIR/FAMILY`, their heads fresh.
    fn write_tasks(&self, dir: &Path, family: &str, device: &Device) -> Result<(), Failure> {
        let (encoder, none) = (dir.join(family), Noise::none());

        let folder = dir.join(format!("{family}_classifier"));
        let (model, config, _) = hf::load_classifier(&encoder, CLASSES.len(), 2, device)?;
        let model = uneven(model);
        hf::save_classifier(&folder, &model, &config, &CLASSES)?;
        let logits = values(model.forward(&self.inputs, &none));
        self.write(&folder, json!({"labels": CLASSES, "logits": logits}))?;

        let folder = dir.join(format!("{family}_spans"));
        let (model, config, _) = hf::load_spans(&encoder, 3, device)?;
        let model = uneven(model);
        hf::save_spans(&folder, &model, &config)?;
        self.write(&folder, json!({"logits": values(model.forward(&self.inputs, &none))}))?;

        let folder = dir.join(format!("{family}_tags"));
        let (model, config, _) = hf::load_tags(&encoder, TAGS.len(), 4, device)?;
        let model = uneven(model);
        hf::save_tags(&folder, &model, &config, &TAGS)?;
        let logits = values(model.forward(&self.inputs, &none));
        self.write(&folder, json!({"labels": TAGS, "logits": logits}))?;
        Ok(())
    }
}

/// Moves every vector by an amount of its own: fresh biases are all 0 and norms all 1, so that one in the place of another
/// would not show.
fn uneven<M: Module>(model: M) -> M {
    let present = params::collect(&model);
    let mut tensors = present.into_iter();
    let Ok(model) = params::load(model, &mut |path: &str, shape: &[usize]| -> Result<_, Infallible> {
        let Some(tensor) = tensors.next().filter(|_| shape.len() == 1) else {
            return Ok(None);
        };
        let start = path.bytes().fold(0, |sum, byte| sum * 31 % 1009 + usize::from(byte));
        let shift = |i: usize| ((start + 37 * i) % 101) as f32 / 500.0 - 0.1;
        Ok(Some(tensor.data.iter().enumerate().map(|(i, x)| x + shift(i)).collect()))
    });
    model
}

/// Moves the discriminator's own tables away from zero.
fn moved(model: Electra) -> Electra {
    let Ok(model) = params::load(model, &mut |path: &str, shape: &[usize]| -> Result<_, Infallible> {
        let own = path.starts_with("discriminator_embeddings.") && shape.len() == 2;
        let value = |i: usize| ((i * 53) % 97) as f32 / 400.0 - 0.12;
        Ok(own.then(|| (0..shape.iter().product()).map(value).collect()))
    });
    model
}

/// The values and the shape of an output.
fn values<const D: usize>(output: Tensor<D>) -> Value {
    json!({"shape": output.dims().to_vec(), "values": params::host(output)})
}
