//! Download links: what stands in a message whose file is too large to be attached (product text, section 9).
//!
//! A link is a token that names one recipient of one run and until when it is good, signed with a secret of the
//! organisation's own; nothing is kept for each. It opens the same export anew, for the moment of the run, under the rights
//! that the schedule's maker and the recipient have when it is followed, and never shows what they may not see now. It is
//! dead as soon as
//!
//! - the maker may not open the report any more, or the recipient may receive nothing any more;
//! - the schedule doesn't name that recipient any more, or it or its report is gone;
//! - the report asks something else than was sent, or has other columns: the signature holds for these alone. A new
//!   name, or a visibility under which the maker still opens it, changes nothing of what is opened.
//!
//! What is sent back at any of these is sent back at all of them. [`read`] judges the signature and the time,
//! [`Believed::open`] everything else.

use aws_lc_rs::{digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::export::{Blocks, ExportError};
use crate::reports::report::{self, Opened};
use crate::reports::rights::{self, RecipientRules};
use crate::store::{KeptReport, LinkedRun, Store, StoreError};

use super::sender::resolved_report::ResolvedReport;

/// What a token says: organisation, delivery, place, expiry.
const SAID: usize = 8 + 16 + 2 + 8;
/// HMAC-SHA256 of it and of what the report asks ([`content`]).
const SIGNATURE: usize = 32;
/// The length of a token, in characters.
const CHARACTERS: usize = (SAID + SIGNATURE).div_ceil(3) * 4;

/// Why no link can be made.
#[derive(Debug, thiserror::Error)]
pub enum NoLink {
    /// The organisation's secret can't be read or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// Why a link leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum DeadLink {
    /// It is none of ours, or leads to what is not there any more, or not for these people: which of them is not told.
    #[error("there is no such download")]
    NotFound,
    /// It was good until then.
    #[error("the download was there until {0}")]
    Expired(Timestamp),
    /// What it leads to can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rows can't be written.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// A link that may be followed.
pub struct Download {
    opening: ResolvedReport,
    opened: Opened,
    /// A name for the file, of the report and the day of the run: lower-case ASCII letters, digits, `-` and `.` alone.
    pub file_name: String,
}

impl Download {
    /// The organisation of the report.
    pub fn organisation(&self) -> &OrgId {
        self.opened.question.org()
    }

    /// The file as it comes. `hold` is kept while the database is read.
    ///
    /// # Errors
    ///
    /// What goes wrong before the first of it is there.
    pub async fn export(&self, store: &Store, hold: impl Send + 'static) -> Result<Blocks, ExportError> {
        self.opening.export(store, &self.opened, hold).await
    }
}

/// A token for one recipient of a run, good until then (to the second), as long as the report asks what it asks now.
///
/// # Errors
///
/// [`NoLink`] where the organisation's secret can't be had.
pub async fn token(
    store: &Store,
    org: &OrgId,
    report: &KeptReport,
    delivery: Uuid,
    place: u16,
    expires_at: Timestamp,
) -> Result<String, NoLink> {
    let mut fresh = [0; 32];
    rand::fill(&mut fresh).map_err(|_| NoLink::Random)?;
    let (org, secret) = store.link_key(org, fresh).await?;
    let link = Link {
        org,
        delivery,
        place,
        expires_at: expires_at.micros().div_euclid(1_000_000),
    };
    Ok(link.sign(&secret, &content(&report.filter, &report.columns)))
}

/// A link that is ours, within its time; what it opens is not judged yet.
pub struct Believed {
    org: OrgId,
    secret: Vec<u8>,
    link: Link,
    signed: Signed,
    run: LinkedRun,
}

/// Reads a token: whether it is ours, for what the report asks now, and still good.
///
/// # Errors
///
/// [`DeadLink`].
pub async fn read(store: &Store, token: &str) -> Result<Believed, DeadLink> {
    let (link, signed) = Link::read(token).ok_or(DeadLink::NotFound)?;
    let Some((org, secret)) = store.link_key_of(link.org).await? else {
        return Err(DeadLink::NotFound);
    };
    let run = store.linked_run(link.org, link.delivery, link.place).await?;
    let run = run.ok_or(DeadLink::NotFound)?;
    if !signed.by(&secret, &content(&run.filter, &run.columns)) {
        return Err(DeadLink::NotFound);
    }
    let expires_at = Timestamp::from_micros(link.expires_at.saturating_mul(1_000_000));
    if expires_at <= store.clock().now() {
        return Err(DeadLink::Expired(expires_at));
    }
    Ok(Believed {
        org,
        secret,
        link,
        signed,
        run,
    })
}

impl Believed {
    /// Whom it was made for, in one text: the delivery and the recipient's place in it.
    pub fn bearer(&self) -> String {
        format!("{}.{}", self.link.delivery, self.link.place)
    }

    /// Opens it: what there is to be had at this moment.
    ///
    /// # Errors
    ///
    /// [`DeadLink`].
    pub async fn open(&self, store: &Store, rules: &RecipientRules) -> Result<Download, DeadLink> {
        let Self { org, run, .. } = self;
        if !run.named {
            return Err(DeadLink::NotFound);
        }
        let opening = ResolvedReport::of(store, org, &run.maker, run.report, run.run_at).await?;
        let opening = opening.map_err(|_| DeadLink::NotFound)?;
        // Read anew: it may have been changed since.
        let asks = content(&opening.report.filter, &opening.report.columns);
        if !self.signed.by(&self.secret, &asks) {
            return Err(DeadLink::NotFound);
        }
        let recipient = rights::recipient(store, org, &run.recipient, rules).await?;
        let recipient = recipient.map_err(|_| DeadLink::NotFound)?;
        // Whoever may open reports has a reach, so that there is always a part to share.
        let opened = opening.opened_for(&recipient).map_err(|_| DeadLink::NotFound)?;
        let day = run
            .run_at
            .to_datetime()
            .with_timezone(&opening.saved.filter.zone());
        Ok(Download {
            file_name: format!(
                "{}-{}.csv",
                report::file_stem(&opening.report.name),
                day.date_naive()
            ),
            opening,
            opened,
        })
    }
}

/// SHA-256 of what a report asks and of its columns. The order of the filter's parameters and the spaces between them
/// say nothing.
fn content(filter: &str, columns: &str) -> digest::Digest {
    let same = serde_json::from_str::<Value>(filter).map(|filter| filter.to_string());
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(same.as_deref().unwrap_or(filter).as_bytes());
    context.update(&[0]); // stands in no JSON
    context.update(columns.as_bytes());
    context.finish()
}

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    /// The organisation's key.
    org: i64,
    delivery: Uuid,
    place: u16,
    /// Seconds since 1970.
    expires_at: i64,
}

/// A token's bytes, not yet believed.
struct Signed {
    said: [u8; SAID],
    signature: [u8; SIGNATURE],
}

impl Signed {
    /// Whether it was signed with this secret for this content, in constant time.
    fn by(&self, secret: &[u8], content: &digest::Digest) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let said = [&self.said, content.as_ref()].concat();
        hmac::verify(&key, &said, &self.signature).is_ok()
    }
}

