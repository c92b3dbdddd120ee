//! Rotary positions: a token's queries and keys are turned by angles that grow with its position.

use std::sync::Arc;

/// Cosines and sines of rotary position embeddings (Su et al. 2021).
///
/// With d the size of a head, pair i of the elements (i, i + d/2) of a query or key at position p is turned by the angle
/// `p / base^(2 i / d)`. This is transformers' order of the pairs ("rotate half"); angles are f32 products, as there.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// For each position d/2 cosines, then d/2 sines.
    table: Arc<Vec<f32>>,
    half: usize,
}

impl Rotary {
    /// For positions below `positions` and heads of `size` elements.
    ///
    /// # Panics
    /// When `size` is odd.
    pub fn new(positions: usize, size: usize, base: f64) -> Self {
        assert!(
            size.is_multiple_of(2),
            "rotary positions: heads of {size} elements, expected an even number"
        );
        let half = size / 2;
        let speeds: Vec<f32> =
            (0..half).map(|i| (1.0 / base.powf(2.0 * i as f64 / size as f64)) as f32).collect();
        let mut table = Vec::with_capacity(positions * size);
        for position in 0..positions {
            let angles = || speeds.iter().map(|speed| f64::from(position as f32 * speed));
            table.extend(angles().map(|angle| angle.cos() as f32));
            table.extend(angles().map(|angle| angle.sin() as f32));
        }
        Self { table: Arc::new(table), half }
    }

    /// Elements of a head.
    pub fn size(&self) -> usize {
        2 * self.half
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.table.len().checked_div(2 * self.half).unwrap_or(usize::MAX)
    }

    /// Cosines and sines of a position, d/2 each.
    pub(crate) fn at(&self, position: usize) -> (&[f32], &[f32]) {
        self.table[position * 2 * self.half..][..2 * self.half].split_at(self.half)
    }
}

#[cfg(test)]
mod tests {
    use super::Rotary;

    #[test]
    fn the_first_pair_turns_by_one_radian_a_token_and_the_others_more_slowly() {
        let rotary = Rotary::new(4, 4, 100.0);
        let (cos, sin) = rotary.at(3);
        assert_eq!((cos[0], sin[0]), (3f64.cos() as f32, 3f64.sin() as f32));
        assert!((f64::from(cos[1]) - 0.3f64.cos()).abs() < 1e-7, "{cos:?}");
        assert!((f64::from(sin[1]) - 0.3f64.sin()).abs() < 1e-7, "{sin:?}");
        assert_eq!(rotary.at(0), ([1.0, 1.0].as_slice(), [0.0, 0.0].as_slice()));
        assert_eq!((rotary.size(), rotary.positions()), (4, 4));
    }
}
