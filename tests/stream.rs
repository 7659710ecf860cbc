//! `beitle stream`: frames in, results out, in order and whole, in a memory that does not grow, whatever ends the stream.
#![cfg(unix)]

#[path = "common/signals.rs"]
mod signals;

use beitle::Model;
use beitle::engine::{Engine, Output};
use beitle::file::format::Precision;
use beitle::image::{ImageView, PixelFormat, YuvMatrix, YuvRange};
use beitle::memory::{Arena, FileBytes};
use beitle::output::ClassMapMut;
use beitle::parallel::Serial;
use beitle::plan::Plan;
use beitle_quantize::{Options, Rounding, convert};
use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const MEMBERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/members");
const SIZE: (usize, usize) = (20, 14);
/// Bytes of a frame in I420 and NV12.
const FRAME: usize = SIZE.0 * SIZE.1 * 3 / 2;

/// A weight file of a tiny segmentation model, deleted at the end of the test.
struct Weights(PathBuf);

impl Weights {
    fn new(name: &str) -> Weights {
        let path = std::env::temp_dir().join(format!("beitle-stream-{name}-{}.beitle", std::process::id()));
        let mut options = Options::new(Path::new(MEMBERS).join("oblong"), &path, Precision::Int8);
        options.rounding = Rounding::Nearest;
        convert(&options, &mut |_| {}).unwrap();
        Weights(path)
    }

