//! etcd's refusals with its gRPC codes and its words. Clients match on both, so neither may be improved.

use kv::KvError;
use store::StoreError;
use tonic::{Code, Status};

pub const NO_LEADER: &str = "etcdserver: no leader";

/// A refusal by the state machine.
pub fn of_kv(error: &KvError) -> Status {
    let code = match error {
        KvError::EmptyKey
        | KvError::KeyNotFound
        | KvError::ValueProvided
        | KvError::LeaseProvided
        | KvError::TooManyOperations
        | KvError::DuplicateKey
        | KvError::RequestTooLarge => Code::InvalidArgument,
        KvError::Compacted | KvError::FutureRevision | KvError::LeaseTtlTooLarge => Code::OutOfRange,
        KvError::LeaseNotFound => Code::NotFound,
        KvError::LeaseExists => Code::FailedPrecondition,
        KvError::NoSpace => Code::ResourceExhausted,
    };
    Status::new(code, error.to_string())
}

pub fn no_leader() -> Status {
    Status::unavailable(NO_LEADER)
}

pub fn stopped() -> Status {
    Status::unavailable("etcdserver: server stopped")
}

pub fn too_many_requests() -> Status {
    Status::resource_exhausted("etcdserver: too many requests")
}

pub fn authentication_is_not_enabled() -> Status {
    Status::failed_precondition("etcdserver: authentication is not enabled")
}

pub fn invalid_sort_option() -> Status {
    Status::invalid_argument("etcdserver: invalid sort option")
}

pub fn not_served(what: &str) -> Status {
    Status::unimplemented(format!("etcdserver: {what} is not offered by this server"))
}

pub fn not_leader() -> Status {
    Status::failed_precondition("etcdserver: not leader")
}

pub fn bad_leader_transferee() -> Status {
    Status::failed_precondition("etcdserver: bad leader transferee")
}

/// A refusal by the store around the state machine.
pub fn of_store(error: &StoreError) -> Status {
    let code = match error {
        StoreError::Kv(error) => return of_kv(error),
        StoreError::NoLeader | StoreError::Timeout | StoreError::Unknown | StoreError::Stopped => Code::Unavailable,
        StoreError::Overloaded | StoreError::NoSpace => Code::ResourceExhausted,
    };
    Status::new(code, error.to_string())
}
