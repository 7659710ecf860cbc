//! What the `config.json` of a transformers folder says the model is, and which of these models are converted.

use std::path::Path;

use beitle::file::format::Task;

use super::fields::Fields;
use crate::error::Error;

/// A model that is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// What it computes.
    pub task: Task,
    /// It was pre-trained on masked images, and its LayerNorm comes before the head for that.
    pub masked: bool,
    /// The backbone's configuration is an object of its own, and features are counted by stages.
    pub upernet: bool,
}

const fn beit(task: Task) -> Architecture {
    Architecture { task, masked: false, upernet: false }
}

const UPERNET: Architecture = Architecture { upernet: true, ..beit(Task::Segmentation) };

/// The architectures that are converted, by the name in `architectures`.
const CONVERTED: [(&str, Architecture); 8] = [
    ("BeitForSemanticSegmentation", beit(Task::Segmentation)),
    ("Data2VecVisionForSemanticSegmentation", beit(Task::Segmentation)),
    ("UperNetForSemanticSegmentation", UPERNET),
    ("BeitForImageClassification", beit(Task::Classification)),
    ("Data2VecVisionForImageClassification", beit(Task::Classification)),
    ("BeitModel", beit(Task::Features)),
    ("Data2VecVisionModel", beit(Task::Features)),
    ("BeitForMaskedImageModeling", Architecture { masked: true, ..beit(Task::Features) }),
];

/// Relatives of BEiT and other models of its name, by the start of `model_type` or of an entry of `architectures` in lower case, and
/// what they are.
const OTHERS: [(&str, &str); 9] = [
    (
        "beitbackbone",
        "a backbone for the head of another model, which gives feature maps and no features of a picture",
    ),
    ("dpt", "DPT, which estimates depth or segments with a head of its own, over BEiT or another backbone"),
    ("zoedepth", "ZoeDepth, which estimates depth over a BEiT backbone"),
    ("beit3", "BEiT-3, a model of pictures and text with three MLPs in each block"),
    ("beit-3", "BEiT-3, a model of pictures and text with three MLPs in each block"),
    ("eva", "EVA, which has gated MLPs and rotary positions"),
    ("layoutlmv3", "LayoutLMv3, a model of text, layout and pictures"),
    ("maskformer", "MaskFormer, which predicts masks instead of a class for each pixel"),
    ("data2vec-", "Data2Vec for text or sound"),
];

/// Checks what the configuration of a folder says the model is, before any of its tensors is read. A folder without configuration
/// passes.
///
/// # Errors
/// It is a model that is not converted; the message says what it is.
pub fn check(folder: &Path) -> Result<(), Error> {
    match Fields::read(&folder.join("config.json"))? {
        Some(fields) => of(&fields).map(|_| ()),
        None => Ok(()),
    }
}

/// What the configuration says the model is; `None` if it does not say.
pub(super) fn of(fields: &Fields) -> Result<Option<Architecture>, Error> {
    let names = fields.texts("architectures")?.unwrap_or_default();
    let found = names.iter().map(|name| (*name, converted(name))).collect::<Vec<_>>();
    if let Some((other, _)) = found.iter().find(|(_, known)| known.is_none()) {
        let known = CONVERTED.map(|(name, _)| name).join(", ");
        return Err(fields.wrong("architectures", &format!("one of {known}"), description(other)));
    }
    let architecture = found.first().and_then(|(_, architecture)| *architecture);
    let kinds: &[&str] = match architecture {
        Some(Architecture { upernet: true, .. }) => &["upernet"],
        Some(_) => &["beit", "data2vec-vision"],
        None => &["beit", "data2vec-vision", "upernet"],
    };
    let kind = fields.text("model_type")?;
    if architecture.is_none() && kind == Some("upernet") {
        return Ok(Some(UPERNET));
    }
    if let Some(kind) = kind.filter(|kind| !kinds.contains(kind)) {
        let expected = kinds.iter().map(|kind| format!("\"{kind}\"")).collect::<Vec<_>>().join(" or ");
        return Err(fields.wrong("model_type", &expected, description(kind)));
    }
    Ok(architecture)
}

fn converted(name: &str) -> Option<Architecture> {
    CONVERTED.iter().find(|(known, _)| *known == name).map(|(_, architecture)| *architecture)
}

/// A name of `architectures` or `model_type`, and what it is, if that is known.
fn description(name: &str) -> String {
    let lower = name.to_lowercase();
    match OTHERS.iter().find(|(start, _)| lower.starts_with(start)) {
        Some((_, what)) => format!("{name:?}: this is {what}"),
        None => format!("{name:?}"),
    }
}
