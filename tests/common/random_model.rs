//! Weight files of random small models: odd shapes, every kind of tensor side by side, every option of the header.

use beitle::Facts;
use beitle::file::crc::{Crc32, crc32};
use beitle::file::format::{
    ALIGN, GROUP, Header, LANES, MAGIC, Precision, Recipe, Role, Task, TensorEntry, TensorKind, VERSION,
    is_winograd, padded,
};
use beitle::file::tensors::{Form, ValidHeader, for_each_tensor};
use beitle::image::{ImageView, PixelFormat};

/// A source of choices: given bytes first, then a linear congruential generator.
pub struct Random<'a> {
    choices: &'a [u8],
    state: u64,
}

impl<'a> Random<'a> {
    pub fn new(seed: u64) -> Self {
        Random { choices: &[], state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66 }
    }

    /// Makes the first choices as the bytes say, so that a fuzzer that changes a byte changes one choice.
    #[allow(dead_code)] // the fuzz targets use it
    pub fn of_choices(choices: &'a [u8]) -> Self {
        Random { choices, ..Random::new(0) }
    }

    fn next(&mut self) -> u64 {
        if let Some((first, rest)) = self.choices.split_first() {
            self.choices = rest;
            return u64::from(*first);
        }
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.state >> 33
    }

    /// A generator for the contents of a tensor, which takes a single choice.
    fn for_tensor(&mut self) -> Random<'static> {
        Random::new(self.next())
    }

    /// A number from `low` to `high`, both included.
    pub fn range(&mut self, low: usize, high: usize) -> usize {
        low + self.next() as usize % (high - low + 1)
    }

    /// A number from −1 to 1.
    pub fn float(&mut self) -> f32 {
        (self.next() % 2001) as f32 / 1000.0 - 1.0
    }
}

/// The facts of a random model: 0 is the smallest size.
fn random_header(r: &mut Random, size: usize) -> Header {
    let heads = r.range(1, 1 + size);
    let patch = r.range(1, 2 + size);
    let (grid_width, grid_height) = (r.range(2, 3 + 2 * size), r.range(2, 3 + 2 * size));
    let blocks = r.range(0, 1 + size) as u32;
    let mut feature_blocks = [(); 4].map(|()| r.range(0, blocks as usize) as u32);
    feature_blocks[3] = blocks;
    feature_blocks.sort();
    let pool_count = r.range(0, 1 + size);
    let mut pool_scales = [0; 8];
    pool_scales[..pool_count].iter_mut().for_each(|s| *s = r.range(1, 9) as u32);
    // Tiles must divide the rows of the four maps.
    let mut winograd = [0u8; 4];
    for (tile, scale) in winograd.iter_mut().zip([4, 2, 1, 4]) {
        let wanted = [0, 2, 4][r.range(0, 2)];
        *tile = if wanted > 0 && (scale * grid_width).is_multiple_of(wanted.into()) { wanted } else { 0 };
    }
    Header {
        magic: MAGIC,
        version: VERSION,
        header_bytes: size_of::<Header>() as u32,
        file_bytes: 0,
        tensor_count: 0,
        head_crc: 0,
        width: (grid_width * patch) as u32,
        height: (grid_height * patch) as u32,
        patch: patch as u32,
        channels: (heads * r.range(1, (8 * size).max(5))) as u32,
        heads: heads as u32,
        hidden: r.range(1, (40 * size).max(20)) as u32,
        blocks,
        source_blocks: blocks + r.range(0, 2) as u32,
        feature_blocks,
        classes: [r.range(1, 20), 300][r.range(0, 5) / 5] as u32,
        pool_count: pool_count as u32,
        pool_scales,
        eps: [0.0, 1e-12, 1e-6][r.range(0, 2)],
        recipe: Recipe::ALL[r.range(0, 1)] as u32,
        mean: [0.5; 3],
        std: [0.5; 3],
        rescale: 1.0 / 255.0,
        resample: [0, 1, 2, 3, 4, 5, 16][r.range(0, 6)],
        resize: 0,
        short_side: 0,
        stride: 0,
        position: r.range(0, 1) as u32 | [0, 2, 4][r.range(0, 2)],
        reduce_labels: r.range(0, 1) as u32,
        precision: Precision::Int8 as u32,
        source_sha256: [7; 32],
        winograd,
        task: Task::Segmentation as u8,
        pooling: 0,
        token_norm: 0,
        activation: r.range(0, 2) as u8,
        picture_channels: 0,
        head_channels: [0, r.range(1, (20 * size).max(5))][r.range(0, 1)] as u32,
        stretch_width: 0,
        stretch_height: 0,
        mean4: 0.5,
        std4: 0.5,
        reserved: [0; 264],
    }
}