    fn stream(&self, args: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_beitle"))
            .args(["stream", "--threads", "1", "-m", self.0.to_str().unwrap()])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// The class map of a frame by the library.
    fn map(&self, view: &ImageView) -> Vec<u8> {
        let file = FileBytes::read(&self.0).unwrap();
        let model = Model::new(file.bytes()).unwrap();
        let size = (view.width(), view.height());
        let plan = Plan::new(&model, 1, size).unwrap();
        let mut arena = Arena::new(plan.bytes()).unwrap();
        let mut map = vec![0; size.0 * size.1];
        let mut output = Output::map(size, ClassMapMut::U8(&mut map));
        let mut engine = Engine::new(&model, &plan, beitle::Isa::detect(), arena.bytes_mut()).unwrap();
        engine.run(&Serial, view, &mut output, &mut ()).unwrap();
        map
    }
}

impl Drop for Weights {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Frame number `i`, unlike the others.
fn frame(i: usize) -> Vec<u8> {
    (0..FRAME).map(|at| (at * 7 + i * 31 + at * at * (i % 5) / 9) as u8).collect()
}

fn y4m(frames: usize, colours: &str) -> Vec<u8> {
    let mut all = format!("YUV4MPEG2 W{} H{} F30:1 {colours}\n", SIZE.0, SIZE.1).into_bytes();
    for i in 0..frames {
        all.extend(b"FRAME Xcomment\n");
        all.extend(frame(i));
    }
    all
}

/// Sends `input` to a command and returns its status, standard output and standard error.
fn ended(mut child: Child, input: Vec<u8>) -> (Option<i32>, Vec<u8>, String) {
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.status.code(), output.stdout, stderr)
}

/// Standard output of a stream that ends well, and its summary.
fn results(weights: &Weights, args: &[&str], input: Vec<u8>) -> (Vec<u8>, String) {
    let (status, stdout, stderr) = ended(weights.stream(args), input);
    assert_eq!(status, Some(0), "{args:?}: {stderr}");
    (stdout, stderr)
}

#[test]
fn maps_are_those_of_the_library_in_order() {
    let weights = Weights::new("maps");
    let expected = |format, colours: (YuvMatrix, YuvRange), quarters, frames: &[usize]| {
        let map = |i: &usize| {
            let bytes = frame(*i);
            let view = ImageView::packed(&bytes, SIZE.0, SIZE.1, format).unwrap();
            weights.map(&view.with_colours(colours.0, colours.1).rotated(quarters))
        };
        frames.iter().flat_map(map).collect::<Vec<u8>>()
    };
    let all: Vec<usize> = (0..6).collect();
    let (maps, stderr) = results(&weights, &[], y4m(6, "C420jpeg XCOLORRANGE=FULL"));
    assert!(maps == expected(PixelFormat::I420, (YuvMatrix::Bt601, YuvRange::Full), 0, &all));
    assert!(stderr.contains("6 frames in"), "{stderr}");

    let raw: Vec<u8> = (0..6).flat_map(frame).collect();
    let size = format!("{}x{}", SIZE.0, SIZE.1);
    let args = ["--format", "nv12", "--size", &size, "--rotate", "90", "--matrix", "bt709", "--every", "2"];
    let turned = expected(PixelFormat::Nv12, (YuvMatrix::Bt709, YuvRange::Limited), 1, &[0, 2, 4]);
    assert!(results(&weights, &args, raw.clone()).0 == turned);
    assert!(results(&weights, &args, Vec::new()).0.is_empty(), "no frames");

    // The other results follow from the maps.
    let maps = expected(PixelFormat::Nv12, Default::default(), 0, &all);
    let args = |more: &[&'static str]| [&["--format", "nv12", "--size", "20x14"][..], more].concat();
    let (mask, _) = results(&weights, &args(&["--emit", "mask", "--only", "kind 1,3", "--y4m"]), raw.clone());
    let (header, frames) = mask.split_at(mask.iter().position(|b| *b == b'\n').unwrap() + 1);
    assert_eq!(header, b"YUV4MPEG2 W20 H14 F25:1 Ip A1:1 Cmono XCOLORRANGE=FULL\n");
    let pixels = SIZE.0 * SIZE.1;
    for (frame, map) in frames.chunks(6 + pixels).zip(maps.chunks(pixels)) {
        assert!(frame.starts_with(b"FRAME\n"));
        let want = map.iter().map(|class| if matches!(class, 1 | 3) { 255 } else { 0 });
        assert!(frame[6..].iter().copied().eq(want));
    }
    let (json, _) = results(&weights, &args(&["--emit", "json", "--every", "5"]), raw.clone());
    let lines: Vec<Value> = json
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    assert_eq!(lines.iter().map(|line| line["frame"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 5]);
    let first = &lines[1]["classes"][0];
    let class = first["id"].as_u64().unwrap() as u8;
    let count = maps[5 * pixels..].iter().filter(|c| **c == class).count();
    assert_eq!((first["pixels"].as_u64(), first["name"].as_str().is_some()), (Some(count as u64), true));
    let (json, _) = results(&weights, &args(&["--emit", "json", "--regions", "--every", "6"]), raw.clone());
    let line: Value = serde_json::from_slice(&json).unwrap();
    let regions = line["regions"].as_array().unwrap();
    let sum: u64 = regions.iter().map(|region| region["pixels"].as_u64().unwrap()).sum();
    assert_eq!(sum, pixels as u64);
    let only = args(&["--emit", "json", "--only", "kind 1,3", "--regions", "--every", "6"]);
    let (json, _) = results(&weights, &only, raw.clone());
    let line: Value = serde_json::from_slice(&json).unwrap();
    assert!(
        line["regions"].as_array().unwrap().iter().all(|region| region["name"] == "kind 1, kind 3"),
        "{line}"
    );
    let (confidence, _) = results(&weights, &args(&["--emit", "confidence"]), raw.clone());
    assert_eq!(confidence.len(), 6 * pixels);
    let (unknown, _) = results(&weights, &args(&["--min-confidence", "0.3"]), raw.clone());
    let want = confidence.iter().zip(&maps).map(|(&c, &class)| if c < 77 { 255 } else { class });
    assert!(unknown.iter().copied().eq(want) && unknown.contains(&255) && unknown.iter().any(|&c| c < 255));
    let (overlay, _) = results(&weights, &args(&["--emit", "overlay"]), raw);
    assert_eq!(
        overlay.len(),
        b"YUV4MPEG2 W20 H14 F25:1 Ip A1:1 C444 XCOLORRANGE=FULL\n".len() + 6 * (6 + 3 * pixels)
    );
}

#[test]
fn torn_frames_and_bad_streams_are_named() {
    let weights = Weights::new("torn");
    let mut torn = y4m(4, "");
    torn.truncate(torn.len() - 9);
    let (maps, stderr) = results(&weights, &[], torn);
    assert_eq!(maps.len(), 3 * SIZE.0 * SIZE.1);
    assert!(stderr.contains("411 of 420 bytes") && stderr.contains("3 frames"), "{stderr}");
    for end in [&b"F"[..], b"FRAME", b"FRAME X"] {
        let (maps, stderr) = results(&weights, &[], [y4m(1, ""), end.to_vec()].concat());
        assert_eq!(maps.len(), SIZE.0 * SIZE.1);
        assert!(stderr.contains("0 of 420 bytes"), "{stderr}");
    }

    let refused = |args: &[&str], input: &[u8], status: i32, words: &[&str]| {
        let (found, stdout, stderr) = ended(weights.stream(args), input.to_vec());
        assert_eq!(found, Some(status), "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{stderr:?} lacks {word:?}");
        }
        stdout
    };
    refused(&[], b"", 1, &["standard input", "empty"]);
    refused(&[], b"RIFF....AVI LIST", 1, &["YUV4MPEG2", "--format and --size"]);
    refused(&[], b"YUV4MPEG2 W8 H8", 1, &["ends within the header"]);
    refused(
        &["--range", "limited", "--format", "gray", "--size", "8x8"],
        b"",
        2,
        &["--range limited", "grey"],
    );
    // A line that is too long is not cut: what follows would be taken for pixels.
    let long = [&b"YUV4MPEG2 W8 H8 "[..], &b"X".repeat(1024), b" C444\n"].concat();
    refused(&[], &long, 1, &["longer than 1024 bytes"]);
    let mut long = y4m(1, "");
    long.extend([&b"FRAME "[..], &b"X".repeat(1024), &b"\n".repeat(500)].concat());
    let stdout = refused(&[], &long, 1, &["longer than 1024 bytes"]);
    assert_eq!(stdout.len(), SIZE.0 * SIZE.1);
    refused(&[], b"YUV4MPEG2 W8 H8 C422\n", 1, &["field C", "-pix_fmt yuv420p"]);
    refused(&[], b"YUV4MPEG2 W16777216 H16777216\n", 1, &["281474976710656 pixels", "--max-pixels"]);
    refused(&["--format", "nv12"], b"", 2, &["--size"]);
    refused(&["--format", "nv12", "--size", "0x4"], b"", 2, &["--size 0x4"]);
    refused(&["/no/such/file"], b"", 1, &["/no/such/file", "cannot be opened"]);
    refused(&["--emit", "mask", "--only", "unicorn"], &y4m(1, ""), 2, &["--only unicorn"]);
    refused(&["--emit", "mask"], &y4m(1, ""), 2, &["--only"]);
    refused(&["--regions"], &y4m(1, ""), 2, &["--regions needs --emit json"]);
    let mut wrong = y4m(2, "");
    wrong.extend(b"GARBAGE\n");
    let stdout = refused(&[], &wrong, 1, &["expected FRAME"]);
    assert_eq!(stdout.len(), 2 * SIZE.0 * SIZE.1, "the frames before are written");
}

/// Resident memory of a process in KiB.
fn resident(child: &Child) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[test]
fn ten_thousand_frames_in_order_without_growing() {
    let weights = Weights::new("many");
    let mut child = weights.stream(&["--emit", "json", "--quiet"]);
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let frames = if cfg!(debug_assertions) { 500 } else { 10_000 };
    let writer = std::thread::spawn(move || {
        stdin.write_all(&y4m(0, "")).unwrap();
        for i in 0..frames {
            stdin.write_all(b"FRAME\n").unwrap();
            stdin.write_all(&frame(i)).unwrap();
        }
    });
    let (mut line, mut seen, mut early) = (Vec::new(), 0u64, 0);
    let mut buffer = [0; 1 << 14];
    loop {
        let n = stdout.read(&mut buffer).unwrap();
        if n == 0 {
            break;
        }
        for byte in &buffer[..n] {
            if *byte != b'\n' {
                line.push(*byte);
                continue;
            }
            let json: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(json["frame"].as_u64(), Some(seen));
            (line, seen) = (Vec::new(), seen + 1);
            if seen == frames as u64 / 10 {
                early = resident(&child);
            }
            if seen == frames as u64 * 9 / 10 {
                let late = resident(&child);
                assert!(late <= early + 512, "{early} KiB became {late}");
            }
        }
    }
    writer.join().unwrap();
    assert_eq!(seen, frames as u64);
    assert!(child.wait().unwrap().success());
}

/// Sends frames in a thread that counts them, until there is nobody to read them.
fn sender(mut stdin: ChildStdin, frames: usize) -> (Arc<AtomicUsize>, JoinHandle<()>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&y4m(0, ""));
        for i in 0..frames {
            if stdin.write_all(b"FRAME\n").and_then(|()| stdin.write_all(&frame(i))).is_err() {
                return;
            }
            counter.store(i + 1, Ordering::Relaxed);
        }
    });
    (sent, writer)
}

