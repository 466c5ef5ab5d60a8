//! Between etcd's messages and the state machine's vocabulary. No decisions but etcd's own reading of odd input.

use crate::status;
use etcd_api::{etcdserverpb as pb, mvccpb};
use kv::KvError;
use tonic::Status;
use types::{LeaseId, Millis, Revision};

/// 0 on the wire: no lease.
fn lease(id: i64) -> Option<LeaseId> {
    (id != 0).then_some(LeaseId(id))
}

pub fn range(request: pb::RangeRequest) -> Result<kv::RangeRequest, Status> {
    use pb::range_request::{SortOrder, SortTarget};
    if request.key.is_empty() {
        return Err(status::of_kv(&KvError::EmptyKey));
    }
    let sort_order = match SortOrder::try_from(request.sort_order) {
        Ok(SortOrder::None) => kv::SortOrder::None,
        Ok(SortOrder::Ascend) => kv::SortOrder::Ascend,
        Ok(SortOrder::Descend) => kv::SortOrder::Descend,
        Err(_) => return Err(status::invalid_sort_option()),
    };
    let sort_target = match SortTarget::try_from(request.sort_target) {
        Ok(SortTarget::Key) => kv::SortTarget::Key,
        Ok(SortTarget::Version) => kv::SortTarget::Version,
        Ok(SortTarget::Create) => kv::SortTarget::CreateRevision,
        Ok(SortTarget::Mod) => kv::SortTarget::ModRevision,
        Ok(SortTarget::Value) => kv::SortTarget::Value,
        Err(_) => return Err(status::invalid_sort_option()),
    };
    Ok(kv::RangeRequest {
        keys: kv::KeyRange::from_wire(request.key, request.range_end),
        limit: request.limit.max(0),
        revision: (request.revision > 0).then_some(Revision(request.revision)),
        sort_order,
        sort_target,
        keys_only: request.keys_only,
        count_only: request.count_only,
        min_mod_revision: Revision(request.min_mod_revision),
        max_mod_revision: Revision(request.max_mod_revision),
        min_create_revision: Revision(request.min_create_revision),
        max_create_revision: Revision(request.max_create_revision),
    })
}

pub fn put(request: pb::PutRequest) -> Result<kv::PutRequest, Status> {
    if request.key.is_empty() {
        return Err(status::of_kv(&KvError::EmptyKey));
    }
    // The state machine's type cannot say "a value was given though it is to be ignored": refuse it here.
    if request.ignore_value && !request.value.is_empty() {
        return Err(status::of_kv(&KvError::ValueProvided));
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(status::of_kv(&KvError::LeaseProvided));
    }
    Ok(kv::PutRequest {
        lease: lease(request.lease),
        key: request.key,
        value: request.value,
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    })
}

pub fn delete_range(request: pb::DeleteRangeRequest) -> Result<kv::DeleteRangeRequest, Status> {
    if request.key.is_empty() {
        return Err(status::of_kv(&KvError::EmptyKey));
    }
    Ok(kv::DeleteRangeRequest {
        keys: kv::KeyRange::from_wire(request.key, request.range_end),
        prev_kv: request.prev_kv,
    })
}

fn compare(compare: pb::Compare) -> Result<kv::Compare, Status> {
    use pb::compare::{CompareResult, CompareTarget, TargetUnion};
    if compare.key.is_empty() {
        return Err(status::of_kv(&KvError::EmptyKey));
    }
    let result = match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => kv::CompareResult::Equal,
        Ok(CompareResult::Greater) => kv::CompareResult::Greater,
        Ok(CompareResult::Less) => kv::CompareResult::Less,
        Ok(CompareResult::NotEqual) => kv::CompareResult::NotEqual,
        Err(_) => return Err(Status::invalid_argument("etcdserver: unknown comparison")),
    };
    // The target says what is compared; an operand that is missing or of another kind counts as zero, as in etcd.
    let operand = compare.target_union;
    let target = match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Version) => kv::CompareTarget::Version(match operand {
            Some(TargetUnion::Version(version)) => version,
            _ => 0,
        }),
        Ok(CompareTarget::Create) => kv::CompareTarget::CreateRevision(Revision(match operand {
            Some(TargetUnion::CreateRevision(revision)) => revision,
            _ => 0,
        })),
        Ok(CompareTarget::Mod) => kv::CompareTarget::ModRevision(Revision(match operand {
            Some(TargetUnion::ModRevision(revision)) => revision,
            _ => 0,
        })),
        Ok(CompareTarget::Value) => kv::CompareTarget::Value(match operand {
            Some(TargetUnion::Value(value)) => value,
            _ => Vec::new(),
        }),
        Ok(CompareTarget::Lease) => kv::CompareTarget::Lease(match operand {
            Some(TargetUnion::Lease(id)) => lease(id),
            _ => None,
        }),
        Err(_) => return Err(Status::invalid_argument("etcdserver: unknown comparison target")),
    };
    Ok(kv::Compare { keys: kv::KeyRange::from_wire(compare.key, compare.range_end), result, target })
}

/// The nesting is bounded by the decoders (prost and JSON both refuse more than a hundred levels).
pub fn txn(request: pb::TxnRequest) -> Result<kv::TxnRequest, Status> {
    let longest = request.compare.len().max(request.success.len()).max(request.failure.len());
    if longest > kv::TXN_OPERATIONS_MAX {
        return Err(status::of_kv(&KvError::TooManyOperations));
    }
    Ok(kv::TxnRequest {
        compare: request.compare.into_iter().map(compare).collect::<Result<_, _>>()?,
        success: request.success.into_iter().map(operation).collect::<Result<_, _>>()?,
        failure: request.failure.into_iter().map(operation).collect::<Result<_, _>>()?,
    })
}

