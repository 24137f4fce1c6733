//! `portcullis probe`: a plain HTTP check for images without a shell.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

/// Timeout of each step: connect, send, wait for the response.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Check whether a gateway serves at an address. Exit code 0 unless the response is a server error (5xx). For
/// images without a shell.
///
/// The request's Host is the address, not the host of the public URL. A gateway with a route table rejects
/// that host with a client error; a gateway without one answers 503.
#[derive(Args)]
pub(crate) struct Probe {
    /// IP address to check, for example of a Service.
    #[arg(long, value_name = "IP")]
    address: IpAddr,
    /// Port of the public listener.
    #[arg(long, value_name = "PORT")]
    port: u16,
}

impl Probe {
    #[allow(clippy::print_stdout, reason = "the command's output")]
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let address = SocketAddr::new(self.address, self.port);
        let status = get_status(address).with_context(|| format!("no HTTP response from {address}"))?;
        println!("{address} responded with status {status}");
        Ok(if status < 500 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Sends a plain `GET /` and returns the response status.
fn get_status(address: SocketAddr) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, STEP_TIMEOUT)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT))?;
    stream.set_write_timeout(Some(STEP_TIMEOUT))?;
    // In a single write: a server that responds before the rest arrives may close the connection, which would
    // discard its response.
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // A status line is short: if the first 256 bytes contain none, the server speaks another protocol.
    let mut line = Vec::new();
    let mut bytes = BufReader::new(stream.take(256)).bytes();
    while let Some(byte) = bytes.next().transpose()? {
        if byte == b'\r' {
            break;
        }
        line.push(byte);
    }
    let line = String::from_utf8_lossy(&line);
    match line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok()) {
        Some(status) => Ok(status),
        None => bail!("the response does not start with an HTTP/1.1 status line: {line:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Status that the probe reads from a server with this response.
    fn seen(answer: &'static str) -> Option<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let status = get_status(address).ok();
        assert!(server.join().unwrap().starts_with("GET / HTTP/1.1\r\n"));
        status
    }

    #[test]
    fn given_an_answer_when_probed_then_its_status_is_read_and_anything_else_is_no_answer() {
        assert_eq!(seen("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"), Some(403));
        assert_eq!(seen("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some(503));
        assert_eq!(seen("SSH-2.0-OpenSSH\r\n"), None);
        assert_eq!(seen(""), None);
    }

    #[test]
    fn given_nobody_listening_when_probed_then_it_fails() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(get_status(address).is_err());
    }
}
