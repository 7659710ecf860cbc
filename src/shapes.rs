//! What a file must hold: the tensors and shapes that follow from its header, and the limits of the header itself.

use crate::error::Error;
use crate::format::{ABSOLUTE, Entry, Header, Kind, Precision, RELATIVE, Recipe, Role, SHARED, padded};

/// The largest value of any dimension: generous for a BEiT, small enough that no product of three overflows 64 bits.
const LIMIT: u32 = 1 << 16;

/// A tensor as the model wants it; `None` where any value will do.
struct Want {
    role: Role,
    layer: u16,
    linear: bool,
    taps: u16,
    bias_rows: u8,
    n: Option<u32>,
    k: Option<u32>,
}

fn header_ok(h: &Header) -> Result<(), Error> {
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
        if v % h.patch != 0 || v / h.patch < 2 || v / h.patch > 256 {
            return bad(field, v.into(), "2 to 256 whole patches");
        }
    }
    if h.channels % h.heads != 0 || h.channels > 8192 || h.heads > 255 {
        return bad("channels", h.channels.into(), "at most 8192, a multiple of `heads` (at most 255)");
    }
    if h.channels / h.heads > 256 {
        return bad("heads", h.heads.into(), "a head dimension of at most 256");
    }
    if h.blocks > 512 || h.source_blocks < h.blocks {
        return bad("blocks", h.blocks.into(), "at most 512 and at most `source_blocks`");
    }
    if h.taps.windows(2).any(|w| w[0] > w[1]) || h.taps[3] != h.blocks {
        return bad("taps", h.taps[3].into(), "a rising list that ends at `blocks`");
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
    if h.reserved.iter().any(|&b| b != 0) {
        return bad("reserved", 1, "zero");
    }
    Ok(())
}

/// Calls `each` with every tensor that a model with this header has, in table order.
fn for_each_wanted(h: &Header, each: &mut dyn FnMut(Want) -> Result<(), Error>) -> Result<(), Error> {
    let (c, hidden) = (h.channels, h.hidden);
    let (gw, gh) = (h.width / h.patch, h.height / h.patch);
    let head = padded((c / h.heads) as usize) as u32;
    let mut bytes =
        |role, k| each(Want { role, layer: 0, linear: false, taps: 0, bias_rows: 0, n: Some(1), k });
    bytes(Role::ClassNames, None)?;
    bytes(Role::Palette, Some(3 * h.classes))?;
    bytes(Role::Source, None)?;
    bytes(Role::Tool, None)?;
    bytes(Role::Report, None)?;
    let mut linear = |role, layer, taps, bias_rows, n, k| {
        each(Want { role, layer, linear: true, taps, bias_rows, n: Some(n), k: Some(k) })
    };
    linear(Role::Embed, 0, 1, 1, c, 3 * h.patch * h.patch)?;
    let mut plain = |role, layer, n, k| {
        each(Want { role, layer, linear: false, taps: 0, bias_rows: 0, n: Some(n), k: Some(k) })
    };
    plain(Role::ClassToken, 0, 1, c)?;
    if h.position & ABSOLUTE != 0 {
        plain(Role::Positions, 0, gw * gh, c)?;
    }
    let mut linear = |role, layer, taps, bias_rows, n, k| {
        each(Want { role, layer, linear: true, taps, bias_rows, n: Some(n), k: Some(k) })
    };
    let blocks = h.blocks as u16;
    for l in 0..blocks {
        linear(Role::Qkv, l, h.heads as u16, h.heads as u8, 3 * head, c)?;
    }
    for l in 0..blocks {
        linear(Role::Proj, l, 1, 1, c, c)?;
    }
    for l in 0..blocks {
        linear(Role::Fc1, l, 1, 1, hidden, c)?;
    }
    for l in 0..blocks {
        linear(Role::Fc2, l, 1, 1, c, hidden)?;
    }
    let tables = if h.position & RELATIVE != 0 { blocks } else { u16::from(h.position & SHARED != 0) };
    let mut plain = |role, layer, n, k| {
        each(Want { role, layer, linear: false, taps: 0, bias_rows: 0, n: Some(n), k: Some(k) })
    };
    for l in 0..tables {
        plain(Role::Bias, l, h.heads, (2 * gh - 1) * (2 * gw - 1) + 3)?;
    }
    let mut linear = |role, layer, taps, bias_rows, n, k| {
        each(Want { role, layer, linear: true, taps, bias_rows, n: Some(n), k: Some(k) })
    };
    linear(Role::Up0a, 0, 4, 1, c, c)?;
    linear(Role::Up0b, 0, 4, 1, c, c)?;
    linear(Role::Up1, 0, 4, 1, c, c)?;
    linear(Role::Lateral2, 0, 1, 1, c, c)?;
    let pools = h.pool_count as u16;
    for i in 0..pools {
        linear(Role::Pool, i, 1, 1, c, c)?;
    }
    linear(Role::Top, 0, 9, 1, c, c)?;
    for i in 0..pools {
        linear(Role::TopPool, i, 9, 0, c, c)?;
    }
    for i in 0..3 {
        linear(Role::Fpn, i, 9, 1, c, c)?;
    }
    for i in 0..4 {
        linear(Role::Fuse, i, 9, u8::from(i == 0), c, c)?;
    }
    linear(Role::Classify, 0, 1, 1, h.classes, c)
}

/// Compares the header with its limits and the table with what the header asks for.
pub(crate) fn check(h: &Header, table: &[Entry]) -> Result<(), Error> {
    header_ok(h)?;
    let mut entries = table.iter();
    for_each_wanted(h, &mut |want| {
        let e = match entries.clone().next() {
            Some(e) if (e.role, e.layer) <= (want.role as u16, want.layer) => e,
            _ => return Err(Error::Missing { role: want.role.name(), layer: want.layer }),
        };
        if (e.role, e.layer) != (want.role as u16, want.layer) {
            return Err(Error::Unexpected { role: e.role, layer: e.layer });
        }
        entries.next();
        let kind = Kind::from_code(e.kind);
        let kind_ok = match kind {
            Some(Kind::Bytes) => !want.linear && want.role < Role::Embed,
            Some(Kind::Plain) => !want.linear && want.role >= Role::Embed,
            _ => want.linear,
        };
        let wrong = |field, found: u64, expected: u64| {
            Err(Error::Tensor { role: want.role.name(), layer: want.layer, field, found, expected })
        };
        if !kind_ok {
            return wrong(
                "kind",
                e.kind.into(),
                if want.linear { 4 } else { u64::from(want.role >= Role::Embed) },
            );
        }
        if let Some(n) = want.n.filter(|&n| n != e.n) {
            return wrong("n", e.n.into(), n.into());
        }
        if let Some(k) = want.k.filter(|&k| k != e.k) {
            return wrong("k", e.k.into(), k.into());
        }
        if e.taps != want.taps {
            return wrong("taps", e.taps.into(), want.taps.into());
        }
        if e.bias_rows != want.bias_rows {
            return wrong("bias_rows", e.bias_rows.into(), want.bias_rows.into());
        }
        if e.reserved != [0; 2] {
            return wrong("reserved", e.reserved[0].max(e.reserved[1]), 0);
        }
        Ok(())
    })?;
    match entries.next() {
        Some(e) => Err(Error::Unexpected { role: e.role, layer: e.layer }),
        None => Ok(()),
    }
}
