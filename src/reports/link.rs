//! Download links, for files that are too large for a message. See `docs/specification.md#download-links`.
//!
//! A link is a token that contains one recipient of one run and an expiry, signed with a secret of the organisation. Links are
//! not stored. A link opens the export again, for the time of the run, under the current rights of the schedule's maker and
//! of the recipient. It opens nothing as soon as
//!
//! - the maker may not open the report any more, or the recipient may not receive reports any more;
//! - the recipient was removed from the schedule, or the schedule or its report was deleted;
//! - the report has another filter or other columns: they are part of the signature. The name and the visibility are not.
//!
//! All these cases have the same answer. [`verify`] checks the signature and the time, [`VerifiedLink::open`] the rest.

use aws_lc_rs::{digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::export::{Blocks, ExportError, Transfer};
use crate::reports::message::file_name;
use crate::reports::report::Opened;
use crate::reports::rights::{self, RecipientRules};
use crate::store::{LinkedRun, Store, StoreError, StoredReport};

use super::sender::resolved_report::ResolvedReport;

/// The size of a token's content: organisation, delivery, place, expiry.
const CONTENT: usize = 8 + 16 + 2 + 8;
/// The size of an HMAC-SHA256 of the content and of the report's digest ([`report_digest`]).
const SIGNATURE: usize = 32;
/// The number of characters of a token.
const CHARACTERS: usize = (CONTENT + SIGNATURE).div_ceil(3) * 4;

/// Why a link can't be made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The organisation's secret can't be read or stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// Why a link opens nothing.
#[derive(Debug, thiserror::Error)]
pub enum DeadLink {
    /// The link is invalid, or its resources or rights do not exist any more.
    #[error("the download does not exist")]
    NotFound,
    /// The link has expired.
    #[error("the download expired at {0}")]
    Expired(Timestamp),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The export fails.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// A download that a link opens.
pub struct Download {
    resolved: ResolvedReport,
    opened: Opened,
    /// The file's name, see [`file_name`].
    pub file_name: String,
}

impl Download {
    /// The organisation of the report.
    pub fn organisation(&self) -> &OrgId {
        self.opened.question.org()
    }

    /// The file's blocks.
    ///
    /// # Errors
    ///
    /// An error before the first block.
    pub async fn export(&self, store: &Store, transfer: Transfer) -> Result<Blocks, ExportError> {
        self.resolved.export(store, &self.opened, transfer).await
    }
}

/// Creates a token for one recipient of a run, with an expiry in whole seconds.
///
/// # Errors
///
/// [`LinkError`].
pub async fn create_token(
    store: &Store,
    org: &OrgId,
    report: &StoredReport,
    delivery: Uuid,
    place: u16,
    expires_at: Timestamp,
) -> Result<String, LinkError> {
    let mut fresh = [0; 32];
    rand::fill(&mut fresh).map_err(|_| LinkError::Random)?;
    let (org, secret) = store.ensure_link_key(org, fresh).await?;
    let link = Link {
        org,
        delivery,
        place,
        expires_at: expires_at.micros().div_euclid(1_000_000),
    };
    Ok(link.sign(&secret, &report_digest(&report.filter, &report.columns)))
}

/// A link with a valid signature that has not expired. Its rights are not checked.
pub struct VerifiedLink {
    org: OrgId,
    secret: Vec<u8>,
    link: Link,
    signed: Signed,
    run: LinkedRun,
}

/// Verifies a token: its signature, for the report's current filter and columns, and its expiry.
///
/// # Errors
///
/// [`DeadLink`].
pub async fn verify(store: &Store, token: &str) -> Result<VerifiedLink, DeadLink> {
    let (link, signed) = Link::decode(token).ok_or(DeadLink::NotFound)?;
    let Some((org, secret)) = store.find_link_key(link.org).await? else {
        return Err(DeadLink::NotFound);
    };
    let run = store.find_linked_run(link.org, link.delivery, link.place).await?;
    let run = run.ok_or(DeadLink::NotFound)?;
    if !signed.is_signed_by(&secret, &report_digest(&run.filter, &run.columns)) {
        return Err(DeadLink::NotFound);
    }
    let expires_at = Timestamp::from_micros(link.expires_at.saturating_mul(1_000_000));
    if expires_at <= store.clock().now() {
        return Err(DeadLink::Expired(expires_at));
    }
    Ok(VerifiedLink {
        org,
        secret,
        link,
        signed,
        run,
    })
}

impl VerifiedLink {
    /// The recipient that it was made for, as a text: the delivery and the recipient's position in it.
    pub fn bearer(&self) -> String {
        format!("{}.{}", self.link.delivery, self.link.place)
    }

    /// Opens the link under the current rights.
    ///
    /// # Errors
    ///
    /// [`DeadLink`].
    pub async fn open(&self, store: &Store, rules: &RecipientRules) -> Result<Download, DeadLink> {
        let Self { org, run, .. } = self;
        if !run.is_recipient {
            return Err(DeadLink::NotFound);
        }
        let resolved = ResolvedReport::resolve(store, org, &run.terms).await?;
        let resolved = resolved.map_err(|_| DeadLink::NotFound)?;
        // The report may have been changed since the verification.
        let digest = report_digest(&resolved.report.filter, &resolved.report.columns);
        if !self.signed.is_signed_by(&self.secret, &digest) {
            return Err(DeadLink::NotFound);
        }
        let recipient = rights::find_recipient(store, org, &run.recipient, rules).await?;
        let recipient = recipient.map_err(|_| DeadLink::NotFound)?;
        // Does not fail: a user that may open reports has a reach.
        let opened = resolved.open_for(&recipient).map_err(|_| DeadLink::NotFound)?;
        Ok(Download {
            file_name: file_name(&resolved.report.name, run.terms.run_at, resolved.zone, false),
            resolved,
            opened,
        })
    }
}

/// The SHA-256 of a report's filter and columns. The order of the parameters and white space do not change it.
fn report_digest(filter: &str, columns: &str) -> digest::Digest {
    let normalised = serde_json::from_str::<Value>(filter).map(|filter| filter.to_string());
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(normalised.as_deref().unwrap_or(filter).as_bytes());
    context.update(&[0]); // JSON does not contain this byte
    context.update(columns.as_bytes());
    context.finish()
}

/// The content of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    /// The organisation's key.
    org: i64,
    delivery: Uuid,
    place: u16,
    /// Seconds since 1970.
    expires_at: i64,
}

/// The bytes of a token, not verified.
struct Signed {
    content: [u8; CONTENT],
    signature: [u8; SIGNATURE],
}

impl Signed {
    /// Whether the signature is valid for this secret and this report, in constant time.
    fn is_signed_by(&self, secret: &[u8], report: &digest::Digest) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signed = [&self.content, report.as_ref()].concat();
        hmac::verify(&key, &signed, &self.signature).is_ok()
    }
}

