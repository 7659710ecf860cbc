//! The binary interface of the C library, as the header declares it. `src/capi/abi.txt` records it line by line, so that no
//! change to it goes unnoticed, and the Rust functions must have the parameters of the C declarations. Layouts are those of a
//! C compiler; without one only the declarations are compared.
//!
//! To record again: `BEITLE_RECORD=1 cargo test --release -p beitle-ffi --test c_abi`. `docs/decisions/037-c-library.md` says
//! which changes need a new SONAME.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Declared in the header, but defined by programs that link the library without `std`.
const PROVIDED_BY_PROGRAM: &str = "beitle_panicked";
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What the header declares, each declaration on one line.
#[derive(Default)]
struct Header {
    /// Names of macros with a value, and of enumerators.
    constants: Vec<String>,
    /// Names of types and the types that they stand for.
    aliases: Vec<(String, String)>,
    /// Names of structures and their fields.
    structs: Vec<(String, Vec<String>)>,
    /// Prototypes by name.
    functions: BTreeMap<String, String>,
}

/// The text with single spaces, and none where C needs none.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(").replace(" )", ")")
}

/// The name that a declaration of a field, a type or a function declares.
fn declared_name(declaration: &str) -> String {
    let (before, rest) = declaration.split_once(['(', '[']).unwrap_or((declaration, ""));
    // A pointer to a function: its name follows the first parenthesis.
    let before = rest.strip_prefix('*').map_or(before, |pointer| pointer.split(')').next().unwrap());
    before.rsplit([' ', '*']).next().unwrap().to_owned()
}

fn without_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |out, part| out + part.split_once("*/").expect("a comment ends").1)
}

impl Header {
    fn parse(text: &str) -> Header {
        let mut header = Header::default();
        let mut code = String::new();
        let mut in_cplusplus = false;
        for line in without_comments(text).lines() {
            match line.strip_prefix('#') {
                Some("ifdef __cplusplus") => in_cplusplus = true,
                Some("endif") => in_cplusplus = false,
                Some(directive) => {
                    let words: Vec<_> = directive.split_whitespace().collect();
                    // The version is no part of the interface: it changes with every release.
                    if words[0] == "define" && words.len() > 2 && !words[1].starts_with("BEITLE_VERSION") {
                        assert!(!words[1].contains('('), "{line}: macros with parameters are not recorded");
                        header.constants.push(words[1].into());
                    }
                }
                None if !in_cplusplus => code += &(line.to_owned() + "\n"),
                None => {}
            }
        }
        let mut depth = 0;
        let top_level = |c: char| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ';' && depth == 0
        };
        code.split(top_level).map(squeeze).filter(|d| !d.is_empty()).for_each(|d| header.declaration(&d));
        header
    }

    fn declaration(&mut self, declaration: &str) {
        let body = |rest: &str| rest.split_once('{').unwrap().1.rsplit_once('}').unwrap().0.to_owned();
        if declaration.starts_with("enum {") {
            let names = body(declaration);
            self.constants.extend(names.split(',').map(|n| n.split('=').next().unwrap().trim().into()));
        } else if let Some(rest) = declaration.strip_prefix("typedef struct ") {
            let name = rest.split(' ').next().unwrap().to_owned();
            let fields = body(rest).split(';').map(squeeze).filter(|f| !f.is_empty()).collect();
            self.structs.push((name, fields));
        } else if let Some(rest) = declaration.strip_prefix("typedef ") {
            let name = declared_name(rest);
            self.aliases.push((name.clone(), rest.replace(&name, "").trim().into()));
        } else {
            assert!(declaration.ends_with(')'), "neither a type nor a function: {declaration}");
            self.functions.insert(declared_name(declaration), declaration.into());
        }
    }

    /// A C program that prints constants and layouts as lines of the record.
    fn program(&self) -> String {
        let mut lines = Vec::new();
        for name in &self.constants {
            lines.push(format!("printf(\"constant {name} %lld\\n\", (long long)({name}));"));
        }
        for (name, fields) in &self.structs {
            lines.push(format!(
                "{{ struct at {{ char c; {name} x; }}; printf(\"struct {name}: %lu bytes, aligned to %lu\\n\", \
                 (unsigned long)sizeof({name}), (unsigned long)offsetof(struct at, x)); }}"
            ));
            for field in fields {
                let offset = format!("(unsigned long)offsetof({name}, {})", declared_name(field));
                lines.push(format!("printf(\"field {name} at %lu: {field}\\n\", {offset});"));
            }
        }
        format!(
            "#include \"beitle.h\"\n#include <stdio.h>\nint main(void) {{\n{}\nreturn 0; }}\n",
            lines.join("\n")
        )
    }
}

