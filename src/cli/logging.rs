//! Starts the log: structured lines on standard error (`docs/logging.md`).

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, LogArgs, LogFormat};

/// Starts the log of the process. A second call changes nothing.
///
/// # Errors
///
/// Where the filter can't be read.
pub fn start(settings: &LogArgs) -> Result<(), ConfigError> {
    check_filter(&settings.log).map_err(ConfigError::LogFilter)?;
    let filter =
        EnvFilter::try_new(&settings.log).map_err(|error| ConfigError::LogFilter(error.to_string()))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // An error means that a log was started before, which is what is wanted.
    let _ = match settings.log_format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init(),
    };
    Ok(())
}

/// The first words of a level. `EnvFilter` also takes them in upper case, and numbers.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Refuses a filter in which a word is neither a level nor has one. `EnvFilter` reads such a word as the name of a part of
/// the program, so that `verbose` would silence the log.
fn check_filter(filter: &str) -> Result<(), String> {
    for directive in filter.split(',').map(str::trim) {
        let is_level = LEVELS.iter().any(|level| directive.eq_ignore_ascii_case(level));
        let is_number = matches!(directive, "0" | "1" | "2" | "3" | "4" | "5");
        let has_level = directive.contains('=') || directive.contains('[');
        if !(is_level || is_number || has_level) {
            return Err(format!("`{directive}` is not one of {}", LEVELS.join(", ")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_without_a_level_are_refused() {
        for filter in [
            "info",
            "INFO",
            "3",
            "warn,rollbook=debug",
            "off",
            "info, sqlx=warn",
            "rollbook[request]=debug",
        ] {
            assert_eq!(check_filter(filter), Ok(()), "{filter}");
        }
        for filter in ["verbose", "", "info,loud", "rollbook", "debug,"] {
            assert!(check_filter(filter).is_err(), "{filter}");
        }
    }
}
