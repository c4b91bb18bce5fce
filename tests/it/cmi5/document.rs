//! `docs/cmi5.md` names the tests of each requirement, and each of them exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Adds the names of the functions of all files in a folder.
fn add_functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            add_functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a readable file");
            let functions = text.split("fn ").skip(1);
            names.extend(functions.filter_map(|rest| Some(rest.split('(').next()?.trim().to_owned())));
        }
    }
}

#[test]
fn each_requirement_of_cmi5_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/cmi5.md")).expect("a readable file");
    let mut functions = BTreeSet::new();
    add_functions(&root.join("tests"), &mut functions);
    add_functions(&root.join("src"), &mut functions);
    let (mut rows, mut unknown) = (0, Vec::new());
    for line in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| --")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [section, _, _, tests] = cells.as_slice() else { continue };
        if !section.starts_with(|first: char| first.is_ascii_digit()) || *tests == "–" {
            continue;
        }
        rows += 1;
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test in {line}");
        unknown.extend(names.into_iter().filter(|name| !functions.contains(*name)));
    }
    assert!(rows >= 40, "only {rows} requirements have tests");
    assert!(unknown.is_empty(), "docs/cmi5.md names unknown tests: {unknown:?}");
}
