//! Requests that may be repeated: asked of one endpoint after the other, or of two at once when the first is slow.
//!
//! Deliberately not for transactions. The first answer counts; an endpoint that was overtaken is avoided from then on.

use crate::{
    attempt::{Failure, Link, attempt},
    client::Dcs,
    config::{HEDGE_AFTER, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN},
    error::DcsError,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

impl Dcs {
    /// Asks until an endpoint answers, for `request_timeout` at most.
    pub(crate) async fn repeatable<T, F, Fut>(&self, call: F) -> Result<T, DcsError>
    where
        F: Fn(Link) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        self.repeatable_within(self.inner.config.request_timeout, call).await
    }

    pub(crate) async fn repeatable_within<T, F, Fut>(&self, limit: Duration, call: F) -> Result<T, DcsError>
    where
        F: Fn(Link) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        let deadline = Instant::now() + limit;
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            let why = match self.round(&call, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Refused(code, message)) => return Err(DcsError::refused(code, message)),
                Err(Failure::NotSent(why) | Failure::Unknown(why)) => why,
            };
            // Every endpoint failed: perhaps the store is electing a leader.
            let next = Instant::now() + jittered(pause);
            if next >= deadline {
                return Err(DcsError::Unreachable { endpoints: self.inner.endpoints.addresses(), why });
            }
            sleep_until(next).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Every endpoint once: the next when one fails, or when all those asked are slow.
    async fn round<T, F, Fut>(&self, call: &F, deadline: Instant) -> Result<T, Failure>
    where
        F: Fn(Link) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        let inner = &self.inner;
        let ask = |index| async move { (index, attempt(&inner.endpoints, &inner.account, index, call).await) };
        let mut waiting = inner.endpoints.order().into_iter();
        let mut asked = Vec::new();
        let mut running = FuturesUnordered::new();
        let mut hedge_at = Instant::now();
        let mut failure = Failure::NotSent("no endpoints are configured".to_owned());
        loop {
            tokio::select! {
                biased;
                Some((index, result)) = running.next() => match result {
                    Ok(answer) => {
                        inner.endpoints.trust(index);
                        asked.iter().take_while(|slow| **slow != index).for_each(|slow| inner.endpoints.avoid(*slow));
                        return Ok(answer);
                    }
                    Err(refused @ Failure::Refused(..)) => return Err(refused),
                    Err(other) => {
                        failure = other;
                        inner.endpoints.avoid(index);
                        asked.retain(|one| *one != index);
                        hedge_at = Instant::now();
                    }
                },
                () = sleep_until(hedge_at), if waiting.len() > 0 => {
                    if let Some(index) = waiting.next() {
                        asked.push(index);
                        running.push(ask(index));
                    }
                    hedge_at = Instant::now() + HEDGE_AFTER;
                },
                () = sleep_until(deadline), if !running.is_empty() => {
                    for slow in asked {
                        inner.endpoints.avoid(slow);
                        // Silent, so perhaps dead: do not trust this connection again.
                        inner.endpoints.disconnect(slow);
                    }
                    return Err(Failure::Unknown("no answer in time".to_owned()));
                },
                // Nothing runs and nobody is left to ask.
                else => return Err(failure),
            }
        }
    }
}

/// Spread by a quarter, so that members that lost the same endpoint do not come back in step.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.75 + fastrand::f64() / 2.0)
}