#[test]
fn a_slow_reader_of_the_output_makes_the_source_wait() {
    let weights = Weights::new("slow");
    // Nobody reads: pipes hold 64 KiB, some 230 maps and 150 frames.
    let mut child = weights.stream(&["--quiet"]);
    let (sent, writer) = sender(child.stdin.take().unwrap(), 100_000);
    std::thread::sleep(Duration::from_secs(2));
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 1000, "{sent} frames were taken");
    // The reader goes away: the stream ends without an error.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("frames in"), "{stderr}");
}

#[test]
fn with_latest_frames_are_dropped_and_the_source_never_waits() {
    const FRAMES: usize = 20_000;
    let weights = Weights::new("latest");
    let mut child = weights.stream(&["--quiet", "--latest"]);
    let (_, writer) = sender(child.stdin.take().unwrap(), FRAMES);
    // All frames are taken although nobody reads the maps.
    writer.join().unwrap();
    let mut maps = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut maps).unwrap();
    let output = child.wait_with_output().unwrap();
    let (frames, stderr) = (maps.len() / (SIZE.0 * SIZE.1), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && frames < 1000, "{frames}: {stderr}");
    assert!(stderr.contains(&format!("{frames} frames in")), "{stderr}");
    assert!(stderr.contains(&format!(", {} dropped", FRAMES - frames)), "{stderr}");
}

