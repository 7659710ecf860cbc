//! The directory of zip archives: damaged, ambiguous, with sizes of 64 bits.

use super::archives::{archive, dict, pickle, saved, tensor};
use super::{Folder, QUERY, assert_fails, floats};
use crate::checkpoint::Checkpoint;

fn good() -> Vec<u8> {
    saved(&pickle(&dict(QUERY, &tensor("FloatStorage", 0, &[6], &[1]))))
}

/// Position of the directory's entry with this name, which must be the last of its bytes in the file.
fn directory_entry(bytes: &[u8], name: &str) -> usize {
    let at = bytes.windows(name.len()).rposition(|part| part == name.as_bytes()).unwrap() - 46;
    assert!(bytes[at..].starts_with(b"PK\x01\x02"));
    at
}

/// The archive with this number written at `field` of an entry of the directory.
fn patched(mut bytes: Vec<u8>, entry: &str, field: usize, number: &[u8]) -> Vec<u8> {
    let at = directory_entry(&bytes, entry) + field;
    bytes[at..at + number.len()].copy_from_slice(number);
    bytes
}

#[test]
fn entries_that_are_not_plain_or_outside_the_file_are_errors() {
    let folder = Folder::new();
    let fails = |bytes: Vec<u8>, part: &str| assert_fails(&folder.file("model.pth", &bytes), &[part]);
    let long = (good().len() as u32).to_le_bytes();
    let too_long = patched(patched(good(), "m/data/0", 20, &long), "m/data/0", 24, &long);
    fails(too_long, "m/data/0 in the archive extends beyond the end of the file");
    fails(patched(good(), "m/data/0", 24, &[25, 0, 0, 0]), "is compressed");
    fails(patched(good(), "m/data/0", 10, &[8, 0]), "m/data/0 in the archive is compressed");
    fails(patched(good(), "m/data/0", 8, &[1, 0]), "m/data/0 in the archive is compressed");
    let unreadable = "m/data/0 in the archive cannot be read: Invalid signature";
    fails(patched(good(), "m/data/0", 42, &[1, 0, 0, 0]), unreadable);
    fails(patched(good(), "m/data/0", 42, &[0xff; 4]), "m/data/0 in the archive cannot be read");
    let checksum = "m/data.pkl in the archive cannot be read: Invalid checksum";
    fails(patched(good(), "m/data.pkl", 16, &[0; 4]), checksum);
    fails(patched(good(), "m/data.pkl", 30, &[0xff; 2]), "its zip directory is damaged");
    fails([good(), b"x".to_vec()].concat(), "is not a zip archive");
}

#[test]
fn claims_of_the_end_record_are_not_trusted() {
    let folder = Folder::new();
    let claiming = |field: usize, claim: &[u8]| {
        let mut bytes = good();
        let at = bytes.len() - 22 + field;
        bytes[at..at + claim.len()].copy_from_slice(claim);
        folder.file("model.pth", &bytes)
    };
    // The number of entries, twice, and the directory's length.
    for (field, claim) in [(8, [0; 4]), (8, [0xff; 4]), (12, [0; 4]), (12, [0xff; 4])] {
        assert!(Checkpoint::open(&claiming(field, &claim)).is_ok());
    }
    assert_fails(&claiming(16, &[0xff; 4]), &["its zip directory is damaged"]);
}

#[test]
fn entries_with_one_name_are_errors() {
    let mut bytes =
        archive(&[("m/data.pkl", b"N."), ("m/data/0", &floats(&[1.0])), ("m/data/1", &floats(&[2.0]))]);
    while let Some(at) = bytes.windows(8).position(|part| part == b"m/data/1") {
        bytes[at + 7] = b'0';
    }
    let path = Folder::new();
    assert_fails(&path.file("model.pth", &bytes), &["two entries with the name m/data/0"]);
}

/// Overlapping entries read the same bytes of the file, no more.
#[test]
fn entries_may_overlap() {
    let folder = Folder::new();
    let offset = directory_entry(&good(), "m/data.pkl") + 42;
    let pickle_header = good()[offset..offset + 4].to_vec();
    let path = folder.file("model.pth", &patched(good(), "m/data/0", 42, &pickle_header));
    assert!(Checkpoint::open(&path).unwrap().read("blocks.0.q.weight", &[6]).is_ok());
}

/// An archive whose sizes and positions are all in the fields of 64 bits, as in files of more than 4 GB.
fn archive_64(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let (length, header) = (content.len() as u64, file.len() as u64);
        let name_length = (name.len() as u16).to_le_bytes();
        let crc = beitle::file::crc::crc32(content).to_le_bytes();
        file.extend([&b"PK\x03\x04"[..], &[0; 22], &name_length, &[0; 2], name.as_bytes(), content].concat());
        let extra = [length, length, header].map(u64::to_le_bytes).concat();
        directory.extend(
            [
                &b"PK\x01\x02"[..],
                &[0; 12],
                &crc,
                &[0xff; 8],
                &name_length,
                // Another extra field comes first.
                &[33, 0],
                &[0; 10],
                &[0xff; 4],
                name.as_bytes(),
                &[7, 0, 1, 0, 9],
                &[1, 0, 24, 0],
                &extra,
            ]
            .concat(),
        );
    }
    let sizes = [directory.len(), file.len()].map(|n| (n as u64).to_le_bytes()).concat();
    let end = ((file.len() + directory.len()) as u64).to_le_bytes();
    [
        file.as_slice(),
        &directory,
        &[&b"PK\x06\x06"[..], &44u64.to_le_bytes(), &[0; 28], &sizes].concat(),
        &[&b"PK\x06\x07"[..], &[0; 4], &end, &[1, 0, 0, 0]].concat(),
        &[&b"PK\x05\x06"[..], &[0; 4], &[0xff; 12], &[4, 0], b"note"].concat(),
    ]
    .concat()
}

#[test]
fn sizes_of_64_bits_are_read() {
    let folder = Folder::new();
    let good = pickle(&dict(QUERY, &tensor("FloatStorage", 0, &[2], &[1])));
    let bytes = archive_64(&[("m/data.pkl", &good), ("m/data/0", &floats(&[1.0, 2.0]))]);
    let path = folder.file("model.pth", &bytes);
    assert_eq!(Checkpoint::open(&path).unwrap().read("blocks.0.q.weight", &[2]).unwrap(), [1.0, 2.0]);
    // Beyond what a file can have.
    let header = bytes.windows(4).position(|part| part == [1, 0, 24, 0]).unwrap() + 20;
    let mut outside = bytes.clone();
    outside[header..header + 8].fill(0xff);
    assert_fails(&folder.file("model.pth", &outside), &["m/data.pkl in the archive cannot be read"]);
    for at in bytes.len() - 300..bytes.len() {
        for value in [0, 0x7f, 0xff] {
            let mut bad = bytes.clone();
            bad[at] = value;
            let _ = Checkpoint::open(&folder.file("model.pth", &bad));
        }
    }
}
