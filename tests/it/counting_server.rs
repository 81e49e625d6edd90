//! Servers for the load generator's tests: they count what they receive and answer as they are told,
//! badly too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a server does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Sends these bytes and reads on.
    Send(Vec<u8>),
    /// Sends them one by one and reads on.
    Trickle(Vec<u8>),
    /// Sends them and ends the connection.
    SendAndClose(Vec<u8>),
    /// Throws the connection away.
    Reset,
    /// Says nothing.
    Silence,
}

/// A server on a free port that counts what it receives. Stops when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicU64>,
    /// Ever accepted.
    pub(crate) connections: Arc<AtomicU64>,
    /// Open now.
    pub(crate) open: Arc<AtomicU64>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// `reply` gets the request's head and its number, from 0.
    pub(crate) fn start(reply: impl Fn(&str, u64) -> Reply + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let [requests, connections, open] = std::array::from_fn(|_| Arc::new(AtomicU64::new(0)));
        let counts = (requests.clone(), connections.clone(), open.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let reply = Arc::new(reply);
                let accept = async {
                    loop {
                        let (stream, _) = listener.accept().await.unwrap();
                        let (reply, counts) = (reply.clone(), counts.clone());
                        counts.1.fetch_add(1, Ordering::SeqCst);
                        tokio::spawn(async move {
                            counts.2.fetch_add(1, Ordering::SeqCst);
                            // The peer may leave at any time.
                            let _ = serve(stream, &*reply, &counts.0).await;
                            counts.2.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                };
                tokio::select! { () = accept => {}, _ = stopped => {} }
            });
        });
        Self {
            address,
            requests,
            connections,
            open,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// One that answers every request alike.
    pub(crate) fn always(reply: Reply) -> Self {
        Self::start(move |_, _| reply.clone())
    }

    /// Requests so far.
    pub(crate) fn received(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn serve(
    mut stream: TcpStream,
    reply: &(impl Fn(&str, u64) -> Reply + Send + Sync),
    requests: &AtomicU64,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break String::from_utf8(bytes.drain(..end + 4).collect()).unwrap();
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.parse().unwrap());
        while bytes.len() < length {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        bytes.drain(..length);
        match reply(&head, requests.fetch_add(1, Ordering::SeqCst)) {
            Reply::Send(answer) => stream.write_all(&answer).await?,
            Reply::Trickle(answer) => {
                stream.set_nodelay(true)?;
                for byte in answer {
                    stream.write_all(&[byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
            Reply::SendAndClose(answer) => {
                stream.write_all(&answer).await?;
                return stream.shutdown().await;
            }
            Reply::Reset => return stream.set_zero_linger(),
            Reply::Silence => {}
        }
    }
}

/// 200 with that body.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
