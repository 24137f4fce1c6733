//! What origins and their authorization servers say of themselves: challenges, metadata, token answers.

#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use portcullis_origin_auth::fuzzing::{access_token, challenge, is_metadata_of, issuer};
use serde_json::Value;
use url::Url;

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = HeaderValue::from_bytes(data)
        && let Some((_, scopes)) = challenge(header)
    {
        assert!(scopes.iter().all(|scope| !scope.contains(char::is_whitespace)));
    }
    let origin = Url::parse("https://h/mcp").expect("a URL");
    let value = serde_json::from_slice::<Value>(data).ok();
    if is_metadata_of(data, &origin) == Some(true) {
        let stated = value.as_ref().expect("JSON")["resource"]
            .as_str()
            .expect("a resource")
            .parse::<Url>()
            .expect("a URL");
        assert_eq!((stated.host_str(), stated.path().trim_end_matches('/')), (Some("h"), "/mcp"));
        assert!(stated.query().is_none() && stated.fragment().is_none() && stated.scheme() == "https");
    }
    if let Some(issuer) = issuer(data) {
        assert_eq!(value.as_ref().expect("JSON")["issuer"], issuer);
    }
    if let Some(token) = access_token(data) {
        assert_eq!(value.as_ref().expect("JSON")["access_token"], token);
        HeaderValue::try_from(format!("Bearer {token}")).expect("it can be sent");
    }
});
