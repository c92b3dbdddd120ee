//! From Burn's tensors to Flex tensors and back, with or without autodiff.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{Autodiff, GradientCheckpointingStrategy};
use burn::tensor::{DType, Device, Int, Tensor};
use burn_flex::{Flex, FlexTensor};

type Tracked = <Autodiff<Flex> as burn::backend::BackendTypes>::FloatTensorPrimitive;

/// What an operation saves for its backward pass, and that pass. N: number of inputs.
pub(crate) trait Derivative<const N: usize>: Clone + Debug + Send + 'static {
    /// The gradients of the inputs from that of the output; those that are not `wanted` may be `None`.
    fn backward(self, gradient: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

#[derive(Debug)]
struct Step<T>(PhantomData<T>);

impl<T: Derivative<N>, const N: usize> Backward<Flex, N> for Step<T> {
    type State = T;

    fn backward(self, ops: Ops<T, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = ops.state.backward(gradient, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// Whether the kernels accept this tensor: on Flex, f32, and without gradient checkpointing, whose point is to save less for the
/// backward pass than the kernels do.
pub(crate) fn takes<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device();
    tensor.dtype() == DType::F32
        && device == Device::flex()
        && device.gradient_checkpointing_strategy() != Some(GradientCheckpointingStrategy::Balanced)
}

/// Whether the kernels accept these ids.
pub(crate) fn takes_ids<const D: usize>(tensor: &Tensor<D, Int>) -> bool {
    super::memory::is_id_type(tensor.dtype()) && tensor.device() == Device::flex()
}

/// An input for which [`takes`] returned true.
pub(crate) enum Input {
    Plain(FlexTensor),
    Tracked(Tracked),
}

#[allow(clippy::expect_used)] // callers have checked `takes`
impl Input {
    pub fn new<const D: usize>(tensor: Tensor<D>) -> Self {
        if tensor.device().is_autodiff() {
            let tensor = tensor.try_into_primitive::<Autodiff<Flex>>();
            Self::Tracked(tensor.expect("a Flex tensor with autodiff"))
        } else {
            Self::Plain(tensor.try_into_primitive::<Flex>().expect("a Flex tensor"))
        }
    }

    /// Without autodiff.
    pub fn detached(self) -> FlexTensor {
        match self {
            Self::Plain(tensor) => tensor,
            Self::Tracked(tensor) => tensor.into_primitive(),
        }
    }
}

/// The Flex tensor of ids for which [`takes_ids`] returned true.
#[allow(clippy::expect_used)] // callers have checked `takes_ids`
pub(crate) fn ids<const D: usize>(tensor: Tensor<D, Int>) -> FlexTensor {
    if tensor.device().is_autodiff() {
        tensor.try_into_primitive::<Autodiff<Flex>>().expect("a Flex tensor")
    } else {
        tensor.try_into_primitive::<Flex>().expect("a Flex tensor")
    }
}

/// Runs `forward` and records its backward pass with autodiff. `forward` gets the inputs and which of them need a gradient; it
/// returns the output and, if any does, what [`Derivative`] needs.
pub(crate) fn run<const N: usize, const D: usize, T: Derivative<N>>(
    inputs: [Input; N],
    forward: impl FnOnce([FlexTensor; N], [bool; N]) -> (FlexTensor, Option<T>),
) -> Tensor<D> {
    if inputs.iter().all(|input| matches!(input, Input::Plain(_))) {
        let (output, _) = forward(inputs.map(Input::detached), [false; N]);
        return Tensor::from_primitive::<Flex>(output);
    }
    let inputs = inputs.map(|input| match input {
        Input::Plain(tensor) => Tracked::new(tensor),
        Input::Tracked(tensor) => tensor,
    });
    let wanted = inputs.each_ref().map(Tracked::is_tracked);
    let nodes = inputs.each_ref().map(Tracked::node);
    let (output, kept) = forward(inputs.map(Tracked::into_primitive), wanted);
    let step = Step::<T>(PhantomData).prepare::<NoCheckpointing>(nodes).compute_bound().stateful();
    #[allow(clippy::expect_used)] // every `forward` saves something if an input needs a gradient
    let output = match step {
        OpsKind::Tracked(step) => step.finish(kept.expect("saved for the backward pass"), output),
        OpsKind::UnTracked(step) => step.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}
