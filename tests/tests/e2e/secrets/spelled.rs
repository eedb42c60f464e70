//! What must not be shown, in every way in which a program could spell it.

use std::{fs, path::Path};

use aho_corasick::AhoCorasick;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// So much of a secret gives it away.
const PIECE: usize = 16;

/// Names of secrets, and pieces of them.
#[derive(Default)]
pub(super) struct Secrets(Vec<(String, Vec<u8>)>);

impl Secrets {
    /// The beginning, the middle and the end of `bytes`.
    pub(super) fn add(&mut self, name: &str, bytes: &[u8]) {
        assert!(
            bytes.len() >= PIECE,
            "{name} is so short that it may be found by chance"
        );
        let middle = (bytes.len() - PIECE) / 2;
        for at in [0, middle, bytes.len() - PIECE] {
            self.0.push((name.to_owned(), bytes[at..at + PIECE].to_vec()));
        }
    }

    /// The signature of a token, as text and as what it encodes: what comes before it is like that of other tokens.
    pub(super) fn add_token(&mut self, name: &str, token: &str) {
        let signature = token.rsplit('.').next().unwrap();
        self.add(name, signature.as_bytes());
        self.add(name, &URL_SAFE_NO_PAD.decode(signature).unwrap());
    }

    /// The private part of a key for a curve, in PKCS#8 (RFC 5958 §2, RFC 8410 §7, RFC 5915 §3): the rest is the same in all
    /// keys, or is published.
    pub(super) fn add_key(&mut self, name: &str, pem: &str) {
        let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(lines).unwrap();
        let at = der.windows(2).position(|two| two == [0x04, 0x20]).unwrap() + 2;
        self.add(name, &der[at..at + 32]);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// All spellings of `piece`: raw, in hexadecimal, percent-encoded, as a list of numbers, and in base64 wherever it stands in
/// what was encoded.
pub(super) fn spellings(piece: &[u8]) -> Vec<Vec<u8>> {
    let each = |write: fn(&u8) -> String| piece.iter().map(write).collect::<Vec<_>>();
    let hex = each(|byte| format!("{byte:02x}")).concat();
    let upper = each(|byte| format!("{byte:02X}"));
    let numbers = each(u8::to_string);
    let mut all = vec![
        piece.to_vec(),
        upper.concat().into(),
        format!("%{}", upper.join("%")).into(),
        numbers.join(", ").into(),
        numbers.join(",").into(),
    ];
    all.push(hex.into());
    for before in 0..3 {
        let shifted = [&vec![0; before], piece].concat();
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let whole = engine.encode(&shifted);
            // Of the first and the last character some bits are those of the neighbours.
            let (from, to) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
            all.push(whole[from..to].into());
        }
    }
    all.sort();
    all.dedup();
    all
}

/// What was told, and where.
#[derive(Default)]
pub(super) struct Told(Vec<(String, Vec<u8>)>);

impl Told {
    pub(super) fn add(&mut self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), bytes.into()));
    }

    /// All files below `dir`, but for keys and those called one of `kept`, which are there to keep a secret.
    pub(super) fn add_files(&mut self, dir: &Path, kept: &[&str]) {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                self.add_files(&path, kept);
            } else if !kept.iter().any(|name| path.ends_with(name)) && path.extension().is_none_or(|e| e != "pem") {
                self.add(&path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }

    /// Whether anything that was told has `text` in it.
    pub(super) fn has(&self, text: &str) -> bool {
        let search = AhoCorasick::new([text]).unwrap();
        self.0.iter().any(|(_, bytes)| search.is_match(bytes))
    }

    /// Which of `secrets` are in it, and where.
    pub(super) fn shows(&self, secrets: &Secrets) -> Vec<String> {
        let mut spelled = Vec::new();
        for (name, piece) in &secrets.0 {
            spelled.extend(spellings(piece).into_iter().map(|spelling| (name, spelling)));
        }
        let search = AhoCorasick::new(spelled.iter().map(|(_, spelling)| spelling)).unwrap();
        let mut found: Vec<_> = self
            .0
            .iter()
            .flat_map(|(place, bytes)| {
                let name = |pattern: usize| spelled[pattern].0;
                let matches = search.find_iter(bytes);
                matches.map(move |found| format!("{} in {place}", name(found.pattern().as_usize())))
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }
}
