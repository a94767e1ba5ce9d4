//! The end of a connection that this side leaves.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// How long, and how many bytes, a peer may go on talking after the goodbye.
const FAREWELL: Duration = Duration::from_secs(1);
const LAST_WORDS: usize = 1024 * 1024;

/// Reads what a peer still sends until it hangs up. A socket that is closed on unread bytes is reset, and the reset takes away
/// from the peer what it has not read yet: answers, and the goodbye that says which of its calls were not seen.
pub(crate) async fn hear_out<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let listening = async {
        // HTTP/2 has done so already if it ended well.
        let _ = stream.shutdown().await;
        let mut bytes = [0; 4096];
        let mut heard = 0;
        while heard < LAST_WORDS {
            match stream.read(&mut bytes).await? {
                0 => break,
                more => heard += more,
            }
        }
        io::Result::Ok(())
    };
    // It is over in any case.
    let _ = timeout(FAREWELL, listening).await;
}