impl Link {
    fn to_bytes(self) -> [u8; CONTENT] {
        let mut bytes = [0; CONTENT];
        bytes[..8].copy_from_slice(&self.org.to_be_bytes());
        bytes[8..24].copy_from_slice(self.delivery.as_bytes());
        bytes[24..26].copy_from_slice(&self.place.to_be_bytes());
        bytes[26..].copy_from_slice(&self.expires_at.to_be_bytes());
        bytes
    }

    /// The signed token.
    fn sign(self, secret: &[u8], report: &digest::Digest) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let content = self.to_bytes();
        let signature = hmac::sign(&key, &[&content, report.as_ref()].concat());
        URL_SAFE_NO_PAD.encode([&content, signature.as_ref()].concat())
    }

    /// Decodes a token without verifying it.
    fn decode(token: &str) -> Option<(Self, Signed)> {
        if token.len() != CHARACTERS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (content, rest) = bytes.split_first_chunk::<CONTENT>()?;
        let signature = <[u8; SIGNATURE]>::try_from(rest).ok()?;
        let (org, rest) = content.split_first_chunk()?;
        let (delivery, rest) = rest.split_first_chunk()?;
        let (place, expires_at) = rest.split_first_chunk()?;
        let link = Self {
            org: i64::from_be_bytes(*org),
            delivery: Uuid::from_bytes(*delivery),
            place: u16::from_be_bytes(*place),
            expires_at: i64::from_be_bytes(expires_at.try_into().ok()?),
        };
        Some((
            link,
            Signed {
                content: *content,
                signature,
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn link() -> Link {
        Link {
            org: 7,
            delivery: Uuid::from_u128(0x0198_a6a2_7a4e_7e0a_9c1d_2f6f_3d1c_5b7a),
            place: 3,
            expires_at: 1_773_829_043,
        }
    }

    fn sample_digest() -> digest::Digest {
        report_digest(r#"{"period":"today"}"#, "elearning")
    }

    #[test]
    fn signature_is_valid_for_the_filter_and_columns_only() {
        let (_, signed) =
            Link::decode(&link().sign(b"secret", &report_digest(r#"{"tag":["a"],"user":"bo"}"#, "full")))
                .unwrap();
        assert!(signed.is_signed_by(
            b"secret",
            &report_digest(r#"{"user": "bo", "tag": ["a"]}"#, "full")
        ));
        for (filter, columns) in [
            (r#"{"tag":["a"]}"#, "full"),
            (r#"{"tag":["a"],"user":"bo"}"#, "elearning"),
            (r#"{"tag":["a"],"user":"eve"}"#, "full"),
            ("{}", "full"),
        ] {
            assert!(
                !signed.is_signed_by(b"secret", &report_digest(filter, columns)),
                "{filter} {columns}"
            );
        }
    }

    #[test]
    fn token_is_url_safe_and_decodes_to_its_content() {
        let token = link().sign(b"secret", &sample_digest());
        assert_eq!(token.len(), CHARACTERS);
        assert!(
            token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        let (decoded, signed) = Link::decode(&token).unwrap();
        assert_eq!(decoded, link());
        assert!(signed.is_signed_by(b"secret", &sample_digest()));
        assert!(!signed.is_signed_by(b"another", &sample_digest()));
    }

    #[test]
    fn changed_token_is_not_valid() {
        let token = link().sign(b"secret", &sample_digest());
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            if let Some((_, signed)) = Link::decode(&forged) {
                assert!(
                    !signed.is_signed_by(b"secret", &sample_digest()),
                    "character {at}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_not_valid(text in ".{0,100}") {
            prop_assert!(Link::decode(&text).is_none_or(|(_, signed)| !signed.is_signed_by(b"secret", &sample_digest())));
        }

        #[test]
        fn arbitrary_links_are_read_back(org: i64, delivery: u128, place: u16, expires_at: i64, secret: [u8; 32]) {
            let link = Link { org, delivery: Uuid::from_u128(delivery), place, expires_at };
            let (decoded, signed) = Link::decode(&link.sign(&secret, &sample_digest())).unwrap();
            prop_assert_eq!(decoded, link);
            prop_assert!(signed.is_signed_by(&secret, &sample_digest()));
        }
    }
}
