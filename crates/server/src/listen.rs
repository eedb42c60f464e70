//! Where the server listens: a TCP address or a Unix socket.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use axum::{extract::ConnectInfo, http::Extensions};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::Notify,
};

/// What a listener is told to listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// An IP address and a port; port 0 is any that is free.
    Tcp(SocketAddr),
    /// The path of a socket, made with mode 0660: its directory and group say who reaches it.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = "an IP address and a port such as 127.0.0.1:8080, or unix:/run/ostracon.sock, is";
        match text.strip_prefix("unix:") {
            Some("") => Err(allowed),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| allowed),
        }
    }
}

impl Address {
    /// The same, with the path of a socket relative to `base`.
    pub(crate) fn within(self, base: &Path) -> Self {
        match self {
            Self::Unix(path) => Self::Unix(base.join(path)),
            tcp @ Self::Tcp(_) => tcp,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who is at the other end; nobody knows of a Unix socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

impl Peer {
    /// The address that a request came from: as our own listener says, or, inside another program, as axum's does.
    pub(crate) fn address(extensions: &Extensions) -> Option<IpAddr> {
        match extensions.get() {
            Some(Self(address)) => *address,
            None => extensions
                .get()
                .map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip()),
        }
    }
}

/// Ends a connection whose peer takes nothing, so that nothing can be told over it any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cutter(Arc<Notify>);

impl Cutter {
    pub(crate) fn cut(&self) {
        self.0.notify_one();
    }

    /// Ready once the connection is to be cut.
    pub(crate) async fn is_cut(&self) {
        self.0.notified().await;
    }
}

/// A socket that listens. A Unix socket's file goes with it.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// Bytes both ways, whatever they go over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Listener {
    /// Listens on `address`. A socket file that nobody listens on any more is replaced.
    ///
    /// # Errors
    ///
    /// As the system has them; [`io::ErrorKind::AddrInUse`] where somebody else listens.
    pub async fn bind(address: &Address) -> io::Result<Self> {
        Ok(Self(match address {
            Address::Tcp(address) => Kind::Tcp(TcpListener::bind(address).await?),
            Address::Unix(path) => {
                remove_dead(path).await?;
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                Kind::Unix(listener, path.clone())
            }
        }))
    }

    /// Where it is reached: a URL, of `https` where it speaks `tls`, or `unix:` and a path.
    ///
    /// # Errors
    ///
    /// When the system does not say which port it chose.
    pub fn url(&self, tls: bool) -> io::Result<String> {
        let scheme = if tls { "https" } else { "http" };
        Ok(match &self.0 {
            Kind::Tcp(listener) => format!("{scheme}://{}", listener.local_addr()?),
            Kind::Unix(_, path) => format!("unix:{}", path.display()),
        })
    }

    pub(crate) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match &self.0 {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are small and each is waited for: none is held back to be sent with the next.
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Peer(Some(peer.ip()))))
            }
            Kind::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Peer(None)))
            }
        }
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes the socket that a killed process left; one that is answered stays.
async fn remove_dead(path: &Path) -> io::Result<()> {
    match tokio::net::UnixStream::connect(path).await {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            // What is no socket refuses connections, too, and is somebody's file.
            if std::fs::symlink_metadata(path)?.file_type().is_socket() {
                std::fs::remove_file(path)
            } else {
                Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "there is a file that is no socket",
                ))
            }
        }
        // Nothing there; binding says what else is wrong.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_tcp_or_unix() {
        assert!(matches!("[::1]:80".parse(), Ok(Address::Tcp(_))));
        assert_eq!("unix:/run/o.sock".parse(), Ok(Address::Unix("/run/o.sock".into())));
        for bad in ["", "localhost:80", "127.0.0.1", "unix:", ":80"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_peer_is_who_the_listener_says() {
        let ours: IpAddr = "192.0.2.1".parse().unwrap();
        let mut extensions = Extensions::new();
        assert_eq!(Peer::address(&extensions), None);
        extensions.insert(ConnectInfo(SocketAddr::from((ours, 1))));
        assert_eq!(Peer::address(&extensions), Some(ours));
        extensions.insert(Peer(None));
        assert_eq!(Peer::address(&extensions), None);
    }

    #[tokio::test]
    async fn a_socket_is_for_owner_and_group_and_a_dead_one_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("o.sock");
        let address = Address::Unix(path.clone());
        // Dropped without its file, as by a kill.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = Listener::bind(&address).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(
            Listener::bind(&address).await.unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "my only copy").unwrap();
        assert!(Listener::bind(&address).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "my only copy");
    }
}
