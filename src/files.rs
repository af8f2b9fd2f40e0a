//! Files and folders that are for this user's eyes only: what people wrote, their numbers, secrets.
//!
//! I/O. Where a system has no modes, files are made as it makes them.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt as _;

/// Rights to open a file that is made for this user alone if there is none.
#[must_use]
pub fn private() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "there are no modes to set"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a folder and those above it, for this user alone; leaves those that are there as they are.
///
/// # Errors
///
/// If it cannot be made.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// How many bytes this user may still write to the disk on which a folder is.
///
/// # Errors
///
/// If the system does not say.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let system = rustix::fs::statvfs(folder)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// Has a folder keep what was renamed or made in it, also if the power goes.
///
/// # Errors
///
/// If it cannot be opened or written.
pub fn keep_names(folder: &Path) -> io::Result<()> {
    // Where folders cannot be opened, names are kept without that.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// The folder in which a file is.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new("."))
}

/// A path with something behind its name.
#[must_use]
pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The files beside one that are called as it is with something behind its name, however that goes on.
///
/// # Errors
///
/// If the folder cannot be read.
pub fn beside(path: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut beginning = path.file_name().unwrap_or_default().to_owned();
    beginning.push(ending);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder_of(path))? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(beginning.as_encoded_bytes()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Which rights others than this user have to a file or folder, as the three digits of its mode.
///
/// # Errors
///
/// If it cannot be looked at.
pub fn rights_of_others(path: &Path) -> io::Result<Option<u32>> {
    let mode = mode(&std::fs::metadata(path)?);
    Ok((mode & 0o077 != 0).then_some(mode))
}

/// Takes the rights of others away from a file; says which mode it had, if they had any.
///
/// # Errors
///
/// If it is not there, or is somebody else's.
pub fn tighten(path: &Path) -> io::Result<Option<u32>> {
    let Some(had) = rights_of_others(path)? else { return Ok(None) };
    set_mode(path, had & 0o700)?;
    Ok(Some(had))
}

/// Replaces a file as a whole, by a new one beside it that is for this user alone.
///
/// # Errors
///
/// If it cannot be written.
///
/// # Cancel safety
///
/// The earlier file stays whole until the new one is.
pub async fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = with_ending(path, ".new");
    match tokio::fs::remove_file(&new).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = private();
    options.write(true).create_new(true);
    let mut file = tokio::fs::OpenOptions::from(options).open(&new).await?;
    file.write_all(bytes).await?;
    file.flush().await?;
    drop(file);
    tokio::fs::rename(&new, path).await
}

/// Replaces a file as [`replace`] does, and returns once all of it is on the disk. Blocks.
///
/// # Errors
///
/// If it cannot be written; the earlier file is whole then.
pub fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = with_ending(path, ".new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = private().write(true).create_new(true).open(&new)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    keep_names(folder_of(path))
}

#[cfg(unix)]
fn mode(metadata: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
}

#[cfg(not(unix))]
fn mode(_: &std::fs::Metadata) -> u32 {
    0o600
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, permissions)
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_made_is_for_this_user_alone_also_over_a_file_that_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        make_folder(&below).unwrap();
        assert_eq!(rights_of_others(&below).unwrap(), None);
        assert_eq!(rights_of_others(&folder.path().join("a")).unwrap(), None);
        let file = below.join("file");
        for (path, text) in [(&file, "old"), (&below.join("file.new"), "left by a crash")] {
            std::fs::write(path, text).unwrap();
            set_mode(path, 0o666).unwrap();
        }
        replace(&file, b"new").await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert_eq!(rights_of_others(&file).unwrap(), None);
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 1);
    }

    #[test]
    fn the_rights_of_others_are_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        assert!(tighten(&file).is_err(), "there is none");
        std::fs::write(&file, "").unwrap();
        set_mode(&file, 0o644).unwrap();
        assert_eq!(tighten(&file).unwrap(), Some(0o644));
        assert_eq!(tighten(&file).unwrap(), None);
        assert_eq!(mode(&std::fs::metadata(&file).unwrap()), 0o600);
    }
}
