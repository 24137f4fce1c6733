//! What the gateway states about itself as a client: its redirect URIs, its name and its metadata documents.

use portcullis_policy::{Gateway, Origin};
use serde_json::{Value, json};
use url::Url;

/// Redirect URI of an origin, `{publicUrl}/connect/{id}/callback`. One per origin, so a response cannot be
/// used for another origin. Administrators need it to register the gateway by hand.
#[must_use]
pub fn redirect_uri(gateway: &Gateway, origin: &Origin) -> String {
    format!("{}/connect/{}/callback", gateway.public_url, origin.id)
}

pub(crate) fn client_metadata_url(gateway: &Gateway, origin: &Origin) -> String {
    format!("{}/connect/{}/client.json", gateway.public_url, origin.id)
}

/// The client ID metadata document for an origin, served at `/connect/{id}/client.json`
/// (draft-ietf-oauth-client-id-metadata-document).
#[must_use]
pub fn client_metadata_document(gateway: &Gateway, origin: &Origin) -> Value {
    json!({
        "client_id": client_metadata_url(gateway, origin),
        "client_name": client_name(gateway),
        "client_uri": &*gateway.public_url,
        "redirect_uris": [redirect_uri(gateway, origin)],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "web",
        "token_endpoint_auth_method": "none",
    })
}

/// Name that the authorization server shows to the person.
pub(crate) fn client_name(gateway: &Gateway) -> String {
    let host = gateway.public_url.parse::<Url>().ok().and_then(|url| url.host_str().map(str::to_owned));
    format!("Portcullis ({})", host.as_deref().unwrap_or(&gateway.name))
}

#[cfg(test)]
mod tests {
    use portcullis_golden::assert_golden;

    use super::*;
    use crate::golden::{pretty, table};

    #[test]
    fn the_client_metadata_document_is_stable() {
        let table = table();
        let (gateway, origin) = (&table.gateway, table.origin("origin-id").unwrap());
        let published = json!({"url": client_metadata_url(gateway, origin), "document": client_metadata_document(gateway, origin)});
        assert_golden("origin-auth/client-metadata.json", &pretty(&published));
    }
}
