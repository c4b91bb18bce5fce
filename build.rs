//! Lists the files of `locales`, so that another language of the texts is one more file.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("locales");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=locales");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ftl") {
            files.push(path);
        }
    }
    // English is the language of everything that has no other text, so it is the first.
    files.sort_by_key(|path| (path.file_stem() != Some("en".as_ref()), path.clone()));
    let mut list = String::from("[");
    for path in &files {
        let tag = path.file_stem().and_then(|stem| stem.to_str());
        let tag = tag.ok_or("the name of a file of `locales` is not UTF-8")?;
        write!(list, "({tag:?}, include_str!({path:?})),")?;
    }
    list.push(']');
    let target = PathBuf::from(env::var("OUT_DIR")?).join("locales.rs");
    Ok(fs::write(target, list)?)
}
