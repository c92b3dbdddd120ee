//! Number format of gradients between ranks.

use serde::{Deserialize, Serialize};

/// Number format in which gradients are sent to other ranks. They are added in f32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wire {
    /// As they are.
    #[default]
    F32,
    /// Rounded to 16 bits: half as much to send, and other bits than a single process.
    Bf16,
}

impl Wire {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// Appends `values` as they are sent.
    pub(super) fn encode(self, values: &[f32], to: &mut Vec<u8>) {
        match self {
            Self::F32 => to.extend_from_slice(bytemuck::cast_slice(values)),
            Self::Bf16 => to.extend(values.iter().flat_map(|value| bf16(*value).to_le_bytes())),
        }
    }

    /// Reads what [`encode`](Self::encode) made.
    pub(super) fn decode(self, bytes: &[u8], to: &mut [f32]) {
        match self {
            Self::F32 => bytemuck::cast_slice_mut(to).copy_from_slice(bytes),
            Self::Bf16 => {
                for (value, sent) in to.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *value = f32::from_bits(u32::from(u16::from_le_bytes(*sent)) << 16);
                }
            }
        }
    }

    /// Rounds `values` to those that can be sent.
    pub(super) fn round(self, values: &mut [f32]) {
        if self == Self::Bf16 {
            values.iter_mut().for_each(|value| *value = f32::from_bits(u32::from(bf16(*value)) << 16));
        }
    }
}

/// The upper half of the nearest bf16; ties go to the even one. A NaN stays one.
fn bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_the_nearest_and_ties_to_even() {
        let rounded = |value: f32| {
            let mut bytes = Vec::new();
            Wire::Bf16.encode(&[value], &mut bytes);
            let (mut back, mut in_place) = ([0.0], [value]);
            Wire::Bf16.decode(&bytes, &mut back);
            Wire::Bf16.round(&mut in_place);
            assert_eq!(back[0].to_bits(), in_place[0].to_bits());
            back[0]
        };
        let ulp = 2f32.powi(-7); // of a bf16 between 1 and 2
        assert_eq!(rounded(1.0 + 0.5 * ulp), 1.0);
        assert_eq!(rounded(1.0 + 1.5 * ulp), 1.0 + 2.0 * ulp);
        assert_eq!(rounded(-(1.0 + 0.75 * ulp)), -(1.0 + ulp));
        assert_eq!(rounded(f32::MAX), f32::INFINITY);
        assert_eq!(rounded(f32::NEG_INFINITY), f32::NEG_INFINITY);
        assert!(rounded(f32::from_bits(0x7f80_0001)).is_nan());
        assert_eq!(rounded(-0.0).to_bits(), (-0.0f32).to_bits());
    }
}
