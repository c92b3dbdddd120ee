//! Parameters in groups (buckets), each of which is summed over the ranks by itself.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Part, Slices};
use crate::optim::Parameter;

/// Layers are joined until a bucket has at least so many elements (4 MB in f32), so that the latency of the network counts little.
const LEAST: usize = 1 << 20;

/// Parameters that are summed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Their indices among all parameters, ascending: the order in which they lie in the bucket.
    pub parameters: Vec<usize>,
    /// How the bucket is divided among the ranks.
    pub slices: Slices,
}

/// All parameters of a model in buckets: those of each stack of layers from the last layer to the first, as their gradients become complete in
/// the backward pass; then all others, above all embeddings, which are complete at its end. A rank holds its slice of every bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets {
    all: Vec<Bucket>,
    /// The bucket of each parameter, and its place there.
    of: Vec<(usize, usize)>,
}

impl Buckets {
    /// The buckets of `parameters`, which are in the order of their paths, for `world` ranks.
    pub fn new(parameters: &[Parameter], world: usize) -> Self {
        Self::of_at_least(LEAST, parameters, world)
    }

    /// [`new`](Self::new) with buckets of at least so many elements, where a stack of layers has them.
    pub fn of_at_least(least: usize, parameters: &[Parameter], world: usize) -> Self {
        let mut of = vec![(0, 0); parameters.len()];
        let bucket = |(index, members): (usize, Vec<usize>)| {
            members.iter().enumerate().for_each(|(place, member)| of[*member] = (index, place));
            let slices = Slices::new(members.iter().map(|member| parameters[*member].elements), world);
            Bucket { parameters: members, slices }
        };
        let all = groups(least, parameters).into_iter().enumerate().map(bucket).collect();
        Self { all, of }
    }

    /// The buckets, in the order in which they become complete in a model with one stack of layers.
    pub fn all(&self) -> &[Bucket] {
        &self.all
    }

    /// The index of the bucket of a parameter, and its place there.
    pub fn of(&self, parameter: usize) -> (usize, usize) {
        self.of[parameter]
    }

    /// Where a rank's slice of a bucket lies among all elements that the rank holds.
    pub fn held(&self, rank: usize, bucket: usize) -> Range<usize> {
        let length = |bucket: &Bucket| bucket.slices.of(rank).len();
        let start = self.all[..bucket].iter().map(length).sum();
        start..start + length(&self.all[bucket])
    }

    /// Elements that a rank holds.
    pub fn held_by(&self, rank: usize) -> usize {
        self.all.iter().map(|bucket| bucket.slices.of(rank).len()).sum()
    }

    /// The parts of parameters that a rank holds, in order; places are among all elements that it holds.
    pub fn parts(&self, rank: usize) -> Vec<Part> {
        let mut start = 0;
        let mut parts = Vec::new();
        for Bucket { parameters, slices } in &self.all {
            parts.extend(slices.parts(rank).map(|part| Part {
                tensor: parameters[part.tensor],
                elements: part.elements,
                at: part.at.start + start..part.at.end + start,
            }));
            start += slices.of(rank).len();
        }
        parts
    }
}

/// Indices of the parameters of each bucket.
fn groups(least: usize, parameters: &[Parameter]) -> Vec<Vec<usize>> {
    let mut stacks: BTreeMap<&str, BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
    let mut others = Vec::new();
    for (index, parameter) in parameters.iter().enumerate() {
        match layer(&parameter.path) {
            Some((stack, number)) => stacks.entry(stack).or_default().entry(number).or_default().push(index),
            None => others.push(index),
        }
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for stack in stacks.into_values() {
        let (mut group, mut elements) = (Vec::new(), 0);
        for layer in stack.into_values().rev() {
            elements += layer.iter().map(|index| parameters[*index].elements).sum::<usize>();
            group.extend(layer);
            if elements >= least {
                groups.push(std::mem::take(&mut group));
                elements = 0;
            }
        }
        groups.push(group);
    }
    groups.push(others);
    groups.retain(|group| !group.is_empty());
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups
}

/// Of `discriminator.layers.3.attention.query.weight`: `discriminator.` and 3.
fn layer(path: &str) -> Option<(&str, usize)> {
    path.match_indices("layers.").find_map(|(at, name)| {
        let stack = &path[..at];
        let number = path[at + name.len()..].split('.').next()?.parse().ok()?;
        (stack.is_empty() || stack.ends_with('.')).then_some((stack, number))
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use fn_ops::adamw::host::BLOCK;

    use super::*;

    fn parameters(of: &[(&str, usize)]) -> Vec<Parameter> {
        let parameter = |(path, elements): &(&str, usize)| Parameter {
            path: (*path).to_owned(),
            elements: *elements,
            device: Device::flex(),
        };
        of.iter().map(parameter).collect()
    }

    #[test]
    fn layers_come_from_the_last_to_the_first_and_what_is_no_layer_at_the_end() {
        let parameters = parameters(&[
            ("embeddings.word.weight", 50),
            ("encoder.layers.0.a", 6),
            ("encoder.layers.0.b", 6),
            ("encoder.layers.1.a", 5),
            ("encoder.layers.10.a", 5),
            ("encoder.layers.9.a", 30),
            ("generator.modern.layers.0.a", 7),
            ("head.players.3.a", 1),
        ]);
        let of = |least| {
            let buckets = Buckets::of_at_least(least, &parameters, 2);
            buckets.all().iter().map(|bucket| bucket.parameters.clone()).collect::<Vec<_>>()
        };
        assert_eq!(of(0), [vec![4], vec![5], vec![3], vec![1, 2], vec![6], vec![0, 7]]);
        assert_eq!(of(10), [vec![4, 5], vec![1, 2, 3], vec![6], vec![0, 7]]);
        assert_eq!(of(1000), [vec![1, 2, 3, 4, 5], vec![6], vec![0, 7]]);
    }

    #[test]
    fn ranks_together_hold_every_element_once_and_know_where() {
        let parameters = parameters(&[
            ("embeddings.word", 3 * BLOCK + 5),
            ("layers.0.a", 2 * BLOCK),
            ("layers.0.b", 7),
            ("layers.1.a", 2 * BLOCK + 1),
            ("layers.1.b", 0),
        ]);
        for world in [1, 2, 4] {
            let buckets = Buckets::of_at_least(0, &parameters, world);
            let mut held = vec![0; parameters.len()];
            for rank in 0..world {
                let parts = buckets.parts(rank);
                let mut end = 0;
                for part in &parts {
                    assert_eq!(part.at.start, end);
                    assert_eq!(part.elements.start, held[part.tensor]);
                    end = part.at.end;
                    held[part.tensor] = part.elements.end;
                    let (bucket, place) = buckets.of(part.tensor);
                    assert_eq!(buckets.all()[bucket].parameters[place], part.tensor);
                    let within = buckets.held(rank, bucket);
                    assert!(within.start <= part.at.start && part.at.end <= within.end);
                    assert_eq!(part.blocks().map(|block| block.len()).sum::<usize>(), part.at.len());
                }
                assert_eq!(end, buckets.held_by(rank));
            }
            assert_eq!(held, parameters.iter().map(|p| p.elements).collect::<Vec<_>>());
        }
    }
}
