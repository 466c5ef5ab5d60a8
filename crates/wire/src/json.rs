//! etcd's messages as JSON, the way its gateway writes them: the fields' own names, 64-bit numbers as text, bytes as
//! base64, nothing that is zero.
//!
//! Generic over the messages by their descriptors. Reading is laxer than etcd's: it takes both alphabets of base64 and
//! bytes without padding. Fields it does not know it passes over, as etcd does.

use etcd_api::POOL;
use prost::Message;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Deserializer, Serializer};
use tonic::Status;

const WRITING: SerializeOptions = SerializeOptions::new()
    .use_proto_field_name(true)
    .stringify_64_bit_integers(true)
    .skip_default_fields(true)
    .use_enum_numbers(false);
const READING: DeserializeOptions = DeserializeOptions::new().deny_unknown_fields(false);

/// What goes into and comes out of one call.
#[derive(Clone)]
pub struct Shapes {
    request: MessageDescriptor,
    response: MessageDescriptor,
}

impl Shapes {
    /// `None`: there is no such call in the descriptors.
    pub fn of(service: &str, method: &str) -> Option<Self> {
        let service = POOL.get_service_by_name(&format!("etcdserverpb.{service}"))?;
        let method = service.methods().find(|candidate| candidate.name() == method)?;
        Some(Self { request: method.input(), response: method.output() })
    }

    /// One request. An empty body is an empty request; what follows the first object is not looked at.
    pub fn read<Q: Message + Default>(&self, body: &[u8]) -> Result<Q, Status> {
        let mut first = self.read_all(body, 1)?;
        Ok(first.pop().unwrap_or_default())
    }

    /// The requests of a stream: objects one after the other, so many at most.
    pub fn read_all<Q: Message + Default>(&self, body: &[u8], messages_max: usize) -> Result<Vec<Q>, Status> {
        let mut requests = Vec::new();
        let mut json = Deserializer::from_slice(body);
        while requests.len() < messages_max && json.end().is_err() {
            let message = DynamicMessage::deserialize_with_options(self.request.clone(), &mut json, &READING)
                .map_err(|error| Status::invalid_argument(error.to_string()))?;
            requests.push(message.transcode_to().map_err(|error| Status::invalid_argument(error.to_string()))?);
        }
        Ok(requests)
    }

    pub fn write<A: Message>(&self, answer: &A) -> Result<Vec<u8>, Status> {
        let mut message = DynamicMessage::new(self.response.clone());
        message.transcode_from(answer).map_err(|error| Status::internal(error.to_string()))?;
        let mut json = Serializer::new(Vec::with_capacity(256));
        message.serialize_with_options(&mut json, &WRITING).map_err(|error| Status::internal(error.to_string()))?;
        Ok(json.into_inner())
    }
}
