//! Activation functions by the names that `config.json` has for them (`hidden_act`).

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// An activation function, applied element by element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x Phi(x)` with the exact normal distribution.
    #[default]
    Gelu,
    /// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`, as written in Google's BERT and GPT-2.
    GeluNew,
    /// The same function under PyTorch's name.
    GeluPytorchTanh,
    /// `max(x, 0)`
    Relu,
    /// `x / (1 + exp(-x))`, also called swish.
    Silu,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Gelu, Self::GeluNew, Self::GeluPytorchTanh, Self::Relu, Self::Silu];

    /// Its name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluNew => "gelu_new",
            Self::GeluPytorchTanh => "gelu_pytorch_tanh",
            Self::Relu => "relu",
            Self::Silu => "silu",
        }
    }

    /// The function of this name; `swish` is an old name of `silu`.
    pub fn find(name: &str) -> Option<Self> {
        let name = if name == "swish" { "silu" } else { name };
        Self::ALL.into_iter().find(|activation| activation.name() == name)
    }

    /// Whether it is the default, which files leave out.
    pub(crate) fn is_gelu(&self) -> bool {
        *self == Self::Gelu
    }

    /// Applies it to each element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => fn_ops::gelu(x),
            Self::GeluNew | Self::GeluPytorchTanh => {
                let inner =
                    (x.clone().powi_scalar(3) * 0.044_715 + x.clone()) * (2.0 / std::f64::consts::PI).sqrt();
                x * 0.5 * (inner.tanh() + 1.0)
            }
            Self::Relu => activation::relu(x),
            Self::Silu => activation::silu(x),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::Activation;
    use crate::params::host;

    #[test]
    fn values_are_those_of_the_formulas() {
        // By the formulas, in f64: x = -3, -0.5, 0, 2.
        let expected = [
            ("gelu", [-0.004_049_694, -0.154_268_8, 0.0, 1.954_499_7]),
            ("gelu_new", [-0.003_637_392, -0.154_286, 0.0, 1.954_597_7]),
            ("gelu_pytorch_tanh", [-0.003_637_392, -0.154_286, 0.0, 1.954_597_7]),
            ("relu", [0.0, 0.0, 0.0, 2.0]),
            ("silu", [-0.142_277_6, -0.188_770_3, 0.0, 1.761_594_2]),
            ("swish", [-0.142_277_6, -0.188_770_3, 0.0, 1.761_594_2]),
        ];
        for (name, values) in expected {
            let x = Tensor::<1>::from_data([-3.0f32, -0.5, 0.0, 2.0], &Device::flex());
            let got = host(Activation::find(name).unwrap().forward(x));
            for (got, wanted) in got.iter().zip(values) {
                assert!((got - wanted).abs() < 1e-6, "{name}: {got} instead of {wanted}");
            }
        }
        assert_eq!(Activation::find("mish"), None);
        for activation in Activation::ALL {
            assert_eq!(serde_json::to_value(activation).unwrap(), activation.name());
        }
    }
}
