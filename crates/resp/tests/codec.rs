//! The codec as a peer sees it: round trips, pieces of any size, and bytes that are not the protocol.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use resp::{Limits, Protocol, ProtocolError, ReplyDecoder, RequestDecoder, Value, encode, encode_command};

fn replies(bytes: &[u8], piece: usize, limits: Limits) -> Result<Vec<Value>, ProtocolError> {
    let mut decoder = ReplyDecoder::new(limits);
    let mut buffer = BytesMut::new();
    let mut values = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        while let Some(value) = decoder.decode(&mut buffer)? {
            values.push(value);
        }
    }
    Ok(values)
}

fn requests(bytes: &[u8], piece: usize, limits: Limits) -> Result<Vec<Vec<Bytes>>, ProtocolError> {
    let mut decoder = RequestDecoder::new(limits);
    let mut buffer = BytesMut::new();
    let mut commands = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        while let Some(command) = decoder.decode(&mut buffer)? {
            commands.push(command);
        }
    }
    Ok(commands)
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[ -~]{0,20}".prop_map(Value::Simple),
        "[A-Z]{1,5} [ -~]{0,20}".prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Bulk(bytes.into())),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        (-1e9..1e9).prop_map(Value::Double),
        "[0-9]{1,30}".prop_map(Value::BigNumber),
        "[ -~]{0,20}".prop_map(|text| Value::Verbatim { format: "txt".to_owned(), text: text.into() }),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        let items = proptest::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            items.clone().prop_map(Value::Array),
            items.clone().prop_map(Value::Set),
            items.prop_map(Value::Push),
            proptest::collection::vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_comes_back_as_it_was_in_pieces_of_any_size(value in any_value(), piece in 1usize..64) {
        let mut bytes = BytesMut::new();
        encode(&value, Protocol::Resp3, &mut bytes);
        prop_assert_eq!(replies(&bytes, piece, Limits::REPLIES), Ok(vec![value]));
    }

    #[test]
    fn resp2_is_always_readable(value in any_value(), piece in 1usize..64) {
        let mut bytes = BytesMut::new();
        encode(&value, Protocol::Resp2, &mut bytes);
        let values = replies(&bytes, piece, Limits::REPLIES).expect("valid");
        prop_assert_eq!(values.len(), 1);
        let mut again = BytesMut::new();
        encode(&values[0], Protocol::Resp2, &mut again);
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn a_command_comes_back_as_it_was(
        commands in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 1..8), 0..5),
        piece in 1usize..64,
    ) {
        let mut bytes = BytesMut::new();
        for command in &commands {
            encode_command(command, &mut bytes);
        }
        let decoded = requests(&bytes, piece, Limits::COMMANDS).expect("valid");
        prop_assert_eq!(decoded, commands.into_iter().map(|command| command.into_iter().map(Bytes::from).collect::<Vec<_>>()).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_whatsoever_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
        let _ = replies(&bytes, piece, Limits::REPLIES);
        let _ = requests(&bytes, piece, Limits::COMMANDS);
    }

    #[test]
    fn nor_do_bytes_that_look_like_the_protocol(
        bytes in "([*$%~>|=!+:,#_(-][0-9-]{0,11}(\r\n|\n)?[a-z\"' ]{0,5}){0,40}", piece in 1usize..50,
    ) {
        let _ = replies(bytes.as_bytes(), piece, Limits::REPLIES);
        let _ = requests(bytes.as_bytes(), piece, Limits::COMMANDS);
    }
}

fn refused_request(bytes: &[u8], expected: &str) {
    match requests(bytes, 7, Limits::COMMANDS) {
        Err(error) => assert_eq!(error.to_string(), expected),
        Ok(commands) => panic!("{:?} was taken as {commands:?}", String::from_utf8_lossy(bytes)),
    }
}

