//! Parses form bodies.

use std::collections::HashMap;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use url::form_urlencoded;

/// The parameters of a request in `application/x-www-form-urlencoded` (RFC 6749, section 3.2; OAuth 2.1,
/// section 3.2).
pub(super) struct Form(HashMap<String, String>);

/// The body is not a valid form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    /// The media type is another one.
    #[error("the body must be application/x-www-form-urlencoded")]
    ContentType,
    /// A parameter occurs twice. Different parsers would use different values.
    #[error("a parameter occurs more than once")]
    Repeated,
}

impl Form {
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, FormError> {
        let content_type =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(FormError::ContentType);
        }
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(FormError::Repeated);
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter. One with an empty value counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parse(body: &str) -> Result<Form, FormError> {
        let content_type = HeaderValue::from_static("application/x-www-form-urlencoded;charset=UTF-8");
        Form::parse(&HeaderMap::from_iter([(CONTENT_TYPE, content_type)]), body.as_bytes())
    }

    #[test]
    fn given_a_form_when_a_parameter_is_empty_or_repeated_then_it_is_left_out_or_refused() {
        let form = parse("a=1%2B+2&b=").unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1+ 2"), None, None));
        assert_eq!(parse("a=1&a=1").err(), Some(FormError::Repeated));
        assert_eq!(Form::parse(&HeaderMap::new(), b"a=1").err(), Some(FormError::ContentType));
    }
}
