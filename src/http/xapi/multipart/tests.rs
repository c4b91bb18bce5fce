//! Cases of bodies that clients send, and of bodies that are refused.

use super::*;

type Parts = Vec<(PartHead, Vec<u8>)>;

/// Reads a body that arrives in pieces of this many bytes.
async fn read_in_pieces(boundary: &str, body: &[u8], piece: usize) -> Result<Parts, MultipartError<()>> {
    let pieces = body
        .chunks(piece.max(1))
        .map(|piece| Ok(Bytes::copy_from_slice(piece)));
    let mut reader = Multipart::new(
        &Boundary(boundary.to_owned()),
        futures_util::stream::iter(pieces.collect::<Vec<_>>()),
    );
    let mut parts = Vec::new();
    while let Some(head) = reader.next_part().await? {
        let mut bytes = Vec::new();
        while let Some(piece) = reader.next_piece().await? {
            assert!(!piece.is_empty(), "a piece is not empty");
            bytes.extend_from_slice(&piece);
        }
        parts.push((head, bytes));
    }
    Ok(parts)
}

/// Reads a body as a whole and in pieces of different sizes. All outcomes must be equal.
async fn read_all(boundary: &str, body: &[u8]) -> Result<Parts, MultipartError<()>> {
    let whole = read_in_pieces(boundary, body, usize::MAX).await;
    for piece in (1..40).chain([1_000, 4_096]) {
        assert_eq!(
            read_in_pieces(boundary, body, piece).await,
            whole,
            "in pieces of {piece}"
        );
    }
    whole
}

fn head(content_type: &str, encoding: &str, hash: &str) -> PartHead {
    let value = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    PartHead {
        content_type: value(content_type),
        transfer_encoding: value(encoding),
        hash: value(hash),
    }
}

#[tokio::test]
async fn example_of_the_specification_is_read() {
    // Communication 1.5.2: a quoted boundary with all character classes, a line break first, no space after colons.
    let content_type = r#"multipart/mixed; boundary="abcABC0123'()+_,-./:=?""#;
    let boundary = Boundary::from_content_type(content_type)
        .expect("multipart")
        .expect("a boundary");
    let body = "\r\n--abcABC0123'()+_,-./:=?\r\nContent-Type:application/json\r\n\r\n{}\r\n\
                --abcABC0123'()+_,-./:=?\r\nContent-Type:text/plain\r\nContent-Transfer-Encoding:binary\r\n\
                X-Experience-API-Hash:495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a\r\n\r\n\
                here is a simple attachment\r\n--abcABC0123'()+_,-./:=?--";
    let parts = read_all(boundary.as_str(), body.as_bytes())
        .await
        .expect("a complete body");
    assert_eq!(
        parts,
        [
            (head("application/json", "", ""), b"{}".to_vec()),
            (
                head(
                    "text/plain",
                    "binary",
                    "495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a"
                ),
                b"here is a simple attachment".to_vec()
            ),
        ]
    );
}

#[tokio::test]
async fn bodies_of_real_clients_are_read() {
    let expected = [
        (head("a/b", "", ""), b"x".to_vec()),
        (head("", "", "77"), Vec::new()),
    ];
    for body in [
        // The regular form.
        "--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b\r\nX-Experience-API-Hash: 77\r\n\r\n\r\n--b--\r\n",
        // A preamble, an epilogue, white space after the boundaries, unknown headers, upper and lower case.
        "This is MIME.\r\n--b \t\r\ncontent-TYPE:a/b\r\nX:\r\n\r\nx\r\n--b\t\r\nx-experience-api-HASH:\t77 \r\n\r\n\r\n--b-- \r\nbye",
        // An empty part without a line break before the boundary; a header that continues in the next line.
        "--b\r\nContent-Type:\r\n a/b\r\n\r\nx\r\n--b\r\nX-Experience-API-Hash: 77\r\n\r\n--b--",
    ] {
        assert_eq!(
            read_all("b", body.as_bytes()).await.as_deref(),
            Ok(&expected[..]),
            "{body}"
        );
    }
    // A boundary that begins with hyphens; bytes that are similar to a boundary; no headers; a wrong length.
    let body = b"-----7\r\n\r\n\r\n---7\r\n--\r\n\r--7\r\r\n\r\n-----7\r\nContent-Length: 9999\r\n\r\n\x00\xff\r\n-----7--";
    let parts = read_all("---7", body).await.expect("a complete body");
    assert_eq!(parts[0].1, b"\r\n---7\r\n--\r\n\r--7\r\r\n");
    assert_eq!(parts[1].1, b"\x00\xff");
    assert_eq!(read_all("b", b"--b--").await, Ok(Vec::new()), "no parts");
}

