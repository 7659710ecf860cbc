//! The twelve classes of a pixel: names, display colours and label values.

/// The name of every class, in the order of the labels.
pub const CLASSES: [&str; 12] = [
    "sky", "building", "road", "pavement", "grass", "water", "tree", "fence", "pole", "sign", "car", "person",
];

/// A display colour (red, green, blue) for every class.
pub const PALETTE: [[u8; 3]; 12] = [
    [110, 170, 230],
    [150, 90, 80],
    [100, 90, 110],
    [220, 150, 200],
    [150, 220, 110],
    [40, 90, 190],
    [40, 120, 40],
    [200, 160, 100],
    [240, 240, 120],
    [250, 200, 0],
    [30, 30, 140],
    [220, 30, 60],
];

pub(crate) const SKY: u8 = 0;
pub(crate) const BUILDING: u8 = 1;
pub(crate) const ROAD: u8 = 2;
pub(crate) const PAVEMENT: u8 = 3;
pub(crate) const GRASS: u8 = 4;
pub(crate) const WATER: u8 = 5;
pub(crate) const TREE: u8 = 6;
pub(crate) const FENCE: u8 = 7;
pub(crate) const POLE: u8 = 8;
pub(crate) const SIGN: u8 = 9;
pub(crate) const CAR: u8 = 10;
pub(crate) const PERSON: u8 = 11;