/// Constants and layouts by the C compiler. `None`, with a note, if there is none.
fn constants_and_layouts(header: &Header) -> Option<String> {
    let cc = std::env::var("CC").unwrap_or("cc".into());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, program) = (folder.join("c_abi.c"), folder.join("c_abi"));
    std::fs::write(&source, header.program()).unwrap();
    let mut command = Command::new(&cc);
    command.args(["-std=c99", &format!("-I{ROOT}/include"), "-o"]).args([&program, &source]);
    let Ok(output) = command.output() else {
        eprintln!("skipped: the compiler `{cc}` is not installed (set CC to use another)");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(Command::new(program).output().unwrap().stdout).unwrap())
}

/// `src/capi/abi.txt`, or what should be in it.
struct Record {
    comment: String,
    soname: String,
    /// The version of each function's symbol: the release that added it.
    versions: BTreeMap<String, String>,
    lines: Vec<String>,
}

impl Record {
    fn read() -> Record {
        let text = read("src/capi/abi.txt");
        let mut record = Record {
            comment: String::new(),
            soname: String::new(),
            versions: BTreeMap::new(),
            lines: vec![],
        };
        for line in text.lines() {
            if line.starts_with('#') {
                record.comment += &(line.to_owned() + "\n");
            } else if let Some(soname) = line.strip_prefix("soname ") {
                record.soname = soname.into();
            } else if !line.is_empty() {
                if let Some(function) = line.strip_prefix("function ") {
                    let (version, prototype) = function.split_once(' ').unwrap();
                    record.versions.insert(declared_name(prototype), version.into());
                }
                record.lines.push(line.into());
            }
        }
        assert!(record.soname.starts_with("libbeitle.so."), "no soname in src/capi/abi.txt");
        record
    }

