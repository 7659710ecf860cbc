//! NumPy's array files, version 1.0: a magic number, a Python literal padded to a multiple of 64 bytes, the values.

use std::io::{self, Write};

/// Encodes f32 values in C order.
pub fn encode(shape: &[usize], data: &[f32]) -> Vec<u8> {
    let mut file = header(shape);
    file.extend(data.iter().flat_map(|v| v.to_le_bytes()));
    file
}

/// Writes values as they follow the header.
///
/// # Errors
/// As of `out`.
pub fn write_values(out: &mut impl Write, values: impl IntoIterator<Item = f32>) -> io::Result<()> {
    values.into_iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

/// What comes before the values of an array of this shape.
pub fn header(shape: &[usize]) -> Vec<u8> {
    let dims: Vec<String> = shape.iter().map(|n| format!("{n},")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", dims.join(" "));
    let start = 10;
    let padding = (start + header.len() + 1).next_multiple_of(64) - start - header.len() - 1;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file
}

#[cfg(test)]
mod tests {
    #[test]
    fn header_is_padded_to_a_multiple_of_64_bytes() {
        let file = super::encode(&[2, 1, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(file.len(), 128 + 24);
        assert_eq!(&file[..10], b"\x93NUMPY\x01\x00\x76\x00");
        let header = std::str::from_utf8(&file[10..128]).unwrap();
        assert!(header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 3,), }"));
        assert!(header.ends_with(" \n"));
        assert_eq!(&file[148..], 5f32.to_le_bytes());
    }
}
