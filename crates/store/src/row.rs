//! Revocations as bytes: in the engine's rows and in the journal's records.
//!
//! A row is a format byte, the bincode of [`Stored`], and the CRC-32 of both. Format 1: fixed order of members, integers
//! of variable length in big-endian.

use bincode::{Decode, Encode, config};
use ostracon_core::{
    ClientId, Issuer, Jti, KeyId, Kind, Note, Reason, Revocation, SessionId, Subject, Target, TextError, UnixTime,
};

use crate::digest::kind_byte;

const FORMAT: u8 = 1;

/// No row is longer; a length that says more is damage, not a reason to allocate.
const MAX_BYTES: usize = 4096;

#[derive(Encode, Decode)]
struct Stored {
    kind: u8,
    iss: String,
    name: String,
    /// Seconds since the epoch, as the other times.
    before: Option<u64>,
    effective_at: u64,
    retained_until: u64,
    reason: u8,
    note: Option<String>,
}

/// Why bytes are no row.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum RowError {
    #[error("a row's checksum does not fit")]
    Checksum,
    #[error("a row has format {0}, which this version does not know")]
    Format(u8),
    #[error("a row does not decode")]
    Content,
}

const fn layout() -> impl config::Config {
    config::standard()
        .with_big_endian()
        .with_variable_int_encoding()
        .with_limit::<MAX_BYTES>()
}

/// Writes `revocation` as a row.
pub(crate) fn encode(revocation: &Revocation) -> Result<Vec<u8>, RowError> {
    let target = revocation.target().as_ref();
    let stored = Stored {
        kind: kind_byte(target.kind()),
        iss: target.iss().as_str().to_owned(),
        name: target.name().to_owned(),
        before: revocation.cutoff().map(UnixTime::as_secs),
        effective_at: revocation.effective_at().as_secs(),
        retained_until: revocation.retained_until().as_secs(),
        reason: reason_byte(revocation.reason()),
        note: revocation.note().map(|n| n.as_str().to_owned()),
    };
    let mut bytes = vec![FORMAT];
    bytes.extend(bincode::encode_to_vec(stored, layout()).map_err(|_| RowError::Content)?);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    Ok(bytes)
}

/// What a row says behind its format, once its checksum is known to fit.
fn body(bytes: &[u8]) -> Result<&[u8], RowError> {
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or(RowError::Checksum)?;
    if crc32fast::hash(body).to_be_bytes() != *crc {
        return Err(RowError::Checksum);
    }
    let (&format, body) = body.split_first().ok_or(RowError::Content)?;
    if format != FORMAT {
        return Err(RowError::Format(format));
    }
    Ok(body)
}

/// The kind of target that a row is about.
pub(crate) fn kind(bytes: &[u8]) -> Result<Kind, RowError> {
    let stored = body(bytes)?.first();
    let kind = Kind::ALL.into_iter().find(|kind| Some(&kind_byte(*kind)) == stored);
    kind.ok_or(RowError::Content)
}

/// Reads a row back.
pub(crate) fn decode(bytes: &[u8]) -> Result<Revocation, RowError> {
    let body = body(bytes)?;
    let (stored, read): (Stored, usize) = bincode::decode_from_slice(body, layout()).map_err(|_| RowError::Content)?;
    if read != body.len() {
        return Err(RowError::Content);
    }
    restore(stored).map_err(|_| RowError::Content)
}

fn restore(stored: Stored) -> Result<Revocation, TextError> {
    let iss = Issuer::new(stored.iss)?;
    let name = stored.name;
    let target = match stored.kind {
        1 => Target::Token {
            iss,
            jti: Jti::new(name)?,
        },
        2 => Target::Session {
            iss,
            sid: SessionId::new(name)?,
        },
        3 => Target::Subject {
            iss,
            sub: Subject::new(name)?,
        },
        4 => Target::Client {
            iss,
            client_id: ClientId::new(name)?,
        },
        5 => Target::Key {
            iss,
            kid: KeyId::new(name)?,
        },
        6 if name.is_empty() => Target::Issuer { iss },
        _ => return Err(TextError::Empty),
    };
    Ok(Revocation::restored(
        target,
        stored.before.map(UnixTime::from_secs),
        UnixTime::from_secs(stored.effective_at),
        UnixTime::from_secs(stored.retained_until),
        reason_from(stored.reason),
        stored.note.map(Note::new).transpose()?,
    ))
}

