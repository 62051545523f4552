use std::io::{self, Read};
use std::path::{Path, PathBuf};

use kubefed_api::Error;
use kubefed_api::manifest::{self, Manifest};

/// Reads the objects of a file, of the standard input (`-`), or of the files directly in a folder that
/// end in `.yaml`, `.yml` or `.json`, in the order of their names.
///
/// What cannot be read, be it a file or a document, becomes an error in its place and leaves the rest
/// alone. A folder without such files is an error too.
pub fn read_manifests(path: &str) -> Vec<Result<Manifest, Error>> {
    if path == "-" {
        let mut text = Vec::new();
        let read = io::stdin().read_to_end(&mut text);
        return objects("standard input", read.map(|_| text));
    }
    if !Path::new(path).is_dir() {
        return objects(path, std::fs::read(path));
    }
    match files(Path::new(path)) {
        Ok(files) if files.is_empty() => {
            vec![Err(Error::new(
                path,
                "the folder holds no .yaml, .yml or .json file",
            ))]
        }
        Ok(files) => files
            .iter()
            .flat_map(|file| objects(&file.display().to_string(), std::fs::read(file)))
            .collect(),
        Err(error) => vec![Err(Error::new(path, error.to_string()))],
    }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_manifest = extension.is_some_and(|end| ["yaml", "yml", "json"].contains(&end));
        if is_manifest && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn objects(file: &str, read: io::Result<Vec<u8>>) -> Vec<Result<Manifest, Error>> {
    let text = read.map_err(|error| error.to_string()).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..offset]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count();
            format!("line {line}: not UTF-8")
        })
    });
    match text {
        Ok(text) => manifest::read(file, &text),
        Err(message) => vec![Err(Error::new(file, message))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &[u8])], expected: &[&str]) {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("kubefed-cli-test-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        for (name, content) in files {
            std::fs::write(folder.join(name), content).unwrap();
        }
        let path = folder.display().to_string();
        let read = read_manifests(&path);
        std::fs::remove_dir_all(&folder).unwrap();
        let shown = |result: &Result<Manifest, Error>| match result {
            Ok(manifest) => format!("{} {}", manifest.origin, manifest.value["kind"]),
            Err(error) => error.to_string(),
        };
        let found: Vec<_> = read
            .iter()
            .map(|result| shown(result).replace(&path, "DIR"))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_files_of_a_folder_are_read_in_order() {
        check(
            &[
                ("b.json", br#"{"kind": "B"}"#),
                ("a.yaml", b"kind: A\n---\nkind: [\n"),
                ("c.yml", b"kind: C\xff"),
                ("notes.txt", b"kind: X"),
            ],
            &[
                "DIR/a.yaml: document 1, line 1 \"A\"",
                "DIR/a.yaml: document 2, line 3: unclosed bracket '['",
                "DIR/b.json: document 1, line 1 \"B\"",
                "DIR/c.yml: line 1: not UTF-8",
            ],
        );
    }

    #[test]
    fn an_empty_folder_and_a_missing_file_are_errors() {
        check(&[], &["DIR: the folder holds no .yaml, .yml or .json file"]);
        let missing = read_manifests("/no/such/file.yaml");
        let error = missing[0].as_ref().unwrap_err().to_string();
        assert!(error.starts_with("/no/such/file.yaml: "), "{error}");
    }
}
