use http::{HeaderMap, header};
use portcullis_policy::Gateway;

use crate::Portal;
use crate::error::PortalError;

/// How long a page may lie open before its form is worth nothing, in milliseconds.
const FORM_LIFETIME: i64 = 12 * 60 * 60 * 1000;

impl Portal {
    /// The hidden token of a form: what it is for and whose browser it was shown in, sealed.
    pub(crate) fn form_token(&self, form: &str, subject: &str, binding: &str) -> Result<String, PortalError> {
        self.seal(&["form", form, subject, binding], &self.clock.now().0)
    }

    /// Whether a form's token is the one that this browser was shown.
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

    /// Refuses a form that another browser, or nobody, was shown.
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

/// Refuses a POST that another site's page sent.
///
/// `Sec-Fetch-Site` decides where there is one. Our pages have `Referrer-Policy: no-referrer`, under which browsers send
/// `Origin: null` with their forms (Fetch, section 3.2), so that `Origin` alone would not do.
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
