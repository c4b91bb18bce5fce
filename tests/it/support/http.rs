//! Requests and answers, short enough to read as a story.
//!
//! A [`Caller`] is somebody who asks: a person with a token, a credential, or nobody. Paths are relative to the
//! server, so that a `next` link can be handed back as it came.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;

/// Somebody who asks the server.
#[derive(Debug, Clone)]
pub struct Caller {
    client: reqwest::Client,
    base: String,
    authorization: Option<String>,
}

impl Caller {
    /// Somebody without a name.
    pub fn nobody(client: reqwest::Client, base: impl Into<String>) -> Self {
        Self { client, base: base.into(), authorization: None }
    }

    /// The same connection, with a person's token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}")), ..self.clone() }
    }

    /// The same connection, with a credential.
    pub fn with_basic(&self, key: &str, secret: &str) -> Self {
        let pair = STANDARD.encode(format!("{key}:{secret}"));
        Self { authorization: Some(format!("Basic {pair}")), ..self.clone() }
    }

    /// Asks with everything said: a path that begins with `/`, headers, a body.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        assert!(path.starts_with('/'), "a path begins with a slash: {path}");
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if path.starts_with("/xapi") && headers.iter().all(|(name, _)| *name != "x-experience-api-version") {
            request = request.header("x-experience-api-version", "1.0.3");
        }
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name = name.parse::<HeaderName>().expect("a header's name");
                (name, HeaderValue::from_str(value).expect("a header's value"))
            })
            .collect();
        let said = format!("{method} {path}\n{}", excerpt(&body));
        let answer = request.headers(headers).body(body).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{said}\nno answer: {error:?}"));
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let body =
            answer.bytes().await.unwrap_or_else(|error| panic!("{said}\n{status}, then cut: {error:?}"));
        Answer { status, headers, body: body.to_vec(), said }
    }

    async fn send_json(&self, method: Method, path: &str, body: &(impl Serialize + ?Sized)) -> Answer {
        let body = serde_json::to_vec(body).expect("test data is JSON");
        self.send(method, path, &[("content-type", "application/json")], body).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Vec::new()).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], Vec::new()).await
    }

    /// POST with JSON.
    pub async fn post(&self, path: &str, body: &(impl Serialize + ?Sized)) -> Answer {
        self.send_json(Method::POST, path, body).await
    }

    /// PUT with JSON.
    pub async fn put(&self, path: &str, body: &(impl Serialize + ?Sized)) -> Answer {
        self.send_json(Method::PUT, path, body).await
    }

    /// PATCH with a JSON merge patch (RFC 7396).
    pub async fn patch(&self, path: &str, body: &(impl Serialize + ?Sized)) -> Answer {
        let body = serde_json::to_vec(body).expect("test data is JSON");
        self.send(Method::PATCH, path, &[("content-type", "application/merge-patch+json")], body).await
    }

    /// All elements of a list, page after page, by the `next` that each page gives.
    pub async fn list(&self, path: &str, plural: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let page = self.get(&path).await.expect(200).json();
            all.extend(page[plural].as_array().expect("a list of the plural's name").iter().cloned());
            next = page["next"].as_str().map(str::to_owned);
        }
        all
    }
}

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// What was asked, for messages.
    said: String,
}

impl Answer {
    /// Fails unless the status is this one, telling what was asked and answered.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        self.expect_one_of(&[status])
    }

    /// Fails unless the status is one of these.
    #[track_caller]
    pub fn expect_one_of(self, statuses: &[u16]) -> Self {
        if !statuses.contains(&self.status) {
            panic!("{}\nanswered {}, not {statuses:?}:\n{}", self.said, self.status, excerpt(&self.body));
        }
        self
    }

    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{}\nis not answered in JSON: {error}\n{}", self.said, excerpt(&self.body))
        })
    }

    /// The body as NDJSON.
    #[track_caller]
    pub fn ndjson(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
    }

    /// The body as CSV: the headings, then the rows.
    #[track_caller]
    pub fn csv(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(self.body.as_slice());
        let mut rows: Vec<Vec<String>> = reader
            .records()
            .map(|row| row.expect("the CSV has one width").iter().map(str::to_owned).collect())
            .collect();
        assert!(!rows.is_empty(), "{}\nhas no heading row", self.said);
        let headings = rows.remove(0);
        (headings, rows)
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The beginning of a body, for messages.
fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(2_000).collect()
}

/// A query string from pairs, percent-encoded, with its `?`; empty without pairs.
pub fn query(pairs: &[(String, String)]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let mut text = form_urlencoded::Serializer::for_suffix(String::from("?"), 1);
    for (name, value) in pairs {
        text.append_pair(name, value);
    }
    text.finish()
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> String {
    // Form encoding writes a space as `+`, which a path takes literally.
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
