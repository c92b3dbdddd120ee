//! A tensor on the host, with its name.

/// Values of a parameter (or of a moment) on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Path of the parameter, `discriminator.layers.3.attention.query.weight`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements in row-major order; as many as the shape says.
    pub data: Vec<f32>,
}
