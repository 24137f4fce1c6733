//! Columns of the rows that several statements return. Macros, because `concat!` takes only literals.

/// The columns of [`ConnectionRow`](crate::ConnectionRow).
macro_rules! connection_columns {
    () => {
        "principal_id, origin_uid, origin_url, resource, issuer, token_endpoint, revocation_endpoint, client_id,
         registration, auth_method, scope, sealed, issued_at, expires_at, dead, revision, leased_until,
         connected_at, last_used_at"
    };
}

/// The columns of [`GrantRow`](crate::GrantRow).
macro_rules! grant_columns {
    () => {
        "id, principal, client_id, client_name, issuer, route_uid, resource, scope, created_at, expires_at,
         revoked_at, provider_session"
    };
}

/// The columns of [`OriginClientRow`](crate::OriginClientRow).
macro_rules! origin_client_columns {
    () => {
        "origin_uid, issuer, redirect_uri, client_id, sealed_secret, auth_method, secret_expires_at,
         registered_at"
    };
}

/// The columns of [`ProviderAccountRow`](crate::ProviderAccountRow).
macro_rules! provider_account_columns {
    () => {
        "principal, identity_provider, subject, sealed, provider_session, renewed_at, revision, leased_until"
    };
}

pub(crate) use {connection_columns, grant_columns, origin_client_columns, provider_account_columns};
