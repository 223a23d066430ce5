//! Which instructions the kernels run with, found out once at run time.

use std::any::TypeId;
use std::sync::LazyLock;

use pulp::{Simd, WithSimd};

/// An instruction set that the kernels are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// What every machine of this architecture has.
    Portable,
    /// x86-64 with AVX2 and FMA: 8 values at a time.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// x86-64 with AVX-512: 16 values at a time.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 64-bit Arm: 4 values at a time.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Isa {
    /// All that this machine has, the slowest first.
    pub fn available() -> Vec<Self> {
        let all = [
            Self::Portable,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512,
            #[cfg(target_arch = "aarch64")]
            Self::Neon,
        ];
        all.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// The fastest that this machine has.
    pub fn best() -> Self {
        static BEST: LazyLock<Isa> =
            LazyLock::new(|| *Isa::available().last().expect("portable is everywhere"));
        *BEST
    }

    /// Values of a vector.
    pub(crate) fn lanes(self) -> usize {
        self.dispatch(Lanes)
    }

    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().is_some(),
        }
    }

    /// Runs `op` compiled for this instruction set.
    ///
    /// # Panics
    /// If the machine does not have it.
    pub(crate) fn dispatch<Op: WithSimd>(self, op: Op) -> Op::Output {
        const MISSING: &str = "an instruction set of this machine";
        match self {
            Self::Portable => Simd::vectorize(pulp::Scalar128b, op),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Simd::vectorize(pulp::x86::V3::try_new().expect(MISSING), op),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Simd::vectorize(pulp::x86::V4::try_new().expect(MISSING), op),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Simd::vectorize(pulp::aarch64::Neon::try_new().expect(MISSING), op),
        }
    }
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// `a` × `b` + `c`, in one rounding where the machine does that in one instruction.
#[inline(always)]
pub(crate) fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    // Without the instruction, pulp would call the C library for every lane.
    if TypeId::of::<S>() == TypeId::of::<pulp::Scalar128b>() {
        simd.add_f32s(simd.mul_f32s(a, b), c)
    } else {
        simd.mul_add_f32s(a, b, c)
    }
}
