//! What `beitle segment` answers besides class maps: confidences, labels, masks, regions, polygons, classes at points. The files are
//! compared with the map, and with each other.

#[path = "common/coco.rs"]
mod coco;
#[path = "common/folder.rs"]
mod folder;

use folder::Folder;
use image::{DynamicImage, GrayImage};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

impl Folder {
    fn grey(&self, name: &str) -> GrayImage {
        match image::open(self.0.join(name)).unwrap() {
            DynamicImage::ImageLuma8(image) => image,
            other => panic!("{name}: {:?}", other.color()),
        }
    }

    /// The numbers of a map, which is an indexed PNG.
    fn map(&self, name: &str) -> Vec<u8> {
        let file = std::io::BufReader::new(std::fs::File::open(self.0.join(name)).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut data = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut data).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Indexed, png::BitDepth::Eight));
        let most = *data.iter().max().unwrap();
        assert!(
            reader.info().palette.as_ref().unwrap().len() > 3 * usize::from(most),
            "a colour for each number"
        );
        data
    }
}

/// Runs `beitle segment` with the demonstration model.
fn segment(args: &[&str]) -> Output {
    let model = Path::new(ROOT).join("models/demo.beitle");
    Command::new(env!("CARGO_BIN_EXE_beitle")).args(["segment", "-m"]).arg(model).args(args).output().unwrap()
}

/// Runs it on the sample picture, with the results in the folder, and returns its JSON.
fn analysis(folder: &Folder, name: &str, args: &[&str]) -> Value {
    let (sample, output) = (format!("{ROOT}/models/sample.png"), folder.path(name));
    let result = segment(&[&[&sample, "-o", &output, "--json"], args].concat());
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
    serde_json::from_slice(&result.stdout).unwrap()
}

const WIDTH: usize = 640;
const HEIGHT: usize = 480;

