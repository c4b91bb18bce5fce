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
