//! The address that the browser opens for a launch.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::access::{Launch, LaunchMode};
use crate::record::Actor;

use super::bounds::actor_of;

/// The characters that are escaped in a value. Content decodes `%20` as a space, but not always `+`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The header `Authorization` that content sends: the launch's id and its token as HTTP Basic. Content sends it as it is.
pub fn authorization(launch: &Launch, token: &SecretString) -> String {
    format!("Basic {}", basic_token(launch.id, token))
}

/// The part of the header `Authorization` after `Basic `.
pub fn basic_token(launch: Uuid, token: &SecretString) -> String {
    STANDARD.encode(format!("{launch}:{}", token.expose_secret()))
}

/// The user of the launch as JSON, as statements name the actor.
pub fn actor_json(launch: &Launch, name: Option<&str>) -> String {
    Actor::agent(actor_of(launch), name).to_json()
}

/// What the address of an xAPI content has in its query.
#[derive(Debug, Clone, Copy)]
pub struct XapiQuery<'l> {
    /// The launch.
    pub launch: &'l Launch,
    /// The address of `/xapi/`.
    pub endpoint: &'l str,
    /// The header `Authorization`.
    pub authorization: &'l str,
    /// The user as JSON.
    pub actor: &'l str,
    /// Where the content sends the user when it ends.
    pub return_url: Option<&'l str>,
    /// The language that the user prefers.
    pub language: Option<&'l str>,
}

impl XapiQuery<'_> {
    /// The address of the content with these parameters, as Articulate, Captivate and Rise read them.
    pub fn address(&self, url: &str) -> String {
        let launch = self.launch;
        let registration = launch.registration.to_string();
        let mut parameters = vec![
            ("endpoint", self.endpoint),
            ("auth", self.authorization),
            ("actor", self.actor),
            ("registration", &registration),
            ("activity_id", &launch.activity),
        ];
        if launch.mode != LaunchMode::Normal {
            parameters.push(("mode", launch.mode.key()));
        }
        parameters.extend(self.return_url.map(|url| ("return_url", url)));
        parameters.extend(self.language.map(|language| ("language", language)));
        with_parameters(url, &parameters)
    }
}

/// What the address of a unit of cmi5 has in its query (cmi5, section 8.1).
#[derive(Debug, Clone, Copy)]
pub struct Cmi5Query<'l> {
    /// The address of `/xapi/`.
    pub endpoint: &'l str,
    /// The address that returns the token once.
    pub fetch: &'l str,
    /// The user as JSON.
    pub actor: &'l str,
    /// The registration.
    pub registration: Uuid,
    /// The IRI of the unit that Rollbook gave it.
    pub activity_id: &'l str,
}

impl Cmi5Query<'_> {
    /// The address of the unit with these parameters.
    pub fn address(&self, url: &str) -> String {
        let registration = self.registration.to_string();
        let parameters = [
            ("endpoint", self.endpoint),
            ("fetch", self.fetch),
            ("actor", self.actor),
            ("registration", &registration),
            ("activityId", self.activity_id),
        ];
        with_parameters(url, &parameters)
    }
}

/// Adds parameters to the query of an address. The address keeps its own query and its fragment.
pub fn with_parameters(url: &str, parameters: &[(&str, &str)]) -> String {
    let (page, fragment) = match url.split_once('#') {
        Some((page, fragment)) => (page, Some(fragment)),
        None => (url, None),
    };
    let mut address = page.to_owned();
    let mut separator = match page.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    for (name, value) in parameters {
        address.push_str(separator);
        address.push_str(name);
        address.push('=');
        address.extend(utf8_percent_encode(value, ESCAPED));
        separator = "&";
    }
    if let Some(fragment) = fragment {
        address.push('#');
        address.push_str(fragment);
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_follow_the_query_and_come_before_the_fragment() {
        let pairs = [("a", "1 +/ä"), ("b", "x")];
        for (url, expected) in [
            (
                "https://c.example/i.html",
                "https://c.example/i.html?a=1%20%2B%2F%C3%A4&b=x",
            ),
            ("https://c.example/?", "https://c.example/?a=1%20%2B%2F%C3%A4&b=x"),
            (
                "https://c.example/?v=2",
                "https://c.example/?v=2&a=1%20%2B%2F%C3%A4&b=x",
            ),
            (
                "https://c.example/?v=2&",
                "https://c.example/?v=2&a=1%20%2B%2F%C3%A4&b=x",
            ),
            (
                "https://c.example/#/s?x",
                "https://c.example/?a=1%20%2B%2F%C3%A4&b=x#/s?x",
            ),
        ] {
            assert_eq!(with_parameters(url, &pairs), expected);
        }
    }
}