#[test]
fn labels_and_unknown_pixels_follow_from_classes_and_confidences() {
    let folder = Folder::new("analysis-labels");
    analysis(&folder, "plain.png", &["--confidence"]);
    let (map, confidence) = (folder.map("plain.png"), folder.grey("plain.confidence.png").into_raw());
    assert!(confidence.iter().any(|&c| c < 128) && confidence.contains(&255));
    let labels = json!([
        {"name": "ground", "classes": ["road", 4, "PAVEMENT"], "colour": [1, 2, 3]},
        {"name": "rest", "others": true},
        {"name": "sky", "classes": ["sky"]},
    ]);
    // As editors on Windows write it.
    let file = folder.file("labels.json", format!("\u{feff}{labels}"));
    let found = analysis(&folder, "labels.png", &["--labels", &file, "--min-confidence", "0.6"]);
    let label_of = |class: u8| match class {
        2..=4 => 0,
        0 => 2,
        _ => 1,
    };
    let want = map
        .iter()
        .zip(&confidence)
        .map(|(&class, &c)| if f64::from(c) < 0.6 * 255.0 { 255 } else { label_of(class) });
    let want: Vec<u8> = want.collect();
    assert_eq!(folder.map("labels.png"), want);
    let classes = found["classes"].as_array().unwrap();
    let names: Vec<_> = classes.iter().map(|class| class["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"ground") && *names.last().unwrap() == "unknown", "{names:?}");
    for class in classes {
        let number = class["id"].as_u64().unwrap() as u8;
        let pixels = want.iter().filter(|&&label| label == number).count();
        assert_eq!(class["pixels"].as_u64(), Some(pixels as u64));
        assert!((class["share"].as_f64().unwrap() - pixels as f64 / (WIDTH * HEIGHT) as f64).abs() < 1e-12);
    }

    // A mask of labels, at the size of the logits.
    let args = ["--labels", &file, "--only", "ground", "--map-size", "logits", "--overlay"];
    let found = analysis(&folder, "mask.png", &args);
    let mask = folder.grey("mask.png");
    assert_eq!((mask.width(), mask.height()), (64, 64));
    assert_eq!((found["map_width"].as_u64(), found["width"].as_u64()), (Some(64), Some(640)));
    assert!(mask.as_raw().iter().all(|&value| value == 0 || value == 255) && mask.as_raw().contains(&255));
    let inside = mask.as_raw().iter().filter(|&&value| value == 255).count() as u64;
    let classes = found["classes"].as_array().unwrap();
    let ground = classes.iter().find(|class| class["name"] == "ground").unwrap();
    assert_eq!(ground["pixels"].as_u64(), Some(inside));
    assert_eq!(ground["id"].as_u64(), Some(255), "the value in the file");
    // Unknown pixels are not in a mask, and the rest of a mask has no regions.
    let args =
        ["--labels", &file, "--only", "ground", "--min-confidence", "0.9", "--regions", "--min-area", "50"];
    let found = analysis(&folder, "sure.png", &args);
    let sure = folder.grey("sure.png").into_raw();
    assert!(sure.iter().zip(&confidence).all(|(&mask, &c)| mask == 0 || f64::from(c) >= 0.9 * 255.0));
    let regions = found["regions"].as_array().unwrap();
    assert!(!regions.is_empty() && regions.iter().all(|region| region["id"] == 255));
    let ids: Vec<_> =
        found["classes"].as_array().unwrap().iter().map(|class| class["id"].as_u64().unwrap()).collect();
    assert!(ids.iter().all(|id| [0, 255].contains(id)), "{ids:?}");
    assert!(folder.0.join("mask.overlay.png").exists());
    assert_eq!(analysis(&folder, "small.png", &["--map-size", "32x24"])["map_height"].as_u64(), Some(24));
}

/// Twice the signed area of a polygon.
fn area(ring: &Value) -> i64 {
    let corners: Vec<[i64; 2]> = serde_json::from_value(ring.clone()).unwrap();
    let next = corners.iter().cycle().skip(1);
    corners.iter().zip(next).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum()
}

/// The pixels of a compressed mask of COCO's annotations, column by column.
fn read_mask(mask: &Value) -> Vec<bool> {
    let counts = coco::counts(mask["counts"].as_str().unwrap().as_bytes());
    counts.iter().enumerate().flat_map(|(i, &n)| std::iter::repeat_n(i % 2 == 1, n as usize)).collect()
}

#[test]
fn regions_polygons_and_masks_cover_the_map() {
    let folder = Folder::new("analysis-regions");
    let args = [
        "--regions",
        "--contours",
        "--masks",
        "--geojson",
        "--point",
        "320,400",
        "--point",
        "0,0",
        "--top",
        "3",
    ];
    let found = analysis(&folder, "map.png", &args);
    let map = folder.map("map.png");
    for class in found["classes"].as_array().unwrap() {
        let number = class["id"].as_u64().unwrap() as u8;
        let own = (0..map.len()).filter(|&at| map[at] == number);
        let (mut xs, mut ys): (Vec<_>, Vec<_>) = own.map(|at| (at % WIDTH, at / WIDTH)).unzip();
        let mean = |all: &[usize]| all.iter().sum::<usize>() as f64 / all.len() as f64;
        for (found, want) in class["centroid"].as_array().unwrap().iter().zip([mean(&xs), mean(&ys)]) {
            assert!((found.as_f64().unwrap() - want - 0.5).abs() < 0.0051);
        }
        xs.sort_unstable();
        ys.sort_unstable();
        let size = [xs[xs.len() - 1] - xs[0] + 1, ys[ys.len() - 1] - ys[0] + 1];
        assert_eq!(class["box"], json!([xs[0], ys[0], size[0], size[1]]));
        assert_eq!(class["mask"]["size"], json!([HEIGHT, WIDTH]));
        let want = (0..map.len()).map(|at| map[at % HEIGHT * WIDTH + at / HEIGHT] == number);
        assert!(read_mask(&class["mask"]).into_iter().eq(want), "{number}");
    }
    let regions = found["regions"].as_array().unwrap();
    assert_eq!(found["region_count"].as_u64(), Some(regions.len() as u64));
    let pixels = |region: &Value| region["pixels"].as_u64().unwrap() as i64;
    assert_eq!(regions.iter().map(pixels).sum::<i64>(), map.len() as i64);
    assert!(regions.iter().all(|region| area(&region["contour"]) >= 2 * pixels(region)));

    let text = std::fs::read(folder.0.join("map.geojson")).unwrap();
    let polygons: Value = serde_json::from_slice(&text).unwrap();
    let features = polygons["features"].as_array().unwrap();
    assert_eq!(features.len(), regions.len());
    let mut holes = 0;
    for feature in features {
        let rings = feature["geometry"]["coordinates"].as_array().unwrap();
        assert_eq!(feature["geometry"]["type"], "Polygon", "with 4-connectivity");
        assert!(rings.iter().all(|ring| ring[0] == ring[ring.as_array().unwrap().len() - 1]));
        let areas: Vec<i64> = rings.iter().map(area).collect();
        assert!(areas[0] > 0 && areas[1..].iter().all(|&area| area < 0), "{areas:?}");
        assert_eq!(areas.iter().sum::<i64>(), 2 * pixels(&feature["properties"]));
        holes += areas.len() - 1;
    }
    assert!(holes > 0, "the sample has regions with holes");

    let points = found["points"].as_array().unwrap();
    assert_eq!(points.len(), 2);
    for point in points {
        let (x, y) = (point["x"].as_u64().unwrap() as usize, point["y"].as_u64().unwrap() as usize);
        let classes = point["classes"].as_array().unwrap();
        assert_eq!(classes.len(), 3);
        assert_eq!(classes[0]["id"].as_u64(), Some(map[y * WIDTH + x].into()));
        assert!(classes[0]["probability"].as_f64() >= classes[1]["probability"].as_f64());
    }

    let some = analysis(
        &folder,
        "some.png",
        &["--regions", "--min-area", "500", "--max-regions", "3", "--connectivity", "8"],
    );
    let largest = some["regions"].as_array().unwrap();
    assert!(largest.len() == 3 && some["region_count"].as_u64().unwrap() > 3);
    assert!(largest.iter().all(|region| pixels(region) >= 500));
}

#[test]
fn bad_requests_are_refused() {
    let folder = Folder::new("analysis-bad");
    let (sample, output) = (format!("{ROOT}/models/sample.png"), folder.path("out.png"));
    let refused = |args: &[&str], status: i32, words: &[&str]| {
        let result = segment(&[&[&sample, "-o", &output], args].concat());
        let stderr = String::from_utf8_lossy(&result.stderr).into_owned();
        assert_eq!(result.status.code(), Some(status), "{args:?}: {stderr}");
        words.iter().for_each(|word| assert!(stderr.contains(word), "{args:?}: {stderr:?} lacks {word:?}"));
        assert!(!stderr.contains("panicked") && !Path::new(&output).exists());
    };
    refused(&["--only", "road,pony"], 2, &["--only pony", "beitle info"]);
    refused(&["--only", "12"], 2, &["--only 12"]);
    refused(&["--regions"], 2, &["--regions needs --json"]);
    refused(&["--masks"], 2, &["--masks needs --json"]);
    refused(&["--min-confidence", "1.1"], 2, &["between 0 and 1"]);
    refused(&["--map-size", "0x5"], 2, &["expected picture, logits"]);
    refused(&["--map-size", "16777216x16777216"], 1, &["--max-arena"]);
    refused(&["--connectivity", "6"], 2, &["neither 4 nor 8"]);
    refused(&["--regions", "--geojson"], 2, &["--regions needs --json"]);
    refused(&["--json", "--point", "640,0"], 1, &["--point 640,0: outside the map of 640x480 pixels"]);
    refused(&["--json", "--point", "640"], 2, &["320,240"]);
    refused(&["--labels", "/no/such.json"], 1, &["/no/such.json"]);
    let valid = r#"[{"name": "b", "others": true}]"#;
    let labels = folder.file("out.geojson", valid);
    refused(&["--labels", &labels, "--geojson"], 2, &["out.geojson"]);
    assert_eq!(std::fs::read_to_string(&labels).unwrap(), valid, "an input is not overwritten");
    refused(&["--labels", &labels, "--only", "c"], 2, &["the labels are b"]);
    let cases = [
        ("[3", "EOF"),
        ("{}", "a list of labels"),
        ("[]", "a list of labels"),
        (r#"[{"name": "a"}]"#, "\"sky\" has no label"),
        (r#"[{"name": "a", "others": true}, {"name": "b", "others": true}]"#, "two labels"),
        (r#"[{"name": "a", "classes": ["pony"], "others": true}]"#, "\"pony\" is not a class"),
        (r#"[{"name": "a", "classes": [12], "others": true}]"#, "12 is not a class"),
        (r#"[{"name": "a", "classes": "sky", "others": true}]"#, "a list of names"),
        (r#"[{"name": "a", "others": 1}]"#, "true or false"),
        (r#"[{"name": "a", "colour": [0, 1, 256], "others": true}]"#, "from 0 to 255"),
        (r#"[{"names": "a"}]"#, "unknown field \"names\""),
        (r#"[{"classes": []}]"#, "expected a \"name\""),
        (r#"[3]"#, "expected a \"name\""),
        (
            r#"[{"name": "a", "classes": [1]}, {"name": "b", "classes": ["building"], "others": true}]"#,
            "two labels",
        ),
        (r#"[{"name": "a", "classes": [1]}, {"name": "A", "others": true}]"#, "the name \"A\""),
        (r#"[{"name": " ", "others": true}]"#, "expected a \"name\""),
    ];
    for (text, word) in cases {
        let file = folder.file("labels.json", text);
        refused(&["--labels", &file], 1, &[&file, word]);
    }
}

#[test]
fn a_folder_ends_with_a_line_about_all_pictures() {
    let folder = Folder::new("analysis-folder");
    let sample = image::open(format!("{ROOT}/models/sample.png")).unwrap();
    for i in 0..5 {
        sample.crop_imm(10 * i, 0, 96, 64).to_rgb8().save(folder.0.join(format!("{i}.png"))).unwrap();
    }
    folder.file("2.png", "not a picture");
    let (input, output) = (folder.path(""), folder.path("out"));
    let result = segment(&[&input, "-o", &output, "--confidence", "--verbose"]);
    let stderr = String::from_utf8_lossy(&result.stderr);
    assert_eq!(result.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("2.png") && stderr.contains("1 of 5 pictures failed"), "{stderr}");
    let summary = stderr.lines().find(|line| line.contains("4 of 5 pictures in")).unwrap();
    assert!(
        ["per second", "reading", "running", "writing"].iter().all(|word| summary.contains(word)),
        "{summary}"
    );
    // The results are those of each picture alone, and are printed in order.
    let lines: Vec<_> = String::from_utf8_lossy(&result.stdout).lines().map(str::to_owned).collect();
    let order: Vec<_> = lines.iter().filter(|line| line.contains("written to")).collect();
    assert_eq!(order.len(), 4);
    for (line, i) in order.iter().zip([0, 1, 3, 4]) {
        assert!(line.contains(&format!("{i}.png")), "{line}");
        let alone = segment(&[&folder.path(&format!("{i}.png")), "-o", &folder.path("alone.png")]);
        assert!(alone.status.success() && alone.stderr.is_empty());
        assert_eq!(folder.map("alone.png"), folder.map(&format!("out/{i}.seg.png")));
        assert!(folder.0.join(format!("out/{i}.confidence.png")).exists());
    }
}

#[test]
fn folders_in_folders_and_runs_that_go_on() {
    let folder = Folder::new("analysis-recursive");
    let sample = image::open(format!("{ROOT}/models/sample.png")).unwrap();
    for name in ["in/a.png", "in/sub/a.png", "in/sub/deep/b.png", "in/.hidden/c.png"] {
        let path = folder.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        sample.crop_imm(0, 0, 64, 48).to_rgb8().save(path).unwrap();
    }
    let (input, output) = (folder.path("in"), folder.path("out"));
    let run = |args: &[&str]| {
        let result = segment(&[&[&input, "-o", &output], args].concat());
        let stderr = String::from_utf8_lossy(&result.stderr).into_owned();
        assert!(result.status.success(), "{stderr}");
        (
            String::from_utf8_lossy(&result.stdout)
                .lines()
                .filter(|line| line.contains("written to"))
                .count(),
            stderr,
        )
    };
    assert_eq!(run(&["-v"]).0, 1);
    assert_eq!(run(&["-v", "--recursive", "--skip-existing"]).0, 2);
    for name in ["a.seg.png", "sub/a.seg.png", "sub/deep/b.seg.png"] {
        assert_eq!(folder.map(&format!("out/{name}")).len(), 64 * 48);
    }
    assert!(!folder.0.join("out/.hidden").exists());
    assert_eq!(run(&["-v", "-r", "--skip-existing"]).0, 0);
    // The confidences are missing.
    assert_eq!(run(&["-v", "-r", "--skip-existing", "--confidence"]).0, 3);
    let (lines, stderr) = run(&["-r", "--quiet"]);
    assert_eq!((lines, stderr.as_str()), (0, ""));

    let picture = folder.path("in/a.png");
    for name in ["map.jpg", "map.TIFF", "map.npy"] {
        let result = segment(&[&picture, "-o", &folder.path(name)]);
        let stderr = String::from_utf8_lossy(&result.stderr);
        assert!(result.status.code() == Some(2) && stderr.contains("use the ending .png"), "{stderr}");
    }
    assert!(segment(&[&picture, "-o", &folder.path("map")]).status.success());
}