#[tokio::test]
async fn boundary_needs_no_line_break_before_it() {
    let expected = [
        (head("a/b", "", ""), b"{}".to_vec()),
        (head("", "", "77"), b"one".to_vec()),
        (head("", "", "78"), b"two\r\n".to_vec()),
    ];
    for body in [
        // Two contents, as @xapi/xapi and TinCanJS send them.
        "--b\r\nContent-Type: a/b\r\n\r\n{}\r\n--b\r\nX-Experience-API-Hash: 77\r\n\r\none\
         --b\r\nX-Experience-API-Hash: 78\r\n\r\ntwo\r\n\r\n--b--\r\n",
        // No line breaks, and white space after the boundaries.
        "--b\r\nContent-Type: a/b\r\n\r\n{}--b \r\nX-Experience-API-Hash: 77\r\n\r\none\
         --b\t \r\nX-Experience-API-Hash: 78\r\n\r\ntwo\r\n\r\n--b--",
    ] {
        let parts = read_all("b", body.as_bytes()).await;
        assert_eq!(parts.as_deref(), Ok(&expected[..]), "{body}");
    }
    // A line break before the boundary does not belong to the part.
    let parts = read_all("b", b"--b\r\n\r\nx\r\n--b\r\n\r\ny--b--").await;
    let bytes: Vec<Vec<u8>> = parts
        .expect("a complete body")
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    assert_eq!(bytes, [b"x", b"y"]);
    // Bytes that are similar to a boundary do not end a part.
    let padding = " ".repeat(MAX_PADDING_BYTES + 1);
    let similar = format!("x--b-\r--b\n--b x--b -- --bb--\n--B--\r--b{padding}\r\n-b---");
    let body = format!("--b\r\n\r\n{similar}\r\n--b--");
    let parts = read_all("b", body.as_bytes()).await.expect("a complete body");
    assert_eq!(String::from_utf8_lossy(&parts[0].1), similar);
    // Of several boundaries that overlap, the first one counts.
    let parts = read_all("--", b"----\r\n\r\nx-----\r\n\r\n-------")
        .await
        .expect("a complete body");
    let bytes: Vec<&[u8]> = parts.iter().map(|(_, bytes)| &bytes[..]).collect();
    assert_eq!(bytes, [&b"x-"[..], b""]);
    // In the preamble, a boundary counts only at the beginning of a line.
    let parts = read_all("b", b"not --b\r\n nor --b--\r\n--b\r\n\r\nx\r\n--b--")
        .await
        .expect("a complete body");
    assert_eq!(parts, [(PartHead::default(), b"x".to_vec())]);
}

#[tokio::test]
async fn malformed_body_is_refused() {
    use MultipartError::{BoundaryLine, Incomplete, LongEpilogue, LongHead, LongPreamble, MalformedHead};
    let long = "x".repeat(MAX_IGNORED_BYTES + 1);
    let padding = " ".repeat(MAX_PADDING_BYTES + 1);
    for (body, error) in [
        (String::new(), Incomplete),
        ("{}".to_owned(), Incomplete),
        ("--b".to_owned(), Incomplete),
        ("--b\r\nA: b".to_owned(), Incomplete),
        ("--b\r\nA: b\r\n\r\nx".to_owned(), Incomplete),
        ("--b\r\nA: b\r\n\r\nx\r\n--b".to_owned(), Incomplete),
        ("--b\r\nA: b\r\n\r\nx\r\n--b-".to_owned(), Incomplete),
        ("--b\r\nA: b\r\n\r\nx\r\n--b\r\n".to_owned(), Incomplete),
        ("--b\r\nA: b\r\n\r\nx--b".to_owned(), Incomplete),
        ("--b\r\nA: b\r\n\r\nx--b-".to_owned(), Incomplete),
        ("--b\r\nA: b\r\n\r\nx--b \r".to_owned(), Incomplete),
        ("--b\r\nA: b\r\n\r\nx--b\r\n--b--".to_owned(), Incomplete),
        ("--bc\r\n\r\n".to_owned(), BoundaryLine),
        ("--b\r\n\r\nx\r\n--bc--".to_owned(), BoundaryLine),
        ("--b -- ".to_owned(), BoundaryLine),
        ("--b\n\n".to_owned(), BoundaryLine),
        (format!("--b{padding}\r\n\r\n\r\n--b--"), BoundaryLine),
        (format!("{long}\r\n--b--"), LongPreamble),
        (long.clone(), LongPreamble),
        (format!("--b--{long}"), LongEpilogue),
        (format!("--b\r\nA: {long}\r\n\r\n"), LongHead),
        (format!("--b\r\nA: {long}"), LongHead),
        ("--b\r\nno header\r\n\r\n\r\n--b--".to_owned(), MalformedHead),
        ("--b\r\n: nameless\r\n\r\n\r\n--b--".to_owned(), MalformedHead),
        ("--b\r\n--b--\r\n\r\n\r\n--b--".to_owned(), MalformedHead),
        (
            "--b\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\n\r\n--b--".to_owned(),
            MalformedHead,
        ),
    ] {
        let outcome = read_all("b", body.as_bytes()).await;
        assert_eq!(outcome, Err(error), "{}", &body[..body.len().min(60)]);
    }
}

