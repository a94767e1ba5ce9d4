//! A request that can be sent again.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tonic::{Status, body::Body};

/// The most bytes of one request that are kept for another attempt.
pub(super) const MAX: usize = 64 * 1024;

/// A request body, read.
pub(super) enum Buffered {
    /// All of it.
    Whole(Bytes),
    /// Longer than [`MAX`]: to be sent once.
    Once(Body),
}

/// Reads a body of one message up to [`MAX`]. A body of one frame is kept as it is.
pub(super) async fn buffer(mut body: Body) -> Result<Buffered, Status> {
    let mut frames = VecDeque::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        // A caller sends no trailers in gRPC.
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len();
        frames.push_back(data);
        if length > MAX {
            return Ok(Buffered::Once(Body::new(Resumed { read: frames, rest: body })));
        }
    }
    Ok(Buffered::Whole(joined(frames, length)))
}

fn joined(mut frames: VecDeque<Bytes>, length: usize) -> Bytes {
    if frames.len() <= 1 {
        return frames.pop_front().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(length);
    frames.iter().for_each(|frame| whole.extend_from_slice(frame));
    whole.freeze()
}

/// What was read of a body, then the rest of it.
struct Resumed {
    read: VecDeque<Bytes>,
    rest: Body,
}

impl http_body::Body for Resumed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.read.pop_front() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }
}
