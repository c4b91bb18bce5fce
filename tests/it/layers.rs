//! The modules of `src` import only lower layers, and the folders of the store form no circle.
//!
//! The test reads the source files. It looks at every path that begins with `crate::` or `super::`, in tests beside
//! the code too, and passes over comments.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of each layer, the lowest first, as ARCHITECTURE.md lists them.
const LAYERS: &[&[&str]] = &[
    &["base", "texts"],
    &["record", "access"],
    &["directory", "catalogue"],
    &["log", "launches", "cmi5", "scorm"],
    &["store"],
    &["export", "live"],
    &["reports", "subscriptions", "imports", "archive"],
    &["http"],
    &["config", "server", "cli", "main"],
];

/// Imports within one layer that are allowed: the first module uses the second.
const SAME_LAYER: &[(&str, &str)] = &[
    ("catalogue", "directory"),
    ("launches", "log"),
    ("subscriptions", "reports"),
    ("config", "server"),
    ("cli", "config"),
    ("cli", "server"),
    ("main", "cli"),
];

/// The folders of the store: each uses only those before it.
const STORE_FOLDERS: &[&str] = &[
    "db",
    "ingest",
    "directory",
    "lrs",
    "cmi5",
    "activity_log",
    "reports",
    "subscriptions",
    "imports",
    "archive",
];

/// A path in the code, without `crate`: `store::db::Sql` is `["store", "db", "Sql"]`.
type Segments = Vec<String>;

struct SourceFile {
    path: PathBuf,
    /// The module that the file defines: `store::db::ledger`.
    module: Segments,
    paths: BTreeSet<Segments>,
}

/// Every `.rs` file below `src`.
fn read_source_files() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).expect("a path below src");
                let module: Segments = relative
                    .with_extension("")
                    .iter()
                    .map(|part| part.to_str().expect("a UTF-8 name").to_owned())
                    .collect();
                let text = fs::read_to_string(&path).expect("a readable file");
                let paths = find_paths(&text, &module);
                files.push(SourceFile { path, module, paths });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(files.len() > 200, "only {} source files were found", files.len());
    files
}

/// The paths of a file that begin with `crate::` or `super::`, as seen from the root of the crate.
fn find_paths(text: &str, module: &[String]) -> BTreeSet<Segments> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut paths = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        if !code[..start].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            expand(&code[start + "crate::".len()..], &[], &mut paths);
        }
    }
    for (start, _) in code.match_indices("super::") {
        if code[..start].ends_with("super::") {
            continue;
        }
        let mut rest = &code[start..];
        let mut above = module;
        while let Some(next) = rest.strip_prefix("super::") {
            above = above.split_last().map_or(above, |(_, above)| above);
            rest = next;
        }
        expand(rest, above, &mut paths);
    }
    paths
}

/// Adds the path that `text` begins with, or each path of its braces.
fn expand(text: &str, before: &[String], paths: &mut BTreeSet<Segments>) {
    let mut segments = before.to_vec();
    let mut rest = text;
    loop {
        if let Some(inside) = rest.strip_prefix('{') {
            for part in split_braces(inside) {
                expand(part.trim_start(), &segments, paths);
            }
            return;
        }
        let end = rest
            .find(|character: char| !(character.is_alphanumeric() || character == '_'))
            .unwrap_or(rest.len());
        if end > 0 {
            segments.push(rest[..end].to_owned());
        }
        match rest[end..].strip_prefix("::") {
            Some(next) if end > 0 => rest = next,
            _ => break,
        }
    }
    paths.insert(segments);
}

/// The parts between commas up to the brace that closes `inside`.
fn split_braces(inside: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, character) in inside.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&inside[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Why `user` may not import `used`, both modules at the root of the crate.
fn find_layer_fault(user: &str, used: &str) -> Option<String> {
    let (above, below) = (layer_of(user)?, layer_of(used)?);
    if user == used || below < above || SAME_LAYER.contains(&(user, used)) {
        return None;
    }
    Some(format!("`{user}` (layer {}) imports `{used}` (layer {})", above + 1, below + 1))
}

/// Why a file of the store may not use a path within the store.
fn find_store_fault(module: &[String], path: &[String]) -> Option<String> {
    let folder = |segments: &[String]| {
        let name = segments.get(1)?;
        STORE_FOLDERS.iter().position(|folder| folder == name)
    };
    let (user, used) = (folder(module)?, folder(path));
    match used {
        Some(used) if used <= user => None,
        Some(used) => Some(format!(
            "`store::{}` imports `store::{}`, which is above it",
            STORE_FOLDERS[user], STORE_FOLDERS[used]
        )),
        None => Some(format!(
            "`store::{}` imports `{}` from the root of the store; name the folder",
            STORE_FOLDERS[user],
            path.join("::")
        )),
    }
}

#[test]
fn modules_import_only_lower_layers() {
    let mut faults = Vec::new();
    for file in read_source_files() {
        let module = file.module[0].as_str();
        if module == "lib" {
            continue;
        }
        assert!(layer_of(module).is_some(), "`{module}` is in no layer of LAYERS");
        for path in &file.paths {
            let fault = match path.first() {
                Some(used) if used != module => find_layer_fault(module, used),
                Some(_) if module == "store" => find_store_fault(&file.module, path),
                _ => None,
            };
            faults.extend(fault.map(|fault| format!("{}: {fault}", file.path.display())));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn paths_are_read_from_imports_and_from_code() {
    let module = ["store", "db", "ledger"].map(str::to_owned);
    let code = "use crate::{log::Filter, base::ids::{OrgId, UserId}};\n\
                use super::super::reports::Runs; // crate::http\n\
                fn now() -> crate::base::Timestamp { super::clock() }";
    let paths: Vec<String> = find_paths(code, &module).iter().map(|path| path.join("::")).collect();
    let expected = [
        "base::Timestamp",
        "base::ids::OrgId",
        "base::ids::UserId",
        "log::Filter",
        "store::db::clock",
        "store::reports::Runs",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn imports_of_higher_layers_are_faults() {
    assert_eq!(find_layer_fault("log", "record"), None);
    assert!(find_layer_fault("log", "store").is_some());
    assert!(find_layer_fault("record", "access").is_some());
    assert_eq!(find_layer_fault("catalogue", "directory"), None);
    assert!(find_layer_fault("directory", "catalogue").is_some());
    let segments = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(find_store_fault(&segments("store::lrs::statements"), &segments("store::db::Sql")), None);
    assert!(find_store_fault(&segments("store::db::ledger"), &segments("store::lrs::X")).is_some());
    assert!(find_store_fault(&segments("store::db::ledger"), &segments("store::Store")).is_some());
}
