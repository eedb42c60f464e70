//! Bodies and queries of requests, read strictly.

use core::str::FromStr;

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::LengthLimitError;
use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;

use crate::{problem::Problem, strict::Members};

/// The largest body that is read, in bytes. Routes that take more say so themselves.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// One JSON value of type `T`, whole, with nothing behind it.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if media_type(request.headers()) != Some(JSON) {
            return Err(Problem::media_type_unsupported(JSON));
        }
        json(&bytes(request).await?).map(Self)
    }
}

/// Parameters of a form, and of nothing else; none if there is no body.
pub(crate) struct Form(pub(crate) Parameters);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let sent = media_type(request.headers());
        match (bytes(request).await?.as_ref(), sent) {
            ([], _) => Ok(Self(Parameters::default())),
            (form, Some(FORM)) => Parameters::parse(form).map(Self),
            _ => Err(Problem::media_type_unsupported(FORM)),
        }
    }
}

/// Parameters of a form or of a flat JSON object; none if there is no body.
impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let sent = media_type(request.headers());
        match (bytes(request).await?.as_ref(), sent) {
            ([], _) => Ok(Self::default()),
            (form, Some(FORM)) => Self::parse(form),
            (object, Some(JSON)) => {
                let Members(members) = json(object)?;
                Ok(Self(members))
            }
            _ => Err(Problem::media_type_unsupported(FORM)),
        }
    }
}

const JSON: &str = "application/json";
/// What newline-delimited JSON is called; none of the names is registered.
pub(crate) const LINES: [&str; 3] = ["application/x-ndjson", "application/ndjson", "application/jsonl"];
const FORM: &str = "application/x-www-form-urlencoded";

/// Parameters that are looked at: each is held against all others.
const MAX_PARAMETERS: usize = 64;

/// Whether each `%` begins two digits, and all of it is UTF-8. Decoded as WHATWG URL §5.1 has it, what is not would become
/// U+FFFD, and something else would be done than what was asked for.
fn is_encoded(encoded: &[u8]) -> bool {
    let digits = |rest: &[u8]| {
        rest.get(..2)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    encoded.split(|byte| *byte == b'%').skip(1).all(digits) && percent_decode(encoded).decode_utf8().is_ok()
}

/// Names and values, each name once (P59).
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Parses a query or a form.
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, Problem> {
        let pairs = serde_urlencoded::from_bytes(encoded)
            .ok()
            .filter(|_| is_encoded(encoded));
        let pairs: Vec<(String, String)> =
            pairs.ok_or_else(|| Problem::request_invalid("the parameters are not properly encoded"))?;
        if pairs.len() > MAX_PARAMETERS {
            return Err(Problem::request_invalid(format!(
                "there are more than {MAX_PARAMETERS} parameters"
            )));
        }
        let twice =
            |(n, (name, _)): (usize, &(String, String))| pairs.iter().skip(n.saturating_add(1)).any(|(o, _)| o == name);
        if pairs.iter().enumerate().any(twice) {
            return Err(Problem::request_invalid("a parameter stands twice"));
        }
        Ok(Self(pairs))
    }

    /// The value of `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All of them, in the order in which they stand.
    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    /// The same without those that are empty: a form sends a field that nobody filled in.
    pub(crate) fn filled(self) -> Self {
        Self(self.0.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// Refuses parameters of other names: what is slipped in is not what was meant.
    pub(crate) fn only(&self, names: &[&str]) -> Result<(), Problem> {
        if self.0.iter().all(|(name, _)| names.contains(&name.as_str())) {
            Ok(())
        } else {
            Err(Problem::request_invalid(format!(
                "the query takes {}",
                names.join(", ")
            )))
        }
    }
}

/// A number in digits alone, as it is told: a sign in front of it would be a second spelling.
pub(crate) fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// The body, whole.
pub(crate) async fn bytes(request: Request) -> Result<Bytes, Problem> {
    to_bytes(request.into_body(), MAX_BODY_BYTES).await.map_err(|error| {
        if error.into_inner().is::<LengthLimitError>() {
            Problem::body_too_large(MAX_BODY_BYTES)
        } else {
            Problem::body_malformed("the body did not arrive whole")
        }
    })
}

/// Whether the body says that it is lines of JSON.
pub(crate) fn is_lines(headers: &HeaderMap) -> bool {
    essence(headers).is_some_and(|sent| LINES.iter().any(|known| sent.eq_ignore_ascii_case(known)))
}

fn media_type(headers: &HeaderMap) -> Option<&'static str> {
    let sent = essence(headers)?;
    [JSON, FORM].into_iter().find(|known| sent.eq_ignore_ascii_case(known))
}

/// What the body says that it is, without parameters. Of two such fields one is what somebody else takes it for: none counts.
fn essence(headers: &HeaderMap) -> Option<&str> {
    let mut sent = headers.get_all(header::CONTENT_TYPE).iter();
    let (value, None) = (sent.next()?.to_str().ok()?, sent.next()) else {
        return None;
    };
    value.split(';').next().map(str::trim)
}

/// One JSON value, whole.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    parse(bytes, true)
}

/// One JSON value on a line of many. Of a member that nobody knows not even the name is repeated: what is wrong with a
/// line ends in logs and terminals, and the line may be anything (I8).
pub(crate) fn line<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    parse(bytes, false)
}

