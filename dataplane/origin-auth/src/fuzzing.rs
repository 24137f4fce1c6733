//! Parsers of untrusted bytes, exported only to the fuzz targets of `tests/fuzz`.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};
use url::Url;

use crate::challenge::Challenge;
use crate::{discovery, token};

/// The metadata URL of a challenge, and its scopes.
#[must_use]
pub fn challenge(header: HeaderValue) -> Option<(Option<String>, Vec<String>)> {
    let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, header)]);
    Challenge::from_headers(&headers).map(|challenge| (challenge.resource_metadata, challenge.scopes))
}

/// Whether protected resource metadata describes an origin. `None` if it cannot be parsed.
#[must_use]
pub fn is_metadata_of(metadata: &[u8], origin: &Url) -> Option<bool> {
    discovery::is_metadata_of(metadata, origin)
}

/// The issuer in an authorization server's metadata.
#[must_use]
pub fn issuer(metadata: &[u8]) -> Option<String> {
    portcullis_egress::parse_json_object::<discovery::AuthorizationServerMetadata>(metadata)
        .ok()
        .map(|server| server.issuer)
}

/// The access token in a token response.
#[must_use]
pub fn access_token(answer: &[u8]) -> Option<String> {
    token::access_token(answer)
}
