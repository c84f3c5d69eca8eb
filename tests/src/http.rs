//! One HTTP request over one connection: enough to ask a loopback server, and nothing to configure.
//!
//! HTTP/1.0 on purpose: the answer then ends with the connection and is never cut into chunks.

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, ToSocketAddrs};

/// An answer: status code, header fields as they came, and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The status line and the header fields.
    pub head: String,
    /// The body.
    pub body: String,
}

/// Gets a path from a server.
pub async fn get(address: impl ToSocketAddrs, path: &str) -> Result<Answer> {
    request(address, "GET", path, "").await
}

/// Sends one request to a server.
pub async fn request(
    address: impl ToSocketAddrs,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Answer> {
    let stream = TcpStream::connect(address)
        .await
        .context("failed to connect")?;
    exchange(stream, method, path, body).await
}

/// Sends one request with a JSON body, which may be empty, over a stream, and reads the answer.
pub async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Answer> {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream
        .write_all(request.as_bytes())
        .await
        .context("failed to send the request")?;
    let mut bytes = Vec::new();
    stream
        .read_to_end(&mut bytes)
        .await
        .context("failed to read the answer")?;
    let text = String::from_utf8(bytes).context("the answer is not UTF-8")?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .with_context(|| format!("not an HTTP answer: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("no status code in {head:?}"))?;
    Ok(Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
