//! Which parameters decay, and which learn slower.

use std::fmt;
use std::sync::Arc;

/// Rule for the learning-rate factor of a parameter, by its path.
type Factor = dyn Fn(&str) -> f64 + Send + Sync;

/// Decides by parameter path: weight decay or not, and a factor on the learning rate.
///
/// Biases and everything that belongs to a LayerNorm (a path component `gamma`, `beta`, or one that contains `norm`) do
/// not decay; every other parameter does. The factor is 1 unless [`layerwise`](Self::layerwise) says otherwise.
#[derive(Clone, Default)]
pub struct Groups {
    factor: Option<Arc<Factor>>,
}

impl Groups {
    /// One learning rate for all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Layer-wise decay as ELECTRA fine-tunes: a parameter at depth d learns with `decay ^ (layers + 2 - d)` of the rate.
    ///
    /// `depth` tells the depth by path: 0 for the embeddings, i + 1 for layer i, `layers + 2` for the task's own head
    /// (factor 1). ELECTRA: 0.8, large 0.9.
    pub fn layerwise(
        decay: f64,
        layers: usize,
        depth: impl Fn(&str) -> usize + Send + Sync + 'static,
    ) -> Self {
        let factor = move |path: &str| {
            let below_head = (layers + 2).saturating_sub(depth(path));
            decay.powi(i32::try_from(below_head).unwrap_or(i32::MAX))
        };
        Self { factor: Some(Arc::new(factor)) }
    }

    /// Whether the parameter at `path` decays.
    pub fn decays(&self, path: &str) -> bool {
        let exempt = |part: &str| {
            matches!(part, "bias" | "gamma" | "beta") || part.to_ascii_lowercase().contains("norm")
        };
        !path.split('.').any(exempt)
    }

    /// What the learning rate of the parameter at `path` is multiplied with.
    pub fn factor(&self, path: &str) -> f64 {
        self.factor.as_ref().map_or(1.0, |factor| factor(path))
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("layerwise", &self.factor.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn biases_and_layer_norms_do_not_decay() {
        let groups = Groups::new();
        for path in [
            "discriminator.layers.3.attention.query.bias",
            "embeddings.norm.gamma",
            "embeddings.norm.beta",
            "generator_head.bias",
            "encoder.LayerNorm.weight",
            "layer_norm.weight",
        ] {
            assert!(!groups.decays(path), "{path}");
        }
        for path in ["embeddings.word", "discriminator.layers.3.attention.query.weight", "unbiased.weight"] {
            assert!(groups.decays(path), "{path}");
        }
    }

    #[test]
    fn layers_nearer_to_the_input_learn_slower() {
        let depth = |path: &str| match path.split('.').collect::<Vec<_>>()[..] {
            ["layers", n, ..] => n.parse::<usize>().unwrap() + 1,
            ["embeddings", ..] => 0,
            _ => 14,
        };
        let groups = Groups::layerwise(0.8, 12, depth);
        let close = |path: &str, power: i32| {
            assert!((groups.factor(path) - 0.8f64.powi(power)).abs() < 1e-15, "{path}");
        };
        close("head.weight", 0);
        close("layers.11.weight", 2); // as google-research/electra computes it
        close("layers.0.weight", 13);
        close("embeddings.word", 14);
        assert_eq!(Groups::new().factor("embeddings.word"), 1.0);
    }
}
