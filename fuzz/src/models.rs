//! Parsers of the crates on Burn: weights, configurations, checkpoints, what runs write, studies, probes.

use std::path::Path;

use fn_eval::predictions;
use fn_models::hf;
use fn_study::{babylm, exam, probe, process, study::Study};
use fn_train::checkpoint::{Checkpoints, Manifest, load};
use fn_train::config::{Layers, text};
use fn_train::report::{JsonLines, Reporter, TensorBoard};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::scratch::{Target, accepted, file, named};

/// All targets of this module.
pub const TARGETS: [Target; 14] = [
    ("safetensors", safetensors),
    ("pickle", pickle),
    ("model_config", model_config),
    ("run_toml", run_toml),
    ("study_toml", study_toml),
    ("checkpoint_state", checkpoint_state),
    ("checkpoint_tensors", checkpoint_tensors),
    ("checkpoint_manifest", checkpoint_manifest),
    ("metrics", metrics),
    ("records", records),
    ("event_file", event_file),
    ("prediction_file", prediction_file),
    ("probe_lines", probe_lines),
    ("exam_file", exam_file),
];

/// Weights that were accepted are finite and fill their shapes.
fn weights(folder: &Path) {
    for tensor in accepted(hf::tensors(folder)).unwrap_or_default() {
        assert_eq!(tensor.data.len(), tensor.shape.iter().product::<usize>(), "{}", tensor.name);
        assert!(tensor.data.iter().all(|value| value.is_finite()), "{}", tensor.name);
    }
}

/// `model.safetensors` of a model folder.
pub fn safetensors(bytes: &[u8]) {
    if let Some(folder) = file("safetensors/model.safetensors", bytes).parent() {
        weights(folder);
    }
}

/// `pytorch_model.bin` of a model folder: a pickle, alone or in a zip.
pub fn pickle(bytes: &[u8]) {
    if let Some(folder) = file("pickle/pytorch_model.bin", bytes).parent() {
        weights(folder);
    }
}

/// `config.json` of a model folder.
pub fn model_config(bytes: &[u8]) {
    if let Some(folder) = file("model/config.json", bytes).parent() {
        accepted(hf::read_encoder(folder));
    }
}

/// The configuration of a run.
pub fn run_toml(bytes: &[u8]) {
    let layers = Layers { file: Some(file("run.toml", bytes)), ..Layers::default() };
    if let Some(resolved) = accepted(layers.resolve()) {
        // What was read is written so that it is read as the same.
        let again =
            Layers { file: Some(file("again.toml", resolved.to_toml().as_bytes())), ..Layers::default() };
        let again = accepted(again.resolve()).and_then(|again| accepted(text(&again.into_config())));
        assert_eq!(again, accepted(text(&resolved.into_config())));
    }
}

