use std::io::{BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

/// For each step: connecting, sending, waiting for the answer.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Says whether something serves at an address: exit code 0 when its answer is no server error. For images without a shell.
///
/// It asks as a stranger, without the public URL's host: a gateway refuses that host where it has a route table, which is what is
/// to be known, and answers 503 where it has none.
#[derive(Args)]
pub(crate) struct Probe {
    /// The IP address, of a Service for instance.
    #[arg(long, value_name = "IP")]
    address: IpAddr,
    /// The public listener's port there.
    #[arg(long, value_name = "PORT")]
    port: u16,
}

impl Probe {
    #[allow(clippy::print_stdout, reason = "the command's output")]
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let address = SocketAddr::new(self.address, self.port);
        let status =
            get_status(address).with_context(|| format!("nothing that speaks HTTP answers at {address}"))?;
        println!("{address} answers {status}");
        Ok(if status < 500 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The status of the answer to a plain `GET /`.
fn get_status(address: SocketAddr) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, STEP_TIMEOUT)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT))?;
    stream.set_write_timeout(Some(STEP_TIMEOUT))?;
    // In one piece: who answers before the rest has come may close and so destroy its answer.
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // A status line is short; whoever sends this much without one speaks another protocol.
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
        None => bail!("it says {line:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// The status that the probe sees of whoever answers this.
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
