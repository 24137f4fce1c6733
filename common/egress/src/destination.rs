/// Where somebody is to be reached.
#[derive(Clone, Copy)]
pub struct Destination<'a> {
    /// A name or an address, with or without brackets.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// Without TLS.
    pub plain: bool,
}