#[test]
fn malformed_requests_get_the_texts_of_redis() {
    refused_request(b"*x\r\n", "Protocol error: invalid multibulk length");
    refused_request(b"*1073741824\r\n", "Protocol error: invalid multibulk length");
    refused_request(b"*1\r\nPING\r\n", "Protocol error: expected '$', got 'P'");
    refused_request(b"*1\r\n$1073741824\r\n", "Protocol error: invalid bulk length");
    refused_request(b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length");
    refused_request(b"*1\r\n$99999999999999999999\r\n", "Protocol error: invalid bulk length");
    refused_request(b"get \"a\r\n", "Protocol error: unbalanced quotes in request");
}

#[test]
fn a_line_without_end_is_refused_before_it_grows() {
    let endless = vec![b'x'; 70_000];
    refused_request(&endless, "Protocol error: too big inline request");
    let endless = [b"*".as_slice(), &vec![b'1'; 70_000]].concat();
    refused_request(&endless, "Protocol error: too big mbulk count string");
    let endless = [b"*1\r\n$".as_slice(), &vec![b'1'; 70_000]].concat();
    refused_request(&endless, "Protocol error: too big bulk count string");
}

#[test]
fn arguments_that_are_small_alone_and_large_together_are_refused() {
    let limits = Limits { bulk_bytes_max: 100, buffer_bytes_max: 250, arguments_max: 10, depth_max: 1 };
    let argument = vec![b'a'; 100];
    let mut bytes = BytesMut::new();
    encode_command(&[&argument, &argument, &argument], &mut bytes);
    assert_eq!(requests(&bytes, 50, limits), Err(ProtocolError::RequestTooLong(250)));
}

#[test]
fn empty_commands_are_skipped() {
    let commands = requests(b"\r\n*0\r\n*-1\r\n  \nPING\r\n", 3, Limits::COMMANDS);
    assert_eq!(commands, Ok(vec![vec![Bytes::from_static(b"PING")]]));
}

fn refused_reply(bytes: &[u8], expected: ProtocolError) {
    let limits = Limits { bulk_bytes_max: 1000, arguments_max: 100, depth_max: 4, buffer_bytes_max: 2000 };
    assert_eq!(replies(bytes, 5, limits), Err(expected), "{:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn replies_beyond_the_limits_are_refused_at_their_header() {
    refused_reply(b"$1073741824\r\n", ProtocolError::InvalidBulkLength);
    refused_reply(b"*1000\r\n", ProtocolError::InvalidCount);
    refused_reply(&b"*1\r\n".repeat(5), ProtocolError::TooDeep(4));
    let long = [b"*3\r\n".as_slice(), &[b"$900\r\n".as_slice(), &[b'a'; 900], b"\r\n"].concat().repeat(2), b"$900\r\n"]
        .concat();
    refused_reply(&long, ProtocolError::ReplyTooLong(2000));
    refused_reply(b"?\r\n", ProtocolError::UnknownType(b'?'));
    refused_reply(b"\r\n", ProtocolError::InvalidReply("type"));
    refused_reply(b":12a\r\n", ProtocolError::InvalidReply("integer"));
    refused_reply(b"#x\r\n", ProtocolError::InvalidReply("boolean"));
    refused_reply(b"=2\r\nab\r\n", ProtocolError::InvalidReply("verbatim string"));
}

#[test]
fn many_small_values_count_as_what_they_take_in_memory() {
    let nulls = [b"*100\r\n".as_slice(), &b"_\r\n".repeat(100)].concat();
    assert!(nulls.len() < 400);
    refused_reply(&nulls, ProtocolError::ReplyTooLong(2000));
    let nested = [b"*1000000\r\n".as_slice(), &b"_\r\n".repeat(1_000_000)].concat();
    let many = [b"*20\r\n".as_slice(), &nested, &nested].concat();
    assert_eq!(replies(&many, 65_536, Limits::REPLIES), Err(ProtocolError::ReplyTooLong(64 * 1024 * 1024)));
}

#[test]
fn depth_costs_no_stack() {
    let limits = Limits { depth_max: usize::MAX, ..Limits::REPLIES };
    let bytes = [b"*1\r\n".repeat(200_000).as_slice(), b":1\r\n"].concat();
    // A value nested this deep cannot even be dropped, which is why the limit is 16.
    assert!(replies(&bytes[..1000], 100, limits).expect("incomplete").is_empty());
    assert_eq!(replies(&bytes, 4096, Limits::REPLIES), Err(ProtocolError::TooDeep(16)));
}

#[test]
fn attributes_are_read_and_dropped() {
    let values = replies(b"|1\r\n+ttl\r\n:3\r\n+OK\r\n", 4, Limits::REPLIES);
    assert_eq!(values, Ok(vec![Value::ok()]));
}

#[test]
fn a_line_break_in_an_error_does_not_end_the_frame() {
    let mut bytes = BytesMut::new();
    encode(&Value::error("ERR a\r\n+b"), Protocol::Resp2, &mut bytes);
    assert_eq!(&bytes[..], b"-ERR a  +b\r\n");
}
