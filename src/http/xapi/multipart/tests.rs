//! What senders do, and what they must not do, case by case.

use super::*;

type Parts = Vec<(Head, Vec<u8>)>;

/// Reads a body that comes in pieces of that many bytes.
async fn read(boundary: &str, body: &[u8], piece: usize) -> Result<Parts, MultipartError<()>> {
    let pieces = body
        .chunks(piece.max(1))
        .map(|piece| Ok(Bytes::copy_from_slice(piece)));
    let mut reader = Multipart::new(
        &Boundary(boundary.to_owned()),
        futures_util::stream::iter(pieces.collect::<Vec<_>>()),
    );
    let mut parts = Vec::new();
    while let Some(head) = reader.part().await? {
        let mut bytes = Vec::new();
        while let Some(piece) = reader.piece().await? {
            assert!(!piece.is_empty(), "a piece has bytes");
            bytes.extend_from_slice(&piece);
        }
        parts.push((head, bytes));
    }
    Ok(parts)
}

/// The same for every size of the pieces.
async fn read_all(boundary: &str, body: &[u8]) -> Result<Parts, MultipartError<()>> {
    let whole = read(boundary, body, usize::MAX).await;
    for piece in (1..40).chain([1_000, 4_096]) {
        assert_eq!(read(boundary, body, piece).await, whole, "in pieces of {piece}");
    }
    whole
}

fn head(content_type: &str, encoding: &str, hash: &str) -> Head {
    let value = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Head {
        content_type: value(content_type),
        transfer_encoding: value(encoding),
        hash: value(hash),
    }
}