#[test]
fn an_interrupt_ends_the_stream_with_a_summary() {
    let Some(signal) = signals::unless_ignored("INT", 2) else { return };
    let weights = Weights::new("interrupt");
    let mut child = weights.stream(&["--quiet"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&y4m(3, "")).unwrap();
    let mut maps = vec![0; 3 * SIZE.0 * SIZE.1];
    child.stdout.as_mut().unwrap().read_exact(&mut maps).unwrap();
    // The input stays open: the reader waits for the next frame.
    let kill = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("3 frames in"), "{stderr}");
}

#[test]
fn streams_of_ffmpeg_are_read_and_read_by_it() {
    let ffmpeg = std::env::var("FFMPEG").unwrap_or("ffmpeg".into());
    if Command::new(&ffmpeg).arg("-version").output().is_err() {
        eprintln!("skipped: ffmpeg is not installed (set FFMPEG to its path)");
        return;
    }
    let weights = Weights::new("ffmpeg");
    let make = |pixels: &str, container: &[&str]| {
        let source = "testsrc2=size=48x36:rate=30:duration=2";
        let mut command = Command::new(&ffmpeg);
        command
            .args(["-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", pixels])
            .args(container)
            .arg("-");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let y4m = make("yuv420p", &["-f", "yuv4mpegpipe"]);
    let (overlay, _) = results(&weights, &["--emit", "overlay"], y4m.clone());
    // The same frames in NV12 give the same maps.
    let (maps, _) = results(&weights, &[], y4m);
    let raw = make("nv12", &["-f", "rawvideo"]);
    let (same, _) = results(&weights, &["--format", "nv12", "--size", "48x36"], raw);
    assert!(maps.len() == 60 * 48 * 36 && maps == same);
    // ffmpeg reads the overlays: as many frames of RGB.
    let mut child = Command::new(&ffmpeg)
        .args(["-v", "error", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&overlay));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(output.stdout.len(), 60 * 48 * 36 * 3);
}
