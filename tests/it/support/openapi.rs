//! Checks every answer against the OpenAPI document: the operation, status, media type and body must be described. Every
//! body that the server takes must be permitted.
//!
//! The test client calls [`check_answer`] for each answer that it receives, and [`check_request`] for each request that
//! is not refused.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::{Draft, Validator};
use percent_encoding::percent_decode_str;
use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use serde_json::Value;

/// Addresses of the viewer's files, which are not part of the API.
const VIEWER: &str = "/docs";

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::to_value(rollbook::http::openapi::document()).expect("the OpenAPI document is JSON")
});

/// The compiled schema of each answer, by its JSON pointer in the document.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Compares an answer with the description of its operation.
///
/// # Errors
///
/// What the document does not describe.
pub fn check_answer(
    method: &Method,
    path_and_query: &str,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), String> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let path = &fold_slashes(path);
    if path.starts_with(VIEWER) || method == Method::OPTIONS {
        return Ok(());
    }
    let method = effective_method(method, path, query);
    let Some(operation) = find_operation(path, &method) else {
        // An unknown address, or a method that the resource does not have.
        return if status >= 400 {
            check_problem(headers, body, &method)
        } else {
            Err(format!("no operation describes {method} {path}"))
        };
    };
    let responses = format!("{operation}/responses");
    let response = format!("{responses}/{status}");
    let response = if DOCUMENT.pointer(&response).is_some() {
        response
    } else if status >= 400 {
        format!("{responses}/default")
    } else {
        return Err(format!("status {status} is not described at {responses}"));
    };
    if method == Method::HEAD {
        return Ok(());
    }
    check_body(&resolve(response), headers, body)
}

/// The place to which a reference at `pointer` points, or `pointer` itself.
fn resolve(pointer: String) -> String {
    let reference = DOCUMENT.pointer(&pointer).and_then(|value| value["$ref"].as_str());
    reference.and_then(|reference| reference.strip_prefix('#')).map_or(pointer, ToOwned::to_owned)
}

/// Compares the body of a request that the server took with the description of its operation.
///
/// # Errors
///
/// What the document does not permit.
pub fn check_request(
    method: &Method,
    path_and_query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), String> {
    let path = &fold_slashes(path_and_query.split('?').next().unwrap_or_default());
    // A form in xAPI's alternate request syntax contains another request. A body without a media type is none of these.
    let is_alternate = path.starts_with("/xapi/") && path_and_query.contains("method=");
    let Some(media_type) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return Ok(());
    };
    // Servers pass over the body of a DELETE (RFC 9110, section 9.3.5), and of the POST of cmi5, which has none.
    let is_passed_over = *method == Method::DELETE || path.starts_with("/cmi5/fetch/");
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    if body.is_empty() || is_alternate || path.starts_with(VIEWER) || is_passed_over {
        return Ok(());
    }
    let operation = find_operation(path, method).ok_or("no operation describes the request")?;
    let content = format!("{operation}/requestBody/content");
    let described = DOCUMENT.pointer(&content).and_then(Value::as_object);
    let Some(described) = described else {
        // Many clients send an empty object with a POST that needs no body.
        return if body == b"{}" { Ok(()) } else { Err(format!("{operation} has no body")) };
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // The server takes a merge patch as plain JSON too. The document has one media type for the sake of generators.
    let documented = match essence.as_str() {
        "application/json" if *method == Method::PATCH => "application/merge-patch+json",
        essence => essence,
    };
    let name = [documented, "*/*"].into_iter().find(|name| described.contains_key(*name));
    let Some(name) = name else {
        let known: Vec<&String> = described.keys().collect();
        return Err(format!("{operation} describes {known:?}, not {essence}"));
    };
    let schema = format!("{content}/{}/schema", name.replace('/', "~1"));
    // An import is taken before it is read. Its rows are judged one by one.
    if path == "/v1/imports" || !describes_json(&schema) {
        return Ok(());
    }
    match essence.as_str() {
        "application/json" | "application/merge-patch+json" if is_json(&schema) => {
            match serde_json::from_slice(body) {
                Ok(value) => check_json(&schema, &to_documented_form(value, &schema, method, path)),
                // A JSON number has no limit, but the values of this test have.
                Err(error) if error.to_string().starts_with("number out of range") => Ok(()),
                Err(error) => Err(format!("the body is not JSON: {error}")),
            }
        }
        "application/x-ndjson" if is_json(&schema) => check_lines(&schema, body),
        _ => Ok(()),
    }
}

