//! Checks that the man pages in `docs/man` and the shell completions in `docs/completions` are those of a program's current arguments.
//! `BEITLE_RECORD=1` writes them.

use clap::Command;
use clap_complete::Shell;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a program: their paths below `docs`, and their contents.
fn files(program: &Command) -> Vec<(PathBuf, Vec<u8>)> {
    let mut command = program.clone();
    command.build();
    let name = command.get_name().to_owned();
    let mut files = Vec::new();
    let subcommands = command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help");
    for command in [&command].into_iter().chain(subcommands) {
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).render(&mut page).unwrap();
        let name = command.get_display_name().unwrap_or(command.get_name());
        files.push((Path::new("man").join(format!("{name}.1")), page));
    }
    for (shell, file) in [
        (Shell::Bash, format!("{name}.bash")),
        (Shell::Zsh, format!("_{name}")),
        (Shell::Fish, format!("{name}.fish")),
    ] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut program.clone(), &name, &mut script);
        files.push((Path::new("completions").join(file), script));
    }
    files
}

/// Compares the files of a program in `docs` with its arguments.
pub fn check(program: &Command, docs: &Path) {
    for (path, contents) in files(program) {
        let path = docs.join(path);
        if std::env::var_os("BEITLE_RECORD").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &contents).unwrap();
        }
        let found = fs::read(&path).unwrap_or_default();
        assert!(found == contents, "{}: not current; BEITLE_RECORD=1 writes it", path.display());
    }
}
