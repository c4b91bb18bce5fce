//! Refusing environment variables that are similar to settings but are not. So a misspelt setting does not silently mean the
//! default.

use std::collections::BTreeSet;
use std::fmt;

use clap::Command;

/// The prefix of the variables of settings.
const PREFIX: &str = "ROLLBOOK_";

/// Prefixes of variables that are not settings: those of tests, secrets in a file of issuers, and those of clients and
/// examples.
const FREE_PREFIXES: [&str; 3] = ["ROLLBOOK_TEST_", "ROLLBOOK_SECRET_", "ROLLBOOK_CLIENT_"];

/// Variables that are not settings, each with the setting that is probably meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct UnknownVariables(Vec<(String, String)>);

impl fmt::Display for UnknownVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, suggestion)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{name} is not a setting; did you mean {suggestion}?")?;
        }
        Ok(())
    }
}

/// What the check of the environment found to be no setting, but no fault either.
pub type Warnings = Vec<String>;

/// Compares the names of environment variables with the settings of all commands. The warnings name variables that are
/// similar to no setting: another program may use them.
///
/// # Errors
///
/// [`UnknownVariables`], with a suggestion, if a variable is similar to a setting.
pub fn check_environment(
    variables: impl IntoIterator<Item = (String, String)>,
    command: &Command,
) -> Result<Warnings, UnknownVariables> {
    let mut settings = BTreeSet::new();
    collect(command, &mut settings);
    let unknown: BTreeSet<String> = variables
        .into_iter()
        .filter(|(name, value)| {
            name.starts_with(PREFIX)
                && !settings.contains(name)
                && !FREE_PREFIXES.iter().any(|free| name.starts_with(free))
                && !is_service_link(name, value)
        })
        .map(|(name, _)| name)
        .collect();
    let (mut misspelt, mut foreign) = (Vec::new(), Vec::new());
    for name in unknown {
        match find_similar(&name, &settings).map(str::to_owned) {
            Some(suggestion) => misspelt.push((name, suggestion)),
            None => foreign.push(name),
        }
    }
    if misspelt.is_empty() {
        Ok(foreign)
    } else {
        Err(UnknownVariables(misspelt))
    }
}

/// Whether a variable is one by which Kubernetes and Docker tell containers where a service is. A service named `rollbook`
/// has `ROLLBOOK_SERVICE_HOST`, `ROLLBOOK_SERVICE_PORT`, `ROLLBOOK_SERVICE_PORT_HTTP`, `ROLLBOOK_PORT=tcp://10.0.0.1:8080`,
/// `ROLLBOOK_PORT_8080_TCP`, `…_TCP_ADDR`; one named `rollbook-api` has `ROLLBOOK_API_SERVICE_HOST` and so on.
fn is_service_link(name: &str, value: &str) -> bool {
    let has_protocol = |rest: &str| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let after = rest.get(digits..).unwrap_or_default();
        digits > 0
            && ["_TCP", "_UDP", "_SCTP"]
                .iter()
                .any(|protocol| after.starts_with(protocol))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name
            .match_indices("_PORT_")
            .any(|(at, found)| name.get(at + found.len()..).is_some_and(has_protocol))
        || (name.ends_with("_PORT") && value.contains("://"))
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

/// The most similar setting, if at most a quarter of its letters after the prefix differ. So a short name of something
/// else, such as `ROLLBOOK_PORT`, is similar to none.
fn find_similar<'a>(name: &str, settings: &'a BTreeSet<String>) -> Option<&'a str> {
    let distance = |setting: &str| strsim::damerau_levenshtein(name, setting);
    let best = settings.iter().min_by_key(|setting| distance(setting))?;
    let letters = best.len().saturating_sub(PREFIX.len());
    (distance(best) <= (letters / 4).clamp(1, 3)).then_some(best)
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn check(names: &[&str]) -> Result<Warnings, UnknownVariables> {
        let serve = Command::new("serve").arg(Arg::new("listen").long("listen").env("ROLLBOOK_LISTEN"));
        let command = Command::new("rollbook").subcommand(serve);
        let variables = names.iter().map(|variable| {
            let (name, value) = variable.split_once('=').unwrap_or((variable, "x"));
            (name.to_owned(), value.to_owned())
        });
        check_environment(variables, &command)
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
        assert_eq!(check(&names), Ok(vec![]));
    }

    #[test]
    fn misspelt_setting_is_reported_with_a_suggestion() {
        let error = check(&["ROLLBOOK_LISEN"]).expect_err("unknown").to_string();
        assert_eq!(
            error,
            "ROLLBOOK_LISEN is not a setting; did you mean ROLLBOOK_LISTEN?"
        );
    }

    #[test]
    fn foreign_variable_is_a_warning() {
        let found = check(&["ROLLBOOK_PORT=8080", "ROLLBOOK_COLOUR"]);
        assert_eq!(
            found,
            Ok(["ROLLBOOK_COLOUR", "ROLLBOOK_PORT"].map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn links_to_services_are_passed_over() {
        let links = [
            "ROLLBOOK_SERVICE_HOST=10.0.0.1",
            "ROLLBOOK_SERVICE_PORT=8080",
            "ROLLBOOK_SERVICE_PORT_HTTP=8080",
            "ROLLBOOK_PORT=tcp://10.0.0.1:8080",
            "ROLLBOOK_PORT_8080_TCP=tcp://10.0.0.1:8080",
            "ROLLBOOK_PORT_8080_TCP_ADDR=10.0.0.1",
            "ROLLBOOK_API_V2_SERVICE_HOST=10.0.0.1",
            "ROLLBOOK_LISTE_PORT_53_UDP_PROTO=udp",
            "ROLLBOOK_LISTEN_PORT=tcp://10.0.0.1:1",
        ];
        assert_eq!(check(&links), Ok(vec![]));
    }
}
