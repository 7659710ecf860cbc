//! Imports go one way: no file imports, through others, from itself, and the engine's modules import only from the floors
//! below their own (`docs/ARCHITECTURE.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::Visit;

/// The engine's modules, the lowest floor first.
const FLOORS: &[&str] = &[
    "error",
    "file",
    "image",
    "views",
    "output",
    "observe",
    "parallel",
    "memory",
    "simd",
    "ops",
    "kernel_list",
    "arena",
    "model",
    "plan",
    "engine",
];

/// The source folders of the crates and the files that are their roots.
const CRATES: &[(&str, &str)] = &[
    ("src", "lib.rs"),
    ("src/ffi", "lib.rs"),
    ("src/files", "lib.rs"),
    ("src/pictures", "lib.rs"),
    ("src/bin/beitle", "main.rs"),
    ("quantize/src", "lib.rs"),
    ("quantize/src/bin/beitle-quantize", "main.rs"),
    ("models/scenes/src", "lib.rs"),
    ("python/src", "lib.rs"),
    ("models/scenes/src/bin/scenes", "main.rs"),
];

/// The path of a module, from the crate's root.
type Module = Vec<String>;

/// The files of a crate by module. Binaries of their own under `src/bin` and other crates' folders are left out.
fn modules(folder: &Path, root: &str) -> BTreeMap<Module, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(folder.to_path_buf(), Module::new())];
    while let Some((dir, module)) = folders.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let child = |name: &str| [&module[..], &[name.to_owned()]].concat();
            if path.is_dir() {
                let other = name == "bin" || path.join("Cargo.toml").exists();
                if !other {
                    folders.push((path, child(&name)));
                }
            } else if name == root && module.is_empty() || name == "mod.rs" {
                found.insert(module.clone(), path);
            } else if let Some(stem) = name.strip_suffix(".rs") {
                found.insert(child(stem), path);
            }
        }
    }
    found
}

/// Collects the paths of a file that start at `crate`, `super` or `self`, resolved to module paths.
struct Paths<'a> {
    /// The file's module, followed by the inline modules that the visitor is in.
    here: Module,
    modules: &'a BTreeMap<Module, PathBuf>,
    targets: BTreeSet<Module>,
}

impl Paths<'_> {
    /// Records the file that a path leads to: the longest prefix of the path that is a module.
    fn note(&mut self, path: &[String]) {
        let mut at = match path.first().map(String::as_str) {
            Some("crate") => Module::new(),
            Some("self" | "super") => self.here.clone(),
            // A path relative to this module.
            Some(first) if self.modules.contains_key(&[&self.here[..], &[first.into()]].concat()) => {
                self.here.clone()
            }
            _ => return,
        };
        let mut target = None;
        for name in path {
            match name.as_str() {
                "crate" | "self" => {}
                "super" => drop(at.pop()),
                name => {
                    at.push(name.to_owned());
                    if !self.modules.contains_key(&at) {
                        at.pop();
                        break;
                    }
                }
            }
            target = Some(at.clone());
        }
        self.targets.extend(target.filter(|target| self.modules.contains_key(target)));
    }

    fn note_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        match tree {
            syn::UseTree::Path(path) => {
                self.note_use(&path.tree, &[before, &[path.ident.to_string()]].concat());
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.note_use(item, before)),
            syn::UseTree::Name(name) => self.note(&[before, &[name.ident.to_string()]].concat()),
            syn::UseTree::Rename(name) => self.note(&[before, &[name.ident.to_string()]].concat()),
            syn::UseTree::Glob(_) => self.note(before),
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_use(&item.tree, &[]);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // `pub(in path)` imports nothing.
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
            self.note(&names);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.here.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.here.pop();
    }
}

/// Which modules each module of a crate imports from.
fn imports(folder: &str, root: &str) -> BTreeMap<Module, BTreeSet<Module>> {
    let modules = modules(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(folder), root);
    let mut imports = BTreeMap::new();
    for (module, path) in &modules {
        let file = syn::parse_file(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut paths = Paths { here: module.clone(), modules: &modules, targets: BTreeSet::new() };
        paths.visit_file(&file);
        paths.targets.remove(module);
        imports.insert(module.clone(), paths.targets);
    }
    imports
}

fn name(module: &Module) -> String {
    if module.is_empty() { "the crate's root".into() } else { module.join("::") }
}

#[test]
fn no_files_import_each_other_in_a_cycle() {
    for (folder, root) in CRATES {
        let mut left = imports(folder, root);
        // Files that import from no remaining file cannot be part of a cycle.
        while let Some(free) = left.iter().find(|(_, to)| to.iter().all(|to| !left.contains_key(to))) {
            let free = free.0.clone();
            left.remove(&free);
        }
        // Neither can files that no remaining file imports from.
        while let Some(free) = left.keys().find(|m| left.values().all(|to| !to.contains(*m))).cloned() {
            left.remove(&free);
        }
        let cycle: Vec<String> = left
            .iter()
            .map(|(m, to)| {
                let to: Vec<_> = to.iter().filter(|to| left.contains_key(*to)).map(name).collect();
                format!("{} -> {}", name(m), to.join(", "))
            })
            .collect();
        assert!(cycle.is_empty(), "{folder}: files import each other in a cycle:\n{}", cycle.join("\n"));
    }
}

#[test]
fn the_engine_imports_downwards_only() {
    let floor = |module: &Module| FLOORS.iter().position(|floor| *floor == module[0]);
    for (module, targets) in imports("src", "lib.rs") {
        // The root re-exports.
        if module.is_empty() {
            continue;
        }
        let from = floor(&module).unwrap_or_else(|| panic!("`{}` has no floor in this test", name(&module)));
        for target in targets {
            let to = if target.is_empty() { usize::MAX } else { floor(&target).unwrap_or(usize::MAX) };
            assert!(to <= from, "`{}` imports from `{}`, a floor above it", name(&module), name(&target));
        }
    }
}