#[tokio::test]
async fn the_specifications_example_is_read() {
    // Communication 1.5.2: a quoted boundary of all character classes, a line break first, no space after colons.
    let content_type = r#"multipart/mixed; boundary="abcABC0123'()+_,-./:=?""#;
    let boundary = Boundary::of(content_type)
        .expect("multipart")
        .expect("a boundary");
    let body = "\r\n--abcABC0123'()+_,-./:=?\r\nContent-Type:application/json\r\n\r\n{}\r\n\
                --abcABC0123'()+_,-./:=?\r\nContent-Type:text/plain\r\nContent-Transfer-Encoding:binary\r\n\
                X-Experience-API-Hash:495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a\r\n\r\n\
                here is a simple attachment\r\n--abcABC0123'()+_,-./:=?--";
    let parts = read_all(boundary.as_str(), body.as_bytes())
        .await
        .expect("well-formed");
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
async fn what_real_senders_do_is_taken() {
    let expected = [
        (head("a/b", "", ""), b"x".to_vec()),
        (head("", "", "77"), Vec::new()),
    ];
    for body in [
        // As it should be.
        "--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b\r\nX-Experience-API-Hash: 77\r\n\r\n\r\n--b--\r\n",
        // A preamble, an epilogue, white space after the boundaries, unknown headers, other cases of letters.
        "This is MIME.\r\n--b \t\r\ncontent-TYPE:a/b\r\nX:\r\n\r\nx\r\n--b\t\r\nx-experience-api-HASH:\t77 \r\n\r\n\r\n--b-- \r\nbye",
        // An empty part whose bytes have no line break of their own; a header that goes on in the next line.
        "--b\r\nContent-Type:\r\n a/b\r\n\r\nx\r\n--b\r\nX-Experience-API-Hash: 77\r\n\r\n--b--",
    ] {
        assert_eq!(
            read_all("b", body.as_bytes()).await.as_deref(),
            Ok(&expected[..]),
            "{body}"
        );
    }
    // Dashes at the beginning; what looks like a boundary and is none; no headers at all; a length that lies.
    let body = b"-----7\r\n\r\n\r\n---7\r\n--\r\n\r--7\r\r\n\r\n-----7\r\nContent-Length: 9999\r\n\r\n\x00\xff\r\n-----7--";
    let parts = read_all("---7", body).await.expect("well-formed");
    assert_eq!(parts[0].1, b"\r\n---7\r\n--\r\n\r--7\r\r\n");
    assert_eq!(parts[1].1, b"\x00\xff");
    assert_eq!(read_all("b", b"--b--").await, Ok(Vec::new()), "no part at all");
}

#[tokio::test]
async fn a_boundary_needs_no_line_break_before_it() {
    let expected = [
        (head("a/b", "", ""), b"{}".to_vec()),
        (head("", "", "77"), b"one".to_vec()),
        (head("", "", "78"), b"two\r\n".to_vec()),
    ];
    for body in [
        // As @xapi/xapi and TinCanJS send two contents.
        "--b\r\nContent-Type: a/b\r\n\r\n{}\r\n--b\r\nX-Experience-API-Hash: 77\r\n\r\none\
         --b\r\nX-Experience-API-Hash: 78\r\n\r\ntwo\r\n\r\n--b--\r\n",
        // Nowhere a line break, and white space after the boundaries.
        "--b\r\nContent-Type: a/b\r\n\r\n{}--b \r\nX-Experience-API-Hash: 77\r\n\r\none\
         --b\t \r\nX-Experience-API-Hash: 78\r\n\r\ntwo\r\n\r\n--b--",
    ] {
        let parts = read_all("b", body.as_bytes()).await;
        assert_eq!(parts.as_deref(), Ok(&expected[..]), "{body}");
    }
    // Where there is one it is not the part's.
    let parts = read_all("b", b"--b\r\n\r\nx\r\n--b\r\n\r\ny--b--").await;
    let bytes: Vec<Vec<u8>> = parts
        .expect("whole")
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    assert_eq!(bytes, [b"x", b"y"]);
    // What is not all of a boundary's line is none.
    let padding = " ".repeat(PADDING_BYTES + 1);
    let near = format!("x--b-\r--b\n--b x--b -- --bb--\n--B--\r--b{padding}\r\n-b---");
    let body = format!("--b\r\n\r\n{near}\r\n--b--");
    let parts = read_all("b", body.as_bytes()).await.expect("whole");
    assert_eq!(String::from_utf8_lossy(&parts[0].1), near);
    // The leftmost counts, also among hyphens, where several overlap.
    let parts = read_all("--", b"----\r\n\r\nx-----\r\n\r\n-------")
        .await
        .expect("whole");
    let bytes: Vec<&[u8]> = parts.iter().map(|(_, bytes)| &bytes[..]).collect();
    assert_eq!(bytes, [&b"x-"[..], b""]);
    // Nobody reads what stands before the first, so there it begins a line.
    let parts = read_all("b", b"not --b\r\n nor --b--\r\n--b\r\n\r\nx\r\n--b--")
        .await
        .expect("whole");
    assert_eq!(parts, [(Head::default(), b"x".to_vec())]);
}

#[tokio::test]
async fn what_is_no_multipart_is_told() {
    use MultipartError::{After, Before, Cut, Head, Line, LongHead};
    let long = "x".repeat(AROUND_BYTES + 1);
    let padding = " ".repeat(PADDING_BYTES + 1);
    for (body, error) in [
        (String::new(), Cut),
        ("{}".to_owned(), Cut),
        ("--b".to_owned(), Cut),
        ("--b\r\nA: b".to_owned(), Cut),
        ("--b\r\nA: b\r\n\r\nx".to_owned(), Cut),
        ("--b\r\nA: b\r\n\r\nx\r\n--b".to_owned(), Cut),
        ("--b\r\nA: b\r\n\r\nx\r\n--b-".to_owned(), Cut),
        ("--b\r\nA: b\r\n\r\nx\r\n--b\r\n".to_owned(), Cut),
        ("--b\r\nA: b\r\n\r\nx--b".to_owned(), Cut),
        ("--b\r\nA: b\r\n\r\nx--b-".to_owned(), Cut),
        ("--b\r\nA: b\r\n\r\nx--b \r".to_owned(), Cut),
        ("--b\r\nA: b\r\n\r\nx--b\r\n--b--".to_owned(), Cut),
        ("--bc\r\n\r\n".to_owned(), Line),
        ("--b\r\n\r\nx\r\n--bc--".to_owned(), Line),
        ("--b -- ".to_owned(), Line),
        ("--b\n\n".to_owned(), Line),
        (format!("--b{padding}\r\n\r\n\r\n--b--"), Line),
        (format!("{long}\r\n--b--"), Before),
        (long.clone(), Before),
        (format!("--b--{long}"), After),
        (format!("--b\r\nA: {long}\r\n\r\n"), LongHead),
        (format!("--b\r\nA: {long}"), LongHead),
        ("--b\r\nno header\r\n\r\n\r\n--b--".to_owned(), Head),
        ("--b\r\n: nameless\r\n\r\n\r\n--b--".to_owned(), Head),
        ("--b\r\n--b--\r\n\r\n\r\n--b--".to_owned(), Head),
        (
            "--b\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\n\r\n--b--".to_owned(),
            Head,
        ),
    ] {
        let told = read_all("b", body.as_bytes()).await;
        assert_eq!(told, Err(error), "{}", &body[..body.len().min(60)]);
    }
}

#[tokio::test]
async fn limits_hold_to_the_byte() {
    let around = "x".repeat(AROUND_BYTES);
    let value = "x".repeat(HEAD_BYTES - 2);
    let padding = " ".repeat(PADDING_BYTES);
    let body = format!("{around}\r\n--b{padding}\r\nA:{value}\r\n\r\ny\r\n--b--{around}");
    let parts = read("b", body.as_bytes(), 1).await.expect("at each limit");
    assert_eq!(parts, [(head("", "", ""), b"y".to_vec())]);
}

#[tokio::test]
async fn a_part_may_be_left_unread() {
    let body = Bytes::from_static(b"--b\r\n\r\nmuch\r\nmore\r\n--b\r\nContent-Type: c/d\r\n\r\n\r\n--b--");
    let mut reader = Multipart::new(
        &Boundary("b".to_owned()),
        futures_util::stream::iter([Ok::<_, ()>(body)]),
    );
    assert_eq!(reader.part().await, Ok(Some(Head::default())));
    assert_eq!(reader.part().await, Ok(Some(head("c/d", "", ""))));
    assert_eq!(reader.part().await, Ok(None));
    assert_eq!(
        (reader.part().await, reader.piece().await),
        (Ok(None), Ok(None)),
        "and stays so"
    );
}

#[tokio::test]
async fn a_stream_that_fails_is_told() {
    let pieces = [Ok(Bytes::from_static(b"--b\r\n\r\nx")), Err("gone")];
    let mut reader = Multipart::new(&Boundary("b".to_owned()), futures_util::stream::iter(pieces));
    reader.part().await.expect("the head is there");
    assert_eq!(reader.piece().await, Ok(Some(Bytes::from_static(b"x"))));
    assert_eq!(reader.piece().await, Err(MultipartError::Broken("gone")));
}

#[test]
fn the_boundary_stands_in_the_content_type() {
    let of = |text: &str| Boundary::of(text).map(|boundary| boundary.map(|boundary| boundary.0).ok());
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
        assert_eq!(of(text), Some(Some(boundary.to_owned())), "{text}");
    }
    let long = format!("multipart/mixed; boundary={}", "x".repeat(BOUNDARY_BYTES + 1));
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
        assert_eq!(of(text), Some(None), "{text}");
    }
    for text in [
        "",
        "application/json",
        "multipart/form-data; boundary=x",
        "multipart/mixedx; boundary=x",
    ] {
        assert_eq!(of(text), None, "{text}");
    }
}
