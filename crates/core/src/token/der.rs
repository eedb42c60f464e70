//! Just enough DER and PEM to hand a key on.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// A `RSAPrivateKey` of two primes (RFC 8017 A.1.2) of its numbers, from the modulus to the coefficient.
pub(super) fn rsa_private_key<'a>(numbers: impl IntoIterator<Item = &'a [u8]> + Clone) -> Zeroizing<Vec<u8>> {
    // Enough at once: what grows leaves copies behind that nobody zeroises.
    let room = numbers
        .clone()
        .into_iter()
        .map(|n| n.len().saturating_add(16))
        .sum::<usize>()
        .saturating_add(16);
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    body.extend_from_slice(&[0x02, 0x01, 0x00]);
    for number in numbers {
        let zeros = number.iter().take_while(|b| **b == 0).count();
        let number = number.get(zeros..).unwrap_or_default();
        // The first bit is a sign, and zero still has a byte.
        let pad = number.first().is_none_or(|b| *b >= 0x80);
        body.push(0x02);
        push_length(&mut body, number.len().saturating_add(usize::from(pad)));
        body.extend_from_slice(if pad { &[0] } else { &[] });
        body.extend_from_slice(number);
    }
    let mut der = Zeroizing::new(Vec::with_capacity(room.saturating_add(16)));
    der.push(0x30);
    push_length(&mut der, body.len());
    der.extend_from_slice(&body);
    der
}

fn push_length(to: &mut Vec<u8>, length: usize) {
    let bytes = length.to_be_bytes();
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    let bytes = bytes.get(zeros..).unwrap_or_default();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => to.push(short),
        _ => {
            to.push(0x80 | u8::try_from(bytes.len()).unwrap_or(u8::MAX));
            to.extend_from_slice(bytes);
        }
    }
}

/// `der` in the textual encoding of RFC 7468.
pub(super) fn pem(label: &str, der: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(Vec::with_capacity(text.len().saturating_mul(2)));
    pem.extend_from_slice(format!("-----BEGIN {label}-----\n").as_bytes());
    for line in text.as_bytes().chunks(64) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_sign_bit_and_their_shortest_length() {
        let der = |number: &[u8]| rsa_private_key([number]).to_vec();
        assert_eq!(der(&[0x7f]), [0x30, 6, 2, 1, 0, 2, 1, 0x7f]);
        assert_eq!(der(&[0, 0x80]), [0x30, 7, 2, 1, 0, 2, 2, 0, 0x80]);
        assert_eq!(der(&[]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        let start = |number: usize| der(&vec![1; number])[..10].to_vec();
        assert_eq!(start(122), [0x30, 127, 2, 1, 0, 2, 122, 1, 1, 1]);
        assert_eq!(start(123), [0x30, 0x81, 128, 2, 1, 0, 2, 123, 1, 1]);
        assert_eq!(start(256), [0x30, 0x82, 1, 7, 2, 1, 0, 2, 0x82, 1]);
    }
}
