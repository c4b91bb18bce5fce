//! The requests that leave the server. Clients choose their addresses, so this module decides what they may reach.
//!
//! - Only `https`, and `http` if the operator allows it. Only the ports 80, 443 and those from 1024 on.
//! - A name is resolved once for a connection. If one of its addresses is not allowed ([`networks`]), the request is refused.
//!   The connection goes to the checked addresses, so a later answer of the name server changes nothing. The name stays in
//!   the TLS handshake and in `Host`.
//! - An address in the URL, in any notation, is the address that the URL parser reads, and is checked in the same way.
//! - No redirect is followed. No proxy from the environment is used. No cookies are kept.
//! - A connection and a whole request have a time limit. At most [`MAX_ANSWER_BYTES`] of an answer are read, within the same
//!   limit.

pub mod networks;

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Url, redirect};

use crate::base::clock::Timestamp;
use networks::{Forbidden, check_address};

/// The most bytes of an answer that are read.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024;
/// The longest text of an answer that is shown, in characters.
const MAX_SHOWN: usize = 300;
/// The longest address, in characters.
pub const MAX_URL: usize = 2_000;
/// How long an idle connection is kept: less than the five seconds after which servers in Node.js close it.
const KEPT_IDLE: Duration = Duration::from_secs(4);
/// The smallest port that is not reserved for services of a system.
const FIRST_FREE_PORT: u16 = 1024;

/// The settings of requests that leave the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressRules {
    /// Whether `http` is allowed.
    pub allow_http: bool,
    /// Networks that are allowed although they are not public.
    pub allowed_networks: Vec<IpNet>,
    /// The time limit of a connection, with its name and TLS.
    pub connect_within: Duration,
    /// The time limit of a request with its answer.
    pub answer_within: Duration,
}

impl Default for EgressRules {
    fn default() -> Self {
        Self {
            allow_http: false,
            allowed_networks: Vec::new(),
            connect_within: Duration::from_secs(5),
            answer_within: Duration::from_secs(20),
        }
    }
}

/// Finds the addresses of a name.
pub trait FindAddresses: Send + Sync {
    /// The addresses of the name.
    ///
    /// # Errors
    ///
    /// The name has none, or the name server does not answer.
    fn find_addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNames;

impl FindAddresses for SystemNames {
    fn find_addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// How the addresses of names are found. The default is the resolver of the system.
#[derive(Clone)]
pub struct Names(Arc<dyn FindAddresses>);

impl Names {
    /// Finds addresses in another way.
    pub fn new(finder: impl FindAddresses + 'static) -> Self {
        Self(Arc::new(finder))
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new(SystemNames)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

/// Why an address can't be used. The message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// It is no URL, or one without a host.
    #[error("write an address such as `https://example.org/hooks/rollbook`")]
    Malformed,
    /// It is too long.
    #[error("an address has at most {MAX_URL} characters")]
    TooLong,
    /// Its scheme is not `https` or `http`.
    #[error("an address begins with `https://`")]
    Scheme,
    /// It is `http`.
    #[error(
        "use `https`: the operator of this server does not allow `http` (ROLLBOOK_SUBSCRIPTION_ALLOW_HTTP)"
    )]
    Http,
    /// It contains a user or a password.
    #[error("an address has no user and no password")]
    UserInfo,
    /// It has a fragment.
    #[error("an address has no fragment (`#…`): it would not be sent")]
    Fragment,
    /// It has a reserved port.
    #[error("port {0} is not allowed; use 443, 80 or a port from {FIRST_FREE_PORT} on")]
    Port(u16),
    /// Its host is an address that is not allowed.
    #[error("{0} (ROLLBOOK_SUBSCRIPTION_ALLOW_NETWORKS)")]
    Address(#[from] Forbidden),
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header `Retry-After`, as it was sent.
    pub retry_after: Option<String>,
    /// The beginning of the body, on one line.
    pub text: String,
}

impl Answer {
    /// Whether the receiver acknowledged the request.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// How long the receiver asks to wait: `Retry-After` in seconds or as a date.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
        let micros = date.timestamp_micros().saturating_sub(now.micros());
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }

