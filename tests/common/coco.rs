//! The compressed masks of COCO's annotations.

/// The run lengths of a text, as `rleFrString` in COCO's maskApi.c reads them.
pub fn counts(text: &[u8]) -> Vec<i64> {
    let mut counts: Vec<i64> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (mut x, mut k, mut more) = (0i64, 0, true);
        while more {
            let c = i64::from(text[at]) - 48;
            x |= (c & 0x1f) << (5 * k);
            more = c & 0x20 != 0;
            (at, k) = (at + 1, k + 1);
            if !more && c & 0x10 != 0 {
                x |= -1 << (5 * k);
            }
        }
        if counts.len() > 2 {
            x += counts[counts.len() - 2];
        }
        counts.push(x);
    }
    counts
}
