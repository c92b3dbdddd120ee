//! Embedding table, linear layer and layer norm: they own the parameters; [`fn_ops`] has the operations.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Int, Tensor};

/// A parameter that is allocated when it is first used: a loader can ask for its shape before that.
pub(crate) fn lazy<const D: usize>(shape: [usize; D], value: f32, device: &Device) -> Param<Tensor<D>> {
    let fill = move |device: &Device, trained: bool| {
        let tensor = Tensor::full(shape, value, device);
        if trained { tensor.require_grad() } else { tensor }
    };
    Param::uninitialized(ParamId::new(), fill, device.clone(), true, shape.into())
}

/// An embedding table: one vector per id.
#[derive(Module, Debug)]
pub struct Table {
    /// `[ids, width]`
    pub weight: Param<Tensor<2>>,
}

impl Table {
    /// All zero, to be filled by a loader or with initial values.
    pub(crate) fn zeros(ids: usize, width: usize, device: &Device) -> Self {
        Self { weight: lazy([ids, width], 0.0, device) }
    }

    /// Looks up the vectors of ids.
    ///
    /// # Shapes
    /// - ids: `[B, L]` - output: `[B, L, width]`
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        fn_ops::embedding(self.weight.val(), ids)
    }
}

/// A linear layer, `x W + b`, or `x W`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[in, out]` (a Hugging Face file holds it transposed)
    pub weight: Param<Tensor<2>>,
    /// `[out]`; ModernBERT has none.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// All zero, to be filled by a loader or with initial values.
    pub(crate) fn zeros(input: usize, output: usize, device: &Device) -> Self {
        let bias = Some(lazy([output], 0.0, device));
        Self { weight: lazy([input, output], 0.0, device), bias }
    }

    /// [`zeros`](Self::zeros), without a bias.
    pub(crate) fn without_bias(input: usize, output: usize, device: &Device) -> Self {
        Self { weight: lazy([input, output], 0.0, device), bias: None }
    }

    /// # Shapes
    /// - x: `[.., in]` - output: `[.., out]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        fn_ops::linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}

/// Layer normalisation over the last axis.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[width]` scale
    pub gamma: Param<Tensor<1>>,
    /// `[width]` shift; ModernBERT has none.
    pub beta: Option<Param<Tensor<1>>>,
    epsilon: f64,
}

impl LayerNorm {
    /// Scale one, shift zero.
    pub(crate) fn identity(width: usize, epsilon: f64, device: &Device) -> Self {
        let beta = Some(lazy([width], 0.0, device));
        Self { gamma: lazy([width], 1.0, device), beta, epsilon }
    }

    /// [`identity`](Self::identity), without a shift.
    pub(crate) fn scale_only(width: usize, epsilon: f64, device: &Device) -> Self {
        Self { gamma: lazy([width], 1.0, device), beta: None, epsilon }
    }

    /// Scale and shift.
    fn values(&self) -> (Tensor<1>, Tensor<1>) {
        let gamma = self.gamma.val();
        let beta = match &self.beta {
            Some(beta) => beta.val(),
            None => Tensor::zeros(gamma.shape(), &gamma.device()),
        };
        (gamma, beta)
    }

    /// # Shapes
    /// - x: `[.., width]` - output: `[.., width]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (gamma, beta) = self.values();
        fn_ops::layer_norm(x, gamma, beta, self.epsilon)
    }

    /// `LN(residual + dropout(x))`.
    ///
    /// # Shapes
    /// - x, residual: `[.., width]` - output: `[.., width]`
    pub fn forward_residual<const D: usize>(
        &self,
        x: Tensor<D>,
        residual: Tensor<D>,
        rate: f64,
        noise: &fn_ops::Noise,
    ) -> Tensor<D> {
        let (gamma, beta) = self.values();
        fn_ops::residual_layer_norm(x, residual, rate, noise, gamma, beta, self.epsilon)
    }
}
