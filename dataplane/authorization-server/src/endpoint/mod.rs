//! The HTTP endpoints: one per file, each with its own errors.

mod client_authentication;
mod client_credentials;
mod failure_limit;
mod form;
mod grant_types;
mod headless;
mod id_jag;
mod jwks;
mod jwt_bearer;
mod oauth_error;
mod redeem;
mod refresh;
mod register;
mod resource_metadata;
mod revoke;
mod router;
mod server_metadata;
mod service_account;
mod token;
mod token_error;
mod token_request;

pub(crate) use client_authentication::ClientAuthenticator;
pub(crate) use refresh::REUSE_GRACE_PERIOD;
pub(crate) use router::Endpoints;

#[cfg(test)]
mod tests;

/// Reads a form parameter as these endpoints do.
#[cfg(fuzzing)]
pub(crate) fn parameter(body: &[u8], name: &str) -> Option<String> {
    let kind = http::HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, kind)]);
    form::Form::parse(&headers, body).ok()?.get(name).map(ToOwned::to_owned)
}

/// Reads the id and secret of a Basic header as these endpoints do.
#[cfg(fuzzing)]
pub(crate) fn basic(header: &str) -> Option<(String, String)> {
    client_authentication::basic(header)
}
