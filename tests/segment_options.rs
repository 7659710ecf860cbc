//! `beitle segment`: where results go and what they are called, colours, what is printed, and when the weight file is verified.

#[path = "common/folder.rs"]
mod folder;

use folder::Folder;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo.beitle");
const PICTURE: &[u8] = include_bytes!("../models/sample.png");

/// A picture of 12x8 pixels, the upper half bright.
fn small_picture() -> Vec<u8> {
    [b"P6 12 8 255\n".as_slice(), &[200; 3 * 48], &[60; 3 * 48]].concat()
}

/// `beitle segment` with a model in the folder, which also holds the cache.
fn command_with(folder: &Folder, model: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beitle"));
    command.args(["segment", "-m", model]).args(args).current_dir(&folder.0);
    command.env("XDG_CACHE_HOME", folder.0.join("cache"));
    command
}

fn command(folder: &Folder, args: &[&str]) -> Command {
    command_with(folder, MODEL, args)
}

fn run(folder: &Folder, args: &[&str]) -> Output {
    let output = command(folder, args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    output
}

fn fails(folder: &Folder, args: &[&str], status: i32, words: &str) {
    let output = command(folder, args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
    assert!(stderr.contains(words), "{args:?} does not say {words:?}: {stderr}");
}

#[test]
fn a_picture_goes_from_standard_input_to_standard_output() {
    let folder = Folder::new("segment-pipe");
    folder.file("photo.png", PICTURE);
    run(&folder, &["photo.png", "-o", "map.png", "--overlay"]);
    let mut child = command(&folder, &["-", "-o", "-", "--overlay"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(PICTURE).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let read = |name: &str| std::fs::read(folder.0.join(name)).unwrap();
    assert_eq!(output.stdout, read("map.png"), "the map alone");
    assert_eq!(read("stdin.overlay.png"), read("map.overlay.png"));

    fails(&folder, &["-"], 1, "standard input: ");
    fails(&folder, &["photo.png", "-o", "-", "--json"], 2, "--json");
    folder.file("-", "a file of this name is no result");
    assert_eq!(run(&folder, &["photo.png", "-o", "-", "--skip-existing"]).stdout, read("map.png"));
    fails(&folder, &[".", "-o", "-"], 2, "-o -: standard output");
    fails(&folder, &["photo.png", "-o", "-", "--name", "{stem}.png"], 2, "-o -: standard output");
    fails(&folder, &["photo.png", "--logits", "-"], 2, "--logits -: ");
}

#[test]
fn maps_are_named_by_a_pattern() {
    let folder = Folder::new("segment-names");
    folder.file("a.ppm", small_picture());
    folder.file("b.c.ppm", small_picture());
    run(&folder, &[".", "-o", "out", "--name", "{stem}-{model}.png", "--confidence"]);
    let mut names: Vec<_> = std::fs::read_dir(folder.0.join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["a-demo.confidence.png", "a-demo.png", "b.c-demo.confidence.png", "b.c-demo.png"]);
    // The maps are no pictures for another run, whatever they are called.
    run(&folder, &[".", "--name", "{stem}-{model}.png"]);
    run(&folder, &[".", "-r", "--name", "{stem}-{model}.png", "--skip-existing"]);
    let maps = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(maps.filter(|name| name.to_string_lossy().ends_with(".png")).count(), 2);
    fails(&folder, &["a.ppm", "-o", "named.png", "--name", "{stem}.png"], 2, "named.png");
    assert!(!folder.0.join("named.png").exists());
    fails(&folder, &[".", "--name", "same.png"], 2, "same.png");
    fails(&folder, &[".", "--name", "{class}.png"], 2, "{stem}");
}

#[test]
fn many_pictures_are_printed_only_if_asked_for() {
    let folder = Folder::new("segment-verbose");
    folder.file("a.ppm", small_picture());
    let printed = |args: &[&str]| String::from_utf8(run(&folder, args).stdout).unwrap();
    assert!(printed(&["a.ppm"]).contains(" %  "), "a table for one picture");
    assert_eq!(printed(&["a.ppm", "--quiet"]), "");
    folder.file("b.ppm", small_picture());
    assert_eq!(printed(&["a.ppm", "b.ppm"]), "");
    assert_eq!(printed(&["a.ppm", "b.ppm", "-v"]).matches("written to").count(), 2);
    assert_eq!(printed(&["a.ppm", "b.ppm", "--json"]).lines().count(), 2);
    fails(&folder, &["a.ppm", "-v", "-q"], 2, "--quiet");
}

/// A picture in a folder is opened to see whether it is a map; what is no file must not be waited for.
#[test]
#[cfg(unix)]
fn a_pipe_in_a_folder_is_an_error() {
    let folder = Folder::new("segment-fifo");
    folder.file("a.ppm", small_picture());
    assert!(Command::new("mkfifo").arg(folder.path("b.png")).status().unwrap().success());
    fails(&folder, &["."], 1, "b.png: is not a regular file");
}

/// The colours of an overlay without a legend, and those of the map's palette.
fn colours(folder: &Folder) -> (image::RgbImage, Vec<u8>) {
    let overlay = image::open(folder.0.join("a.seg.overlay.png")).unwrap().into_rgb8();
    let map = std::fs::File::open(folder.0.join("a.seg.png")).unwrap();
    let reader = png::Decoder::new(std::io::BufReader::new(map)).read_info().unwrap();
    (overlay, reader.info().palette.as_ref().unwrap().to_vec())
}

#[test]
fn colours_are_those_of_the_palette() {
    let folder = Folder::new("segment-palette");
    folder.file("a.ppm", small_picture());
    let lines: String =
        (0..12).map(|class| format!("{} {} 7 class {class}\n", 20 * class, 255 - class)).collect();
    folder.file("streets.txt", &lines);
    let overlay = ["a.ppm", "-o", "a.seg.png", "--overlay", "--no-legend", "--alpha", "1", "--palette"];
    run(&folder, &[&overlay[..], &["streets.txt"]].concat());
    let (overlay_of_file, palette) = colours(&folder);
    assert_eq!((overlay_of_file.dimensions(), &palette[3..6]), ((12, 8), &[20, 254, 7][..]));
    // A pixel has the colour of its class, or is on a border between two classes: that colour blended with white.
    let is_colour = |pixel: &image::Rgb<u8>| (0..12).any(|class| pixel.0 == [20 * class, 255 - class, 7]);
    let is_border = |pixel: &image::Rgb<u8>| pixel.0[2] == ((7 + 2 * 255) / 3) as u8;
    assert!(overlay_of_file.pixels().all(|pixel| is_colour(pixel) || is_border(pixel)));
    assert!(overlay_of_file.pixels().any(is_colour));
    let labels = r#"[{"name": "way", "classes": ["road"]}, {"name": "rest", "others": true}]"#;
    folder.file("labels.json", labels);
    run(&folder, &[&overlay[..], &["okabe-ito", "--labels", "labels.json"]].concat());
    assert_eq!(colours(&folder).1[..6], [230, 159, 0, 86, 180, 233]);
    fails(&folder, &["a.ppm", "--palette", "okabe-ito"], 2, "8 colours; the map has 12");

    folder.file("short.txt", "#ff0000\n");
    fails(&folder, &["a.ppm", "--palette", "short.txt"], 2, "1 colours; the map has 12");
    fails(&folder, &["a.ppm", "--palette", "no-such-file"], 2, "okabe-ito");
    folder.file("colours.png", &lines);
    fails(&folder, &["a.ppm", "-o", "colours.png", "--palette", "colours.png"], 2, "colours.png");
    fails(&folder, &["a.ppm", "--overlay", "--alpha", "1.5"], 2, "between 0 and 1");
    fails(&folder, &["a.ppm", "--no-legend"], 2, "--overlay");
    assert_eq!(std::fs::read_to_string(folder.0.join("colours.png")).unwrap(), lines, "not overwritten");
}

/// Changes one byte in the last tenth of a file, where the weights are.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() * 9 / 10;
    bytes[at] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_weight_file_is_verified_when_it_is_used_for_the_first_time() {
    let folder = Folder::new("segment-verify");
    folder.file("a.ppm", small_picture());
    std::fs::copy(MODEL, folder.0.join("good.beitle")).unwrap();
    std::fs::copy(MODEL, folder.0.join("bad.beitle")).unwrap();
    damage(&folder.0.join("bad.beitle"));
    let (good, bad) = ("good.beitle", "bad.beitle");
    let segment = |model: &str, more: &[&str]| {
        command_with(&folder, model, &[&["a.ppm"], more].concat()).output().unwrap()
    };
    let refused = |output: &Output| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("bad.beitle") && stderr.contains("checksum"), "{stderr}");
    };
    let remembered = || std::fs::read_to_string(folder.0.join("cache/beitle/verified")).unwrap_or_default();

    refused(&segment(bad, &[]));
    refused(&segment(bad, &["--verify"]));
    assert_eq!(remembered(), "", "a damaged file is not remembered");
    assert!(segment(bad, &["--verify=never"]).status.success(), "the user's own decision");
    assert!(segment(good, &[]).status.success() && segment(good, &[]).status.success());
    assert_eq!(remembered().lines().count(), 1);
    assert!(remembered().trim_end().ends_with("good.beitle"), "{}", remembered());

    // It is verified again after it has been replaced, even by a file with the same length and time.
    let modified = std::fs::metadata(folder.0.join("good.beitle")).unwrap().modified().unwrap();
    std::fs::rename(folder.0.join("good.beitle"), folder.0.join("old.beitle")).unwrap();
    std::fs::rename(folder.0.join("bad.beitle"), folder.0.join("good.beitle")).unwrap();
    let replaced = std::fs::File::options().write(true).open(folder.0.join("good.beitle")).unwrap();
    replaced.set_modified(modified).unwrap();
    drop(replaced);
    let output = segment(good, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(cfg!(not(unix)) || output.status.code() == Some(1), "{stderr}");

    // A file in the record's place that is no record stays, and is not waited for.
    let record = folder.0.join("cache/beitle/verified");
    std::fs::write(&record, "somebody's notes").unwrap();
    assert!(segment("old.beitle", &[]).status.success());
    assert_eq!(remembered(), "somebody's notes");
}
