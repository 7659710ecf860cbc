//! Which tensors a file must hold, with which shapes: both follow from the header. Also the limits of the header's own fields.
//!
//! [`for_each_tensor`] is the only list of the format's tensors. The converter writes the tensors that it names, and
//! [`WeightFile::parse`](super::WeightFile::parse) compares a file's table with it.

use super::format::{
    ABSOLUTE, Header, MlpActivation, Pooling, Precision, RELATIVE, Recipe, Role, SHARED, Task, TensorEntry,
    TensorKind, is_winograd, padded, winograd_points,
};
use crate::error::Error;

/// Largest dimension of any kind: sides of the input, classes, channels of the MLP. It is generous for BEiT, and so small that no
/// product of three dimensions overflows 64 bits.
pub const MAX_DIMENSION: u32 = 65_535;
/// Largest side of a patch in pixels.
pub const MAX_PATCH: u32 = 256;
/// Most channels of the residual stream.
pub const MAX_CHANNELS: u32 = 8192;
/// Most attention heads.
pub const MAX_HEADS: u32 = 255;
/// Most channels of an attention head.
pub const MAX_HEAD_DIM: u32 = 256;
/// Most transformer blocks.
pub const MAX_BLOCKS: u32 = 512;
/// Most branches of the pooling module.
pub const MAX_POOLS: u32 = 8;
/// Largest output side of a branch of the pooling module.
pub const MAX_POOL_SCALE: u32 = 64;

/// Most bytes per class name, its line break included.
pub const MAX_NAME: u32 = 256;
/// Most bytes of the names of checkpoint and converter.
pub const MAX_LINE: u32 = 4096;
/// Most bytes of the converter's report.
pub const MAX_REPORT: u32 = 1 << 24;

/// The shape of a tensor that the header requires, and the kinds in which it may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Raw bytes, of this length.
    Bytes(u32),
    /// UTF-8 text, of at most this many bytes.
    Text(u32),
    /// Plain f32, `[n][k]`.
    Plain {
        /// Rows.
        n: u32,
        /// Values in a row.
        k: u32,
    },
    /// Matrices with biases, in any of the linear kinds: f32, f16, int8 or int4. The transformed weights of a Winograd
    /// convolution ([`is_winograd`]) are int8 only.
    Linear {
        /// Matrices.
        matrices: u16,
        /// Rows of biases.
        bias_rows: u8,
        /// Outputs of each matrix.
        n: u32,
        /// Inputs of each matrix.
        k: u32,
    },
}

/// A header whose facts are within the limits of the format.
#[derive(Clone, Copy)]
pub struct ValidHeader<'a>(&'a Header);

impl<'a> ValidHeader<'a> {
    /// Checks every fact of a header.
    ///
    /// # Errors
    /// [`Error::Header`] with the first field that is outside the limits.
    pub fn new(h: &'a Header) -> Result<Self, Error> {
        check_header(h).map(|()| ValidHeader(h))
    }
}

fn check_header(h: &Header) -> Result<(), Error> {
    check_sizes(h)?;
    check_backbone(h)?;
    check_task(h)?;
    check_pooling(h)?;
    check_preprocessing(h)?;
    let (position, tables) = (h.position, RELATIVE | SHARED);
    let exclusive = position & !(ABSOLUTE | tables) == 0 && position & tables != tables;
    require(exclusive, "position", position, "bits 0 to 2, of which 1 and 2 exclude each other")?;
    require(h.reduce_labels <= 1, "reduce_labels", h.reduce_labels, "0 or 1")?;
    let known = Precision::from_code(h.precision).is_some();
    require(known, "precision", h.precision, "0 (f32), 1 (f16), 2 (int8) or 3 (int4)")?;
    check_winograd(h)?;
    require(h.reserved.iter().all(|&b| b == 0), "reserved", 1u32, "zero")
}

/// An error about `field`, whose value is `found`, unless `valid` holds.
fn require(
    valid: bool,
    field: &'static str,
    found: impl Into<u64>,
    expected: &'static str,
) -> Result<(), Error> {
    if valid { Ok(()) } else { Err(Error::Header { field, found: found.into(), expected }) }
}