    /// Why the request failed, for the list of deliveries.
    pub fn describe(&self) -> String {
        let mut text = format!("the receiver answered {}", self.status);
        if (300..400).contains(&self.status) {
            text.push_str("; redirects are not followed");
        } else if !self.text.is_empty() {
            text.push_str(": ");
            text.push_str(&self.text);
        }
        text
    }
}

/// Why there is no answer. The message is shown in the list of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub String);

/// Sends requests to addresses that clients chose.
#[derive(Clone)]
pub struct Egress {
    client: Client,
    rules: Arc<EgressRules>,
}

impl Egress {
    /// A sender with these rules.
    ///
    /// # Errors
    ///
    /// TLS can't be set up.
    pub fn new(rules: EgressRules, names: Names) -> Result<Self, NoAnswer> {
        let rules = Arc::new(rules);
        let resolver = CheckedNames {
            names,
            rules: Arc::clone(&rules),
        };
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .http1_only()
            .connect_timeout(rules.connect_within)
            .timeout(rules.answer_within)
            .pool_idle_timeout(KEPT_IDLE)
            .pool_max_idle_per_host(2)
            .user_agent(concat!("Rollbook/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(resolver))
            .build();
        let client = client.map_err(|error| NoAnswer(describe(&error)))?;
        Ok(Self { client, rules })
    }

    /// The rules.
    pub fn rules(&self) -> &EgressRules {
        &self.rules
    }

    /// Sends a request and reads the beginning of the answer.
    ///
    /// # Errors
    ///
    /// The address is not allowed, or no answer came in time.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer, NoAnswer> {
        // Checked again: the settings may have changed since the address was stored.
        let url = parse_url(url, &self.rules).map_err(|fault| NoAnswer(fault.to_string()))?;
        let request = self.client.request(method, url).headers(headers).body(body);
        let limit = self.rules.answer_within;
        let exchange = async {
            let response = request.send().await.map_err(|error| self.to_no_answer(&error))?;
            Ok(read_answer(response).await)
        };
        let late = |_| NoAnswer(format!("no answer came within {} seconds", limit.as_secs_f64()));
        tokio::time::timeout(limit, exchange).await.map_err(late)?
    }

    fn to_no_answer(&self, error: &reqwest::Error) -> NoAnswer {
        if error.is_timeout() && error.is_connect() {
            let limit = self.rules.connect_within.as_secs_f64();
            return NoAnswer(format!("no connection was made within {limit} seconds"));
        }
        if error.is_timeout() {
            let limit = self.rules.answer_within.as_secs_f64();
            return NoAnswer(format!("no answer came within {limit} seconds"));
        }
        NoAnswer(describe(error))
    }
}

/// Parses an address that a client chose.
///
/// # Errors
///
/// The address is not allowed, as far as this is known without its name's addresses.
pub fn parse_url(text: &str, rules: &EgressRules) -> Result<Url, UrlFault> {
    if text.chars().count() > MAX_URL {
        return Err(UrlFault::TooLong);
    }
    let url = Url::parse(text).map_err(|_| UrlFault::Malformed)?;
    match url.scheme() {
        "https" => {}
        "http" if rules.allow_http => {}
        "http" => return Err(UrlFault::Http),
        _ => return Err(UrlFault::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlFault::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(UrlFault::Fragment);
    }
    match url.port() {
        Some(port) if port < FIRST_FREE_PORT && port != 80 && port != 443 => {
            return Err(UrlFault::Port(port));
        }
        _ => {}
    }
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or(UrlFault::Malformed)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse::<IpAddr>() {
        check_address(address, &rules.allowed_networks)?;
    }
    let name = host.trim_end_matches('.');
    if name == "localhost" || name.ends_with(".localhost") {
        check_address(IpAddr::from([127, 0, 0, 1]), &rules.allowed_networks)?;
    }
    Ok(url)
}

/// Resolves names, and refuses those with an address that is not allowed.
struct CheckedNames {
    names: Names,
    rules: Arc<EgressRules>,
}

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let (finding, rules) = (self.names.0.find_addresses(&name), Arc::clone(&self.rules));
        let resolving = async move {
            let found = finding.await?;
            for address in &found {
                if let Err(forbidden) = check_address(*address, &rules.allowed_networks) {
                    tracing::warn!(name, %forbidden, "the name of a receiver leads to an address that is not allowed");
                    return Err(forbidden.into());
                }
            }
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok::<_, Box<dyn Error + Send + Sync>>(addresses)
        };
        Box::pin(resolving) as Pin<Box<_>>
    }
}

/// Reads the beginning of an answer. Its end is of no interest: the status is the acknowledgement.
async fn read_answer(mut response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after = retry_after
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let is_success = response.status().is_success();
    let mut body = Vec::new();
    let reading = async {
        while body.len() < MAX_ANSWER_BYTES {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = MAX_ANSWER_BYTES - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                Ok(None) | Err(_) => break,
            }
        }
    };
    // A receiver that acknowledged the request and does not end its answer loses the connection, and nothing else.
    let limit = if is_success {
        Duration::from_millis(500)
    } else {
        Duration::from_secs(2)
    };
    let _ = tokio::time::timeout(limit, reading).await;
    Answer {
        status,
        retry_after,
        text: if is_success {
            String::new()
        } else {
            one_line(&body)
        },
    }
}

