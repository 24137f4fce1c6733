//! The target of an outbound connection.

/// Host and port of an outbound connection, and whether it uses TLS.
#[derive(Clone, Copy)]
pub struct Destination<'a> {
    /// A name or an IP address, with or without brackets.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// Whether the connection is plain http, without TLS.
    pub plain: bool,
}
