//! Fused kernels for the Flex backend, with backward passes in closed form.
//!
//! A kernel is a forward pass over slices that leaves behind what its backward pass needs ([`Kernel`]); [`record`] puts the two on
//! Burn's tape. Work is cut into pieces of a size that does not depend on the number of threads, and partial sums are added in
//! order, so results are the same bytes on any number of threads. Dropout masks are a function of (seed, element).

mod attention;
mod cross_entropy;
mod math;
mod norm;
mod pointwise;

pub(crate) use attention::attention;
pub(crate) use cross_entropy::cross_entropy_rows;
pub(crate) use norm::layer_norm;
pub(crate) use pointwise::{dropout, gelu};

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::FlexTensor;

type OnTape = Autodiff<Flex, NoCheckpointing>;
type Tracked = FloatTensor<OnTape>;

/// What a forward pass leaves for the backward pass of `N` inputs.
pub(crate) trait Kernel<const N: usize>: Clone + Debug + Send + Sync + 'static {
    /// Gradients of the inputs that are `wanted`, out of the gradient of the output (contiguous f32).
    fn backward(self, gradient: &[f32], wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

/// An operand: on the tape or not.
enum Operand {
    Plain(FlexTensor),
    Tracked(Tracked),
}

fn operand<const D: usize>(tensor: &Tensor<D>) -> Option<Operand> {
    if tensor.dtype() != DType::F32 {
        return None;
    }
    if let Ok(plain) = tensor.clone().try_into_primitive::<Flex>() {
        return Some(Operand::Plain(plain));
    }
    tensor.clone().try_into_primitive::<OnTape>().ok().map(Operand::Tracked)
}

/// Inputs of a fused operation, checked to be f32 on Flex; None sends the caller to the composed operation.
pub(crate) struct Inputs<const N: usize>([Operand; N]);

impl<const N: usize> Inputs<N> {
    pub(crate) fn of(operands: [Option<Operand_>; N]) -> Option<Self> {
        let mut found = Vec::with_capacity(N);
        for operand in operands {
            found.push(operand?.0);
        }
        found.try_into().ok().map(Self)
    }
}

/// Opaque operand, so that callers need not know its kinds.
pub(crate) struct Operand_(Operand);

pub(crate) fn input<const D: usize>(tensor: &Tensor<D>) -> Option<Operand_> {
    operand(tensor).map(Operand_)
}

#[derive(Debug)]
struct Fused<K>(PhantomData<K>);

impl<K: Kernel<N>, const N: usize> Backward<Flex, N> for Fused<K> {
    type State = K;

    fn backward(self, ops: Ops<K, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = whole(grads.consume::<Flex>(&ops.node));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = ops.state.backward(gradient.storage(), wanted);
        for (parent, gradient) in ops.parents.iter().zip(found) {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
                let id: NodeId = node.id;
                grads.register::<Flex>(id, gradient);
            }
        }
    }
}

/// Runs `forward` on the whole, contiguous inputs and puts its kernel on the tape if any input is there.
pub(crate) fn record<const D: usize, const N: usize, K: Kernel<N>>(
    inputs: Inputs<N>,
    forward: impl FnOnce([FlexTensor; N]) -> (FlexTensor, K),
) -> Tensor<D> {
    if inputs.0.iter().all(|i| matches!(i, Operand::Plain(_))) {
        let plain = inputs.0.map(|i| match i {
            Operand::Plain(p) => whole(p),
            Operand::Tracked(t) => whole(t.into_primitive()),
        });
        return Tensor::from_primitive::<Flex>(forward(plain).0);
    }
    let tracked = inputs.0.map(|i| match i {
        Operand::Plain(p) => Tracked::new(p),
        Operand::Tracked(t) => t,
    });
    let nodes = tracked.each_ref().map(|t| t.node());
    // Tracked inputs stay alive until the node is prepared: the tape counts them.
    let (output, kernel) = forward(tracked.each_ref().map(|t| whole(t.primitive().clone())));
    let output = match Fused::<K>(PhantomData).prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(kernel, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    };
    Tensor::from_primitive::<OnTape>(output)
}

/// A tensor whose buffer is exactly its elements, in order.
fn whole(tensor: FlexTensor) -> FlexTensor {
    let n = tensor.layout().num_elements();
    if tensor.is_contiguous() && tensor.layout().start_offset() == 0 && tensor.bytes().len() == n * 4 {
        return tensor;
    }
    tensor.to_contiguous()
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

#[cfg(test)]
mod tests;
