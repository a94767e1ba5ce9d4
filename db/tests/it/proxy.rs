//! What stands between a program and its server, and fails as it is told to.

use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Passes bytes on.
    Open,
    /// Swallows them.
    Silent,
    /// Ends every connection as it comes.
    Closed,
}

pub struct Proxy {
    /// The address of what is behind it, by way of it.
    pub url: String,
    /// Its part `host:port`.
    pub host: String,
    mood: watch::Sender<Mood>,
    turned_away: mpsc::UnboundedReceiver<()>,
}

impl Proxy {
    pub async fn before(url: &str) -> Self {
        let rest = url.strip_prefix("postgres://").unwrap();
        let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
        let (server, name) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let at = if user.is_empty() { "" } else { "@" };
        let url = format!("postgres://{user}{at}{host}/{name}");
        let mood = watch::Sender::new(Mood::Open);
        let (turning_away, turned_away) = mpsc::unbounded_channel();
        tokio::spawn(serve(listener, server.to_owned(), mood.subscribe(), turning_away));
        Self { url, host, mood, turned_away }
    }

    pub fn be(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How many connections were ended as they came since it was last asked.
    pub fn turned_away_meanwhile(&mut self) -> usize {
        std::iter::from_fn(|| self.turned_away.try_recv().ok()).count()
    }

    /// Returns when one more connection was ended as it came.
    pub async fn turned_away(&mut self) {
        self.turned_away.recv().await.unwrap();
    }
}

async fn serve(
    listener: TcpListener,
    server: String,
    mood: watch::Receiver<Mood>,
    turning_away: mpsc::UnboundedSender<()>,
) {
    while let Ok((near, _)) = listener.accept().await {
        if *mood.borrow() == Mood::Closed {
            drop(near);
            let _ = turning_away.send(());
            continue;
        }
        let far = TcpStream::connect(&server).await.unwrap();
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        let mood = Arc::new(mood.clone());
        tokio::spawn(pass(near_in, far_out, Arc::clone(&mood)));
        tokio::spawn(pass(far_in, near_out, mood));
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mood: Arc<watch::Receiver<Mood>>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 || (*mood.borrow() == Mood::Open && to.write_all(&buffer[..read]).await.is_err()) {
            return;
        }
    }
}
