//! Output files. A file is written under a temporary name in the folder of its target, and renamed when it is complete and on
//! the disk. The target is replaced whole or not at all, also when the disk is full or a signal ends the program.

use crate::cleanup::{forget, lock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Where an output goes.
pub(crate) enum Target {
    /// A path that does not exist, or a regular file, which is replaced.
    File(PathBuf),
    /// A device, a pipe or an open descriptor, which is written into.
    Stream(PathBuf),
}

impl Target {
    /// The kind of a path.
    ///
    /// # Errors
    /// It is a folder or write-protected.
    pub(crate) fn new(path: &Path) -> io::Result<Target> {
        match fs::metadata(path) {
            // If standard output is redirected to a file, what the file already holds must stay. A closed descriptor is an error when it
            // is opened, not a new file in place of the link.
            _ if is_descriptor(path) => Ok(Target::Stream(path.to_path_buf())),
            Ok(found) if found.is_dir() => Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder")),
            Ok(found) if found.is_file() && found.permissions().readonly() => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "is write-protected"))
            }
            // A symbolic link to a file stays; the file that it points to is replaced.
            Ok(found) if found.is_file() => Ok(Target::File(fs::canonicalize(path)?)),
            Ok(_) => Ok(Target::Stream(path.to_path_buf())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Target::File(path.to_path_buf())),
            Err(e) => Err(e),
        }
    }

    /// Creates an empty file for the output under a name that nothing else has, and lists it for removal.
    fn temporary(&self) -> io::Result<TemporaryFile> {
        let (folder, name) = match self {
            Target::File(path) => (folder_of(path).to_path_buf(), path.file_name().unwrap_or_default()),
            Target::Stream(path) => (std::env::temp_dir(), path.file_name().unwrap_or_default()),
        };
        let prefix = format!(".{}.", name.to_string_lossy().chars().take(40).collect::<String>());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".tmp");
        // As the file that is replaced, or as any new file. For streams the default stays: readable for the owner only.
        #[cfg(unix)]
        if let Target::File(path) = self {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(path).map_or(0o666, |replaced| replaced.permissions().mode() & 0o777);
            builder.permissions(fs::Permissions::from_mode(mode));
        }
        let mut list = lock();
        let file = builder.tempfile_in(folder)?;
        list.push(file.path().to_path_buf());
        Ok(TemporaryFile(Some(file)))
    }
}

/// Whether a path is a link to an open descriptor: `/dev/stdout`, `/dev/fd/N`, `/proc/N/fd/N`, or a link to one of these. Links are
/// followed one by one, because the descriptor's own link leads on to its file. Regular files below `/dev`, such as those of
/// `/dev/shm`, are not descriptors.
fn is_descriptor(path: &Path) -> bool {
    // As many as Linux follows.
    const MAX_LINKS: usize = 40;
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let Ok(folder) = fs::canonicalize(folder_of(&path)) else { return false };
        if folder == Path::new("/dev/fd") || folder.starts_with("/proc") && folder.ends_with("fd") {
            return true;
        }
        let Ok(next) = fs::read_link(&path) else { return false };
        path = folder.join(next);
    }
    false
}

/// The folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file being written. It appears under its name with [`commit`](OutputFile::commit); dropped before, it leaves nothing.
pub struct OutputFile {
    file: TemporaryFile,
    target: Target,
}

impl OutputFile {
    /// Starts the file `path`. A regular file of this name stays as it is until [`commit`](OutputFile::commit); a device, a pipe
    /// or an open descriptor such as `/dev/stdout` will be written into.
    ///
    /// # Errors
    /// `path` is a folder or write-protected, or no file can be created beside it.
    pub fn create(path: &Path) -> io::Result<OutputFile> {
        let target = Target::new(path)?;
        let file = target.temporary()?;
        Ok(OutputFile { file, target })
    }

    /// Writes everything to the disk and gives the file its name; or copies it into a device, pipe or descriptor.
    ///
    /// # Errors
    /// The file cannot be written or renamed; the target is then as it was. A device, pipe or descriptor may have received a part.
    pub fn commit(mut self) -> io::Result<()> {
        let file = self.file.file()?;
        match &self.target {
            Target::Stream(path) => {
                let mut stream = OpenOptions::new().append(true).open(path)?;
                file.seek(SeekFrom::Start(0))?;
                io::copy(file, &mut stream)?;
                stream.flush()
            }
            Target::File(path) => {
                if let Ok(replaced) = fs::metadata(path) {
                    file.set_permissions(replaced.permissions())?;
                }
                file.sync_all()?;
                self.file.rename(path)?;
                sync_folder(path);
                Ok(())
            }
        }
    }
}