/// The beginning of a body as text on one line.
fn one_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(MAX_SHOWN).collect()
}

/// The causes of an error, without the address.
fn describe(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn Error> = error.source();
    let mut last = String::new();
    while let Some(error) = cause {
        // Clients must not learn the addresses of internal names. The log has them.
        if error.is::<Forbidden>() {
            return "the name leads to an address that is not allowed (ROLLBOOK_SUBSCRIPTION_ALLOW_NETWORKS)"
                .to_owned();
        }
        last = error.to_string();
        cause = error.source();
    }
    let step = if error.is_connect() {
        "no connection could be made"
    } else {
        "the connection broke off"
    };
    let last: String = last.chars().take(MAX_SHOWN).collect();
    if last.is_empty() {
        step.to_owned()
    } else {
        format!("{step}: {last}")
    }
}

/// A header. `None` if the value has characters that a header can't have.
pub fn header(name: &'static str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<(), UrlFault> {
        let rules = EgressRules {
            allow_http: true,
            ..EgressRules::default()
        };
        parse_url(url, &rules).map(|_| ())
    }

    #[test]
    fn public_addresses_are_accepted() {
        for url in [
            "https://example.org",
            "http://example.org:8080/a?b=c",
            "https://93.184.216.34/",
            "https://[2606:4700::1111]/x",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn each_notation_of_a_private_address_is_refused() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://127.0.0.1./",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://0/",
            "http://0.0.0.0/",
            "http://169.254.169.254/latest/meta-data/",
            "http://127。0。0。1/",
            "http://①②⑦.0.0.1/",
            "http://%31%32%37.0.0.1/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http:127.0.0.1",
            "http:\\\\127.0.0.1\\",
            "https://10.0.0.8:9000/",
        ] {
            assert!(
                matches!(check(url), Err(UrlFault::Address(_))),
                "{url}: {:?}",
                check(url)
            );
        }
    }

    #[test]
    fn each_fault_of_an_address_is_named() {
        for (url, fault) in [
            ("", UrlFault::Malformed),
            ("example.org", UrlFault::Malformed),
            ("https://", UrlFault::Malformed),
            ("ftp://example.org/", UrlFault::Scheme),
            ("file:///etc/passwd", UrlFault::Scheme),
            ("gopher://example.org/", UrlFault::Scheme),
            ("https://user@example.org/", UrlFault::UserInfo),
            ("https://:secret@example.org/", UrlFault::UserInfo),
            ("https://example.org/#a", UrlFault::Fragment),
            ("https://example.org:25/", UrlFault::Port(25)),
            ("https://example.org:22/", UrlFault::Port(22)),
        ] {
            assert_eq!(check(url), Err(fault), "{url}");
        }
        let long = format!("https://example.org/{}", "a".repeat(MAX_URL));
        assert_eq!(check(&long), Err(UrlFault::TooLong));
        let without_http = parse_url("http://example.org/", &EgressRules::default());
        assert_eq!(without_http, Err(UrlFault::Http));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::from_micros(1_773_829_043_000_000);
        let wait = |text: &str| {
            let answer = Answer {
                status: 503,
                retry_after: Some(text.to_owned()),
                text: String::new(),
            };
            answer.wait(now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Wed, 18 Mar 2026 10:18:23 GMT"), Some(60));
        assert_eq!(wait("Wed, 18 Mar 2026 10:00:00 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
    }
}
