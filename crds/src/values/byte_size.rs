//! `ByteSize`: a number of bytes with an optional unit, like `10Mi`.

use std::fmt;
use std::str::FromStr;

/// Pattern in the schema. [`ByteSize::from_str`] accepts the same texts, except numbers that overflow.
pub(super) const PATTERN: &str = "^[0-9]+(Ki|Mi|Gi|k|M|G)?$";

/// A number of bytes in the notation of Kubernetes memory quantities: `512Ki`, `10Mi`, `1G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

/// The text is not a size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a size; use a number of bytes with an optional unit (Ki, Mi, Gi, k, M, G), like 512Ki or 10Mi"
)]
pub struct ByteSizeError(String);

const UNITS: [(&str, u64); 6] =
    [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)];

impl ByteSize {
    /// A size of `count` MiB.
    #[must_use]
    pub const fn mebibytes(count: u32) -> Self {
        Self((count as u64) << 20)
    }

    /// The size in bytes.
    #[must_use]
    pub fn as_bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let (number, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))
            .unwrap_or((text, 1));
        // `u64::from_str` would accept a plus sign.
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .then(|| number.parse::<u64>().ok()?.checked_mul(factor))
            .flatten()
            .map(Self)
            .ok_or_else(|| ByteSizeError(text.to_owned()))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

super::string_value!(
    ByteSize,
    "ByteSize",
    PATTERN,
    24,
    "A number of bytes with an optional unit: 512Ki, 10Mi, 1Gi."
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn given_numbers_with_units_when_parsed_then_they_are_bytes() {
        for (text, bytes) in [("10Mi", 10 << 20), ("512Ki", 512 << 10), ("1G", 1_000_000_000), ("2048", 2048)]
        {
            assert_eq!(text.parse::<ByteSize>().map(ByteSize::as_bytes), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn given_anything_else_when_parsed_then_the_error_names_it_and_shows_the_form() {
        for text in ["10Mb!", "10 Mi", "", "Mi", "+1Ki", "-1", "1.5Gi", "10mi", "99999999999999Gi"] {
            let error = text.parse::<ByteSize>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("'{text}' is not a size")) && error.contains("10Mi"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn given_any_size_when_written_and_read_then_it_is_the_same(bytes: u64) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }
    }
}