fn operation(operation: pb::RequestOp) -> Result<kv::TxnOperation, Status> {
    use pb::request_op::Request;
    match operation.request {
        Some(Request::RequestRange(request)) => range(request).map(kv::TxnOperation::Range),
        Some(Request::RequestPut(request)) => put(request).map(kv::TxnOperation::Put),
        Some(Request::RequestDeleteRange(request)) => delete_range(request).map(kv::TxnOperation::DeleteRange),
        Some(Request::RequestTxn(request)) => txn(request).map(kv::TxnOperation::Txn),
        // etcd's answer to an operation it does not know.
        None => Err(status::of_kv(&KvError::KeyNotFound)),
    }
}

pub fn key_value(kv: kv::KeyValue) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: kv.key,
        create_revision: kv.create_revision.0,
        mod_revision: kv.mod_revision.0,
        version: kv.version,
        value: kv.value,
        lease: kv.lease.map_or(0, |lease| lease.0),
    }
}

pub fn range_response(header: Option<pb::ResponseHeader>, response: kv::RangeResponse) -> pb::RangeResponse {
    pb::RangeResponse {
        header,
        kvs: response.kvs.into_iter().map(key_value).collect(),
        more: response.more,
        count: response.count,
    }
}

pub fn put_response(header: Option<pb::ResponseHeader>, prev_kv: Option<kv::KeyValue>) -> pb::PutResponse {
    pb::PutResponse { header, prev_kv: prev_kv.map(key_value) }
}

pub fn delete_range_response(
    header: Option<pb::ResponseHeader>,
    deleted: i64,
    prev_kvs: Vec<kv::KeyValue>,
) -> pb::DeleteRangeResponse {
    pb::DeleteRangeResponse { header, deleted, prev_kvs: prev_kvs.into_iter().map(key_value).collect() }
}

/// `revision`: the header's, which etcd repeats alone in the header of every operation inside.
pub fn txn_response(header: Option<pb::ResponseHeader>, response: kv::TxnResponse) -> pb::TxnResponse {
    let revision = header.as_ref().map_or(0, |header| header.revision);
    pb::TxnResponse {
        header,
        succeeded: response.succeeded,
        responses: response.responses.into_iter().map(|response| operation_response(revision, response)).collect(),
    }
}

fn operation_response(revision: i64, response: kv::TxnOperationResponse) -> pb::ResponseOp {
    use pb::response_op::Response;
    let header = Some(pb::ResponseHeader { revision, ..pb::ResponseHeader::default() });
    let response = match response {
        kv::TxnOperationResponse::Range(response) => Response::ResponseRange(range_response(header, response)),
        kv::TxnOperationResponse::Put { prev_kv } => Response::ResponsePut(put_response(header, prev_kv)),
        kv::TxnOperationResponse::DeleteRange { deleted, prev_kvs } => {
            Response::ResponseDeleteRange(delete_range_response(header, deleted, prev_kvs))
        }
        // A transaction inside has an empty header in etcd, but the operations in it have theirs.
        kv::TxnOperationResponse::Txn(response) => {
            let nested = txn_response(header, response);
            Response::ResponseTxn(pb::TxnResponse { header: Some(pb::ResponseHeader::default()), ..nested })
        }
    };
    pb::ResponseOp { response: Some(response) }
}

/// `prev_kv`: whether the watcher asked for the key as it was before.
pub fn event(event: &kv::Event, prev_kv: bool) -> mvccpb::Event {
    let r#type = match event.kind {
        kv::EventKind::Put => mvccpb::event::EventType::Put,
        kv::EventKind::Delete => mvccpb::event::EventType::Delete,
    };
    mvccpb::Event {
        r#type: r#type.into(),
        kv: Some(key_value(event.kv.clone())),
        prev_kv: event.prev_kv.clone().filter(|_| prev_kv).map(key_value),
    }
}

/// Milliseconds when the client knows our addition, else etcd's whole seconds. The state machine judges the number.
pub fn ttl(request: &pb::LeaseGrantRequest) -> Result<Millis, Status> {
    let wanted = if request.ttl_ms > 0 { request.ttl_ms.cast_unsigned() } else { whole_seconds(request.ttl)? };
    Ok(Millis(wanted))
}

/// etcd's longest lease, in seconds (about 285 years).
const LEASE_SECONDS_MAX: i64 = 9_000_000_000;

fn whole_seconds(seconds: i64) -> Result<u64, Status> {
    if seconds > LEASE_SECONDS_MAX {
        return Err(status::of_kv(&KvError::LeaseTtlTooLarge));
    }
    // etcd lifts anything shorter to its minimum; zero and negative numbers are the shortest there is.
    Ok(seconds.max(1).cast_unsigned().saturating_mul(1000))
}

/// For clients that know seconds only: never longer than the lease lives, but never 0, which would say "gone".
pub fn seconds(ttl: Millis) -> i64 {
    (ttl.0 / 1000).max(1).try_into().unwrap_or(i64::MAX)
}

pub fn milliseconds(ttl: Millis) -> i64 {
    ttl.0.try_into().unwrap_or(i64::MAX)
}
