//! Tokio, with UDP sockets that have room for what a peer may send at once.
//!
//! SCTP sends as much as its congestion window lets it. What the kernel has no room for is lost, and each loss halves
//! that window or, worse, waits for a timeout of a second. From these sockets TURN servers are reached by streams, too.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sazanami_core::transport::SEND_BUFFER;
use socket2::SockRef;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime, TokioRuntime,
};

use super::turn_stream::{Socket, TurnStreams};

/// What a peer has on its way at most, counted as the kernel does: each packet at twice its size.
const RECEIVE_BUFFER: usize = 4 * SEND_BUFFER;

/// The runtime of a peer connection.
#[derive(Debug)]
pub(super) struct RoomyRuntime(pub(super) Arc<TurnStreams>);

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Runtime for RoomyRuntime {
    fn spawn(&self, future: Task<()>) -> Box<dyn JoinHandle> {
        TokioRuntime.spawn(future)
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        // The system may allow less: slower, not wrong.
        let _ = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
        let socket = TokioRuntime.wrap_udp_socket(socket)?;
        Ok(Arc::new(Socket::new(socket, Arc::clone(&self.0))?))
    }

    fn wrap_tcp_listener(&self, listener: TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        TokioRuntime.connect_tcp(remote)
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        TokioRuntime.resolve_host(host)
    }

    fn sleep(&self, duration: Duration) -> Task<()> {
        TokioRuntime.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }
}
