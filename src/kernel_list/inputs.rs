//! One kernel as a repeatable run: inputs from a seed, the call, and the bits that it wrote.

use crate::file::format::padded;
use crate::simd::isa::Isa;
use crate::simd::kernels::attention::quantise::Token;
use crate::simd::lanes::LANES;
use half::bf16;
use std::boxed::Box;
use std::vec::Vec;

/// The size of a run. Each kernel uses the fields that apply to it.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Numbers in a row, outputs of a product, or the width of an attention head.
    pub n: usize,
    /// Rows, the width of a feature map, or the width of the patch grid.
    pub rows: usize,
    /// Inputs of a product, or the height of the patch grid.
    pub k: usize,
}

/// A kernel with its inputs and output, to be run any number of times.
pub trait KernelRun {
    /// Runs the kernel once.
    fn run(&mut self, isa: Isa);
    /// The output, as bits.
    fn bits(&self) -> Vec<u32>;
}

/// An entry of the list of kernels.
pub struct Kernel {
    /// The name of the kernel or operator, then its variant, separated by ", ".
    pub name: &'static str,
    /// The amount of work in a run: multiply-accumulates of products, convolutions and attention, numbers of all others.
    pub work: fn(Size) -> usize,
    /// Makes a run with inputs from a seed.
    pub prepare: fn(Size, Source) -> Box<dyn KernelRun>,
}

/// The run that [`prepare`] makes.
struct Prepared<I, O, F> {
    inputs: I,
    out: O,
    run: F,
}

impl<I, O: Bits, F: Fn(Isa, &I, &mut O)> KernelRun for Prepared<I, O, F> {
    fn run(&mut self, isa: Isa) {
        (self.run)(isa, &self.inputs, &mut self.out);
    }
    fn bits(&self) -> Vec<u32> {
        self.out.bits()
    }
}

/// A run that calls `run` with the inputs and the output.
pub(super) fn prepare<I: 'static, O: Bits + 'static>(
    inputs: I,
    out: O,
    run: impl Fn(Isa, &I, &mut O) + 'static,
) -> Box<dyn KernelRun> {
    Box::new(Prepared { inputs, out, run })
}

/// Outputs that can be compared as bits.
pub(super) trait Bits {
    fn bits(&self) -> Vec<u32>;
}
macro_rules! bits {
    ($($t:ty: $x:ident => $bits:expr;)*) => {
        $(impl Bits for $t {
            fn bits(&self) -> Vec<u32> {
                let $x = self;
                $bits
            }
        })*
    };
}
bits! {
    Vec<f32>: x => x.iter().map(|x| x.to_bits()).collect();
    Vec<u8>: x => x.iter().map(|&x| x.into()).collect();
    [i32; LANES]: x => x.iter().map(|&x| x as u32).collect();
    Vec<Token>: x => x.iter().flat_map(|t| [t.scale.to_bits(), t.sum as u32, t.squares as u32]).collect();
    Vec<i8>: x => x.iter().map(|&x| x as u32).collect();
    Vec<bf16>: x => x.iter().map(|x| x.to_bits().into()).collect();
    u16: x => std::vec![u32::from(*x)];
    u32: x => std::vec![*x];
    f32: x => std::vec![x.to_bits()];
    [f32; 2]: x => x.map(f32::to_bits).to_vec();
}
impl<A: Bits, B: Bits> Bits for (A, B) {
    fn bits(&self) -> Vec<u32> {
        [self.0.bits(), self.1.bits()].concat()
    }
}

/// A generator of pseudo-random inputs, which include extremes; the field is the seed.
pub struct Source(pub u64);

impl Source {
    pub(super) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }
    pub(crate) fn float(&mut self) -> f32 {
        match self.next() % 16 {
            0 => 0.0,
            1 => -0.0,
            2 => 100.0,
            3 => -1e-20,
            _ => (self.next() as f32 / u32::MAX as f32 - 0.5) * 8.0,
        }
    }
    pub(crate) fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }
    /// `n` numbers, padded with zeros to a row.
    pub(crate) fn row(&mut self, n: usize) -> Vec<f32> {
        let mut row = self.floats(n);
        row.resize(padded(n), 0.0);
        row
    }
    pub(crate) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| [0, 255, 128, self.next() as u8][self.next() as usize % 4]).collect()
    }
    pub(crate) fn weights(&mut self, n: usize) -> Vec<i8> {
        (0..n)
            .map(|_| [127, -127, 0, (self.next() % 255) as i8][self.next() as usize % 4].max(-127))
            .collect()
    }
    pub(crate) fn ints(&mut self, n: usize) -> Vec<i32> {
        (0..n).map(|_| self.next() as i32 >> 4).collect()
    }
    pub(crate) fn params(&mut self, n: usize) -> Vec<[f32; 2]> {
        (0..n).map(|_| [self.float(), self.float()]).collect()
    }
}

/// Undoes the sign flip of stored bytes, so that they are the same on every instruction set.
pub(super) fn restore_sign(isa: Isa, bytes: &mut [u8]) {
    bytes.iter_mut().for_each(|q| *q ^= isa.sign_flip());
}