/// Makes a renaming durable, where the operating system can.
fn sync_folder(path: &Path) {
    // Some file systems, and Windows, cannot synchronise folders; the file itself is on the disk.
    let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.file()?.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.file()?.flush()
    }
}

impl Seek for OutputFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.file()?.seek(to)
    }
}

/// Writes a whole file, or nothing.
///
/// # Errors
/// As [`OutputFile::create`] and [`OutputFile::commit`].
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OutputFile::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// A file under a name of its own that is removed when this is dropped, or when a signal ends the program. `None` once it has
/// been renamed.
pub struct TemporaryFile(Option<NamedTempFile>);

impl TemporaryFile {
    /// Creates an empty file in the folder where the output `target` is written.
    ///
    /// # Errors
    /// As [`OutputFile::create`].
    pub fn beside(target: &Path) -> io::Result<TemporaryFile> {
        Target::new(target)?.temporary()
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), NamedTempFile::path)
    }

    fn file(&mut self) -> io::Result<&mut File> {
        self.0
            .as_mut()
            .map(NamedTempFile::as_file_mut)
            .ok_or_else(|| io::Error::other("the file has been renamed"))
    }

    /// Gives the file its final name.
    fn rename(&mut self, to: &Path) -> io::Result<()> {
        // On failure, the error holds the file and removes it.
        self.end(|file| file.persist(to).map(|_| ()).map_err(|e| e.error))
    }

    /// Renames or removes the file by `end`, together with its entry in the list.
    fn end(&mut self, end: impl FnOnce(NamedTempFile) -> io::Result<()>) -> io::Result<()> {
        let Some(file) = self.0.take() else { return Ok(()) };
        let mut list = lock();
        let path = file.path().to_path_buf();
        let result = end(file);
        forget(&mut list, &path);
        result
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // A failure is not reported: the program ends, or has an error to report already.
        let _ = self.end(NamedTempFile::close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("beitle-output-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let folder = folder("complete");
        let target = folder.join("a");
        fs::write(&target, b"old").unwrap();
        let mut file = OutputFile::create(&target).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        let mut abandoned = OutputFile::create(&target).unwrap();
        abandoned.write_all(b"half").unwrap();
        drop(abandoned);
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(&folder), ["a"], "no temporary file is left");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn two_writers_of_one_file_do_not_mix() {
        let folder = folder("two");
        let target = folder.join("a");
        let (mut first, mut second) =
            (OutputFile::create(&target).unwrap(), OutputFile::create(&target).unwrap());
        first.write_all(b"1").unwrap();
        second.write_all(b"22").unwrap();
        first.write_all(b"11").unwrap();
        second.commit().unwrap();
        first.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"111");
        assert_eq!(names(&folder), ["a"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn links_stay_and_permissions_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = folder("links");
        let (file, link) = (folder.join("file"), folder.join("link"));
        fs::write(&file, b"old").unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        fs::set_permissions(&file, PermissionsExt::from_mode(0o440)).unwrap();
        assert_eq!(write(&file, b"x").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn regular_files_in_shared_memory_are_replaced() {
        let folder = PathBuf::from(format!("/dev/shm/beitle-output-{}", std::process::id()));
        // Not every container has the file system.
        if fs::create_dir(&folder).is_err() {
            return;
        }
        let target = folder.join("a");
        for bytes in [&b"longer"[..], b"new"] {
            write(&target, bytes).unwrap();
            assert_eq!(fs::read(&target).unwrap(), bytes);
        }
        assert_eq!(names(&folder), ["a"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn open_descriptors_are_written_into_even_if_they_are_regular_files() {
        use std::os::fd::AsRawFd;
        let folder = folder("descriptors");
        let (target, link) = (folder.join("a"), folder.join("link"));
        fs::write(&target, b"0").unwrap();
        let open = OpenOptions::new().append(true).open(&target).unwrap();
        let number = open.as_raw_fd();
        std::os::unix::fs::symlink(format!("/dev/fd/{number}"), &link).unwrap();
        write(Path::new(&format!("/dev/fd/{number}")), b"1").unwrap();
        write(Path::new(&format!("/proc/self/fd/{number}")), b"2").unwrap();
        write(Path::new(&format!("/proc/{}/fd/{number}", std::process::id())), b"3").unwrap();
        write(&link, b"4").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"01234");
        assert_eq!(names(&folder), ["a", "link"]);
        let closed = Path::new("/dev/fd/999999");
        assert!(write(closed, b"x").is_err_and(|e| e.kind() == io::ErrorKind::NotFound));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn devices_are_written_into() {
        write(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(write(Path::new("/"), b"x").is_err_and(|e| e.kind() == io::ErrorKind::IsADirectory));
    }
}