/// The body with arrays where the server also takes one value that is not in an array. The document has arrays only,
/// since generators of clients cannot express either.
fn to_documented_form(mut value: Value, schema: &str, method: &Method, path: &str) -> Vec<u8> {
    if path == "/xapi/statements" {
        value = if value.is_object() && *method == Method::POST { Value::from(vec![value]) } else { value };
        wrap_context_activities(&mut value);
    }
    if *method != Method::PATCH {
        remove_nulls(&mut value);
    }
    if let Some(filter) = value.get_mut("filter") {
        wrap_filter_values(filter);
    }
    if *method == Method::PUT {
        let read = schema.replace("/requestBody/", "/responses/200/");
        remove_read_only_members(&mut value, schema, &read);
    }
    if let Some(elements) = value.as_array_mut().filter(|_| path == "/v1/contents/batch") {
        let (sent, read) = (format!("{}/items", resolve(schema.to_owned())), "/components/schemas/Content");
        elements.iter_mut().for_each(|element| remove_read_only_members(element, &sent, read));
    }
    value.to_string().into_bytes()
}

/// Removes members with the value `null`: they mean the same as members that are left out.
fn remove_nulls(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(remove_nulls),
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(remove_nulls);
        }
        _ => {}
    }
}

/// Removes the members that a PUT passes over, so that a client can send back what it has read
/// (docs/specification.md#json-conventions): those that the answers at `read` describe and the bodies at `schema` do not.
fn remove_read_only_members(value: &mut Value, schema: &str, read: &str) {
    let properties = |schema: &str| DOCUMENT.pointer(&format!("{}/properties", resolve(schema.to_owned())));
    let (sent, shown) = (properties(schema), properties(read));
    let has = |properties: Option<&Value>, name: &str| properties.is_some_and(|all| all.get(name).is_some());
    if let Some(members) = value.as_object_mut() {
        members.retain(|name, _| has(sent, name) || !has(shown, name));
    }
}

fn wrap_context_activities(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(wrap_context_activities),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::Object(kinds) if name == "contextActivities" => {
                        for one in kinds.values_mut().filter(|one| one.is_object()) {
                            *one = Value::from(vec![one.take()]);
                        }
                    }
                    value => wrap_context_activities(value),
                }
            }
        }
        _ => {}
    }
}

/// Changes a report's filter to the form in which the server shows it.
pub fn wrap_filter_values(filter: &mut Value) {
    for (name, value) in filter.as_object_mut().into_iter().flatten() {
        wrap_filter_value(name, value);
    }
}

fn wrap_filter_value(name: &str, value: &mut Value) {
    let Some(text) = value.as_str() else { return };
    let filter = &DOCUMENT["components"]["schemas"]["ReportFilter"];
    let schema = filter["properties"].get(name).unwrap_or(&filter["additionalProperties"]);
    if schema["type"] == "boolean" {
        *value = Value::from(text == "true");
    } else if schema["type"] == "array" {
        let is_closed_set = schema["items"]["$ref"].is_string();
        *value = if is_closed_set { text.split(',').collect() } else { Value::from(vec![text]) };
    }
}

/// Whether the schema has rules. One without rules describes any bytes: a document may be no JSON although its client
/// calls it so.
fn describes_json(schema: &str) -> bool {
    let rules = DOCUMENT.pointer(schema).and_then(Value::as_object);
    rules.is_some_and(|rules| rules.keys().any(|rule| rule != "description"))
}

/// Whether the schema describes JSON, and not the bytes of a file.
fn is_json(schema: &str) -> bool {
    let binary = "#/components/schemas/Binary";
    DOCUMENT.pointer(schema).is_some_and(|schema| schema["$ref"] != binary && schema["type"] != "string")
}

