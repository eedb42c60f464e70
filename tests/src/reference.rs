//! The page about the API, written from its document.

use std::{collections::BTreeSet, fmt::Write};

use serde_json::{Map, Value};

const PREFACE: &str = "# API reference

*Written from [openapi.json](https://spec.openapis.org/oas/v3.1.1.html), which a running server has at `/openapi.json` on its
admin listener, and which is made of the handlers. What it lists was tried: each answer that a property-based tester could get
is one that stands here.*

";

/// The page for `document`, in Markdown.
pub fn reference(document: &Value) -> String {
    let mut page = PREFACE.to_owned();
    writeln!(page, "{}\n", text(&document["info"], "description")).unwrap();
    let common = common(document);
    page.push_str("## Common answers\n\nThe same wherever they stand in the document; below are the others.\n\n");
    page.push_str("| status | |\n|---|---|\n");
    for (status, description) in &common {
        writeln!(page, "| {status} | {description} |").unwrap();
    }
    page.push_str("\nTheir body is `application/problem+json`: [Problem](#problem); of `/oauth/*` and ");
    page.push_str("`/auth/backchannel-logout`, `application/json`: [OauthProblem](#oauthproblem).\n\n");
    for tag in list(document, "tags") {
        let name = text(tag, "name");
        writeln!(page, "## {}\n\n{}\n", title(name), text(tag, "description")).unwrap();
        // One handler may have several names, and several methods; it is told of once.
        let mut told = Vec::new();
        for (path, item) in members(&document["paths"]) {
            for (method, operation) in members(item) {
                let summary = text(operation, "summary");
                if operation["tags"][0] == name && !told.contains(&summary) {
                    told.push(summary);
                    describe(&mut page, document, &common, (method, path), operation);
                }
            }
        }
    }
    page.push_str("## Objects\n\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        object(&mut page, name, schema);
    }
    page.truncate(page.trim_end().len());
    page + "\n"
}

/// What is answered by so many operations that it is told of once.
fn common(document: &Value) -> BTreeSet<(&str, &str)> {
    let operations = members(&document["paths"]).flat_map(|(_, item)| members(item));
    let answers = operations.flat_map(|(_, operation)| members(&operation["responses"]));
    let all: Vec<_> = answers
        .map(|(status, answer)| (status, text(answer, "description")))
        .collect();
    let often = |one: &&(&str, &str)| all.iter().filter(|other| other == one).count() >= 8;
    all.iter().filter(often).copied().collect()
}

fn describe(
    page: &mut String,
    document: &Value,
    common: &BTreeSet<(&str, &str)>,
    (method, path): (&str, &str),
    operation: &Value,
) {
    let method = if path == "/auth/verify" {
        "any method".into()
    } else {
        method.to_uppercase()
    };
    writeln!(page, "### `{method} {path}`\n\n{}\n", text(operation, "summary")).unwrap();
    let more = text(operation, "description");
    if !more.is_empty() {
        writeln!(page, "{more}\n").unwrap();
    }
    let who: Vec<_> = list(operation, "security").iter().map(who).collect();
    if !who.is_empty() {
        writeln!(page, "Authentication: {}.\n", who.join(", or ")).unwrap();
    }
    let parameters = list(operation, "parameters");
    if !parameters.is_empty() {
        page.push_str("| parameter | in | type | |\n|---|---|---|---|\n");
        for one in parameters {
            let needed = if one["required"] == true { " Required." } else { "" };
            let (name, place) = (text(one, "name"), text(one, "in"));
            writeln!(
                page,
                "| `{name}` | {place} | {} | {}{needed} |",
                kind(&one["schema"]),
                text(one, "description")
            )
            .unwrap();
        }
        page.push('\n');
    }
    if let Some(body) = operation.get("requestBody") {
        let types: Vec<_> = members(&body["content"])
            .map(|(media, of)| format!("`{media}`{}", of_kind(&of["schema"])))
            .collect();
        let needed = if body["required"] == false {
            " (may be left out)"
        } else {
            ""
        };
        writeln!(
            page,
            "Body{needed}: {}. {}\n",
            types.join(" or "),
            text(body, "description")
        )
        .unwrap();
    }
    page.push_str("| status | | body |\n|---|---|---|\n");
    for (status, answer) in members(&operation["responses"]) {
        if common.contains(&(status, text(answer, "description"))) {
            continue;
        }
        let body: Vec<_> = members(&answer["content"])
            .map(|(media, of)| format!("`{media}`{}", of_kind(&of["schema"])))
            .collect();
        writeln!(
            page,
            "| {status} | {} | {} |",
            text(answer, "description"),
            body.join(" or ")
        )
        .unwrap();
    }
    page.push('\n');
    example(page, document, &method, path, operation);
}

/// A line to copy, with what stands in the place of what is one's own.
fn example(page: &mut String, document: &Value, method: &str, path: &str, operation: &Value) {
    let tag = operation["tags"][0].as_str().unwrap();
    let port = if matches!(tag, "sessions" | "oauth") {
        8080
    } else {
        8081
    };
    let mut line = String::from("curl");
    if !matches!(method, "GET" | "any method") {
        write!(line, " -X {method}").unwrap();
    }
    match list(operation, "security")
        .first()
        .map(|one| members(one).next().map_or("", |(scheme, _)| scheme))
    {
        Some("client") => line.push_str(" -u \"$CLIENT:$SECRET\""),
        Some("bearer") => line.push_str(" -H \"Authorization: Bearer $TOKEN\""),
        Some("refresh_cookie") => line.push_str(" -d \"refresh_token=$REFRESH_TOKEN\""),
        _ => {}
    }
    let content = &operation["requestBody"]["content"];
    if content.get("application/json").is_some() && tag != "sessions" {
        let example = if path == "/v1/explain" {
            "{\"token\":\"'$TOKEN'\"}".to_owned()
        } else {
            schema_example(document, content)
        };
        write!(line, " \\\n  -H 'Content-Type: application/json' -d '{example}'").unwrap();
    } else if content.get("application/x-ndjson").is_some() {
        line.push_str(" \\\n  -H 'Content-Type: application/x-ndjson' --data-binary @revocations.ndjson");
    } else if path == "/oauth/token" {
        line.push_str(" \\\n  -d grant_type=refresh_token -d \"refresh_token=$REFRESH_TOKEN\"");
    } else if path.starts_with("/oauth/") {
        line.push_str(" -d \"token=$TOKEN\"");
    } else if path == "/auth/backchannel-logout" {
        line.push_str(" -d \"logout_token=$LOGOUT_TOKEN\"");
    }
    let needed = list(operation, "parameters")
        .iter()
        .find(|one| one["required"] == true && one["in"] == "query");
    let query = needed.map_or(String::new(), |one| format!("?{}=user-42", text(one, "name")));
    let path = path.replace('{', "$").replace('}', "");
    writeln!(
        page,
        "```sh\n{line} \\\n  \"http://127.0.0.1:{port}{}{query}\"\n```\n",
        path.replace("$id", "$ID").replace("$sid", "$SID")
    )
    .unwrap();
}

fn schema_example(document: &Value, content: &Value) -> String {
    let reference = text(&content["application/json"]["schema"], "$ref");
    document.pointer(&reference[1..]).unwrap()["example"].to_string()
}

fn who(requirement: &Value) -> String {
    match members(requirement).next() {
        None => "none".into(),
        Some(("client", roles)) => match roles.as_array().unwrap().first() {
            Some(role) => format!("HTTP Basic as a client with the role `{}`", role.as_str().unwrap()),
            None => "HTTP Basic as a client".into(),
        },
        Some(("bearer", _)) => "an access token as Bearer".into(),
        Some(("access_cookie", _)) => "an access token in its cookie".into(),
        Some(("refresh_cookie", _)) => "a refresh token in its cookie".into(),
        Some((other, _)) => panic!("{other} is not known here"),
    }
}

fn object(page: &mut String, name: &str, schema: &Value) {
    writeln!(page, "### {name}\n").unwrap();
    let about = text(schema, "description");
    if !about.is_empty() {
        writeln!(page, "{about}\n").unwrap();
    }
    let parts: Vec<_> = schema["allOf"]
        .as_array()
        .map_or(vec![schema], |all| all.iter().collect());
    for part in &parts {
        if part.get("$ref").is_some() {
            writeln!(page, "All of {}, and:\n", kind(part)).unwrap();
        }
    }
    let rows: Vec<_> = parts
        .iter()
        .flat_map(|part| members(&part["properties"]).map(|(member, of)| (*part, member, of)))
        .collect();
    if rows.is_empty() {
        writeln!(page, "{}\n", kind(schema)).unwrap();
        return;
    }
    page.push_str("| member | type | |\n|---|---|---|\n");
    for (part, member, of) in rows {
        let is_always = list(part, "required").iter().any(|one| one == member);
        let about = match (text(of, "description"), of["oneOf"].as_array()) {
            ("", Some(all)) => all
                .iter()
                .map(|one| text(one, "description"))
                .find(|t| !t.is_empty())
                .unwrap_or(""),
            (about, _) => about,
        };
        writeln!(
            page,
            "| `{member}`{} | {} | {about} |",
            if is_always { "" } else { "?" },
            kind(of)
        )
        .unwrap();
    }
    page.push('\n');
}

fn of_kind(schema: &Value) -> String {
    if schema.is_null() || schema["type"] == "string" {
        String::new()
    } else {
        format!(": {}", kind(schema))
    }
}

/// A type in a word or a few.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words
            .iter()
            .map(|word| format!("`{}`", word.as_str().unwrap()))
            .collect();
        return words.join(", ");
    }
    if let Some(one) = schema["oneOf"].as_array() {
        let kinds: Vec<_> = one.iter().map(kind).collect();
        return kinds.join(" or ");
    }
    match &schema["type"] {
        Value::Array(types) => types
            .iter()
            .map(|t| t.as_str().unwrap())
            .collect::<Vec<_>>()
            .join(" or "),
        Value::String(word) if word == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(word) if word == "object" && schema.get("properties").is_some() => {
            let told: Vec<_> = members(&schema["properties"])
                .map(|(name, of)| match of["enum"][0].as_str() {
                    Some(word) => format!("{name}: `{word}`"),
                    None => name.to_owned(),
                })
                .collect();
            format!("{{{}}}", told.join(", "))
        }
        Value::String(word) => word.clone(),
        _ => "anything".into(),
    }
}

fn title(tag: &str) -> String {
    let (first, rest) = tag.split_at(1);
    match tag {
        "oauth" => "OAuth".into(),
        _ => first.to_uppercase() + rest,
    }
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or("")
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().map_or(&[], Vec::as_slice)
}

fn members(of: &Value) -> impl Iterator<Item = (&str, &Value)> {
    of.as_object()
        .into_iter()
        .flat_map(Map::iter)
        .map(|(name, value)| (name.as_str(), value))
}
