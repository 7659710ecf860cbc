//! Scenes keep their bytes, differ by seed, show every class and come in any size.

use beitle_scenes::{CLASSES, HELD_OUT, PALETTE, Scene};

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// The recorded hashes change only if scenes are changed on purpose.
#[test]
fn scenes_keep_their_recorded_bytes() {
    let picture = Scene::new(7).render(64, 64);
    assert_eq!((hash(&picture.rgb), hash(&picture.labels)), (16416695098222106015, 11206030408436574755));
    let picture = Scene::new(HELD_OUT).render(160, 120);
    assert_eq!((hash(&picture.rgb), hash(&picture.labels)), (18244158173478145461, 1057845384170060151));
}

#[test]
fn different_seeds_give_different_scenes() {
    assert_ne!(Scene::new(1).render(32, 32).rgb, Scene::new(2).render(32, 32).rgb);
}

#[test]
fn every_class_is_in_a_fifth_of_the_scenes() {
    let mut scenes_with = [0; CLASSES.len()];
    for seed in 0..100 {
        let mut counts = [0; CLASSES.len()];
        for label in Scene::new(seed).render(96, 96).labels {
            counts[usize::from(label)] += 1;
        }
        for (scenes, count) in scenes_with.iter_mut().zip(counts) {
            *scenes += u32::from(count >= 20);
        }
    }
    for (class, scenes) in CLASSES.iter().zip(scenes_with) {
        assert!(scenes >= 20, "{class} is in {scenes} of 100 scenes");
    }
}

#[test]
fn any_size_can_be_drawn() {
    for (width, height) in [(1, 1), (1, 40), (40, 1), (17, 301), (301, 17), (8, 8), (9, 7)] {
        for seed in 0..40 {
            let picture = Scene::new(seed).render(width, height);
            assert_eq!(picture.rgb.len(), width * height * 3);
            assert_eq!(picture.labels.len(), width * height);
            assert!(picture.labels.iter().all(|&l| usize::from(l) < CLASSES.len()));
        }
    }
}

#[test]
fn pictures_are_neither_black_nor_overexposed() {
    for seed in 0..200 {
        let rgb = Scene::new(seed).render(48, 48).rgb;
        let mean = rgb.iter().map(|&v| u64::from(v)).sum::<u64>() / rgb.len() as u64;
        assert!((12..=235).contains(&mean), "seed {seed} has mean {mean}");
    }
}

#[test]
fn palette_colours_differ() {
    for (i, a) in PALETTE.iter().enumerate() {
        assert!(PALETTE.iter().skip(i + 1).all(|b| a != b));
    }
}
