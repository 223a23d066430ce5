//! Neural network kernels: the operations that our networks are made of, for training and
//! inference. On a GPU the same calls go to candle's own.

mod conv;
pub mod inference;
mod layout;
mod merge;
mod norm;
mod simd;

use candle_core::{CpuStorage, Layout, Result, Storage, bail};

pub use conv::{ConvOptions, conv2d, conv2d_with};
pub(crate) use layout::transpose;
pub use merge::merge;
pub use norm::{BatchNorm, batch_norm};
pub use simd::Isa;

/// The values of a contiguous tensor.
fn slice_of<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a contiguous tensor is needed, not {layout:?}"),
    }
}

fn values_of<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    match storage {
        Storage::Cpu(storage) => slice_of(storage, layout),
        _ => bail!("a tensor on the CPU is needed"),
    }
}