/// The number of a reason on disk; never changed.
const fn reason_byte(reason: Reason) -> u8 {
    match reason {
        Reason::Other => 0,
        Reason::Logout => 1,
        Reason::Admin => 2,
        Reason::PasswordChange => 3,
        Reason::PermissionChange => 4,
        Reason::AccountSuspended => 5,
        Reason::AccountDeleted => 6,
        Reason::Compromised => 7,
        Reason::Rotated => 8,
        Reason::ReuseDetected => 9,
    }
}

/// A reason that a later version added is some other reason.
const fn reason_from(byte: u8) -> Reason {
    match byte {
        1 => Reason::Logout,
        2 => Reason::Admin,
        3 => Reason::PasswordChange,
        4 => Reason::PermissionChange,
        5 => Reason::AccountSuspended,
        6 => Reason::AccountDeleted,
        7 => Reason::Compromised,
        8 => Reason::Rotated,
        9 => Reason::ReuseDetected,
        _ => Reason::Other,
    }
}

#[doc(hidden)]
/// Reads any bytes as a row; what reads must write back the same.
pub fn fuzz_row(bytes: &[u8]) {
    if let Ok(revocation) = decode(bytes) {
        assert_eq!(
            encode(&revocation).and_then(|bytes| decode(&bytes)).as_ref(),
            Ok(&revocation)
        );
    }
}

#[cfg(test)]
mod tests {
    use ostracon_core::Policy;

    use super::*;

    fn samples() -> Vec<Revocation> {
        let iss = || Issuer::new("https://auth.example").unwrap();
        let now = UnixTime::from_secs(1_790_000_000);
        [
            Target::Token {
                iss: iss(),
                jti: Jti::new("j").unwrap(),
            },
            Target::Session {
                iss: iss(),
                sid: SessionId::new("s").unwrap(),
            },
            Target::Subject {
                iss: iss(),
                sub: Subject::new("\u{fc}ser").unwrap(),
            },
            Target::Client {
                iss: iss(),
                client_id: ClientId::new("c").unwrap(),
            },
            Target::Key {
                iss: iss(),
                kid: KeyId::new("k").unwrap(),
            },
            Target::Issuer { iss: iss() },
        ]
        .into_iter()
        .zip([
            Reason::Logout,
            Reason::Admin,
            Reason::PasswordChange,
            Reason::Compromised,
            Reason::Rotated,
            Reason::Other,
        ])
        .map(|(target, reason)| {
            Revocation::new(target, reason, &Policy::default(), now).noted(Some(Note::new("ticket 4711").unwrap()))
        })
        .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        for revocation in samples() {
            assert_eq!(decode(&encode(&revocation).unwrap()), Ok(revocation));
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let good = encode(&samples()[2]).unwrap();
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert_eq!(decode(&bad), Err(RowError::Checksum), "bit {at}");
        }
        assert_eq!(decode(&good[..good.len() - 1]), Err(RowError::Checksum));
    }

    #[test]
    fn another_format_is_named() {
        let mut row = vec![2, 1, 2, 3];
        row.extend(crc32fast::hash(&row).to_be_bytes());
        assert_eq!(decode(&row), Err(RowError::Format(2)));
    }

    /// The layout of format 1, as ARCHITECTURE.md has it: a store written by an earlier version is read by this one.
    #[test]
    fn format_1_does_not_change() {
        let pinned = concat!(
            "01",                                         // format
            "03",                                         // kind: subject
            "1468747470733a2f2f617574682e6578616d706c65", // iss, with its length
            "05c3bc736572",                               // sub
            "01fc6ab13b80",                               // before
            "fc6ab13b80",                                 // effective_at
            "fc6ad8c9ac",                                 // retained_until
            "03",                                         // reason: password_change
            "010b7469636b65742034373131",                 // note
            "54c76361",                                   // CRC-32
        );
        let sample = &samples()[2];
        let at = UnixTime::from_secs;
        let revocation = Revocation::restored(
            sample.target().clone(),
            Some(at(1_790_000_000)),
            at(1_790_000_000),
            at(1_792_592_300),
            Reason::PasswordChange,
            sample.note().cloned(),
        );
        let row = encode(&revocation).unwrap();
        let hex = row.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert_eq!(hex, pinned);
    }
}