/// All dimensions, the length of the header, and the patch grid.
fn check_sizes(h: &Header) -> Result<(), Error> {
    let dimensions = [
        ("width", h.width),
        ("height", h.height),
        ("patch", h.patch),
        ("channels", h.channels),
        ("heads", h.heads),
        ("hidden", h.hidden),
    ];
    for (field, v) in dimensions {
        require((1..MAX_DIMENSION + 1).contains(&v), field, v, "1 to 65535")?;
    }
    require(matches!(h.picture_channels, 0..=2 | 4), "picture_channels", h.picture_channels, "0, 1, 2 or 4")?;
    require(h.header_bytes as usize == size_of::<Header>(), "header_bytes", h.header_bytes, "512")?;
    require(h.patch <= MAX_PATCH, "patch", h.patch, "at most 256")?;
    for (field, v) in [("width", h.width), ("height", h.height)] {
        let whole = v.is_multiple_of(h.patch) && (2..=256).contains(&(v / h.patch));
        require(whole, field, v, "a whole number of patches, 2 to 256")?;
    }
    Ok(())
}

/// Channels, heads, blocks, and the blocks after which features are taken.
fn check_backbone(h: &Header) -> Result<(), Error> {
    let channels = h.channels.is_multiple_of(h.heads) && h.channels <= MAX_CHANNELS && h.heads <= MAX_HEADS;
    require(channels, "channels", h.channels, "at most 8192 and a multiple of `heads` (at most 255)")?;
    require(h.channels / h.heads <= MAX_HEAD_DIM, "heads", h.heads, "a head dimension of at most 256")?;
    let blocks = h.blocks <= MAX_BLOCKS && h.blocks <= h.source_blocks;
    require(blocks, "blocks", h.blocks, "at most 512 and at most `source_blocks`")?;
    let last = h.feature_blocks[3];
    let features = h.feature_blocks.is_sorted() && last == h.blocks;
    require(features, "feature_blocks", last, "a non-decreasing list that ends at `blocks`")?;
    let known = MlpActivation::from_code(h.activation).is_some();
    require(known, "activation", h.activation, "0 (GELU), 1 (GELU by tanh) or 2 (ReLU)")
}

/// The task, and what only some tasks have.
fn check_task(h: &Header) -> Result<(), Error> {
    let known = "0 (segmentation), 1 (classification) or 2 (features)";
    let unknown = Error::Header { field: "task", found: h.task.into(), expected: known };
    let task = Task::from_code(h.task).ok_or(unknown)?;
    let (segments, has_classes) = (task == Task::Segmentation, task != Task::Features);
    let classes = if has_classes { (1..=MAX_DIMENSION).contains(&h.classes) } else { h.classes == 0 };
    require(classes, "classes", h.classes, "1 to 65535, or 0 for the task `features`")?;
    let pooling = Pooling::from_code(h.pooling).is_some() && !(segments && h.pooling > 0);
    require(pooling, "pooling", h.pooling, "0, or 1 (class token) unless the task is segmentation")?;
    let token_norm = h.token_norm <= u8::from(!segments);
    require(token_norm, "token_norm", h.token_norm, "0, or 1 unless the task is segmentation")?;
    let head = h.head_channels <= if segments { MAX_CHANNELS } else { 0 };
    require(head, "head_channels", h.head_channels, "at most 8192, and 0 unless the task is segmentation")?;
    let pools = segments || h.pool_count == 0;
    require(pools, "pool_count", h.pool_count, "0 unless the task is segmentation")?;
    let winograd = segments || h.winograd == [0; 4];
    require(winograd, "winograd", u32::from_le_bytes(h.winograd), "0 unless the task is segmentation")
}

/// The scales of the pooling module.
fn check_pooling(h: &Header) -> Result<(), Error> {
    require(h.pool_count <= MAX_POOLS, "pool_count", h.pool_count, "at most 8")?;
    for &scale in &h.pool_scales[..h.pool_count as usize] {
        require((1..=MAX_POOL_SCALE).contains(&scale), "pool_scales", scale, "1 to 64")?;
    }
    Ok(())
}