fn parse<T: DeserializeOwned>(bytes: &[u8], names_all: bool) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            let unknown = inner.to_string().starts_with("unknown field ");
            let told = match path.split(['.', '[']).next() {
                // Not an object at all.
                _ if path == "." => "what was sent",
                _ if names_all => &path,
                // What is within a member of ours has names that were sent, too.
                Some(first) if !unknown => first,
                _ => "a member",
            };
            Problem::member_invalid(told, without_values(&inner))
        } else {
            let line = if names_all {
                format!("line {} ", inner.line())
            } else {
                String::new()
            };
            Problem::body_malformed(format!("not JSON, from {line}column {} on", inner.column()))
        }
    })?;
    deserializer
        .end()
        .map_err(|_| Problem::body_malformed("something follows the JSON value"))?;
    Ok(value)
}

/// What is wrong, without repeating what was sent: where a target is expected, somebody will send a token (I8).
pub(crate) fn without_values(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message
        .rsplit_once(" at line ")
        .map_or(&*message, |(message, _)| message);
    let repeats = [
        "invalid type: ",
        "invalid value: ",
        "unknown variant ",
        "unknown field ",
        "invalid length ",
    ];
    match repeats.iter().find(|start| message.starts_with(**start)) {
        None => message.to_owned(),
        // The last "expected": what was sent may hold the word too, but what is expected is ours.
        Some(start) => match message.rsplit_once(", expected ") {
            Some((_, expected)) => format!("{}, expected {expected}", start.trim_end().trim_end_matches(':')),
            None => start.trim_end().trim_end_matches(':').to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use ostracon_core::Target;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Sample {
        target: Option<Target>,
        before: Option<u64>,
        object: Option<crate::strict::Object>,
    }

    #[test]
    fn i8_errors_name_the_member_and_repeat_nothing() {
        for (body, member) in [
            (r#"{"target":"SECRET"}"#, "target"),
            (r#"{"before":"SECRET, expected SECRET"}"#, "before"),
            (r#"{"target":{"kind":"SECRET"}}"#, "target"),
            (r#"{"target":{"kind":"token","SECRET":1}}"#, "target"),
            (r#"{"SECRET":1}"#, "SECRET"),
            (r#"{"before":-1}"#, "before"),
            (r#"{"target":{"kind":"token","iss":"i","jti":""}}"#, "target"),
            (r#"{"object":{"SECRET":{"x":1,"x":1}}}"#, "SECRET"),
        ] {
            let shown = format!("{:?}", json::<Sample>(body.as_bytes()).unwrap_err());
            assert!(
                shown.contains("422") && shown.contains("expected")
                    || shown.contains("empty")
                    || shown.contains("twice"),
                "{shown}"
            );
            assert!(
                member == "SECRET" || shown.contains(member) && !shown.contains("SECRET"),
                "{shown}"
            );
            let shown = format!("{:?}", line::<Sample>(body.as_bytes()).unwrap_err());
            assert!(!shown.contains("SECRET"), "{shown}");
        }
    }

    #[test]
    fn p003_one_whole_value() {
        for bad in ["", "{", "{}x", "{} {}", "{]", "\u{feff}{}", r#"{"before":1,}"#] {
            let shown = format!("{:?}", json::<Sample>(bad.as_bytes()).unwrap_err());
            assert!(shown.contains("400"), "{bad}: {shown}");
        }
        assert!(json::<Sample>(b" {} ").is_ok());
        assert!(json::<Sample>(br#"{"before":1,"before":2}"#).is_err());
    }

    #[test]
    fn a_body_says_once_what_it_is() {
        let sent = |values: &[&'static str]| {
            let values = values
                .iter()
                .map(|value| (header::CONTENT_TYPE, value.parse().unwrap()));
            let headers: HeaderMap = values.collect();
            (media_type(&headers), is_lines(&headers))
        };
        assert_eq!(sent(&["Application/JSON ; charset=utf-8"]), (Some(JSON), false));
        assert_eq!(sent(&["application/x-ndjson;x"]), (None, true));
        for unclear in [&[][..], &[""], &[JSON, JSON], &[JSON, FORM], &[LINES[0], LINES[0]]] {
            assert_eq!(sent(unclear), (None, false), "{unclear:?}");
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!((number("0"), number("184")), (Some(0_u64), Some(184)));
        for bad in ["", "+7", "-7", " 7", "7 ", "0x7", "\u{661}", "18446744073709551616"] {
            assert_eq!(number::<u64>(bad), None, "{bad}");
        }
    }

    #[test]
    fn p059_a_parameter_stands_once() {
        let read = Parameters::parse(b"scope=a+b&x=%C3%A9").unwrap();
        assert_eq!(
            (read.value("scope"), read.value("x"), read.value("y")),
            (Some("a b"), Some("\u{e9}"), None)
        );
        assert!(Parameters::parse(b"scope=a&scope=a").is_err());
    }

    #[test]
    fn what_is_not_properly_encoded_is_no_other_text() {
        for bad in [
            &b"sub=%"[..],
            b"sub=%4",
            b"sub=%4g",
            b"sub=%%41",
            b"sub=%FF",
            b"sub=\xff",
            b"sub=%C3",
        ] {
            assert!(Parameters::parse(bad).is_err(), "{bad:?}");
        }
        for good in [&b"sub=%EF%BF%BD"[..], b"sub=%41%00", "sub=\u{e9}".as_bytes(), b""] {
            assert!(Parameters::parse(good).is_ok(), "{good:?}");
        }
    }
}
