//! Every golden checkpoint, and every way a checkpoint can be broken.

use std::path::{Path, PathBuf};

use super::*;

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

fn file(name: &str) -> PathBuf {
    let folder = case(name);
    if folder.join("model.pth").is_file() { folder.join("model.pth") } else { folder }
}

#[test]
fn every_golden_opens() {
    for name in [
        "relative", "both", "absolute", "nopos", "noscale", "two", "sharded", "bf16", "head24", "odd7",
        "many", "pools", "last", "shared", "oldbin", "unilm", "mmseg",
    ] {
        let checkpoint = Checkpoint::open(&file(name)).unwrap();
        let names: Vec<String> = checkpoint.names().map(str::to_string).collect();
        for name in names {
            let shape = checkpoint.shape(&name).unwrap().to_vec();
            let values = checkpoint.read(&name, &shape).unwrap();
            assert_eq!(values.len(), shape.iter().product::<usize>());
        }
    }
}