/// LayerNorm's epsilon, the recipe, normalisation and resizing.
fn check_preprocessing(h: &Header) -> Result<(), Error> {
    let eps = h.eps.is_finite() && h.eps >= 0.0;
    require(eps, "eps", h.eps.to_bits(), "a finite number that is not negative")?;
    require(Recipe::from_code(h.recipe).is_some(), "recipe", h.recipe, "0 (hf) or 1 (paper)")?;
    for v in h.mean.iter().chain(&h.std).chain([&h.mean4, &h.std4, &h.rescale]) {
        require(v.is_finite(), "mean, std, rescale", v.to_bits(), "finite numbers")?;
    }
    require(matches!(h.resample, 0..=5 | 16), "resample", h.resample, "0 to 5 or 16")?;
    let segments = h.task == Task::Segmentation as u8;
    let resize = h.resize == 0 || h.resize == if segments { 1 } else { 2 };
    require(resize, "resize", h.resize, "0 (stretch), 1 (sliding windows, for segmentation) or 2 (middle)")?;
    let window = [h.short_side, h.stride].iter().all(|v| (1..MAX_DIMENSION + 1).contains(v));
    require(h.resize != 1 || window, "short_side, stride", h.short_side, "1 to 65535")?;
    let middle = (h.width.max(h.height)..=MAX_DIMENSION).contains(&h.short_side);
    require(h.resize != 2 || middle, "short_side", h.short_side, "the longer side of the input to 65535")?;
    for (field, stretched, input) in
        [("stretch_width", h.stretch_width, h.width), ("stretch_height", h.stretch_height, h.height)]
    {
        let larger = !segments && h.resize == 0 && (input..=MAX_DIMENSION).contains(&stretched);
        require(
            stretched == 0 || larger,
            field,
            stretched,
            "0, or from the input size to 65535 (only resize 0, not for segmentation)",
        )?;
    }
    Ok(())
}

/// The sizes of Winograd tiles: whole tiles in a row of each map.
fn check_winograd(h: &Header) -> Result<(), Error> {
    // Width of the maps of fpn_conv 0, 1, 2 and fpn_bottleneck 0, in patches of the grid.
    for (tile, scale) in h.winograd.into_iter().zip([4, 2, 1, 4]) {
        let width = scale * h.width / h.patch;
        let whole = tile == 0 || matches!(tile, 2 | 4) && width.is_multiple_of(tile.into());
        let found = u32::from_le_bytes(h.winograd);
        require(whole, "winograd", found, "bytes of 0, 2 or 4, with whole tiles in a row of the map")?;
    }
    Ok(())
}

/// Calls `each(role, layer, form)` with every tensor that a model with this header has, in table order.
///
/// # Errors
/// The first error that `each` returns.
pub fn for_each_tensor<E>(
    ValidHeader(h): ValidHeader,
    each: &mut dyn FnMut(Role, u16, Form) -> Result<(), E>,
) -> Result<(), E> {
    let (c, hidden, heads) = (h.channels, h.hidden, h.heads);
    let (gw, gh) = (h.width / h.patch, h.height / h.patch);
    let head_padded = padded((c / heads) as usize) as u32;
    let (blocks, branches) = (h.blocks as u16, h.pool_count as u16);
    let absolute = u16::from(h.position & ABSOLUTE != 0);
    let bias_tables = if h.position & RELATIVE != 0 { blocks } else { u16::from(h.position & SHARED != 0) };
    let patch_values = if h.picture_channels == 0 { 3 } else { h.picture_channels } * h.patch * h.patch;
    let [segments, has_classes] = [h.task == Task::Segmentation as u8, h.classes > 0].map(u16::from);
    // The width of the head.
    let ch = if h.head_channels == 0 { c } else { h.head_channels };
    let [fpn_conv @ .., fpn_bottleneck] =
        h.winograd.map(|tile| if tile == 0 { 9 } else { winograd_points(tile.into()) as u16 });

    let plain = |n, k| Form::Plain { n, k };
    let linear = |matrices, bias_rows, n, k| Form::Linear { matrices, bias_rows, n, k };
    // Layers 0 to `count` of a role.
    let mut layers =
        |role, count: u16, form: &dyn Fn(u16) -> Form| (0..count).try_for_each(|i| each(role, i, form(i)));

    layers(Role::ClassNames, has_classes, &|_| Form::Text(MAX_NAME * h.classes))?;
    layers(Role::Palette, segments, &|_| Form::Bytes(3 * h.classes))?;
    layers(Role::Source, 1, &|_| Form::Text(MAX_LINE))?;
    layers(Role::Tool, 1, &|_| Form::Text(MAX_LINE))?;
    layers(Role::Embed, 1, &|_| linear(1, 1, c, patch_values))?;
    layers(Role::ClassToken, 1, &|_| plain(1, c))?;
    layers(Role::Positions, absolute, &|_| plain(gw * gh, c))?;
    layers(Role::Qkv, blocks, &|_| linear(heads as u16, heads as u8, 3 * head_padded, c))?;
    layers(Role::Proj, blocks, &|_| linear(1, 1, c, c))?;
    layers(Role::Fc1, blocks, &|_| linear(1, 1, hidden, c))?;
    layers(Role::Fc2, blocks, &|_| linear(1, 1, c, hidden))?;
    layers(Role::RelativeBias, bias_tables, &|_| plain(heads, (2 * gh - 1) * (2 * gw - 1) + 3))?;
    if segments > 0 {
        layers(Role::Deconv0, 1, &|_| linear(4, 1, c, c))?;
        layers(Role::DeconvLateral0, 1, &|_| linear(4, 1, ch, c))?;
        layers(Role::DeconvLateral1, 1, &|_| linear(4, 1, ch, c))?;
        layers(Role::Lateral2, 1, &|_| linear(1, 1, ch, c))?;
        layers(Role::PspBranch, branches, &|_| linear(1, 1, ch, c))?;
        layers(Role::PspBottleneck, 1, &|_| linear(9, 1, ch, c))?;
        layers(Role::PspBottleneckBranch, branches, &|_| linear(9, 0, ch, ch))?;
        layers(Role::FpnConv, 3, &|i| linear(fpn_conv[usize::from(i)], 1, ch, ch))?;
        layers(Role::FpnBottleneck, 4, &|i| {
            linear(if i == 0 { fpn_bottleneck } else { 9 }, u8::from(i == 0), ch, ch)
        })?;
    }
    layers(Role::Classifier, has_classes, &|_| linear(1, 1, h.classes, if segments > 0 { ch } else { c }))?;
    layers(Role::TokenNorm, h.token_norm.into(), &|_| plain(2, c))?;
    layers(Role::PoolNorm, u16::from(segments == 0 && h.pooling == Pooling::Mean as u8), &|_| plain(2, c))?;
    layers(Role::Report, 1, &|_| Form::Text(MAX_REPORT))
}

