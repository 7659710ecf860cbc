//! A pickle parser that runs nothing: the bytes of `data.pkl` in, descriptions of tensors out.
//!
//! A pickle is a program for a small stack machine. This one implements the instructions that `torch.save` emits, knows
//! the few functions that build tensors and dictionaries, and represents the result of any other call as an opaque
//! value. Values live in one list and refer to each other by index, so deep and circular structures need no recursion.
//! The instruction set is that of Python's `pickletools`.

mod calls;
mod cursor;
mod interpret;
mod legacy;
mod machine;
mod opcodes;
mod state_dict;

pub(in crate::checkpoint) use legacy::{LegacyPickles, legacy};
pub(in crate::checkpoint) use state_dict::{DescribedTensor, state_dict};
