//! Protection of forms against cross-site requests: tokens, and the check of the request's web origin.

use http::{HeaderMap, header};
use portcullis_policy::Gateway;

use crate::Portal;
use crate::error::PortalError;

/// Lifetime of a form token, in milliseconds.
const FORM_LIFETIME: i64 = 12 * 60 * 60 * 1000;

impl Portal {
    /// The hidden token of a form, bound to the form, its subject and the browser.
    pub(crate) fn form_token(&self, form: &str, subject: &str, binding: &str) -> Result<String, PortalError> {
        self.seal(&["form", form, subject, binding], &self.clock.now().0)
    }

    /// Whether a token is valid for this form, subject and browser.
    pub(crate) fn is_valid_form_token(
        &self,
        form: &str,
        subject: &str,
        binding: &str,
        token: Option<&str>,
    ) -> bool {
        let shown: Option<i64> = token.and_then(|token| self.open(&["form", form, subject, binding], token));
        shown.is_some_and(|shown| self.clock.now().0.saturating_sub(shown) < FORM_LIFETIME)
    }

    /// Rejects a form with an invalid token.
    pub(crate) fn check_form_token(
        &self,
        form: &str,
        subject: &str,
        binding: &str,
        token: Option<&str>,
    ) -> Result<(), PortalError> {
        if self.is_valid_form_token(form, subject, binding, token) {
            Ok(())
        } else {
            Err(PortalError::InvalidForm)
        }
    }
}

/// Rejects a POST from another site.
///
/// `Sec-Fetch-Site` decides if it is present. `Origin` alone is not sufficient: the portal's pages have
/// `Referrer-Policy: no-referrer`, with which browsers send `Origin: null` (Fetch, section 3.2).
pub(crate) fn check_same_origin(gateway: &Gateway, headers: &HeaderMap) -> Result<(), PortalError> {
    let header = |name| headers.get(name).map(|value: &http::HeaderValue| value.as_bytes());
    let site = header(http::HeaderName::from_static("sec-fetch-site"));
    let origin = header(header::ORIGIN);
    let ours = origin == Some(gateway.public_url.as_bytes());
    let ok = match (site, origin) {
        (Some(b"same-origin"), None | Some(b"null")) => true,
        (Some(b"same-origin") | None, Some(_)) => ours,
        _ => false,
    };
    if ok { Ok(()) } else { Err(PortalError::InvalidForm) }
}