/// Checks the header, and that the table lists exactly the tensors that the header requires.
///
/// # Errors
/// [`Error::Header`], or the first [`Error::Missing`], [`Error::Unexpected`] or [`Error::Tensor`] in table order.
pub(crate) fn check(h: &Header, table: &[TensorEntry]) -> Result<(), Error> {
    let header = ValidHeader::new(h)?;
    let mut entries = table.iter();
    for_each_tensor(header, &mut |role, layer, form| {
        let e = match entries.clone().next() {
            Some(e) if (e.role, e.layer) <= (role as u16, layer) => e,
            _ => return Err(Error::Missing { role: role.name(), layer }),
        };
        if (e.role, e.layer) != (role as u16, layer) {
            return Err(Error::Unexpected { role: e.role, layer: e.layer });
        }
        entries.next();
        check_entry(e, role, form)
    })?;
    match entries.next() {
        Some(e) => Err(Error::Unexpected { role: e.role, layer: e.layer }),
        None => Ok(()),
    }
}

/// Checks an entry of the table against the form that the header requires.
fn check_entry(e: &TensorEntry, role: Role, form: Form) -> Result<(), Error> {
    let wrong = |field, found: u64, expected: u64| {
        Err(Error::Tensor { role: role.name(), layer: e.layer, field, found, expected })
    };
    let kind = TensorKind::from_code(e.kind);
    // `example` is a kind that would be valid, for the error.
    let (kind_ok, example) = match form {
        Form::Bytes(_) | Form::Text(_) => (kind == Some(TensorKind::Bytes), TensorKind::Bytes),
        Form::Plain { .. } => (kind == Some(TensorKind::Plain), TensorKind::Plain),
        Form::Linear { matrices, .. } if is_winograd(role, matrices) => {
            (kind == Some(TensorKind::Int8), TensorKind::Int8)
        }
        Form::Linear { .. } => (
            matches!(kind, Some(TensorKind::F32 | TensorKind::F16 | TensorKind::Int8 | TensorKind::Int4)),
            TensorKind::Int8,
        ),
    };
    if !kind_ok {
        return wrong("kind", e.kind.into(), example as u64);
    }
    let (matrices, bias_rows, n, k) = match form {
        Form::Bytes(len) => (0, 0, 1, Some(len)),
        Form::Text(most) if e.k > most => return wrong("k", e.k.into(), most.into()),
        Form::Text(_) => (0, 0, 1, None),
        Form::Plain { n, k } => (0, 0, n, Some(k)),
        Form::Linear { matrices, bias_rows, n, k } => (matrices, bias_rows, n, Some(k)),
    };
    let fields = [
        ("n", e.n, Some(n)),
        ("k", e.k, k),
        ("matrices", e.matrices.into(), Some(matrices.into())),
        ("bias_rows", e.bias_rows.into(), Some(bias_rows.into())),
        ("reserved", u32::from(e.reserved != [0; 2]), Some(0)),
    ];
    for (field, found, expected) in fields {
        if let Some(expected) = expected.filter(|&v| v != found) {
            return wrong(field, found.into(), expected.into());
        }
    }
    Ok(())
}