#[tokio::test]
async fn limits_are_exact() {
    let around = "x".repeat(MAX_IGNORED_BYTES);
    let value = "x".repeat(MAX_HEAD_BYTES - 2);
    let padding = " ".repeat(MAX_PADDING_BYTES);
    let body = format!("{around}\r\n--b{padding}\r\nA:{value}\r\n\r\ny\r\n--b--{around}");
    let parts = read_in_pieces("b", body.as_bytes(), 1)
        .await
        .expect("at the limits");
    assert_eq!(parts, [(head("", "", ""), b"y".to_vec())]);
}

#[tokio::test]
async fn part_can_be_skipped() {
    let body = Bytes::from_static(b"--b\r\n\r\nmuch\r\nmore\r\n--b\r\nContent-Type: c/d\r\n\r\n\r\n--b--");
    let mut reader = Multipart::new(
        &Boundary("b".to_owned()),
        futures_util::stream::iter([Ok::<_, ()>(body)]),
    );
    assert_eq!(reader.next_part().await, Ok(Some(PartHead::default())));
    assert_eq!(reader.next_part().await, Ok(Some(head("c/d", "", ""))));
    assert_eq!(reader.next_part().await, Ok(None));
    assert_eq!(
        (reader.next_part().await, reader.next_piece().await),
        (Ok(None), Ok(None)),
        "the end is final"
    );
}

#[tokio::test]
async fn error_of_the_stream_is_returned() {
    let pieces = [Ok(Bytes::from_static(b"--b\r\n\r\nx")), Err("gone")];
    let mut reader = Multipart::new(&Boundary("b".to_owned()), futures_util::stream::iter(pieces));
    reader.next_part().await.expect("the head");
    assert_eq!(reader.next_piece().await, Ok(Some(Bytes::from_static(b"x"))));
    assert_eq!(reader.next_piece().await, Err(MultipartError::Stream("gone")));
}

#[test]
fn boundary_is_parsed_from_the_content_type() {
    let parse = |text: &str| {
        Boundary::from_content_type(text).map(|boundary| boundary.map(|boundary| boundary.0).ok())
    };
    for (text, boundary) in [
        ("multipart/mixed; boundary=abc", "abc"),
        ("Multipart/Mixed;charset=utf-8;BOUNDARY=abc ; x=y", "abc"),
        (
            "multipart/mixed; boundary=-------314159265358979323846",
            "-------314159265358979323846",
        ),
        (
            r#"multipart/mixed; x="a;boundary=no\""; boundary="a b\"c;d""#,
            "a b\"c;d",
        ),
        ("multipart/mixed; boundary=a:b/c=d", "a:b/c=d"),
    ] {
        assert_eq!(parse(text), Some(Some(boundary.to_owned())), "{text}");
    }
    let long = format!("multipart/mixed; boundary={}", "x".repeat(MAX_BOUNDARY_BYTES + 1));
    for text in [
        "multipart/mixed",
        "multipart/mixed;",
        "multipart/mixed; boundary",
        "multipart/mixed; boundary=",
        r#"multipart/mixed; boundary="""#,
        r#"multipart/mixed; boundary="open"#,
        r#"multipart/mixed; boundary="open\"#,
        "multipart/mixed; x=boundary=y",
        &long,
    ] {
        assert_eq!(parse(text), Some(None), "{text}");
    }
    for text in [
        "",
        "application/json",
        "multipart/form-data; boundary=x",
        "multipart/mixedx; boundary=x",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}