/// The description of a study.
pub fn study_toml(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Some(study) = accepted(Study::parse(text, Path::new("study.toml"))) {
            assert!(!study.runs().is_empty());
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    fn_core::files::hex(&Sha256::digest(bytes))
}

const STATE: &[u8] =
    br#"{"step":20,"micro_step":40,"seed":1,"optimizer_updates":20,"guard":{},"best":null,"tokens_seen":99}"#;

/// A checkpoint whose manifest vouches for whatever its files are.
fn checkpoint(state: &[u8], model: &[u8], optimizer: &[u8]) {
    let files = [("model.safetensors", model), ("optimizer.safetensors", optimizer), ("state.json", state)];
    let entries = files.map(|(name, bytes)| {
        file(&format!("checkpoints/step-00000020/{name}"), bytes);
        json!({"name": name, "bytes": bytes.len(), "sha256": sha256(bytes)})
    });
    let unsigned = json!({"format": 1, "step": 20, "files": entries, "sha256": ""});
    let Ok(mut manifest) = serde_json::from_value::<Manifest>(unsigned) else { return };
    let text = |manifest: &Manifest| {
        serde_json::to_vec_pretty(manifest).map(|mut bytes| {
            bytes.push(b'\n');
            bytes
        })
    };
    let Ok(bytes) = text(&manifest) else { return };
    manifest.sha256 = sha256(&bytes);
    let Ok(bytes) = text(&manifest) else { return };
    let path = file("checkpoints/step-00000020/manifest.json", &bytes);
    if let Some(folder) = path.parent() {
        assert!(Manifest::read(folder).is_ok(), "this target no longer writes a manifest");
        accepted(load(folder));
    }
}

/// `state.json` of a checkpoint.
pub fn checkpoint_state(bytes: &[u8]) {
    checkpoint(bytes, &[2, 0, 0, 0, 0, 0, 0, 0, b'{', b'}'], &[2, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']);
}

/// Weights and moments of a checkpoint.
pub fn checkpoint_tensors(bytes: &[u8]) {
    checkpoint(STATE, bytes, bytes);
}

/// `manifest.json` of a checkpoint.
pub fn checkpoint_manifest(bytes: &[u8]) {
    let path = file("damaged/step-00000020/manifest.json", bytes);
    let folder = path.parent().and_then(Path::parent).unwrap_or(&path);
    if let Some(found) = accepted(Checkpoints::new(folder, 1, false).latest()).flatten() {
        accepted(load(&found.path));
    }
}

/// The metrics of a run that is resumed at step 20. What is kept is read again as it is.
pub fn metrics(bytes: &[u8]) {
    let path = file("metrics.jsonl", bytes);
    let resume =
        || JsonLines::open(&path).and_then(|mut lines| lines.resumed(20, Path::new("step-00000020")));
    if accepted(resume()).is_some() {
        let kept = std::fs::read(&path).unwrap_or_default();
        assert!(accepted(resume()).is_some());
        assert_eq!(std::fs::read(&path).unwrap_or_default(), kept);
    }
}

/// The records by which a study hears of its runs.
pub fn records(bytes: &[u8]) {
    accepted(process::read(&file("records.jsonl", bytes)));
}

/// An event file: what is written is read back by rules of its own. Figures come from the bytes.
pub fn event_file(bytes: &[u8]) {
    let values: Vec<(String, f64)> = bytes
        .chunks(16)
        .map(|chunk| {
            let (value, name) = chunk.split_at(chunk.len().min(8));
            let mut wide = [0; 8];
            wide[..value.len()].copy_from_slice(value);
            (String::from_utf8_lossy(name).into_owned(), f64::from_le_bytes(wide))
        })
        .collect();
    let step = bytes.len() as u64;
    let folder = file("events/mark", b"").with_file_name("board");
    let _ = std::fs::remove_dir_all(&folder);
    let written = TensorBoard::create(&folder).and_then(|mut board| board.evaluation(step, &values));
    if accepted(written).is_none() {
        return;
    }
    let entry = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    let all = std::fs::read(entry.path()).unwrap();
    let mut rest = all.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(u32::from_le_bytes(rest[8..12].try_into().unwrap()), masked_crc(&rest[..8]));
        let event = &rest[12..12 + length];
        let end = 12 + length + 4;
        assert_eq!(u32::from_le_bytes(rest[12 + length..end].try_into().unwrap()), masked_crc(event));
        found.extend(fields(event).into_iter().filter(|(number, _)| *number == 5).flat_map(
            |(_, summary)| {
                fields(&summary).into_iter().map(|(_, value)| {
                    let parts = fields(&value);
                    let part = |n| parts.iter().find(|(number, _)| *number == n).map(|(_, b)| b.clone());
                    let tag = String::from_utf8(part(1).unwrap_or_default()).unwrap();
                    (tag, f32::from_le_bytes(part(2).unwrap().try_into().unwrap()).to_bits())
                })
            },
        ));
        rest = &rest[end..];
    }
    assert_eq!(found.len(), values.len());
    for ((tag, bits), (name, value)) in found.iter().zip(&values) {
        assert!(tag.ends_with(name.as_str()), "{tag} {name}");
        let value = *value as f32;
        assert!(*bits == value.to_bits() || (value.is_nan() && f32::from_bits(*bits).is_nan()));
    }
}

/// CRC-32C bit by bit, rotated and shifted as TFRecord does.
fn masked_crc(bytes: &[u8]) -> u32 {
    let crc = !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    });
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The fields of a protobuf message, with the bytes of each.
fn fields(message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(rest: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, after) = rest.split_first().unwrap();
            *rest = after;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut rest = message;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let length = match key & 7 {
            0 => {
                let value = varint(&mut rest);
                out.push((key >> 3, value.to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint(&mut rest) as usize,
            5 => 4,
            other => unreachable!("wire type {other}"),
        };
        let (value, after) = rest.split_at(length);
        out.push((key >> 3, value.to_vec()));
        rest = after;
    }
    out
}

/// Files of predictions; what was accepted is written and read as the same.
pub fn prediction_file(bytes: &[u8]) {
    accepted(predictions::read(&file("predictions.tsv", bytes)));
    if let Some(records) = accepted(predictions::read(&file("predictions.jsonl", bytes))) {
        let again = file("again.jsonl", b"");
        assert!(predictions::write(&again, &records).is_ok());
        let same = accepted(predictions::read(&again)).map(|again| format!("{again:?}"));
        assert_eq!(same, Some(format!("{records:?}")));
    }
}

/// Questions of the probes: multiple choice, pairs of sentences, substitution.
pub fn probe_lines(bytes: &[u8]) {
    let path = file(&named("probe.jsonl", bytes), bytes);
    accepted(probe::olmpics::read(&path));
    accepted(babylm::read(&path));
    accepted(probe::substitution::read(&path));
}

/// What people said of substitutes: SWORDS, CoInCo, tables and readings.
pub fn exam_file(bytes: &[u8]) {
    for name in ["exam.tsv", "exam.jsonl", "exam.json"] {
        accepted(exam::read(&file(name, bytes)));
    }
}