impl Link {
    fn said(&self) -> [u8; SAID] {
        let mut said = [0; SAID];
        said[..8].copy_from_slice(&self.org.to_be_bytes());
        said[8..24].copy_from_slice(self.delivery.as_bytes());
        said[24..26].copy_from_slice(&self.place.to_be_bytes());
        said[26..].copy_from_slice(&self.expires_at.to_be_bytes());
        said
    }

    fn sign(&self, secret: &[u8], content: &digest::Digest) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let said = self.said();
        let signature = hmac::sign(&key, &[&said, content.as_ref()].concat());
        URL_SAFE_NO_PAD.encode([&said, signature.as_ref()].concat())
    }

    /// What the text says, if it is a token at all.
    fn read(token: &str) -> Option<(Self, Signed)> {
        if token.len() != CHARACTERS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (said, rest) = bytes.split_first_chunk::<SAID>()?;
        let signature = <[u8; SIGNATURE]>::try_from(rest).ok()?;
        let (org, rest) = said.split_first_chunk()?;
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
                said: *said,
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

    fn asked() -> digest::Digest {
        content(r#"{"period":"today"}"#, "elearning")
    }

    #[test]
    fn a_signature_holds_for_what_was_asked_alone() {
        let (_, signed) =
            Link::read(&link().sign(b"secret", &content(r#"{"tag":["a"],"user":"bo"}"#, "full"))).unwrap();
        assert!(signed.by(b"secret", &content(r#"{"user": "bo", "tag": ["a"]}"#, "full")));
        for (filter, columns) in [
            (r#"{"tag":["a"]}"#, "full"),
            (r#"{"tag":["a"],"user":"bo"}"#, "elearning"),
            (r#"{"tag":["a"],"user":"eve"}"#, "full"),
            ("{}", "full"),
        ] {
            assert!(
                !signed.by(b"secret", &content(filter, columns)),
                "{filter} {columns}"
            );
        }
    }

    #[test]
    fn a_token_says_what_was_signed_and_fits_an_address() {
        let token = link().sign(b"secret", &asked());
        assert_eq!(token.len(), CHARACTERS);
        assert!(
            token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        let (read, signed) = Link::read(&token).unwrap();
        assert_eq!(read, link());
        assert!(signed.by(b"secret", &asked()));
        assert!(!signed.by(b"another", &asked()));
    }

    #[test]
    fn a_token_with_another_character_anywhere_is_not_believed() {
        let token = link().sign(b"secret", &asked());
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            if let Some((_, signed)) = Link::read(&forged) {
                assert!(!signed.by(b"secret", &asked()), "character {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_or_refused(text in ".{0,100}") {
            prop_assert!(Link::read(&text).is_none_or(|(_, signed)| !signed.by(b"secret", &asked())));
        }

        #[test]
        fn every_link_is_read_back(org: i64, delivery: u128, place: u16, expires_at: i64, secret: [u8; 32]) {
            let link = Link { org, delivery: Uuid::from_u128(delivery), place, expires_at };
            let (read, signed) = Link::read(&link.sign(&secret, &asked())).unwrap();
            prop_assert_eq!(read, link);
            prop_assert!(signed.by(&secret, &asked()));
        }
    }
}
