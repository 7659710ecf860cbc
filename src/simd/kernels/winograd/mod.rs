//! Winograd transforms for 3x3 convolutions: F(2x2, 3x3) and F(4x4, 3x3).
//!
//! A tile of M x M outputs is computed from T x T inputs, T = M + 2, as Y = Aᵀ [(G g Gᵀ) ∘ (Bᵀ d B)] A (Winograd 1980; Lavin
//! and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"). The T² positions of the transformed tile are
//! *Winograd points*: each is the value of polynomials at one point of interpolation per direction.
//!
//! - the input transform Bᵀ d B: [`input`];
//! - quantisation of the transformed pixels to int8, with error diffusion: [`quantise`];
//! - one int8 matrix product per Winograd point, by the GEMM micro-kernels (`ops::winograd`);
//! - the output transform Aᵀ m A of the sums, with bias and activation: [`output`];
//! - the weight transform G g Gᵀ runs in the converter.
//!
//! [`transform`] defines the matrices. F(2, 3) interpolates at 0, ±1 and ∞; F(4, 3) at 0, ±√½, ±√2 and ∞ instead of the
//! usual 0, ±1, ±2 and ∞: the powers of these points differ less in magnitude, and int8 loses about half as much
//! (`docs/decisions/001-winograd-points.md`).

pub(crate) mod input;
pub(crate) mod output;
pub(crate) mod quantise;
mod transform;
