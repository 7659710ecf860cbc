//! `docs/UNSAFE.md` lists every file with unsafe code, with its counts and a reason. `BEITLE_RECORD=1` writes the counts of the
//! sources to the page; reasons are written by hand.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The source folders of the packages. Tests are not listed: they are not shipped.
const FOLDERS: [&str; 4] = ["src", "quantize/src", "models/scenes/src", "python/src"];

/// How often `unsafe` occurs outside of tests: before a block, a function, an implementation or a trait.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    blocks: usize,
    functions: usize,
    implementations: usize,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs")
            && path.file_stem().is_some_and(|s| s != "tests")
        {
            found.push(path);
        }
    }
}

/// Whether a token is one of these words.
fn is_word(token: Option<&TokenTree>, words: &[&str]) -> bool {
    matches!(token, Some(TokenTree::Ident(word)) if words.iter().any(|w| word == w))
}

/// Whether a group is that of `#[cfg(test)]`.
fn is_for_tests(group: &Group) -> bool {
    group.to_string().replace(' ', "") == "[cfg(test)]"
}

/// Counts the tokens, those in macros too.
fn count(tokens: TokenStream, counts: &mut Counts) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut i = 0;
    while let Some(token) = tokens.get(i) {
        match token {
            // An item for tests ends with its braces or a semicolon.
            TokenTree::Group(group) if is_for_tests(group) => {
                let is_end = |token: &TokenTree| match token {
                    TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                    TokenTree::Punct(punct) => punct.as_char() == ';',
                    _ => false,
                };
                i += tokens[i..].iter().position(is_end).unwrap_or(0);
            }
            TokenTree::Group(group) => count(group.stream(), counts),
            TokenTree::Ident(word) if word == "unsafe" => match tokens.get(i + 1) {
                Some(TokenTree::Group(group)) => {
                    counts.blocks += usize::from(group.delimiter() == Delimiter::Brace)
                }
                next if is_word(next, &["impl", "trait"]) => counts.implementations += 1,
                // A function pointer has no name: `unsafe fn(…)`, `unsafe extern "C" fn(…)`.
                next if is_word(next, &["fn", "extern"]) => {
                    let name = if is_word(next, &["fn"]) { i + 2 } else { i + 4 };
                    counts.functions += usize::from(!matches!(tokens.get(name), Some(TokenTree::Group(_))));
                }
                _ => {}
            },
            _ => {}
        }
        i += 1;
    }
}

/// The counts of every source file that has unsafe code.
fn sources() -> BTreeMap<String, Counts> {
    let mut files = Vec::new();
    FOLDERS.iter().for_each(|folder| rust_files(&root().join(folder), &mut files));
    let counts_of = |file: PathBuf| {
        let mut counts = Counts::default();
        count(TokenStream::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap(), &mut counts);
        let name = file.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        (counts != Counts::default()).then_some((name, counts))
    };
    files.into_iter().filter_map(counts_of).collect()
}

/// The row of a file in the page: the columns file, blocks, functions, implementations, reason.
fn row(file: &str, counts: Counts, reason: &str) -> String {
    let Counts { blocks, functions, implementations } = counts;
    format!("| `{file}` | {blocks} | {functions} | {implementations} | {reason} |")
}

#[test]
fn the_page_lists_all_unsafe_code() {
    let path = root().join("docs/UNSAFE.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut left = sources();
    let all = left.values().fold(Counts::default(), |sum, c| Counts {
        blocks: sum.blocks + c.blocks,
        functions: sum.functions + c.functions,
        implementations: sum.implementations + c.implementations,
    });
    let current = page.lines().map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, file, .., reason, _] = cells[..] else { return line.to_owned() };
        match file.strip_prefix('`').and_then(|file| file.strip_suffix('`')) {
            Some(file) => {
                let counts =
                    left.remove(file).unwrap_or_else(|| panic!("{file} has no unsafe code; delete its row"));
                assert!(reason.len() > 10, "{file} needs a reason");
                row(file, counts, reason)
            }
            None if file == "all" => {
                format!("| all | {} | {} | {} | |", all.blocks, all.functions, all.implementations)
            }
            None => line.to_owned(),
        }
    });
    let current = current.map(|line| line + "\n").collect::<String>();
    let missing: Vec<String> = left.iter().map(|(file, counts)| row(file, *counts, "")).collect();
    assert!(missing.is_empty(), "add these rows to docs/UNSAFE.md, with reasons:\n{}", missing.join("\n"));
    if std::env::var_os("BEITLE_RECORD").is_some() {
        std::fs::write(&path, &current).unwrap();
        return;
    }
    for (have, want) in page.lines().zip(current.lines()) {
        assert_eq!(have, want, "docs/UNSAFE.md: BEITLE_RECORD=1 updates it");
    }
}
