//! How the types of `ostracon-core` stand in JSON: it knows nothing of documents.

use std::borrow::Cow;

use ostracon_core::{Kind, Reason, Subject};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, ObjectBuilder, OneOfBuilder, RefOr, Schema, SchemaFormat,
        schema::{AdditionalProperties, SchemaType, Type},
    },
};

/// Declares what stands for a type in a document.
macro_rules! schemas {
    ($($(#[doc = $doc:literal])+ $name:ident $type:ident: $build:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let description = concat!($($doc),+).trim();
                let object = ObjectBuilder::new().schema_type(SchemaType::Type(Type::$type)).description(Some(description));
                let build: fn(ObjectBuilder) -> RefOr<Schema> = $build;
                build(object)
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )+};
}

schemas! {
    /// A name: 1 to 255 bytes of UTF-8 without control characters, compared byte for byte.
    Name String: |object| object
        .min_length(Some(1))
        .max_length(Some(Subject::MAX_BYTES))
        .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]+$"))
        .into();
    /// A remark for people: at most 255 bytes, on one line.
    Text String: |object| object.max_length(Some(255)).into();
    /// Seconds since 1970 UTC.
    Seconds Integer: |object| object
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0))
        .into();
    /// Where something stands: its number.
    Place Integer: |object| object.minimum(Some(0)).into();
    /// Which sort of thing is revoked.
    TargetKind String: |object| object.enum_values(Some(Kind::ALL.map(Kind::as_str))).into();
    /// Why.
    RevocationReason String: |object| object.enum_values(Some(Reason::ALL.map(Reason::as_str))).into();
    /// A token in its compact form (RFC 7519 §3.1): at most 8 KiB.
    Token String: |object| object.max_length(Some(ostracon_core::Compact::MAX_BYTES)).into();
    /// The identity of a revocation: 32 lower-case hexadecimal digits, the same for the same target as long as the store is the same.
    RevocationId String: |object| object.pattern(Some("^[0-9a-f]{32}$")).into();
}

/// What is revoked: one thing of an issuer, by the member that names it (`iss` is the server's own where it is left out).
#[derive(Debug)]
pub(crate) enum TargetSchema {}

impl PartialSchema for TargetSchema {
    fn schema() -> RefOr<Schema> {
        let one = |kind: Kind| {
            let word = ObjectBuilder::new()
                .schema_type(SchemaType::Type(Type::String))
                .enum_values(Some([kind.as_str()]));
            let object = ObjectBuilder::new()
                .schema_type(SchemaType::Type(Type::Object))
                .property("kind", word)
                .required("kind")
                .property("iss", Name::schema())
                .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
            match member(kind) {
                None => object,
                Some(member) => object.property(member, Name::schema()).required(member),
            }
        };
        Kind::ALL
            .into_iter()
            .fold(OneOfBuilder::new(), |all, kind| all.item(one(kind)))
            .description(Some(
                "One thing of an issuer. `iss` is the server's own where it is left out.",
            ))
            .into()
    }
}

impl ToSchema for TargetSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Target")
    }
}

/// The member that names a target of `kind` within its issuer.
fn member(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Token => Some("jti"),
        Kind::Session => Some("sid"),
        Kind::Subject => Some("sub"),
        Kind::Client => Some("client_id"),
        Kind::Key => Some("kid"),
        Kind::Issuer => None,
    }
}
