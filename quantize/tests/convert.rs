//! Whole conversions: the effect of the options, invalid options, and no leftover files.

use beitle::Model;
use beitle::file::format::{Precision, Recipe, Role, Task, TensorKind};
use beitle::memory::FileBytes;
use beitle_quantize::{Names, Options, convert};
use std::path::{Path, PathBuf};

fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(case)
}

fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.beitle", std::process::id()))
}

/// Asserts that a conversion fails with a message that contains these words, and leaves no file.
fn assert_refused(options: &Options, words: &[&str]) {
    let message = convert(options, &mut |_| {}).err().expect("an error").to_string();
    for word in words {
        assert!(message.contains(word), "{message:?} lacks {word:?}");
    }
    let partial = options.output.with_extension("beitle.partial");
    assert!(!options.output.exists() && !partial.exists(), "{message}: a file was left behind");
}

#[test]
fn conversions_are_reproducible() {
    let bytes = |name: &str| {
        let output = target(name);
        convert(&Options::new(golden("relative"), &output, Precision::Int8), &mut |_| {}).unwrap();
        std::fs::read(output).unwrap()
    };
    assert_eq!(bytes("once"), bytes("twice"));
}

#[test]
fn the_input_size_can_be_changed() {
    for case in ["relative", "shared", "absolute", "nopos"] {
        for size in [(128, 128), (160, 96), (32, 64)] {
            let output = target(&format!("{case}-{}x{}", size.0, size.1));
            let mut options = Options::new(golden(case), &output, Precision::F32);
            options.size = Some(size);
            convert(&options, &mut |_| {}).unwrap();
            let file = FileBytes::read(&output).unwrap();
            let model = Model::new(file.bytes()).unwrap();
            model.verify().unwrap();
            assert_eq!((model.facts().width, model.facts().height), size, "{case}");
        }
    }
}

/// The name of a JSON file, and how it is changed.
type Change<'a> = (&'a str, &'a dyn Fn(&mut serde_json::Value));

/// The golden case "relative", with these changes to files of its folder.
fn changed_folder(name: &str, changes: &[Change]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["config.json", "preprocessor_config.json", "model.safetensors"] {
        std::fs::copy(golden("relative").join(file), folder.join(file)).unwrap();
    }
    for (file, change) in changes {
        let path = folder.join(file);
        let mut value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(path, value.to_string()).unwrap();
    }
    folder
}

#[test]
fn a_folder_without_configuration_needs_the_options_that_replace_it() {
    let folder = changed_folder("bare", &[]);
    std::fs::remove_file(folder.join("config.json")).unwrap();
    let mut options = Options::new(&folder, target("bare"), Precision::F16);
    let words = ["model.safetensors", "no config.json", "--recipe", "--taps"];
    assert_refused(&options, &words);
    options.recipe = Some(Recipe::Hf);
    assert_refused(&options, &words);
    options.feature_blocks = Some([1, 2, 3, 4]);
    convert(&options, &mut |_| {}).unwrap();
}

#[test]
fn models_run_at_the_size_of_the_preprocessor_under_hf() {
    let folder = changed_folder(
        "resized",
        &[("preprocessor_config.json", &|json| {
            json["size"] = serde_json::json!({"height": 64, "width": 128})
        })],
    );
    for (recipe, size, notes) in [(Recipe::Hf, (128, 64), 1), (Recipe::Paper, (96, 96), 0)] {
        let output = target(&format!("resized-{}", recipe.name()));
        let mut options = Options::new(&folder, &output, Precision::F16);
        options.recipe = Some(recipe);
        options.feature_blocks = Some([1, 2, 3, 4]);
        let report = convert(&options, &mut |_| {}).unwrap();
        assert_eq!(report.notes.len(), notes, "{:?}", report.notes);
        let file = FileBytes::read(&output).unwrap();
        let model = Model::new(file.bytes()).unwrap();
        assert_eq!((model.facts().width, model.facts().height), size);
    }
    let odd = changed_folder("odd", &[("preprocessor_config.json", &|json| json["size"] = 100.into())]);
    assert_refused(
        &Options::new(odd, target("odd"), Precision::F16),
        &["100x100", "multiples of the patch size 16"],
    );
}

