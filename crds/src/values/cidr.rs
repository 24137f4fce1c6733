//! `Cidr`: an IP network, like `10.0.0.0/8`.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;

/// Pattern in the schema. It checks only the characters; [`Cidr::from_str`] checks the rest.
pub(super) const PATTERN: &str = "^[0-9a-fA-F.:]+/[0-9]{1,3}$";

/// An IP network in CIDR notation: `10.0.0.0/8`, `fd00::/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr(pub IpNet);

/// The text is not a network.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a network; use an address and a prefix length, like 10.0.0.0/8, fd00::/8 or 192.0.2.7/32"
)]
pub struct CidrError(String);

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        text.parse().map(Self).map_err(|_| CidrError(text.to_owned()))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

super::string_value!(Cidr, "Cidr", PATTERN, 49, "An IP network in CIDR notation: 10.0.0.0/8, fd00::/8.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_networks_when_parsed_then_they_are_taken_as_they_are() {
        for text in ["10.0.0.0/8", "fd00::/8", "127.0.0.4/32", "0.0.0.0/0"] {
            assert_eq!(text.parse::<Cidr>().map(|cidr| cidr.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn given_anything_else_when_parsed_then_the_error_names_it_and_shows_the_form() {
        for text in ["10.0.0.0/33", "10.0.0.0", "localhost/8", "", "10.0.0/8"] {
            let error = text.parse::<Cidr>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("'{text}' is not a network")), "{error}");
        }
    }
}