/// Gives the model any task and any number of channels.
fn change_task(r: &mut Random, h: &mut Header) {
    h.picture_channels = [0, 1, 2, 4][r.range(0, 3)];
    h.task = r.range(0, 2) as u8;
    if h.task == Task::Segmentation as u8 {
        return;
    }
    h.feature_blocks = [h.blocks; 4];
    (h.pool_count, h.pool_scales, h.winograd, h.head_channels) = (0, [0; 8], [0; 4], 0);
    h.classes *= u32::from(h.task == Task::Classification as u8);
    (h.pooling, h.token_norm) = (r.range(0, 1) as u8, r.range(0, 1) as u8);
    match r.range(0, 2) {
        0 => (h.resize, h.short_side) = (2, h.width.max(h.height) + r.range(0, 5) as u32),
        1 => (h.stretch_width, h.stretch_height) = (h.width + r.range(0, 5) as u32, h.height),
        _ => {}
    }
}

/// The bytes of a random picture for a model.
#[allow(dead_code)]
pub fn random_pixels(r: &mut Random, facts: &Facts, (width, height): (usize, usize)) -> Vec<u8> {
    (0..facts.picture_channels * width * height).map(|_| r.range(0, 255) as u8).collect()
}

/// Bytes of [`random_pixels`] as a picture.
#[allow(dead_code)]
pub fn picture_of<'a>(facts: &Facts, pixels: &'a [u8], size: (usize, usize)) -> ImageView<'a> {
    ImageView::packed(pixels, size.0, size.1, PixelFormat::of_channels(facts.picture_channels)).unwrap()
}

/// A weight file of a random segmentation model for RGB pictures. `size` 0 gives tiny ones.
#[allow(dead_code)] // not every test needs both
pub fn random_model(r: &mut Random, size: usize) -> Vec<u8> {
    let header = random_header(r, size);
    file_of(r, header)
}

/// A weight file of a random model of any task and for pictures of any number of channels.
#[allow(dead_code)]
pub fn random_model_of_any_task(r: &mut Random, size: usize) -> Vec<u8> {
    let mut header = random_header(r, size);
    change_task(r, &mut header);
    file_of(r, header)
}

/// A weight file with random tensors.
fn file_of(r: &mut Random, mut header: Header) -> Vec<u8> {
    let mut tensors = Vec::new();
    let valid = ValidHeader::new(&header).unwrap();
    for_each_tensor(valid, &mut |role, layer, form| {
        tensors.push(random_tensor(r, role, layer, form));
        Ok::<_, ()>(())
    })
    .unwrap();
    let mut file = vec![0; size_of::<Header>() + tensors.len() * size_of::<TensorEntry>()];
    for (entry, bytes) in &mut tensors {
        file.resize(file.len().next_multiple_of(ALIGN), 0);
        (entry.offset, entry.bytes, entry.crc) = (file.len() as u64, bytes.len() as u64, crc32(bytes));
        file.extend_from_slice(bytes);
    }
    header.file_bytes = file.len() as u64;
    header.tensor_count = tensors.len() as u32;
    let table: Vec<u8> = tensors.iter().flat_map(|(entry, _)| bytemuck::bytes_of(entry).to_vec()).collect();
    let mut crc = Crc32::new();
    crc.update(bytemuck::bytes_of(&header));
    crc.update(&table);
    header.head_crc = crc.value();
    file[..size_of::<Header>()].copy_from_slice(bytemuck::bytes_of(&header));
    file[size_of::<Header>()..][..table.len()].copy_from_slice(&table);
    file
}