#[test]
fn names_of_data_sets_and_files_replace_those_of_the_checkpoint() {
    // 13 classes.
    let list = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("names-{}.txt", std::process::id()));
    std::fs::write(&list, (0..13).map(|i| format!("{i} 2 3 thing {i}\n")).collect::<String>()).unwrap();
    let output = target("names");
    let mut options = Options::new(golden("relative"), &output, Precision::F16);
    options.names = Some(Names::DataSet("cityscapes".into()));
    assert_refused(&options, &["13 classes", "cityscapes has 19 names"]);
    options.names = Some(Names::File("/nowhere.txt".into()));
    assert_refused(&options, &["/nowhere.txt"]);
    options.names = Some(Names::File(list.clone()));
    convert(&options, &mut |_| {}).unwrap();
    let file = FileBytes::read(&output).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    assert_eq!((model.class_name(7), model.colour(7)), (Some("thing 7"), [7, 2, 3]));
    // The list is an input: it is never overwritten.
    options.output = list.clone();
    assert!(convert(&options, &mut |_| {}).is_err());
    assert!(std::fs::read_to_string(list).unwrap().starts_with("0 2 3"));
}

#[test]
fn the_hash_of_a_sharded_checkpoint_covers_its_shards() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shards-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for entry in std::fs::read_dir(golden("sharded")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let hash = |name: &str| {
        let output = target(name);
        convert(&Options::new(&folder, &output, Precision::F16), &mut |_| {}).unwrap();
        let file = FileBytes::read(&output).unwrap();
        Model::new(file.bytes()).unwrap().facts().source_sha256
    };
    let before = hash("shards-before");
    assert_eq!(before, hash("shards-again"));
    // A bit of the last value of a shard.
    let shard = folder.join("model-00002-of-00003.safetensors");
    let mut bytes = std::fs::read(&shard).unwrap();
    *bytes.last_mut().unwrap() ^= 0x80;
    std::fs::write(&shard, bytes).unwrap();
    assert_ne!(before, hash("shards-changed"));
}

/// The name, type, shape and bytes of a tensor.
type Tensor = (String, serde_json::Value, serde_json::Value, Vec<u8>);

/// Rewrites `model.safetensors` of a folder.
fn change_tensors(folder: &Path, change: impl Fn(&mut Vec<Tensor>)) {
    let path = folder.join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: serde_json::Map<_, _> = serde_json::from_slice(header).unwrap();
    let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__").map(|(name, facts)| {
        let [start, end] = [0, 1].map(|i| facts["data_offsets"][i].as_u64().unwrap() as usize);
        (name, facts["dtype"].clone(), facts["shape"].clone(), data[start..end].to_vec())
    });
    let mut tensors = tensors.collect();
    change(&mut tensors);
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(name, serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        data.extend(bytes);
    }
    let header = serde_json::Value::Object(header).to_string();
    std::fs::write(&path, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()).unwrap();
}

#[test]
fn all_blocks_have_layer_scale_or_none() {
    let scale = |value: serde_json::Value| {
        move |json: &mut serde_json::Value| json["layer_scale_init_value"] = value.clone()
    };
    let (some, zero) = (scale(0.1.into()), scale(0.into()));
    let is_scale = |name: &str| name.contains("lambda_");
    let options = |folder: &Path, name: &str| Options::new(folder, target(name), Precision::F32);

    let one = changed_folder("scale-one", &[("config.json", &some)]);
    change_tensors(&one, |tensors| tensors.retain(|t| !(t.0.contains(".2.") && t.0.ends_with("lambda_1"))));
    let mut lacking = options(&one, "scale-one");
    assert_refused(&lacking, &["block 2", "lambda_1", "[32]", "layer_scale_init_value"]);
    // Without a configuration, the other blocks say it.
    std::fs::remove_file(one.join("config.json")).unwrap();
    (lacking.recipe, lacking.feature_blocks) = (Some(Recipe::Hf), Some([1, 2, 3, 4]));
    assert_refused(&lacking, &["block 2", "lambda_1", "other blocks"]);
    change_tensors(&one, |tensors| tensors.retain(|t| !is_scale(&t.0)));
    convert(&lacking, &mut |_| {}).unwrap();

    let none = changed_folder("scale-none", &[("config.json", &some)]);
    change_tensors(&none, |tensors| tensors.retain(|t| !is_scale(&t.0)));
    assert_refused(&options(&none, "scale-none"), &["block 0", "lambda_1", "layer_scale_init_value"]);
    let default = changed_folder(
        "scale-default",
        &[("config.json", &|json| {
            json.as_object_mut().unwrap().remove("layer_scale_init_value");
        })],
    );
    convert(&options(&default, "scale-default"), &mut |_| {}).unwrap();
    change_tensors(&default, |tensors| tensors.retain(|t| !is_scale(&t.0)));
    assert_refused(&options(&default, "scale-none"), &["block 0", "stands for 0.1"]);

    // The same weights with tensors that the configuration says to ignore and without them.
    let weights = |folder: &Path, notes: usize| {
        let options = options(folder, "scale-zero");
        let report = convert(&options, &mut |_| {}).unwrap();
        let found =
            report.notes.iter().filter(|note| note.contains("10 tensors of layer scale are left out"));
        assert_eq!(found.count(), notes, "{:?}", report.notes);
        let file = FileBytes::read(&options.output).unwrap();
        let model = Model::new(file.bytes()).unwrap();
        let table = model.file().table();
        let linear = table.iter().filter(|e| Role::from_code(e.role) == Some(Role::Proj));
        linear.map(|e| file.bytes()[e.offset as usize..][..e.bytes as usize].to_vec()).collect::<Vec<_>>()
    };
    let zero = changed_folder("scale-zero", &[("config.json", &zero)]);
    let ignored = weights(&zero, 1);
    change_tensors(&zero, |tensors| tensors.retain(|t| !is_scale(&t.0)));
    assert!(ignored == weights(&zero, 0) && !ignored.is_empty());
}

