//! The body with which a client launches content.

use uuid::Uuid;

use crate::access::{LaunchMode, LaunchStandard};
use crate::base::body::parse_body;
use crate::base::fault::{Fault, Faults, Place};
use crate::base::form::{Form, one_of, parse_with};
use crate::base::ids::{ContentId, UserId};
use crate::base::json::Node;
use crate::catalogue::content::read_url;
use crate::record::LanguageTag;

/// The members of a body.
const MEMBERS: &[&str] = &[
    "user",
    "content",
    "standard",
    "registration",
    "mode",
    "return_url",
    "language",
    "expires_in",
];

/// How long the token of a launch may be valid, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaunchLifetime {
    /// Without `expires_in`.
    pub usual_seconds: u32,
    /// The greatest `expires_in`.
    pub max_seconds: u32,
}

impl Default for LaunchLifetime {
    /// Four hours, and at most a day.
    fn default() -> Self {
        Self {
            usual_seconds: 14_400,
            max_seconds: 86_400,
        }
    }
}

/// A launch that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchForm {
    /// The user.
    pub user: UserId,
    /// The content.
    pub content: ContentId,
    /// The standard of the content.
    pub standard: LaunchStandard,
    /// The registration to continue. `None` begins a new one.
    pub registration: Option<Uuid>,
    /// What the launch is for.
    pub mode: LaunchMode,
    /// Where the content sends the user when it ends.
    pub return_url: Option<String>,
    /// The language that the user prefers (RFC 5646).
    pub language: Option<String>,
    /// How long the token is valid, in seconds.
    pub lifetime_seconds: u32,
}

impl LaunchForm {
    /// Parses a body with at most `depth` nested objects and arrays.
    ///
    /// # Errors
    ///
    /// Every fault, with its pointer.
    pub fn parse(text: &str, depth: usize, lifetime: LaunchLifetime) -> Result<Self, Faults> {
        parse_body(text, depth, |node, place, faults| {
            let mut form = Form::from_node(node, place, "a launch", MEMBERS, faults)?;
            for key in ["user", "content", "standard"] {
                if form.get(key).is_none() {
                    form.add_fault(key, "a launch needs this");
                }
            }
            let user = form.value("user");
            let content = form.value("content");
            let standard = form.read("standard", |node, place| {
                one_of(node, place, &LaunchStandard::ALL, LaunchStandard::key)
            });
            let registration = form.read("registration", parse_registration);
            let mode = form.read("mode", |node, place| {
                one_of(node, place, &LaunchMode::ALL, LaunchMode::key)
            });
            let return_url = form.read("return_url", read_url).flatten();
            let language = form.read("language", LanguageTag::from_node);
            let lifetime_seconds = form.read("expires_in", |node, place| {
                parse_seconds(node, place, lifetime.max_seconds)
            });
            Some(Self {
                user: user?,
                content: content?,
                standard: standard?,
                registration,
                mode: mode.unwrap_or_default(),
                return_url,
                language: language.map(|tag| tag.as_str().to_owned()),
                lifetime_seconds: lifetime_seconds.unwrap_or(lifetime.usual_seconds),
            })
        })
    }
}

/// Parses a registration. The nil UUID means no registration in stored documents, so it is none.
fn parse_registration(node: &Node<'_>, place: &Place<'_>) -> Result<Uuid, Fault> {
    parse_with(node, place, "a UUID that is not nil", |text| {
        let uuid: Uuid = text.parse().ok()?;
        // Statements name a registration by its 36 characters.
        (text.len() == 36 && !uuid.is_nil()).then_some(uuid)
    })
}

fn parse_seconds(node: &Node<'_>, place: &Place<'_>, max: u32) -> Result<u32, Fault> {
    let seconds = node
        .as_whole_number()
        .and_then(|seconds| u32::try_from(seconds).ok());
    seconds
        .filter(|seconds| (1..=max).contains(seconds))
        .ok_or_else(|| place.fault(format!("write a whole number of seconds from 1 to {max}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LaunchForm, Faults> {
        LaunchForm::parse(text, 8, LaunchLifetime::default())
    }

    #[test]
    fn defaults_are_a_new_registration_the_normal_mode_and_four_hours() {
        let form = parse(r#"{"user":"ada","content":"fire","standard":"xapi","mode":null}"#).unwrap();
        assert_eq!((form.registration, form.mode), (None, LaunchMode::Normal));
        assert_eq!(
            (form.lifetime_seconds, form.return_url, form.language),
            (14_400, None, None)
        );
    }

    #[test]
    fn every_member_is_read() {
        let form = parse(
            r#"{"user":"ada","content":"fire","standard":"cmi5","mode":"review","expires_in":60,
                "registration":"0190a000-0000-7000-8000-000000000001","return_url":"https://lms.example.org/back?x=1",
                "language":"de-CH"}"#,
        )
        .unwrap();
        assert_eq!(
            (form.standard, form.mode),
            (LaunchStandard::Cmi5, LaunchMode::Review)
        );
        assert_eq!(form.lifetime_seconds, 60);
        assert_eq!(
            form.return_url.as_deref(),
            Some("https://lms.example.org/back?x=1")
        );
        assert_eq!(form.language.as_deref(), Some("de-CH"));
        assert!(form.registration.is_some());
    }

    #[test]
    fn each_fault_is_named_at_its_member() {
        let valid = r#""user":"ada","content":"fire","standard":"xapi""#;
        for (member, pointer) in [
            (r#""mode":"play""#, "/mode"),
            (r#""registration":"1""#, "/registration"),
            (
                r#""registration":"00000000-0000-0000-0000-000000000000""#,
                "/registration",
            ),
            (
                r#""registration":"0190a000000070008000000000000001""#,
                "/registration",
            ),
            (r#""return_url":"javascript:alert(1)""#, "/return_url"),
            (r#""return_url":"/back""#, "/return_url"),
            (r#""language":"not a language""#, "/language"),
            (r#""expires_in":0"#, "/expires_in"),
            (r#""expires_in":86401"#, "/expires_in"),
            (r#""expires_in":"60""#, "/expires_in"),
            (r#""expires_in":1.5"#, "/expires_in"),
            (r#""secret":"x""#, "/secret"),
        ] {
            let faults = parse(&format!("{{{valid},{member}}}")).unwrap_err();
            assert_eq!(faults.listed()[0].pointer, pointer, "{member}");
        }
        let faults = parse(r#"{"standard":"aicc"}"#).unwrap_err();
        let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/user", "/content", "/standard"]);
    }
}
