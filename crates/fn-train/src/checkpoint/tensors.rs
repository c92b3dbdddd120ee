//! Writes and reads named tensors in the safetensors format, without a copy of all values in memory.

use std::io::{self, Write};
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use super::CheckpointError;
use fn_models::params::NamedTensor;

/// Header and size of a safetensors file.
pub(super) struct Layout {
    header: Vec<u8>,
    /// Size of the whole file in bytes.
    pub(super) bytes: u64,
}

impl Layout {
    pub(super) fn of(tensors: &[NamedTensor]) -> Result<Self, CheckpointError> {
        let refuse = |t: &NamedTensor, reason: &str| CheckpointError::Unsaveable {
            name: t.name.clone(),
            reason: reason.to_owned(),
        };
        let mut entries = Map::new();
        let mut end = 0u64;
        for tensor in tensors {
            if tensor.shape.iter().product::<usize>() != tensor.data.len() {
                return Err(refuse(tensor, "its number of values does not match its shape"));
            }
            let start = end;
            end += tensor.data.len() as u64 * 4;
            let entry = json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end] });
            if tensor.name == "__metadata__" || entries.insert(tensor.name.clone(), entry).is_some() {
                return Err(refuse(tensor, "there are two tensors of this name"));
            }
        }
        let mut text = Value::Object(entries).to_string().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut header = (text.len() as u64).to_le_bytes().to_vec();
        header.append(&mut text);
        let bytes = header.len() as u64 + end;
        Ok(Self { header, bytes })
    }

    pub(super) fn write(&self, tensors: &[NamedTensor], to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.header)?;
        for tensor in tensors {
            write_values(&tensor.data, to)?;
        }
        Ok(())
    }
}

/// Writes little-endian values, on every machine.
fn write_values(values: &[f32], to: &mut impl Write) -> io::Result<()> {
    if cfg!(target_endian = "little") {
        return to.write_all(bytemuck::cast_slice(values));
    }
    for value in values {
        to.write_all(&value.to_le_bytes())?;
    }
    Ok(())
}

/// The tensors of a file whose checksum has been verified, in the order of their offsets.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Vec<NamedTensor>, CheckpointError> {
    let wrong = |reason: String| CheckpointError::Content { path: path.to_owned(), reason };
    let file = SafeTensors::deserialize(bytes).map_err(|e| wrong(e.to_string()))?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(wrong(format!("`{name}` is {:?}, checkpoints hold F32", view.dtype())));
        }
        let data: Vec<f32> = view.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        tensors.push(NamedTensor { name: name.to_owned(), shape: view.shape().to_vec(), data });
    }
    Ok(tensors)
}
