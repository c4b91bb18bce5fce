//! The least strength of secrets that an operator chooses.
//!
//! A chosen secret cannot be measured well. The check refuses what is certainly guessed: a short secret, and a long one
//! that repeats a few characters.

use secrecy::{ExposeSecret, SecretString};

use super::error::AccessError;

/// The least number of different bytes. A secret of random digits has more.
const DIFFERENT_BYTES: usize = 6;

/// Refuses a secret with fewer than `minimum` bytes, and one that repeats a shorter text or consists of a few characters
/// or a sequence. `setting` names the secret in the message.
///
/// # Errors
///
/// [`AccessError::ShortSecret`] or [`AccessError::RepetitiveSecret`]. Neither contains the secret.
pub(crate) fn check_secret(setting: &str, secret: &SecretString, minimum: usize) -> Result<(), AccessError> {
    let secret = secret.expose_secret().as_bytes();
    if secret.len() < minimum {
        return Err(AccessError::ShortSecret {
            setting: setting.to_owned(),
            bytes: secret.len(),
            minimum,
        });
    }
    if count_different(secret) < DIFFERENT_BYTES || period(secret) < minimum || is_sequence(secret) {
        return Err(AccessError::RepetitiveSecret {
            setting: setting.to_owned(),
        });
    }
    Ok(())
}

fn count_different(secret: &[u8]) -> usize {
    let mut found = [false; 256];
    for byte in secret {
        found[usize::from(*byte)] = true;
    }
    found.iter().filter(|found| **found).count()
}

/// The length of the text that the secret repeats. It is the length of the secret if nothing occurs twice.
fn period(secret: &[u8]) -> usize {
    let repeats = |period: &usize| {
        let (rest, before) = (secret.iter().skip(*period), secret.iter());
        rest.zip(before).all(|(byte, earlier)| byte == earlier)
    };
    let twice = secret.len() / 2;
    (1..=twice).find(repeats).unwrap_or(secret.len())
}

/// Whether most bytes are the next or the last one of the byte before, as in `abcdef` and `987654`.
fn is_sequence(secret: &[u8]) -> bool {
    let near = |pair: &&[u8]| matches!(pair, [one, other] if one.abs_diff(*other) <= 1);
    let pairs = secret.windows(2);
    4 * pairs.filter(near).count() > 3 * secret.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secret: &str, minimum: usize) -> Result<(), AccessError> {
        check_secret("THE_SETTING", &SecretString::from(secret), minimum)
    }

    #[test]
    fn secrets_that_repeat_themselves_are_refused() {
        for secret in [
            "a".repeat(32),
            "ab".repeat(16),
            "password".repeat(4),
            "a fine phrase of 19".repeat(3),
            format!("{}b", "a".repeat(40)),
            "1234567890".repeat(4),
            "abcdefghijklmnopqrstuvwxyz0123456789".to_owned(),
            " ".repeat(64),
        ] {
            let message = check(&secret, 32).unwrap_err().to_string();
            assert!(
                message.contains("THE_SETTING") && message.contains("openssl"),
                "{message}"
            );
            assert!(!message.contains(&secret), "{message}");
        }
        assert!(matches!(
            check("0123456789abcdef0123456789abcde", 32),
            Err(AccessError::ShortSecret {
                bytes: 31,
                minimum: 32,
                ..
            })
        ));
    }

    #[test]
    fn random_secrets_are_accepted() {
        for secret in [
            "kTn0pQ3yX7cVb2LmZs9dHf4gRw6jKa1e",
            "6f1ed002ab5595859014ebf0951522d9",
            "a secret for tests alone, of more than 32 bytes",
            "93810475620193847561029384756102",
        ] {
            check(secret, 32).unwrap();
            // A repetition of a secret that is long enough is no weaker than the secret.
            check(&secret.repeat(2), 32).unwrap();
        }
        check("s3cr3t-of-16-byt", 16).unwrap();
        assert!(check("s3cr3t-of-15-by", 16).is_err());
    }
}
