//! The thread that sends: a runtime of its own, with one lane for each signal.
//!
//! Never holds up whoever hands something in: what does not fit goes to the spool at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as thread_mpsc;
use std::time::Duration;

use async_trait::async_trait;
use flowmeter_model::{Clock, IdSource};
use flowmeter_otlp::Signal;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::attempts::{Attempts, Deadline, Random};
use super::config::{OtlpConfig, OtlpDestination, OtlpProtocol};
use super::delivery::{Accepted, Failure, FailureKind, Payload, Transport, with_causes};
use super::flush::{self, Route};
use super::grpc::GrpcTransport;
use super::http::HttpTransport;
use super::lane::{BatchLimits, Keeper, Lane};
use super::spool::SpooledRequest;

/// No more parts of requests wait in one lane, however small they are.
const PARTS_MAX: usize = 4096;
/// What does not fit, as told.
const FULL: &str = "the receiver was slower than the run, and the queue was full";

/// So much later than asked the end may be, while the disk takes what is left. Whoever waits for backends grants it.
const LATENESS: Duration = Duration::from_millis(200);

/// Hands requests to the sending thread.
pub(super) struct Sender {
    lanes: Vec<(Signal, OtlpDestination, mpsc::Sender<Payload>)>,
    queued_bytes: Arc<AtomicUsize>,
    queue_bytes_max: usize,
    keeper: Keeper,
    ending: watch::Sender<Deadline>,
    /// Closed when the thread has ended.
    ended: thread_mpsc::Receiver<()>,
}

impl Sender {
    /// Starts the thread.
    pub(super) fn start(
        config: &OtlpConfig,
        keeper: Keeper,
        clock: &Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let (ending, deadline) = watch::channel(None);
        let (end, ended) = thread_mpsc::sync_channel(1);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let limits = BatchLimits {
            items_max: config.batch_items_max as u64,
            bytes_max: config.request_bytes_max,
            delay: config.batch_delay,
        };
        let mut lanes = Vec::new();
        let mut planned = Vec::new();
        for signal in Signal::ALL {
            if let Some(destination) = config.destination(signal) {
                let (sender, incoming) = mpsc::channel(PARTS_MAX);
                lanes.push((signal, destination.clone(), sender));
                planned.push((signal, destination.clone(), incoming));
            }
        }
        let (policy, clock) = (config.retry, Arc::clone(clock));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (thread_keeper, thread_queued) = (keeper.clone(), Arc::clone(&queued_bytes));
        std::thread::Builder::new()
            .name("otlp".to_owned())
            .spawn(move || {
                let _tells_that_it_ended = end;
                runtime.block_on(async move {
                    let mut running = JoinSet::new();
                    let mut routes = Vec::new();
                    for (signal, destination, incoming) in planned {
                        let transport = transport(&destination, &clock);
                        let attempts = Attempts::new(policy, destination.timeout, deadline.clone(), random());
                        routes.push((signal, destination.clone(), Arc::clone(&transport)));
                        let lane = Lane {
                            destination,
                            transport,
                            attempts,
                            limits,
                            incoming,
                            queued_bytes: Arc::clone(&thread_queued),
                            keeper: thread_keeper.clone(),
                        };
                        running.spawn(async move { (signal, lane.run().await) });
                    }
                    let mut answering = Vec::new();
                    while let Some(ended) = running.join_next().await {
                        answering.extend(
                            ended
                                .ok()
                                .filter(|(_, answers)| *answers)
                                .map(|(signal, _)| signal),
                        );
                    }
                    routes.retain(|(signal, _, _)| answering.contains(signal));
                    send_spooled(&thread_keeper, &routes, &deadline).await;
                });
                // A name that is being looked up must not hold the program up.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            lanes,
            queued_bytes,
            queue_bytes_max: config.queue_bytes_max,
            keeper,
            ending,
            ended,
        })
    }

