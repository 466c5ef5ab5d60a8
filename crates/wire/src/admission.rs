//! Request bodies on a budget: so many bytes for all of them together, and so long for each.
//!
//! The invariant: what bodies have brought in and nobody has let go of yet is never more than the budget.

use crate::api::Api;
use crate::limits::BODY_WITHIN;
use crate::status;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::Status;

/// Puts the request's body on the budget until it has been read to its end or dropped.
pub async fn admit(State(api): State<Api>, request: Request, next: Next) -> Response {
    let budget = Arc::clone(api.memory());
    next.run(request.map(|body| Body::new(Admitted::new(body, budget)))).await
}

struct Admitted {
    body: Body,
    budget: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    deadline: Pin<Box<Sleep>>,
}

impl Admitted {
    fn new(body: Body, budget: Arc<Semaphore>) -> Self {
        Self { body, budget, held: None, deadline: Box::pin(tokio::time::sleep(BODY_WITHIN)) }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Status> {
        let bytes = u32::try_from(bytes).map_err(|_| status::too_many_requests())?;
        let budget = Arc::clone(&self.budget);
        let more = budget.try_acquire_many_owned(bytes).map_err(|_| status::too_many_requests())?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

impl HttpBody for Admitted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                Poll::Ready(Some(self.take(bytes).map(|()| frame).map_err(axum::Error::new)))
            }
            Poll::Pending if self.deadline.as_mut().poll(context).is_ready() => Poll::Ready(Some(Err(
                axum::Error::new(Status::deadline_exceeded("the request did not arrive in time")),
            ))),
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test(start_paused = true)]
    async fn a_body_holds_its_bytes_until_it_is_let_go() {
        let budget = Arc::new(Semaphore::new(10));
        let mut first = Admitted::new(Body::from("1234567"), Arc::clone(&budget));
        assert!(first.frame().await.unwrap().is_ok());
        assert_eq!(budget.available_permits(), 3);
        let mut second = Admitted::new(Body::from("1234"), Arc::clone(&budget));
        let refusal = second.frame().await.unwrap().unwrap_err();
        assert!(refusal.to_string().contains("too many requests"), "{refusal}");
        drop(first);
        assert_eq!(budget.available_permits(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, axum::Error>>());
        let mut body = Admitted::new(never, Arc::new(Semaphore::new(10)));
        let refusal = body.frame().await.unwrap().unwrap_err();
        assert!(refusal.to_string().contains("did not arrive in time"), "{refusal}");
    }
}
