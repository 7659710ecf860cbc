//! What a file must hold: the tensors and shapes that follow from its header, and the limits of the header itself.

use super::format::{
    ABSOLUTE, Header, Precision, RELATIVE, Recipe, Role, SHARED, TensorEntry, TensorKind, is_winograd,
    padded, winograd_points,
};
use crate::error::Error;

/// The largest value of any dimension: generous for a BEiT, small enough that no product of three overflows 64 bits.
const LIMIT: u32 = 1 << 16;

/// How a wanted tensor is stored; see the format for what the numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text or raw bytes, of this length or of any.
    Bytes(Option<u32>),
    /// Plain f32, `n` rows of `k`.
    Plain {
        /// Rows.
        n: u32,
        /// Numbers in a row.
        k: u32,
    },
    /// Matrices with biases, in any of the linear kinds.
    Linear {
        /// Matrices.
        matrices: u16,
        /// Rows of biases.
        bias_rows: u8,
        /// Outputs.
        n: u32,
        /// Inputs.
        k: u32,
    },
}

/// Whether every fact of a header is within the format's limits.
///
/// # Errors
/// The first field that is not.
pub fn check_header(h: &Header) -> Result<(), Error> {
    let bad = |field, found: u64, expected| Err(Error::Header { field, found, expected });
    let sized = [
        ("width", h.width),
        ("height", h.height),
        ("patch", h.patch),
        ("channels", h.channels),
        ("heads", h.heads),
        ("hidden", h.hidden),
        ("classes", h.classes),
    ];
    for (field, v) in sized {
        if v == 0 || v >= LIMIT {
            return bad(field, v.into(), "1 to 65535");
        }
    }
    if h.header_bytes as usize != size_of::<Header>() {
        return bad("header_bytes", h.header_bytes.into(), "512");
    }
    if h.patch > 256 {
        return bad("patch", h.patch.into(), "at most 256");
    }
    for (field, v) in [("width", h.width), ("height", h.height)] {
        if !v.is_multiple_of(h.patch) || v / h.patch < 2 || v / h.patch > 256 {
            return bad(field, v.into(), "2 to 256 whole patches");
        }
    }
    if !h.channels.is_multiple_of(h.heads) || h.channels > 8192 || h.heads > 255 {
        return bad("channels", h.channels.into(), "at most 8192, a multiple of `heads` (at most 255)");
    }
    if h.channels / h.heads > 256 {
        return bad("heads", h.heads.into(), "a head dimension of at most 256");
    }
    if h.blocks > 512 || h.source_blocks < h.blocks {
        return bad("blocks", h.blocks.into(), "at most 512 and at most `source_blocks`");
    }
    if h.feature_blocks.windows(2).any(|w| w[0] > w[1]) || h.feature_blocks[3] != h.blocks {
        return bad("feature_blocks", h.feature_blocks[3].into(), "a rising list that ends at `blocks`");
    }
    if h.pool_count > 8 {
        return bad("pool_count", h.pool_count.into(), "at most 8");
    }
    let scales = &h.pool_scales[..h.pool_count as usize];
    if let Some(&s) = scales.iter().find(|&&s| s == 0 || s > 64) {
        return bad("pool_scales", s.into(), "1 to 64");
    }
    if !(h.eps.is_finite() && h.eps >= 0.0) {
        return bad("eps", h.eps.to_bits().into(), "a finite number that is not negative");
    }
    if Recipe::from_code(h.recipe).is_none() {
        return bad("recipe", h.recipe.into(), "0 (hf) or 1 (paper)");
    }
    let floats = h.mean.iter().chain(&h.std).chain([&h.rescale]);
    if let Some(v) = floats.into_iter().find(|v| !v.is_finite()) {
        return bad("mean, std, rescale", v.to_bits().into(), "finite numbers");
    }
    if !matches!(h.resample, 0..=5 | 16) {
        return bad("resample", h.resample.into(), "0 to 5 or 16");
    }
    if h.resize > 1 {
        return bad("resize", h.resize.into(), "0 (stretch) or 1 (keep the aspect)");
    }
    if h.resize == 1 && (h.short_side == 0 || h.short_side >= LIMIT || h.stride == 0 || h.stride >= LIMIT) {
        return bad("short_side, stride", h.short_side.into(), "1 to 65535");
    }
    if h.position & !(ABSOLUTE | RELATIVE | SHARED) != 0
        || h.position & RELATIVE != 0 && h.position & SHARED != 0
    {
        return bad("position", h.position.into(), "bits 0 to 2, not 1 and 2 together");
    }
    if h.reduce_labels > 1 {
        return bad("reduce_labels", h.reduce_labels.into(), "0 or 1");
    }
    if Precision::from_code(h.precision).is_none() {
        return bad("precision", h.precision.into(), "0 (f32), 1 (f16) or 2 (int8)");
    }
    // Patches of a map's line: of `fpn` 0, 1 and 2 and of `fuse` 0.
    for (tile, scale) in h.winograd.into_iter().zip([4, 2, 1, 4]) {
        if !matches!(tile, 0 | 2 | 4) || tile > 0 && !(scale * h.width / h.patch).is_multiple_of(tile.into())
        {
            return bad(
                "winograd",
                u32::from_le_bytes(h.winograd).into(),
                "bytes of 0, 2 or 4, whole tiles a line",
            );
        }
    }
    if h.reserved.iter().any(|&b| b != 0) {
        return bad("reserved", 1, "zero");
    }
    Ok(())
}