    /// Hands in a part of a request.
    pub(super) fn push(&self, payload: Payload) {
        let lane = self.lanes.iter().find(|(signal, _, _)| *signal == payload.signal);
        let Some((_, destination, sender)) = lane else {
            return;
        };
        let weight = payload.content.len();
        let queued = self.queued_bytes.fetch_add(weight, Ordering::Relaxed);
        // A single request that is larger than the queue goes through an empty one.
        let fits = queued == 0 || queued + weight <= self.queue_bytes_max;
        let unsent = if fits {
            sender
                .try_send(payload)
                .err()
                .map(mpsc::error::TrySendError::into_inner)
        } else {
            Some(payload)
        };
        if let Some(payload) = unsent {
            self.queued_bytes.fetch_sub(weight, Ordering::Relaxed);
            self.keeper.keep(destination, &payload, FULL);
        }
    }

    /// Nothing more comes: waits until all is sent or kept, no longer than `time_left`. Says whether it is.
    pub(super) fn finish(self, time_left: Duration) -> bool {
        let deadline = Instant::now() + time_left.saturating_sub(reserve(time_left));
        // Nobody listens when the thread has ended already.
        let _thread_has_ended = self.ending.send(Some(deadline));
        drop(self.lanes);
        matches!(
            self.ended.recv_timeout(time_left + LATENESS),
            Err(thread_mpsc::RecvTimeoutError::Disconnected)
        )
    }
}

/// The part of the time that is kept back for writing to the spool what could not be sent.
fn reserve(time_left: Duration) -> Duration {
    (time_left / 4).min(Duration::from_millis(500))
}

/// Sends what earlier runs left for the same receivers, once each, while the time lasts.
async fn send_spooled(
    keeper: &Keeper,
    routes: &[(Signal, OtlpDestination, Arc<dyn Transport>)],
    deadline: &watch::Receiver<Deadline>,
) {
    let Some(spool) = &keeper.spool else {
        return;
    };
    let Ok(requests) = spool.requests() else {
        return;
    };
    let route = |request: &SpooledRequest| {
        let same = |(signal, destination, _): &&(Signal, OtlpDestination, Arc<dyn Transport>)| {
            request.name == keeper.name
                && request.signal == *signal
                && request.protocol == destination.protocol
                && request.endpoint == destination.endpoint.identity()
        };
        let (_, destination, transport) = routes.iter().find(same)?;
        Some(Ok(Route {
            transport: Arc::clone(transport),
            timeout: destination.timeout,
        }))
    };
    flush::send_all(
        spool,
        requests,
        &route,
        flush::ONCE,
        deadline.clone(),
        &mut random,
    )
    .await;
}

/// What sends to a destination. One that cannot be set up fails each time, and says why.
pub(super) fn transport(destination: &OtlpDestination, clock: &Arc<dyn Clock>) -> Arc<dyn Transport> {
    let unusable = |error: &dyn std::error::Error| -> Arc<dyn Transport> {
        Arc::new(UnusableTransport(with_causes(error)))
    };
    match destination.protocol {
        OtlpProtocol::HttpProtobuf | OtlpProtocol::HttpJson => {
            match HttpTransport::new(destination.clone(), Arc::clone(clock)) {
                Ok(transport) => Arc::new(transport),
                Err(error) => unusable(&error),
            }
        }
        OtlpProtocol::Grpc => match GrpcTransport::new(destination) {
            Ok(transport) => Arc::new(transport),
            Err(error) => unusable(&error),
        },
    }
}

/// Stands for a destination whose settings cannot be used.
struct UnusableTransport(String);

#[async_trait]
impl Transport for UnusableTransport {
    async fn send(&self, _: &Payload) -> Result<Accepted, Failure> {
        Err(Failure::new(FailureKind::Unusable, self.0.clone()))
    }
}

/// Randomness for the waits, from the operating system.
pub(super) fn random() -> Random {
    let mut seed = [0; 8];
    // Without randomness from the system, all waits are the same, which does no harm to this process.
    let _same_waits_will_do = getrandom::fill(&mut seed);
    let mut source = IdSource::from_seed(u64::from_le_bytes(seed));
    Box::new(move || {
        let bits = (source.next_u64() >> 11) as f64;
        bits / (1_u64 << 53) as f64
    })
}
