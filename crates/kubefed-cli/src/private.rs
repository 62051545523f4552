use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file in the folder for temporary files that only its owner can read; it is removed when this
/// value is dropped.
#[derive(Debug)]
pub struct PrivateFile {
    path: PathBuf,
}

impl PrivateFile {
    /// Writes a new file. Its name is `name` and the number of this process.
    ///
    /// # Errors
    ///
    /// There is such a file, or it cannot be written.
    pub fn create(name: &str, content: &str) -> io::Result<Self> {
        let name = format!("{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut file = open(&path)?;
        // From here on it is ours to remove.
        let created = Self { path };
        file.write_all(content.as_bytes())?;
        Ok(created)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A file that exists is not opened, since somebody else may have put it there.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_its_owners_and_goes_with_the_value() {
        let file = PrivateFile::create("kubefed-cli-test", "secret").unwrap();
        let path = file.path().to_owned();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "secret");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(PrivateFile::create("kubefed-cli-test", "other").is_err());
        drop(file);
        assert!(!path.exists());
    }
}
