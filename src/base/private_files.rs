//! Files and folders that only the user of the process can read, with any umask.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates the folder and those above it that are missing. An existing folder stays as it is.
///
/// # Errors
///
/// A folder cannot be created.
pub fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Opens a file for writing as `options` say. If that creates the file, only its owner can read it.
///
/// # Errors
///
/// The file cannot be opened.
pub fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// Takes the rights of all users but the owner from a file. Returns whether there were any.
///
/// # Errors
///
/// The rights cannot be read, or the file belongs to another user.
#[cfg(unix)]
pub fn make_private(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut permissions = fs::metadata(path)?.permissions();
    let mode = permissions.mode();
    if mode & 0o077 == 0 {
        return Ok(false);
    }
    permissions.set_mode(mode & 0o700);
    fs::set_permissions(path, permissions)?;
    Ok(true)
}

/// Takes the rights of all users but the owner from a file, which only Unix knows.
#[cfg(not(unix))]
pub fn make_private(_path: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn new_files_and_folders_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        create_folder(&inner).unwrap();
        assert_eq!((mode(&inner), mode(inner.parent().unwrap())), (0o700, 0o700));
        let file = inner.join("file");
        open(OpenOptions::new().write(true).create_new(true), &file).unwrap();
        assert_eq!(mode(&file), 0o600);
        assert!(!make_private(&file).unwrap());
    }

    #[test]
    fn rights_of_others_are_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
        assert!(make_private(&file).unwrap());
        assert_eq!(mode(&file), 0o600);
    }
}
