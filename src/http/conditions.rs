//! The headers `If-Match` and `If-None-Match`, and the header `ETag` (RFC 9110, section 13;
//! `docs/specification.md#conditional-requests`).

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};

use super::problem::Problem;
use crate::store::ETags;

/// Formats the ETag of a resource from its version, which counts its writes.
pub fn format_etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// Parses `If-Match`. Returns `None` if the request does not have it.
///
/// The transaction that changes the resource compares the tags with the stored state.
///
/// # Errors
///
/// As [`parse_etags`].
pub fn parse_if_match(request: &HttpRequest) -> Result<Option<ETags>, Problem> {
    parse_etags(request, header::IF_MATCH)
}

/// Parses the ETags of a header, from all lines of that name. Returns `None` if the request does not have it.
///
/// # Errors
///
/// 400 if the header is not a list of ETags.
pub fn parse_etags(request: &HttpRequest, name: HeaderName) -> Result<Option<ETags>, Problem> {
    let mut lines = Vec::new();
    let malformed = || {
        Problem::bad_request(format!(
            "the header {name} must be `*` or a list of ETags in quotation marks, separated by commas"
        ))
    };
    for line in request.headers().get_all(&name) {
        lines.push(line.to_str().map_err(|_| malformed())?);
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let text = lines.join(",");
    if text.trim() == "*" {
        return Ok(Some(ETags::Any));
    }
    let tags = split_tags(&text)
        .filter(|tags| !tags.is_empty())
        .ok_or_else(malformed)?;
    Ok(Some(ETags::Listed(tags)))
}

/// Splits a list of ETags (RFC 9110, section 8.8.3) and removes their quotation marks. Returns `None` if the list is
/// malformed.
///
/// A weak ETag counts as the strong one: proxies that compress answers make our ETags weak, and the weak one still
/// names the same document. An ETag without quotation marks is accepted, since some clients leave them out.
fn split_tags(text: &str) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(tags);
        }
        rest = rest.strip_prefix("W/").unwrap_or(rest);
        let (tag, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        let tag = tag.trim_end();
        let after = after.trim_start();
        if tag.contains('"') || tag == "*" || !(after.is_empty() || after.starts_with(',')) {
            return None;
        }
        tags.push(tag.to_owned());
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::super::problem::Code;
    use super::*;

    fn parse_lines(lines: &[&str]) -> Result<Option<ETags>, Code> {
        let mut request = TestRequest::get();
        for line in lines {
            request = request.append_header((header::IF_MATCH, *line));
        }
        parse_if_match(&request.to_http_request()).map_err(|problem| problem.code())
    }

    #[test]
    fn etags_are_parsed_as_clients_write_them() {
        let listed = |tags: &[&str]| {
            let tags = tags.iter().map(|&tag| tag.to_owned());
            Ok(Some(ETags::Listed(tags.collect())))
        };
        assert_eq!(parse_lines(&[]), Ok(None));
        assert_eq!(parse_lines(&[" * "]), Ok(Some(ETags::Any)));
        assert_eq!(parse_lines(&["\"a\""]), listed(&["a"]));
        assert_eq!(
            parse_lines(&["W/\"a\", \"b,c\" ,\t\"\""]),
            listed(&["a", "b,c", ""])
        );
        assert_eq!(parse_lines(&["\"a\"", "\"b\","]), listed(&["a", "b"]));
        assert_eq!(parse_lines(&["abc, W/def"]), listed(&["abc", "def"]));
        for malformed in [
            "",
            " , ",
            "\"a",
            "a\"",
            "\"a\"b",
            "\"a\" \"b\"",
            "*, \"a\"",
            "\"a\", *",
        ] {
            assert_eq!(parse_lines(&[malformed]), Err(Code::BadRequest), "{malformed}");
        }
        assert_eq!(parse_lines(&["*", "*"]), Err(Code::BadRequest));
    }
}
