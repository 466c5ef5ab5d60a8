//! etcd's v3 API as types: messages, gRPC clients and servers, and the descriptors from which the JSON mapping is made.
//!
//! Deliberately nothing but what `proto/` says: no behaviour, no connection, no conversion. The numbers and names are
//! etcd's; fields from 1001 on are ours, and a real etcd skips them.

use prost_reflect::DescriptorPool;
use std::sync::LazyLock;

/// Keys, values and events.
#[allow(clippy::all, clippy::pedantic, missing_docs, unused_qualifications)] // generated
pub mod mvccpb {
    include!(concat!(env!("OUT_DIR"), "/mvccpb.rs"));
}

/// Requests, answers and services.
#[allow(clippy::all, clippy::pedantic, missing_docs, unused_qualifications)] // generated
pub mod etcdserverpb {
    include!(concat!(env!("OUT_DIR"), "/etcdserverpb.rs"));
}

/// The encoded `FileDescriptorSet` of all the messages and services.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The same, ready for looking up a message by its full name (`etcdserverpb.RangeRequest`).
pub static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // The bytes are ours, made by the build: that they parse is an invariant (and a test).
    DescriptorPool::decode(DESCRIPTORS).unwrap_or_default()
});

#[cfg(test)]
mod tests {
    use super::*;
    use etcdserverpb::LeaseGrantRequest;
    use prost_reflect::{DynamicMessage, prost::Message as _};

    #[test]
    fn every_message_of_every_service_is_in_the_pool() {
        let services: Vec<_> = POOL.services().collect();
        assert_eq!(services.len(), 6);
        for service in services {
            for method in service.methods() {
                assert!(POOL.get_message_by_name(method.input().full_name()).is_some());
                assert!(POOL.get_message_by_name(method.output().full_name()).is_some());
            }
        }
    }

    #[test]
    fn our_additions_stay_out_of_etcds_numbers() {
        let request = LeaseGrantRequest { ttl: 1, id: 2, ttl_ms: 1500 };
        let descriptor = POOL.get_message_by_name("etcdserverpb.LeaseGrantRequest").unwrap();
        let dynamic = DynamicMessage::decode(descriptor, request.encode_to_vec().as_slice()).unwrap();
        let mut names: Vec<_> = dynamic.fields().map(|(field, _)| (field.number(), field.name().to_owned())).collect();
        names.sort();
        assert_eq!(names, [(1, "TTL".into()), (2, "ID".into()), (1001, "TTL_ms".into())]);
    }
}
