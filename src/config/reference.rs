//! Writing `docs/settings.md` from the settings, so that the two cannot differ.

use std::fmt::Write;

use clap::{Arg, Command};

/// The settings of `rollbook serve` as Markdown.
pub fn reference(root: &Command) -> String {
    let mut text = String::from(
        "# Settings\n\n\
         Written by `rollbook settings-reference`; change the help texts in `src/config.rs` and `src/config` instead.\n\n\
         Every setting of `rollbook serve` is a flag and an environment variable; the flag has priority. Other \
         commands use some of these settings: `rollbook COMMAND --help` lists them. A variable that begins with \
         `ROLLBOOK_` and is similar to a setting stops the start, with a suggestion; one that is similar to none is a \
         warning. Variables that describe services (`ROLLBOOK_PORT=tcp://…`, `ROLLBOOK_SERVICE_HOST`) are passed \
         over. Names that begin with `ROLLBOOK_SECRET_` (secrets in a \
         file of issuers), `ROLLBOOK_CLIENT_` and `ROLLBOOK_TEST_` are free for other uses.\n",
    );
    let Some(serve) = root.find_subcommand("serve") else {
        return text;
    };
    let shared = root
        .get_arguments()
        .filter(|argument| argument.get_env().is_some());
    let arguments: Vec<&Arg> = serve
        .get_arguments()
        .filter(|argument| argument.get_env().is_some())
        .chain(shared)
        .collect();
    let mut headings: Vec<&str> = Vec::new();
    for argument in &arguments {
        let heading = argument.get_help_heading().unwrap_or("Other");
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        // Writing to a String never fails.
        let _ = writeln!(text, "\n## {heading}");
        for argument in arguments
            .iter()
            .filter(|a| a.get_help_heading().unwrap_or("Other") == heading)
        {
            write_setting(&mut text, argument);
        }
    }
    text
}

fn write_setting(text: &mut String, argument: &Arg) {
    let variable = argument
        .get_env()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let flag = argument.get_long().unwrap_or_default();
    let value = match argument.get_value_names() {
        Some(names) if argument.get_action().takes_values() => {
            let names: Vec<String> = names.iter().map(|name| format!(" <{name}>")).collect();
            names.concat()
        }
        _ => String::new(),
    };
    let help = argument
        .get_long_help()
        .or(argument.get_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let _ = writeln!(
        text,
        "\n### `{variable}`\n\n`--{flag}{value}`\n\n{}",
        add_full_stops(&help)
    );
    let choices: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if argument.get_action().takes_values() && !choices.is_empty() {
        let _ = writeln!(text, "\nOne of {}.", choices.join(", "));
    }
    let defaults: Vec<_> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        let _ = writeln!(text, "\nDefault: `{}`", defaults.join(","));
    }
}

/// Adds the full stop that help texts of a command line do not have at the end of a paragraph.
fn add_full_stops(help: &str) -> String {
    let paragraphs = help.split("\n\n").map(|paragraph| {
        let paragraph = paragraph.trim();
        let stop = if paragraph.ends_with(['.', ':']) { "" } else { "." };
        format!("{paragraph}{stop}")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use clap::builder::ArgAction;

    use super::*;

    #[test]
    fn setting_has_flag_variable_default_and_help() {
        let listen = Arg::new("listen")
            .long("listen")
            .env("ROLLBOOK_LISTEN")
            .value_name("ADDRESS")
            .default_value("127.0.0.1:8080")
            .help_heading("Server")
            .help("Where to listen");
        let migrate = Arg::new("migrate")
            .long("migrate")
            .env("ROLLBOOK_MIGRATE")
            .action(ArgAction::SetTrue)
            .help("Migrate");
        let root = Command::new("rollbook").subcommand(Command::new("serve").arg(listen).arg(migrate));
        let text = reference(&root);
        let expected = "\n## Server\n\n### `ROLLBOOK_LISTEN`\n\n`--listen <ADDRESS>`\n\nWhere to listen.\n\n\
                        Default: `127.0.0.1:8080`\n\n## Other\n\n### `ROLLBOOK_MIGRATE`\n\n`--migrate`\n\n\
                        Migrate.\n";
        assert!(text.ends_with(expected), "{text}");
    }
}
