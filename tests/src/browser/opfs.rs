//! The database files of a closed browser: Chromium keeps the origin's private files as plain files under its profile.
//!
//! The worker's pool gives each a header: the name by which SQLite knows it, ended by zeros; the content follows from
//! byte 4096 on.

use std::fs::{File, read_dir};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Browser;

const NAME: usize = 512;
const CONTENT: u64 = 4096;

impl Browser {
    /// Names and places of the pool's files; the browser must be closed.
    ///
    /// # Errors
    /// When the profile cannot be read. So for every call below.
    pub fn pool(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut found = Vec::new();
        for path in files(&self.profile.join("Default/File System"))? {
            if let Some(name) = name_of(&path)? {
                found.push((name, path));
            }
        }
        Ok(found)
    }

    /// Copies database and journal to a folder; the path of the copied database.
    pub fn copy_database(&self, name: &str, to: &Path) -> Result<PathBuf> {
        let pool = self.pool()?;
        let target = to.join(name);
        for suffix in ["", "-journal"] {
            let wanted = format!("{name}{suffix}");
            if let Some((_, path)) = pool.iter().find(|(name, _)| *name == wanted) {
                let bytes = std::fs::read(path)?.split_off(CONTENT as usize);
                std::fs::write(to.join(wanted), bytes)?;
            }
        }
        target
            .is_file()
            .then_some(target)
            .with_context(|| format!("{} has no {name}", self.name))
    }

    /// Changes what a file of the pool holds.
    pub fn alter(&self, name: &str, alter: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let pool = self.pool()?;
        let path = pool.iter().find(|(there, _)| there == name);
        let (_, path) = path.with_context(|| format!("{} has no {name}", self.name))?;
        let mut content = std::fs::read(path)?.split_off(CONTENT as usize);
        alter(&mut content);
        let file = File::options().write(true).open(path)?;
        file.set_len(CONTENT + content.len() as u64)?;
        file.write_all_at(&content, CONTENT)?;
        Ok(())
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// The name in a file's header, if it is one of the pool's.
fn name_of(path: &Path) -> Result<Option<String>> {
    let mut header = Vec::new();
    File::open(path)?.take(NAME as u64).read_to_end(&mut header)?;
    let name: Vec<u8> = header.iter().copied().take_while(|byte| *byte != 0).collect();
    let padded = header.len() == NAME && header[name.len()..].iter().all(|byte| *byte == 0);
    let name = String::from_utf8(name)
        .ok()
        .filter(|name| padded && !name.is_empty());
    Ok(name.filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic())))
}
