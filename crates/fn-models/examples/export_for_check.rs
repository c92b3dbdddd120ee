//! Writes small random models and the logits that we compute, for `tests/golden/check_export.py`.
//!
//! ```text
//! cargo run -p fn-models --example export_for_check -- DIR
//! ```

use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_models::{BertConfig, BertForPreTraining, Electra, ElectraConfig, Inputs, hf, params};
use fn_ops::Noise;
use serde_json::json;

const BATCH: usize = 2;
const LENGTH: usize = 16;
const VOCAB: usize = 120;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("name a folder to write into")?;
    let (dir, device) = (Path::new(&dir), Device::flex());

    // The second row ends in padding, both have two segments.
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
        Tensor::<2, Int>::from_data(TensorData::new(rows.concat(), [BATCH, LENGTH]), &device)
    };
    let inputs = Inputs { ids: tensor(&ids), token_type: tensor(&types), mask: Some(tensor(&mask).float()) };
    let rows = [1, 5, 14, 17, 26];
    let picked = Tensor::<1, Int>::from_data(rows, &device);
    let none = Noise::none();

    let write = |folder: &Path, logits: Tensor<2>, rows: Option<&[i32]>| -> std::io::Result<()> {
        let width = logits.dims()[1];
        let values: Vec<Vec<f32>> = params::host(logits).chunks(width).map(<[f32]>::to_vec).collect();
        let mut expected =
            json!({"input_ids": ids, "token_type_ids": types, "attention_mask": mask, "logits": values});
        if let Some(rows) = rows {
            expected["rows"] = json!(rows);
        }
        std::fs::write(folder.join("expected.json"), expected.to_string())
    };

    let mut config = BertConfig::bert_tiny().with_vocab_size(VOCAB);
    config.encoder.init_std = 0.1;
    let model = BertForPreTraining::init(&config, 1, &device);
    let folder = dir.join("bert");
    hf::save_bert(&folder, &model, &config)?;
    write(&folder, model.masked_logits(&inputs, picked.clone(), &none), Some(&rows))?;

    let mut config = ElectraConfig::electra_tiny().with_vocab_size(VOCAB);
    config.discriminator.init_std = 0.1;
    config.generator.init_std = 0.1;
    let model = Electra::init(&config, 1, &device);
    let folder = dir.join("electra");
    hf::save_electra(&folder, &model, &config)?;
    write(&folder, model.discriminator_logits(&inputs, &none), None)?;
    write(&folder.join(hf::GENERATOR_FOLDER), model.generator_logits(&inputs, picked, &none), Some(&rows))?;
    println!("wrote {}", dir.display());
    Ok(())
}
