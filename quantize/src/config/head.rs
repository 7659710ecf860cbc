//! The fields of `config.json` that describe a segmentation head, in BEiT's own configuration and in UperNet's, and the classes.

use std::ops::Range;

use beitle::file::tensors::{MAX_BLOCKS, MAX_DIMENSION, MAX_POOL_SCALE, MAX_POOLS};

use super::fields::Fields;
use crate::error::Error;

/// Output sides of the pyramid pooling branches.
pub(super) fn pool_scales(fields: &Fields) -> Result<Vec<usize>, Error> {
    let scales = fields.counts("pool_scales", MAX_POOLS as usize, 1..=MAX_POOL_SCALE as usize)?;
    Ok(scales.unwrap_or_else(|| vec![1, 2, 3, 6]))
}

/// The names that the field `out_indices` has had, the newest first.
const INDEX_FIELDS: [&str; 3] = ["out_indices", "segmentation_indices", "semantic_out_indices"];

/// `out_indices` under any of its names, or `out_features`; `[3, 5, 7, 11]` by default, if there are so many blocks. Negative indices
/// count from the last hidden state.
pub(super) fn out_indices(
    fields: &Fields,
    layers: usize,
    notes: &mut Vec<String>,
) -> Result<Option<[usize; 4]>, Error> {
    let states = layers.min(MAX_BLOCKS as usize) + 1;
    let mut lists: Vec<(&str, [usize; 4])> = Vec::new();
    for name in INDEX_FIELDS {
        if let Some(list) = index_list(fields, name, states)? {
            lists.push((name, list));
        }
    }
    if let Some(&(name, list)) = lists.first() {
        if let Some((other, differs)) = lists[1..].iter().find(|(_, other)| *other != list) {
            notes.push(format!(
                "config.json has {name} {list:?} and {other} {differs:?}: transformers 5 reads the first, which is used \
                 here; transformers 4.33 to 4.57 read the second"
            ));
        }
        return Ok(Some(list));
    }
    if let Some(stages) = stage_list(fields, 1..states)? {
        return Ok(Some(stages));
    }
    Ok((layers >= 11).then_some([3, 5, 7, 11]))
}

/// What a list of features is expected to be.
pub(super) const FOUR_BLOCKS: &str = "four ascending block numbers";

/// Four hidden states of `states`. Negative indices count from the last.
pub(super) fn index_list(fields: &Fields, name: &str, states: usize) -> Result<Option<[usize; 4]>, Error> {
    let Some(found) = fields.indices(name, 4, states - 1)? else { return Ok(None) };
    let from_start =
        found.iter().map(|&i| if i < 0 { (states as i64 + i) as usize } else { i as usize }).collect();
    four_ascending(fields, name, FOUR_BLOCKS, from_start).map(Some)
}

/// The four stages of `out_features`, the numbers in their names; 0 is the embedding, "stem".
pub(super) fn stage_list(fields: &Fields, stages: Range<usize>) -> Result<Option<[usize; 4]>, Error> {
    let Some(names) = fields.texts("out_features")? else { return Ok(None) };
    let expected = "four ascending names such as \"stage4\"";
    let number = |name: &&str| {
        let number = if *name == "stem" { 0 } else { name.strip_prefix("stage")?.parse().ok()? };
        Some(number).filter(|stage| stages.contains(stage))
    };
    let found: Option<Vec<usize>> = names.iter().map(number).collect();
    let found = found.ok_or_else(|| fields.wrong("out_features", expected, format!("{names:?}")))?;
    four_ascending(fields, "out_features", expected, found).map(Some)
}

fn four_ascending(
    fields: &Fields,
    name: &str,
    expected: &str,
    found: Vec<usize>,
) -> Result<[usize; 4], Error> {
    match <[usize; 4]>::try_from(found.as_slice()) {
        Ok(four) if four.windows(2).all(|pair| pair[0] < pair[1]) => Ok(four),
        _ => Err(fields.wrong(name, expected, format!("{found:?}"))),
    }
}

/// The number of classes, which is that of the entries of `id2label` as in transformers, and their names. A class without an entry
/// gets the name of an entry without a class.
pub(super) fn classes(fields: &Fields, notes: &mut Vec<String>) -> Result<(usize, Vec<String>), Error> {
    let Some(map) = fields.object("id2label")? else {
        let count = fields.count("num_labels", 1..=MAX_DIMENSION as usize)?.unwrap_or(2);
        return Ok((count, (0..count).map(|number| format!("LABEL_{number}")).collect()));
    };
    if !(1..=MAX_DIMENSION as usize).contains(&map.len()) {
        return Err(fields.wrong("id2label", &format!("1 to {MAX_DIMENSION} classes"), map.len()));
    }
    let mut names = vec![None; map.len()];
    let mut others = Vec::new();
    for (key, name) in map {
        let wrong = || fields.wrong("id2label", "names with numbers as keys", format!("{key:?}: {name}"));
        let number = key.parse::<u32>().map_err(|_| wrong())?;
        let name = name.as_str().ok_or_else(wrong)?;
        match names.get_mut(number as usize) {
            Some(place @ None) => *place = Some(name.to_string()),
            Some(_) => return Err(wrong()),
            None => others.push((number, name.to_string())),
        }
    }
    others.sort();
    if let Some((number, _)) = others.first() {
        notes.push(format!(
            "id2label has {} entries, hence as many classes, but numbers such as {number}: classes without an \
             entry get these names",
            names.len()
        ));
    }
    let mut others = others.into_iter().map(|(_, name)| name);
    let names: Vec<String> = names.into_iter().filter_map(|name| name.or_else(|| others.next())).collect();
    Ok((names.len(), names))
}
