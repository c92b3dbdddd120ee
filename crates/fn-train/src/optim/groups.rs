//! Weight decay and learning-rate factors of parameters, by their path.

use std::fmt;
use std::sync::Arc;

/// Rule for the learning-rate factor of a parameter, by its path.
type Factor = dyn Fn(&str) -> f64 + Send + Sync;

/// Parameter groups: weight decay or not, and a factor on the learning rate, both by parameter path.
///
/// Biases and everything that belongs to a LayerNorm (a path component `gamma`, `beta`, or one that contains `norm`) do
/// not decay; every other parameter does. The factor is 1 unless set by [`layerwise`](Self::layerwise).
#[derive(Clone, Default)]
pub struct Groups {
    factor: Option<Arc<Factor>>,
}

impl Groups {
    /// Groups with the same learning rate for all parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Layer-wise learning-rate decay as in ELECTRA's fine-tuning: the factor of a parameter at depth d is
    /// `decay ^ (layers + 2 - d)`.
    ///
    /// `depth` returns the depth for a path: 0 for the embeddings, i + 1 for layer i, `layers + 2` for the task head (factor
    /// 1). The decay is 0.8 in ELECTRA, 0.9 for its large model.
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

    /// Whether the parameter at `path` has weight decay.
    pub fn decays(&self, path: &str) -> bool {
        let exempt = |part: &str| {
            matches!(part, "bias" | "gamma" | "beta") || part.to_ascii_lowercase().contains("norm")
        };
        !path.split('.').any(exempt)
    }

    /// Factor on the learning rate of the parameter at `path`.
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
