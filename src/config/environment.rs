//! Variables that look like settings and are none: refused by name, so that a misspelt one doesn't pass
//! for the default.

use std::collections::BTreeSet;
use std::fmt;

use clap::Command;

/// What every setting's variable begins with.
const PREFIX: &str = "ROLLBOOK_";

/// Variables that begin so are not settings: the tests' own, secrets that a file of issuers names, and
/// what clients and examples use.
const FREE: [&str; 3] = ["ROLLBOOK_TEST_", "ROLLBOOK_SECRET_", "ROLLBOOK_CLIENT_"];

/// Variables that no setting has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct UnknownVariables(Vec<(String, Option<String>)>);

impl fmt::Display for UnknownVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, meant)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "no setting is called {name}")?;
            match meant {
                Some(meant) => write!(f, ": did you mean {meant}?")?,
                None => write!(
                    f,
                    ": unset it, or see `rollbook serve --help` for those there are"
                )?,
            }
        }
        Ok(())
    }
}

/// Compares the environment's names with the settings of all commands.
///
/// # Errors
///
/// [`UnknownVariables`] with a suggestion for each that is nearly a setting's.
pub fn check_environment(
    names: impl IntoIterator<Item = String>,
    command: &Command,
) -> Result<(), UnknownVariables> {
    let mut settings = BTreeSet::new();
    collect(command, &mut settings);
    let unknown: BTreeSet<String> = names
        .into_iter()
        .filter(|name| name.starts_with(PREFIX) && !settings.contains(name))
        .filter(|name| !FREE.iter().any(|free| name.starts_with(free)))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let with_meant = unknown.into_iter().map(|name| {
        let meant = nearest(&name, &settings).map(str::to_owned);
        (name, meant)
    });
    Err(UnknownVariables(with_meant.collect()))
}

fn collect(command: &Command, settings: &mut BTreeSet<String>) {
    for argument in command.get_arguments() {
        settings.extend(
            argument
                .get_env()
                .and_then(|name| name.to_str())
                .map(str::to_owned),
        );
    }
    for subcommand in command.get_subcommands() {
        collect(subcommand, settings);
    }
}

/// The setting that takes the fewest changed letters, if they are few.
fn nearest<'a>(name: &str, settings: &'a BTreeSet<String>) -> Option<&'a str> {
    let distance = |setting: &&String| edit_distance(name, setting);
    let best = settings.iter().min_by_key(distance)?;
    (edit_distance(name, best) <= 3).then_some(best)
}

/// Letters inserted, removed or replaced to make one word the other (Levenshtein).
fn edit_distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, against) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *against);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn check(names: &[&str]) -> Result<(), UnknownVariables> {
        let serve = Command::new("serve").arg(Arg::new("listen").long("listen").env("ROLLBOOK_LISTEN"));
        let command = Command::new("rollbook").subcommand(serve);
        check_environment(names.iter().map(|name| (*name).to_owned()), &command)
    }

    #[test]
    fn settings_and_free_names_pass() {
        let names = [
            "ROLLBOOK_LISTEN",
            "PATH",
            "ROLLBOOK_TEST_POSTGRES",
            "ROLLBOOK_SECRET_A",
            "ROLLBOOK",
        ];
        assert_eq!(check(&names), Ok(()));
    }

    #[test]
    fn a_misspelt_setting_is_named_with_the_one_that_was_meant() {
        let error = check(&["ROLLBOOK_LISEN"]).expect_err("unknown").to_string();
        assert_eq!(
            error,
            "no setting is called ROLLBOOK_LISEN: did you mean ROLLBOOK_LISTEN?"
        );
        let error = check(&["ROLLBOOK_COLOUR"]).expect_err("unknown").to_string();
        assert!(error.contains("unset it"), "{error}");
    }

    #[test]
    fn distances_are_levenshteins() {
        for (one, other, distance) in [
            ("", "", 0),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(edit_distance(one, other), distance);
        }
    }
}
