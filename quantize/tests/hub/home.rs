//! The converter in a home folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A temporary home, deleted at the end of the test.
pub struct Home(pub PathBuf);

impl Home {
    pub fn new(name: &str) -> Home {
        let folder = std::env::temp_dir().join(format!("beitle-hub-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Home(folder)
    }

    pub fn quantize(&self, server: &str, source: &str, variables: &[(&str, &str)]) -> Output {
        self.run(Command::new(env!("CARGO_BIN_EXE_beitle-quantize")), server, source, variables)
    }

    pub fn run(
        &self,
        mut command: Command,
        server: &str,
        source: &str,
        variables: &[(&str, &str)],
    ) -> Output {
        command.args([source, "--precision", "f32", "-o"]).arg(self.0.join("out.beitle"));
        let ours = |name: &str| name.starts_with("HF_") || name.to_lowercase().ends_with("_proxy");
        std::env::vars().filter(|(name, _)| ours(name)).for_each(|(name, _)| {
            command.env_remove(name);
        });
        command.env_remove("XDG_CACHE_HOME").env("HOME", &self.0).env("HF_ENDPOINT", server);
        command.envs(variables.iter().copied()).current_dir(&self.0).output().unwrap()
    }

    pub fn converts(&self, server: &str, source: &str, variables: &[(&str, &str)]) -> String {
        let _ = fs::remove_file(self.0.join("out.beitle"));
        let output = self.quantize(server, source, variables);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && self.0.join("out.beitle").exists(), "{stderr}");
        stderr
    }

    pub fn fails(&self, server: &str, source: &str, variables: &[(&str, &str)], words: &[&str]) {
        let _ = fs::remove_file(self.0.join("out.beitle"));
        let output = self.quantize(server, source, variables);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        words.iter().for_each(|word| assert!(stderr.contains(word), "{stderr:?} lacks {word:?}"));
        assert!(!stderr.contains("panicked") && !self.0.join("out.beitle").exists());
    }

    pub fn repository(&self) -> PathBuf {
        self.0.join(".cache/huggingface/hub/models--o--n")
    }

    /// The files that were downloaded by URL, and what their downloads have left.
    pub fn by_url(&self) -> Vec<PathBuf> {
        let entries = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries(&self.0.join(".cache/beitle"))
            .filter(|path| path.is_dir())
            .flat_map(|folder| entries(&folder).collect::<Vec<_>>())
            .collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