/// A tensor of the required form with random contents.
fn random_tensor(r: &mut Random, role: Role, layer: u16, form: Form) -> (TensorEntry, Vec<u8>) {
    let entry = |kind: TensorKind, matrices, bias_rows, n, k| TensorEntry {
        role: role as u16,
        layer,
        kind: kind as u8,
        bias_rows,
        matrices,
        n,
        k,
        offset: 0,
        bytes: 0,
        crc: 0,
        sqnr: 0.0,
        source_bytes: 0,
        reserved: [0; 2],
    };
    match form {
        Form::Bytes(len) => (entry(TensorKind::Bytes, 0, 0, 1, len), vec![9; len as usize]),
        // Only class names have several lines.
        Form::Text(_) => {
            let text = if role == Role::ClassNames { b"a\nb\nc" } else { b"a b c" };
            (entry(TensorKind::Bytes, 0, 0, 1, 5), text.to_vec())
        }
        Form::Plain { n, k } => {
            let mut r = r.for_tensor();
            let values = (0..n * k).flat_map(|_| r.float().to_le_bytes()).collect();
            (entry(TensorKind::Plain, 0, 0, n, k), values)
        }
        Form::Linear { matrices, bias_rows, n, k } => {
            let kinds = [TensorKind::F32, TensorKind::F16, TensorKind::Int8, TensorKind::Int4];
            let kind = if is_winograd(role, matrices) { TensorKind::Int8 } else { kinds[r.range(0, 3)] };
            let mut r = r.for_tensor();
            let mut bytes = random_weights(&mut r, kind, matrices.into(), n as usize, k as usize);
            for _ in 0..bias_rows {
                bytes.extend(row(n as usize, |_| r.float()).into_iter().flat_map(f32::to_le_bytes));
            }
            (entry(kind, matrices, bias_rows, n, k), bytes)
        }
    }
}

/// `value(i)` for `n` outputs, then zeros up to a whole panel.
fn row(n: usize, mut value: impl FnMut(usize) -> f32) -> Vec<f32> {
    (0..padded(n)).map(|i| if i < n { value(i) } else { 0.0 }).collect()
}

/// Weights, scales, sums and multipliers, laid out as FORMAT.md says.
fn random_weights(r: &mut Random, kind: TensorKind, matrices: usize, n: usize, k: usize) -> Vec<u8> {
    let panels = n.div_ceil(LANES);
    let size = 1.0 / (k as f32).sqrt();
    let mut bytes = Vec::new();
    if matches!(kind, TensorKind::F32 | TensorKind::F16) {
        for (panel, _) in (0..matrices * panels).flat_map(|m| (0..k).map(move |k| (m % panels, k))) {
            for o in 0..LANES {
                let w = if panel * LANES + o < n { r.float() * size } else { 0.0 };
                match kind {
                    TensorKind::F32 => bytes.extend(w.to_le_bytes()),
                    _ => bytes.extend(half::f16::from_f32(w).to_le_bytes()),
                }
            }
        }
        return bytes;
    }
    let is_int4 = kind == TensorKind::Int4;
    let step = if is_int4 { 8 } else { 4 };
    let groups = k.div_ceil(GROUP);
    let multipliers: Vec<i8> =
        (0..matrices * panels * groups * LANES).map(|_| r.range(0, 30) as i8 - 15).collect();
    let mut sums = vec![0i32; matrices * panels * LANES];
    for panel in 0..matrices * panels {
        for group in 0..k.div_ceil(step) {
            for (o, i) in (0..LANES).flat_map(|o| (0..4).map(move |i| (o, i))) {
                // One weight, or two of four bits each.
                let mut byte = 0u8;
                for half in 0..step / 4 {
                    let input = group * step + 4 * half + i;
                    let used = input < k && panel % panels * LANES + o < n;
                    if is_int4 {
                        let u = if used { r.range(0, 15) as i32 } else { 8 };
                        let m = multipliers[(panel * groups + (input / GROUP).min(groups - 1)) * LANES + o];
                        sums[panel * LANES + o] += (u - 8) * i32::from(m);
                        byte |= (u as u8) << (4 * half);
                    } else {
                        let w = if used { r.range(0, 254) as i32 - 127 } else { 0 };
                        sums[panel * LANES + o] += w;
                        byte = w as i8 as u8;
                    }
                }
                bytes.push(byte);
            }
        }
    }
    for _ in 0..matrices {
        let scales = row(n, |_| size / if is_int4 { 60.0 } else { 127.0 } * (1.0 + r.float() / 2.0));
        bytes.extend(scales.into_iter().flat_map(f32::to_le_bytes));
    }
    bytes.extend(sums.into_iter().flat_map(i32::to_le_bytes));
    if is_int4 {
        bytes.extend(multipliers.iter().map(|m| *m as u8));
    }
    bytes
}
