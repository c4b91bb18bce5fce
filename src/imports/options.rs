//! What a caller says about the file of an import.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};
use utoipa::ToSchema;

use super::mapping::{Mapping, NamedOptions};

/// The format of a file.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, Display, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ImportFormat {
    /// A CSV with headings.
    Csv,
    /// One JSON object in each line, or a JSON array of objects.
    Ndjson,
}

/// The delimiter of a CSV.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, Display, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Delimiter {
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// A tab.
    Tab,
}

impl Delimiter {
    /// All delimiters, the most usual first.
    pub(super) const ALL: [Self; 3] = [Self::Comma, Self::Semicolon, Self::Tab];

    /// The character.
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }
}

/// The encoding of a file.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, Display, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
pub enum FileEncoding {
    /// UTF-8; with a byte order mark of UTF-16, UTF-16.
    #[strum(serialize = "utf-8")]
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16, little endian.
    #[strum(serialize = "utf-16le")]
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, big endian.
    #[strum(serialize = "utf-16be")]
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// Windows-1252, which many programs call ANSI.
    #[strum(serialize = "windows-1252")]
    #[serde(rename = "windows-1252")]
    Windows1252,
}

impl FileEncoding {
    /// The encoding; `None` for UTF-8.
    pub(super) fn encoding(self) -> Option<&'static Encoding> {
        match self {
            Self::Utf8 => None,
            Self::Utf16Le => Some(UTF_16LE),
            Self::Utf16Be => Some(UTF_16BE),
            Self::Windows1252 => Some(WINDOWS_1252),
        }
    }
}

/// What is known about a file. Whatever is not given is found in the file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportOptions {
    /// The format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<ImportFormat>,
    /// The delimiter of a CSV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
    /// The encoding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<FileEncoding>,
    /// The name of the mapping, or `custom` for one that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping_name: Option<String>,
    /// The mapping; without one, the columns are the fields of the short form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
}

impl ImportOptions {
    /// Sets the mapping: JSON, or the name of one.
    ///
    /// # Errors
    ///
    /// The mapping is not known or not valid, or needs an option.
    pub fn set_mapping(&mut self, mapping: &str, named: &NamedOptions) -> Result<(), String> {
        let (name, mapping) = if mapping.trim_start().starts_with('{') {
            if *named != NamedOptions::default() {
                return Err(
                    "a mapping that is sent says itself what the time zone and the formats are".to_owned(),
                );
            }
            ("custom", Mapping::parse(mapping)?)
        } else {
            (mapping, Mapping::named(mapping, named)?)
        };
        self.mapping_name = Some(name.to_owned());
        self.mapping = Some(mapping);
        Ok(())
    }
}

/// The rights of the sender of an import, as they were when it was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportTerms {
    /// The authority of the records, as the JSON of an Agent.
    pub authority: String,
    /// The user that sent it, if a person did.
    pub recorded_by: Option<String>,
    /// Whether its definitions change the catalogue.
    pub defines: bool,
    /// Whether its definitions count for Activities without any.
    pub adds_definitions: bool,
    /// Whether a row may have `recorded_by` and `comment`.
    pub names_recorder: bool,
    /// Whether it may have statements.
    pub writes_statements: bool,
}
