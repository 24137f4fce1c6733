//! What comes with a browser: authorization requests, and what an identity provider says of a person.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_config::{ClaimNames, ProviderClient};
use portcullis_portal::fuzzing::parameter;
use portcullis_identity_providers::fuzzing::principal;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (raw, decoded) = parameter(text, "state");
    assert_eq!(raw.is_some(), decoded.is_some());
    if let Some(raw) = raw {
        assert!(text.contains(&raw) && !raw.contains('&'));
        let decodes: Vec<_> =
            url::form_urlencoded::parse(text.as_bytes()).filter(|(name, _)| name == "state").collect();
        assert_eq!(decodes.len(), 1, "one of several was taken");
        assert_eq!(Some(&*decodes[0].1), decoded.as_deref());
    }
    let Some((claims, userinfo)) = text.split_once('\n') else { return };
    let (Ok(Value::Object(claims)), Ok(Value::Object(userinfo))) =
        (serde_json::from_str(claims), serde_json::from_str(userinfo))
    else {
        return;
    };
    if let Some(person) = principal(claims.clone(), userinfo.clone(), &provider()) {
        let sub = match claims.get("sub").or_else(|| userinfo.get("sub")) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => panic!("a person without a subject"),
        };
        assert_eq!(&*person.subject, format!("company:{sub}"));
        if let Some(email) = &person.email {
            // Whoever gave the address, or another about the same address, has vouched for it.
            let vouches = |by: &serde_json::Map<String, Value>| {
                let verified = by.get("email_verified").is_some_and(|it| {
                    it == true || it.as_str().is_some_and(|it| it.eq_ignore_ascii_case("true"))
                });
                verified
                    && by
                        .get("email")
                        .and_then(Value::as_str)
                        .is_some_and(|it| it.eq_ignore_ascii_case(email))
            };
            assert!(vouches(&claims) || vouches(&userinfo), "nobody vouches for {email}");
        }
    }
});

fn provider() -> ProviderClient {
    let claims = ClaimNames {
        subject: "sub".into(),
        email: "email".into(),
        name: "name".into(),
        groups: "groups".into(),
    };
    ProviderClient {
        issuer: "https://idp.example".into(),
        client_id: "portcullis".into(),
        client_secret: None,
        scopes: Vec::new(),
        claims,
        trust_email: false,
        renew: true,
        id_jag: false,
        private_networks: Vec::new(),
        ca_bundle_pem: None,
    }
}
