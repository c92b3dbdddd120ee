//! How tensors are divided among ranks.

use std::ops::Range;

use fn_ops::adamw::host::BLOCK;

/// Tensors that are laid one after the other and divided among ranks: one slice each, in order, as equal as whole blocks of
/// [`BLOCK`] elements of a tensor allow. So a sum over the blocks of a tensor has the same parts on any number of ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slices {
    /// Where each tensor begins, and the end of the last one.
    starts: Vec<usize>,
    /// Where each rank's slice begins, and the end of the last one.
    cuts: Vec<usize>,
}

/// The part of a tensor that lies in a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Index of the tensor.
    pub tensor: usize,
    /// Its elements that lie in the slice.
    pub elements: Range<usize>,
    /// Where they are in the slice.
    pub at: Range<usize>,
}

impl Slices {
    /// Divides tensors of these lengths among `world` ranks.
    pub fn new(lengths: impl IntoIterator<Item = usize>, world: usize) -> Self {
        let mut starts = vec![0];
        let mut end = 0;
        for length in lengths {
            end += length;
            starts.push(end);
        }
        let world = world.max(1);
        let cut = |rank: usize| {
            // In 128 bits, so that the product cannot overflow.
            let even = (end as u128 * rank as u128 / world as u128) as usize;
            let start = starts.iter().rev().find(|start| **start <= even).copied().unwrap_or(0);
            if even == end { end } else { start + (even - start) / BLOCK * BLOCK }
        };
        let cuts = (0..=world).map(cut).collect();
        Self { starts, cuts }
    }

    /// Elements of all tensors.
    pub fn len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where tensor `index` lies among all elements.
    pub fn tensor(&self, index: usize) -> Range<usize> {
        self.starts[index]..self.starts[index + 1]
    }

    /// Where the slice of `rank` lies among all elements.
    pub fn of(&self, rank: usize) -> Range<usize> {
        self.cuts[rank]..self.cuts[rank + 1]
    }

    /// The parts of tensors in the slice of `rank`, in order; tensors without elements have none.
    pub fn parts(&self, rank: usize) -> impl Iterator<Item = Part> + '_ {
        let slice = self.of(rank);
        (0..self.starts.len() - 1).filter_map(move |tensor| {
            let whole = self.tensor(tensor);
            let (from, to) = (whole.start.max(slice.start), whole.end.min(slice.end));
            (from < to).then(|| Part {
                tensor,
                elements: from - whole.start..to - whole.start,
                at: from - slice.start..to - slice.start,
            })
        })
    }
}

impl Part {
    /// Its blocks, as places in the slice.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let end = self.at.end;
        self.at.clone().step_by(BLOCK).map(move |from| from..(from + BLOCK).min(end))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slices_are_all_elements_in_whole_blocks(
            lengths in proptest::collection::vec(0usize..4 * BLOCK, 0..12), world in 1usize..9,
        ) {
            let slices = Slices::new(lengths.iter().copied(), world);
            prop_assert_eq!(slices.len(), lengths.iter().sum::<usize>());
            let mut seen: Vec<usize> = vec![0; lengths.len()];
            let (mut end, mut blocks) = (0, 0);
            for rank in 0..world {
                let slice = slices.of(rank);
                prop_assert_eq!(slice.start, end);
                prop_assert!(slice.len() <= slices.len() / world + 2 * BLOCK);
                end = slice.end;
                for part in slices.parts(rank) {
                    // In order, without gaps, and from a block's beginning.
                    prop_assert_eq!(part.elements.start, seen[part.tensor]);
                    prop_assert!(part.elements.start.is_multiple_of(BLOCK));
                    prop_assert_eq!(part.elements.len(), part.at.len());
                    seen[part.tensor] = part.elements.end;
                }
                let of_rank: Vec<Range<usize>> = slices.parts(rank).flat_map(|part| part.blocks()).collect();
                prop_assert_eq!(of_rank.iter().map(ExactSizeIterator::len).sum::<usize>(), slice.len());
                blocks += of_rank.len();
            }
            prop_assert_eq!(end, slices.len());
            // As many as one rank has.
            prop_assert_eq!(blocks, lengths.iter().map(|length| length.div_ceil(BLOCK)).sum::<usize>());
            prop_assert_eq!(seen, lengths);
        }
    }
}
