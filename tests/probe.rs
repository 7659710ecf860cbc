use beitle::engine::{Engine, Output};
use beitle::image::{ImageView, PixelFormat};
use beitle::mapped::{Arena, MappedFile};
use beitle::observe::*;
use beitle::parallel::*;
use beitle::plan::Plan;
use beitle::segment::MapMut;
use beitle::*;

struct See<'a> {
    t: safetensors::SafeTensors<'a>,
    start: std::time::Instant,
    times: std::collections::BTreeMap<Stage, (f64, u64)>,
    wants: bool,
    channels: Vec<usize>,
}
fn f32s(t: &safetensors::SafeTensors, n: &str) -> Option<(Vec<f32>, Vec<usize>)> {
    let v = t.tensor(n).ok()?;
    Some((
        v.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
        v.shape().to_vec(),
    ))
}
fn report(name: &str, got: &[f32], want: &[f32]) {
    let n = want.len() as f64;
    let mean = want.iter().map(|&x| x as f64).sum::<f64>() / n;
    let std = (want.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / n).sqrt();
    let err = got.iter().zip(want).map(|(a, b)| (a - b).abs() as f64).fold(0.0, f64::max);
    println!("{name}: max err / std {:.2e}", err / std);
}
impl Observer for See<'_> {
    fn done(&mut self, s: Stage, macs: u64) -> bool {
        let e = self.times.entry(s).or_default();
        e.0 += self.start.elapsed().as_secs_f64();
        e.1 += macs;
        self.start = std::time::Instant::now();
        true
    }
    fn wants_tensors(&self) -> bool {
        self.wants
    }
    fn tensor(&mut self, name: TensorName, data: &[f32], width: usize, pitch: usize) {
        let rows = data.len() / pitch;
        match name {
            TensorName::Stream(k) => {
                let n = if k == 0 { "embed".into() } else { format!("block.{k}") };
                if let Some((w, _)) = f32s(&self.t, &n) {
                    let mut got = vec![];
                    for r in std::iter::once(rows - 1).chain(0..rows - 1) {
                        got.extend(&data[r * pitch..][..width]);
                    }
                    report(&n, &got, &w);
                }
            }
            TensorName::Level3 | TensorName::Top | TensorName::Fpn(..) => {
                let (n, y0) = match name {
                    TensorName::Level3 => ("pyramid.3".to_string(), 0),
                    TensorName::Top => ("top".into(), 0),
                    TensorName::Fpn(l, y) => (format!("fpn.{l}"), y),
                    _ => unreachable!(),
                };
                let (w, s) = f32s(&self.t, &n).unwrap();
                let mut got = vec![];
                let mut want = vec![];
                for (i, &c) in self.channels.iter().enumerate() {
                    for p in 0..rows {
                        got.push(data[p * pitch + c]);
                        want.push(w[i * s[1] * s[2] + y0 * s[2] + p]);
                    }
                }
                report(&format!("{n}@{y0}"), &got, &want);
            }
            _ => {}
        }
    }
}

#[test]
fn probe() {
    let file = std::env::var("F").unwrap();
    let dir = std::env::var("D").unwrap();
    let isa = std::env::var("I").ok().map_or(Isa::detect(), |n| Isa::by_name(&n).unwrap());
    let threads = std::env::var("T").map_or(2, |n| n.parse().unwrap());
    let f = MappedFile::open(&file).unwrap();
    let m = Model::new(f.bytes()).unwrap();
    m.verify().unwrap();
    let pic = ["input.png", "picture.png"]
        .iter()
        .map(|n| format!("{dir}/{n}"))
        .find(|p| std::path::Path::new(p).exists())
        .unwrap();
    let img = ::image::open(pic).unwrap().to_rgb8();
    let (w, h) = (img.width() as usize, img.height() as usize);
    let par = Threads::new(threads).unwrap();
    let plan = Plan::new(&m, threads, (w, h)).unwrap();
    println!("isa {} arena {:.1} MiB", isa.name(), plan.bytes() as f64 / 1048576.0);
    let mut arena = Arena::new(plan.bytes());
    let mut e = Engine::new(&m, &plan, isa, arena.bytes()).unwrap();
    let view = ImageView::packed(&img, w, h, PixelFormat::Rgb8).unwrap();
    let mut map = vec![0u8; w * h];
    let (w0, h0) = m.facts().level(0);
    let n = m.facts().classes;
    let mut logits = vec![0f32; n * w0 * h0];
    let g = std::fs::read(format!("{dir}/goldens.safetensors")).ok();
    let empty = 2u64.to_le_bytes().iter().copied().chain(*b"{}").collect::<Vec<u8>>();
    let t = safetensors::SafeTensors::deserialize(g.as_deref().unwrap_or(&empty)).unwrap();
    let channels = std::fs::read_to_string(format!("{dir}/golden.json")).ok().map_or(vec![], |s| {
        serde_json::from_str::<serde_json::Value>(&s).unwrap()["channels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_u64().unwrap() as usize)
            .collect()
    });
    for run in 0..std::env::var("R").map_or(1, |r| r.parse().unwrap()) {
        let mut see = See {
            t: safetensors::SafeTensors::deserialize(g.as_deref().unwrap_or(&empty)).unwrap(),
            start: std::time::Instant::now(),
            times: Default::default(),
            wants: g.is_some() && run == 0,
            channels: channels.clone(),
        };
        let t0 = std::time::Instant::now();
        e.run(
            &par,
            &view,
            &mut Output { size: (w, h), map: MapMut::U8(&mut map), logits: Some(&mut logits) },
            &mut see,
        )
        .unwrap();
        let total = t0.elapsed().as_secs_f64();
        println!("total {total:.3} s");
        for (s, (sec, macs)) in &see.times {
            println!(
                "  {:16} {:8.2} ms {:8.2} GMAC {:8.1} GMAC/s",
                s.name(),
                sec * 1e3,
                *macs as f64 / 1e9,
                *macs as f64 / 1e9 / sec
            );
        }
    }
    println!("logits crc {:08x}", beitle::crc::crc32(bytemuck::cast_slice(&logits)));
    let want = match f32s(&t, "logits") {
        Some(w) => w.0,
        None => {
            let b = std::fs::read(format!("{dir}/ref.npy")).unwrap();
            b[128..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
        }
    };
    report("logits", &logits, &want);
    let px = w0 * h0;
    let arg = |l: &[f32], p: usize| (0..n).fold(0, |b, c| if l[c * px + p] > l[b * px + p] { c } else { b });
    let agree = (0..px).filter(|&p| arg(&logits, p) == arg(&want, p)).count();
    println!("agree {:.5}", agree as f64 / px as f64);
    if let Ok(mm) = t.tensor("map") {
        println!(
            "map agree {:.5}",
            mm.data().iter().zip(&map).filter(|(a, b)| a == b).count() as f64 / map.len() as f64
        );
    }
}