#[test]
fn sums_beyond_the_range_of_f32_are_refused() {
    let folder = changed_folder("overflow", &[]);
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(golden("absolute").join(file), folder.join(file)).unwrap();
    }
    change_tensors(&folder, |tensors| {
        for (name, .., bytes) in tensors {
            if name.ends_with("cls_token") || name.ends_with("position_embeddings") {
                bytes[..4].copy_from_slice(&3e38f32.to_le_bytes());
            }
        }
    });
    assert_refused(
        &Options::new(folder, target("overflow"), Precision::F32),
        &["cls_token", "position_embeddings", "inf", "finite"],
    );
}

#[test]
fn the_names_of_the_tensors_choose_the_recipe() {
    let config = serde_json::json!({
        "architectures": ["BeitForSemanticSegmentation"], "hidden_size": 16, "num_hidden_layers": 12,
        "num_attention_heads": 2, "intermediate_size": 48, "image_size": 96, "num_labels": 13,
        "use_relative_position_bias": true, "out_indices": [3, 5, 7, 11]
    });
    let folder = changed_folder("named", &[("config.json", &|json| *json = config.clone())]);
    for case in ["unilm", "mmseg"] {
        let checkpoint = folder.join("model.pth");
        std::fs::copy(golden(case).join("model.pth"), &checkpoint).unwrap();
        for (stated, recipe, blocks, notes) in [
            (None, Recipe::Paper, [4, 6, 8, 12], 1),
            (Some(Recipe::Paper), Recipe::Paper, [4, 6, 8, 12], 0),
            (Some(Recipe::Hf), Recipe::Hf, [2, 4, 6, 10], 0),
        ] {
            let output = target(&format!("named-{case}"));
            let mut options = Options::new(&checkpoint, &output, Precision::F16);
            options.recipe = stated;
            let report = convert(&options, &mut |_| {}).unwrap();
            let file = FileBytes::read(&output).unwrap();
            let facts = *Model::new(file.bytes()).unwrap().facts();
            assert_eq!((facts.recipe, facts.feature_blocks), (recipe, blocks), "{case}");
            let found = report.notes.iter().filter(|note| note.contains("recipe is paper"));
            assert_eq!(found.count(), notes, "{case}: {:?}", report.notes);
        }
    }
}

#[test]
fn index_0_is_refused_for_what_it_is() {
    let folder = changed_folder(
        "zero",
        &[("config.json", &|json| json["out_indices"] = serde_json::json!([0, 1, 2, 3]))],
    );
    assert_refused(
        &Options::new(folder, target("zero"), Precision::F16),
        &["out_indices", "transformers 5", "cannot say"],
    );
}

#[test]
fn options_are_stored_in_the_file() {
    let output = target("facts");
    let mut options = Options::new(golden("relative"), &output, Precision::F16);
    options.feature_blocks = Some([0, 2, 2, 5]);
    options.heads = Some(2);
    let mut last = (0, 0);
    let report = convert(&options, &mut |now| last = (now.done, now.total)).unwrap();
    assert!(last.0 == last.1 && last.0 > 50, "{last:?}");
    let file = FileBytes::read(&output).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let facts = model.facts();
    assert_eq!((facts.feature_blocks, facts.blocks), ([0, 2, 2, 5], 5));
    assert_eq!(file.bytes().len() as u64, report.file_bytes);
    assert!(model.source().ends_with("relative/model.safetensors"), "{}", model.source());
    assert!(serde_json::from_str::<serde_json::Value>(model.report()).unwrap()["tensors"].is_array());
    assert!(report.to_string().contains("SQNR"));
}

