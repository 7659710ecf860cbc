//! Every golden checkpoint, and every way a checkpoint can be broken.

use std::path::{Path, PathBuf};

use super::*;

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

#[test]
fn safetensors_folders_open() {
    for name in [
        "relative", "both", "absolute", "nopos", "noscale", "two", "sharded", "bf16", "head24", "odd7",
        "many", "pools", "last",
    ] {
        let checkpoint = Checkpoint::open(&case(name)).unwrap();
        let names: Vec<String> = checkpoint.names().map(str::to_string).collect();
        for name in names {
            let shape = checkpoint.shape(&name).unwrap().to_vec();
            let values = checkpoint.read(&name, &shape).unwrap();
            assert_eq!(values.len(), shape.iter().product::<usize>());
        }
    }
}