    /// The lines for the header as it is. A new function belongs to the version under development.
    fn lines_for(&self, header: &Header, constants_and_layouts: &str) -> Vec<String> {
        let current =
            concat!("BEITLE_", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
        let mut lines: Vec<String> = Vec::new();
        for (name, prototype) in &header.functions {
            let version = self.versions.get(name).map_or(current, |v| v);
            lines.push(match name.as_str() {
                PROVIDED_BY_PROGRAM => format!("program {prototype}"),
                _ => format!("function {version} {prototype}"),
            });
        }
        lines.extend(header.aliases.iter().map(|(name, stands_for)| format!("type {name}: {stands_for}")));
        lines.extend(constants_and_layouts.lines().map(str::to_owned));
        lines
    }
}

#[test]
#[cfg(all(unix, target_pointer_width = "64"))]
fn the_interface_is_the_recorded_one() {
    let header = Header::parse(&read("include/beitle.h"));
    assert!(header.functions.len() > 10 && header.structs.len() > 10 && header.constants.len() > 30);
    let Some(measured) = constants_and_layouts(&header) else { return };
    let record = Record::read();
    let lines = record.lines_for(&header, &measured);
    if std::env::var_os("BEITLE_RECORD").is_some() {
        let text = format!("{}soname {}\n{}\n", record.comment, record.soname, lines.join("\n"));
        std::fs::write(Path::new(ROOT).join("src/capi/abi.txt"), text).unwrap();
        return;
    }
    let missing = |of: &[String], from: &[String], sign: &str| -> String {
        of.iter().filter(|line| !from.contains(line)).map(|line| format!("{sign} {line}\n")).collect()
    };
    let changes = missing(&record.lines, &lines, "-") + &missing(&lines, &record.lines, "+");
    assert!(
        lines == record.lines,
        "the C interface differs from src/capi/abi.txt:\n{changes}If an existing program could break, it needs a new soname \
         there (docs/decisions/037-c-library.md). Record it: BEITLE_RECORD=1 cargo test --release -p beitle-ffi --test c_abi"
    );
}

/// The C type of a Rust type without pointers.
fn c_type(rust: &str) -> String {
    match rust {
        "c_void" => "void".into(),
        "c_char" => "char".into(),
        "c_int" => "int".into(),
        "usize" => "size_t".into(),
        "f32" => "float".into(),
        "f64" => "double".into(),
        "i32" | "Status" => "int32_t".into(),
        "u8" | "u16" | "u32" | "u64" => format!("uint{}_t", &rust[1..]),
        _ => {
            let rest =
                rust.strip_prefix('C').filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
            let words = rest.unwrap_or(rust).chars().flat_map(|c| {
                let underscore = c.is_ascii_uppercase().then_some('_');
                underscore.into_iter().chain([c.to_ascii_lowercase()])
            });
            "beitle".to_owned() + &words.collect::<String>()
        }
    }
}

/// How C declares `name` of a Rust type. A pointer to an array may be declared as an array.
fn c_declarations(rust: &str, name: &str) -> Vec<String> {
    let (qualifier, pointee) = match (rust.strip_prefix("*const "), rust.strip_prefix("*mut ")) {
        (Some(pointee), _) => ("const ", pointee),
        (_, Some(pointee)) => ("", pointee),
        _ => return vec![format!("{} {name}", c_type(rust))],
    };
    match pointee.strip_prefix('[').and_then(|array| array.strip_suffix(']')?.split_once("; ")) {
        Some((element, length)) => {
            let element = c_type(element);
            vec![
                format!("{qualifier}{element} {name}[{length}]"),
                format!("{qualifier}{element} (*{name})[{length}]"),
            ]
        }
        None => vec![format!("{qualifier}{} *{name}", c_type(pointee))],
    }
}

/// The exported functions in the sources of this package: names, and parameters and result as they are written.
fn exported() -> Vec<(String, String)> {
    let mut files: Vec<_> = Path::new(env!("CARGO_MANIFEST_DIR"))
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "rs") && !path.ends_with("panic_test.rs"));
    let mut functions = Vec::new();
    for text in files.iter().map(|path| std::fs::read_to_string(path).unwrap()) {
        for rest in text.split("extern \"C\" fn beitle_").skip(1) {
            let (name, rest) = rest.split_once('(').unwrap();
            functions.push((format!("beitle_{name}"), squeeze(rest.split_once('{').unwrap().0)));
        }
    }
    functions
}

#[test]
fn the_exported_functions_have_the_parameters_of_the_header() {
    let header = Header::parse(&read("include/beitle.h"));
    let resolve = |text: &str| {
        header.aliases.iter().fold(text.to_owned(), |text, (name, stands_for)| {
            text.replace(&format!("{name} "), &format!("{stands_for} "))
        })
    };
    let exported = exported();
    let mut names: Vec<_> = exported.iter().map(|(name, _)| name).collect();
    names.sort();
    let declared: Vec<_> = header.functions.keys().filter(|name| *name != PROVIDED_BY_PROGRAM).collect();
    assert_eq!(declared, names);
    for (name, rust) in &exported {
        let (parameters, result) = rust.rsplit_once(')').unwrap();
        let prototype = resolve(&header.functions[name]);
        let (c_result, c_parameters) = prototype.split_once('(').unwrap();
        let result = result.trim().strip_prefix("-> ").unwrap_or("c_void");
        assert!(c_declarations(result, name).contains(&c_result.to_owned()), "{prototype} and {rust}");
        let parameters: Vec<_> = parameters.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
        let c_parameters: Vec<_> = c_parameters.strip_suffix(')').unwrap().split(", ").collect();
        let expected: &[&str] = if parameters.is_empty() { &["void"] } else { &c_parameters };
        assert_eq!(c_parameters, expected, "{prototype} and {rust}");
        assert_eq!(
            parameters.len(),
            if expected == ["void"] { 0 } else { expected.len() },
            "{prototype} and {rust}"
        );
        for (parameter, c) in parameters.iter().zip(expected) {
            let (name, rust_type) = parameter.split_once(": ").unwrap();
            let spellings = c_declarations(rust_type, name);
            assert!(spellings.contains(&(*c).to_owned()), "{prototype}: {c} instead of {spellings:?}");
        }
    }
}