/// Calls `each` with every tensor that a model with this header has, in table order: role, layer, form.
///
/// # Errors
/// The first that `each` returns.
pub fn for_each_tensor<E>(
    h: &Header,
    each: &mut dyn FnMut(Role, u16, Form) -> Result<(), E>,
) -> Result<(), E> {
    let (c, hidden, heads) = (h.channels, h.hidden, h.heads);
    let (gw, gh) = (h.width / h.patch, h.height / h.patch);
    let head = padded((c / heads) as usize) as u32;
    let (blocks, pools) = (h.blocks as u16, h.pool_count as u16);
    let plain = |n, k| Form::Plain { n, k };
    let linear = |matrices, bias_rows, n, k| Form::Linear { matrices, bias_rows, n, k };
    let mut many =
        |role, count: u16, form: &dyn Fn(u16) -> Form| (0..count).try_for_each(|i| each(role, i, form(i)));

    many(Role::ClassNames, 1, &|_| Form::Bytes(None))?;
    many(Role::Palette, 1, &|_| Form::Bytes(Some(3 * h.classes)))?;
    many(Role::Source, 1, &|_| Form::Bytes(None))?;
    many(Role::Tool, 1, &|_| Form::Bytes(None))?;
    many(Role::Embed, 1, &|_| linear(1, 1, c, 3 * h.patch * h.patch))?;
    many(Role::ClassToken, 1, &|_| plain(1, c))?;
    many(Role::Positions, u16::from(h.position & ABSOLUTE != 0), &|_| plain(gw * gh, c))?;
    many(Role::Qkv, blocks, &|_| linear(heads as u16, heads as u8, 3 * head, c))?;
    many(Role::Proj, blocks, &|_| linear(1, 1, c, c))?;
    many(Role::Fc1, blocks, &|_| linear(1, 1, hidden, c))?;
    many(Role::Fc2, blocks, &|_| linear(1, 1, c, hidden))?;
    let tables = if h.position & RELATIVE != 0 { blocks } else { u16::from(h.position & SHARED != 0) };
    many(Role::RelativeBias, tables, &|_| plain(heads, (2 * gh - 1) * (2 * gw - 1) + 3))?;
    many(Role::Deconv0, 1, &|_| linear(4, 1, c, c))?;
    many(Role::DeconvLateral0, 1, &|_| linear(4, 1, c, c))?;
    many(Role::DeconvLateral1, 1, &|_| linear(4, 1, c, c))?;
    many(Role::Lateral2, 1, &|_| linear(1, 1, c, c))?;
    many(Role::PspBranch, pools, &|_| linear(1, 1, c, c))?;
    many(Role::PspBottleneck, 1, &|_| linear(9, 1, c, c))?;
    many(Role::PspBottleneckBranch, pools, &|_| linear(9, 0, c, c))?;
    let [fpn @ .., fuse] =
        h.winograd.map(|tile| if tile == 0 { 9 } else { winograd_points(tile.into()) as u16 });
    many(Role::FpnConv, 3, &|i| linear(fpn.get(i as usize).copied().unwrap_or(9), 1, c, c))?;
    many(Role::FpnBottleneck, 4, &|i| linear(if i == 0 { fuse } else { 9 }, u8::from(i == 0), c, c))?;
    many(Role::Classifier, 1, &|_| linear(1, 1, h.classes, c))?;
    many(Role::Report, 1, &|_| Form::Bytes(None))
}

/// Compares the header with its limits and the table with what the header asks for.
pub(crate) fn check(h: &Header, table: &[TensorEntry]) -> Result<(), Error> {
    check_header(h)?;
    let mut entries = table.iter();
    for_each_tensor(h, &mut |role, layer, form| {
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

/// One line of the table against what is wanted there.
fn check_entry(e: &TensorEntry, role: Role, form: Form) -> Result<(), Error> {
    let wrong = |field, found: u64, expected: u64| {
        Err(Error::Tensor { role: role.name(), layer: e.layer, field, found, expected })
    };
    let kind = TensorKind::from_code(e.kind);
    let (kind_ok, example) = match form {
        Form::Bytes(_) => (kind == Some(TensorKind::Bytes), TensorKind::Bytes),
        Form::Plain { .. } => (kind == Some(TensorKind::Plain), TensorKind::Plain),
        // Matrices of a Winograd transform are int8: that is what they are for.
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
        Form::Bytes(len) => (0, 0, 1, len),
        Form::Plain { n, k } => (0, 0, n, Some(k)),
        Form::Linear { matrices, bias_rows, n, k } => (matrices, bias_rows, n, Some(k)),
    };
    let numbers = [
        ("n", e.n, Some(n)),
        ("k", e.k, k),
        ("matrices", e.matrices.into(), Some(matrices.into())),
        ("bias_rows", e.bias_rows.into(), Some(bias_rows.into())),
        ("reserved", u32::from(e.reserved != [0; 2]), Some(0)),
    ];
    for (field, found, expected) in numbers {
        if let Some(expected) = expected.filter(|&v| v != found) {
            return wrong(field, found.into(), expected.into());
        }
    }
    Ok(())
}
