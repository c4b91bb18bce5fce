//! Refusing environment variables that look like settings but are not. So a misspelt setting does not silently mean the
//! default.

use std::collections::BTreeSet;
use std::fmt;

use clap::Command;

/// The prefix of the variables of settings.
const PREFIX: &str = "ROLLBOOK_";

/// Prefixes of variables that are not settings: those of tests, secrets in a file of issuers, and those of clients and
/// examples.
const FREE_PREFIXES: [&str; 3] = ["ROLLBOOK_TEST_", "ROLLBOOK_SECRET_", "ROLLBOOK_CLIENT_"];

/// Variables that are not settings, each with a suggestion.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct UnknownVariables(Vec<(String, Option<String>)>);

impl fmt::Display for UnknownVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, suggestion)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{name} is not a setting")?;
            match suggestion {
                Some(suggestion) => write!(f, "; did you mean {suggestion}?")?,
                None => write!(f, "; unset it, or see `rollbook serve --help` for all settings")?,
            }
        }
        Ok(())
    }
}

/// Compares the names of environment variables with the settings of all commands.
///
/// # Errors
///
/// [`UnknownVariables`], with a suggestion for each that is similar to a setting.
pub fn check_environment(
    names: impl IntoIterator<Item = String>,
    command: &Command,
) -> Result<(), UnknownVariables> {
    let mut settings = BTreeSet::new();
    collect(command, &mut settings);
    let unknown: BTreeSet<String> = names
        .into_iter()
        .filter(|name| name.starts_with(PREFIX) && !settings.contains(name))
        .filter(|name| !FREE_PREFIXES.iter().any(|free| name.starts_with(free)))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let with_suggestions = unknown.into_iter().map(|name| {
        let suggestion = find_similar(&name, &settings).map(str::to_owned);
        (name, suggestion)
    });
    Err(UnknownVariables(with_suggestions.collect()))
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

/// The most similar setting, if at most three letters differ.
fn find_similar<'a>(name: &str, settings: &'a BTreeSet<String>) -> Option<&'a str> {
    let distance = |setting: &str| strsim::levenshtein(name, setting);
    let best = settings.iter().min_by_key(|setting| distance(setting))?;
    (distance(best) <= 3).then_some(best)
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
    fn settings_and_free_prefixes_are_accepted() {
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
    fn misspelt_setting_is_reported_with_a_suggestion() {
        let error = check(&["ROLLBOOK_LISEN"]).expect_err("unknown").to_string();
        assert_eq!(
            error,
            "ROLLBOOK_LISEN is not a setting; did you mean ROLLBOOK_LISTEN?"
        );
        let error = check(&["ROLLBOOK_COLOUR"]).expect_err("unknown").to_string();
        assert!(error.contains("unset it"), "{error}");
    }
}