/// The storage type of each linear tensor of a file, and the file's report.
fn linear_kinds(file: &Path) -> (Vec<(Role, u16, TensorKind)>, serde_json::Value) {
    let file = FileBytes::read(file).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    model.verify().unwrap();
    let layers = model.file().table().iter().filter_map(|e| {
        let kind = TensorKind::from_code(e.kind)?;
        (kind != TensorKind::Bytes && kind != TensorKind::Plain).then_some((
            Role::from_code(e.role)?,
            e.layer,
            kind,
        ))
    });
    (layers.collect(), serde_json::from_str(model.report()).unwrap())
}

#[test]
fn layers_below_the_sqnr_floor_stay_in_half_precision() {
    let output = target("floor");
    let mut options = Options::new(golden("relative"), &output, Precision::Int8);
    let plain = convert(&options, &mut |_| {}).unwrap();
    let mut sqnr: Vec<f32> =
        plain.tensors.iter().filter(|l| l.kind == TensorKind::Int8).map(|l| l.sqnr).collect();
    sqnr.sort_by(f32::total_cmp);
    let floor = f64::from(sqnr[sqnr.len() / 2]);
    options.sqnr_floor = Some(floor);
    let report = convert(&options, &mut |_| {}).unwrap();
    let (layers, json) = linear_kinds(&output);
    let mut in_half = 0;
    for tensor in plain.tensors.iter().filter(|l| l.kind == TensorKind::Int8) {
        let (role, layer, kind) = layers.iter().find(|l| (l.0, l.1) == (tensor.role, tensor.layer)).unwrap();
        if *kind == TensorKind::F16 {
            assert!(f64::from(tensor.sqnr) < floor + 0.01, "{} {layer}", role.name());
            let named = format!("`{}` {layer} stays in half precision", role.name());
            assert!(
                report.notes.iter().any(|n| n.starts_with(&named)),
                "{named}: missing in {:?}",
                report.notes
            );
            assert!(json["notes"].to_string().contains(&named));
            in_half += 1;
        } else {
            let stays =
                f64::from(tensor.sqnr) >= floor || matches!(role, Role::FpnConv | Role::FpnBottleneck);
            assert!(stays, "{} {layer} has {} dB, the floor is {floor}", role.name(), tensor.sqnr);
        }
    }
    assert!(in_half > 5, "{in_half} layers of {}", sqnr.len());
}

#[test]
fn auto_reaches_the_agreement_goal() {
    let output = target("auto");
    let mut options = Options::new(golden("relative"), &output, Precision::Int8);
    // A goal that plain int8 meets, one just above it that needs some layers in half precision, one out of reach.
    let mut plain = f64::NAN;
    for (goal, some, all) in [(Some(0.0), false, false), (None, true, false), (Some(1.0), true, true)] {
        let goal = goal.unwrap_or(plain + 0.002);
        options.agreement = Some(goal);
        let report = convert(&options, &mut |_| {}).unwrap();
        let (layers, json) = linear_kinds(&output);
        let steps = json["auto"]["steps"].as_array().unwrap();
        plain = steps[0]["agreement"].as_f64().unwrap();
        assert_eq!(
            report.notes.iter().filter(|n| n.contains("% of the multiplications")).count(),
            steps.len() - 1
        );
        let of = |kind| layers.iter().filter(|l| l.2 == kind).count();
        assert_eq!(json["precision"], "auto");
        assert_eq!(steps.len() > 1, some, "{steps:?}");
        assert_eq!(report.notes.iter().any(|n| n.contains("nothing is left")), all, "{:?}", report.notes);
        assert_eq!(report.notes.iter().any(|n| n.starts_with("in half precision: ")), some);
        // The embedding and the PSP branches are always in half precision, the four Winograd convolutions never.
        let always = 1 + layers.iter().filter(|l| l.0 == Role::PspBranch).count();
        assert_eq!(of(TensorKind::F16) > always, some);
        assert_eq!(of(TensorKind::Int8) == 4, all);
        assert!(steps.iter().any(|s| s["agreement"].as_f64() >= Some(goal)) || all, "{goal}: {steps:?}");
    }
    for suffix in ["int8", "half", "trial", "draft"] {
        let mut name = output.file_name().unwrap().to_owned();
        name.push(format!(".{suffix}"));
        assert!(!output.with_file_name(name).exists(), "the {suffix} file was left behind");
    }
}

