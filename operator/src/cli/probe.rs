//! `probe`: does something answer there? For `helm test` and for images without a shell.
//!
//! In come addresses; out goes exit code 0 once each of them has answered, 1 if one did not within the time. What is
//! deliberately absent: TLS, redirects and everything else that an HTTP client can do.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::run::duration;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest status line that is read.
const LONGEST_LINE: u64 = 512;

/// Asks whether something answers.
#[derive(Clone, Debug, clap::Args)]
pub struct ProbeArgs {
    /// `http://HOST:PORT/PATH` has to answer with a success, `tcp://HOST:PORT` to take a connection.
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<Target>,
    /// Try again for so long.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub within: Duration,
}

/// What has to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A server that takes connections.
    Tcp {
        /// HOST:PORT.
        address: String,
    },
    /// An HTTP server with something at a path.
    Http {
        /// HOST:PORT.
        address: String,
        /// The path, with its slash.
        path: String,
    },
}

/// Why an address cannot be probed.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no address to probe; write http://HOST:PORT/PATH or tcp://HOST:PORT")]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || TargetError(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (address, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || port.parse::<u16>().is_err() || !printable(rest) {
            return Err(wrong());
        }
        let address = address.to_owned();
        match (scheme, path) {
            ("tcp", "") => Ok(Self::Tcp { address }),
            ("http", "") => Ok(Self::Http {
                address,
                path: "/".to_owned(),
            }),
            ("http", path) => Ok(Self::Http {
                address,
                path: path.to_owned(),
            }),
            _ => Err(wrong()),
        }
    }
}

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("failed to connect to {address}")]
    Connect {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to ask {address} for {path}")]
    Ask {
        address: String,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{address} answered {answer:?} to a request for {path}")]
    Answered {
        address: String,
        path: String,
        answer: String,
    },
    #[error("no answer from {0}")]
    Silent(String),
}

/// Probes each target, one after the other, until it answers or the time is over.
pub async fn probe(args: ProbeArgs) -> anyhow::Result<ExitCode> {
    let deadline = Instant::now() + args.within;
    for target in &args.urls {
        answered(target, deadline).await?;
        tracing::info!(target = ?target, "answers");
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns once the target has answered; its last error when the time is over.
async fn answered(target: &Target, deadline: Instant) -> Result<(), ProbeError> {
    loop {
        match attempt(target).await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() + PAUSE >= deadline => return Err(error),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn attempt(target: &Target) -> Result<(), ProbeError> {
    let address = match target {
        Target::Tcp { address } | Target::Http { address, .. } => address,
    };
    let limit = Instant::now() + ATTEMPT;
    let silent = || ProbeError::Silent(address.clone());
    let mut stream = timeout_at(limit, TcpStream::connect(address))
        .await
        .map_err(|_| silent())?
        .map_err(|source| ProbeError::Connect {
            address: address.clone(),
            source,
        })?;
    match target {
        Target::Tcp { .. } => Ok(()),
        Target::Http { path, .. } => {
            let answer = timeout(limit - Instant::now(), ask(&mut stream, address, path))
                .await
                .map_err(|_| silent())?
                .map_err(|source| ProbeError::Ask {
                    address: address.clone(),
                    path: path.clone(),
                    source,
                })?;
            match answer.split(' ').nth(1) {
                Some(code) if code.len() == 3 && code.starts_with('2') => Ok(()),
                _ => Err(ProbeError::Answered {
                    address: address.clone(),
                    path: path.clone(),
                    answer,
                }),
            }
        }
    }
}

/// Asks for a path; returns the status line.
async fn ask(stream: &mut TcpStream, address: &str, path: &str) -> std::io::Result<String> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    // Within the limit the server has said its line: HTTP/1.0 ends with the connection.
    stream.take(LONGEST_LINE).read_to_end(&mut head).await?;
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn an_address_has_a_scheme_a_host_and_a_port() {
        let http = |address: &str, path: &str| Target::Http {
            address: address.to_owned(),
            path: path.to_owned(),
        };
        assert_eq!(
            "http://[::1]:9221/readyz".parse::<Target>().ok(),
            Some(http("[::1]:9221", "/readyz"))
        );
        assert_eq!(
            "http://keeper:80".parse::<Target>().ok(),
            Some(http("keeper:80", "/"))
        );
        let gateway = Target::Tcp {
            address: "gateway:9220".to_owned(),
        };
        assert_eq!("tcp://gateway:9220".parse::<Target>().ok(), Some(gateway));
        for text in [
            "",
            "keeper:80",
            "https://keeper:443/",
            "tcp://keeper:80/path",
            "http://keeper/",
            "http://:80/",
            "http://keeper:80/a b",
            "http://keeper:port/",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    /// A server that answers every request so, and its address.
    async fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 256];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    async fn probed(url: String) -> Result<(), String> {
        let target: Target = url.parse().unwrap();
        answered(&target, Instant::now())
            .await
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn only_a_success_is_an_answer() {
        let fine = server("HTTP/1.1 200 OK\r\n\r\nok").await;
        assert_eq!(probed(format!("http://{fine}/readyz")).await, Ok(()));
        assert_eq!(probed(format!("tcp://{fine}")).await, Ok(()));
        let not_ready = server("HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
        let told = probed(format!("http://{not_ready}/readyz")).await;
        assert!(told.is_err_and(|told| told.contains("503")));
        let silent = server("").await;
        assert!(probed(format!("http://{silent}/")).await.is_err());
    }

    #[tokio::test]
    async fn what_is_not_there_does_not_answer() {
        // Taken, so that nobody else gets it, and nobody listens.
        let taken = tokio::net::TcpSocket::new_v4().unwrap();
        taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.local_addr().unwrap();
        assert!(probed(format!("tcp://{address}")).await.is_err());
    }
}
