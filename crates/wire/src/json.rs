//! etcd's messages as JSON, the way its gateway writes them: the fields' own names, 64-bit numbers as text, bytes as
//! base64, nothing that is zero.
//!
//! Generic over the messages by their descriptors. Reading is laxer than etcd's: it takes both alphabets of base64 and
//! bytes without padding. Fields it does not know it passes over, as etcd does.

use etcd_api::POOL;
use prost::Message;
use prost_reflect::{DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use serde_json::{Deserializer, Serializer, Value};
use tonic::Status;

const WRITING: SerializeOptions = SerializeOptions::new()
    .use_proto_field_name(true)
    .stringify_64_bit_integers(true)
    .skip_default_fields(true)
    .use_enum_numbers(false);
/// The lax way would also take a misspelt comparison for the default one, so unknown fields are taken out beforehand.
const READING: DeserializeOptions = DeserializeOptions::new().deny_unknown_fields(true);

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
        let values = Deserializer::from_slice(body).into_iter::<Value>();
        values.take(messages_max).map(|value| self.message(value.map_err(invalid)?)).collect()
    }

    fn message<Q: Message + Default>(&self, mut value: Value) -> Result<Q, Status> {
        drop_unknown_fields(&self.request, &mut value);
        let message = DynamicMessage::deserialize_with_options(self.request.clone(), value, &READING);
        message.map_err(invalid)?.transcode_to().map_err(invalid)
    }

    pub fn write<A: Message>(&self, answer: &A) -> Result<Vec<u8>, Status> {
        let mut message = DynamicMessage::new(self.response.clone());
        message.transcode_from(answer).map_err(|error| Status::internal(error.to_string()))?;
        let mut json = Serializer::new(Vec::with_capacity(256));
        message.serialize_with_options(&mut json, &WRITING).map_err(|error| Status::internal(error.to_string()))?;
        Ok(json.into_inner())
    }
}

fn invalid(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}

/// The depth is bounded by the JSON parser.
fn drop_unknown_fields(shape: &MessageDescriptor, value: &mut Value) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let known = shape.get_field_by_name(name).or_else(|| shape.get_field_by_json_name(name));
            if let Some(Kind::Message(inner)) = known.as_ref().map(prost_reflect::FieldDescriptor::kind) {
                drop_unknown_fields(&inner, value);
            }
            known.is_some()
        }),
        Value::Array(values) => values.iter_mut().for_each(|value| drop_unknown_fields(shape, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