/// The path of the resource of the LRS that answers, or the path as it is.
fn fold_slashes(path: &str) -> String {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let folded = segments.fold(String::new(), |path, segment| path + "/" + segment);
    if folded.starts_with("/xapi/") { folded } else { path.to_owned() }
}

/// The method that the server executes: xAPI's alternate request syntax names it in the query.
fn effective_method(method: &Method, path: &str, query: &str) -> Method {
    if *method != Method::POST || !path.starts_with("/xapi/") {
        return method.clone();
    }
    let named = query.split('&').find_map(|pair| pair.strip_prefix("method="));
    named.and_then(|name| Method::from_bytes(name.as_bytes()).ok()).unwrap_or(Method::POST)
}

/// The JSON pointer of the operation that describes a request.
fn find_operation(path: &str, method: &Method) -> Option<String> {
    let paths = DOCUMENT["paths"].as_object().expect("the document has paths");
    let matching = paths.keys().filter(|template| matches_template(template, path));
    // `/v1/activities/batch` is more specific than `/v1/activities/{id}`.
    let template = matching.min_by_key(|template| template.matches('{').count())?;
    let name = if *method == Method::HEAD { "get" } else { &method.as_str().to_lowercase() };
    paths[template].get(name)?;
    Some(format!("/paths/{}/{name}", template.replace('~', "~0").replace('/', "~1")))
}

fn matches_template(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(expected, segment)| {
            (expected.starts_with('{') && !segment.is_empty())
                || *expected == percent_decode_str(segment).decode_utf8_lossy()
        })
}

fn check_problem(headers: &HeaderMap, body: &[u8], method: &Method) -> Result<(), String> {
    if *method == Method::HEAD {
        return Ok(());
    }
    // All operations describe problems alike.
    check_body("/paths/~1v1~1actions/get/responses/default", headers, body)
}

fn check_body(response: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let content = DOCUMENT.pointer(response).and_then(|response| response.get("content"));
    let Some(content) = content.and_then(Value::as_object) else {
        return if body.is_empty() { Ok(()) } else { Err(format!("{response} describes no body")) };
    };
    let Some(media_type) = headers.get(CONTENT_TYPE) else {
        return if body.is_empty() { Ok(()) } else { Err("the body has no Content-Type".to_owned()) };
    };
    let media_type = media_type.to_str().map_err(|error| error.to_string())?;
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let described = [essence, "*/*"].into_iter().find(|name| content.contains_key(*name));
    let Some(described) = described else {
        let known: Vec<&String> = content.keys().collect();
        return Err(format!("{response} describes {known:?}, not {essence}"));
    };
    let body = &decode(headers, body)?;
    let schema = format!("{response}/content/{}/schema", described.replace('/', "~1"));
    if !describes_json(&schema) {
        return Ok(());
    }
    match essence {
        _ if described == "*/*" => Ok(()),
        "application/json" | "application/problem+json" => check_json(&schema, body),
        "application/x-ndjson" => check_lines(&schema, body),
        _ => Ok(()),
    }
}

/// The body without its content encoding.
fn decode(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, String> {
    if headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return Ok(body.to_vec());
    }
    let mut decoded = Vec::new();
    flate2::read::GzDecoder::new(body)
        .read_to_end(&mut decoded)
        .map_err(|error| format!("the body is not gzip: {error}"))?;
    Ok(decoded)
}

fn check_lines(schema: &str, body: &[u8]) -> Result<(), String> {
    body.split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
        .try_for_each(|line| check_json(schema, line))
}

fn check_json(schema: &str, body: &[u8]) -> Result<(), String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    // The server takes more forms of times than it writes.
    let has_formats = !schema.contains("/requestBody/");
    let validator = find_validator(schema, has_formats);
    let faults: Vec<String> = validator
        .iter_errors(&value)
        .take(5)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(format!("the body is not valid by {schema}:\n  {}", faults.join("\n  ")))
    }
}

fn find_validator(pointer: &str, has_formats: bool) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    let validator = validators.entry(pointer.to_owned()).or_insert_with(|| {
        let schema = DOCUMENT.pointer(pointer).expect("the schema exists");
        Arc::new(compile(schema, has_formats))
    });
    Arc::clone(validator)
}

