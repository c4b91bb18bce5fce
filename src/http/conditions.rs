//! Conditional requests (RFC 9110, section 13): which ETags a request names, and how one is written.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};

use super::problem::Problem;
use crate::store::ETags;

/// The tag of something that counts how often it was written, as its header has it.
pub fn format_etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// What a change expects to find, by `If-Match`. Whoever changes judges it where nobody else can change anything
/// between; what doesn't hold is 412.
///
/// # Errors
///
/// As [`parse_etags`].
pub fn parse_if_match(request: &HttpRequest) -> Result<Option<ETags>, Problem> {
    parse_etags(request, header::IF_MATCH)
}

/// The tags that a header names, in whatever number of lines; `None` without the header.
///
/// # Errors
///
/// 400 for what is no list of tags.
pub fn parse_etags(request: &HttpRequest, name: HeaderName) -> Result<Option<ETags>, Problem> {
    let mut lines = Vec::new();
    let wrong = || {
        let help = "write ETags as they were given, in quotation marks and with commas between them, or `*`";
        Problem::bad_request(format!("the header {name} can't be read: {help}"))
    };
    for line in request.headers().get_all(&name) {
        lines.push(line.to_str().map_err(|_| wrong())?);
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let text = lines.join(",");
    if text.trim() == "*" {
        return Ok(Some(ETags::Any));
    }
    let tags = tags(&text).filter(|tags| !tags.is_empty()).ok_or_else(wrong)?;
    Ok(Some(ETags::Listed(tags)))
}

/// The tags of a list (RFC 9110, section 8.8.3), without their quotation marks.
///
/// A weak one counts as the strong one: proxies that compress make ours weak, and it is still the
/// document that it names. A bare one is taken too: some clients forget the quotation marks.
fn tags(text: &str) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(tags);
        }
        rest = rest.strip_prefix("W/").unwrap_or(rest);
        let (tag, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        let tag = tag.trim_end();
        let behind = behind.trim_start();
        if tag.contains('"') || tag == "*" || !(behind.is_empty() || behind.starts_with(',')) {
            return None;
        }
        tags.push(tag.to_owned());
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::super::problem::Code;
    use super::*;

    fn named(lines: &[&str]) -> Result<Option<ETags>, Code> {
        let mut request = TestRequest::get();
        for line in lines {
            request = request.append_header((header::IF_MATCH, *line));
        }
        parse_etags(&request.to_http_request(), header::IF_MATCH).map_err(|problem| problem.code())
    }

    #[test]
    fn tags_are_read_as_clients_write_them() {
        let these = |tags: &[&str]| {
            Ok(Some(ETags::Listed(
                tags.iter().map(|&tag| tag.to_owned()).collect(),
            )))
        };
        assert_eq!(named(&[]), Ok(None));
        assert_eq!(named(&[" * "]), Ok(Some(ETags::Any)));
        assert_eq!(named(&["\"a\""]), these(&["a"]));
        assert_eq!(named(&["W/\"a\", \"b,c\" ,\t\"\""]), these(&["a", "b,c", ""]));
        assert_eq!(named(&["\"a\"", "\"b\","]), these(&["a", "b"]));
        assert_eq!(named(&["abc, W/def"]), these(&["abc", "def"]));
        for wrong in [
            "",
            " , ",
            "\"a",
            "a\"",
            "\"a\"b",
            "\"a\" \"b\"",
            "*, \"a\"",
            "\"a\", *",
        ] {
            assert_eq!(named(&[wrong]), Err(Code::BadRequest), "{wrong}");
        }
        assert_eq!(named(&["*", "*"]), Err(Code::BadRequest));
    }
}
