//! What clients say of themselves: registrations, metadata documents, redirect URIs, forms and Basic headers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_authorization_server::fuzzing::{basic, document, is_redirect, is_registered, parameter, registration};
use url::Url;

const ID: &str = "https://client.example/client.json";

fuzz_target!(|data: &[u8]| {
    if let Some(metadata) = registration(data) {
        let uris = metadata["redirect_uris"].as_array().expect("they are kept");
        assert!(!uris.is_empty() && uris.iter().all(|uri| uri.as_str().is_some_and(is_redirect)));
        // What was accepted is accepted again, and the same.
        assert_eq!(registration(metadata.to_string().as_bytes()), Some(metadata));
    }
    if let Some(client) = document(ID, data) {
        assert_eq!(client.id, ID);
        assert!(!client.name.chars().any(char::is_control));
        assert!(client.redirect_uris.iter().all(|uri| is_redirect(uri) && client.allows_redirect(uri)));
    }
    let _ = parameter(data, "code");
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = basic(text);
    if is_redirect(text) {
        let url = Url::parse(text).expect("a URL");
        assert!(!["javascript", "data", "file", "blob", "vbscript", "about"].contains(&url.scheme()));
        assert!(url.fragment().is_none() && url.username().is_empty());
        assert!(is_registered(text, text));
        if url.scheme() == "http" {
            let host = url.host_str().expect("a host");
            assert!(host == "localhost" || host == "[::1]" || host.starts_with("127."), "{host}");
        }
    }
    if let Some((registered, requested)) = text.split_once('\n')
        && is_registered(registered, requested)
        && registered != requested
        && let (Ok(mut one), Ok(mut other)) = (Url::parse(registered), Url::parse(requested))
    {
        // They differ by the port alone, and both lead to this machine.
        assert_eq!((one.scheme(), other.scheme()), ("http", "http"));
        one.set_port(None).unwrap();
        other.set_port(None).unwrap();
        assert_eq!(one, other);
    }
});
