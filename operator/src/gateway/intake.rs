//! What the WebSocket library gets to read: the head of a frame, then its payload, and nothing beyond.
//!
//! The library makes its buffer as large as the frame that it waits for, and keeps what lies behind that frame in the
//! same piece of memory. Were it given all that has come, the first full listing of a station would stay with it for as
//! long as the connection lasts. Given one frame and no more, it has nothing left to keep when the message goes.
//!
//! Reading from the socket is not divided by this: what came too early waits here, in memory that is given back when
//! it has been handed on. Frames are only measured; whether they are right is for the library to judge.

use std::io::{self, Cursor};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

/// How much is read from a socket at once. Most messages are a tenth of it, a full listing about as long.
const AT_ONCE: usize = 8 * 1024;

/// A socket that hands on frames in pieces.
pub(super) struct Intake<S> {
    socket: S,
    /// What was read and not handed on yet: nothing, most of the time.
    waiting: Vec<u8>,
    /// How much at the start of it has been handed on.
    handed: usize,
    /// What is left of the piece that is being handed on.
    piece: u64,
    /// The piece after it, if this one is a head.
    payload: u64,
}

impl<S> Intake<S> {
    /// Takes over a socket from which something was read before.
    pub(super) fn new(socket: S, read_before: Vec<u8>) -> Self {
        Self {
            socket,
            waiting: read_before,
            handed: 0,
            piece: 0,
            payload: 0,
        }
    }

    /// Hands on what fits of the present piece. `false`: there is nothing of it.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.piece == 0 {
            self.piece = std::mem::take(&mut self.payload);
        }
        let waiting = &self.waiting[self.handed..];
        if self.piece == 0 {
            let mut head = Cursor::new(waiting);
            match FrameHeader::parse(&mut head) {
                Ok(Some((_, payload))) => (self.piece, self.payload) = (head.position(), payload),
                Ok(None) => return false,
                // It is no frame; the library finds that out from the same bytes, and ends the connection.
                Err(_) => self.piece = waiting.len() as u64,
            }
        }
        let piece = usize::try_from(self.piece).unwrap_or(usize::MAX);
        let now = piece.min(waiting.len()).min(buffer.remaining());
        buffer.put_slice(&waiting[..now]);
        self.piece -= now as u64;
        self.handed += now;
        if self.handed == self.waiting.len() {
            self.waiting = Vec::new();
            self.handed = 0;
        }
        now > 0
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Intake<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let intake = self.get_mut();
        while !intake.hand_on(buffer) {
            if buffer.remaining() == 0 {
                break;
            }
            let mut memory = [const { MaybeUninit::uninit() }; AT_ONCE];
            let mut read = ReadBuf::uninit(&mut memory);
            ready!(Pin::new(&mut intake.socket).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                // The end; half a head is of no use to anybody.
                break;
            }
            intake.waiting.drain(..std::mem::take(&mut intake.handed));
            intake.waiting.reserve_exact(read.filled().len());
            intake.waiting.extend_from_slice(read.filled());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Intake<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::{SinkExt as _, StreamExt as _};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
    use tokio_tungstenite::tungstenite::{Bytes, Message};

    use super::*;

    /// A masked binary frame, as a station sends it.
    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![0x82];
        match length {
            0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
            126..=65_535 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend((0..length).map(|at| u8::try_from(at % 251).unwrap()));
        frame
    }

    /// Reads to the end; how long each piece was, and all of them together.
    async fn pieces(mut intake: Intake<DuplexStream>) -> (Vec<usize>, Vec<u8>) {
        let (mut lengths, mut all) = (Vec::new(), Vec::new());
        let mut buffer = vec![0; 100_000];
        loop {
            let length = intake.read(&mut buffer).await.unwrap();
            if length == 0 {
                return (lengths, all);
            }
            lengths.push(length);
            all.extend_from_slice(&buffer[..length]);
        }
    }

    #[tokio::test]
    async fn a_head_and_its_payload_are_handed_on_apart_and_nothing_else_changes() {
        let sent: Vec<u8> = [5, 0, 300, 125].into_iter().flat_map(frame).collect();
        let ends = [6, 11, 17, 25, 325, 331, 456];
        for read_before in [0, 1, 3, 6, 7, 20, sent.len()] {
            let (before, after) = sent.split_at(read_before);
            let (mut station, gateway) = duplex(sent.len());
            station.write_all(after).await.unwrap();
            drop(station);
            let (lengths, all) = pieces(Intake::new(gateway, before.to_vec())).await;
            assert!(all == sent, "{read_before} bytes were read before");
            let reached: Vec<usize> = lengths
                .iter()
                .scan(0, |at, length| {
                    *at += length;
                    Some(*at)
                })
                .collect();
            assert!(
                ends.iter().all(|end| reached.contains(end)),
                "{read_before} bytes were read before: {reached:?}"
            );
        }
    }

    #[tokio::test]
    async fn frames_that_come_byte_by_byte_are_whole_in_the_end() {
        let sent: Vec<u8> = [70_000, 2].into_iter().flat_map(frame).collect();
        let (mut station, gateway) = duplex(1);
        let reading = tokio::spawn(pieces(Intake::new(gateway, Vec::new())));
        station.write_all(&sent).await.unwrap();
        drop(station);
        assert!(reading.await.unwrap().1 == sent);
    }

    #[tokio::test]
    async fn what_is_no_frame_is_left_to_the_library_to_refuse() {
        let sent = [0x83, 0x80, 1, 2, 3, 4, 5];
        let (mut station, gateway) = duplex(64);
        station.write_all(&sent).await.unwrap();
        drop(station);
        assert_eq!(pieces(Intake::new(gateway, Vec::new())).await.1, sent);
    }

    /// The memory of a message, which is all of its own once the library waits for the next.
    async fn is_given_back(
        station: &mut WebSocketStream<DuplexStream>,
        gateway: &mut WebSocketStream<Intake<DuplexStream>>,
        length: usize,
    ) -> bool {
        station
            .send(Message::binary(vec![7; length]))
            .await
            .unwrap();
        let Message::Binary(message) = gateway.next().await.unwrap().unwrap() else {
            panic!("another message than was sent");
        };
        assert_eq!(message.len(), length);
        assert!(futures::poll!(gateway.next()).is_pending());
        assert_eq!(gateway.get_ref().waiting.capacity(), 0);
        Bytes::is_unique(&message)
    }

    #[tokio::test]
    async fn no_memory_of_a_long_message_stays_with_the_connection() {
        let (station, gateway) = duplex(1024 * 1024);
        let config = WebSocketConfig::default().read_buffer_size(super::super::READ_BUFFER);
        let mut station = WebSocketStream::from_raw_socket(station, Role::Client, None).await;
        let intake = Intake::new(gateway, Vec::new());
        let mut gateway =
            WebSocketStream::from_raw_socket(intake, Role::Server, Some(config)).await;
        for length in [20, 5_000, 90, 700_000, 4_000, 1_500] {
            let given_back = is_given_back(&mut station, &mut gateway, length).await;
            assert!(given_back || length < 1_000, "{length} bytes stay");
        }
    }
}
