//! An HTTP client for tests, with short method names.
//!
//! A [`Caller`] sends requests as one person or credential, or anonymously. Paths are relative to the
//! server. A `next` link from an answer is a valid path.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;

use super::openapi;

/// A client with one identity: a person's token, a credential, or none.
#[derive(Debug, Clone)]
pub struct Caller {
    client: reqwest::Client,
    base: String,
    authorization: Option<String>,
}

impl Caller {
    /// A client that sends no `Authorization` header.
    pub fn anonymous(client: reqwest::Client, base: impl Into<String>) -> Self {
        Self { client, base: base.into(), authorization: None }
    }

    /// The same client with a person's token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}")), ..self.clone() }
    }

    /// The same client with a credential.
    pub fn with_basic(&self, key: &str, secret: &str) -> Self {
        let pair = STANDARD.encode(format!("{key}:{secret}"));
        Self { authorization: Some(format!("Basic {pair}")), ..self.clone() }
    }

    /// Sends a request with any method, headers and body. The path begins with `/`.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        assert!(path.starts_with('/'), "the path must begin with a slash: {path}");
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
        let request_text = format!("{method} {path}\n{}", excerpt(&body));
        let (sent_headers, sent_body) = (headers.clone(), body.clone());
        let answer = request.headers(headers).body(body).send().await;
        let mut answer = answer.unwrap_or_else(|error| panic!("{request_text}\nno answer: {error:?}"));
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        // A stream of events has no end. Its first piece comes at once.
        let is_stream = headers.get("content-type").is_some_and(|value| value == "text/event-stream");
        let body = match is_stream {
            true => answer.chunk().await.map(Option::unwrap_or_default),
            false => answer.bytes().await,
        };
        let body = body.unwrap_or_else(|error| {
            panic!("{request_text}\nstatus {status}, but the body is incomplete: {error:?}")
        });
        if let Err(fault) = openapi::check_answer(&method, path, status, &headers, &body) {
            panic!(
                "{request_text}\nthe status is {status}, and the OpenAPI document does not describe the answer: {fault}\n{}",
                excerpt(&body)
            );
        }
        if status < 400
            && let Err(fault) = openapi::check_request(&method, path, &sent_headers, &sent_body)
        {
            panic!(
                "{request_text}\nthe server took a body that the OpenAPI document does not permit: {fault}\n{}",
                excerpt(&body)
            );
        }
        Answer { status, headers, body: body.to_vec(), request_text }
    }

    /// Opens an answer whose body is read in pieces. Fails with the whole answer if the status is not 200.
    pub async fn open(&self, path: &str, headers: &[(&str, &str)]) -> Result<reqwest::Response, Answer> {
        let mut request = self.client.get(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{path}\nno answer: {error:?}"));
        match answer.status().as_u16() {
            200 => Ok(answer),
            _ => Err(self.send(Method::GET, path, headers, Vec::new()).await),
        }
    }

    async fn send_json(&self, method: Method, path: &str, body: &(impl Serialize + ?Sized)) -> Answer {
        let body = serde_json::to_vec(body).expect("test data is JSON");
        self.send(method, path, &[("content-type", "application/json")], body).await
    }

    /// Sends a GET request.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Vec::new()).await
    }

    /// Sends a DELETE request.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], Vec::new()).await
    }

    /// Sends a POST request with a JSON body.
    pub async fn post(&self, path: &str, body: &(impl Serialize + ?Sized)) -> Answer {
        self.send_json(Method::POST, path, body).await
    }

    /// Sends a PUT request with a JSON body.
    pub async fn put(&self, path: &str, body: &(impl Serialize + ?Sized)) -> Answer {
        self.send_json(Method::PUT, path, body).await
    }

    /// Sends a PATCH request with a JSON merge patch (RFC 7396).
    pub async fn patch(&self, path: &str, body: &(impl Serialize + ?Sized)) -> Answer {
        let body = serde_json::to_vec(body).expect("test data is JSON");
        self.send(Method::PATCH, path, &[("content-type", "application/merge-patch+json")], body).await
    }

    /// Reads all pages of a list by following `next`, and returns all elements.
    pub async fn list(&self, path: &str, plural: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let page = self.get(&path).await.expect(200).json();
            all.extend(page[plural].as_array().expect("the page has the list").iter().cloned());
            next = page["next"].as_str().map(str::to_owned);
        }
        all
    }
}

/// An answer of the server.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// The request, for messages.
    request_text: String,
}

impl Answer {
    /// Panics with the request and the answer unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        self.expect_one_of(&[status])
    }

    /// Panics with the request and the answer unless the status is one of these.
    ///
    /// Only for answers that the test cannot decide, for example in a race.
    #[track_caller]
    pub fn expect_one_of(self, statuses: &[u16]) -> Self {
        if !statuses.contains(&self.status) {
            panic!(
                "{}\nthe status is {}, not {statuses:?}:\n{}",
                self.request_text,
                self.status,
                excerpt(&self.body)
            );
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
            panic!("{}\nthe answer is not JSON: {error}\n{}", self.request_text, excerpt(&self.body))
        })
    }

    /// The JSON pointers of the errors in a problem document, in order.
    #[track_caller]
    pub fn error_pointers(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().expect("a pointer").to_owned()).collect()
    }

    /// The names of the wrong parameters in a problem document.
    #[track_caller]
    pub fn error_parameters(&self) -> BTreeSet<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["parameter"].as_str().expect("a parameter").to_owned()).collect()
    }

    /// The body as NDJSON.
    #[track_caller]
    pub fn ndjson(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
    }

    /// The body as CSV: the headings and the rows.
    #[track_caller]
    pub fn csv(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(self.body.as_slice());
        let mut rows: Vec<Vec<String>> = reader
            .records()
            .map(|row| row.expect("all rows have the same length").iter().map(str::to_owned).collect())
            .collect();
        assert!(!rows.is_empty(), "{}\nthe CSV has no headings", self.request_text);
        let headings = rows.remove(0);
        (headings, rows)
    }

    /// The cells of one column of a CSV body, from the first row to the last.
    #[track_caller]
    pub fn csv_column(&self, heading: &str) -> Vec<String> {
        let (headings, rows) = self.csv();
        let index = headings.iter().position(|other| other == heading);
        let index = index.unwrap_or_else(|| panic!("no column {heading} in {headings:?}"));
        rows.into_iter().map(|mut row| row.swap_remove(index)).collect()
    }

    /// The rows of a CSV body, one cell per line without empty cells, for snapshots.
    #[track_caller]
    pub fn csv_as_lines(&self) -> String {
        let (headings, rows) = self.csv();
        let mut text = String::new();
        for (index, row) in rows.iter().enumerate() {
            text.push_str(&format!("row {}\n", index + 1));
            for (heading, cell) in headings.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
                text.push_str(&format!("  {heading}: {cell}\n"));
            }
        }
        text
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The beginning of a body, for messages.
fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(2_000).collect()
}

/// Builds a percent-encoded query string that begins with `?`. It is empty without pairs.
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

/// Encodes a text as one segment of a path.
pub fn encode_segment(text: &str) -> String {
    // Form encoding writes a space as `+`, which means a plus sign in a path.
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