/// Compiles a schema of the document, with the components that it refers to.
fn compile(schema: &Value, has_formats: bool) -> Validator {
    let mut root = schema.clone();
    root["components"] = DOCUMENT["components"].clone();
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(has_formats)
        .build(&root)
        .expect("the schema is valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_headers() -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, "application/json".parse().expect("a header's value"))])
    }

    #[test]
    fn described_answers_pass() {
        let body = br#"{"created": 1, "updated": 0, "unchanged": 2}"#;
        let checked = check_answer(&Method::POST, "/v1/users/batch", 200, &json_headers(), body);
        assert_eq!(checked, Ok(()));
    }

    #[test]
    fn bodies_that_are_not_permitted_are_faults() {
        let check = |path, body: &str| check_request(&Method::POST, path, &json_headers(), body.as_bytes());
        let valid = r#"[{"id": "t1", "name": "North"}]"#;
        assert_eq!(check("/v1/teams/batch", valid), Ok(()));
        assert!(check("/v1/teams/batch", r#"[{"id": "t1"}]"#).is_err(), "a missing member");
        assert!(
            check("/v1/teams/batch", r#"[{"name": "North", "colour": "red"}]"#).is_err(),
            "another member"
        );
        assert!(check("/v1/teams", valid).is_err(), "an operation without a body");
    }

    #[test]
    fn only_members_of_the_answer_are_read_only() {
        let check = |path, body: &str| check_request(&Method::PUT, path, &json_headers(), body.as_bytes());
        assert_eq!(check("/v1/contents/c1", r#"{"title": "Fire", "registered": true}"#), Ok(()));
        assert!(check("/v1/contents/c1", r#"{"title": "Fire", "owner": "bo"}"#).is_err());
        assert!(check("/v1/teams/t1", r#"{"name": "North", "created_at": "x"}"#).is_err());
    }

    #[test]
    fn examples_are_valid_by_their_schemas() {
        let mut faults = Vec::new();
        check_examples(&DOCUMENT, "", &mut faults);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    /// Checks the examples beside and in each schema under `value`, which is at `pointer`.
    fn check_examples(value: &Value, pointer: &str, faults: &mut Vec<String>) {
        if let Value::Object(members) = value {
            // A member of that name may be a property.
            if pointer.ends_with("/properties") {
                members.iter().for_each(|(name, value)| {
                    check_examples(value, &format!("{pointer}/{}", escape(name)), faults);
                });
                return;
            }
            let schema = members.get("schema").unwrap_or(value);
            let listed = members.get("examples").and_then(Value::as_array).into_iter().flatten();
            for example in members.get("example").into_iter().chain(listed) {
                let errors =
                    compile(schema, true).iter_errors(example).map(|e| e.to_string()).collect::<Vec<_>>();
                if !errors.is_empty() {
                    faults.push(format!("{pointer}: {errors:?}"));
                }
            }
            for (name, value) in members.iter().filter(|(name, _)| !name.starts_with("example")) {
                check_examples(value, &format!("{pointer}/{}", escape(name)), faults);
            }
        } else if let Value::Array(elements) = value {
            elements.iter().enumerate().for_each(|(index, value)| {
                check_examples(value, &format!("{pointer}/{index}"), faults);
            });
        }
    }

    fn escape(name: &str) -> String {
        name.replace('~', "~0").replace('/', "~1")
    }

    #[test]
    fn answers_that_are_not_described_are_faults() {
        let headers = json_headers();
        let check = |method, path, status, body: &[u8]| check_answer(&method, path, status, &headers, body);
        assert!(check(Method::GET, "/v1/nothing", 200, b"{}").is_err(), "an unknown address");
        assert!(check(Method::POST, "/v1/users/batch", 202, b"{}").is_err(), "an unknown status");
        assert!(check(Method::POST, "/v1/users/batch", 200, b"{}").is_err(), "missing members");
        let misspelt = br#"{"created": "one", "updated": 0, "unchanged": 2}"#;
        assert!(check(Method::POST, "/v1/users/batch", 200, misspelt).is_err(), "a wrong type");
        assert!(check(Method::GET, "/v1/users/batch/x/y", 404, b"{}").is_err(), "no problem document");
    }
}
