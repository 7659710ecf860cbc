//! Limits of the files of a checkpoint. Real ones stay far below: BEiT-large with its optimizer's state has about 2,000
//! tensors, a pickle below 1 MB, which stores about 100,000 items, and a directory below 200 kB. `docs/LIMITS.md` lists what
//! each limit bounds.

/// Length of a weight file in bytes.
pub(crate) const MAX_FILE: u64 = 64 << 30;
/// Tensors in a checkpoint.
pub(super) const MAX_TENSORS: usize = 65_536;
/// Weight files in a checkpoint.
pub(super) const MAX_SHARDS: usize = 256;
/// Length of the index of a sharded checkpoint in bytes.
pub(super) const MAX_INDEX: u64 = 8 << 20;
/// Length of a safetensors file's header in bytes.
pub(super) const MAX_HEADER: u64 = 8 << 20;
/// Length of the zip directory of a `torch.save` file in bytes.
pub(super) const MAX_DIRECTORY: u64 = 8 << 20;
/// Entries in the zip directory of a `torch.save` file: one for each storage, and a few others.
pub(super) const MAX_ENTRIES: usize = 2 * MAX_TENSORS;
/// Storages that a file of PyTorch before 1.6 lists: as many as an archive may have.
pub(super) const MAX_STORAGES: usize = MAX_ENTRIES;
/// Length of a pickle in bytes.
pub(super) const MAX_PICKLE: u64 = 16 << 20;
/// What a pickle may make the parser store, in values and references to values.
pub(super) const MAX_PICKLE_ITEMS: usize = 1_000_000;

/// Length of a tensor's name in bytes.
pub(super) const MAX_NAME: usize = 512;
/// Length of a storage's name and of its class's name in bytes.
pub(super) const MAX_STORAGE_NAME: usize = 64;
/// Length of a file's name in an index, in bytes: that of file systems.
pub(super) const MAX_FILE_NAME: usize = 255;
/// Dimensions of a tensor.
pub(super) const MAX_DIMENSIONS: usize = 16;
/// Elements of a tensor.
pub(super) const MAX_ELEMENTS: usize = 1 << 28;
/// All tensors of a `torch.save` file together, as a multiple of the file's length. They may share storages.
pub(super) const MAX_SHARING: u64 = 4;
/// Bytes from a tensor's first element to its last, as a multiple of the bytes of its elements.
pub(super) const MAX_SPREAD: u64 = 16;
