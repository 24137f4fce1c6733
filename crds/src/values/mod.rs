//! Value types that several kinds share. Each has its own pattern in the schema and its own error message.

mod byte_size;
mod cidr;
mod condition;
mod duration;
mod secret_ref;
mod selection;
pub mod syntax;

pub use byte_size::{ByteSize, ByteSizeError};
pub use cidr::{Cidr, CidrError};
pub use condition::{Condition, ConditionStatus};
pub use duration::{Duration, DurationError};
pub use secret_ref::SecretRef;
pub use selection::{
    PromptOverride, PromptSelection, ResourceOverride, ResourceSelection, ToolAnnotations, ToolOverride,
    ToolSelection, VisibleTools,
};
pub use syntax::SyntaxError;

use serde::{Deserialize, Serialize};

/// An option without settings, written as `{}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, kube::KubeSchema)]
pub struct Empty {}

/// Checks a text against a pattern of our schemas. The error explains the expected form in words. `None` if
/// the pattern is not one of ours.
#[must_use]
pub fn check_pattern(pattern: &str, text: &str) -> Option<Result<(), PatternError>> {
    fn parse<T: std::str::FromStr<Err: Into<PatternError>>>(text: &str) -> Result<(), PatternError> {
        text.parse::<T>().map(drop).map_err(Into::into)
    }
    match pattern {
        duration::PATTERN => Some(parse::<Duration>(text)),
        byte_size::PATTERN => Some(parse::<ByteSize>(text)),
        cidr::PATTERN => Some(parse::<Cidr>(text)),
        _ => Some(syntax::check_pattern(pattern, text)?.map_err(PatternError::Syntax)),
    }
}

/// Why a text does not match a pattern of our schemas. The message explains the expected form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a duration.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// Not a size.
    #[error(transparent)]
    ByteSize(#[from] ByteSizeError),
    /// Not a network.
    #[error(transparent)]
    Cidr(#[from] CidrError),
    /// Not a name, header, service account or URL.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
}

/// Implements serde and the schema for a type that is written as a string and parsed with `FromStr`.
macro_rules! string_value {
    ($type:ident, $name:literal, $pattern:expr, $max:literal, $description:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "pattern": $pattern, "maxLength": $max, "description": $description
                })
            }
        }
    };
}
use string_value;
