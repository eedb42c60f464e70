//! One strict JSON object: complete, no duplicate member at any depth, bounded in depth and members.
//!
//! `serde_json` into a `Value` keeps the last of two members of one name, so two parsers can read two tokens out of one.
//! Here a duplicate is an error wherever it stands (RFC 7515 §4, RFC 7519 §4), and what is not asked for is walked, so
//! that it is known to be well-formed, and dropped.

use alloc::{
    borrow::{Cow, ToOwned},
    vec::Vec,
};
use core::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Objects and arrays inside one another, the outermost counted.
const MAX_DEPTH: usize = 16;
/// Members of one object.
const MAX_MEMBERS: usize = 128;

/// A member that was asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Member<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    /// An array of nothing but strings, the empty one too.
    Texts(Vec<Cow<'a, str>>),
    /// Any other value.
    Other,
}

/// Parses `bytes` as one object and answers its members of the given `names`, in their order.
///
/// # Errors
///
/// What is wrong with it, in words that repeat nothing of it.
pub(crate) fn object<'a, const N: usize>(
    bytes: &'a [u8],
    names: [&str; N],
) -> Result<[Option<Member<'a>>; N], &'static str> {
    let problem = Cell::new(None);
    let mut found = [const { None }; N];
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let outer = Outer {
        names: &names,
        found: &mut found,
        problem: &problem,
    };
    let parsed = json.deserialize_map(outer).and_then(|()| json.end());
    match parsed {
        Ok(()) => Ok(found),
        Err(_) => Err(problem.get().unwrap_or("not one complete JSON object")),
    }
}

/// Takes the names of one object, each once.
struct Names<'de, 'p> {
    seen: Vec<Cow<'de, str>>,
    problem: &'p Cell<Option<&'static str>>,
}

impl<'de> Names<'de, '_> {
    fn next<A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&str>, A::Error> {
        let Some(name) = map.next_key_seed(Text)? else {
            return Ok(None);
        };
        if self.seen.contains(&name) {
            return Err(self.fail("a member name stands twice"));
        }
        if self.seen.len() >= MAX_MEMBERS {
            return Err(self.fail("too many members"));
        }
        self.seen.push(name);
        Ok(self.seen.last().map(AsRef::as_ref))
    }

    fn fail<E: serde::de::Error>(&self, problem: &'static str) -> E {
        self.problem.set(Some(problem));
        E::custom(problem)
    }
}

struct Outer<'a, 'p, 'de> {
    names: &'a [&'a str],
    found: &'a mut [Option<Member<'de>>],
    problem: &'p Cell<Option<&'static str>>,
}

impl<'de> Visitor<'de> for Outer<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = Names {
            seen: Vec::with_capacity(self.found.len()),
            problem: self.problem,
        };
        while let Some(name) = names.next(&mut map)? {
            let slot = self
                .names
                .iter()
                .position(|n| *n == name)
                .and_then(|at| self.found.get_mut(at));
            let member = map.next_value_seed(Walk {
                depth: 2,
                problem: self.problem,
            })?;
            if let Some(slot) = slot {
                *slot = Some(member);
            }
        }
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Any value, at `depth`.
#[derive(Clone, Copy)]
struct Walk<'p> {
    depth: usize,
    problem: &'p Cell<Option<&'static str>>,
}

impl Walk<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth > MAX_DEPTH {
            self.problem.set(Some("nested too deep"));
            return Err(E::custom("depth"));
        }
        Ok(Self {
            depth: self.depth.saturating_add(1),
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Member<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        reason = "a date that f64 cannot hold is no date"
    )]
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Member::Number(number as f64))
    }
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "as above")]
    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Member::Number(number as f64))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Member::Number(number))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let inner = self.inner()?;
        let mut texts = Some(Vec::new());
        while let Some(item) = seq.next_element_seed(inner)? {
            match (item, &mut texts) {
                (Member::Text(text), Some(texts)) => texts.push(text),
                _ => texts = None,
            }
        }
        Ok(texts.map_or(Member::Other, Member::Texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let inner = self.inner::<A::Error>()?;
        let mut names = Names {
            seen: Vec::new(),
            problem: self.problem,
        };
        while names.next(&mut map)?.is_some() {
            map.next_value_seed(inner)?;
        }
        Ok(Member::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: impl AsRef<[u8]>) -> &'static str {
        object(json.as_ref(), ["a"]).expect_err("refused")
    }

    #[test]
    fn p003_one_complete_object() {
        for bad in [
            "",
            "[]",
            "\"x\"",
            "null",
            "1",
            "{",
            "{}x",
            "{} {}",
            "\u{feff}{}",
            "{\"a\":1,}",
            "{'a':1}",
            "{\"a\":NaN}",
        ] {
            assert_eq!(problem(bad), "not one complete JSON object", "{bad}");
        }
        for bad in [
            &b"{\"a\":\"\xff\"}"[..],
            b"{\"a\":\"\\ud800\"}",
            b"{\"b\":[\"\xff\"]}",
            b"{\"\xff\":1}",
            b"{\x00\"\x00a\x00\"\x00:\x001\x00}",
        ] {
            assert_eq!(problem(bad), "not one complete JSON object");
        }
        assert!(object(b" {\"b\":true}\n", ["a"]).is_ok());
    }

    #[test]
    fn p004_duplicates_at_any_depth() {
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"x":1,"x":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"y":1,"y":1}}"#,
            r#"{"x":[[{"y":{"z":1,"z":1}}]]}"#,
        ] {
            assert_eq!(problem(bad), "a member name stands twice", "{bad}");
        }
        assert!(object(br#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#, ["a"]).is_ok());
    }

    #[test]
    fn a44_a45_depth_members_and_numbers_are_bounded() {
        let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(object(deep(MAX_DEPTH - 1).as_bytes(), ["a"]).is_ok());
        assert_eq!(problem(deep(MAX_DEPTH)), "nested too deep");
        assert_eq!(problem(deep(100_000)), "nested too deep");

        let nested = |n: usize| format!("{}0{}", "{\"a\":".repeat(n), "}".repeat(n));
        assert!(object(nested(MAX_DEPTH).as_bytes(), ["a"]).is_ok());
        assert_eq!(problem(nested(MAX_DEPTH + 1)), "nested too deep");

        let wide = |n: usize| {
            format!(
                "{{{}}}",
                (0..n).map(|i| format!("\"{i}\":0")).collect::<Vec<_>>().join(",")
            )
        };
        assert!(object(wide(MAX_MEMBERS).as_bytes(), ["a"]).is_ok());
        assert_eq!(problem(wide(MAX_MEMBERS + 1)), "too many members");
        assert_eq!(problem("{\"a\":1e400}"), "not one complete JSON object");
        assert_eq!(
            problem(format!("{{\"a\":1{}}}", "0".repeat(1_000))),
            "not one complete JSON object"
        );
    }

    #[test]
    fn a52_members_are_found_by_their_unescaped_names() {
        let [a, b] = object(br#"{"c":0,"\u0061":"x\n","b":["p","q"]}"#, ["a", "b"]).unwrap();
        assert_eq!(a, Some(Member::Text("x\n".into())));
        assert_eq!(b, Some(Member::Texts(vec!["p".into(), "q".into()])));
        let [a] = object(br#"{"a":["p",1]}"#, ["a"]).unwrap();
        assert_eq!(a, Some(Member::Other));
    }
}
