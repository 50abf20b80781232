//! A UDP socket from which some addresses are reached by a stream.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

use super::TurnStreams;
use super::stream::Opening;

/// Messages that wait for a stream. More are dropped, as on UDP: congestion control takes it as a slower path.
const MAX_SENT: usize = 256;
/// Messages that wait for the crate; then the stream is not read, and the server has to wait.
const MAX_ARRIVED: usize = 256;

/// A socket of a peer connection.
#[derive(Debug)]
pub(in super::super) struct Socket {
    udp: Arc<dyn AsyncUdpSocket>,
    streams: Arc<TurnStreams>,
    /// Of all sockets the one on loopback has the streams: one allocation for a server is enough.
    carries: bool,
    open: Mutex<HashMap<SocketAddr, mpsc::Sender<Vec<u8>>>>,
    arrived: Mutex<mpsc::Receiver<(SocketAddr, Vec<u8>)>>,
    arrives: mpsc::Sender<(SocketAddr, Vec<u8>)>,
}

impl Socket {
    /// Must be called, and used, where tokio runs.
    pub(in super::super) fn new(udp: Arc<dyn AsyncUdpSocket>, streams: Arc<TurnStreams>) -> io::Result<Self> {
        let carries = udp.local_addr()?.ip() == Ipv4Addr::LOCALHOST;
        let (arrives, arrived) = mpsc::channel(MAX_ARRIVED);
        Ok(Self {
            udp,
            streams,
            carries,
            open: Mutex::default(),
            arrived: Mutex::new(arrived),
            arrives,
        })
    }

    /// Sends by the stream of `stand_in`, which the first message opens.
    fn send(&self, stand_in: SocketAddr, message: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = open.entry(stand_in).or_insert_with(|| self.begin(stand_in));
        match sender.try_send(message.to_vec()) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                open.remove(&stand_in);
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    fn begin(&self, stand_in: SocketAddr) -> mpsc::Sender<Vec<u8>> {
        let (sender, sent) = mpsc::channel(MAX_SENT);
        let opening = Opening {
            streams: Arc::clone(&self.streams),
            stand_in,
            targets: self.streams.targets(stand_in).unwrap_or_default(),
            by_udp: self.streams.by_udp.subscribe(),
            sent,
            arrived: self.arrives.clone(),
        };
        tokio::spawn(opening.run());
        sender
    }
}

impl AsyncUdpSocket for Socket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let contents = transmit.contents;
        if super::is_stand_in(transmit.destination) {
            if !self.carries {
                return Poll::Ready(Err(io::ErrorKind::AddrNotAvailable.into()));
            }
            let size = transmit.segment_size.unwrap_or(contents.len()).max(1);
            let sent = contents
                .chunks(size)
                .try_for_each(|message| self.send(transmit.destination, message));
            return Poll::Ready(sent.map(|()| contents.len()));
        }
        self.udp.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        while let Poll::Ready(Some((stand_in, message))) = arrived.poll_recv(cx) {
            let (Some(buffer), Some(meta)) = (bufs.first_mut(), meta.first_mut()) else {
                return Poll::Ready(Ok(0));
            };
            // The crate has no room for what no path of WebRTC carries.
            let Some(room) = buffer.get_mut(..message.len()) else {
                continue;
            };
            room.copy_from_slice(&message);
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (stand_in, message.len(), message.len());
            return Poll::Ready(Ok(1));
        }
        drop(arrived);
        loop {
            let count = std::task::ready!(self.udp.poll_recv(cx, bufs, meta))?;
            // Another program on this machine may hold such an address: nothing of it is believed.
            if meta[..count].iter().any(|meta| super::is_stand_in(meta.addr)) {
                continue;
            }
            return Poll::Ready(Ok(count));
        }
    }

    fn max_gso_segments(&self) -> usize {
        self.udp.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.udp.max_gro_segments()
    }
}