#[test]
fn options_of_segmentation_do_not_apply_to_classifiers() {
    let base = Options::new(golden("members/classifier"), target("classifier"), Precision::Int8);
    assert_refused(
        &Options { feature_blocks: Some([1, 2, 3, 3]), ..base.clone() },
        &["--taps does not apply"],
    );
    assert_refused(&Options { agreement: Some(0.9), ..base.clone() }, &["does not segment pictures"]);
    // Without the configuration, the recipe must be stated, but no blocks.
    let alone = target("alone").with_file_name(format!("alone-{}", std::process::id()));
    std::fs::create_dir_all(&alone).unwrap();
    let weights = alone.join("model.safetensors");
    std::fs::copy(golden("members/classifier/model.safetensors"), &weights).unwrap();
    assert_refused(&Options { checkpoint: weights.clone(), ..base.clone() }, &["config.json", "--recipe hf"]);
    let stated = Options { checkpoint: weights, recipe: Some(Recipe::Hf), ..base.clone() };
    convert(&stated, &mut |_| {}).unwrap();
    std::fs::remove_dir_all(alone).unwrap();
    // Pictures are stretched to a size that is asked for.
    let report = convert(&Options { size: Some((96, 64)), ..base.clone() }, &mut |_| {}).unwrap();
    let about = |word: &str| report.notes.iter().filter(|note| note.contains(word)).count();
    assert_eq!(
        (about("nothing is cut off"), about("middle"), about("shortest")),
        (1, 0, 0),
        "{:?}",
        report.notes
    );
    let file = FileBytes::read(&base.output).unwrap();
    let facts = *Model::new(file.bytes()).unwrap().facts();
    assert_eq!((facts.width, facts.height, facts.fit), (96, 64, beitle::file::Fit::Stretch(96, 64)));
    assert_eq!((facts.task, facts.classes, facts.channels), (Task::Classification, 7, 32));
}

#[test]
fn a_model_for_masked_images_is_the_same_with_and_without_configuration() {
    let folder = golden("members/masked");
    let alone = target("masked").with_extension("folder");
    std::fs::create_dir_all(&alone).unwrap();
    let weights = alone.join("model.safetensors");
    std::fs::copy(folder.join("model.safetensors"), &weights).unwrap();
    let facts = |checkpoint: &Path| {
        let output = target("masked");
        let options = Options {
            recipe: Some(Recipe::Hf),
            heads: Some(2),
            ..Options::new(checkpoint, &output, Precision::F32)
        };
        let report = convert(&options, &mut |_| {}).unwrap();
        assert!(report.notes.iter().any(|note| note.contains("masked images")), "{:?}", report.notes);
        let file = FileBytes::read(&output).unwrap();
        let facts = *Model::new(file.bytes()).unwrap().facts();
        std::fs::remove_file(output).unwrap();
        (facts.task, facts.pooling, facts.token_norm)
    };
    assert_eq!(facts(&weights), facts(&folder));
    std::fs::remove_dir_all(alone).unwrap();
}

#[test]
fn invalid_options_are_refused() {
    let base = Options::new(golden("relative"), target("refused"), Precision::Int8);
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = base.clone();
        change(&mut options);
        options
    };
    assert_refused(&with(&|o| o.feature_blocks = Some([1, 2, 3, 6])), &["taps", "5"]);
    assert_refused(&with(&|o| o.feature_blocks = Some([3, 2, 3, 4])), &["taps", "ascending"]);
    assert_refused(&with(&|o| o.heads = Some(3)), &["heads"]);
    assert_refused(&with(&|o| o.heads = Some(0)), &["heads"]);
    assert_refused(&with(&|o| o.heads = Some(4)), &["relative_position_bias_table"]);
    assert_refused(&with(&|o| o.size = Some((100, 96))), &["100x96", "16"]);
    assert_refused(&with(&|o| o.size = Some((16, 96))), &["16x96"]);
    assert_refused(&with(&|o| o.size = Some((8192, 96))), &["8192x96"]);
    assert_refused(&with(&|o| o.checkpoint = golden("nothing")), &["nothing"]);
    assert_refused(&with(&|o| o.checkpoint = golden("resize")), &["resize"]);
    assert_refused(
        &with(&|o| o.output = golden("relative").join("no/such/folder.beitle")),
        &["folder.beitle", "not a folder that exists"],
    );
}
